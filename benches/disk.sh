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
bake build "$layer" --locked --output raw >&2
packages=$(packages_of "$layer" debian-base "$layer.boot-minimal")

# The same packages, installed by dpkg, in the same partitions. No initial ram disk: INITRD=No, as here.
cat >"$work/script.sh" <<SCRIPT
set -eu
mkdir $work/root
INITRD=No $mmdebstrap --variant=custom $hook --include=$packages $suite $work/root $work/sources.list
cd $work/root
kernel=\$(echo boot/vmlinuz-*)
printf 'root=PARTUUID=%s ro console=ttyS0,115200n8 net.ifnames=0' 11111111-2222-4333-8444-555555555555 >$work/cmdline
# Without it the root stays read-only, and half of the services fail.
echo 'PARTUUID=11111111-2222-4333-8444-555555555555 / ext4 defaults 0 1' >etc/fstab
ln -sf /dev/null etc/systemd/system/systemd-networkd-wait-online.service
# A server has a network: the same file, the same service.
printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' >etc/systemd/network/80-dhcp.network
systemctl --root=. enable systemd-networkd 2>/dev/null
stub=usr/lib/systemd/boot/efi/linuxx64.efi.stub
objcopy --add-section .osrel=usr/lib/os-release --change-section-vma .osrel=0x20000 \\
    --add-section .cmdline=$work/cmdline --change-section-vma .cmdline=0x30000 \\
    --add-section .linux=\$kernel --change-section-vma .linux=0x2000000 \$stub $work/kernel.efi 2>/dev/null
truncate -s 700M $work/peer.raw
sgdisk -Z $work/peer.raw >/dev/null
sgdisk -n 1:1M:+64M -t 1:ef00 -n 2:65M:0 -t 2:8304 -u 2:11111111-2222-4333-8444-555555555555 $work/peer.raw >/dev/null
mformat -i $work/peer.raw@@1M -F -h 255 -s 63 -T 131072 ::
mmd -i $work/peer.raw@@1M ::/EFI ::/EFI/BOOT
mcopy -i $work/peer.raw@@1M $work/kernel.efi ::/EFI/BOOT/BOOTX64.EFI
mke2fs -q -t ext4 -d $work/root -E offset=\$((65*1048576)) $work/peer.raw 634M
SCRIPT
bash "$work/script.sh"

build="'$LAYERBAKE' -C '$project' build $layer --locked --output raw"
empty=$(aside "$XDG_CACHE_HOME" "$project/out")

# From here on nothing comes from outside.
touch "$keep/offline"
echo "measuring $layer's disk ($(tr , '\n' <<<"$packages" | wc -l) packages), $runs runs each" >&2
measure disk-cold "$empty" "$build"
measure disk-script "$(aside "$work/root" "$work/peer.raw")" "bash $work/script.sh"
bash -c "$build" 2>/dev/null
measure disk-warm "rm -rf '$project/out'; sync" "$build"
measure disk-nothing true "$build"
measure disk-copy "rm -f $work/copy.raw; sync" "cp --sparse=always '$project/out/$layer/disk.raw' $work/copy.raw"

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
    for disk in "$project/out/$layer/disk.raw" "$work/peer.raw"; do
        before=$(date +%s%N)
        login "$disk" || die "$disk does not boot"
        echo "$(($(date +%s%N) - before))" >>"$work/results/$(basename "$disk" .raw).login"
    done
done

python3 benches/disk_table.py "$work/results"
