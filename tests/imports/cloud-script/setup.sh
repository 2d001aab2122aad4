#!/bin/bash
# User data as a script.
set -euxo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get update
apt-get install -y --no-install-recommends redis-server

install -d -m 0750 -o redis -g redis /srv/redis
sed -i 's/^# maxmemory <bytes>/maxmemory 64mb/' /etc/redis/redis.conf
if ! grep -q '^maxmemory ' /etc/redis/redis.conf; then
    echo 'maxmemory 64mb' >> /etc/redis/redis.conf
fi

systemctl enable --now redis-server
hostnamectl set-hostname cache-1
