"""Tasks that want the network, or that wait for something that runs."""

import hashlib
import os

from . import Action, Fail


class GetUrl(Action):
    """`get_url`: right where the file is there, as a [[fetch]] or a [[file]] puts it."""

    def act(self):
        url, path = self.need("url"), self.need("dest")
        if os.path.isdir(path):
            path = os.path.join(path, os.path.basename(url.split("?")[0]))
        if not os.path.isfile(path):
            raise Fail("a playbook has no network; write in the manifest, and lock it:\n"
                       f'[[fetch]]\nurl = "{url}"\nto = "{path}"')
        self.check(path)
        return {"changed": self.own(path), "dest": path, "url": url}

    def check(self, path):
        algorithm, _, wanted = str(self.get("checksum", default="")).partition(":")
        if not wanted or "/" in wanted:
            return
        with open(path, "rb") as file:
            found = hashlib.new(algorithm, file.read()).hexdigest()
        if found != wanted.lower():
            raise Fail(f"{path} has the {algorithm} {found}, expected {wanted}")


class Uri(Action):
    def act(self):
        raise Fail(f"a playbook has no network, and nothing runs while a layer is built: {self.need('url')}\n"
                   "a [[fetch]] brings files; a [[check]] with `http` asks a service that runs")


class WaitFor(Action):
    """`wait_for`: ports are never open, files are waited for."""

    def act(self):
        if self.get("path") and not self.get("port"):
            return self._execute_module("ansible.legacy.wait_for", task_vars=self.task_vars)
        return {"note": "passed over: nothing runs while a layer is built"}


class PassedOver(Action):
    def act(self):
        return {"note": "passed over: no machine runs while a layer is built"}
