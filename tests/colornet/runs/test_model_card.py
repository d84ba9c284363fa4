"""The model card of a real run says what it is, what it was measured at, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

from colornet.runs.model_card import write_model_card
from colornet.training.build import compose_trainer
from tests.conftest import small


def test_a_finished_run_has_a_card(folder: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "vivid"
    compose_trainer(small("cgan", folder, run_dir, epochs=2, max_steps=6)).fit()
    card = (run_dir / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: colornet\n")
    assert "# vivid" in card
    assert "conditional GAN on images of 16×16 pixels" in card
    last = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"| PSNR (dB) | {last['validation/psnr']:.3f} |" in card
    (start,) = json.loads((run_dir / "provenance.json").read_text())
    assert f"- step 0: `{start['command']}`" in card

    (run_dir / "README.md").unlink()
    write_model_card(run_dir)
    assert (run_dir / "README.md").read_text() == card
