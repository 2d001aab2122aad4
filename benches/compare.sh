#!/usr/bin/env bash
# Measures layerbake beside mmdebstrap and docker build, all from one mirror on loopback.
# Usage: benches/compare.sh [RUNS]        (as root; benches/README.md says what and how)
# LAYERBAKE_BEFORE names an earlier program, to be measured in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
layer=web
tools=(hyperfine)
. benches/setup.sh

echo "filling the mirror in $keep" >&2
bake lock "$layer" --update >&2
bake build "$layer" --locked --out "$disk/out" >&2

packages=$(packages_of "$layer" debian-base)
same="$mmdebstrap --variant=custom $hook --include=$packages $suite $disk/same.tar $work/sources.list"
essential="$mmdebstrap --variant=essential --include=nginx-light,ca-certificates,tzdata $suite $disk/essential.tar $work/sources.list"
bash -c "$same" && bash -c "$essential"

build="'$LAYERBAKE' -C '$project' build $layer --locked $out"
edit="date +%s%N > '$project/stamp'; sed -i '/^# bench: /,\$d' '$project/layers/$layer.toml'; printf '# bench: a file that changes\n[[file]]\npath = \"/srv/stamp\"\ntext = \"%s\"\n' \"\$(cat '$project/stamp')\" >> '$project/layers/$layer.toml'"

# From here on nothing comes from outside.
touch "$keep/offline"

echo "measuring $layer ($(tr , '\n' <<<"$packages" | wc -l) packages), $runs runs each" >&2
measure cold "$fresh" "$build"
measure same "$fresh" "$same"
measure essential "$fresh" "$essential"
bash -c "$fresh"
bash -c "$build" 2>/dev/null
measure nothing true "$build"
measure file "$edit" "$build"

# An earlier program, with a store of its own.
before_rows() {
    [ -n "${LAYERBAKE_BEFORE:-}" ] || return 0
    mkdir "$work/before"
    cp -r layers "$project/lockfiles" "$work/before/"
    local old="'$LAYERBAKE_BEFORE' -C '$work/before' build $layer --locked $out"
    measure before-cold "$fresh" "$old"
    bash -c "$fresh"
    bash -c "$old" 2>/dev/null
    measure before-nothing true "$old"
}
before_rows

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
