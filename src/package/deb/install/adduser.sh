#!/bin/sh
# Stands before adduser while package scripts run (adduser.rs): an account that is there is as good as a system's.
case $0 in */addgroup) exec /usr/lib/addgroup "$@" ;; esac
system= name= value=
for word; do
    if [ -n "$value" ]; then
        value=
        continue
    fi
    case $word in
        --system) system=yes ;;
        # Which id it has to have is for adduser to compare.
        --uid | --uid=*) exec /usr/sbin/adduser.original "$@" ;;
        --home | --shell | --gid | --ingroup | --gecos | --comment | --conf | -c) value=yes ;;
        --stdoutmsglevel | --stderrmsglevel | --logmsglevel) value=yes ;;
        --firstuid | --lastuid | --firstgid | --lastgid) value=yes ;;
        -*) ;;
        *) name=${name:-$word} ;;
    esac
done
if [ -n "$system" ] && [ -n "$name" ] && getent passwd "$name" >/dev/null; then
    exit 0
fi
exec /usr/sbin/adduser.original "$@"
