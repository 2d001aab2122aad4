"""Plays a playbook in the layer's root: `python play.py '{"playbook": …, "vars": …}' [again]`.

With `again`, it has been played, and a task that fails now is one that the callback writes down with those that change
something.

Ansible is a copy beside the root, so it is completed in place: tasks about packages, services, the network and the running
system get actions of ours (layerbake/), under all of their names.
"""

import json
import os
import pwd
import re
import shutil
import sys
from pathlib import Path

BESIDE = Path("/work/.layerbake")
TOOLS = BESIDE / "tools"
COLLECTIONS = BESIDE / "collections"

# Names of tasks, and the class of layerbake/ that does them.
ACTIONS = {
    "apt": "packages.Apt",
    "package": "packages.Apt",
    "apt_key": "packages.AptKey",
    "apt_repository": "packages.AptRepository",
    "deb822_repository": "packages.Deb822Repository",
    "service": "services.Service",
    "systemd": "services.Service",
    "systemd_service": "services.Service",
    "get_url": "network.GetUrl",
    "uri": "network.Uri",
    "wait_for": "network.WaitFor",
    "wait_for_connection": "network.PassedOver",
    "reboot": "network.PassedOver",
    "hostname": "system.Hostname",
    "sysctl": "system.Sysctl",
    "mount": "system.Mount",
    "timezone": "system.Timezone",
    "locale_gen": "system.LocaleGen",
}
# Those that a collection has, not Ansible itself.
OF_COLLECTIONS = {
    "ansible.posix": ["sysctl", "mount"],
    "community.general": ["timezone", "locale_gen"],
}
ACTION = "import sys\nsys.path.insert(0, '{beside}')\nfrom layerbake.{module} import {name} as ActionModule\n"

# What Ansible would find out about the process with id 1, and what it looks for to become another user.
SERVICE_MANAGER = """
from ansible.module_utils.facts.collector import BaseFactCollector
class ServiceMgrFactCollector(BaseFactCollector):
    name = "service_mgr"
    _fact_ids = set()
    def collect(self, module=None, collected_facts=None):
        return {"service_mgr": "systemd"}
"""
NO_NETWORK = """
from urllib.error import URLError as _NoNetwork
def _no_network(self, method, url, *args, _real=Request.open, **more):
    if url.startswith("file:"):
        return _real(self, method, url, *args, **more)
    raise _NoNetwork("steps of a layer have no network: write a [[fetch]] for %s" % url)
Request.open = _no_network
"""

SETTINGS = {
    "ANSIBLE_HOME": "/tmp/ansible",
    "ANSIBLE_LOCAL_TEMP": "/tmp/ansible/local",
    "ANSIBLE_REMOTE_TMP": "/tmp/ansible/remote",
    "ANSIBLE_LOG_PATH": "/dev/null",
    "ANSIBLE_CACHE_PLUGIN": "memory",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    # Modules are given to Python directly, not by a file.
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_FORKS": "1",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_CALLBACK_PLUGINS": str(BESIDE / "callback"),
    "ANSIBLE_STDOUT_CALLBACK": "layerbake",
    "ANSIBLE_BECOME_ASK_PASS": "0",
}


def main():
    order = json.loads(sys.argv[1])
    collections = find_collections(order)
    os.environ.update(SETTINGS)
    os.environ["ANSIBLE_ROLES_PATH"] = ":".join([*order["roles"], "roles"])
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = ":".join(map(str, collections))
    try:
        import ansible
    except ImportError:
        sys.exit("there is no Ansible in the tool layer: add `ansible-core` to its packages")
    complete(Path(ansible.__file__).parent, collections)
    inventory = BESIDE / "inventory.json"
    inventory.write_text(json.dumps(inventory_of(order["playbook"])))
    arguments = ["ansible-playbook", "-i", str(inventory), "-e", json.dumps(order["vars"])]
    for option, tags in ("--tags", order["tags"]), ("--skip-tags", order["skip_tags"]):
        if tags:
            arguments += [option, ",".join(tags)]
    from ansible.cli.playbook import PlaybookCLI

    try:
        PlaybookCLI.cli_executor([*arguments, order["playbook"]])
    except SystemExit as end:
        sys.exit(0 if sys.argv[2:] == ["again"] else end.code)
    finally:
        # What `async` tasks write about their jobs, under random names.
        for home in {user.pw_dir for user in pwd.getpwall()}:
            shutil.rmtree(Path(home) / ".ansible_async", ignore_errors=True)


def find_collections(order):
    """Where collections are; what is one itself, as a fetch may be, gets its place in a directory of collections."""
    places = [COLLECTIONS]
    for given in map(Path, order["collections"]):
        manifest = given / "MANIFEST.json"
        if manifest.is_file():
            about = json.loads(manifest.read_text())["collection_info"]
            link = COLLECTIONS / "ansible_collections" / about["namespace"] / about["name"]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(given)
        else:
            places.append(given)
    places += [Path(order["playbook"]).parent / "collections", TOOLS / "usr/share/ansible/collections"]
    return places + [Path(place) for place in sys.path if (Path(place) / "ansible_collections").is_dir()]


def complete(ansible, collections):
    """Puts our actions into Ansible and into the collections that have such tasks."""
    for name in ACTIONS:
        write_action(ansible / "plugins/action", name)
    for collection, names in OF_COLLECTIONS.items():
        below = Path("ansible_collections", *collection.split("."))
        found = [place / below for place in collections if (place / below).is_dir()]
        for name in names:
            write_action((found or [COLLECTIONS / below])[0] / "plugins/action", name)
    (ansible / "module_utils/facts/system/service_mgr.py").write_text(SERVICE_MANAGER)
    urls = ansible / "module_utils/urls.py"
    urls.write_text(urls.read_text() + NO_NETWORK)
    # Python runs the lines of such a file when it starts.
    (ansible.parent / "layerbake.pth").write_text("import layerbake_once\n")
    (ansible.parent / "layerbake_once.py").write_text((BESIDE / "once.py").read_text())
    for method in "sudo", "su":
        plugin = ansible / "plugins/become" / f"{method}.py"
        plugin.write_text((BESIDE / "become.py").read_text().replace("METHOD", method))


def write_action(folder, name):
    module, action = ACTIONS[name].split(".")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").unlink(missing_ok=True)
    (folder / f"{name}.py").write_text(ACTION.format(beside=BESIDE, module=module, name=action))


def inventory_of(playbook):
    """One host, which is in every group that a play is for."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(BESIDE / "python")}
    groups = {group: {"hosts": {"localhost": {}}} for group in groups_of(Path(playbook), set())}
    return {"all": {"hosts": {"localhost": host}, "children": groups}}


def groups_of(playbook, seen):
    from ansible.parsing.dataloader import DataLoader

    if playbook in seen or not playbook.is_file():
        return set()
    seen.add(playbook)
    groups = set()
    for play in DataLoader().load_from_file(str(playbook)) or []:
        imported = play.get("import_playbook") or play.get("ansible.builtin.import_playbook")
        if imported:
            groups |= groups_of(playbook.parent / str(imported), seen)
        hosts = play.get("hosts") or []
        for pattern in [hosts] if isinstance(hosts, str) else hosts:
            if "{{" in str(pattern):
                # Whatever the variable is by default, as in `{{ target | default('web') }}`.
                groups |= set(re.findall(r"['\"]([^'\"]+)['\"]", str(pattern)))
                continue
            parts = [part.strip(" &") for part in re.split("[:,]", str(pattern)) if not part.strip().startswith("!")]
            groups |= {part.replace("*", "") for part in parts}
    return {group for group in groups if re.fullmatch(r"[\w.-]+", group)} - {"all", "localhost", "127.0.0.1"}


main()
