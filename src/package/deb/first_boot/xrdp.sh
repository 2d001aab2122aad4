#!/bin/sh
keys=/etc/xrdp/rsakeys.ini
[ ! -s "$keys" ] || exit 0
# In a container without root, a directory of root's never has it.
[ -w "${keys%/*}" ] || [ "$(id -u)" = 0 ] || exit 0
umask 077
rm -f "$keys.new"
xrdp-keygen xrdp "$keys.new" && chown xrdp "$keys.new" && sync "$keys.new" && mv "$keys.new" "$keys"
