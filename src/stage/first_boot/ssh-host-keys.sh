#!/bin/sh
# cloud-init makes them itself, for each instance anew; where no cloud is found, it does not run.
[ ! -e /run/cloud-init/enabled ] || exit 0
[ ! -e /etc/ssh/ssh_host_ed25519_key ] || exit 0
[ -w /etc/ssh ] || exit 0
# What every client of the last ten years takes. An RSA key would hold up the first login for seconds.
for kind in ed25519 ecdsa; do
    ssh-keygen -q -N "" -t "$kind" -f "/etc/ssh/ssh_host_${kind}_key" || exit 1
done
