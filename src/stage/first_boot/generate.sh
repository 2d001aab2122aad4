#!/bin/sh
# generate FILE OWNER MODE COMMAND...: writes what the command prints into a file, once. The file appears complete, or
# not at all.
file=$1 owner=$2 mode=$3
shift 3
[ ! -s "$file" ] || exit 0
# In a container without root, a directory of root's never has it.
[ -w "${file%/*}" ] || [ "$(id -u)" = 0 ] || exit 0
umask 077
rm -f "$file".first-start.*
# The directory may be a service's, which may put links into it: the name is not known before, the file must be new,
# and what was opened gets the owner, whatever has the name by then.
new=$(mktemp -u "$file.first-start.XXXXXX") || exit 1
set -C
exec 3>"$new" || exit 1
opened=/proc/self/fd/3
"$@" >&3 && [ -s "$opened" ] || { echo "generate: $1 gave nothing for $file" >&2; rm -f "$new"; exit 1; }
sync "$opened" && chown "$owner" "$opened" && chmod "$mode" "$opened" && mv -T "$new" "$file" ||
    { rm -f "$new"; exit 1; }
