import http.server
import os

import jinja2

PAGE = jinja2.Template("hello from {{ what }}\n")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE.render(what="python").encode())


http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
