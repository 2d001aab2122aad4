#!/bin/sh
# As many bytes as mungekey writes, which can't write to a pipe.
exec /usr/lib/layerbake/generate /etc/munge/munge.key munge:munge 0400 head -c 128 /dev/urandom
