#!/usr/bin/env bash
# Everything that waits for a GPU, in one command:
#
#   bash benchmarks/gpu.sh DATA OUT     DATA: a folder of CIFAR-10 images, or cifar10; OUT: a new folder for the results
#
# Trains ae and cgan at their full width with three seeds each, all six side by side, and scores them once on the test
# images. OUT keeps the results even if a later stage is cut off.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
mkdir -p "$out"
python=${COLORNET_PYTHON:-python3}
runs=$out/runs
export OMP_NUM_THREADS=2

# Decode or download once, before six processes want to.
"$python" -c "import sys; from colornet.data import load_dataset; load_dataset(sys.argv[1], image_size=32)" "$data"

jobs=()
for seed in 0 1 2; do
    for preset in ae cgan; do
        timeout 330 "$python" -m colornet.train "$preset" --data "$data" --epochs 16 --eval-every 4 --seed "$seed" \
            --run-dir "$runs/$preset-$seed" > "$out/$preset-$seed.log" 2>&1 &
        jobs+=($!)
    done
done
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
tail -qn 1 "$out"/*.log

"$python" -m colornet.evaluate "$runs"/ae-{0,1,2} "$runs"/cgan-{0,1,2} --out "$out/gpu-seeds"
"$python" -m colornet.evaluate "$runs"/ae-0 "$runs"/cgan-0 --out "$out/gpu"
exit $failed
