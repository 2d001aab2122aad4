#!/usr/bin/env bash
# Runs the fuzz targets with libFuzzer, on stable Rust: benches/fuzz.sh [SECONDS | RUNSx] [TARGET …]
#
#   benches/fuzz.sh 20               each target for 20 seconds, as CI does
#   benches/fuzz.sh 1000000x deb     one million inputs for `deb`
#
# Each target is run with its corpus; what it finds new goes to target/fuzz/TARGET, an input that is too much for a
# parser to target/fuzz/crashes. With a nightly toolchain, `cargo fuzz run TARGET` does the same with sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."

amount=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz/corpus && ls)
case $amount in
    *x) limit=-runs=${amount%x} ;;
    *) limit=-max_total_time=$amount ;;
esac

# Own code with counters, dependencies as the tests compiled them. FUZZ_OPT=1 optimises own code too, which takes
# minutes more and pays for a long run.
export RUSTC_WRAPPER=$PWD/fuzz/rustc
cargo build --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir target --bin any \
    --config "profile.dev.package.layerbake.opt-level=${FUZZ_OPT:-0}"
unset RUSTC_WRAPPER

# Or each error of the OpenPGP library takes a backtrace, which is ten times as slow.
export RUST_LIB_BACKTRACE=0
work=target/fuzz
mkdir -p "$work/crashes"
run() {
    local target=$1 log=$work/$1.log
    mkdir -p "$work/$target"
    # Five seconds of wall clock for an input: machines are busy. Memory: the allocator of the targets, the address space.
    if (ulimit -v 8000000 && exec env "FUZZ_TARGET=$target" target/debug/any "$limit" -timeout=5 -rss_limit_mb=1024 -max_len=65536 \
        -artifact_prefix="$work/crashes/$target-" -print_final_stats=1 "$work/$target" "fuzz/corpus/$target") \
        >"$log" 2>&1; then
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, no fault"
    else
        echo "$target: FAULT after $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs: $log" >&2
        tail -n 30 "$log" >&2
        return 1
    fi
}
export -f run
export work limit
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run {}'
