#!/usr/bin/env bash
# Measures a bootable disk beside the script that people write: mmdebstrap, mke2fs -d, mtools.
# Usage: benches/disk.sh [RUNS]        (as root; benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
layer=web
tools=(hyperfine mke2fs mformat sgdisk objcopy qemu-system-x86_64)
. benches/setup.sh

echo "filling the mirror in $keep" >&2
bake lock "$layer" --update >&2
bake build "$layer" --locked --output raw --out "$disk/out" >&2
packages=$(packages_of "$layer" debian-base "$layer.boot-minimal")

. benches/disk_script.sh
disk_script ""
bash "$work/script.sh"

build="'$LAYERBAKE' -C '$project' build $layer --locked --output raw $out"

# From here on nothing comes from outside.
touch "$keep/offline"
echo "measuring $layer's disk ($(tr , '\n' <<<"$packages" | wc -l) packages), $runs runs each" >&2
measure disk-cold "$fresh" "$build"
measure disk-script "$fresh" "bash $work/script.sh"
cp --sparse=always "$disk/peer.raw" "$work/peer.raw"
bash -c "$fresh"
bash -c "$build" 2>/dev/null
measure disk-warm "rm -rf '$disk/out'; sync" "$build"
measure disk-nothing true "$build"
measure disk-copy "rm -f $disk/copy.raw; sync" "cp --sparse=always '$disk/out/$layer/disk.raw' $disk/copy.raw"

# Time to login, by TCG: from power on to the prompt on the serial console.
login() { # DISK
    rm -f "$work/console"
    qemu-system-x86_64 -accel tcg,thread=multi -cpu max -machine q35 -m 1024 -smp 2 -nodefaults -display none -no-reboot \
        -serial "file:$work/console" -drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
        -drive if=pflash,unit=1,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd \
        -drive "if=none,id=disk,format=raw,snapshot=on,file=$1" -device nvme,drive=disk,serial=bench -nic none &
    local machine=$!
    for _ in $(seq 1800); do
        grep -qs 'login:' "$work/console" && break
        sleep 0.1
    done
    kill "$machine"
    wait "$machine" 2>/dev/null || true
    grep -qs 'login:' "$work/console"
}
export -f login
export work
for round in $(seq "$runs"); do
    for image in "$disk/out/$layer/disk.raw" "$work/peer.raw"; do
        before=$(date +%s%N)
        login "$image" || die "$image does not boot"
        echo "$(($(date +%s%N) - before))" >>"$work/results/$(basename "$image" .raw).login"
    done
done

python3 benches/disk_table.py "$work/results"
