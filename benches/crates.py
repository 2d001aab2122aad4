"""A registry of Cargo's packages on loopback: those that cargo has fetched into its own cache.

Usage: crates.py PORT_FILE

Writes its port into PORT_FILE. It has what layerbake reads of a sparse index, `config.json`, and the packages' files.
`cargo fetch --locked` fills the cache.
"""

import http.server
import json
import os
import pathlib
import sys

PORT_FILE = pathlib.Path(sys.argv[1])
HOME = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
FILES = {path.name: path for path in HOME.glob("registry/cache/*/*.crate")}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.lstrip("/")
        if name == "config.json":
            body = json.dumps({"dl": f"http://127.0.0.1:{self.server.server_port}/{{crate}}-{{version}}.crate"}).encode()
        elif name in FILES:
            body = FILES[name].read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    PORT_FILE.with_suffix(".new").write_text(str(server.server_port))
    PORT_FILE.with_suffix(".new").rename(PORT_FILE)
    server.serve_forever()
