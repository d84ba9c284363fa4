"""A result of an ablation, with numbers as they may be."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.report.records import ORIGIN

Record = dict[str, Any]


def ablation_record() -> Record:
    """Make a result of the kind "ablation": two questions, of which one has two seeds, a failure and an odd name."""

    def run(e: float) -> Record:
        values = {"e": e, "fd_cifar10_v2_dev": 0.8 * e, "accuracy_cifar10_v2_dev": 0.75, "cf": 20.0, "delta_cf": -10.0,
                  "delta_cf_image": 14.0, "psnr": 24.5, "ciede2000": 10.9}  # fmt: skip
        return {"values": values, "images_seen": 45_000, "training_flops": 9e13, "training_seconds": 150.0}

    runs = {"ae-0": run(0.5), "ae-1": run(0.52), "ae-l2-0": run(0.625), "ae-l2-1": run(0.675), "ae-<b>-0": run(0.4)}
    variants = {
        name: {"preset": "ae", "runs": [r for r in runs if r[:-2] == name], "parameters": {"generator": 140_000}}
        for name in ("ae", "ae-l2", "ae-<b>")
    }
    variants["ae-l2"]["options"] = {"reconstruction_loss": "mse"}
    data = {"name": "cifar10-jpeg", "split": "validation", "images": 5000, "image_size": 32}
    questions = {"Loss": ["ae", "ae-l2", "ae-huber"], "Name": ["ae", "ae-<b>"], "Never": ["cgan", "cgan-bce"]}
    floors = {"gray": run(1.0)["values"] | {"fd_cifar10_v2_dev": 0.8}}
    return {
        "kind": "ablation", **ORIGIN, "data": data, "notes": "e is a share.", "questions": questions, "floors": floors,
        "variants": variants, "runs": runs, "failures": {"ae-huber-0": "exit code 1"},
    }  # fmt: skip
