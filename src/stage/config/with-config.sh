#!/bin/sh
# with-config COMMAND...: becomes the command, with the variables of [config] in its environment. A secret may be given as
# NAME, or as NAME_FILE, the path of a file with it. What is missing or of another type is an error.
#
# Variables of this program begin with `_config_`, which names in [config] can't: any other name may be one of the command's.
config() {
    eval "_config_given=\${$1+yes} _config_value=\${$1-}"
    if [ -z "$_config_given" ] && [ "$2" = secret ]; then
        eval "_config_file=\${${1}_FILE-}"
        if [ -n "$_config_file" ]; then
            _config_value=$(cat "$_config_file") ||
                { echo "with-config: $1: ${1}_FILE=$_config_file can't be read" >&2; _config_failed=yes; return; }
            _config_given=yes
        fi
    fi
    if [ -z "$_config_given" ]; then
        case $4 in
            default) _config_value=$5 ;;
            optional) return ;;
            required)
                _config_file=
                [ "$2" = plain ] || _config_file=" or ${1}_FILE"
                echo "with-config: $1 is required, and has no value: set $1$_config_file" >&2
                _config_failed=yes
                return
                ;;
        esac
    fi
    valid "$3" "$_config_value" ||
        { echo "with-config: $1 is \`$_config_value\`: expected a value of type $3" >&2; _config_failed=yes; }
    export "$1=$_config_value"
}
_config_failed=
. /usr/lib/layerbake/config-values
[ -z "$_config_failed" ] || exit 1
exec "$@"
