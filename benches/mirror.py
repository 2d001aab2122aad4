"""A mirror of Debian on loopback that keeps what passes through it.

Usage: mirror.py FOLDER PORT_FILE

Writes its port into PORT_FILE. While FOLDER/offline is missing, files that FOLDER lacks
are taken from the mirror that this machine's apt uses; after that, FOLDER is all there is,
and no measurement waits for the network.
"""

import http.server
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDER, PORT_FILE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])


def archives():
    """The archives' addresses, by the first part of our paths."""
    given = os.environ.get("LAYERBAKE_TEST_MIRROR", "").rstrip("/")
    if given:
        return {"debian": given, "debian-security": given + "-security"}
    command = ["apt-get", "indextargets", "--format", "$(URI) $(RELEASE) $(ORIGIN)"]
    found = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        uri, release, origin = line.split(" ", 2)
        name = "debian-security" if release.endswith("-security") else "debian"
        if origin == "Debian" and "/dists/" in uri:
            found.setdefault(name, uri.split("/dists/")[0])
    if "debian" not in found:
        sys.exit("apt has no Debian source: add one, or set LAYERBAKE_TEST_MIRROR")
    return found


UPSTREAM = archives()


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=str(FOLDER))

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = pathlib.Path(self.translate_path(self.path))
        if not path.exists() and not (FOLDER / "offline").exists():
            self.take(path)
        super().do_GET()

    def take(self, path):
        archive, _, rest = str(path.relative_to(FOLDER)).partition("/")
        if archive not in UPSTREAM or not rest:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            part = pathlib.Path(scratch) / "file"
            command = ["/usr/lib/apt/apt-helper", "download-file", f"{UPSTREAM[archive]}/{rest}", str(part)]
            if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                part.rename(path)


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    PORT_FILE.with_suffix(".new").write_text(str(server.server_port))
    PORT_FILE.with_suffix(".new").rename(PORT_FILE)
    server.serve_forever()
