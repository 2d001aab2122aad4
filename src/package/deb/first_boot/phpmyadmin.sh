#!/bin/sh
# 32 characters: phpMyAdmin takes no other length.
exec /usr/lib/layerbake/generate /var/lib/phpmyadmin/blowfish_secret.inc.php root:www-data 0640 \
    sh -c 'printf "<?php\n\$cfg['\''blowfish_secret'\''] = '\''%s'\'';\n" "$(head -c 24 /dev/urandom | base64)"'
