"""The networks: shapes, the original notebooks' sizes, what spectral normalization promises."""

import copy
import dataclasses
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from colornet.config import PRESETS
from colornet.models.build import build_discriminator, build_generator
from colornet.models.discriminators import DCGANDiscriminator, PatchDiscriminator
from colornet.models.noise import fixed_noise
from colornet.models.unet import GroupNorm, UNet, count_parameters


def conv(in_channels: int, out_channels: int, side: int, bias: bool = True) -> int:
    return side * side * in_channels * out_channels + (out_channels if bias else 0)


def batch_norm(channels: int) -> int:
    return 2 * channels


def notebook_unet_parameters() -> int:
    """Count from the description: levels of (conv3, BN) × 2, 3×3 transposed convolutions, a 1×1 head to RGB."""
    dims = [64, 128, 256, 512, 1024]

    def double(i: int, o: int) -> int:
        return conv(i, o, 3) + batch_norm(o) + conv(o, o, 3) + batch_norm(o)

    encoder = sum(double(i, o) for i, o in zip([1, *dims[:-1]], dims, strict=True))
    decoder = sum(conv(2 * d, d, 3) + double(2 * d, d) for d in dims[:-1])
    return encoder + decoder + conv(64, 3, 1)


@pytest.mark.parametrize("preset", ["notebook-ae", "notebook-cgan"])
def test_notebook_generator_has_the_size_of_its_description(preset: str) -> None:
    assert count_parameters(build_generator(PRESETS[preset].config)) == notebook_unet_parameters() == 34_524_099


def test_notebook_discriminator_has_the_size_of_its_description() -> None:
    # 32 → 16 → 8 → 4 by 4×4 stride-2 convolutions on RGB and its gray condition, then 4×4 to one logit.
    expected = (
        conv(4, 64, 4)
        + (conv(64, 128, 4, bias=False) + batch_norm(128))
        + (conv(128, 256, 4, bias=False) + batch_norm(256))
        + conv(256, 1, 4)
    )
    assert count_parameters(build_discriminator(PRESETS["notebook-cgan"].config)) == expected


def test_notebook_blocks_are_those_of_the_description() -> None:
    network = build_generator(PRESETS["notebook-ae"].config)
    kinds = [type(m) for m in network.modules()]
    assert kinds.count(nn.MaxPool2d) == kinds.count(nn.ConvTranspose2d) == 4
    assert kinds.count(nn.BatchNorm2d) == kinds.count(nn.LeakyReLU) == 18
    assert {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)} == {0.01}


@pytest.mark.parametrize("preset", ["ae", "cgan"])
def test_our_generators_have_neither_transposed_convolutions_nor_batch_norm(preset: str) -> None:
    kinds = {type(m) for m in build_generator(PRESETS[preset].config).modules()}
    assert GroupNorm in kinds
    assert not kinds & {nn.ConvTranspose2d, nn.BatchNorm2d}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 3)])
def test_unet_keeps_the_size_of_its_input(residual: bool, attention: bool, multipliers: tuple[int, ...]) -> None:
    network = UNet(1, 2, width=6, multipliers=multipliers, blocks=1, residual=residual, attention=attention)
    assert network(torch.randn(2, 1, 8, 20)).shape == (2, 2, 8, 20)


def test_our_generator_starts_at_gray() -> None:
    assert not UNet(1, 2, width=8)(torch.randn(2, 1, 16, 16)).any()


def test_group_norm_is_in_full_precision_under_autocast() -> None:
    x = torch.randn(2, 16, 4, 4).to(torch.bfloat16).requires_grad_()
    norm = GroupNorm(16)
    with torch.autocast("cpu", torch.bfloat16):
        normed = norm(x)
    assert torch.equal(normed, nn.functional.group_norm(x.float(), 8, norm.weight, norm.bias))
    weights = torch.randn(2, 16, 4, 4)
    (normed * weights).sum().backward()
    exact = x.detach().float().requires_grad_()
    (nn.functional.group_norm(exact, 8, norm.weight, norm.bias) * weights).sum().backward()
    assert x.grad is not None
    assert exact.grad is not None
    assert torch.equal(x.grad, exact.grad.to(torch.bfloat16))


def fill_output(network: UNet) -> None:
    """Give the output weights, since one that starts at zero would hide all gradients but its own."""
    (output,) = (module for module in network.head.modules() if isinstance(module, nn.Conv2d))
    nn.init.normal_(output.weight)


@pytest.mark.parametrize("residual", [True, False])
def test_every_parameter_of_the_unet_is_used(residual: bool) -> None:
    network = UNet(1, 2, width=8, multipliers=(1, 2, 2), residual=residual)
    fill_output(network)
    network(torch.randn(4, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def pass_through(network: UNet, images: Tensor) -> tuple[list[Tensor], int]:
    """Return output, gradients and buffers of a forward and backward pass, and the bytes kept between the two."""
    kept: dict[int, int] = {}  # by address: several functions may keep the same tensor

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(images)
    output.square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return [output.detach(), *gradients, *network.buffers()], sum(kept.values())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("residual", [True, False])
def test_activation_checkpointing_changes_memory_and_nothing_else(residual: bool, compiled: bool) -> None:
    torch.manual_seed(0)
    plain = UNet(1, 2, width=8, multipliers=(1, 2), blocks=1, residual=residual, attention=not compiled)
    fill_output(plain)
    checkpointed = copy.deepcopy(plain)
    checkpointed.activation_checkpointing = True
    if compiled:
        checkpointed.compile(backend="aot_eager")
    assert checkpointed.state_dict().keys() == plain.state_dict().keys()
    images = torch.randn(4, 1, 16, 16)
    expected, kept = pass_through(plain, images)
    found, kept_less = pass_through(checkpointed, images)
    assert len(expected) == len(found) > 20
    assert all(map(torch.equal, expected, found))
    assert kept_less < 0.5 * kept


def test_activation_checkpointing_is_off_where_nothing_is_differentiated(monkeypatch: pytest.MonkeyPatch) -> None:
    network = UNet(1, 2, width=8, multipliers=(1, 2), blocks=1, activation_checkpointing=True)
    monkeypatch.setattr("colornet.models.unet.checkpoint", lambda *_, **__: pytest.fail("checkpointed"))
    with torch.no_grad():
        assert network(torch.randn(2, 1, 16, 16)).shape == (2, 2, 16, 16)


def test_activation_checkpointing_is_an_option() -> None:
    config = PRESETS["ae"].config
    assert [
        build_generator(dataclasses.replace(config, width=8, activation_checkpointing=on)).activation_checkpointing
        for on in (False, True)
    ] == [False, True]


def receptive_field(network: nn.Module, logit: tuple[int, int], size: int) -> tuple[int, int]:
    images = torch.zeros(1, 3, size, size, requires_grad=True)
    gray, color = images.split([1, 2], dim=1)
    network(gray, color)[0, 0, logit[0], logit[1]].backward()
    assert images.grad is not None
    rows = images.grad.abs().sum((0, 1, 3)).nonzero()
    columns = images.grad.abs().sum((0, 1, 2)).nonzero()
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def test_patch_discriminator_sees_patches_of_the_documented_size() -> None:
    network = PatchDiscriminator(3, width=8)
    assert network(torch.zeros(2, 1, 32, 32), torch.zeros(2, 2, 32, 32)).shape == (2, 1, 8, 8)
    assert receptive_field(network, (8, 8), 64) == (28, 28)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_dcgan_discriminator_gives_one_logit(size: int) -> None:
    network = DCGANDiscriminator(4, width=4, image_size=size)
    assert network(torch.zeros(2, 1, size, size), torch.zeros(2, 3, size, size)).shape == (2, 1, 1, 1)


@pytest.mark.parametrize("discriminator", [PatchDiscriminator(3, width=8), DCGANDiscriminator(3, width=8)])
def test_discriminators_look_at_the_condition(discriminator: nn.Module) -> None:
    color = torch.randn(2, 2, 32, 32)
    dark, light = torch.zeros(2, 1, 32, 32), torch.ones(2, 1, 32, 32)
    assert not torch.allclose(discriminator(dark, color), discriminator(light, color))


def test_discriminators_without_condition_see_color_only() -> None:
    color = torch.randn(2, 2, 32, 32)
    dark, light = torch.zeros(2, 1, 32, 32), torch.ones(2, 1, 32, 32)
    for kind in ("patch", "dcgan"):
        config = dataclasses.replace(PRESETS["cgan"].config, discriminator=kind, conditional=False)
        network = build_discriminator(config)
        assert count_parameters(network) < count_parameters(
            build_discriminator(dataclasses.replace(config, conditional=True))
        )
        assert torch.equal(network(dark, color), network(light, color))
        assert not torch.allclose(network(dark, color), network(dark, -color))


@pytest.mark.parametrize(("norm", "kind"), [("group", GroupNorm), ("batch", nn.BatchNorm2d)])
def test_normalization_is_the_one_asked_for(norm: Literal["group", "batch"], kind: type) -> None:
    network = UNet(1, 2, width=8, multipliers=(1, 2), blocks=1, norm=norm)
    found = {type(m) for m in network.modules()} & {GroupNorm, nn.BatchNorm2d}
    assert found == {kind}
    assert network(torch.randn(2, 1, 16, 16)).shape == (2, 2, 16, 16)


def test_noise_reaches_the_output_and_is_that_of_the_image_unless_given() -> None:
    torch.manual_seed(0)
    network = UNet(1, 2, width=8, multipliers=(1, 2), blocks=1, noise_channels=3).eval()
    nn.init.normal_(network.get_parameter("head.2.weight"))  # zero at first: every output is gray
    gray = torch.rand(4, 1, 16, 16)
    assert torch.equal(network(gray), network(gray, fixed_noise(gray, 3)))
    assert not torch.allclose(network(gray), network(gray, fixed_noise(gray, 3, sample=1)), atol=1e-3)


def test_network_without_noise_has_the_weights_it_always_had() -> None:
    torch.manual_seed(0)
    plain = UNet(1, 2, width=8)
    torch.manual_seed(0)
    silent = UNet(1, 2, width=8, noise_channels=0, norm="group")
    assert plain.state_dict().keys() == silent.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), silent.parameters(), strict=True))


def spectral_norms(network: nn.Module) -> list[float]:
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return [torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() for layer in layers]


def test_power_iteration_brings_spectral_norms_to_one() -> None:
    network = PatchDiscriminator(3, width=8)
    for _ in range(200):
        network.power_iteration()
    assert spectral_norms(network) == pytest.approx([1.0] * 5, rel=1e-3)


def test_only_power_iteration_changes_what_the_discriminator_computes() -> None:
    network = PatchDiscriminator(3, width=8)
    inputs = torch.randn(2, 1, 16, 16), torch.randn(2, 2, 16, 16)

    def logits() -> Tensor:
        return network(*inputs).detach()

    assert torch.equal(logits(), logits())
    before = logits()
    network.power_iteration()
    assert not torch.equal(before, logits())
