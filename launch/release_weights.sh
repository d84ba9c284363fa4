#!/usr/bin/env bash
# Train, score and package the released models, `ae` and `cgan`, with the same number of images each.
#
#   bash launch/release_weights.sh [DATA] [WORK]     by default cifar10 and runs/release
#
# Runs launch/reproduce.sh (see there for its stages and variables), and then writes WORK/weights/NAME, the released
# models for colornet/weights/NAME: those of seed RELEASE (default: the first of SEEDS).
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh benchmarks

data=${1:-cifar10}
work=${2:-runs/release}
export SEEDS=${SEEDS:-0}
seed=${RELEASE:-${SEEDS%% *}}

bash launch/reproduce.sh "$data" "$work"
for name in ae cgan; do
    if [ -e "$work/weights/$name" ]; then
        echo "$work/weights/$name exists already: remove it to create it again."
    else
        "$python" -m benchmarks release "$work/$name-$seed" --name "$name" --data "$data" \
            --quality "$work/quality/quality.json" --out "$work/weights/$name"
    fi
done
