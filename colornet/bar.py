"""What is shown of long work: a bar on a terminal, and a line a minute anywhere else."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

INTERVAL = 60.0  # seconds between lines


class Bar(tqdm):  # type: ignore[misc]
    """A bar of tqdm on stderr, with its options; where that is no terminal, lines from the first minute on.

    `shown` is whether this process shows anything.
    """

    def __init__(self, *arguments: Any, shown: bool = True, **options: Any) -> None:
        shown = shown and sys.stderr is not None  # None in a program without a console
        self.lines = shown and not sys.stderr.isatty()
        if self.lines:
            counted = options.get("total") is not None or (arguments and hasattr(arguments[0], "__len__"))
            options |= {
                "mininterval": INTERVAL,
                "maxinterval": INTERVAL,
                "bar_format": "{desc}: {percentage:.0f} % of {total_fmt} {unit}, {remaining} left"
                if counted
                else "{desc}: {n_fmt} {unit} in {elapsed}",
            }
        super().__init__(*arguments, disable=not shown, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the bar, or write its line unless nothing or all of it is done."""
        if not self.lines:
            return bool(super().display(msg, pos))
        if self.initial < self.n != self.total:
            sys.stderr.write(f"{self}\n")
            sys.stderr.flush()
        return True

    def close(self) -> None:
        """Leave the bar as it is, and no other line."""
        if self.lines:
            self.disable = True
        super().close()
