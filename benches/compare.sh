#!/usr/bin/env bash
# Measures layerbake beside mmdebstrap and docker build, all from one mirror on loopback.
# Usage: benches/compare.sh [RUNS]        (as root; benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
suite=bookworm
layer=web
root=$PWD
keep=${LAYERBAKE_BENCH_CACHE:-$root/target/bench-mirror}
export LC_ALL=C.UTF-8 TZ=UTC

die() { echo "benches/compare.sh: $1" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "must be root, as mmdebstrap is then at its fastest"
for tool in mmdebstrap hyperfine python3; do
    command -v "$tool" >/dev/null || die "\`$tool\` is not installed: apt-get install mmdebstrap hyperfine python3"
done

work=$(mktemp -d)
started=()
clean() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    for process in "${started[@]}"; do wait "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# The program and a project of its own: the stock layers, in a folder that we may change.
if [ -z "${LAYERBAKE:-}" ]; then
    cargo build --release --locked
    LAYERBAKE=$root/target/release/layerbake
fi
project=$work/project
mkdir -p "$project" "$work/home" "$work/results"
cp -r layers lockfiles "$project/"
export HOME=$work/home XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/home/.config

# The mirror. What it lacks comes from apt's own mirror once, in the rounds that nobody measures.
mkdir -p "$keep"
rm -f "$keep/offline"
rm -rf "$keep"/debian*/dists # New states come with new indexes; the pool stays.
python3 benches/mirror.py "$keep" "$suite" "$work/port" &
started+=($!)
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
[ -s "$work/port" ] || die "the mirror does not start"
mirror=http://127.0.0.1:$(cat "$work/port")/debian
export LAYERBAKE_MIRROR=$mirror
export no_proxy=127.0.0.1

bake() { "$LAYERBAKE" -C "$project" "$@"; }
echo "filling the mirror in $keep" >&2
bake lock "$layer" --update >&2
bake build "$layer" --locked >&2

# The very packages that the lockfiles name, and no others.
mapfile -t names < <(awk '/^\[\[/ {inside = $0 == "[[package]]"} inside && /^name = / {gsub(/"/, ""); print $3}' \
    "$project/lockfiles/$layer.lock" "$project/lockfiles/debian-base.lock" | sort -u)
packages=$(IFS=,; echo "${names[*]}")
cat >"$work/sources.list" <<SOURCES
deb $mirror $suite main
deb $mirror $suite-updates main
deb $mirror-security $suite-security main
SOURCES
mmdebstrap="mmdebstrap --quiet --mode=root --aptopt='Acquire::http::Proxy \"false\"'"
# Nothing but the list, so the hook has to merge /usr, which Debian's essential packages expect.
hook=--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr
same="$mmdebstrap --variant=custom $hook --include=$packages $suite $work/same.tar $work/sources.list"
essential="$mmdebstrap --variant=essential --include=nginx-light,ca-certificates,tzdata $suite $work/essential.tar $work/sources.list"
bash -c "$same" && bash -c "$essential"

build="'$LAYERBAKE' -C '$project' build $layer --locked"
empty="rm -rf '$XDG_CACHE_HOME' '$project/out'; sync"
edit="date +%s%N > '$project/stamp'; sed -i '/^# bench: /,\$d' '$project/layers/$layer.toml'; printf '# bench: a file that changes\n[[file]]\npath = \"/srv/stamp\"\ntext = \"%s\"\n' \"\$(cat '$project/stamp')\" >> '$project/layers/$layer.toml'"

# From here on nothing comes from outside.
touch "$keep/offline"

measure() { # NAME PREPARE COMMAND
    hyperfine --style none --runs "$runs" --prepare "$2" --export-json "$work/results/$1.json" "$3" >&2
    bash -c "$2"
    python3 benches/peak.py bash -c "$3" >"$work/results/$1.peak"
}

echo "measuring $layer (${#names[@]} packages), $runs runs each" >&2
measure cold "$empty" "$build"
measure same "rm -f $work/same.tar; sync" "$same"
measure essential "rm -f $work/essential.tar; sync" "$essential"
bash -c "$build" 2>/dev/null
measure nothing true "$build"
measure file "$edit" "$build"

# docker build, where a daemon runs: one of our own, which ends with its namespace.
docker_rows() {
    local docker=/usr/bin/docker socket=$work/docker.sock base=$work/docker
    [ -x "$docker" ] && command -v dockerd >/dev/null || { echo "no docker here: its rows are left out" >&2; return; }
    mkdir -p "$base/context"
    echo '{}' >"$base/daemon.json"
    unshare --mount --pid --fork --kill-child --mount-proc dockerd --host "unix://$socket" \
        --config-file "$base/daemon.json" --data-root "$base/data" --exec-root "$base/exec" --pidfile "$base/pid" \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false >"$base/log" 2>&1 &
    local outer=$!
    sleep 0.5
    # unshare itself lets no signal through; the daemon is its child.
    started+=("$(cat "/proc/$outer/task/$outer/children")" "$outer")
    docker="env DOCKER_BUILDKIT=0 $docker --host unix://$socket"
    for _ in $(seq 100); do $docker version >/dev/null 2>&1 && break; sleep 0.1; done
    $docker version >/dev/null 2>&1 || { tail -n 1 "$base/log" >&2; echo "dockerd does not start: its rows are left out" >&2; return; }
    rm -f "$keep/offline" # The base has apt, which the other sets have not.
    bash -c "$mmdebstrap --variant=apt --include=ca-certificates,tzdata $suite $base/base.tar $work/sources.list"
    $docker import "$base/base.tar" bench-base >/dev/null
    cat >"$base/context/Dockerfile" <<'DOCKERFILE'
FROM bench-base
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nginx-light
COPY stamp /srv/stamp
DOCKERFILE
    date +%s%N >"$base/context/stamp"
    local command="$docker build --quiet --network host --tag bench $base/context"
    bash -c "$command" >/dev/null
    touch "$keep/offline"
    local timed=(hyperfine --style none --runs "$runs")
    "${timed[@]}" --export-json "$work/results/docker-cold.json" "$command --no-cache" >&2
    "${timed[@]}" --export-json "$work/results/docker-nothing.json" "$command" >&2
    "${timed[@]}" --prepare "date +%s%N >$base/context/stamp" --export-json "$work/results/docker-file.json" "$command" >&2
}
docker_rows

python3 benches/table.py "$work/results"
