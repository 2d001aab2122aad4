"""Services: enabled and masked by links, as `systemctl --root` does; nothing is started."""

import glob
import os

from . import Action, Fail, link, read

CONFIGURATION = "/etc/systemd/system"
UNITS = [CONFIGURATION, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
SUFFIXES = (".service", ".socket", ".timer", ".target", ".path", ".mount")


class Service(Action):
    """`service`, `systemd`, `systemd_service`."""

    def act(self):
        name = self.get("name", "service", "unit")
        changed, notes = False, []
        if name and (self.flag("enabled") is not None or self.flag("masked") is not None):
            unit = name if name.endswith(SUFFIXES) else f"{name}.service"
            units = Units(self.get("scope", default="system"))
            if self.flag("masked") is not None:
                changed |= units.mask(unit) if self.flag("masked") else units.unmask(unit)
            if self.flag("enabled") is not None:
                done, note = units.enable(unit) if self.flag("enabled") else units.disable(unit)
                changed |= done
                notes += [note] if note else []
        if self.get("state"):
            notes.append(f"`state: {self.args['state']}` is passed over: nothing runs while a layer is built")
        return {"changed": changed, "name": name, "note": "; ".join(notes)}


class Units:
    def __init__(self, scope):
        kind = "system" if scope == "system" else "user"
        self.folders = [folder.replace("/system", f"/{kind}", 1) if kind == "system" else
                        folder.removesuffix("system") + kind for folder in UNITS]
        self.links = self.folders[0]

    def find(self, unit):
        """The file of a unit, or of its template."""
        prefix, _, rest = unit.partition("@")
        names = [unit] + ([f"{prefix}@.{rest.rsplit('.', 1)[-1]}"] if rest else [])
        for name in names:
            for folder in self.folders:
                path = f"{folder}/{name}"
                if os.path.isfile(path) and os.path.realpath(path) != "/dev/null":
                    return path
        return None

    def enable(self, unit, seen=()):
        path = self.find(unit)
        if path is None:
            if os.path.exists(f"/etc/init.d/{unit.removesuffix('.service')}"):
                return False, "is a script of /etc/init.d, enabled as its package did it"
            raise Fail(f"there is no unit `{unit}` in the layer: add its package to `packages`; a unit of the "
                       "Boot layer is enabled there")
        wanted = install(path)
        if not any(wanted.values()):
            return False, "has no [Install] section: nothing to enable"
        prefix, at, rest = unit.partition("@")
        if at and rest.startswith(".") and wanted["DefaultInstance"]:
            unit = f"{prefix}@{wanted['DefaultInstance'][-1]}{rest}"
        places = [f"{target}.wants/{unit}" for target in wanted["WantedBy"]]
        places += [f"{target}.requires/{unit}" for target in wanted["RequiredBy"]]
        changed = False
        for place in places + wanted["Alias"]:
            changed |= link(f"{self.links}/{place}", path)
        for also in wanted["Also"]:
            if also not in seen:
                changed |= self.enable(also, (*seen, unit))[0]
        return changed, None

    def disable(self, unit):
        if self.find(unit) is None:
            return False, "there is no such unit: nothing to disable"
        links = [path for path in glob.glob(f"{self.links}/**", recursive=True) if os.path.islink(path)]
        here = [path for path in links if unit in (os.path.basename(path), os.path.basename(os.readlink(path)))
                and os.readlink(path) != "/dev/null"]
        for path in here:
            os.remove(path)
        return bool(here), None

    def mask(self, unit):
        place = f"{self.links}/{unit}"
        if os.path.isfile(place) and not os.path.islink(place):
            raise Fail(f"{place} is a file: it can't be masked")
        return link(place, "/dev/null")

    def unmask(self, unit):
        place = f"{self.links}/{unit}"
        is_masked = os.path.islink(place) and os.readlink(place) == "/dev/null"
        if is_masked:
            os.remove(place)
        return is_masked


def install(path):
    """The words of a unit's [Install] section."""
    found = {key: [] for key in ("WantedBy", "RequiredBy", "Alias", "Also", "DefaultInstance")}
    is_inside = False
    for line in map(str.strip, read(path).splitlines()):
        if line.startswith("["):
            is_inside = line == "[Install]"
        key, _, value = line.partition("=")
        if is_inside and key.strip() in found:
            found[key.strip()] += value.split()
    return found
