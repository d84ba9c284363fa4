"""What TensorBoard shows of a run: charts of what there is, colors counted exactly, text, profile."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor

from colornet.color import rgb_to_lab, to_float
from colornet.config import TrainConfig, unused_options
from colornet.evaluation.loop import gray_floor, shard
from colornet.metrics.histograms import BIN, ColorCounts, draw_planes
from colornet.objectives.adversarial import Adversarial
from colornet.runs.run import Run
from colornet.runs.saved_config import differences
from colornet.tables import escape_markdown
from colornet.training.build import compose_trainer
from colornet.training.logger import HEADLINES, QUALITY_CHARTS, SPEED_CHARTS
from colornet.training.profiler import StepProfiler
from tests.conftest import small
from tests.images import random_pixels

VALIDATION = 6  # images of the folder of tests, 16×16 pixels each


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an AE and a cGAN of 18 steps, the AE stopped after 8 and resumed."""
    root = tmp_path_factory.mktemp("logs")
    for preset in ("ae", "cgan"):
        config = small(preset, folder, root / preset, resume="auto")
        if preset == "ae":
            compose_trainer(dataclasses.replace(config, max_steps=8)).fit()
        compose_trainer(config).fit()
    return root


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), size_guidance={"tensors": 0, "scalars": 0, "histograms": 0}).Reload()


def texts(run: Path, tag: str) -> list[tuple[int, str]]:
    return [(e.step, e.tensor_proto.string_val[0].decode()) for e in events(run).Tensors(f"{tag}/text_summary")]


@pytest.fixture(scope="module")
def provider(runs: Path) -> MultiplexerDataProvider:
    return MultiplexerDataProvider(EventMultiplexer().AddRunsFromDirectory(str(runs)).Reload(), str(runs))


# Charts


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # a part of TensorBoard that it imports
def test_charts_of_two_runs_share_their_axes_and_show_what_there_is(
    runs: Path, provider: MultiplexerDataProvider
) -> None:
    """As TensorBoard itself joins the layouts and looks for the curves of a chart."""
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin

    plugin = CustomScalarsPlugin(TBContext(data_provider=provider, logdir=str(runs)))
    layout = plugin.layout_impl(RequestContext(), "")
    layout = json.loads(layout) if isinstance(layout, str) else layout
    tags = {run: set(events(runs / run).Tags()["scalars"]) for run in ("ae", "cgan")}
    shown: dict[str, list[str]] = {}
    for category in layout["category"]:
        for chart in category["chart"]:
            title = f"{category['title']}: {chart['title']}"
            assert title not in shown
            patterns = chart["multiline"]["tag"]
            shown[title] = sorted(t for t in tags["ae"] | tags["cgan"] for p in patterns if re.match(p, t))
    all_charts = {**QUALITY_CHARTS, **Adversarial.charts, **SPEED_CHARTS}
    wanted = {f"{group}: {title}": sorted(t) for group, charts in all_charts.items() for title, t in charts.items()}
    wanted.pop("color: accuracy of a classifier that sees the colorings")  # the images have other classes
    assert shown == wanted


@pytest.mark.parametrize("preset", ["ae", "cgan"])
def test_layout_names_only_curves_of_its_run(preset: str, runs: Path) -> None:
    accumulator = events(runs / preset)
    tags = accumulator.Tags()["scalars"]
    layout = Layout.FromString(accumulator.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    named = [tag.removesuffix("$") for group in layout.category for chart in group.chart for tag in chart.multiline.tag]
    assert set(named) <= set(tags)
    assert "validation/cf" in named
    assert ("logits/real" in named) == (preset == "cgan")


def test_resumed_run_keeps_its_layout(runs: Path) -> None:
    """It grows with the first training curves and the first evaluation; of a second start, nothing is to come."""
    assert [event.step for event in events(runs / "ae").Tensors("custom_scalars__config__")] == [2, 6]


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # a part of TensorBoard that it imports
def test_final_values_stand_beside_the_hyperparameters(runs: Path, provider: MultiplexerDataProvider) -> None:
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    context = backend_context.Context(TBContext(data_provider=provider, logdir=str(runs)))
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=9, allowed_statuses=[api_pb2.STATUS_SUCCESS])
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    assert len(groups) == 2
    for group in groups:
        objective = group.hparams["objective"].string_value
        record = Run(runs / {"reconstruction": "ae", "adversarial": "cgan"}[objective]).records[-1]
        values = {metric.name.tag: metric.value for metric in group.metric_values}
        assert (group.hparams["attention"].string_value, group.hparams["width"].number_value) == ("True", 8)
        assert values == pytest.approx({tag: record[tag] for tag in HEADLINES}, rel=1e-6)


def test_truth_and_validation_are_runs_with_a_color_of_their_own(runs: Path) -> None:
    for run in ("ae", "cgan"):
        records = Run(runs / run).validations
        for name, tag, key in (
            ("truth", "validation/cf", "validation/cf_truth"),
            ("validation", "loss/reconstruction", "validation/reconstruction"),
        ):
            shown = {event.step: event.value for event in events(runs / run / name).Scalars(tag)}
            assert shown == pytest.approx({record["step"]: record[key] for record in records})
            assert key not in events(runs / run).Tags()["scalars"]


def test_validation_loss_is_the_training_loss_on_other_images(folder: Path, tmp_path: Path) -> None:
    """Of 6 images in batches of 4 and 2, and in one."""
    config = small("ae", folder, tmp_path / "run", max_steps=6, eval_batch_size=4)
    trainer = compose_trainer(config)
    trainer.fit()
    gray, color = trainer.space.encode(to_float(trainer.dataset.validation))
    expected = (trainer.ema(gray) - color).abs().mean().item()
    assert Run(tmp_path / "run").validations[-1]["validation/reconstruction"] == pytest.approx(expected, rel=1e-5)


def test_hyperparameters_are_those_that_the_objective_uses(runs: Path) -> None:
    own = {"discriminator_lr", "r1_weight", "adversarial_loss", "conditional", "reconstruction_weight"}
    for run, has in (("ae", False), ("cgan", True)):
        accumulator = events(runs / run)
        content = accumulator.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        names = set(HParamsPluginData.FromString(content).session_start_info.hparams)
        assert (own <= names, bool(own & names)) == (has, has)
        assert {"width", "reconstruction_loss", "lr"} <= names
    assert not unused_options(TrainConfig(objective="mine.py:Mine"))


def test_every_point_says_epoch_and_memory(runs: Path) -> None:
    first, *_ = (record for record in Run(runs / "cgan").records if "loss/generator" in record)
    assert first["epoch"] == pytest.approx(2 / 6)
    assert 0.05 < first["speed/peak_memory_gib"] < 64


# Text


def test_every_start_says_its_command(runs: Path) -> None:
    starts = json.loads((runs / "ae/provenance.json").read_text())
    shown = texts(runs / "ae", "run/start")
    assert [step for step, _ in shown] == [0, 8]
    for (_, text), start in zip(shown, starts, strict=True):
        assert f"| command | {escape_markdown(start['command'])} |" in text
        assert f", torch {start['versions']['torch']}, " in text
        assert f"| device | {escape_markdown(start['device'])} |" in text
        assert f"| commit | {escape_markdown(start['commit'])} |" in text


def test_configuration_is_shown_once(runs: Path) -> None:
    ((step, text),) = texts(runs / "ae", "run/config")
    assert step == 0
    names = [escape_markdown(field.name) for field in dataclasses.fields(TrainConfig)]
    assert [line.split(" ")[1] for line in text.splitlines()[2:]] == names
    assert "| multipliers | (1, 2) |" in text


# Colors


def test_colors_of_every_evaluation_and_once_of_the_truth(runs: Path) -> None:
    accumulator = events(runs / "ae")
    assert [event.step for event in accumulator.Histograms("chroma/output")] == [6, 8, 12, 18]
    (truth,) = accumulator.Histograms("chroma/truth")
    assert truth.step == 6
    assert sum(truth.histogram_value.bucket) == truth.histogram_value.num == VALIDATION * 16 * 16
    assert [event.step for event in accumulator.Images("colors/a*b* of output, truth")] == [6, 8, 12, 18]


def counts(truth: Tensor, *, batch_size: int, world: int = 1) -> ColorCounts:
    """Count the colors of images and of their gray versions as `world` processes would, one after the other."""
    colors = ColorCounts(torch.device("cpu"))
    for rank in range(world):
        accelerator = SimpleNamespace(num_processes=world, process_index=rank, device=torch.device("cpu"))
        for batch, own in shard(truth, cast(Accelerator, accelerator), batch_size=batch_size):
            colors.add(gray_floor(batch)[:own], batch[:own])
    return colors


@pytest.mark.parametrize(("batch_size", "world"), [(1, 1), (4, 1), (100, 1), (2, 2), (2, 4), (100, 12)])
def test_every_pixel_counts_once_whatever_the_batches_and_processes(batch_size: int, world: int) -> None:
    truth = random_pixels(9, 16, 16)
    once, shared = counts(truth, batch_size=9), counts(truth, batch_size=batch_size, world=world)
    assert once.plane.sum((1, 2)).tolist() == once.chroma.sum(1).tolist() == [9 * 16 * 16] * 2
    assert torch.equal(once.plane, shared.plane)
    assert torch.equal(once.chroma, shared.chroma)


@pytest.mark.parametrize("batch_size", [4, 500])
def test_score_shows_every_image_once(batch_size: int, folder: Path, tmp_path: Path) -> None:
    trainer = compose_trainer(small("ae", folder, tmp_path / "run", eval_batch_size=batch_size))
    colors = ColorCounts(torch.device("cpu"))
    trainer.score(gray_floor, colors.add)
    assert torch.equal(colors.plane, counts(trainer.dataset.validation, batch_size=1).plane)


def test_colors_are_counted_where_they_are() -> None:
    gray = torch.full((2, 3, 5, 7), 90, dtype=torch.uint8)
    red = torch.zeros_like(gray)
    red[:, 0] = 255  # L*a*b* = (53.2, 80.1, 67.2)
    colors = ColorCounts(torch.device("cpu"))
    colors.add(gray, red)
    assert colors.plane[0, 55, 55] == colors.chroma[0, 0] == 70
    assert colors.plane[1, 55 + 34, 55 + 40] == colors.chroma[1, 104 // 2] == 70
    picture = draw_planes(colors.plane)
    assert (picture.dtype, tuple(picture.shape)) == (torch.uint8, (3, 333, 666))
    output, truth = picture[:, (55 - 34) * 3 + 1].chunk(2, dim=1)  # (3, 333) each: the row of that b*
    assert output[:, (55 + 40) * 3 + 1].tolist() == [0, 0, 0]
    r, g, b = truth[:, (55 + 40) * 3 + 1].tolist()
    assert r > 200 > g > b


def test_all_of_srgb_has_its_place() -> None:
    levels = torch.linspace(0, 255, 18).round().to(torch.uint8)
    cube = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 18, -1)
    colors = ColorCounts(torch.device("cpu"))
    colors.add(cube, cube)
    border = torch.ones(111, 111, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert colors.plane[0][border].sum() == 0
    a, b = rgb_to_lab(to_float(cube))[0, 1:]
    assert BIN * (colors.chroma.shape[1] - 1) < a.hypot(b).max() < BIN * colors.chroma.shape[1]


# Profile


def test_profile_leaves_a_trace_and_the_same_weights(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, profiled in (("plain", False), ("profiled", True)):
        compose_trainer(small("ae", folder, tmp_path / name, profile=profiled)).fit()
    plain, watched = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "profiled"))
    assert [key for key, value in plain.items() if not torch.equal(value, watched[key])] == []
    assert not (tmp_path / "plain/profile").exists()
    listed, trace = sorted((tmp_path / "profiled/profile").iterdir())
    assert (listed.name, trace.name) == ("operations-00000017.json", "step-00000017.json.gz")
    record = json.loads(listed.read_text())
    assert (record["steps"], record["config"]["profile"]) == (5, True)
    assert record.keys() >= {"command", "commit", "versions", "device", "data", "date"}
    assert sum(row["share"] for row in record["operations"]) == pytest.approx(1)
    milliseconds = [row["ms_per_step"] for row in record["operations"]]
    assert milliseconds == sorted(milliseconds, reverse=True)
    names = [event.get("name", "") for event in json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]]
    assert len({name for name in names if name.startswith("ProfilerStep#")}) == 5
    table = capsys.readouterr().out.partition("profile of 5 steps")[2]
    assert len(re.findall(r"^ +[\d.]+ +[\d.]+% +[\d.]+  \S", table, re.MULTILINE)) == 10
    assert "convolution" in table


def test_profile_of_a_short_run_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiler = StepProfiler(tmp_path, {}, print)
    for step in range(13):
        profiler.step(step)
    profiler.close()
    assert "17 steps are needed and 13 were made" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_run_may_be_resumed_with_a_profile() -> None:
    config = TrainConfig()
    assert differences(config, dataclasses.replace(config, profile=True)) == []
