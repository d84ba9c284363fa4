"""The options of an ablation and its plan: what is trained, what is refused, what is left out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ablation.options import PLAN, AblationOptions, check, plan_study, read_plan
from colornet.config import PRESETS
from colornet.errors import InputError


def configured(folder: Path, out: Path, **changes: Any) -> AblationOptions:
    return AblationOptions(out=out, data=str(folder), **({"epochs": 4, "width": 32, "blocks": 1} | changes))


def test_committed_plan_asks_at_equal_images(folder: Path, tmp_path: Path) -> None:
    _, runs, *_ = plan_study(configured(folder, tmp_path, seeds=(0, 1)))
    by_name = {run.name: run for run in runs}
    assert len(by_name) == len(runs) > 60
    read = {name for names in read_plan(PLAN)["questions"].values() for name in names}
    for run in runs:
        epochs = run.config.epochs + (by_name[run.origin].config.epochs if run.origin else 0)
        assert epochs == (4 if run.variant in read else 2)
        assert run.config.batch_size == (128 if run.variant == "cgan-batch-half" else 256)
        if run.origin:
            assert run.config.seed == by_name[run.origin].config.seed
            assert list(by_name).index(run.origin) < list(by_name).index(run.name)
    assert by_name["cgan-wide-1"].config.width == 64
    assert by_name["cgan-g-lr-x3-0"].config.lr == pytest.approx(3 * PRESETS["cgan"].config.lr)


def test_variants_differ_from_their_preset_in_what_they_say_only(folder: Path, tmp_path: Path) -> None:
    plan, runs, *_ = plan_study(configured(folder, tmp_path))
    configs = {run.variant: run.config for run in runs}
    base = {"ae": configs["ae"], "cgan": configs["cgan-bce"], "flow": configs["flow"]}
    for run in runs:
        variant = plan["variants"][run.variant]
        other = base[variant["preset"]]
        changed = {f.name for f in dataclasses.fields(other) if getattr(run.config, f.name) != getattr(other, f.name)}
        options = {name for name, value in variant.get("options", {}).items() if getattr(other, name) != value}
        said = options | variant.get("factors", {}).keys() | variant.keys() & {"init_from"}
        assert changed - {"run_dir", "eval_every"} == said


def test_plan_of_precisions_changes_nothing_else(folder: Path, tmp_path: Path) -> None:
    _, runs, wanted, _ = plan_study(configured(folder, tmp_path, plan=PLAN.with_name("precision.json")))
    configs = {run.variant: run.config for run in runs}
    assert configs.keys() == wanted
    for name, config in configs.items():
        plain = dataclasses.replace(configs[f"{name.partition('-')[0]}-fp32"], run_dir=config.run_dir)
        assert dataclasses.replace(config, mixed_precision="no", compile="auto") == plain
    assert len({(c.objective, c.mixed_precision, c.compile) for c in configs.values()}) == len(configs) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"jobs": 0}, "--jobs is 0"),
        ({"seeds": (1, 1)}, "--seeds needs numbers that are all different"),
        ({"only": ("cgann",)}, "--only cgann is not a variant of"),
        ({"epochs": 3, "only": ("ae-half",)}, "ae-half: 0.5 × --epochs 3 is not a whole number"),
        ({"epochs": 3, "only": ("cgan-warm",)}, "ae-half: 0.5 × --epochs 3 is not a whole number"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"data": "nowhere"}, "neither"),
        ({"plan": Path("nowhere.json")}, "--plan nowhere.json cannot be read"),
    ],
)
def test_mistakes(changes: dict[str, Any], words: str, folder: Path, tmp_path: Path) -> None:
    values = {"data": str(folder), "epochs": 4, **changes}
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        check(AblationOptions(out=tmp_path, **values))


def test_variants_that_are_impossible_are_named_and_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "Not trained: ae-half, cgan-hinge-warm, cgan-warm. ae-half: 0.5 × --epochs 1 is not a whole number"
    for changes, words in (({}, said), ({"only": ("ae", "cgan-bce")}, ""), ({"train": False}, "")):
        options = configured(folder, tmp_path, epochs=1, **changes)
        check(options)
        _, runs, *_ = plan_study(options)
        names = {run.variant for run in runs}
        assert {"ae", "cgan-bce"} < names
        assert not {"ae-half", "cgan-warm"} & names
        printed = capsys.readouterr().err
        assert printed.startswith(words)
        assert bool(printed) == bool(words)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"preset": "aa"}, "has no preset"),
        ({"preset": "ae", "option": {}}, "unknown key 'option'"),
        ({"preset": "ae", "options": {"wdth": 1}}, "'wdth', which is not an option"),
        ({"preset": "ae", "init_from": "b"}, "is not a plan"),
    ],
)
def test_plans_that_are_none(variant: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"variants": {"a": variant}, "questions": {"Q": ["a"]}}))
    with pytest.raises(InputError, match=words):
        read_plan(path)
