"""The report on which hues models give, on several colorings of an image, and on the worst images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.quality.failures import CATEGORIES
from tests.benchmarks.report.records import Outline, Record, make, quality_record, table_after, write_quality

PARTS = ("Sepia, or merely pale?", "Several colorizations of an image", "Where they fail")
CASTS = {  # chroma, sepia of all pixels, sepia of the colored ones
    "real": (14.0, 30.0, 45.0),
    "ae": (7.0, 40.0, 70.0),
    "cgan": (13.0, 31.0, 44.0),
    "notebook-ae": (22.0, 5.0, 10.0),
}


def described_record() -> Record:
    """Add to a result of quality what it says of colors, samples and failures."""
    record = quality_record()
    names = ("mean_a", "mean_b", "colored", "chroma", "sepia", "sepia_of_colored")
    for name in names:
        about = {"label": name, "decimals": 1, "better": None, "about": f"What {name} is.", "reason": None}
        record["columns"] = record["columns"] | {name: about}
    record["failure_categories"] = CATEGORIES
    for row in record["rows"]:
        chroma, *sepia = CASTS.get(row["name"], (0.0, 0.0, 0.0))
        values = dict(zip(names, (1.5, -2.5, 60.0, chroma, *sepia), strict=True))
        row["values"] |= {name: {"mean": value, "sd": None, "interval": None} for name, value in values.items()}
        row["hues"] = [int(1000 * chroma)] * 36
        row["cf_quantiles"] = dict(zip(("5%", "25%", "50%", "75%", "95%"), (1.0, 9.0, 20.0, 31.0, 60.0), strict=True))
        row["diversity"] = row["failures"] = None
    for name, pairwise in (("ae", 0.2), ("cgan", 6.25)):
        row = next(row for row in record["rows"] if row["name"] == name)
        known = {"pairwise": pairwise, "ciede2000": 11.0, "best_ciede2000": 9.5, "psnr": 23.0, "best_psnr": 24.5}
        found = {key: {"mean": value, "sd": None, "members": [value]} for key, value in known.items()}
        row["diversity"] = {"samples": 4, "images": 1000, "values": found}
        if name == "cgan":  # the other is of an older record
            found |= {key: {"mean": 12.5, "sd": None, "members": [12.5]} for key in ("coverage", "spread", "error")}
            row["diversity"]["calibration"] = {"bins": [(1.0, 4.0), (9.0, 10.0)], "classes": {"ship": (5.0, 7.0)}}
        row["failures"] = failures(name)
    return record


def failures(name: str) -> Record:
    """Describe two images, one of which the classifier takes for another class."""
    examples = [
        {"position": 7, "class": "ship", "seen_as": "truck", "truth_seen_as": "ship", "ciede2000": 41.27, "cf": 12.0,
         "cf_truth": 95.4, "hue_error": 104.0, "category": "wrong hue"},
        {"position": 3, "class": "frog", "seen_as": "frog", "truth_seen_as": "frog", "ciede2000": 30.0, "cf": 50.0,
         "cf_truth": 2.0, "hue_error": 10.0, "category": "color where the truth is gray"},
    ]  # fmt: skip
    rare = dict.fromkeys(CATEGORIES, 0)
    counts = rare | {"wrong hue": 400, "none of these": 100 if name == "ae" else 0}
    return {"lists": {"largest ΔE00": examples}, "counted": 500, "counts": counts, "all": rare | {"wrong hue": 10000}}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("described")
    record = described_record()
    write_quality(root, record)
    tensors = load_file(root / "quality.safetensors")
    for name in ("ae", "cgan"):
        tensors[f"failures/{name}"] = np.random.default_rng(0).integers(0, 256, (1, 2, 3, 3, 8, 8), dtype=np.uint8)
    save_file(tensors, root / "quality.safetensors")
    return make(root, root / "out")


def test_parts_are_there_with_their_data_and_not_without(described: tuple[str, str], page: str) -> None:
    assert [heading for heading in Outline(described[0]).headings if heading in PARTS] == [*PARTS]
    assert not {*PARTS} & {*Outline(page).headings}


def test_a_model_is_called_pale_and_sepia_by_its_numbers(described: tuple[str, str]) -> None:
    page, markdown = described
    shown = table_after(markdown, "### Sepia, or merely pale?")
    assert {name: line["compared with the truth"] for name, line in shown.items()} == {
        "real": "", "ae": "pale and more sepia", "cgan": "like the truth", "notebook-ae": "too strong and less sepia",
    }  # fmt: skip
    assert shown["ae"]["sepia\\_of\\_colored"] == "70.0"
    assert (shown["cgan"]["chroma"], shown["cgan"]["mean\\_b"]) == ("13.0", "−2.5")
    assert len(re.findall(r'aria-label="Hues of ', page)) == 4  # the truth and the models
    assert len(re.findall(r'aria-label="Boxes of colorfulness', page)) == 1


def test_several_colorings_are_unranked_and_a_model_that_ignores_noise_is_named(described: tuple[str, str]) -> None:
    page, markdown = described
    shown = table_after(markdown, "### Several colorizations of an image, unranked")
    assert shown["cgan"] == {
        "pairwise ΔE00": "6.25", "ΔE00": "11.00", "best ΔE00": "9.50", "PSNR": "23.00", "best PSNR": "24.50",
        "coverage %": "12.5", "spread": "12.50", "error": "12.50",
    }  # fmt: skip
    assert shown["ae"]["coverage %"] == "–"
    assert page.count('aria-label="Spread and error of ') == 1
    assert ">ship</text>" in page
    assert "4 colorings of each of 1,000 images" in page
    assert "ae: two colorings differ by less than a ΔE00 of 1" in page
    assert "The model ignores its noise, or nearly." in page


def test_worst_images_say_why(described: tuple[str, str]) -> None:
    page, markdown = described
    shown = table_after(markdown, "### Kinds of failure, per cent")
    assert [*shown] == [*CATEGORIES]
    assert shown["wrong hue"] == {"ae": "80.0 (100.0)", "cgan": "100.0 (100.0)"}
    assert "ship: wrong hue" in page
    assert "ΔE00 41.3 · CF 12 (95) · hue 104° off" in page
    assert "seen as truck, the truth as ship" in page
    assert "seen as frog, as the truth is" in page
    opened = [("", "ae"), (" open", "cgan")]  # the lower e
    assert [*re.findall(r"<details( open|)[^>]*><summary>(\w+)", page)] == opened
    assert page.count('alt="ship, test image 7"') == 2
    Outline(page)


def test_failures_without_their_pictures_are_counted(tmp_path: Path) -> None:
    (tmp_path / "quality.json").write_text(json.dumps(described_record()))
    page, markdown = make(tmp_path, tmp_path / "out")
    assert "<details" not in page
    assert "Kinds of failure" in markdown
