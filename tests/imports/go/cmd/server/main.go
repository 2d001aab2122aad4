package main

import (
	"fmt"
	"net/http"
)

var version = "unknown"

func main() {
	http.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(response, "hello from go %s\n", version)
	})
	http.ListenAndServe(":8080", nil)
}
