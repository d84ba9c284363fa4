#!/usr/bin/env bash
# Install colornet, train an AE and a cGAN on photographs that come with scikit-image, and compare them on held-out
# parts of these photographs. Needs neither data nor a GPU. Takes a few minutes on two cores after the installation.
#
#   bash launch/quickstart.sh [OPTION ...]     options are passed to both trainings, for example --epochs 30
#
# Writes to runs/quickstart, or runs/quickstart-2 and so on. Earlier results are never modified.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

# By default, the launcher gives each process one thread.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$("$python" -c 'import os; print(os.cpu_count())')}

out=runs/quickstart
number=1
while [ -e "$out" ]; do
    number=$((number + 1))
    out=runs/quickstart-$number
done

train() { # PRESET [OPTION ...]
    local preset=$1
    shift
    set -- "$preset" --data sample --width 24 --blocks 1 --discriminator-width 32 --epochs 8 --eval-every 2 \
        --run-dir "$out/$preset" "$@"
    # The launcher wraps an error into its own traceback and changes the exit code, so check the options first.
    "$python" -m colornet.train "$@" --dry-run > /dev/null
    "$python" -m accelerate.commands.launch --config_file launch/accelerate/single.yaml -m colornet.train "$@"
}

train ae "$@"
train cgan "$@"
"$python" -m colornet.evaluate "$out/ae" "$out/cgan" --out "$out"

cat <<END

Done. What to look at:
  $out/comparison.png     gray, AE, cGAN and truth, held-out images
  $out/comparison.txt     the table above; comparison.json has it with configuration and origin
  ${python%/*}/tensorboard --logdir $out     both runs' curves and images, at http://localhost:6006
Next, CIFAR-10 itself (downloaded once, 170 MB):
  ${python%/*}/accelerate launch --config_file launch/accelerate/single.yaml -m colornet.train cgan --data cifar10
END
