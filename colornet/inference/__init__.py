"""Color images with a trained model: `from colornet.inference import Colorizer` imports torch, the package does not."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colornet.inference.colorizer import Colorizer

__all__ = ["Colorizer"]


def __getattr__(name: str) -> object:
    if name != "Colorizer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from colornet.inference.colorizer import Colorizer

    return Colorizer
