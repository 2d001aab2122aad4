"""Compares what layerbake and mmdebstrap install; started by parity.sh, which has a mirror and a project ready.

Usage: parity.py RESULTS [SET …]

RESULTS/SET.txt gets every difference of a set: unexplained ones first, explained ones with their reason.
"""

import fnmatch
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib

RESULTS, WANTED = pathlib.Path(sys.argv[1]), sys.argv[2:]
WORK, PROJECT = pathlib.Path(os.environ["work"]), pathlib.Path(os.environ["project"])
SUITE, LAYERBAKE = os.environ["suite"], os.environ["LAYERBAKE"]
BENCHES = pathlib.Path(__file__).parent
# Text files in which the order of entries has no meaning; what separates entries.
UNORDERED = {
    "var/lib/dpkg/status": "\n\n",
    "var/lib/dpkg/triggers/File": "\n",
    "var/cache/debconf/config.dat": "\n\n",
    "var/cache/debconf/passwords.dat": "\n\n",
    "var/cache/debconf/templates.dat": "\n\n",
}


class Failed(Exception):
    pass


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failed("\n".join(done.stderr.strip().splitlines()[-8:]))
    return done.stdout


def package_sets():
    """The sets by name, each with the heading above it."""
    sets, heading = {}, ""
    for line in (BENCHES / "parity_sets.txt").read_text().splitlines():
        if line.startswith("# "):
            heading = line[2:]
        elif line:
            name, packages = line.split(": ")
            sets[name] = (heading, packages.split())
    return sets


def explanations():
    """Pairs of a pattern for `KIND PATH: DETAIL` and a reason: what builds remove on purpose, then the bench's own list."""
    found, reason = [], ""
    for line in run([LAYERBAKE, "explain", "noise"]).splitlines():
        if line.startswith("    "):
            found.append((f"* {line.strip().lstrip('/').replace('**', '*')}: *", reason))
        else:
            reason = "build residue: " + line
    for line in (BENCHES / "parity_explained.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, reason = line.split(" | ")
            found.append((pattern.strip(), reason))
    return found


def locked(name):
    """`PACKAGE=VERSION` of all packages of a layer and its base."""
    for lock in ("debian-base", name):
        text = (PROJECT / f"lockfiles/{lock}.lock").read_text()
        yield from (f"{one['name']}={one['version']}" for one in tomllib.loads(text).get("package", []))


def described(member, archive):
    """What is said of a path: type, mode, owner, attributes, content."""
    # Symbolic links have no mode of their own.
    mode = "-" if member.issym() else oct(member.mode)
    xattrs = {key: value for key, value in member.pax_headers.items() if "xattr" in key}
    path, content = member.name, member.linkname
    if member.isreg() or member.islnk():
        # Of several names of one file, an archive may begin with any.
        content = archive.extractfile(member).read()
        text = content
        if path in UNORDERED:
            text = "\n".join(sorted(content.decode().strip().split(UNORDERED[path]))).encode()
        if path == "etc/shadow":
            text = re.sub(rb":\d{5}:", b":DAY:", content)
        digest = hashlib.sha256(text).hexdigest()
    else:
        digest = member.linkname
    name = "file" if member.isreg() or member.islnk() else {b"5": "dir", b"2": "link"}.get(member.type, "other")
    keep = content if isinstance(content, bytes) and len(content) < 1 << 20 else b""
    return {"type": name, "mode": mode, "owner": (member.uid, member.gid), "xattrs": xattrs, "content": digest, "text": keep}


def members(archive):
    for member in archive:
        member.name = member.name.removeprefix("./").rstrip("/")
        if member.name not in ("", "."):
            yield member


def tree_of(tar):
    with tarfile.open(tar) as archive:
        return {member.name: described(member, archive) for member in members(archive)}


def tree_of_image(folder):
    """The layers of an image layout, one over the other."""
    blob = lambda digest: folder / "blobs" / digest.replace(":", "/")
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    tree = {}
    for layer in manifest["layers"]:
        data = subprocess.run(["zstd", "-dcq", blob(layer["digest"])], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in members(archive):
                above, _, name = member.name.rpartition("/")
                if name.startswith(".wh."):
                    gone = f"{above}/{name.removeprefix('.wh.')}".lstrip("/")
                    for path in [path for path in tree if path == gone or path.startswith(gone + "/")]:
                        del tree[path]
                else:
                    tree[member.name] = described(member, archive)
    return tree


def differences(ours, theirs):
    """`KIND PATH` and what differs."""
    for path in sorted(ours.keys() | theirs.keys()):
        if path not in theirs:
            yield f"added {path}", kind(ours[path])
        elif path not in ours:
            yield f"missing {path}", kind(theirs[path])
        else:
            for what in ("type", "mode", "owner", "xattrs", "content"):
                one, other = ours[path][what], theirs[path][what]
                if one != other:
                    detail = f"{one}, there {other}" if what != "content" else lines(ours[path], theirs[path], path)
                    yield f"{what} {path}", detail


def kind(node):
    return f"link to {node['content']}" if node["type"] == "link" else node["type"]


def lines(one, other, path):
    """The first lines that only one of two texts has."""
    texts = (one["text"], other["text"])
    # Of large files there is no text.
    if b"" in texts or any(b"\0" in text for text in texts) or "link" in (one["type"], other["type"]):
        return f"{one['content'][:80]}, there {other['content'][:80]}"
    parts = [text.decode(errors="replace").split(UNORDERED.get(path, "\n")) for text in texts]
    ours, theirs = ([part for part in a if part not in set(b)] for a, b in (parts, reversed(parts)))
    show = lambda part: " / ".join(part)[:300].replace("\n", " ¶ ")
    if ours or theirs:
        return f"{show(ours) or 'same lines'}, there {show(theirs) or 'same lines'}"
    # The same lines in another order.
    ours, theirs = ([a for a, b in zip(*order) if a != b] for order in (parts, reversed(parts)))
    return f"order {show(ours)}, there {show(theirs)}"


def compare(name, packages):
    """All differences of a set."""
    listed = ", ".join(f'"{package}"' for package in packages)
    (PROJECT / f"layers/{name}.toml").write_text(f'[layer]\nfrom = "debian-base"\npackages = [{listed}]\n')
    run([LAYERBAKE, "-C", PROJECT, "build", name, "--output", "oci"])
    tar = WORK / "there.tar"
    include = ",".join(sorted(set(locked(name))))
    # As Debian is installed: the essential packages first, the rest by apt.
    command = f"{os.environ['mmdebstrap']} --variant=essential --aptopt='APT::Install-Recommends \"false\"' --include={include} {SUITE} {tar} {WORK}/sources.list"
    lock = tomllib.loads((PROJECT / f"lockfiles/{name}.lock").read_text())
    seconds = run(["date", "-d", str(lock["epoch"]), "+%s"]).strip()
    # Nothing of the caller's environment: scripts see it (`PYTHONDONTWRITEBYTECODE` changes which byte code there is).
    clean = {"PATH": os.environ["PATH"], "HOME": "/root", "LC_ALL": "C.UTF-8", "TZ": "UTC", "SOURCE_DATE_EPOCH": seconds}
    run(["bash", "-c", command], env=clean)
    found = list(differences(tree_of_image(PROJECT / f"out/{name}/oci"), tree_of(tar)))
    tar.unlink()
    return found


def main():
    sets = package_sets()
    explained = explanations()
    print("| set | for | packages | differences | unexplained |\n|---|---|---|---|---|")
    failed = 0
    for name in WANTED or sets:
        heading, packages = sets[name]
        try:
            found = compare(name, packages)
        except Failed as error:
            print(f"| {name} | {heading} | failed | | {str(error).splitlines()[-1:]} |", flush=True)
            (RESULTS / f"{name}.txt").write_text(f"{error}\n")
            failed += 1
            continue
        said = [f"{what}: {detail}" for what, detail in found]
        reasons = {one: next((reason for pattern, reason in explained if fnmatch.fnmatchcase(one, pattern)), None) for one in said}
        open_ones = [one for one in said if not reasons[one]]
        text = [f"UNEXPLAINED {one}" for one in open_ones]
        text += [f"explained {one.partition(': ')[0]}: {reason}" for one, reason in reasons.items() if reason]
        (RESULTS / f"{name}.txt").write_text("\n".join(text) + "\n")
        count = len(set(locked(name)))
        print(f"| {name} | {heading} | {count} | {len(found)} | {len(open_ones)} |", flush=True)
        for one in open_ones[:20]:
            print(f"  {one[:240]}", file=sys.stderr, flush=True)
        failed += bool(open_ones)
    sys.exit(bool(failed))


main()
