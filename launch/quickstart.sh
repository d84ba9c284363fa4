#!/usr/bin/env bash
# From nothing to a comparison: install, train AE and cGAN on photographs that come with scikit-image, compare them on
# held-out parts of these. Needs neither data nor GPU; a few minutes on two cores after the installation.
#
#   bash launch/quickstart.sh [OPTION ...]     options go to both trainings, such as --epochs 30
#
# Writes runs/quickstart, or runs/quickstart-2 and so on: an earlier result is never touched.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

# Unless told otherwise, the launcher gives a process one thread.
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
    set -- "$preset" --data sample --width 24 --blocks 1 --discriminator-width 32 --batch-size 64 --epochs 8 \
        --eval-every 2 --run-dir "$out/$preset" "$@"
    # A launcher wraps a mistake into a traceback of its own and changes its exit code: look for mistakes first.
    "$python" -m colornet.train "$@" --dry-run > /dev/null
    "$python" -m accelerate.commands.launch --config_file launch/accelerate/single.yaml -m colornet.train "$@"
}

train ae "$@"
# So few images and steps want more L1 than the preset's: with less, validation images get blotches of color.
train cgan --reconstruction-weight 50 "$@"
"$python" -m colornet.evaluate "$out/ae" "$out/cgan" --out "$out"

cat <<END

Done. What to look at:
  $out/comparison.png     gray, AE, cGAN and truth, held-out images
  $out/comparison.txt     the table above; comparison.json has it with configuration and origin
  ${python%/*}/tensorboard --logdir $out     both runs' curves and images, at http://localhost:6006
Next, CIFAR-10 itself (downloaded once, 170 MB):
  ${python%/*}/accelerate launch --config_file launch/accelerate/single.yaml -m colornet.train cgan --data cifar10
END
