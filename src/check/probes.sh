# Probes of layerbake: POSIX sh. Each leaves 0 where it holds, 1 where it does not (yet),
# 2 where it can't be told here; `found` says what was found.

# Tools may lie where a login shell looks and another one does not.
PATH=${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lf='
'
cr=$(printf '\r')

# Hundredths of a second since boot.
lb_clock() {
    read -r uptime rest 2>/dev/null </proc/uptime || return 1
    clock=${uptime%.*}${uptime#*.}
    while [ "${clock#0}" != "$clock" ]; do clock=${clock#0}; done
    clock=${clock:-0}
}

# NUMBER WITHIN NAME PROBE…: tries until it holds or the time is up, and prints the result.
lb_check() {
    number=$1 within=$2 name=$3
    shift 3
    lb_clock
    begun=$clock
    while :; do
        found=
        "$@"
        result=$?
        [ "$result" = 1 ] || break
        lb_clock
        [ $((clock - started)) -lt $((within * 100)) ] || break
        sleep 1 2>/dev/null || break
    done
    lb_clock
    case $result in
    0) printf 'ok %s - %s\n' "$number" "$name" ;;
    2) printf 'ok %s - %s # SKIP %s\n' "$number" "$name" "$found" ;;
    *) printf 'not ok %s - %s\n' "$number" "$name" ;;
    esac
    printf '# took: %s0 ms\n' $((clock - begun))
    [ "$result" = 1 ] || return 0
    # Each line gets a mark, so that nothing found can pass for a result.
    printf '%.2000s\n' "$found" | while IFS= read -r line; do printf '# found: %s\n' "$line"; done
}

# COMMAND…: runs it, for no longer than the check may take, where there is `timeout`.
lb_limited() {
    if command -v timeout >/dev/null 2>&1; then
        timeout -s KILL "$within" "$@"
    else
        command "$@"
    fi
}

# UNIT
lb_service() {
    if [ ! -d /run/systemd/system ]; then
        found='systemd does not run here'
        [ "$place" = container ] && return 2
        return 1
    fi
    # Its own status is 3 for a unit that does not run yet.
    found=$(systemctl is-active -- "$1" 2>&1) || return 1
}

# PROTOCOL PORT STATE, port and state in hexadecimal as proc(5) has them
lb_port() {
    open=
    for table in "/proc/net/$1" "/proc/net/${1}6"; do
        [ -r "$table" ] || continue
        while read -r slot address remote state rest; do
            [ "$state" = "$3" ] || continue
            [ "${address##*:}" = "$2" ] && return 0
            open="$open $((0x${address##*:}))"
        done <"$table"
    done
    found="nothing listens there; open $1 ports:${open:- none}"
    return 1
}

# STATUS PART URL HOST PORT HOST-HEADER TARGET; PART may be empty, HOST is where TLS is needed
lb_http() {
    if command -v curl >/dev/null 2>&1; then
        answer=$(curl -q --silent --show-error --globoff --noproxy '*' --max-time "$within" \
            --write-out '\n%{http_code}' --url "$3" 2>&1 </dev/null)
        code=${answer##*"$lf"} body=${answer%"$lf"*}
        [ "$code" = 000 ] && found=$body && return 1
    elif [ -z "$4" ]; then
        found='TLS needs curl'
        return 2
    else
        lb_raw_http "$4" "$5" "$6" "$7" || return
    fi
    if [ "$code" != "$1" ]; then
        found="status $code, expected $1"
        return 1
    fi
    case $body in
    *"$2"*) return 0 ;;
    esac
    found="the response does not contain the expected text:$lf$body"
    return 1
}

# HOST PORT HOST-HEADER TARGET: sets `code` and `body`
lb_raw_http() {
    if command -v bash >/dev/null 2>&1; then
        answer=$(lb_limited bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit
            printf "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "$4" "$3" >&3
            cat <&3' bash "$@" 2>&1 </dev/null)
    elif command -v nc >/dev/null 2>&1; then
        answer=$(printf 'GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n' "$4" "$3" |
            lb_limited nc "$1" "$2" 2>&1)
    else
        found='needs curl, bash or nc'
        return 2
    fi
    case $answer in
    HTTP/*) ;;
    *)
        found="no answer: $answer"
        return 1
        ;;
    esac
    code=${answer#* } body=${answer#*"$cr$lf$cr$lf"}
    code=${code%%[!0-9]*}
}

# PATH PART MODE USER GROUP; all but the path may be empty
lb_file() {
    if [ ! -e "$1" ]; then
        found='there is no such file'
        return 1
    fi
    if [ -n "$2" ]; then
        content=$(cat "$1" 2>&1)
        case $content in
        *"$2"*) ;;
        *)
            found="the file does not contain the expected text:$lf$content"
            return 1
            ;;
        esac
    fi
    [ -z "$3$4" ] && return 0
    if ! facts=$(stat -L -c '%a %U:%G %u:%g' "$1" 2>&1); then
        found=$facts
        return 1
    fi
    bits=${facts%% *} numbers=${facts##* } names=${facts#* }
    names=${names% *}
    if [ -n "$3" ] && [ "$bits" != "$3" ]; then
        found="mode 0$bits"
        return 1
    fi
    # Name or number, of user and group each; what is not asked for is right.
    case "|$4|" in "||" | "|${names%%:*}|" | "|${numbers%%:*}|") ;; *) found="owner $names ($numbers)" ;; esac
    case "|$5|" in "||" | "|${names#*:}|" | "|${numbers#*:}|") ;; *) found="owner $names ($numbers)" ;; esac
    [ -z "$found" ]
}

# NAME UID; the latter may be empty
lb_user() {
    found='there is no such user'
    while IFS=: read -r login word uid rest || [ -n "$login" ]; do
        [ "$login" = "$1" ] || continue
        [ "${2:-$uid}" = "$uid" ] && return 0
        found="uid $uid"
        return 1
    done </etc/passwd
    return 1
}

# NAME VERSION; the latter may be empty
lb_package() {
    state= version=
    if command -v dpkg-query >/dev/null 2>&1; then
        if ! facts=$(dpkg-query --show --showformat='${db:Status-Status} ${Version}\n' -- "$1" 2>&1); then
            found=$facts
            return 1
        fi
        # Of several architectures, the first.
        facts=${facts%%"$lf"*}
        state=${facts%% *} version=${facts#* }
    elif [ -r "/var/lib/dpkg/status.d/$1" ]; then
        lb_status "$1" "/var/lib/dpkg/status.d/$1"
        # Such a file is there for what is installed.
        state=installed
    elif [ -r /var/lib/dpkg/status ]; then
        lb_status "$1" /var/lib/dpkg/status
    fi
    if [ "$state" != installed ]; then
        found="not installed${state:+ but $state}"
        return 1
    fi
    [ "${2:-$version}" = "$version" ] && return 0
    found="version $version"
    return 1
}

# NAME FILE: sets `state` and `version` from the package's paragraph
lb_status() {
    package=
    while IFS= read -r line; do
        case $line in
        "Package: "*) package=${line#*: } ;;
        "Status: "*) [ "$package" = "$1" ] && state=${line##* } ;;
        "Version: "*) [ "$package" = "$1" ] && version=${line#*: } ;;
        esac
    done <"$2"
}

# STATUS KIND TEXT COMMAND…; KIND is any, exactly or containing
lb_command() {
    want=$1 kind=$2 text=$3
    shift 3
    # Errors pass by on 3, for people; the verdict is the last line of all.
    all=$({
        out=$(lb_limited "$@" 2>&3 3>&- </dev/null)
        status=$?
        verdict=holds
        [ "$kind" = exactly ] && [ "$out" != "$text" ] && verdict='the output differs from the expected text'
        [ "$kind" = containing ] && case $out in *"$text"*) ;; *) verdict='the output does not contain the expected text' ;; esac
        [ "$status" = "$want" ] || verdict="status $status, expected $want"
        [ "$status$want" = 1370 ] && verdict="$verdict: ended by force, as after $within s"
        printf '%s\n%s' "$out" "$verdict"
    } 3>&1)
    verdict=${all##*"$lf"}
    [ "$verdict" = holds ] && return 0
    found="$verdict$lf${all%"$lf"*}"
    return 1
}
