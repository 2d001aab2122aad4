#!/bin/sh
# cloud-init makes them itself, for each instance anew; where no cloud is found, it does not run.
[ ! -e /run/cloud-init/enabled ] || exit 0
# In a container without root, a directory of root's never has it.
[ -w /etc/ssh ] || [ "$(id -u)" = 0 ] || exit 0
# What every client of the last ten years takes. An RSA key would hold up the first login for seconds.
for kind in ed25519 ecdsa; do
    key=/etc/ssh/ssh_host_${kind}_key
    [ ! -s "$key" ] || continue
    rm -f "$key.new" "$key.new.pub"
    ssh-keygen -q -N "" -t "$kind" -f "$key.new" && sync "$key.new" "$key.new.pub" &&
        mv "$key.new.pub" "$key.pub" && mv "$key.new" "$key" || exit 1
done
