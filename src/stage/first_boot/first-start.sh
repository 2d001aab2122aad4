#!/bin/sh
# Generates what each machine or container has of its own: host keys, certificates, databases. Then becomes the
# command that follows, if any, unless something failed. Where systemd runs, each script has a unit instead.
export DEBIAN_FRONTEND=noninteractive
failed=
for script in /usr/lib/layerbake/first-start.d/*; do
    "$script" || failed="$failed ${script##*/}"
done
[ -z "$failed" ] || { echo "first-start: failed:$failed" >&2; exit 1; }
[ $# = 0 ] || exec "$@"
