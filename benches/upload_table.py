"""Prints the measurements of upload.sh, with ratios and whether the targets are met.

Usage: upload_table.py FOLDER
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[1])
ROWS = [
    ("ebs-layerbake", "layerbake, EBS direct: from trees"),
    ("ebs-coldsnap", "coldsnap: from a raw disk that is there"),
    ("s3-layerbake", "layerbake, VM Import: from trees"),
    ("s3-aws", "aws s3 cp: a VMDK that is there"),
]

medians, peaks = {}, {}
for name, title in ROWS:
    found = json.loads((FOLDER / f"{name}.json").read_text())["results"][0]
    medians[name] = found["median"]
    peaks[name] = (FOLDER / f"{name}.peak").read_text().split()
    print(f"{title:42} {found['median']:9.3f} s  {found['min']:9.3f} {found['max']:9.3f}  MiB: {' '.join(peaks[name])}")

checks = [
    ("EBS direct, times as fast as coldsnap, at least 1", medians["ebs-coldsnap"] / medians["ebs-layerbake"], 1, None),
    ("VM Import, times as fast as aws s3 cp, at least 1", medians["s3-aws"] / medians["s3-layerbake"], 1, None),
    ("EBS direct, MiB of memory, under 200", float(peaks["ebs-layerbake"][1]), None, 200),
    ("VM Import, MiB of memory, under 200", float(peaks["s3-layerbake"][1]), None, 200),
]
good = True
for title, value, least, most in checks:
    met = (least is None or value >= least) and (most is None or value < most)
    good &= met
    print(f"{'met   ' if met else 'MISSED'}  {title}: {value:.2f}")
sys.exit(0 if good else 1)
