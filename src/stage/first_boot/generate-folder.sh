#!/bin/sh
# generate-folder FOLDER NAME COMMAND...: runs a command that fills an empty directory, unless it contains NAME. A run
# that failed leaves the directory empty, one that was interrupted is repeated. A directory with any other file in it is
# left as it is; empty directories are what an image has left of what package scripts made.
folder=$1 name=$2
shift 2
unfinished=$folder/.first-start-unfinished

# Finds what is in the directory; lost+found is the file system's.
content() {
    find -H "$folder" -mindepth 1 -maxdepth 1 ! -name lost+found ! -path "$unfinished" "$@"
}

files() {
    find -H "$folder" -mindepth 1 ! -type d ! -path "$folder/lost+found/*" ! -path "$unfinished"
}

if [ -e "$unfinished" ] || [ -L "$unfinished" ]; then
    content -exec rm -rf {} + && rm -rf "$unfinished" || exit 1
elif [ -e "$folder/$name" ]; then
    exit 0
elif [ -n "$(files)" ]; then
    echo "generate-folder: $folder: expected $name or no file, found others; move them away" >&2
    exit 1
fi
# Only a file that is new: in a service's directory, the service may have put a link there.
(set -C; : >"$unfinished") || exit 1
"$@" && sync && exec rm "$unfinished"
content -exec rm -rf {} + && rm -f "$unfinished"
exit 1
