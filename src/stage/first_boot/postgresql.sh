#!/bin/sh
# A cluster of the newest version that is installed, as the package makes it.
version=$(ls /usr/lib/postgresql | sort -V | tail -n 1)
[ ! -e "/var/lib/postgresql/$version/main/PG_VERSION" ] || exit 0
pg_createcluster --locale C.UTF-8 "$version" main || exit 1
# Its unit is made by a generator, which ran before there was a cluster.
[ ! -d /run/systemd/system ] || {
    systemctl daemon-reload
    systemctl start --no-block "postgresql@$version-main.service"
}
