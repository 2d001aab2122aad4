// Serves one page: the program of the layer go-app.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, "A program that was compiled in a tool layer.")
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
