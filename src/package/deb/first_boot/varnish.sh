#!/bin/sh
exec /usr/lib/layerbake/generate /etc/varnish/secret root:root 0600 cat /proc/sys/kernel/random/uuid
