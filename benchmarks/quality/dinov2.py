"""DINOv2, a published network that was trained without labels, in full float32."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torchvision.models import VisionTransformer
from torchvision.transforms.functional import normalize

from benchmarks.quality.pretrained_networks import load_weights
from colornet.metrics.image import check_pixels
from colornet.metrics.precision import full_precision

# The publishers state no hash: it is what projects that pin this file say, all of them the same.
DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth"
DINOV2_SHA256 = "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"  # of 1,217,586,395 bytes

_SIZE, _PATCH = 224, 14  # pixels of the images and of a patch
_HEAD = 64  # channels of an attention head
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB, by which it normalizes

# Its names of layers and torchvision's.
_RENAMED = (
    (r"^cls_token$", "class_token"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^norm\.", "encoder.ln."),
    (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"\.norm([12])\.", r".ln_\1."),
    (r"\.attn\.qkv\.", ".self_attention.in_proj_"),
    (r"\.attn\.proj\.", ".self_attention.out_proj."),
    (r"\.fc1\.", ".0."),
    (r"\.fc2\.", ".3."),
)

_LAST = re.compile(r"(blocks\.\d+)\.(attn\.proj|mlp\.fc2)\.\w+")  # the last linear layers of attention and MLP
_SCALES = {"attn.proj": "ls1", "mlp.fc2": "ls2"}


def load_dinov2(
    weights: Path | None, cache_dir: Path, device: torch.device, *, sha256: str = DINOV2_SHA256
) -> Callable[[Tensor], Tensor]:
    """Load DINOv2's ViT-L/14: from uint8 sRGB images (n, 3, H, W) on `device` to float32 features (n, 1024) there.

    The features are those of torch-fidelity's `dinov2-vit-l-14`, the normalized class token of images resized to
    224 × 224, up to rounding. torch-fidelity runs code that it downloads; here the network is torchvision's. Its
    weights are found, and errors raised, as by `load_weights`; the features raise ValueError for images of another
    kind. Source: Oquab et al. 2023, "DINOv2: learning robust visual features without supervision"; as a measure of
    generated images: Stein et al. 2023, "Exposing flaws of generative model evaluation metrics".
    """
    network = build_network(load_weights(weights, cache_dir, url=DINOV2_URL, sha256=sha256)).to(device)

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        check_pixels(images)
        with full_precision(device):
            resized = interpolate_bilinear_2d_like_tensorflow1x(images.float(), (_SIZE, _SIZE), align_corners=False)
            found: Tensor = network(normalize(resized / 255, _MEAN, _STD))  # (n, 1024), of (n, 3, 224, 224)
            return found

    return features


def build_network(weights: Mapping[str, Tensor]) -> VisionTransformer:
    """Build the network (n, 3, 224, 224) → (n, D) whose weights these are, by DINOv2's names; D is 1024 for ViT-L.

    torchvision's has no LayerScale, a factor for each channel of what a block adds: the factors are multiplied into the
    last linear layers of attention and MLP.
    """
    depth = 1 + max(int(found[1]) for name in weights if (found := re.match(r"blocks\.(\d+)\.", name)))
    width = weights["cls_token"].shape[-1]
    hidden = len(weights["blocks.0.mlp.fc1.bias"])
    with torch.device("meta"):  # nothing is drawn that the weights replace
        network = VisionTransformer(_SIZE, _PATCH, depth, width // _HEAD, width, hidden)
        network.heads = nn.Identity()
    renamed = {"encoder.pos_embedding": _positions(weights["pos_embed"])}
    for name, value in weights.items():
        if last := _LAST.fullmatch(name):
            gamma = weights[f"{last[1]}.{_SCALES[last[2]]}.gamma"]  # (D,)
            value = value * (gamma[:, None] if value.ndim == 2 else gamma)
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        if name not in ("pos_embed", "mask_token") and not name.endswith(".gamma"):
            renamed[name] = value
    network.load_state_dict(renamed, assign=True)
    return network.eval().requires_grad_(False)


def _positions(embedding: Tensor) -> Tensor:
    """Resize the embedding of positions (1, 1 + M², D) to 16 × 16 patches: (1, 257, D), as DINOv2 does.

    It adds 0.1 to the number of patches where it computes the factor, and was trained so.
    """
    first, rest = embedding[:, :1], embedding[:, 1:]
    side = math.isqrt(rest.shape[1])
    factor = (_SIZE // _PATCH + 0.1) / side
    plane = rest.unflatten(1, (side, side)).movedim(3, 1)  # (1, D, M, M)
    resized = F.interpolate(plane, scale_factor=factor, mode="bicubic")  # (1, D, 16, 16)
    return torch.cat((first, resized.flatten(2).mT), dim=1)
