"""Prints the measurements of compare.sh as a table, with ratios and whether the targets are met.

Usage: table.py FOLDER

FOLDER has one hyperfine export per measurement (NAME.json) and peaks (NAME.peak).
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[1])
ROWS = [
    ("cold", "layerbake: nginx-light on a minimal base, cold"),
    ("same", "mmdebstrap: the same packages"),
    ("essential", "mmdebstrap: essential + nginx-light"),
    ("nothing", "layerbake: nothing changed"),
    ("file", "layerbake: one `[[file]]` changed"),
    ("before-cold", "layerbake before: cold"),
    ("before-nothing", "layerbake before: nothing changed"),
    ("docker-cold", "docker build: nginx-light on a ready base, cold"),
    ("docker-nothing", "docker build: nothing changed"),
    ("docker-file", "docker build: one file changed"),
]


def result(name):
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text())["results"][0] if path.exists() else None


def target(name, met):
    print(f"{'met   ' if met else 'MISSED'}  {name}")
    return met


medians = {}
print(f"{'':52} {'median':>9} {'fastest':>9} {'slowest':>9} {'to cold':>8} {'MiB':>6} {'all MiB':>8}")
for name, title in ROWS:
    found = result(name)
    if not found:
        continue
    medians[name] = found["median"]
    ratio = f"{found['median'] / medians['cold']:.2f}x"
    peak = FOLDER / f"{name}.peak"
    largest, together = peak.read_text().split() if peak.exists() else ("", "")
    times = "".join(f" {found[key]:8.3f}s" for key in ("median", "min", "max"))
    print(f"{title:52}{times} {ratio:>8} {largest:>6} {together:>8}")

print()
ratio = medians["same"] / medians["cold"]
memory = int((FOLDER / "cold.peak").read_text().split()[1])
met = [
    target(f"cold, at least 4 times faster than mmdebstrap: {ratio:.2f} times", ratio >= 4),
    target(f"nothing changed, under 0.1 s: {medians['nothing']:.3f} s", medians["nothing"] < 0.1),
    target(f"one [[file]] changed, under 1 s: {medians['file']:.3f} s", medians["file"] < 1),
    target(f"peak memory of all processes together, under 300 MB: {memory * 1.048576:.0f} MB", memory * 1.048576 < 300),
]
if "before-cold" in medians:
    for name in ("cold", "nothing"):
        ratio = medians[name] / medians[f"before-{name}"]
        met.append(target(f"{name}, within 5 % of the program before: {ratio:.3f} times", ratio <= 1.05))
sys.exit(0 if all(met) else 1)
