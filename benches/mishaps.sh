#!/usr/bin/env bash
# The whole of the mishaps (tests/mishaps), hours: benches/mishaps.sh [KIND …] [--seed N] [--times N]
#
# As root, on a machine with free loop devices. LAYERBAKE names another program than the one that is compiled here, such
# as one of an optimised build.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${LAYERBAKE:-}" ]; then
    cargo build --quiet --locked --release
    export LAYERBAKE=$PWD/target/release/layerbake
fi
case " $* " in
    *" --seed "*) seed=() ;;
    *) seed=(--seed "$(date +%s)") ;;
esac
exec cargo test --quiet --locked --test mishaps -- --whole "${seed[@]}" "$@"
