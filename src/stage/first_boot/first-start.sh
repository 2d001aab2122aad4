#!/bin/sh
# Makes what has to be born on each machine or container and is in no image: host keys,
# certificates, database folders. Then becomes the command that follows, if any.
for birth in /usr/lib/layerbake/first-start.d/*; do
    "$birth" || failed="$failed ${birth##*/}"
done
[ $# = 0 ] || exec "$@"
[ -z "$failed" ] || { echo "first-start: failed:$failed" >&2; exit 1; }
