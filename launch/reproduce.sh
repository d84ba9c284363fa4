#!/usr/bin/env bash
# Remake the table at the top of the README: train `ae` and `cgan`, score them on the test images, write the report.
#
#   bash launch/reproduce.sh [DATA] [WORK]     by default cifar10 and runs/reproduce
#
# DATA may also be a folder of images. Paths are relative to the root of the project. Stages:
#
#   train     WORK/ae-SEED, WORK/cgan-SEED     22 epochs each: 80 minutes on a CPU core
#   quality   WORK/quality                     scores on the test images: 30 minutes on a CPU core
#   report    WORK/page/report.html            the same as a page: seconds
#
# On a GPU, nothing has been measured with this version. If the script is started again, it resumes where it stopped and
# skips what is finished.
#
# Variables: SEEDS (default "0 1 2": a row is the mean over them), JOBS (trainings side by side, default 1: 2 for two
# cores), and WIDTH, BLOCKS, EPOCHS and BATCH, the size of network and training.
#
# What to expect is in benchmarks/README.md. On CIFAR-10 itself we have measured nothing: the table in the README is of
# a JPEG re-encoding.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh benchmarks

data=${1:-cifar10}
work=${2:-runs/reproduce}
read -ra seeds <<< "${SEEDS:-0 1 2}"

train() { # RUN
    echo "== train $1"
    local name=${1##*/}
    "$python" -m colornet.train "${name%-*}" --seed "${name##*-}" --data "$data" --width "${WIDTH:-32}" \
        --discriminator-width "${WIDTH:-32}" --blocks "${BLOCKS:-1}" --batch-size "${BATCH:-64}" \
        --epochs "${EPOCHS:-22}" --log-every 100 --eval-every 2 --resume auto --run-dir "$1"
}
export -f train
export python data

runs=("${seeds[@]/#/$work/ae-}" "${seeds[@]/#/$work/cgan-}")
# shellcheck disable=SC2016  # $0 is a run, in each of the new shells
printf '%s\0' "${runs[@]}" | xargs -0 -n 1 -P "${JOBS:-1}" bash -euc 'train "$0"'

if [ ! -e "$work/quality/quality.json" ]; then
    echo "== quality"
    "$python" -m benchmarks quality "${runs[@]}" --data "$data" --out "$work/quality"
fi
if [ ! -e "$work/page" ]; then
    echo "== report"
    "$python" -m benchmarks report "$work/quality" "${runs[@]}" --out "$work/page"
fi
echo "The table is in $work/quality/quality.md, the report is $work/page/report.html."
