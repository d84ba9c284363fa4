#!/usr/bin/env bash
# Train under Slurm, by default on one GPU of one machine. Submit this script from the root of the project, where .venv
# holds colornet. The project and --run-dir must be on a file system that all machines share:
#
#   sbatch launch/slurm.sh cgan --run-dir runs/cgan [OPTION ...]
#   sbatch --array 0-2 launch/slurm.sh cgan --seed %a --run-dir runs/cgan-%a      three runs; %a is the number of each
#   sbatch --nodes 4 --gpus-per-node 4 --cpus-per-task 32 --time 2:00:00 launch/slurm.sh cgan --run-dir runs/cgan
#
# Options of sbatch before the script's name replace those below. Partition and account depend on your cluster.
# docs/clusters.md has the commands before and after it.
#SBATCH --job-name=colornet
#SBATCH --nodes=1
#SBATCH --gpus-per-node=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
# Three minutes before the time limit, the run writes a checkpoint and the job is queued again. "B:": this script gets the
# signal and passes it on, so that it knows of it even if the run has not made its first step.
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#
# Variables:
#   COLORNET_PYTHON      interpreter with colornet (default: .venv/bin/python, which launch/quickstart.sh creates)
#   PROCESSES_PER_NODE   replaces the number of GPUs; on machines without GPUs, also remove --gpus-per-node above and
#                        add --cpu to the options
#   GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME   network interface, if the machines' names do not resolve to the network
#                        that connects them
set -euo pipefail

stopped='' step=''
trap 'stopped=yes; [ -z "$step" ] || kill -TERM "$step" 2> /dev/null || true' TERM

python=${COLORNET_PYTHON:-.venv/bin/python}
nodes=$SLURM_JOB_NUM_NODES
per_node=${PROCESSES_PER_NODE:-${SLURM_GPUS_ON_NODE:?the job has no GPUs; ask for some, or set PROCESSES_PER_NODE}}
processes=$((nodes * per_node))
cpus=${SLURM_CPUS_PER_TASK:-$per_node}
set -- "${@//\%a/${SLURM_ARRAY_TASK_ID:-%a}}" --resume auto

# The launcher wraps an error into its own traceback, so check the options first, and read the run folder from them.
config=$(WORLD_SIZE=$processes "$python" -m colornet.train "$@" --dry-run)
run_dir=$("$python" -c 'import json, sys; print(json.load(sys.stdin)["run_dir"])' <<< "$config")
rm -f "$run_dir/preempted" # of an earlier job; the marker that is checked below must come from this job

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
main_host=${hosts%%$'\n'*}
main_port=$((20000 + SLURM_JOB_ID % 10000)) # jobs on the same machine must not use the same port
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cpus > per_node ? cpus / per_node : 1))}
# How long the launcher gives the processes for their last checkpoint (older launchers always use 30 seconds).
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-150}

# One task per machine, which runs `accelerate launch`. The launch file, the processes and the messages are those of a
# start by hand. Each process sees all GPUs of its machine, whatever the cluster binds to tasks. A task that fails ends
# the others, which would otherwise wait for it.
# shellcheck disable=SC2016  # $SLURM_NODEID is set on each machine only
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="$cpus" --kill-on-bad-exit=1 \
    bash -c 'exec "$0" -m accelerate.commands.launch --machine_rank "$SLURM_NODEID" "$@"' "$python" \
    --config_file launch/accelerate/multi_machine.yaml --num_machines "$nodes" --num_processes "$processes" \
    --main_process_ip "$main_host" --main_process_port "$main_port" -m colornet.train "$@" &
step=$!
[ -z "$stopped" ] || kill -TERM "$step" # the signal came before there was anything to stop
code=0
wait "$step" || code=$?
while kill -0 "$step" 2> /dev/null; do # a signal interrupts the wait
    code=0
    wait "$step" || code=$?
done

# The launcher turns the processes' exit code 75 into 1. The marker says that the run was stopped and can be resumed. A
# job that is stopped before its first step has none, but has not ended well either.
if [ -e "$run_dir/preempted" ] || { [ -n "$stopped" ] && [ "$code" != 0 ]; }; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
