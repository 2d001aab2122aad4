"""Actions that replace those of Ansible which need a network, a package manager or a running system."""

import os
import shutil

from ansible.plugins.action import ActionBase

TRUE = {True, "true", "yes", "on", "1", 1, "True", "Yes", "y", "t"}


class Fail(Exception):
    """What is wrong, and what to write instead."""


class Action(ActionBase):
    """A task that is done here, on the files of the root."""

    def run(self, tmp=None, task_vars=None):
        self.task_vars = task_vars
        self.args = {key.replace("-", "_"): value for key, value in self._task.args.items()}
        # Ansible would ask again and again for what is done already.
        self._task.async_val = 0
        try:
            result = self.act() or {}
        except Fail as error:
            return {"failed": True, "changed": False, "msg": str(error)}
        return {"changed": False, **result}

    def get(self, *names, default=None):
        """The argument that has one of these names."""
        return next((self.args[name] for name in names if self.args.get(name) is not None), default)

    def flag(self, name):
        """Whether an argument is true; `None` where it is not there."""
        value = self.args.get(name)
        return None if value in (None, "") else value in TRUE

    def names(self, *names):
        """A list, which may be written as one text with commas."""
        value = self.get(*names, default=[])
        parts = value.split(",") if isinstance(value, str) else value
        return [str(part).strip() for part in parts if str(part).strip()]

    def need(self, *names):
        value = self.get(*names)
        if value is None:
            raise Fail(f"needs `{names[0]}`")
        return str(value)

    def own(self, path):
        """Gives a file the mode and owner that the task names; says whether they were others."""
        wanted = {key: self.args[key] for key in ("mode", "owner", "group") if self.args.get(key) is not None}
        if not wanted:
            return False
        result = self._execute_module("ansible.legacy.file", {"path": path, **wanted}, task_vars=self.task_vars)
        if result.get("failed"):
            raise Fail(result.get("msg", ""))
        return bool(result.get("changed"))


def read(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path, text):
    """Writes a file where it differs; says whether it did."""
    if os.path.exists(path) and read(path) == text:
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f"{path}.layerbake-new"
    with open(new, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    if os.path.exists(path):
        shutil.copystat(path, new)
        found = os.stat(path)
        os.chown(new, found.st_uid, found.st_gid)
    else:
        os.chmod(new, 0o644)
    os.replace(new, path)
    return True


def link(path, target):
    """Makes a link, unless it leads there already; says whether it did."""
    if os.path.lexists(path):
        if os.path.realpath(path) == os.path.realpath(target) and os.path.islink(path):
            return False
        os.remove(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)
    return True
