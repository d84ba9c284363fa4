#!/usr/bin/env bash
# Our speed and quality beside those of the original notebooks' own network, on one CPU core, in stages that can be repeated:
#
#   bash benchmarks/cpu.sh DATA WORK [STAGE ...]     DATA: a folder of CIFAR-10 images, or cifar10
#
# WORK keeps runs and results, and a stage resumes from what it finds there. The stages, all of them unless named:
#   notebook-ae  the original notebooks' autoencoder at its own width, one epoch
#   ae           ours, small, three seeds of one epoch
#   quality      both on the test images, from the same gray
#   throughput   our training against the notebook pipeline at its own width, with rooflines
#   profile      which operations a step of ours is made of, in fp32 and bf16
#   precision    the curves of ae and cgan in fp32, bf16 and compiled, two seeds each
#   speedrun     two epochs of the notebook pipeline, then ours until its error is as low: takes hours
#   to-quality   the cGAN until e is 0.25 on two cores: the recipe of the tables and faster ones, five seeds; takes hours
# Results are WORK/*.json, WORK/quality/ and WORK/precision/. An epoch of the
# notebooks' network takes half an hour, the rest minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 work=$2
shift 2
stages=("${@:-notebook-ae ae quality throughput profile precision speedrun to-quality}")
python=${COLORNET_PYTHON:-python3}
runs=$work/runs
mkdir -p "$work"
export OMP_NUM_THREADS=1

train() { # PRESET NAME [OPTION ...]
    local preset=$1 name=$2
    shift 2
    "$python" -m colornet.train "$preset" --data "$data" --cpu --batch-size 64 --epochs 1 --resume auto \
        --run-dir "$runs/$name" "$@"
}

for stage in ${stages[*]}; do
    echo "== $stage"
    case $stage in
        notebook-ae) train notebook-ae notebook-ae-full-0 --mixed-precision auto ;; # its preset's fp32 takes twice as long
        ae) for seed in 0 1 2; do train ae "ae-$seed" --width 16 --blocks 1 --seed "$seed"; done ;;
        quality)
            [ -e "$work/quality/quality.json" ] || "$python" -m benchmarks quality "$runs"/ae-? "$runs/notebook-ae-full-0" \
                --data "$data" --cpu --out "$work/quality"
            ;;
        throughput)
            [ -e "$work/throughput.json" ] || "$python" -m benchmarks throughput --presets ae --width 16 --blocks 1 \
                --notebook-width 64 --batch-sizes 64 --precisions no bf16 --compile off --roofline --data "$data" \
                --notebook-steps 5 --cpu --out "$work/throughput.json"
            ;;
        profile)
            for precision in no bf16; do
                [ -e "$runs/profile-$precision" ] || train ae "profile-$precision" --width 16 --blocks 1 \
                    --mixed-precision "$precision" --profile --max-steps 17
                cp "$runs/profile-$precision"/profile/operations-*.json "$work/profile-$precision.json"
            done
            ;;
        precision)
            "$python" -m benchmarks ablation --plan benchmarks/ablation/precision.json --data "$data" --cpu --seeds 0 1 --epochs 1 \
                --width 16 --discriminator-width 16 --blocks 1 --batch-size 64 --out "$work/precision"
            ;;
        speedrun)
            [ -e "$work/speedrun.json" ] || "$python" -m benchmarks speedrun --split test --data "$data" --cpu \
                --notebook-epochs 2 --seeds 5 --width 16 --blocks 1 --batch-size 64 --mixed-precision no --epochs 20 \
                --lr 2e-3 --lr-schedule constant --warmup-steps 10 --eval-steps 200 --out "$work/speedrun.json"
            ;;
        to-quality) # it continues after an interruption
            size="--width 16 --discriminator-width 16 --blocks 1"
            [ -e "$work/to-quality.json" ] || "$python" -m benchmarks speedrun --to-quality 0.25 --data "$data" --cpu \
                --seeds 5 --eval-images 11250 --out "$work/to-quality.json" --recipes \
                "present: cgan $size --batch-size 64 --epochs 6 --threads 2" \
                "two processes: cgan $size --batch-size 64 --epochs 6 --threads 1 --processes 2" \
                "three epochs: cgan $size --batch-size 64 --epochs 3 --threads 2" \
                "batch 32: cgan $size --batch-size 32 --epochs 3 --threads 2" \
                "batch norm: cgan $size --batch-size 64 --epochs 3 --norm batch --threads 2" \
                "slower generator: cgan $size --batch-size 64 --epochs 3 --lr 1.2e-4 --threads 2"
            ;;
        *)
            echo "error: there is no stage '$stage'; this file's first lines name them." >&2
            exit 2
            ;;
    esac
done
