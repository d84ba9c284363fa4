"""The plot of an ablation: the curves of its trainings, a panel a question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.ablation.tables import answered
from colornet.files import replacing

__all__ = ["draw"]

_COLUMNS = 3
_LOSS = "loss/reconstruction"


def draw(record: dict[str, Any], path: Path) -> Path:
    """Draw the reconstruction loss of all runs over the images seen, as PNG; return `path`.

    A color is a variant and a line a run, so that seeds of one variant show how much apart two curves may be and
    mean nothing. Where no question is answered by what was trained, all of it shares a panel.
    """
    questions = answered(record) or {"All variants": list(record["variants"])}
    columns = min(len(questions), _COLUMNS)
    rows = -(-len(questions) // columns)
    figure = Figure(figsize=(1 + 4 * columns, 0.6 + 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for (question, names), axes in zip(questions.items(), panels, strict=False):
        for number, name in enumerate(names):
            for index, run in enumerate(record["variants"][name]["runs"]):
                curve = record["runs"][run]["curve"]
                thousands = [images / 1e3 for images in curve["images"]]
                label = name if index == 0 else "_"  # which a legend leaves out
                axes.plot(thousands, curve[_LOSS], color=f"C{number % 10}", linewidth=1, alpha=0.8, label=label)
        axes.set_title(question, fontsize="medium")
        axes.legend(fontsize="x-small")
        axes.grid(color="0.9", linewidth=0.5)
    for axes in panels:  # those left over
        axes.set_axis_off()
    figure.supxlabel("thousand images", fontsize="medium")
    figure.supylabel("reconstruction loss, mean since the last point", fontsize="medium")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
