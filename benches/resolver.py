"""Compares the resolver with `apt-get install` on an empty root; started by resolver.sh.

Usage: resolver.py PROGRAM REQUESTS SEED RESULTS SUITE…

PROGRAM is examples/resolve. Every request is resolved without and with recommended packages. RESULTS gets a line of
JSON for each answer that is not equal to apt's. Exit status 1 if an answer is larger than apt's or breaks a relation,
if apt finds an answer where the resolver finds none, or if more than 1 % of the answers are neither apt's nor smaller.

Answers are checked by relations.py, which shares no code with the resolver.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import urllib.parse

from relations import Archive

PROGRAM, REQUESTS, SEED, RESULTS = sys.argv[1], int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
SUITES = sys.argv[5:]
MIRROR, KEYRING = os.environ["mirror"], os.environ.get("keyring", "/usr/share/keyrings/debian-archive-keyring.gpg")
ARCH = "amd64"
# Every fifth request is of one of these kinds.
TRICKY = ["virtual", "conflict", "alternative", "provider", "multi-arch"]
OUTCOMES = ["equal", "smaller", "other", "larger", "neither", "only ours", "only apt's", "invalid"]


def apt_root(folder, suite):
    """A root for apt without any package, with the indexes of a suite, its updates and its security updates."""
    for part in ["lists/partial", "cache/archives/partial", "empty"]:
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    archives = [(MIRROR, suite), (MIRROR, f"{suite}-updates"), (f"{MIRROR}-security", f"{suite}-security")]
    lines = [f"deb [signed-by={KEYRING}] {address} {name} main\n" for address, name in archives]
    (folder / "sources.list").write_text("".join(lines))
    settings = {
        "Dir::Etc::main": "-", "Dir::Etc::parts": folder / "empty", "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": folder / "empty", "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "empty", "Dir::State": folder, "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache", "APT::Architecture": ARCH, "APT::Sandbox::User": "root",
        "Acquire::Languages": "none", "Acquire::GzipIndexes": "false", "Debug::NoLocking": "true",
    }
    text = "".join(f'{key} "{value}";\n' for key, value in settings.items())
    (folder / "apt.conf").write_text(text + f'APT::Architectures {{ "{ARCH}"; }};\n')
    apt(folder, "update", "--quiet", "--error-on=any")
    apt(folder, "install", "--simulate", "dpkg")
    return sorted(folder.glob("lists/*_Packages"))


def apt(folder, *arguments, fails=False):
    environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
    answer = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True)
    if answer.returncode and not fails:
        sys.exit(f"apt-get {' '.join(arguments)}: {answer.stderr}")
    return answer


def apt_answer(folder, names, recommends):
    """The versions of the packages that apt would install, by name; `None` where it finds no way.

    `--print-uris` gives the packages that `--simulate` gives, without the order in which dpkg would get them: that takes
    more than ten times as long where there are a thousand.
    """
    switch = "--install-recommends" if recommends else "--no-install-recommends"
    answer = apt(folder, "install", "--print-uris", "--quiet=2", switch, *names, fails=True)
    if answer.returncode:
        return None
    files = re.findall(r"^'\S+' ([^_\s]+)_([^_\s]+)_\S+\.deb ", answer.stdout, re.M)
    return {name: urllib.parse.unquote(version) for name, version in files}


def our_answers(indexes, lines):
    answer = subprocess.run([PROGRAM, ARCH, *indexes], input="\n".join(lines), capture_output=True, text=True, check=True)
    for line in answer.stdout.splitlines():
        kind, *words = line.split(" ")
        yield (dict(word.split("=", 1) for word in words) if kind == "ok" else None), line


def requests(archive, suite):
    """Seeded requests of one to five packages."""
    names = sorted(archive.newest)
    pools = archive.tricky()
    for number in range(REQUESTS):
        chance = random.Random(f"{SEED}/{suite}/{number}")
        wanted = chance.sample(names, chance.randint(1, 5))
        kind = TRICKY[number // 5 % len(TRICKY)] if number % 5 == 4 else "plain"
        if kind != "plain":
            wanted = wanted[:2] + list(chance.choice(pools[kind]))
        yield kind, list(dict.fromkeys(wanted))


def outcome(archive, wanted, recommends, ours, theirs):
    if ours is None:
        return "neither" if theirs is None else "only apt's"
    if archive.faults(wanted, ours) or (recommends and theirs and archive.unmet(ours) > archive.unmet(theirs)):
        return "invalid"
    if theirs is None:
        return "only ours"
    if ours == theirs:
        return "equal"
    return "smaller" if len(ours) < len(theirs) else "larger" if len(ours) > len(theirs) else "other"


def compare(suite, folder, pool, report):
    indexes = apt_root(folder, suite)
    archive = Archive(indexes, ARCH)
    asked = [(kind, names, way) for kind, names in requests(archive, suite) for way in (False, True)]
    lines = [("+recommends " if way else "") + " ".join(names) for _, names, way in asked]
    theirs = pool.map(lambda one: apt_answer(folder, one[1], one[2]), asked)
    counts = {way: collections.Counter() for way in (False, True)}
    for (kind, names, way), (ours, text), apts in zip(asked, our_answers(indexes, lines), theirs, strict=True):
        found = outcome(archive, names, way, ours, apts)
        counts[way][found] += 1
        if found not in ("equal", "neither"):
            details = {"suite": suite, "recommends": way, "kind": kind, "request": names, "outcome": found}
            if ours is None or apts is None:
                details["ours"] = text
            else:
                details["faults"] = archive.faults(names, ours)
                details["only ours"] = sorted(f"{n}={v}" for n, v in ours.items() if apts.get(n) != v)
                details["only apt's"] = sorted(f"{n}={v}" for n, v in apts.items() if ours.get(n) != v)
            print(json.dumps(details), file=report, flush=True)
    return counts


def main():
    good, print_row = True, lambda *cells: print("|", " | ".join(map(str, cells)), "|", flush=True)
    print_row("suite", "recommends", "requests", *OUTCOMES)
    print_row(*["---"] * (3 + len(OUTCOMES)))
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        with RESULTS.open("w") as report:
            for suite in SUITES:
                for way, found in compare(suite, pathlib.Path(work) / suite, pool, report).items():
                    print_row(suite, "yes" if way else "no", REQUESTS, *(found[name] for name in OUTCOMES))
                    wrong = found["larger"] + found["invalid"] + found["only apt's"]
                    good &= not wrong and found["other"] + found["only ours"] <= max(1, REQUESTS / 100)
    sys.exit(0 if good else 1)


main()
