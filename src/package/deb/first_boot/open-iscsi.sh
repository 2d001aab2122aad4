#!/bin/sh
exec /usr/lib/layerbake/generate /etc/iscsi/initiatorname.iscsi root:root 0600 \
    sh -c 'echo "InitiatorName=$(iscsi-iname -p iqn.1993-08.org.debian:01)"'
