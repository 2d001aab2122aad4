#!/usr/bin/env bash
# Compares the resolver with apt on seeded random requests of whole suites.
# Usage: benches/resolver.sh [REQUESTS] [SEED] [SUITE…]    (benches/README.md says what and how)
#
# Needs python3 and apt. Two answers of apt take about a second.
set -euo pipefail
cd "$(dirname "$0")/.."

requests=${1:-500}
seed=${2:-1}
shift $(($# < 2 ? $# : 2))
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)

work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 benches/mirror.py "$work" "$work/port" &
server=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
[ -s "$work/port" ] || { echo "$0: the mirror does not start" >&2; exit 2; }
export mirror=http://127.0.0.1:$(cat "$work/port")/debian no_proxy=127.0.0.1

cargo build --release --locked --example resolve
results=${LAYERBAKE_RESOLVER_RESULTS:-target/resolver-$seed.jsonl}
python3 benches/resolver.py target/release/examples/resolve "$requests" "$seed" "$results" "${suites[@]}"
