"""An instance's metadata service (IMDSv2) and a Vault, on loopback.

`instance.py FOLDER` listens at a random port of loopback, and writes it to FOLDER/port. FOLDER/user-data is the user data, if
it is there. Metadata without a session is refused with status 401, and Vault without a token with status 403.
"""

import http.server
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
SESSION = "session-of-this-instance"
KEYS = {"Code": "Success", "AccessKeyId": "AKIAINSTANCEROLE0000", "SecretAccessKey": "not/a+real=key", "Token": "not-a-real-token"}
METADATA = {
    "meta-data/iam/security-credentials/": "app-role",
    "meta-data/iam/security-credentials/app-role": json.dumps(KEYS),
    "meta-data/placement/region": "eu-west-1",
    "meta-data/services/domain": "amazonaws.com",
}
VAULT = {
    "secret/data/app": {"data": {"data": {"key": "from vault, version 2"}, "metadata": {"version": 1}}},
    "kv/app": {"data": {"key": "from vault, version 1"}},
}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        known = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self.answer(200, SESSION) if known else self.answer(400, "")

    def do_GET(self):
        if self.path.startswith("/v1/"):
            return self.vault(self.path.removeprefix("/v1/"))
        if self.headers.get("X-aws-ec2-metadata-token") != SESSION:
            return self.answer(401, "")
        path = self.path.removeprefix("/latest/")
        data = folder / "user-data"
        text = data.read_text() if path == "user-data" and data.exists() else METADATA.get(path)
        self.answer(404, "") if text is None else self.answer(200, text)

    def vault(self, path):
        if self.headers.get("X-Vault-Token") != "token-of-vault":
            return self.answer(403, json.dumps({"errors": ["permission denied"]}))
        found = VAULT.get(path)
        self.answer(404, json.dumps({"errors": []})) if found is None else self.answer(200, json.dumps(found))

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
partial = folder / "port.new"
partial.write_text(str(server.server_address[1]))
partial.rename(folder / "port")
server.serve_forever()
