#!/usr/bin/env bash
# Everything that needs a GPU, in calls and stages that can be repeated:
#
#   bash benchmarks/gpu.sh DATA WORK [1|2|3|STAGE ...]     DATA: a folder of CIFAR-10 images, or cifar10
#
# WORK keeps runs and results; a call or a stage resumes from what it finds there. 1, 2 and 3 are calls of at most
# CALL_SECONDS (570) each, the most valuable first; without any, all calls and then all other stages run, with no limit.
# Call 1: environment, agreement-PRESET and roofline-PRESET. Call 2: distributed, resume, speedrun, to-quality. Call 3:
# train, quality. Each ends with a table of its stages and with WORK/out: a few files of at most 16 MB to take along.
# The stages:
#   environment      commit, versions, driver and card
#   agreement-PRESET whether steps in bf16, compiled and as one CUDA graph compute what plain ones do
#   roofline-PRESET  the step, plain and as one CUDA graph, at large batches against the least time of its layers
#   distributed      DDP with compiled networks in bf16: over NCCL on all GPUs, 200 steps; two processes on one GPU over gloo
#   resume           a run that is stopped and resumed beside one that is not, compiled and in bf16
#   speedrun         the notebooks' autoencoder for 20 epochs, then ours until it is as good, five seeds, on validation images
#   to-quality       cgan until e is 0.15, with plain and with whole steps, five seeds
#   train            all presets but the notebooks' at full width, three seeds each, side by side
#   quality          all trained runs on the test images, with the evaluators as shipped
#   evaluators       the evaluator networks: cifar10-v2 with three seeds and cifar10-v2-dev, from scratch
#   ceiling          how colorful images were, told from their gray versions by a large network
#   validate         whether the evaluators see color, on validation images: before any of them is taken over
#   notebook-ae      the original notebooks' autoencoder, three seeds, as many images
#   notebook-cgan    their GAN, three seeds, as many images
#   throughput       training and inference of all presets against the notebook pipeline
#   batch-PRESET     its largest batch, with and without activation checkpointing
#   precision        the curves of ae and cgan in fp32, bf16 and compiled, two seeds each; repeat until all are finished
#   scaling          training on all GPUs of the machine, and what to expect of more
#   growth           training against the number of images, in memory and streamed; 15 GB of disk for a while
#   ablation         variants of the recipe on validation images, one seed; repeat until all are finished
#   report           one page of it all
# A stage that fails or runs out of time is named at the end, with exit code 1; the stages after it are run.
# SMALL=1 runs the same commands on a CPU at tiny sizes; PRESETS and SEEDS choose what is trained.
# Results are WORK/*.json, WORK/*.log, WORK/quality/, WORK/report/ and WORK/weights.tar (the models, without checkpoints).
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 work=$2
shift 2
calls=("${@:-all}")
python=${COLORNET_PYTHON:-python3}
limit=${STAGE_SECONDS:-460} # of a training stage; repeat the stage where that was too short
epochs=${EPOCHS:-16}
runs=$work/runs out=$work/out
mkdir -p "$out"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
deadline=0 # of the current call, in seconds of this script; 0: none
presets=${PRESETS:-$("$python" -c "from colornet.config import PRESETS; print(*(n for n in PRESETS if 'notebook' not in n))")}
small='' few_variants=() few_steps=() few_pixels=() smallest=() on_cpu=()
if [ -n "${SMALL:-}" ]; then
    small='--width 8 --discriminator-width 8 --blocks 1 --batch-size 8 --compile off --mixed-precision no --warmup-steps 0'
    on_cpu=(--cpu)
    few_variants=(--variants bf16 "fp32 whole step" --batch-size 8 --width 8 --blocks 1 --image-size 16 --cpu)
    few_pixels=(--width 8 --blocks 1 --batch-size 8 --mixed-precision no --notebook-width 8 --image-size 16 --cpu)
    few_steps=(--batch-sizes 8 --precisions no --compile off --steps 1 --warmup 0 --notebook-steps 1 --no-memory)
    few_steps+=(--width 8 --blocks 1 --image-size 16 --cpu)
    read -ra smallest <<< "$small --image-size 16 --cpu"
fi

within() { # SECONDS COMMAND ...: for at most that long, 0 for no limit of its own, and not beyond the end of the call
    local most=$1
    shift
    if [ "$deadline" -gt 0 ]; then
        local rest=$((deadline - SECONDS))
        [ "$rest" -gt 0 ] || { echo "no time is left in this call" >&2; return 124; }
        [ "$most" -gt 0 ] && [ "$most" -lt "$rest" ] || most=$rest
    fi
    timeout -k 10 "$most" "$@"
}

side_by_side() { # waits for all jobs started in the background, fails if one did
    local failed=0 job
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}

train() { # PRESET [OPTION ...]: all seeds
    local preset=$1 seed
    shift
    for seed in ${SEEDS:-0 1 2}; do
        within "$limit" "$python" -m colornet.train "$preset" --data "$data" --epochs "$epochs" --eval-every 4 \
            --seed "$seed" --resume auto --run-dir "$runs/$preset-$seed" "${smallest[@]}" "$@" \
            > "$work/$preset-$seed.log" 2>&1 &
        jobs+=($!)
    done
}

finished() { # fails unless all runs of the presets have a model card: a repeated call goes on with them
    local preset seed
    for preset in $presets; do
        for seed in ${SEEDS:-0 1 2}; do [ -e "$runs/$preset-$seed/README.md" ] || return 124; done
    done
}

steps_of() { # NAME PRESET STEPS: train to that step, from where the run of that name is
    within "$((limit / 4))" "$python" -m colornet.train "$2" --data "$data" --max-steps "$3" --compile on \
        --mixed-precision bf16 --resume auto --run-dir "$work/resume/$1" "${smallest[@]}" > "$work/resume-$1.log" 2>&1
}

launched() { # NAME PROCESSES PRESET [OPTION ...]
    local name=$1 processes=$2
    shift 2
    within "$((limit / 4))" "$python" -m torch.distributed.run --nproc-per-node "$processes" -m colornet.train "$@" \
        --data "$data" --compile on --mixed-precision bf16 --resume auto --run-dir "$work/distributed/$name" \
        "${smallest[@]}" > "$work/$name.log" 2>&1
}

count_gpus() { # 1 2 … up to their number, and 1 without any
    "$python" -c "import torch; print(*range(1, max(1, torch.cuda.device_count()) + 1))"
}

bench() { # SECONDS COMMAND OUT [OPTION ...]: for at most that long, 0 for no limit, unless WORK/OUT is there
    local seconds=$1 command=$2 result=$work/$3
    shift 3
    [ -e "$result" ] || within "$seconds" "$python" -m benchmarks "$command" --data "$data" "$@" --out "$result"
}

stages_of() { # CALL: the stages of 1, 2, 3 or all; a stage is itself
    local preset
    case $1 in
        1)
            echo environment
            for preset in notebook-ae $presets; do echo "agreement-$preset roofline-$preset"; done
            ;;
        2) echo distributed resume speedrun to-quality report ;;
        3) echo train quality report ;;
        all)
            stages_of 1
            echo distributed resume speedrun to-quality evaluators ceiling train validate notebook-ae notebook-cgan
            echo throughput agreement-notebook-cgan roofline-notebook-cgan
            for preset in notebook-ae notebook-cgan $presets; do echo "batch-$preset"; done
            echo precision scaling growth ablation quality report
            ;;
        *) echo "$1" ;;
    esac
}

take_along() { # CALL: few and small files with what was found
    cp "$work/call-$1.md" "$out/"
    tar -czf "$out/results.tar.gz" --exclude out --exclude runs --exclude '*.tar' --exclude '*.safetensors' \
        --exclude '*.pt' --exclude resume --exclude distributed -C "$work" .
    [ ! -d "$runs" ] || find "$runs" \( -name metrics.jsonl -o -name provenance.json -o -name config.json \) -printf '%P\n' |
        tar -czf "$out/curves.tar.gz" -C "$runs" -T -
    local page
    for page in html md; do [ ! -e "$work/report/report.$page" ] || cp "$work/report/report.$page" "$out/"; done
    find "$out" -type f -size +16000k -printf 'left out, more than 16 MB: %p\n' -delete
}

run_stage() { # STAGE
    local stage=$1 option preset processes steps first gpus link
    jobs=()
    case $stage in
        evaluators)
            for seed in 0 1 2; do
                bench 0 evaluator "v2-$seed" --name v2 --widths 64 256 256 --epochs 40 --seed "$seed" &
                jobs+=($!)
            done
            bench 0 evaluator v2-dev --name v2-dev --widths 32 64 128 --epochs 20 --seed 100 &
            jobs+=($!)
            side_by_side
            ;;
        ceiling) bench "$limit" ceiling ceiling.json --widths 128 512 512 --epochs 40 ;;
        train)
            for preset in $presets; do train "$preset"; done
            side_by_side || tail -qn 1 "$work"/*.log
            finished
            ;;
        validate)
            bench 0 validate validation --images 1000 --runs "$runs"/{ae,cgan}-[0-9] \
                --evaluators "$work"/v2-*/cifar10-v2.json "$work/v2-dev/cifar10-v2-dev.json"
            ;;
        notebook-ae | notebook-cgan)
            train "$stage"
            side_by_side || tail -qn 1 "$work/$stage"*.log
            ;;
        environment)
            { git rev-parse HEAD && "$python" -c "from torch.utils.collect_env import main; main()"; } > "$work/environment.txt" 2>&1
            ;;
        agreement-*)
            bench "$((limit / 3))" agreement "$stage.json" --presets "${stage#agreement-}" "${few_variants[@]}"
            ;;
        throughput)
            for preset in ae cgan notebook-ae notebook-cgan; do
                bench 0 throughput "throughput-$preset.json" --presets "$preset" --batch-sizes 64 256 1024 \
                    --precisions no bf16 --compile off on
            done
            ;;
        roofline-*)
            bench "$limit" throughput "$stage.json" --presets "${stage#roofline-}" --modes train --batch-sizes 1024 4096 \
                --precisions bf16 --compile on --whole-steps off on --roofline "${few_steps[@]}"
            ;;
        batch-*)
            for option in no-activation-checkpointing activation-checkpointing; do
                bench "$((limit / 2))" throughput "$stage-$option.json" --presets "${stage#batch-}" --batch-sizes 64 \
                    --precisions bf16 --compile off --steps 5 --warmup 1 --no-notebook-pipeline --find-batch \
                    --batch-granularity 512 "--$option"
            done
            ;;
        precision)
            within "$limit" "$python" -m benchmarks ablation --plan benchmarks/ablation/precision.json --data "$data" --seeds 0 1 \
                --epochs 2 --jobs 6 --out "$work/precision" || echo "not finished: repeat the stage"
            ;;
        speedrun)
            bench "$limit" speedrun speedrun.json --notebook-epochs "${NOTEBOOK_EPOCHS:-20}" --seeds "${RACE_SEEDS:-5}" \
                --epochs "${RACE_EPOCHS:-10}" --batch-size 512 --lr 2e-3 --eval-steps 44 "${few_pixels[@]}"
            ;;
        to-quality)
            bench "$limit" speedrun to-quality.json --to-quality 0.15 --seeds "${RACE_SEEDS:-5}" --eval-images 22500 \
                --recipes "plain: cgan --epochs 10 $small" "whole step: cgan --epochs 10 --whole-step $small" "${on_cpu[@]}"
            ;;
        distributed)
            first=${CUDA_VISIBLE_DEVICES:-0}
            gpus=$(count_gpus)
            for preset in $presets; do
                launched "distributed-$preset" "${gpus##* }" "$preset" --max-steps "${STEPS:-200}"
                # Two processes share the first GPU, over gloo, and one sees the same batches.
                for processes in 1 2; do
                    CUDA_VISIBLE_DEVICES=${first%%,*} launched "shared-$preset-$processes" "$processes" "$preset" \
                        --max-steps "${STEPS:-100}"
                done
            done
            ;;
        resume)
            # Stopped half-way and resumed, compiled and in bf16, beside a run without a stop.
            for preset in $presets; do
                for steps in $((${STEPS:-80} / 2)) "${STEPS:-80}"; do
                    steps_of "resumed-$preset" "$preset" "$steps"
                done
                steps_of "whole-$preset" "$preset" "${STEPS:-80}"
            done
            # shellcheck disable=SC2086  # names
            "$python" benchmarks/agreement/runs.py "$work" $presets | tee "$work/resume.txt"
            ;;
        scaling)
            gpus=$(count_gpus)
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
            within "$limit" "$python" -m benchmarks ablation --data "$data" --epochs "${ABLATION_EPOCHS:-4}" --jobs 6 \
                --out "$work/ablation" || echo "not finished: repeat the stage"
            ;;
        quality)
            rm -rf "$work/quality" # of fewer or shorter runs
            within 0 "$python" -m benchmarks quality "$runs"/*-[0-9] --out "$work/quality" "${on_cpu[@]}"
            tar -cf "$work/weights.tar" -C "$runs" --exclude checkpoints .
            ;;
        report)
            rm -rf "$work/report" # of fewer results
            within 0 "$python" -m benchmarks report "$work" --out "$work/report"
            ;;
        *)
            echo "error: there is no stage '$stage'; this file's first lines name them." >&2
            exit 2
            ;;
    esac
}

# Decode or download once, before several processes want to.
"$python" -c "import sys; from colornet.data import load_dataset; load_dataset(sys.argv[1], image_size=32)" "$data"

failed=()
for call in "${calls[@]}"; do
    deadline=0
    case $call in [123]) deadline=$((SECONDS + ${CALL_SECONDS:-570} - 20)) ;; esac # 20: for the table and WORK/out
    case $call in
        [123] | all) table=$work/call-$call.md ;;
        *) table=/dev/null ;; # a single stage
    esac
    printf '| stage | result | seconds |\n| --- | --- | ---: |\n' > "$table"
    for stage in $(stages_of "$call"); do
        echo "== $stage"
        begun=$SECONDS
        set +e # a subshell with its own -e: bash ignores -e in what stands before ||
        (
            set -e
            run_stage "$stage"
        )
        code=$?
        set -e
        result='done'
        if [ "$code" = 124 ]; then result="out of time: repeat the call"; elif [ "$code" != 0 ]; then result="exit code $code"; fi
        [ "$code" = 0 ] || failed+=("$stage ($code)")
        printf '| %s | %s | %d |\n' "$stage" "$result" "$((SECONDS - begun))" >> "$table"
    done
    [ "$table" = /dev/null ] || take_along "$call"
    cat "$table"
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "error: failed, with these exit codes: ${failed[*]}; their output is above and in $work/*.log." >&2
    exit 1
fi
