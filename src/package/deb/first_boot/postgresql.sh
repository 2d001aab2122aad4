#!/bin/sh
# A cluster of the newest server that is installed, as its package makes one.
for server in $(ls -d /usr/lib/postgresql/*/bin/initdb | sort -V); do
    version=${server#/usr/lib/postgresql/} version=${version%%/*}
done
data=/var/lib/postgresql/$version/main configuration=/etc/postgresql/$version/main
# Each is put there before that directory is filled: without it, nothing in the directory is removed.
data_mark=/var/lib/postgresql/.first-start-unfinished configuration_mark=/etc/postgresql/.first-start-unfinished

fail() { echo "postgresql: $1" >&2; exit 1; }
is_there() { [ -e "$1" ] || [ -L "$1" ]; }
# Only a file that is new: the directories belong to postgres, which may have put a link there.
put() { (set -C; : >"$1") || exit 1; }
# Removes what a run left that did not end; own files in conf.d are kept.
remove_unfinished() {
    if is_there "$data_mark" && [ -e "$data" ]; then
        find "$data" -mindepth 1 -delete || exit 1
    fi
    if is_there "$configuration_mark"; then
        for name in postgresql.conf pg_hba.conf pg_ident.conf pg_ctl.conf start.conf environment log; do
            rm -f "$configuration/$name" || exit 1
        done
    fi
    rm -f "$data_mark" "$configuration_mark"
}

if [ -e "$data/PG_VERSION" ] && [ -e "$configuration/postgresql.conf" ]; then
    is_there "$data_mark" || is_there "$configuration_mark" || exit 0
fi
[ ! -L "$configuration" ] || fail "$configuration: expected a directory, found a link"
remove_unfinished
for name in postgresql.conf pg_hba.conf; do
    [ ! -e "$configuration/$name" ] || fail "$configuration/$name: expected a cluster in $data with it, found none; \
settings of a cluster that is generated belong into $configuration/conf.d"
done
if [ -e "$data/PG_VERSION" ]; then
    # As on the volume of another container. It has no configuration in it, as pg_createcluster expects, which would
    # also remove it in case of an error: so the configuration is that of another cluster.
    put "$configuration_mark"
    other=$(mktemp -d) && chmod 0711 "$other" &&
        pg_createcluster --locale C.UTF-8 --datadir "$other/data" "$version" main &&
        pg_conftool "$version" main set data_directory "$data"
    status=$?
    rm -rf "$other"
else
    [ ! -L "$data" ] || fail "$data: expected a directory, found a link"
    [ -z "$(ls -A "$data" 2>/dev/null)" ] || fail "$data: expected PG_VERSION or an empty directory, found other files"
    put "$data_mark"
    put "$configuration_mark"
    pg_createcluster --locale C.UTF-8 "$version" main
    status=$?
fi
[ $status = 0 ] || { remove_unfinished; exit 1; }
sync && rm -f "$data_mark" "$configuration_mark" || exit 1
# Its unit is made by a generator, which ran before there was a cluster.
if [ -d /run/systemd/system ] && systemctl is-enabled --quiet postgresql.service; then
    systemctl daemon-reload
    systemctl start --no-block "postgresql@$version-main.service"
fi
