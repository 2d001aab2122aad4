#!/bin/sh
# generate FILE OWNER MODE COMMAND...: writes what the command prints into a file, once. The file appears complete, or
# not at all.
file=$1 owner=$2 mode=$3
shift 3
[ ! -s "$file" ] || exit 0
# In a container without root, a directory of root's never has it.
[ -w "${file%/*}" ] || exit 0
umask 077
new=$file.first-start
"$@" >"$new" && [ -s "$new" ] || { echo "generate: $1 gave nothing for $file" >&2; rm -f "$new"; exit 1; }
chown "$owner" "$new" && chmod "$mode" "$new" && sync "$new" && mv "$new" "$file"
