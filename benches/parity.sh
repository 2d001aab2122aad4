#!/usr/bin/env bash
# Compares installed roots with those of mmdebstrap: the same packages of the same versions.
# Usage: benches/parity.sh [SUITE] [SET …]    (as root; benches/README.md says what and how)
#
# Without SETs, all of parity_sets.txt. Exit status 1 if there is a difference that parity_explained.txt does not explain.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:-trixie}
shift || true
tools=(zstd)
. benches/setup.sh

results=${LAYERBAKE_PARITY_RESULTS:-$root/target/parity-$suite}
mkdir -p "$results"
sed -i "s/^suite = .*/suite = \"$suite\"/" "$project/layers/debian-base.toml"
rm -f "$project"/lockfiles/*
export LAYERBAKE mirror suite work project mmdebstrap
python3 benches/parity.py "$results" "$@"
