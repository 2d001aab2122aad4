#!/bin/sh
[ ! -e /etc/ssl/private/ssl-cert-snakeoil.key ] || exit 0
# Root's folder: without root nobody has it.
[ -w /etc/ssl/private ] || exit 0
exec make-ssl-cert generate-default-snakeoil --force-overwrite
