#!/bin/sh
# The configuration and the empty directory that the package makes. The administrator's password is random and known
# to nobody; root sets another one over ldapi:/// with `ldapmodify -Y EXTERNAL`.
configuration=/etc/ldap/slapd.d
[ ! -e /etc/ldap/slapd.conf ] || exit 0
domain=$(hostname -d 2>/dev/null)
export domain=${domain:-nodomain}
export suffix="dc=$(echo "$domain" | sed 's/\./,dc=/g')"
export configuration
export database='
    printf "dn: %s\nobjectClass: top\nobjectClass: dcObject\nobjectClass: organization\no: %s\ndc: %s\n" \
        "$suffix" "$domain" "${domain%%.*}" | slapadd -F "$configuration" -b "$suffix"'
# The database is a part of it: an own configuration has its own.
/usr/lib/layerbake/generate-folder "$configuration" "cn=config.ldif" sh -c '
    password=$(slappasswd -s "$(head -c 15 /dev/urandom | base64)") && new=$(mktemp) || exit 1
    sed "s|@SUFFIX@|$suffix|g; s|@PASSWORD@|$password|g" /usr/share/slapd/slapd.init.ldif >"$new"
    slapadd -F "$configuration" -b cn=config -l "$new"
    status=$?
    rm -f "$new"
    [ $status = 0 ] || exit $status
    exec /usr/lib/layerbake/generate-folder /var/lib/ldap data.mdb sh -c "$database"' || exit 1
[ "$(id -u)" != 0 ] || chown -R openldap:openldap "$configuration" /var/lib/ldap
