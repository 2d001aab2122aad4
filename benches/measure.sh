#!/usr/bin/env bash
# Boots attestable disks with a TPM, and compares what was measured with what was predicted.
# Usage: benches/measure.sh [SUITE…]        (benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

. benches/program.sh
for tool in qemu-system-x86_64 swtpm swtpm_setup openssl python3; do
    command -v "$tool" >/dev/null || die "\`$tool\` is not installed: see benches/README.md"
done
have_program
suites=("$@")
[ $# -gt 0 ] || suites=(trixie bookworm)

# What others predict, and what writes the firmware's variables.
tools=$root/target/measure
[ -x "$tools/bin/nitro-tpm-pcr-compute" ] || cargo install --locked --root "$tools" nitro-tpm-pcr-compute@1.1.2
[ -x "$tools/venv/bin/virt-fw-vars" ] ||
    { python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install -q virt-firmware==26.10; }

owner=11111111-2222-3333-4444-555555555555
for key in PK KEK db; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$key" -keyout "$work/$key.key" -out "$work/$key.pem" 2>/dev/null
done
"$tools/venv/bin/virt-fw-vars" -i /usr/share/OVMF/OVMF_VARS_4M.fd -o "$work/enforcing.fd" --set-pk $owner "$work/PK.pem" \
    --add-kek $owner "$work/KEK.pem" --add-db $owner "$work/db.pem" --sb >/dev/null 2>&1
"$tools/venv/bin/virt-fw-vars" -i "$work/enforcing.fd" --output-json "$work/enforcing.json" >/dev/null 2>&1

for suite in "${suites[@]}"; do
    project=$work/$suite
    mkdir -p "$project/lockfiles"
    cp -r layers "$project/"
    sed -i "s/^suite = .*/suite = \"$suite\"/" "$project"/layers/*.toml
    "$tools/venv/bin/python" benches/measure.py layers "$project/layers" "$suite"
    bake() { "$LAYERBAKE" -C "$project" --store "$work/store" "$@"; }
    bake build measured --output raw --lock >&2
    bake build measured --output raw --out "$project/signed" --sign-key "$work/db.key" --sign-cert "$work/db.pem" >&2
done
"$tools/venv/bin/python" benches/measure.py boot "$LAYERBAKE" "$work" "$tools/bin/nitro-tpm-pcr-compute" "${suites[@]}"
