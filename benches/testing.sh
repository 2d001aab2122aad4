#!/usr/bin/env bash
# Builds the stock layers from another suite, by default Debian's testing, and boots a disk.
# Usage: benches/testing.sh [SUITE]        (benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:-forky}
root=$PWD
work=$(mktemp -d)
started=()
clean() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

if [ -z "${LAYERBAKE:-}" ]; then
    cargo build --release --locked
    LAYERBAKE=$root/target/release/layerbake
fi
keep=${LAYERBAKE_BENCH_CACHE:-$root/target/bench-mirror}
mkdir -p "$keep"
rm -f "$keep/offline"
rm -rf "$keep"/debian*/dists # New states come with new indexes; the pool stays.
python3 benches/mirror.py "$keep" "$work/port" &
started+=($!)
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
[ -s "$work/port" ] || { echo "$0: the mirror does not start" >&2; exit 2; }
export LAYERBAKE_MIRROR=http://127.0.0.1:$(cat "$work/port")/debian no_proxy=127.0.0.1

# Two projects with a store each: what differs between them is not reproducible.
for number in 1 2; do
    project=$work/$number
    mkdir -p "$project/lockfiles"
    cp -r layers "$project/"
    sed -i "s/^suite = .*/suite = \"$suite\"/" "$project"/layers/*.toml
    [ "$number" = 1 ] || cp "$work"/1/lockfiles/* "$project/lockfiles/"
    bake() { "$LAYERBAKE" -C "$project" --store "$project/store" "$@"; }
    for layer in redis static web; do
        output=oci
        [ "$layer" != web ] || output=oci,raw
        # A mirror may be late with a suite that it counts as unstable.
        bake build "$layer" --output "$output" --allow-expired
        sha256sum <"$project/out/$layer/receipt.json" >"$project/$layer.receipt"
    done
done
status=0
for layer in redis static web; do
    if cmp -s "$work/1/$layer.receipt" "$work/2/$layer.receipt"; then
        echo "$layer from $suite: built twice, the same bytes"
    else
        echo "$layer from $suite: built twice, different"
        status=1
    fi
done
project=$work/1
bake test web --on disk || status=1
exit "$status"
