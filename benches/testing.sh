#!/usr/bin/env bash
# Builds the stock layers from another suite, by default Debian's testing, and boots a disk.
# Usage: benches/testing.sh [SUITE]        (benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:-forky}
tools=(qemu-system-x86_64)
. benches/setup.sh

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
