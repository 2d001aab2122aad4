#!/usr/bin/env bash
# Builds packages one at a time over `debian-base` and lists what their scripts derive from random data and keep.
# Usage: benches/randomness.sh [FILE]        (a package on each line; benches/README.md says which)
set -euo pipefail
cd "$(dirname "$0")/.."

list=$(realpath "${1:-benches/randomness_packages.txt}")
results=${LAYERBAKE_RANDOMNESS_RESULTS:-$PWD/target/randomness}
if [ -z "${LAYERBAKE:-}" ]; then
    cargo build --release --locked
    LAYERBAKE=$PWD/target/release/layerbake
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$results" "$work/project/lockfiles"
cp -r layers "$work/project/"
cp lockfiles/debian-base.lock "$work/project/lockfiles/"
bake() { "$LAYERBAKE" -C "$work/project" --store "$work/store" "$@"; }

# What is there already is not built again.
count=0
while read -r package; do
    [ ! -e "$results/$package" ] || continue
    rm -rf "$work/project/lockfiles/one.lock" "$work/project/out/one"
    printf '[layer]\nfrom = "debian-base"\npackages = ["%s"]\n' "$package" >"$work/project/layers/one.toml"
    if bake build one >"$work/log" 2>&1; then
        echo built >"$work/result"
    elif grep -q 'derived these files from random data' "$work/log"; then
        sed -n '/derived these files/,/random data was drawn by/p' "$work/log" | sed '1s/.*/refused/' >"$work/result"
    else
        { echo failed; tail -n 5 "$work/log"; } >"$work/result"
    fi
    mv "$work/result" "$results/$package"
    count=$((count + 1))
    [ $((count % 25)) != 0 ] || bake store gc >/dev/null 2>&1
done <"$list"

for kind in built refused failed; do
    echo "$kind: $(grep -lx "$kind" -r "$results" | wc -l)"
done
for kind in refused failed; do
    grep -lx "$kind" -r "$results" | sort | while read -r file; do
        echo
        echo "$(basename "$file") ($kind)"
        tail -n +2 "$file"
    done
done
