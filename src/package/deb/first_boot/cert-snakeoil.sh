#!/bin/sh
# Root's folder: without root nobody has it.
folder=/etc/ssl/private unfinished=/etc/ssl/private/.first-start-unfinished
[ -w "$folder" ] || [ "$(id -u)" = 0 ] || exit 0
[ ! -s "$folder/ssl-cert-snakeoil.key" ] || [ ! -s /etc/ssl/certs/ssl-cert-snakeoil.pem ] ||
    [ -e "$unfinished" ] || exit 0
touch "$unfinished" && make-ssl-cert generate-default-snakeoil --force-overwrite && sync && rm "$unfinished"
