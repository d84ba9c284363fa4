#!/usr/bin/env bash
# Train, score and package the released models, `ae` and `cgan`, with the same number of images each.
#
#   bash launch/release_weights.sh [DATA] [WORK]     by default cifar10 and runs/release
#
# DATA may also be a folder of images. Paths are relative to the root of the project.
# Writes WORK/ae and WORK/cgan (the runs), WORK/quality (scores on the test images) and WORK/weights/NAME (the released
# models, for colornet/weights/NAME). If it is started again, it resumes where it stopped and skips what is finished.
# Takes two to three hours on a CPU, less if `ae` and `cgan` are trained side by side. WIDTH, BLOCKS, EPOCHS and BATCH
# set the size of network and training.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh benchmarks

data=${1:-cifar10}
work=${2:-runs/release}

train() { # PRESET
    local preset=$1
    "$python" -m colornet.train "$preset" --data "$data" --width "${WIDTH:-32}" --discriminator-width "${WIDTH:-32}" \
        --blocks "${BLOCKS:-1}" --batch-size "${BATCH:-64}" --epochs "${EPOCHS:-22}" --log-every 100 --eval-every 2 \
        --resume auto --run-dir "$work/$preset"
}

train ae
train cgan
if [ ! -e "$work/quality/quality.json" ]; then
    "$python" -m benchmarks quality "$work/ae" "$work/cgan" --data "$data" --out "$work/quality"
fi
for name in ae cgan; do
    if [ -e "$work/weights/$name" ]; then
        echo "$work/weights/$name exists already: remove it to create it again."
    else
        "$python" -m benchmarks release "$work/$name" --name "$name" --data "$data" \
            --quality "$work/quality/quality.json" --out "$work/weights/$name"
    fi
done
