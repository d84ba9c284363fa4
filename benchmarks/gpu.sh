#!/usr/bin/env bash
# Everything that needs a GPU, in stages of a few minutes that can be repeated:
#
#   bash benchmarks/gpu.sh DATA WORK [STAGE ...]     DATA: a folder of CIFAR-10 images, or cifar10
#
# WORK keeps runs and results; a stage resumes from what it finds there. The stages, all of them unless named:
#   evaluators       the evaluator networks: cifar10-v1 with three seeds and cifar10-dev, from scratch
#   ceiling          how colorful images were, told from their gray versions by a large network
#   train            ae and cgan at full width, three seeds each, side by side
#   validate         whether the evaluators see color, on validation images: before any of them is taken over
#   notebook-ae      the original notebooks' autoencoder, three seeds, as many images
#   notebook-cgan    their GAN, three seeds, as many images
#   throughput       training and inference of all presets against the notebook pipeline
#   roofline-PRESET  the step at large batches against the least time of its layers; ae, cgan, notebook-ae or notebook-cgan
#   batch-PRESET     its largest batch, with and without activation checkpointing
#   precision        the curves of ae and cgan in fp32, bf16 and compiled, two seeds each; repeat until all are finished
#   speedrun         the notebooks' autoencoder for 20 epochs, then ours until it is as good, five seeds, on validation images
#   distributed      DDP with compiled networks in bf16: over NCCL on all GPUs, 200 steps; two processes on one GPU over gloo
#   scaling          training on all GPUs of the machine, and what to expect of more
#   growth           training against the number of images, in memory and streamed; 15 GB of disk for a while
#   ablation         variants of the recipe on validation images, one seed; repeat until all are finished
#   quality          all trained runs on the test images, with the evaluators as shipped
#   report           one page of it all
# A stage that fails is named at the end, with exit code 1; the stages after it are run.
# Results are WORK/*.json, WORK/*.log, WORK/quality/, WORK/report/ and WORK/weights.tar (the models, without checkpoints).
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 work=$2
shift 2
stages=("${@:-evaluators ceiling train validate notebook-ae notebook-cgan throughput roofline-ae roofline-cgan roofline-notebook-ae
    roofline-notebook-cgan batch-ae batch-cgan batch-notebook-ae batch-notebook-cgan precision speedrun distributed scaling
    growth ablation quality report}")
python=${COLORNET_PYTHON:-python3}
limit=${STAGE_SECONDS:-460} # of a training stage; repeat the stage where that was too short
epochs=${EPOCHS:-16}
runs=$work/runs
mkdir -p "$work"
export OMP_NUM_THREADS=2

side_by_side() { # waits for all jobs started in the background, fails if one did
    local failed=0 job
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}

train() { # PRESET [OPTION ...]: three seeds
    local preset=$1 seed
    shift
    for seed in 0 1 2; do
        timeout "$limit" "$python" -m colornet.train "$preset" --data "$data" --epochs "$epochs" --eval-every 4 \
            --seed "$seed" --resume auto --run-dir "$runs/$preset-$seed" "$@" > "$work/$preset-$seed.log" 2>&1 &
        jobs+=($!)
    done
}

bench() { # SECONDS COMMAND OUT [OPTION ...]: for at most that long, 0 for no limit, unless WORK/OUT is there
    local seconds=$1 command=$2 out=$work/$3
    shift 3
    [ -e "$out" ] || timeout "$seconds" "$python" -m benchmarks "$command" --data "$data" "$@" --out "$out"
}

# Decode or download once, before several processes want to.
"$python" -c "import sys; from colornet.data import load_dataset; load_dataset(sys.argv[1], image_size=32)" "$data"

run_stage() { # STAGE
    local stage=$1 option preset processes first gpus link
    jobs=()
    case $stage in
        evaluators)
            for seed in 0 1 2; do
                bench 0 evaluator "v1-$seed" --name v1 --widths 64 256 256 --epochs 40 --seed "$seed" &
                jobs+=($!)
            done
            bench 0 evaluator dev --name dev --widths 32 64 128 --epochs 20 --seed 100 &
            jobs+=($!)
            side_by_side
            ;;
        ceiling) bench "$limit" ceiling ceiling.json --widths 128 512 512 --epochs 40 ;;
        train)
            train ae
            train cgan
            side_by_side || tail -qn 1 "$work"/*.log
            ;;
        validate)
            bench 0 validate validation --images 1000 --runs "$runs"/{ae,cgan}-[0-9] \
                --evaluators "$work"/v1-*/cifar10-v1.json "$work/dev/cifar10-dev.json"
            ;;
        notebook-ae | notebook-cgan)
            train "$stage"
            side_by_side || tail -qn 1 "$work/$stage"*.log
            ;;
        throughput)
            for preset in ae cgan notebook-ae notebook-cgan; do
                bench 0 throughput "throughput-$preset.json" --presets "$preset" --batch-sizes 64 256 1024 \
                    --precisions no bf16 --compile off on
            done
            ;;
        roofline-*)
            bench "$limit" throughput "$stage.json" --presets "${stage#roofline-}" --batch-sizes 1024 4096 \
                --precisions bf16 --compile on --roofline
            ;;
        batch-*)
            for option in no-activation-checkpointing activation-checkpointing; do
                bench "$((limit / 2))" throughput "$stage-$option.json" --presets "${stage#batch-}" --batch-sizes 64 \
                    --precisions bf16 --compile off --steps 5 --warmup 1 --no-notebook-pipeline --find-batch \
                    --batch-granularity 512 "--$option"
            done
            ;;
        precision)
            timeout "$limit" "$python" -m benchmarks ablation --plan benchmarks/ablation/precision.json --data "$data" --seeds 0 1 \
                --epochs 2 --jobs 6 --out "$work/precision" || echo "not finished: repeat the stage"
            ;;
        speedrun)
            bench "$limit" speedrun speedrun.json --notebook-epochs "${NOTEBOOK_EPOCHS:-20}" --seeds 5 \
                --epochs "${RACE_EPOCHS:-10}" --batch-size 512 --lr 2e-3 --eval-steps 44
            ;;
        distributed)
            first=${CUDA_VISIBLE_DEVICES:-0}
            for preset in ae cgan; do
                timeout "$((limit / 2))" "$python" -m torch.distributed.run --nproc-per-node gpu -m colornet.train \
                    "$preset" --data "$data" --max-steps 200 --compile on --mixed-precision bf16 --resume auto \
                    --run-dir "$work/distributed/$preset" 2>&1 | tee "$work/distributed-$preset.log"
                # Two processes share the first GPU, over gloo, and one sees the same batches.
                for processes in 1 2; do
                    CUDA_VISIBLE_DEVICES=${first%%,*} timeout "$((limit / 4))" "$python" \
                        -m torch.distributed.run --nproc-per-node "$processes" -m colornet.train "$preset" --data "$data" \
                        --max-steps 100 --compile on --mixed-precision bf16 --resume auto \
                        --run-dir "$work/distributed/$preset-shared-$processes" 2>&1 |
                        tee "$work/distributed-$preset-shared-$processes.log"
                done
            done
            ;;
        scaling)
            gpus=$("$python" -c "import torch; print(*range(1, torch.cuda.device_count() + 1))")
            link=(--link-bandwidth 50 --link-latency 10) # assumed where one GPU measures none
            [ "$gpus" = 1 ] || link=()
            # shellcheck disable=SC2086  # numbers
            bench "$limit" scaling scaling.json --processes $gpus --batch-sizes 256 512 1024 "${link[@]}"
            ;;
        growth)
            bench "$limit" growth growth.json --width 64 --batch-size 256 --rounds 2 --scratch "$work/growth"
            rm -rf "$work/growth"
            ;;
        ablation)
            timeout "$limit" "$python" -m benchmarks ablation --data "$data" --epochs "${ABLATION_EPOCHS:-4}" --jobs 6 \
                --out "$work/ablation" || echo "not finished: repeat the stage"
            ;;
        quality)
            "$python" -m benchmarks quality "$runs"/*-[0-9] --out "$work/quality"
            tar -cf "$work/weights.tar" -C "$runs" --exclude checkpoints .
            ;;
        report) "$python" -m benchmarks report "$work" --out "$work/report" ;;
        *)
            echo "error: there is no stage '$stage'; this file's first lines name them." >&2
            exit 2
            ;;
    esac
}

failed=()
for stage in ${stages[*]}; do
    echo "== $stage"
    set +e # a subshell with its own -e: bash ignores -e in what stands before ||
    (
        set -e
        run_stage "$stage"
    )
    code=$?
    set -e
    [ "$code" = 0 ] || failed+=("$stage ($code)")
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "error: failed, with these exit codes: ${failed[*]}; their output is above and in $work/*.log." >&2
    exit 1
fi
