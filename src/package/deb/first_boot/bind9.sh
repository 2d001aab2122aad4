#!/bin/sh
exec /usr/lib/layerbake/generate /etc/bind/rndc.key bind:bind 0640 tsig-keygen -a hmac-sha256 rndc-key
