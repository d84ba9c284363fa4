"""Color gray images: a U-Net autoencoder, a conditional GAN and a flow, trained with Hugging Face Accelerate.

`colornet.Colorizer` colors images in Python; importing colornet alone does not import torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colornet.inference.colorizer import Colorizer

__version__ = "0.1.0"
__all__ = ["Colorizer", "__version__"]


def __getattr__(name: str) -> object:
    if name != "Colorizer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from colornet.inference.colorizer import Colorizer

    return Colorizer
