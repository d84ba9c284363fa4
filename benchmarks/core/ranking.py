"""Whether a data set can rank colorizers: no sanity-check baseline may be better than the models."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.core.sections import listed
from colornet.tables import format_number


def ranking_verdicts(
    data: str, label: str, baselines: Mapping[str, float], models: Mapping[str, float], decimals: int = 3
) -> list[str]:
    """Say which models are behind a sanity-check baseline by a distance, of which lower is better; usually nothing.

    Where all of them are, as on few photographs whose crops are both training and test images, the distance rewards
    what no colorizer should do, and its order of the models means nothing.
    """
    if not baselines or not models:
        return []
    baseline, floor = min(baselines.items(), key=lambda item: item[1])
    shown = f"“{baseline}” ({format_number(floor, decimals)})"
    behind = [name for name, value in models.items() if value >= floor]
    if not behind:
        return []
    values = listed([f"{name} ({format_number(models[name], decimals)})" for name in behind])
    if len(behind) == len(models):
        return [
            f"{data} cannot rank colorizers: by {label}, the sanity-check baseline {shown} beats every model, "
            f"{values}, though a sound comparison must rank it below real models. Compare models on other images."
        ]
    return [f"By {label}, the sanity-check baseline {shown} beats {values}: such a model has not learned to color."]
