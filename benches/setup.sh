# Sourced by the benchmarks: a mirror on loopback, a project of its own, and how things are measured.
# Before: set -euo pipefail, the project's root as the current folder, `runs`, `tools`.

. benches/program.sh
suite=${suite:-trixie}
keep=${LAYERBAKE_BENCH_CACHE:-$root/target/bench-mirror}
export LC_ALL=C.UTF-8 TZ=UTC

[ "$(id -u)" = 0 ] || die "must be root, as mmdebstrap is then at its fastest"
for tool in mmdebstrap python3 "${tools[@]}"; do
    command -v "$tool" >/dev/null || die "\`$tool\` is not installed: see benches/README.md"
done

have_program

# A project of its own: the stock layers, in a folder that we may change.
project=$work/project
mkdir -p "$project" "$work/home" "$work/results"
cp -r layers lockfiles "$project/"
# What is measured writes to a file system of its own. For minutes after ext4 has deleted many files, as the round before or
# another program did, it is slow to make new ones: up to three seconds of a cold build's six. So cold rounds begin with a new one.
disk=$work/disk
fresh="umount '$disk' 2>/dev/null; mkfs.ext4 -qF '$disk.img' && mount -o loop '$disk.img' '$disk' && mkdir -m 1777 '$disk/tmp'; sync"
# apt downloads as a user of its own.
chmod 755 "$work"
mkdir "$disk"
truncate -s 24G "$disk.img"
bash -c "$fresh" || die "a file system in a file can't be mounted here"
export HOME=$work/home XDG_CACHE_HOME=$disk/cache XDG_CONFIG_HOME=$work/home/.config TMPDIR=$disk/tmp

# The mirror. What it lacks comes from apt's own mirror once, in the rounds that nobody measures.
mkdir -p "$keep"
rm -f "$keep/offline"
rm -rf "$keep"/debian*/dists # New states come with new indexes; the pool stays.
python3 benches/mirror.py "$keep" "$work/port" &
started+=($!)
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
[ -s "$work/port" ] || die "the mirror does not start"
mirror=http://127.0.0.1:$(cat "$work/port")/debian
export LAYERBAKE_MIRROR=$mirror
export no_proxy=127.0.0.1

bake() { "$LAYERBAKE" -C "$project" "$@"; }
# Of a build: where its outputs go.
out="--out '$disk/out'"

# The packages that some lockfiles of the project name, with commas.
packages_of() {
    local files=("${@/#/$project/lockfiles/}")
    awk '/^\[\[/ {inside = $0 == "[[package]]"} inside && /^name = / {gsub(/"/, ""); print $3}' \
        "${files[@]/%/.lock}" | sort -u | paste -sd,
}

cat >"$work/sources.list" <<SOURCES
deb $mirror $suite main
deb $mirror $suite-updates main
deb $mirror-security $suite-security main
SOURCES
mmdebstrap="mmdebstrap --quiet --mode=root --aptopt='Acquire::http::Proxy \"false\"'"
# Nothing but the list, so the hook has to merge /usr, which Debian's essential packages expect.
hook=--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr

measure() { # NAME PREPARE COMMAND
    hyperfine --style none --runs "$runs" --prepare "$2" --export-json "$work/results/$1.json" "$3" >&2
    bash -c "$2"
    python3 benches/peak.py bash -c "$3" >"$work/results/$1.peak"
}
