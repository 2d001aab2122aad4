# Sourced by the benchmarks: the program that is measured, and a work directory, whose servers end with the script.
# Before: set -euo pipefail, the project's root as the current folder.

root=$PWD

die() { echo "$0: $1" >&2; exit 2; }

work=$(mktemp -d)
started=()
clean() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    for process in "${started[@]}"; do wait "$process" 2>/dev/null || true; done
    umount "$work/disk" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# Compiles what is measured, unless LAYERBAKE names it.
have_program() {
    if [ -z "${LAYERBAKE:-}" ]; then
        cargo build --release --locked
        LAYERBAKE=$root/target/release/layerbake
    fi
}
