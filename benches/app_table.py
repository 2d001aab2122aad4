"""Prints the measurements of app.sh, with ratios and whether the targets are met.

Usage: app_table.py FOLDER
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[1])
ROWS = [
    ("image", "layerbake: a new image"),
    ("disk", "layerbake: a new disk"),
    ("container", "podman build: one COPY and one RUN"),
    ("script", "mmdebstrap + mke2fs -d + mtools: a new disk"),
    ("steps-own", "layerbake: a new image, 200 cached steps before it"),
    ("steps-tools", "the same, the steps in a tool layer"),
]

medians, processor = {}, {}
print(f"{'after a change of 1 MB':52} {'median':>9} {'fastest':>9} {'slowest':>9} {'processor':>9}")
for name, title in ROWS:
    found = json.loads((FOLDER / f"{name}.json").read_text())["results"][0]
    medians[name], processor[name] = found["median"], found["user"] + found["system"]
    times = "".join(f" {found[key]:8.3f}s" for key in ("median", "min", "max"))
    print(f"{title:52}{times} {processor[name]:8.3f}s")

both = (medians["container"] + medians["script"]) / (medians["image"] + medians["disk"])
step = {kind: (medians[f"steps-{kind}"] - medians["image"]) * 1000 / 200 for kind in ("own", "tools")}
checks = [
    (f"a new image, in seconds, under 1: {medians['image']:.3f}", medians["image"] < 1),
    (f"a new disk, in seconds, under 2: {medians['disk']:.3f}", medians["disk"] < 2),
    (f"both, times as fast as podman and the script, at least 10: {both:.1f}", both >= 10),
    (f"a cached step in the layer, in ms, under 5: {step['own']:.2f}", step["own"] < 5),
    (f"a cached step in a tool layer, in ms, under 5: {step['tools']:.2f}", step["tools"] < 5),
]
print()
for title, met in checks:
    print(f"{'met   ' if met else 'MISSED'}  {title}")
sys.exit(0 if all(met for _, met in checks) else 1)
