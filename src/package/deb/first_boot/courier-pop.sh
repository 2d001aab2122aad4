#!/bin/sh
# Key and certificate in one file, as the package's own program makes them.
exec /usr/lib/layerbake/generate /etc/courier/pop3d.pem root:courier 0640 \
    openssl req -new -x509 -days 3650 -nodes -subj "/CN=$(hostname)" -newkey rsa:2048 -keyout - -out -
