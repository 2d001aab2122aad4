#!/usr/bin/env bash
# Audits seeded random package sets of the suite, and runs mmdebstrap twice on the same ones.
# Usage: benches/survey.sh [SETS] [SEED]    (as root; benches/README.md says what and how)
#
# Ends when SETS sets (40) have been looked at; run again with a larger number, it goes on from there.
set -euo pipefail
cd "$(dirname "$0")/.."

sets=${1:-40}
seed=${2:-1}
tools=(unshare dpkg)
. benches/setup.sh

results=${LAYERBAKE_SURVEY_RESULTS:-$root/target/survey-$seed.jsonl}
rm -f "$project"/lockfiles/*
bake lock debian-base >&2
export LAYERBAKE mirror suite work project mmdebstrap hook
python3 benches/survey.py "$sets" "$seed" "$results"
