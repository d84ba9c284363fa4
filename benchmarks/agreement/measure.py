"""The record of `agreement`: the first training steps of every variant beside plain ones in fp32."""

from __future__ import annotations

from benchmarks.agreement.options import AgreementOptions
from benchmarks.core.presets import sized_preset
from benchmarks.core.record import Record, start_record
from benchmarks.core.steps import choose_device, release, repeat_to_epoch, settle, start_trainer
from benchmarks.core.timing import tf32_setting
from colornet.config import TrainConfig
from colornet.data import Dataset, load_dataset

TOLERANCES = {"no": 0.01, "bf16": 0.1}
"""Largest relative difference of a loss or of the norm of a gradient in the first step. In fp32 a GPU may multiply in
TF32, with 10 bits after the point; rounding to bf16 is 0.4 % of a value, and adds up over the layers."""


def measure(options: AgreementOptions) -> Record:
    """Make the steps of all variants and return the record."""
    device = choose_device(options.cpu)
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    dataset = repeat_to_epoch(loaded)
    rows = []
    for preset in options.presets:
        plain = sized_preset(options, preset, mixed_precision="no", compile="off")
        expected = first_steps(settle(plain, device), dataset, options.steps)
        for variant in options.variants:
            precision = "bf16" if variant.startswith("bf16") else "no"
            values = {"compile": "on" if "compiled" in variant else "off", "whole_step": "whole step" in variant}
            config = settle(sized_preset(options, preset, mixed_precision=precision, **values), device)
            found = first_steps(config, dataset, options.steps)
            differences = [difference(*pair) for pair in zip(found, expected, strict=True)]
            agrees = differences[0]["largest"] <= TOLERANCES[precision]
            rows.append({"preset": preset, "variant": variant, "agrees": agrees, "differences": differences})
    return {
        **start_record("agreement", device, options),
        "data": {"name": loaded.name, "image_size": options.image_size, "fingerprint": loaded.fingerprint},
        "tf32": tf32_setting("no", device),
        "tolerances": TOLERANCES,
        "rows": rows,
    }


def first_steps(config: TrainConfig, dataset: Dataset, steps: int) -> list[dict[str, float]]:
    """Make the first steps of a training; return the losses and the norms of gradients of each."""
    trainer = start_trainer(config, dataset)
    found = []
    for _, microbatches in zip(range(steps), trainer.loader.epoch(0), strict=False):
        trainer.metrics.sums = {}
        trainer.train_step(microbatches)
        values = trainer.metrics.sums.items()
        found.append({name: value.item() for name, value in values if name.startswith(("loss/", "grad_norm/"))})
    release()
    return found


def difference(found: dict[str, float], expected: dict[str, float]) -> Record:
    """Return the largest relative difference of two steps, and where it is; what is not a number is infinitely far."""
    apart = {name: abs(found[name] - value) / max(abs(value), 1e-6) for name, value in expected.items()}
    apart = {name: value if value < 1e9 else 1e9 for name, value in apart.items()}
    name = max(apart, key=lambda name: apart[name])
    return {"largest": apart[name], "of": name}
