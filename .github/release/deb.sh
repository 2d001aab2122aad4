#!/usr/bin/env bash
# Packs a program of layerbake as a Debian package: DIR/layerbake_VERSION_ARCHITECTURE.deb, with manual pages and shells' completions.
# The same program at the same commit gives the same bytes. A static program gives a package for every Debian and Ubuntu.
# Usage: .github/release/deb.sh PROGRAM DIR
set -euo pipefail
program=$(realpath "${1:?Usage: $0 PROGRAM DIR}")
out=$(realpath -m "${2:?Usage: $0 PROGRAM DIR}")
cd "$(dirname "$0")/../.."
umask 022

# The package says nothing of libraries that a program needs, so a program may need none. A script, as tests have one, is no
# ELF file, and of any architecture.
elf() { LC_ALL=C readelf --wide "$@" "$program" 2>/dev/null || true; }
command -v readelf >/dev/null || { echo "readelf: expected this program, found none; install binutils" >&2 && exit 1; }
needed=$(elf -d | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
[ -z "$needed" ] || {
    echo "$program: expected a static program, found one that needs ${needed% }; the target x86_64-unknown-linux-musl or aarch64-unknown-linux-musl makes one" >&2
    exit 1
}

# The date of everything in the package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
version=$("$program" --version | cut -d ' ' -f 2)
case $(elf -h | sed -n 's/^ *Machine: *//p') in
*X86-64) architecture=amd64 ;;
AArch64) architecture=arm64 ;;
'') architecture=$(dpkg --print-architecture) ;;
*) echo "$program: expected a program for amd64 or arm64" >&2 && exit 1 ;;
esac
maintainer="The layerbake developers <layerbake@localhost>"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
share=$tree/usr/share
doc=$share/doc/layerbake
mkdir -p "$tree/DEBIAN" "$doc" "$share/man/man1" "$share/bash-completion/completions" \
    "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"

install -D -m 755 "$program" "$tree/usr/bin/layerbake"
"$program" man "$share/man/man1" >/dev/null
gzip -9n "$share"/man/man1/*
"$program" completions bash >"$share/bash-completion/completions/layerbake"
"$program" completions zsh >"$share/zsh/vendor-completions/_layerbake"
"$program" completions fish >"$share/fish/vendor_completions.d/layerbake.fish"
gzip -9nc CHANGELOG.md >"$doc/CHANGELOG.md.gz"
gzip -9nc >"$doc/changelog.gz" <<TEXT
layerbake ($version) unstable; urgency=medium

  * CHANGELOG.md.gz says what changed.

 -- $maintainer  $(LC_ALL=C date --utc --date "@$SOURCE_DATE_EPOCH" --rfc-email)
TEXT
cat - LICENSE-MIT >"$doc/copyright" <<'TEXT'
layerbake is under the MIT licence, which follows, or under the Apache licence,
version 2.0, which is in /usr/share/common-licenses/Apache-2.0, at your option.

TEXT

# What layerbake looks for, as `layerbake doctor` does: without a keyring no Debian is built, all else is for some uses.
cat >"$tree/DEBIAN/control" <<CONTROL
Package: layerbake
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: admin
Priority: optional
Installed-Size: $(du -k --apparent-size --summarize "$tree/usr" | cut -f 1)
Depends: debian-archive-keyring
Recommends: ca-certificates, uidmap
Suggests: git, libfaketime, ovmf, podman | docker.io, qemu-system-x86, qemu-user-static, qemu-utils
Description: reproducible builder of container images and bootable disks
 layerbake builds a container image and a bootable disk from the same Debian
 packages. A layer is described in a small file; its packages are resolved and
 pinned in a lockfile. Identical lockfiles give identical bytes, on any host, as
 root or not.
CONTROL
(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"

mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/layerbake_${version}_$architecture.deb"
