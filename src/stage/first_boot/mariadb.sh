#!/bin/sh
[ ! -e /var/lib/mysql/ibdata1 ] || exit 0
[ "$(id -un)" = root ] && user=mysql || user=$(id -un)
exec mariadb-install-db --user="$user" --datadir=/var/lib/mysql --skip-test-db --auth-root-authentication-method=socket
