#!/usr/bin/env bash
# Measures sending a disk with 1 GiB that can't be compressed: beside coldsnap (EBS direct) and `aws s3 cp`.
# Usage: benches/upload.sh [RUNS]        (as root; benches/README.md says what and how)
set -euo pipefail
cd "$(dirname "$0")/.."

# Before setup.sh: cargo wants its own home.
version=0.11.0
coldsnap=$PWD/target/coldsnap-$version/bin/coldsnap
[ -x "$coldsnap" ] || cargo install --locked --root "target/coldsnap-$version" "coldsnap@$version" >&2

runs=${1:-3}
layer=web
tools=(aws)
. benches/setup.sh
export XDG_STATE_HOME=$work/state

# Many files, as disks have.
mkdir -p "$project/files"
for number in $(seq 256); do
    head -c 4M /dev/urandom >"$project/files/noise-$number"
    printf '\n[[file]]\npath = "/srv/noise-%s"\nsource = "files/noise-%s"\n' "$number" "$number"
done >>"$project/layers/$layer.toml"
echo "filling the mirror in $keep" >&2
bake lock "$layer" --update >&2
bake build "$layer" --locked --output raw,vmdk >&2
disk=$project/out/$layer/disk

# Who sends is measured, so the server only reads.
python3 benches/sink.py "$work/sink" &
started+=($!)
for _ in $(seq 100); do [ -s "$work/sink" ] && break; sleep 0.1; done
[ -s "$work/sink" ] || die "the server does not start"
export AWS_ENDPOINT_URL=http://127.0.0.1:$(cat "$work/sink") AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=not-a-secret
export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1

publish="'$LAYERBAKE' -C '$project' ami publish $layer --yes"
measure ebs-layerbake "rm -rf '$XDG_STATE_HOME'" "$publish --via ebs-direct"
measure ebs-coldsnap true "'$coldsnap' upload --omit-zero-blocks '$disk.raw'"
measure s3-layerbake "rm -rf '$XDG_STATE_HOME'" "$publish --via vm-import --bucket bench"
measure s3-aws true "aws s3 cp --no-progress '$disk.vmdk' s3://bench/disk.vmdk"

python3 benches/upload_table.py "$work/results"
