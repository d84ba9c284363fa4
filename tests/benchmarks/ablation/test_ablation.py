"""The ablation: its plan, its runs, and the table made of them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.ablation.curves import draw
from benchmarks.ablation.measure import training_flops
from benchmarks.ablation.options import PLAN, AblationOptions, check, read_plan
from benchmarks.ablation.tables import answered, format_table, table_rows
from benchmarks.core.timing import flops_of
from colornet.errors import InputError
from colornet.models.build import build_generator
from colornet.presets import PRESETS
from tests.conftest import small


def configured(folder: Path, out: Path, **changes: Any) -> AblationOptions:
    return AblationOptions(out=out, data=str(folder), **({"epochs": 4, "width": 32, "blocks": 1} | changes))


def test_committed_plan_asks_at_equal_images(folder: Path, tmp_path: Path) -> None:
    _, runs, _ = check(configured(folder, tmp_path, seeds=(0, 1)))
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
    assert by_name["cgan-g-lr-x3-0"].config.lr == pytest.approx(3 * PRESETS["cgan"][1].lr)


def test_variants_differ_from_their_preset_in_what_they_say_only(folder: Path, tmp_path: Path) -> None:
    plan, runs, _ = check(configured(folder, tmp_path))
    configs = {run.variant: run.config for run in runs}
    base = {"ae": configs["ae"], "cgan": configs["cgan-bce"]}
    for run in runs:
        variant = plan["variants"][run.variant]
        other = base[variant["preset"]]
        changed = {f.name for f in dataclasses.fields(other) if getattr(run.config, f.name) != getattr(other, f.name)}
        options = {name for name, value in variant.get("options", {}).items() if getattr(other, name) != value}
        said = options | variant.get("factors", {}).keys() | variant.keys() & {"init_from"}
        assert changed - {"run_dir", "eval_every"} == said


def test_plan_of_precisions_changes_nothing_else(folder: Path, tmp_path: Path) -> None:
    _, runs, wanted = check(configured(folder, tmp_path, plan=PLAN.with_name("precision.json")))
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
        ({"only": ("cgann",)}, "--only cgann is no variant of"),
        ({"epochs": 3, "only": ("ae-half",)}, "ae-half: 0.5 × --epochs 3 is no whole number"),
        ({"epochs": 3, "only": ("cgan-warm",)}, "ae-half: 0.5 × --epochs 3 is no whole number"),
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
    said = "Not trained: ae-half, cgan-hinge-warm, cgan-warm. ae-half: 0.5 × --epochs 1 is no whole number"
    for changes, words in (({}, said), ({"only": ("ae", "cgan-bce")}, ""), ({"train": False}, "")):
        _, runs, _ = check(configured(folder, tmp_path, epochs=1, **changes))
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
        ({"preset": "ae", "options": {"wdth": 1}}, "'wdth', which is no option"),
        ({"preset": "ae", "init_from": "b"}, "is no plan"),
    ],
)
def test_plans_that_are_none(variant: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"variants": {"a": variant}, "questions": {"Q": ["a"]}}))
    with pytest.raises(InputError, match=words):
        read_plan(path)


SMALL_PLAN: dict[str, Any] = {
    "variants": {
        "half": {"preset": "ae", "factors": {"epochs": 0.5}},
        "cgan": {"preset": "cgan"},
        "warm": {"preset": "cgan", "factors": {"epochs": 0.5}, "init_from": "half"},
        "broken": {"preset": "ae", "options": {"lr": 1e18}},
    },
    "questions": {"Warm start": ["cgan", "warm"], "Rate": ["cgan", "broken"], "Other": ["cgan"]},
}


@pytest.fixture(scope="module")
def study(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("ablation")
    (root / "plan.json").write_text(json.dumps(SMALL_PLAN))
    arguments = ["ablation", "--data", str(folder), "--out", str(root / "out"), "--plan", str(root / "plan.json")]
    arguments += ["--epochs", "2", "--width", "8", "--multipliers", "1", "2", "--blocks", "1", "--image-size", "16"]
    arguments += ["--discriminator-width", "8", "--batch-size", "8", "--warmup-steps", "2", "--cpu", "--jobs", "2"]
    arguments += ["--mixed-precision", "no"]
    main(arguments)
    return root / "out", arguments


def test_every_row_has_its_values_costs_and_origin(study: tuple[Path, list[str]]) -> None:
    out, _ = study
    record = json.loads((out / "ablation.json").read_text())
    assert {"command", "commit", "versions", "device", "data", "date"} <= record.keys()
    assert record["runs"].keys() == {"half-0", "cgan-0", "warm-0"}
    assert record["failures"].keys() == {"broken-0"}
    assert "not finite" in record["failures"]["broken-0"]
    images = {name: (run["images_seen"], run["images_seen_itself"]) for name, run in record["runs"].items()}
    assert images == {"half-0": (48, 48), "cgan-0": (96, 96), "warm-0": (96, 48)}
    warm, half, cgan = (record["runs"][f"{name}-0"] for name in ("warm", "half", "cgan"))
    assert half["training_flops"] < warm["training_flops"] < cgan["training_flops"]
    assert warm["training_flops"] == pytest.approx(half["training_flops"] + cgan["training_flops"] / 2)
    assert warm["training_seconds"] > warm["seconds"] > 0
    assert record["floors"]["gray"]["e"] == 1
    assert {"nonsense, gradient", "data set's mean ab"} < record["floors"].keys()
    *_, trained, logged = map(json.loads, (out / "runs/cgan-0/metrics.jsonl").read_text().splitlines())
    assert cgan["values"]["fd_cifar10_dev"] == logged["validation/fd_cifar10_dev"]
    assert cgan["values"]["e"] == logged["validation/fd_cifar10_dev"] / record["floors"]["gray"]["fd_cifar10_dev"]
    assert cgan["curve"] == {"images": [96], "loss/reconstruction": [trained["loss/reconstruction"]]}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert str(out) not in json.dumps([run["config"] for run in record["runs"].values()])


def test_what_no_question_is_about_is_drawn_together(study: tuple[Path, list[str]], tmp_path: Path) -> None:
    record = json.loads((study[0] / "ablation.json").read_text())
    path = draw({**record, "questions": {"Other": ["never"]}}, tmp_path / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_images_may_move_but_not_change(
    study: tuple[Path, list[str]], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, arguments = study
    moved = shutil.copytree(folder, tmp_path / folder.name)
    arguments = [*arguments, "--no-train", "--data", str(moved)]  # the last one counts
    main(arguments)
    before = (out / "ablation.json").read_bytes()
    next(path for path in sorted(moved.rglob("*.png"))).unlink()
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "was trained on other images than those of --data" in capsys.readouterr().err
    assert (out / "ablation.json").read_bytes() == before


def test_finished_runs_are_read_and_not_trained_again(
    study: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, arguments = study
    main([*arguments, "--no-train"])
    table = (out / "ablation.md").read_text()
    assert table in capsys.readouterr().out
    main([*arguments, "--only", "warm"])
    assert (out / "ablation.md").read_text() == table
    assert [line.split("|")[2].strip() for line in table.splitlines()[-4:]] == [
        "cgan",
        "warm",
        "cgan",
        "broken (failed)",
    ]
    for run in ("cgan-0", "warm-0", "half-0"):
        assert len(json.loads((out / "runs" / run / "provenance.json").read_text())) == 1
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--width", "16"])
    assert "holds a run with another configuration (--width was 8 and is 16)" in capsys.readouterr().err


def test_a_signal_stops_the_trainings_with_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "out/runs/ae-0"
    command = [sys.executable, "-m", "benchmarks", "ablation", "--data", str(folder), "--out", str(tmp_path / "out")]
    command += ["--only", "ae", "--epochs", "100000", "--width", "8", "--blocks", "1", "--image-size", "16", "--cpu"]
    with subprocess.Popen([*command, "--batch-size", "8"], stderr=subprocess.PIPE) as process:
        for _ in range(600):
            if (run / "metrics.jsonl").is_file() and (run / "metrics.jsonl").read_text():
                break
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) == 130
    assert (run / "preempted").is_file()


def test_table_groups_by_question_and_shows_the_spread_of_seeds() -> None:
    values = {"e": 0.5, "fd_cifar10_dev": 1.0, "cf": 20.0, "delta_cf": -0.04, "delta_cf_image": 5.0, "psnr": 24.0}
    run = {"values": values, "images_seen": 90_000, "training_flops": 9e13, "training_seconds": 100.0}
    other = {**run, "values": {**values, "e": 0.7, "cf": 22.0}, "training_seconds": 200.0}
    record = {
        "floors": {"gray": {**values, "e": 1.0, "accuracy_cifar10_dev": 0.5}},
        "questions": {"Loss": ["a", "b", "c", "never"], "Alone": ["a"]},
        "variants": {
            "a": {"runs": ["a-0", "a-1"], "parameters": {"generator": 1_500_000, "discriminator": 20_000}},
            "b": {"runs": ["b-0"], "parameters": {"generator": 1_500_000}},
        },
        "runs": {"a-0": run, "a-1": other, "b-0": run},
        "failures": {"c-0": "exit code 1"},
    }
    lines = [[cell.strip() for cell in line.split(" | ")] for line in format_table(record).splitlines()]
    assert lines[0][2:5] == ["e", "FD dev", "Acc. %"]
    assert lines[2][:5] == ["| no model", "gray", "1.000", "1.000", "50.0"]
    assert lines[3][:4] == ["| Loss", "a", "0.600 ± 0.141", "1.000 ± 0.000"]
    assert lines[3][5:7] == ["21.0 ± 1.4", "0.0 ± 0.0"]
    assert lines[3][-5:] == ["90.0", "1.50", "0.02", "1,000", "150 |"]
    assert lines[4][:2] == ["|", "b"]
    assert lines[5][:3] == ["|", "c (failed)", "–"]
    assert len(lines) == 6
    assert len({len(line) for line in lines}) == 1


def test_questions_of_which_only_the_common_baselines_were_trained_are_left_out() -> None:
    run = {"values": {"e": 0.5}, "images_seen": 1, "training_flops": 1.0, "training_seconds": 1.0}
    record = {
        "floors": {},
        "questions": {
            "Loss": ["gan", "hinge", "never"],
            "Warm start": ["hinge", "warm"],
            "AE": ["ae", "ae-l2"],
            "Size": ["ae", "gan", "wide"],
            "Kind": ["gan", "ae"],
        },
        "variants": {name: {"runs": [name], "parameters": {"generator": 1}} for name in ("gan", "hinge", "ae")},
        "runs": dict.fromkeys(("gan", "hinge", "ae"), run),
        "failures": {},
    }
    found = {question: [row[0] for row in rows] for question, rows in table_rows(record)}
    assert found == {"no model": [], "Loss": ["gan", "hinge"], "Kind": ["gan", "ae"]}
    assert answered(record) == {
        "Loss": ["gan", "hinge"],
        "Kind": ["gan", "ae"],
    }  # report and curves


def test_training_costs_what_its_passes_cost(folder: Path, tmp_path: Path) -> None:
    ae = small("ae", folder, tmp_path / "run")
    network = build_generator(ae)
    forward = flops_of(lambda: network(torch.zeros(1, 1, 16, 16)))
    assert 2.5 * forward < training_flops(ae) <= 3 * forward  # back to the weights and, but for the first layer, inputs
    cgan = small("cgan", folder, tmp_path / "run")
    plain, penalized = (training_flops(dataclasses.replace(cgan, r1_weight=weight)) for weight in (0.0, 10.0))
    assert training_flops(ae) < plain < penalized < 1.3 * plain
