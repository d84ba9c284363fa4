#!/usr/bin/env bash
# Install colornet, train an AE and a cGAN, and compare them on held-out images. Needs no GPU.
#
#   bash launch/quickstart.sh [OPTION ...]     options are passed to both trainings, for example --epochs 30
#
# If CIFAR-10 is in the cache ($COLORNET_DATA, by default ~/.cache/colornet), or if --data names a data set, both train
# on it for one epoch at width 16: about eight minutes on two cores. The table then shows the finding: the AE is pale
# (CF) and sepia, the cGAN is nearer to the truth. Otherwise both train on photographs that come with scikit-image, which
# takes a few minutes and checks the installation; the comparison then also holds the released models.
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

cached=$("$python" -c 'from colornet.data.listing import default_cache_dir as cache; print(cache() / "cifar10")')
data=sample
for file in cifar-10-batches-py/test_batch cifar-10-python.tar.gz cifar10.npz; do
    [ ! -e "$cached/$file" ] || data=cifar10
done
previous=
for word in "$@"; do
    case $word in --data=*) data=${word#--data=} ;; esac
    if [ "$previous" = --data ]; then data=$word; fi
    previous=$word
done

train() { # PRESET [OPTION ...]
    local preset=$1
    shift
    set -- "$preset" --data "$data" --run-dir "$out/$preset" "$@"
    # The launcher wraps an error into its own traceback and changes the exit code, so check the options first.
    "$python" -m colornet.train "$@" --dry-run > /dev/null
    "$python" -m accelerate.commands.launch --config_file launch/accelerate/single.yaml -m colornet.train "$@"
}

if [ "$data" = sample ]; then
    small=(--width 24 --blocks 1 --discriminator-width 32 --epochs 8 --eval-every 2)
    train ae "${small[@]}" "$@"
    train cgan "${small[@]}" "$@"
    released=(ae cgan)
    case " $* " in *" --image-size"*) released=() ;; esac # they color images of 32 pixels
    "$python" -m colornet.evaluate "$out/ae" "$out/cgan" ${released[@]+"${released[@]}"} --data sample --out "$out"
    finding="Training on this sample checks the installation: its test images are other parts of the same few photographs.
The rows of the released models show the finding: the AE is pale (CF) and more sepia, the cGAN is colorful."
else
    echo "Training an AE and a cGAN on $data for one epoch each: about eight minutes on two cores for CIFAR-10."
    small=(--width 16 --blocks 1 --discriminator-width 16 --batch-size 64 --epochs 1)
    train ae "${small[@]}" "$@"
    train cgan "${small[@]}" "$@"
    "$python" -m colornet.evaluate "$out/ae" "$out/cgan" --out "$out"
    finding="The columns CF and sepia show the finding: the AE is pale and sepia, the cGAN is nearer to the truth.
One epoch of small networks is not a result: train longer, with several seeds."
fi

cat <<END

$finding

Done. What to look at:
  $out/comparison.png     gray, the models and truth, held-out images
  $out/comparison.txt     the table above; comparison.json has it with configuration and origin
  ${python%/*}/tensorboard --logdir $out     both runs' curves and images, at http://localhost:6006
END
if [ "$data" = sample ]; then
    cat <<END
Next, CIFAR-10 itself (downloaded once, 170 MB):
  ${python%/*}/accelerate launch --config_file launch/accelerate/single.yaml -m colornet.train cgan --data cifar10
END
fi
