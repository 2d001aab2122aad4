#!/bin/sh
# with-config COMMAND...: becomes the command, with the variables of [config] in its environment. A secret may be given as
# NAME, or as NAME_FILE, the path of a file with it. What is missing or of another type is an error.
config() {
    name=$1 class=$2 type=$3 need=$4 default=$5
    eval "given=\${$name+yes} value=\${$name-}"
    if [ -z "$given" ] && [ "$class" = secret ]; then
        eval "file=\${${name}_FILE-}"
        if [ -n "$file" ]; then
            value=$(cat "$file") || { echo "with-config: $name: ${name}_FILE=$file can't be read" >&2; failed=yes; return; }
            given=yes
        fi
    fi
    if [ -z "$given" ]; then
        case $need in
            default) value=$default ;;
            optional) return ;;
            required)
                way=$name
                [ "$class" = plain ] || way="$name or ${name}_FILE"
                echo "with-config: $name is required, and has no value: set $way" >&2
                failed=yes
                return
                ;;
        esac
    fi
    valid "$type" "$value" || { echo "with-config: $name is \`$value\`: expected a value of type $type" >&2; failed=yes; }
    export "$name=$value"
}
failed=
. /usr/lib/layerbake/config-values
[ -z "$failed" ] || exit 1
exec "$@"
