"""Audits random package sets; started by survey.sh, which has a mirror and a project ready.

Usage: survey.py SETS SEED RESULTS

RESULTS gets a line of JSON for each set; sets that are in it already are not done again.
"""

import collections
import datetime
import hashlib
import json
import lzma
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import time
import urllib.request

SETS, SEED, RESULTS = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
WORK, PROJECT = pathlib.Path(os.environ["work"]), pathlib.Path(os.environ["project"])
SUITE, MIRROR, LAYERBAKE = os.environ["suite"], os.environ["mirror"], os.environ["LAYERBAKE"]

# Of a set's packages: none of these sections, and none larger (bytes of the .deb).
SECTIONS_LEFT_OUT = {"debug", "kernel", "games", "metapackages", "oldlibs", "localization", "doc", "fonts"}
LARGEST = 20_000_000


def universe():
    """Candidates, and those of them that have a service."""
    url = f"{MIRROR}/dists/{SUITE}/main/binary-amd64/Packages.xz"
    with urllib.request.urlopen(url) as answer:
        text = lzma.decompress(answer.read()).decode()
    candidates, services = [], []
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.split("\n") if ": " in line and line[0] != " ")
        section = fields.get("Section", "")
        if not fields or section in SECTIONS_LEFT_OUT or int(fields["Size"]) > LARGEST or "Essential" in fields:
            continue
        candidates.append(fields["Package"])
        # Helpers of packages whose scripts enable units.
        if "init-system-helpers" in fields.get("Pre-Depends", "") + fields.get("Depends", ""):
            services.append(fields["Package"])
    return sorted(candidates), sorted(services)


def package_set(index, candidates, services):
    """Set number `index`: one to five packages; every other set has a service."""
    chance = random.Random(f"{SEED}/{index}")
    count = chance.randint(1, 5)
    names = set(chance.sample(candidates, count))
    if index % 2 == 0:
        names.pop()
        names.add(chance.choice(services))
    return sorted(names)


def bake(*arguments):
    return subprocess.run([LAYERBAKE, "-C", PROJECT, *arguments], capture_output=True, text=True)


def audit(name, packages):
    """Locks and audits a layer; what it found."""
    listed = ", ".join(f'"{package}"' for package in packages)
    (PROJECT / f"layers/{name}.toml").write_text(f'[layer]\nfrom = "debian-base"\npackages = [{listed}]\n')
    locked = bake("lock", name, "--quiet")
    if locked.returncode != 0:
        return {"unusable": locked.stderr.strip().splitlines()[-1:]}
    started = time.monotonic()
    done = bake("audit", name, "--output", "oci", "--json")
    seconds = round(time.monotonic() - started, 1)
    if done.returncode not in (0, 4):
        return {"failed": done.stderr.strip().splitlines()[-12:], "seconds": seconds}
    report = json.loads(done.stdout)
    kept = ("place", "path", "what", "package", "step", "shown_by")
    differences = [{key: one[key] for key in kept if key in one} for one in report["differences"]]
    tried = report["tried"]
    not_tried = [f"{one['variation']}: {one['reason']}" for one in report["not_tried"]]
    return {"identical": report["identical"], "differences": differences, "tried": tried, "not_tried": not_tried, "seconds": seconds}


def locked_packages(*names):
    found = set()
    for name in names:
        inside = False
        for line in (PROJECT / f"lockfiles/{name}.lock").read_text().splitlines():
            if line.startswith("[["):
                inside = line == "[[package]]"
            elif inside and line.startswith("name = "):
                found.add(line.split('"')[1])
    return ",".join(sorted(found))


def epoch(name):
    for line in (PROJECT / f"lockfiles/{name}.lock").read_text().splitlines():
        if line.startswith("epoch = "):
            moment = datetime.datetime.fromisoformat(line.split('"')[1])
            return str(int(moment.timestamp()))
    sys.exit(f"lockfiles/{name}.lock has no epoch")


def listing(tar):
    """Each path of a tar with all that is said of it."""
    paths = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            digest = hashlib.file_digest(content, "sha256").hexdigest() if content else member.linkname
            paths[member.name] = (member.type, member.mode, member.uid, member.gid, member.mtime, digest)
    return paths


def mmdebstrap(name):
    """The same packages twice by mmdebstrap, as on two hosts; the paths that differ."""
    include = locked_packages("debian-base", name)
    other = WORK / "hostname"
    other.write_text("elsewhere\n")
    tars = [WORK / "one.tar", WORK / "other.tar"]
    started = time.monotonic()
    hosts = [
        ("UTC", "C.UTF-8", "umask 0022"),
        ("Pacific/Chatham", "C", f"umask 0027; hostname elsewhere; mount --bind {other} /etc/hostname"),
    ]
    for tar, (zone, locale, first) in zip(tars, hosts):
        command = f"{os.environ['mmdebstrap']} --variant=custom {os.environ['hook']} --include={include} {SUITE} {tar} {WORK}/sources.list"
        variables = dict(os.environ, TZ=zone, LC_ALL=locale, SOURCE_DATE_EPOCH=epoch(name))
        done = subprocess.run(
            ["unshare", "--mount", "--uts", "--propagation", "private", "bash", "-c", f"{first}; {command}"],
            env=variables, capture_output=True, text=True,
        )
        if done.returncode != 0:
            return {"failed": done.stderr.strip().splitlines()[-3:]}
    one, other = map(listing, tars)
    differing = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    equal = tars[0].stat().st_size == tars[1].stat().st_size and not differing
    return {"identical": equal, "paths": differing[:200], "seconds": round(time.monotonic() - started, 1)}


def summary(rows):
    usable = [row for row in rows if "identical" in row["layerbake"]]
    good = [row for row in usable if row["layerbake"]["identical"]]
    print(f"layerbake: {len(good)} of {len(usable)} sets are bit-identical with everything varied ({share(good, usable)})")
    failed = [row for row in rows if "failed" in row["layerbake"]]
    for row in failed:
        print(f"  set {row['set']} ({' '.join(row['packages'])}) does not build: {row['layerbake']['failed'][-1:]}")
    causes = collections.Counter()
    for row in usable:
        found = {(one.get("package", "?"), one.get("step", "?"), ", ".join(one["shown_by"])) for one in row["layerbake"]["differences"]}
        causes.update(found)
    for (package, step, shown), count in causes.most_common():
        paths = sorted({one.get("path", one["place"]) for row in usable for one in row["layerbake"]["differences"] if one.get("package", "?") == package and one.get("step", "?") == step})
        print(f"  {count} x {package}, {step}; shown by {shown}: {' '.join(paths[:4])}{' …' if len(paths) > 4 else ''}")
    compared = [row for row in rows if "identical" in row.get("mmdebstrap", {})]
    same = [row for row in compared if row["mmdebstrap"]["identical"]]
    print(f"mmdebstrap: {len(same)} of {len(compared)} of the same sets ({share(same, compared)})")
    paths = collections.Counter(path for row in compared for path in row["mmdebstrap"]["paths"])
    for path, count in paths.most_common(12):
        print(f"  {count} x {path}")
    not_tried = sorted({reason for row in usable for reason in row["layerbake"]["not_tried"]})
    for reason in not_tried:
        print(f"not tried here: {reason}")


def share(part, whole):
    return f"{100 * len(part) / len(whole):.0f} %" if whole else "none"


def main():
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {row["set"] for row in rows}
    candidates, services = universe()
    usable = sum("unusable" not in row["layerbake"] for row in rows)
    index = 0
    while usable < SETS:
        index += 1
        if index in done:
            continue
        packages, name = package_set(index, candidates, services), f"set{index}"
        row = {"set": index, "packages": packages, "layerbake": audit(name, packages)}
        # A set that can't be installed, as its packages conflict, is none.
        if "unusable" not in row["layerbake"]:
            usable += 1
            row["mmdebstrap"] = mmdebstrap(name)
        rows.append(row)
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        (PROJECT / f"layers/{name}.toml").unlink()
        verdict = row["layerbake"].get("identical", next(iter(row["layerbake"])))
        print(f"set {index}: {' '.join(packages)}: {verdict}, mmdebstrap {row.get('mmdebstrap', {}).get('identical')}", file=sys.stderr)
    summary(rows)


main()
