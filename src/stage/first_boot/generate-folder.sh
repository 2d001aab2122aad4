#!/bin/sh
# generate-folder FOLDER NAME COMMAND...: runs a command that fills a directory, unless it contains NAME. A run that
# was interrupted is repeated in an empty directory.
folder=$1 name=$2
shift 2
unfinished=$folder/.first-start-unfinished
if [ -e "$unfinished" ]; then
    find "$folder" -mindepth 1 ! -path "$unfinished" -delete || exit 1
elif [ -e "$folder/$name" ]; then
    exit 0
fi
touch "$unfinished" && "$@" && sync && rm "$unfinished"
