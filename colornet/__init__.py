"""Colour grey images: a U-Net autoencoder and a conditional GAN, trained with Hugging Face Accelerate."""

__version__ = "0.1.0"
__all__ = ["__version__"]
