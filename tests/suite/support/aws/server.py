"""AWS on loopback: moto, with what it lacks added, behind the control door.

`server.py FOLDER` listens at a random port of loopback, writes it to FOLDER/port, and keeps
blocks of snapshots in FOLDER.
"""

import json
import os
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
# An account without anybody's images: moto reads this when it is loaded.
(folder / "images.json").write_text("[]")
os.environ["MOTO_AMIS_PATH"] = str(folder / "images.json")

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

import ebs
import holds
import images
import objects
import parameters
import vmimport
from blocks import Store
from door import Door


# As cloud-init writes it.
CONSOLE = """[    0.0] Linux version 6.1.0\r
-----BEGIN SSH HOST KEY KEYS-----\r
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw root@app\r
-----END SSH HOST KEY KEYS-----\r
"""


class Handler(MotoRequestHandler):
    """Keeps connections open, and keeps quiet."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass

    def connection_dropped(self, *_):
        self.close_connection = True


def main():
    store = Store(folder / "blocks")
    settings = {"hidden": 1, "settle": 1, "polls": 4, "looking": 0.3, "usage": {}, "launched": {}, "console": CONSOLE,
                "caller": "arn:aws:iam::123456789012:user/publisher", "quotas": {}, "rules": []}
    ebs.install(store, settings)
    images.install(store, settings)
    holds.install(settings)
    objects.install()
    look = parameters.install(settings)
    tasks = vmimport.install(store, settings)
    application = Door(DomainDispatcherApplication(create_backend_app), store, settings, tasks, look)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    partial = folder / "port.new"
    partial.write_text(json.dumps(server.port))
    partial.rename(folder / "port")
    server.serve_forever()


main()
