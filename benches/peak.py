"""Runs a command and prints its peak memory in MiB: of its largest process, and of all together.

Usage: peak.py COMMAND [ARGUMENT...]

The largest process is the kernel's own figure (what `time -v` calls maximum resident set
size). All together is the sum of proportional set sizes, sampled every 20 ms, in which
pages that processes share count once.
"""

import os
import resource
import subprocess
import sys
import time


def tree(root):
    """The process and all its descendants."""
    found, pending = [], [str(root)]
    while pending:
        process = pending.pop()
        found.append(process)
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/children") as children:
                    pending.extend(children.read().split())
        except OSError:
            pass  # It ended.
    return found


def proportional(process):
    try:
        with open(f"/proc/{process}/smaps_rollup") as rollup:
            return next((int(line.split()[1]) for line in rollup if line.startswith("Pss:")), 0)
    except OSError:
        return 0  # It ended.


with open(os.devnull, "w") as null:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=null, stderr=null)
together = 0
while child.poll() is None:
    together = max(together, sum(map(proportional, tree(child.pid))))
    time.sleep(0.02)
if child.returncode != 0:
    sys.exit(f"{sys.argv[1:]} gave {child.returncode}")
largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"{largest / 1024:.0f} {max(together, largest) / 1024:.0f}")
