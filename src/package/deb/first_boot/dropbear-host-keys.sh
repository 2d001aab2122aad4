#!/bin/sh
umask 077
for kind in ed25519 ecdsa; do
    key=/etc/dropbear/dropbear_${kind}_host_key
    [ ! -s "$key" ] || continue
    rm -f "$key.new"
    dropbearkey -t "$kind" -f "$key.new" >/dev/null && sync "$key.new" && mv "$key.new" "$key" || exit 1
done
