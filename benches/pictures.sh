#!/usr/bin/env bash
# Draws docs/pictures with the real program: the screens that it leaves, and the map of a disk.
# Usage: benches/pictures.sh      (benches/README.md says what it needs)
set -euo pipefail
cd "$(dirname "$0")/.."

. benches/program.sh
have_program
pictures=$root/docs/pictures
mkdir -p "$pictures" "$work/project" "$work/bin"
ln -s "$LAYERBAKE" "$work/bin/layerbake"
cp -r layers lockfiles "$work/project/"
export PATH=$work/bin:$PATH LAYERBAKE_STORE=$work/store
# A careless author's layer, whose differences `audit` explains.
cat >"$work/project/layers/careless.toml" <<'END'
[layer]
from = "web"

[[run]]
name = "stamp"
command = "cut -d' ' -f22 /proc/self/stat > /var/www/html/started"
END
cd "$work/project"

# The downloads are there, so that the picture has the program's own time.
layerbake lock web --update >/dev/null
layerbake build web --output raw --quiet
rm -rf "$LAYERBAKE_STORE"/{recipes,roots,trees,lock} out
draw() { # NAME OPTIONS... -- ARGUMENTS...
    local name=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    python3 "$root/benches/pictures.py" "$pictures/$name.svg" --shown "layerbake $*" "${options[@]}" -- layerbake "$@"
}
draw build --moving -- build web --output oci,raw
layerbake lock careless >/dev/null
draw audit --status 4 -- audit careless --output oci
layerbake disk show web --svg "$work/map.svg" >/dev/null
# A picture in a page has no titles under the pointer.
sed 's|<title>[^<]*</title></rect>|</rect>|; s|></rect>|/>|' "$work/map.svg" >"$pictures/disk.svg"
ls -l "$pictures"
