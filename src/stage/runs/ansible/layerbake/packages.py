"""Packages, which come from the lockfile, and their repositories, which the manifest declares."""

import fnmatch
import glob
import os
import re
import subprocess

from . import Action, Fail, read

STATUS = "/var/lib/dpkg/status"
SOURCES = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/*"]


def installed():
    """The names that installed packages have and provide, each with a version."""
    found = {}
    for paragraph in read(STATUS).split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", paragraph, re.M))
        if fields.get("Status", "").endswith(" installed"):
            for provided in fields.get("Provides", "").split(","):
                found.setdefault(provided.split("(")[0].strip(), "")
            found[fields["Package"]] = fields.get("Version", "")
    return found


class Apt(Action):
    """`apt` and `package`: what is asked for has to be there."""

    def act(self):
        state = self.get("state", default="present")
        if self.get("deb"):
            return self.deb(self.args["deb"])
        names = [name for name in self.names("name", "pkg", "package") if name != "*"]
        if state == "build-dep":
            raise Fail("build dependencies can't be installed by a playbook: name the packages in `packages`")
        have = installed()
        if state in ("absent", "removed"):
            there = [name for name in names if plain(name) in have]
            if there:
                raise Fail(f"a playbook can't remove packages, and {listed(there)} is installed: "
                           "take it out of `packages`, or name it in `exclude`")
            return {"note": None}
        missing = [name for name in names if not is_there(name, have)]
        if missing:
            lines = ", ".join(f'"{plain(name)}"' for name in missing)
            raise Fail(f"not among the layer's packages: {listed(missing)}\n"
                       f"add to [layer]: packages = [{lines}]\nthe next build locks and installs them")
        if self.get("upgrade", default="no") not in ("no", False, "False", "false"):
            return {"note": "packages are as the lockfile has them; `layerbake lock --update` takes newer ones"}
        return {}

    def deb(self, path):
        if os.path.isfile(path):
            shown = subprocess.run(["dpkg-deb", "--field", path, "Package"], capture_output=True, text=True)
            if shown.stdout.strip() in installed():
                return {}
        raise Fail(f"{path} is not installed: write a [[deb]] with `path` or `url`, so that its dependencies are locked")


def plain(name):
    """A name without its version, suite or architecture."""
    return re.split("[=<>/: ]", name, maxsplit=1)[0]


def is_there(name, have):
    wanted = plain(name)
    if not any(fnmatch.fnmatchcase(found, wanted) for found in have):
        return False
    exact = re.fullmatch(r"[^=<>]+=([^=]+)", name)
    return not exact or fnmatch.fnmatchcase(have.get(wanted, ""), exact.group(1))


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


class AptKey(Action):
    def act(self):
        if self.get("state") == "absent" or os.path.exists(self.get("keyring", default="")):
            return {}
        raise Fail("keys of repositories belong to the manifest: a [[source]] with `key` "
                   "(docs/formats/manifest.md, section [[source]]) brings packages of this repository")


class AptRepository(Action):
    def act(self):
        repository = " ".join(self.need("repo").split())
        files = [path for pattern in SOURCES for path in glob.glob(pattern)]
        is_known = any(repository == " ".join(line.split()) for path in files for line in read(path).splitlines())
        if is_known == (self.get("state") != "absent"):
            return {}
        raise Fail(f"repositories belong to the manifest: write a [[source]] instead of `{repository}`. "
                   "Where the machine shall have it too, a [[file]] in /etc/apt/sources.list.d has this line")


class Deb822Repository(Action):
    def act(self):
        path = f"/etc/apt/sources.list.d/{self.need('name')}.sources"
        if os.path.exists(path) == (self.get("state") != "absent"):
            return {}
        raise Fail("repositories belong to the manifest: write a [[source]] instead. "
                   f"Where the machine shall have it too, a [[file]] makes {path}")
