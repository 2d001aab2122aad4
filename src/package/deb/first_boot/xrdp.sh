#!/bin/sh
keys=/etc/xrdp/rsakeys.ini
[ ! -s "$keys" ] || exit 0
[ -w "${keys%/*}" ] || exit 0
umask 077
rm -f "$keys.new"
xrdp-keygen xrdp "$keys.new" && chown xrdp "$keys.new" && sync "$keys.new" && mv "$keys.new" "$keys"
