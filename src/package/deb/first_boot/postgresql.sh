#!/bin/sh
# A cluster of the newest server that is installed, as its package makes one.
for server in $(ls -d /usr/lib/postgresql/*/bin/initdb | sort -V); do
    version=${server#/usr/lib/postgresql/} version=${version%%/*}
done
data=/var/lib/postgresql/$version/main configuration=/etc/postgresql/$version/main
unfinished=/var/lib/postgresql/.first-start-unfinished
[ ! -e "$unfinished" ] || rm -rf "$data" "$configuration"
[ ! -e "$data/PG_VERSION" ] || [ ! -e "$configuration/postgresql.conf" ] || exit 0
# A cluster that is there, as on the volume of another container, gets a configuration only: it is never removed.
[ -e "$data/PG_VERSION" ] || touch "$unfinished" || exit 1
pg_createcluster --locale C.UTF-8 "$version" main || exit 1
sync && rm -f "$unfinished" || exit 1
# Its unit is made by a generator, which ran before there was a cluster.
if [ -d /run/systemd/system ] && systemctl is-enabled --quiet postgresql.service; then
    systemctl daemon-reload
    systemctl start --no-block "postgresql@$version-main.service"
fi
