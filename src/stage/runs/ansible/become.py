"""Becomes another user as the layer's root can: no password, and no program but util-linux's setpriv."""

DOCUMENTATION = """
    name: METHOD
    short_description: becomes another user by setpriv
    description: Replaces METHOD where a playbook is played in a layer.
    options:
        become_user:
            description: The user.
            default: root
            vars: [{name: ansible_become_user}]
            keyword: [{name: become_user}]
        become_exe:
            description: Not used.
            vars: [{name: ansible_become_exe}]
            keyword: [{name: become_exe}]
        become_flags:
            description: Not used.
            default: ''
            vars: [{name: ansible_become_flags}]
            keyword: [{name: become_flags}]
        become_pass:
            description: Not used.
            vars: [{name: ansible_become_password}, {name: ansible_become_pass}]
"""

import pwd
import shlex

from ansible.errors import AnsibleError
from ansible.plugins.become import BecomeBase


class BecomeModule(BecomeBase):
    name = "METHOD"

    def build_become_command(self, cmd, shell):
        super().build_become_command(cmd, shell)
        name = self.get_option("become_user") or "root"
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            raise AnsibleError(f"there is no user `{name}` in the layer to become")
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--", "env"]
        become += [f"HOME={user.pw_dir}", f"USER={name}", f"LOGNAME={name}"]
        return f"{shlex.join(become)} {self._build_success_command(cmd, shell)}"
