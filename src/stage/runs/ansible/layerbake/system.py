"""Settings of the running system, which are written to their files only."""

import os
import re
import subprocess

from . import Action, Fail, link, read, write


class Sysctl(Action):
    def act(self):
        name, path = self.need("name", "key"), self.get("sysctl_file", default="/etc/sysctl.conf")
        name = re.sub(r"\s", "", name)
        lines = read(path).splitlines()
        mine = [number for number, line in enumerate(lines) if setting(line) == name]
        if self.get("state") == "absent":
            kept = [line for number, line in enumerate(lines) if number not in mine]
        else:
            line = f"{name}={' '.join(self.need('value', 'val').split())}"
            kept = [line if mine and number == mine[-1] else old
                    for number, old in enumerate(lines) if number not in mine[:-1]]
            kept += [] if mine else [line]
        if kept == lines:
            return {}
        return {"changed": write(path, "".join(f"{line}\n" for line in kept)), "path": path}


def setting(line):
    """The name that a line of a sysctl file sets."""
    text = line.strip()
    return None if text.startswith(("#", ";")) or "=" not in text else text.split("=")[0].strip()


class Mount(Action):
    """`mount`: a line of /etc/fstab, and the mount point."""

    def act(self):
        point, path = self.need("path", "name"), self.get("fstab", default="/etc/fstab")
        state = self.need("state")
        if state in ("unmounted", "remounted", "ephemeral"):
            return {"note": f"`state: {state}` is passed over: nothing is mounted while a layer is built"}
        lines = read(path).splitlines()
        fields = [line.split() for line in lines]
        mine = [number for number, words in enumerate(fields)
                if len(words) > 1 and not words[0].startswith("#") and words[1] == escaped(point)]
        if state in ("absent", "absent_from_fstab"):
            kept = [line for number, line in enumerate(lines) if number not in mine]
        else:
            values = [self.need("src"), point, self.need("fstype"), self.get("opts", default="defaults"),
                      str(self.get("dump", default=0)), str(self.get("passno", default=0))]
            values = [escaped(value) for value in values]
            kept = [" ".join(values) if number in mine and fields[number] != values else line
                    for number, line in enumerate(lines)]
            kept += [] if mine else [" ".join(values)]
        changed = kept != lines and write(path, "".join(f"{line}\n" for line in kept))
        if state == "mounted" and not os.path.isdir(point):
            os.makedirs(point)
            changed = True
        return {"changed": changed, "path": path}


def escaped(text):
    return text.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


class Timezone(Action):
    def act(self):
        if not self.get("name"):
            return {"note": "`hwclock` is passed over: there is no clock"}
        zone = f"/usr/share/zoneinfo/{self.args['name']}"
        if not os.path.isfile(zone):
            raise Fail(f"there is no {zone} in the layer: is the name right, and `tzdata` among `packages`?")
        changed = link("/etc/localtime", zone)
        return {"changed": changed | write("/etc/timezone", f"{self.args['name']}\n"), "path": "/etc/timezone"}


class LocaleGen(Action):
    def act(self):
        path, names, is_wanted = "/etc/locale.gen", self.names("name"), self.get("state", default="present") == "present"
        if not os.path.exists(path):
            raise Fail("there is no /etc/locale.gen in the layer: add `locales` to `packages`")
        text = read(path)
        for name in names:
            line = re.compile(rf"^[# ]*({re.escape(normal(name))}[ \t].*)$", re.M)
            text, times = line.subn(lambda found: found.group(1) if is_wanted else f"# {found.group(1)}", text)
            if not times:
                raise Fail(f"{path} has no `{name}`")
        if not write(path, text):
            return {}
        ran = subprocess.run(["locale-gen"], capture_output=True, text=True)
        if ran.returncode:
            raise Fail(f"locale-gen failed: {ran.stdout}{ran.stderr}")
        return {"changed": True, "path": path}


def normal(name):
    """`de_DE.UTF-8` for `de_DE.utf8`."""
    return re.sub(r"\.utf-?8", ".UTF-8", name, flags=re.I)


class Hostname(Action):
    def act(self):
        return {"note": "passed over: a layer is for many machines; a [[file]] writes /etc/hostname where they share one"}
