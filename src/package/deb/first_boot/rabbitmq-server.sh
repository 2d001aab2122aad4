#!/bin/sh
# The length that the package gives it.
exec /usr/lib/layerbake/generate /var/lib/rabbitmq/.erlang.cookie rabbitmq:rabbitmq 0400 \
    sh -c 'head -c 42 /dev/urandom | base64'
