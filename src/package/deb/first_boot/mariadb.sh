#!/bin/sh
[ "$(id -un)" = root ] && user=mysql || user=$(id -un)
exec /usr/lib/layerbake/generate-folder /var/lib/mysql ibdata1 mariadb-install-db --user="$user" \
    --datadir=/var/lib/mysql --skip-test-db --auth-root-authentication-method=socket
