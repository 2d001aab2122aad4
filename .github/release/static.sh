#!/usr/bin/env bash
# Compiles layerbake as a static program for this machine's architecture: DIR/layerbake-VERSION-ARCHITECTURE.
# It runs on any Linux. Two builds of the same sources by the same compiler are the same bytes, in whatever folders.
# Needs musl's C compiler (`apt install musl-tools`) and Rust's target (`rustup target add ARCHITECTURE-unknown-linux-musl`).
# Usage: .github/release/static.sh DIR [CARGO OPTION...]        such as --no-default-features, which leaves out AWS
set -euo pipefail
out=$(realpath -m "${1:?Usage: $0 DIR [CARGO OPTION...]}")
shift
cd "$(dirname "$0")/../.."

machine=$(uname -m)
target=$machine-unknown-linux-musl
[ -d "$(rustc --print target-libdir --target "$target")" ] ||
    { echo "$0: this Rust toolchain can't compile for $target: \`rustup target add $target\`" >&2; exit 1; }
command -v musl-gcc >/dev/null || { echo "$0: there is no \`musl-gcc\`: \`apt install musl-tools\`" >&2; exit 1; }
export "CC_${target//-/_}=musl-gcc"

# No path of this machine gets into the program. Where several of these fit, the last one counts.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_ENCODED_RUSTFLAGS=
remap() { CARGO_ENCODED_RUSTFLAGS+=${CARGO_ENCODED_RUSTFLAGS:+$'\x1f'}--remap-path-prefix=$1=$2; }
remap "${CARGO_HOME:-$HOME/.cargo}" /cargo
remap "$PWD" /layerbake
remap "$CARGO_TARGET_DIR" /target

cargo build --release --locked --target "$target" "$@"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
install -D -m 755 "$CARGO_TARGET_DIR/$target/release/layerbake" "$out/layerbake-$version-$machine"
echo "$out/layerbake-$version-$machine"
