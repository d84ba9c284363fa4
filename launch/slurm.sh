#!/usr/bin/env bash
# Train on the GPUs of several machines under Slurm. Submit it from the root of the project, on a file system that all
# machines share, as --run-dir must be:
#
#   sbatch launch/slurm.sh cgan --run-dir runs/cgan [OPTION ...]
#   sbatch --nodes 4 --gpus-per-node 4 --time 2:00:00 launch/slurm.sh cgan --run-dir runs/cgan
#
# Options of sbatch before the script replace those that follow; partition and account are your cluster's.
#SBATCH --job-name=colornet
#SBATCH --nodes=2
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
# Three minutes before the end: a checkpoint, and the job is queued again.
#SBATCH --signal=TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#
# Variables: COLORNET_PYTHON is an interpreter that has colornet (default: .venv/bin/python, which launch/quickstart.sh
# makes). PROCESSES_PER_NODE replaces the number of GPUs: on machines that have none, remove --gpus-per-node above and
# add --cpu to the options. Where the names of the machines do not lead to the network that joins them,
# GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME say which interface does.
set -euo pipefail

python=${COLORNET_PYTHON:-.venv/bin/python}
nodes=$SLURM_JOB_NUM_NODES
per_node=${PROCESSES_PER_NODE:-${SLURM_GPUS_ON_NODE:?the job has no GPUs; ask for some, or set PROCESSES_PER_NODE}}
processes=$((nodes * per_node))
cpus=${SLURM_CPUS_PER_TASK:-$per_node}
set -- "$@" --resume auto

# A launcher wraps a mistake into a traceback of its own: look for mistakes first, and learn where the run will be.
config=$(WORLD_SIZE=$processes "$python" -m colornet.train "$@" --dry-run)
run_dir=$("$python" -c 'import json, sys; print(json.load(sys.stdin)["run_dir"])' <<< "$config")
rm -f "$run_dir/preempted" # of an earlier job: the marker that counts below is left by this one

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
main_host=${hosts%%$'\n'*}
main_port=$((20000 + SLURM_JOB_ID % 10000)) # jobs that share a machine must not share a port
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cpus > per_node ? cpus / per_node : 1))}
# How long a launcher leaves the processes for their last checkpoint (older ones know only 30 seconds).
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-150}

trap : TERM # some clusters send it to this script, too, which must live to queue the job again
code=0
# One task a machine, which starts `accelerate launch` there: the launch file, the processes and the messages are those
# of a start by hand, and each process sees all GPUs of its machine, whatever the cluster binds to tasks. A task that
# fails ends the others, which would wait for it.
# shellcheck disable=SC2016  # $SLURM_NODEID is known on each machine only
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="$cpus" --kill-on-bad-exit=1 \
    bash -c 'exec "$0" -m accelerate.commands.launch --machine_rank "$SLURM_NODEID" "$@"' "$python" \
    --config_file launch/accelerate/multi_machine.yaml --num_machines "$nodes" --num_processes "$processes" \
    --main_process_ip "$main_host" --main_process_port "$main_port" -m colornet.train "$@" || code=$?

# The launcher turns the processes' exit code 75 into 1; the marker says that they were stopped and want to go on.
if [ -e "$run_dir/preempted" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
