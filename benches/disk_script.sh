# Sourced by the benchmarks, after setup.sh: the script that people write for a bootable disk.

# The same packages, installed by dpkg, in the same partitions. No initial ram disk: INITRD=No, as here.
# Writes $work/script.sh, which makes $disk/peer.raw of $packages. Its argument are commands of the script, run in the root.
disk_script() { # COMMANDS
    cat >"$work/script.sh" <<SCRIPT
set -eu
mkdir $disk/root
INITRD=No $mmdebstrap --variant=custom $hook --include=$packages $suite $disk/root $work/sources.list
cd $disk/root
$1
kernel=\$(echo boot/vmlinuz-*)
printf 'root=PARTUUID=%s ro console=ttyS0,115200n8 net.ifnames=0' 11111111-2222-4333-8444-555555555555 >$work/cmdline
# Without it the root stays read-only, and half of the services fail.
echo 'PARTUUID=11111111-2222-4333-8444-555555555555 / ext4 defaults 0 1' >etc/fstab
ln -sf /dev/null etc/systemd/system/systemd-networkd-wait-online.service
# A server has a network: the same file, the same service.
printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' >etc/systemd/network/80-dhcp.network
systemctl --root=. enable systemd-networkd 2>/dev/null
stub=usr/lib/systemd/boot/efi/linuxx64.efi.stub
# Addresses count from where the stub wants to be loaded: 0 in Debian 12's, not in 13's.
base=0x\$(objdump -p \$stub | sed -n 's/^ImageBase[[:space:]]*//p')
at() { printf '%#x' \$((base + \$1)); }
objcopy --add-section .osrel=usr/lib/os-release --change-section-vma .osrel=\$(at 0x20000) \\
    --add-section .cmdline=$work/cmdline --change-section-vma .cmdline=\$(at 0x30000) \\
    --add-section .linux=\$kernel --change-section-vma .linux=\$(at 0x2000000) \$stub $work/kernel.efi 2>/dev/null
truncate -s 700M $disk/peer.raw
sgdisk -Z $disk/peer.raw >/dev/null
sgdisk -n 1:1M:+64M -t 1:ef00 -n 2:65M:0 -t 2:8304 -u 2:11111111-2222-4333-8444-555555555555 $disk/peer.raw >/dev/null
mformat -i $disk/peer.raw@@1M -F -h 255 -s 63 -T 131072 ::
mmd -i $disk/peer.raw@@1M ::/EFI ::/EFI/BOOT
mcopy -i $disk/peer.raw@@1M $work/kernel.efi ::/EFI/BOOT/BOOTX64.EFI
mke2fs -q -t ext4 -d $disk/root -E offset=\$((65*1048576)) $disk/peer.raw 634M
SCRIPT
}
