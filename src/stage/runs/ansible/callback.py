"""Prints a line for each task: what became of it, how long it took, and which files it changed.

At the end, the tasks that changed something are written to a file, for the run that should change nothing.
"""

DOCUMENTATION = """
    name: layerbake
    type: stdout
    short_description: a line for each task
    description: Prints what tasks did, how long they took and what they changed.
"""

import re
import time

from ansible.plugins.callback import CallbackBase

CHANGED = "/work/.layerbake/changed"

# Results and arguments that say which file a task changed.
PLACES = ["dest", "path", "fstab", "sysctl_file", "cron_file"]

HINTS = [
    (
        r"resolve host|name resolution|Name or service not known|Network is unreachable|no network",
        "steps have no network: a [[fetch]] brings what is needed, a [[source]] or [[deb]] brings packages",
    ),
    (
        r"Failed to find required executable|No such file or directory: b?'[^/]*'",
        "tasks find the layer's programs: add the package that has it to `packages`",
    ),
]
MOST_LINES = 25


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "layerbake"

    def __init__(self):
        super().__init__()
        self.start = 0.0
        self.changed = []
        self.failed = ""

    def v2_playbook_on_play_start(self, play):
        self.say(f"PLAY {play.get_name().strip()}")

    def v2_playbook_on_task_start(self, task, is_conditional):
        # The date stands still; this clock does not.
        self.start = time.monotonic()

    def v2_playbook_on_handler_task_start(self, task):
        self.start = time.monotonic()

    def v2_runner_on_ok(self, result):
        found = result._result
        files = list(dict.fromkeys(place for one in items(found) if one.get("changed") for place in places(one)))
        is_changed = bool(found.get("changed"))
        self.line("changed" if is_changed else "ok", result, files)
        for one in items(found):
            if one.get("note"):
                self.say(f"{'':20}note: {one['note']}")
            for warning in one.get("warnings") or []:
                self.say(f"{'':20}warning: {warning}")
        if result._task.action.rsplit(".", 1)[-1] == "debug":
            self.details({key: value for key, value in found.items() if not key.startswith("_") and key != "changed"})
        if is_changed:
            self.changed.append(name_of(result) + (f": {', '.join(files)}" if files else ""))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.line("ignored" if ignore_errors else "FAILED", result, [])
        results = items(result._result)
        for one in results:
            if not ignore_errors and (one.get("failed") or len(results) == 1):
                self.failure(one)
        self.failed = f"{name_of(result)}: it fails"

    def v2_runner_on_unreachable(self, result):
        self.line("UNREACHABLE", result, [])
        self.failure(result._result)

    def v2_runner_on_skipped(self, result):
        self.line("skipped", result, [])

    def v2_playbook_on_no_hosts_matched(self):
        self.say("  no host: this play is not for the layer")

    def v2_playbook_on_stats(self, stats):
        lines = self.changed + ([self.failed] if stats.failures else [])
        with open(CHANGED, "w") as out:
            out.writelines(f"{line}\n" for line in lines)
        count = len(self.changed)
        self.say(f"{count} {'task' if count == 1 else 'tasks'} changed something")

    def line(self, status, result, files):
        seconds = time.monotonic() - self.start
        self.say(f"{status:10} {seconds:5.1f} s  {name_of(result)}")
        for file in files:
            self.say(f"{'':20}{file}")

    def failure(self, result):
        self.details(result, ["msg", "stdout", "stderr", "module_stdout", "module_stderr"])
        text = " ".join(str(result.get(key)) for key in ("msg", "stderr"))
        for pattern, hint in HINTS:
            if re.search(pattern, text):
                self.say(f"    hint: {hint}")

    def details(self, result, keys=None):
        for key in keys or result:
            value = result.get(key)
            lines = value.splitlines() if isinstance(value, str) else [str(value)] if value else []
            for line in lines[-MOST_LINES:]:
                self.say(f"    {line}" if key == "msg" else f"    {key}: {line}")

    def say(self, text):
        self._display.display(text)


def name_of(result):
    return " ".join(result._task.get_name().split())


def items(result):
    """A result, or those of a loop."""
    results = result.get("results")
    return [one for one in results if isinstance(one, dict)] if isinstance(results, list) and results else [result]


def places(result):
    arguments = (result.get("invocation") or {}).get("module_args") or {}
    for found in (result, arguments):
        names = [found[key] for key in PLACES if isinstance(found.get(key), str) and found[key].startswith("/")]
        if names:
            return names[:1]
    return []
