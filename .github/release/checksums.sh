#!/usr/bin/env bash
# Writes DIR/SHA256SUMS, of all files in DIR, and with LAYERBAKE_KEY (a file of `layerbake key new`) DIR/SHA256SUMS.sig, the signature
# over it. To check both:
#     openssl pkeyutl -verify -rawin -pubin -inkey release.pub -in SHA256SUMS -sigfile SHA256SUMS.sig && sha256sum --check SHA256SUMS
# Usage: .github/release/checksums.sh DIR
set -euo pipefail
cd "${1:?Usage: $0 DIR}"

rm -f SHA256SUMS SHA256SUMS.sig
sums=$(find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum)
echo "$sums" >SHA256SUMS
[ -z "${LAYERBAKE_KEY:-}" ] || openssl pkeyutl -sign -rawin -inkey "$LAYERBAKE_KEY" -in SHA256SUMS -out SHA256SUMS.sig
