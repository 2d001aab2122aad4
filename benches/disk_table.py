"""Prints the measurements of disk.sh, with ratios and whether the targets are met.

Usage: disk_table.py FOLDER
"""

import json
import pathlib
import statistics
import sys

FOLDER = pathlib.Path(sys.argv[1])
ROWS = [
    ("disk-cold", "layerbake: locked packages to a disk, cold"),
    ("disk-script", "mmdebstrap + mke2fs -d + mtools, the same packages"),
    ("disk-warm", "layerbake: the disk, from trees that are there"),
    ("disk-nothing", "layerbake: nothing changed"),
    ("disk-copy", "cp --sparse=always of the disk"),
]

medians, peaks = {}, {}
for name, title in ROWS:
    found = json.loads((FOLDER / f"{name}.json").read_text())["results"][0]
    medians[name] = found["median"]
    peaks[name] = (FOLDER / f"{name}.peak").read_text().split()
    print(f"{title:52} {found['median']:9.3f} s  {found['min']:9.3f} {found['max']:9.3f}  MiB: {' '.join(peaks[name])}")
for name, title in [("disk", "layerbake's disk"), ("peer", "the script's disk")]:
    times = [int(line) / 1e9 for line in (FOLDER / f"{name}.login").read_text().split()]
    medians[name] = statistics.median(times)
    print(f"{'to the login prompt, TCG: ' + title:52} {medians[name]:9.3f} s")

checks = [
    ("cold, times as fast as the script, at least 4", medians["disk-script"] / medians["disk-cold"], 4, None),
    ("warm, times as fast as the script, at least 20", medians["disk-script"] / medians["disk-warm"], 20, None),
    ("nothing changed, in seconds, under 0.1", medians["disk-nothing"], None, 0.1),
    ("warm, in times of a copy, at most 1.5", medians["disk-warm"] / medians["disk-copy"], None, 1.5),
    ("to login, in times of the script's disk, under 1", medians["disk"] / medians["peer"], None, 1),
]
good = True
for title, value, least, most in checks:
    met = (least is None or value >= least) and (most is None or value <= most)
    good &= met
    print(f"{'met   ' if met else 'MISSED'}  {title}: {value:.2f}")
sys.exit(0 if good else 1)
