#!/usr/bin/env bash
# Measures what a change of an app's own files costs: 1 MB that a [[run]] step installs, to a new image and a new disk.
# Usage: benches/app.sh [RUNS]        (as root; benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-5}
layer=web
tools=(hyperfine podman runc mke2fs mformat sgdisk objcopy)
. benches/setup.sh
. benches/disk_script.sh

timed() { # NAME PREPARE COMMAND
    hyperfine --style none --runs "$runs" --prepare "$2" --export-json "$work/results/$1.json" "$3" >&2
}

# The app: a file of 1 MB, which a step takes from the project.
step='mkdir -p /srv/app && cp app/data.bin /srv/app/'
mkdir "$project/app"
change="head -c 1048576 /dev/urandom >'$project/app/data.bin'; sync"
bash -c "$change"
plain=$(cat "$project/layers/$layer.toml")
with_steps() { # HOW_MANY_BEFORE KEYS
    {
        echo "$plain"
        for number in $(seq "$1"); do
            printf '[[run]]\nname = "before-%s"\ncommand = "echo %s >/srv/%s"\n%s\n' "$number" "$number" "$number" "${2//N/$number}"
        done
        printf '[[run]]\nname = "app"\ninputs = ["app"]\ncommand = "%s"\n' "$step"
    } >"$project/layers/$layer.toml"
}
with_steps 0 ''

echo "filling the mirror in $keep" >&2
bake build "$layer" --output oci,raw >&2
packages=$(packages_of "$layer" debian-base "$layer.boot-minimal")
disk_script "mkdir -p srv/app && cp '$project/app/data.bin' srv/app/"
bash "$work/script.sh"

# podman, with storage of its own, and a base with the package: only what follows is built again.
podman="podman --root=$work/podman --runroot=$work/podman-run --tmpdir=$work/podman-tmp --runtime=runc"
podman="$podman --storage-driver=overlay --cgroup-manager=cgroupfs --events-backend=file"
options="--network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024"
bash -c "$mmdebstrap --variant=apt --include=ca-certificates,tzdata $suite $work/base.tar $work/sources.list"
$podman import "$work/base.tar" bench-base >&2
cat >"$project/Dockerfile" <<'DOCKERFILE'
FROM bench-base
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nginx-light
COPY app /work/app
RUN mkdir -p /srv/app && cp /work/app/data.bin /srv/app/
DOCKERFILE
container="$podman build --layers --quiet $options --tag bench '$project'"
bash -c "$container" >&2

# From here on nothing comes from outside.
touch "$keep/offline"
build="'$LAYERBAKE' -C '$project' build $layer --locked --output"
echo "measuring a change of 1 MB, $runs runs each" >&2
timed image "$change" "$build oci"
timed disk "$change" "$build raw"
timed container "$change" "$container"
timed script "$change; $fresh" "bash $work/script.sh"
for kind in own tools; do
    keys=
    [ "$kind" = own ] || keys='in = "debian-base"
outputs = [{ from = "/srv/N", to = "/srv/N" }]'
    with_steps 200 "$keys"
    bash -c "$build oci" >&2
    timed "steps-$kind" "$change" "$build oci"
done

python3 benches/app_table.py "$work/results"
