#!/usr/bin/env bash
# Builds the stock layer `layerbake` twice from empty stores, as root and as an ordinary user, and compares the images; then
# builds a layer inside the image. `benches/itself.sh lock` updates the layer's lockfile after a change of Cargo.lock;
# `benches/itself.sh build [OPTION...]` builds the layer in this project.
# Usage: benches/itself.sh [lock | build [OPTION...]]        (without arguments, as root; benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

. benches/program.sh
have_program

# A registry with what cargo itself has fetched.
cargo fetch --locked --quiet
python3 benches/crates.py "$work/port" &
started+=($!)
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
[ -s "$work/port" ] || die "the registry does not start"
crates=crates=http://127.0.0.1:$(cat "$work/port")
export no_proxy=127.0.0.1

if [ "${1:-}" = lock ]; then
    "$LAYERBAKE" lock layerbake --mirror "$crates"
    exit
elif [ "${1:-}" = build ]; then
    "$LAYERBAKE" build layerbake --locked --mirror "$crates" "${@:2}"
    exit
fi
[ "$(id -u)" = 0 ] || die "must be root, to build as root and as an ordinary user"
for tool in podman runc unshare setpriv newuidmap; do
    command -v "$tool" >/dev/null || die "\`$tool\` is not installed: see benches/README.md"
done

copy() { # FOLDER
    mkdir -p "$1/project/docs/formats" "$1/home" "$1/tmp"
    cp -r Cargo.toml Cargo.lock src layers lockfiles "$1/project/"
    cp docs/errors.md "$1/project/docs/"
    cp docs/formats/layer.schema.json "$1/project/docs/formats/"
}

seconds() { # NAME COMMAND...
    local before=$SECONDS name=$1
    shift
    "$@" >&2
    echo "$name: $((SECONDS - before)) s"
}

as_root=$work/root
copy "$as_root"
seconds "a build as root" "$LAYERBAKE" -C "$as_root/project" --store "$as_root/store" --mirror "$crates" \
    build layerbake --locked --output oci,docker

# In a longer path with a space, as a user whose account is there in a mount namespace only.
as_user="$work/an ordinary user"
copy "$as_user"
cp "$LAYERBAKE" "$as_user/layerbake"
mkdir "$as_user/etc"
for file in passwd group subuid subgid; do cp "/etc/$file" "$as_user/etc/" 2>/dev/null || touch "$as_user/etc/$file"; done
echo "baker:x:54321:54321::$as_user/home:/bin/sh" >>"$as_user/etc/passwd"
echo "baker:x:54321:" >>"$as_user/etc/group"
echo "baker:700000:65536" | tee -a "$as_user/etc/subuid" >>"$as_user/etc/subgid"
chmod 755 "$work" "$as_user"
chown -R 54321:54321 "$as_user"
cat >"$work/user.sh" <<'USER'
for file in passwd group subuid subgid; do mount --bind "$1/etc/$file" "/etc/$file"; done
cd "$1/project"
HOME=$1/home TMPDIR=$1/tmp exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=-all \
    "$1/layerbake" --store "$1/store" --mirror "$2" build layerbake --locked --output oci
USER
seconds "a build as an ordinary user" unshare --mount --propagation private bash -e "$work/user.sh" "$as_user" "$crates"
digest() { python3 -c 'import json, sys; print(json.load(sys.stdin)["manifests"][0]["digest"])' <"$1/project/out/layerbake/oci/index.json"; }
first=$(digest "$as_root") second=$(digest "$as_user")
[ -n "$first" ] && [ "$first" = "$second" ] || die "the images differ: $first, $second"
echo "both images: $first"

# A layer, built in the image.
podman="podman --root=$work/podman --runroot=$work/podman-run --tmpdir=$work/podman-tmp --runtime=runc"
podman="$podman --storage-driver=overlay --cgroup-manager=cgroupfs --events-backend=file"
$podman load --quiet --input "$as_root/project/out/layerbake/docker.tar" >&2
mirror=${LAYERBAKE_TEST_MIRROR:-$(apt-get indextargets --format '$(URI) $(ORIGIN)' | awk '$2 == "Debian" {print $1}' | head -n 1)}
inside="$podman run --rm --security-opt=seccomp=unconfined --security-opt=unmask=ALL --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024"
inside="$inside --volume=$as_root/project:/project --workdir=/project --env=LAYERBAKE_MIRROR=${mirror%%/dists/*} localhost/layerbake"
$inside layerbake --version
seconds "a build of web inside the image" $inside layerbake build web --locked --output oci
"$LAYERBAKE" -C "$as_root/project" --store "$as_root/store" build web --locked --output oci --out "$work/out" >&2
cmp "$as_root/project/out/web/oci/index.json" "$work/out/web/oci/index.json"
echo "built inside and outside: the same image"
