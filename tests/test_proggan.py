"""The Progressive GAN: numbers of the reference implementation, and weights that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.checkpoints.weight_files import read_tensors
from dissectreport.errors import WeightsError
from dissectreport.models.proggan import ProgressiveGenerator, UpsamplingConv, from_state_dict
from dissectreport.models.proggan_names import sizes_of

REFERENCE = Path(__file__).parent / "fixtures" / "reference_dissection_32px.npz"
SIZES = (8, 8, 8, 4)


@pytest.fixture(scope="module")
def reference() -> dict[str, numpy.ndarray]:
    """What the original code computed on a generator with made-up weights."""
    with numpy.load(REFERENCE, allow_pickle=False) as arrays:
        return dict(arrays)


def weights(reference: dict[str, numpy.ndarray]) -> dict[str, Tensor]:
    """The made-up weights under their state-dict keys."""
    return {
        key.removeprefix("weights/"): torch.from_numpy(value)
        for key, value in reference.items()
        if key.startswith("weights/")
    }


def small() -> dict[str, Tensor]:
    """The untrained weights of a 16-pixel generator."""
    generator = ProgressiveGenerator(SIZES)
    generator.initialise(seed=0)
    return generator.state_dict()


def older(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as older files name them, with a scale that is not to be used."""
    named: dict[str, Any] = {}
    for key, value in state_dict.items():
        layer, _, rest = key.partition(".")
        number = layer.removeprefix("layer")
        place = f"features.{int(number) - 1}" if number.isdigit() else "output"
        named |= {f"{place}.{rest}": value, f"{place}.wscale.scale": torch.full((1,), 17.0)}
    return named


def tensorflow(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as the original program names them and lays them out, with what it needs for training only."""
    named: dict[str, Any] = {"lod": numpy.zeros(())}
    sides = 4
    for key, value in state_dict.items():
        layer, _, rest = key.partition(".")
        array, number = value.numpy(), layer.removeprefix("layer")
        if not number.isdigit():
            scope, array = "ToRGB_lod0", array if rest == "wscale.b" else numpy.moveaxis(array, (0, 1), (3, 2))
        elif number == "1":
            scope = "4x4/Dense"
            if rest == "conv.weight":  # [in, (out, y, x)], read from the far corner
                array = numpy.stack([array[:, i, ::-1, ::-1].reshape(-1) for i in range(array.shape[1])])
        else:
            sides = 2 ** ((int(number) + 3) // 2)
            scope = f"{sides}x{sides}/" + ("Conv" if number == "2" else "Conv1" if int(number) % 2 == 0 else "Conv0_up")
            if rest == "conv.weight":
                up = scope.endswith("up")
                array = numpy.einsum("oiyx->yxoi" if up else "oiyx->yxio", array[:, :, ::-1, ::-1] if up else array)
        named[f"{scope}/{'bias' if rest == 'wscale.b' else 'weight'}"] = array
    named["ToRGB_lod1/weight"], named["ToRGB_lod1/bias"] = numpy.zeros((1, 1, 4, 3)), numpy.zeros(3)
    return {name: torch.from_numpy(numpy.ascontiguousarray(array, numpy.float32)) for name, array in named.items()}


def prefixed(prefix: str, tensors: dict[str, Tensor], suffix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{name}{suffix}": value for name, value in tensors.items()}


STYLES = {
    "current": dict,
    "older": older,
    "TensorFlow": tensorflow,
    "wrapped": lambda tensors: {"state_dict": older(tensors), "step": 7},
    "of several processors": lambda tensors: {"state_dict": prefixed("module.", tensors)},
    "beside a discriminator": lambda tensors: {
        **prefixed("generator.module.", older(tensors)),
        "discriminator.conv.weight": torch.ones(1),
    },
    "exported": lambda tensors: prefixed("Gs/", tensorflow(tensors), ":0"),
}


@pytest.mark.parametrize("style", STYLES)
def test_images_are_those_of_the_reference_however_the_weights_are_named(
    reference: dict[str, numpy.ndarray], style: str
) -> None:
    generator = from_state_dict(STYLES[style](weights(reference)))
    with torch.no_grad():
        image = generator(torch.from_numpy(reference["z_first"]))
    # Float32: the order in which a convolution sums is the library's; values reach 6.4 here.
    assert numpy.allclose(image.numpy(), reference["image_first"], rtol=1e-5, atol=1e-5)


def test_units_are_read_before_normalisation_as_in_the_reference(reference: dict[str, numpy.ndarray]) -> None:
    generator = from_state_dict(weights(reference))
    read: list[Tensor] = []
    generator.get_submodule(str(reference["layer"])).register_forward_hook(lambda *call: read.append(call[2]))
    with torch.no_grad():
        generator(torch.from_numpy(reference["z_first"]).view(4, -1, 1, 1))
    assert numpy.allclose(read[0].numpy(), reference["feature_first"], rtol=1e-5, atol=1e-5)


def test_the_church_generator_has_the_published_tensors() -> None:
    with torch.device("meta"):
        generator = ProgressiveGenerator((512,) * 4 + (256, 128, 64, 32))
    state_dict = generator.state_dict()
    assert len(state_dict) == 30
    assert sum(value.numel() for value in state_dict.values()) == 18_344_995
    assert state_dict["output_256x256.conv.weight"].shape == (3, 32, 1, 1)
    assert generator.layers == tuple(f"layer{number}" for number in range(1, 15))


def test_sizes_are_inferred_from_the_weights() -> None:
    assert sizes_of(small()) == SIZES


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("resolution", [8, 16, 64, 256, 1024])
def test_every_resolution_is_recognised_by_its_weights(resolution: int, style: str) -> None:
    sizes = (5, *(4, 6, 3, 4, 2, 5, 3, 2, 4)[: resolution.bit_length() - 2])
    made = ProgressiveGenerator(sizes)
    made.initialise(seed=2)
    found = from_state_dict(STYLES[style](made.state_dict()))
    assert (found.sizes, found.resolution) == (sizes, resolution)
    expected = made.state_dict()
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.state_dict().items())


def original(variables: dict[str, Tensor], z: Tensor) -> Tensor:
    """The images that the original program draws with its own variables and its own operations, step by step."""

    def kept_even(x: Tensor) -> Tensor:
        return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()

    def scaled(weight: Tensor, gain: float, inputs: int) -> Tensor:
        return weight * (gain / inputs**0.5)

    def end(x: Tensor, scope: str) -> Tensor:
        return kept_even(functional.leaky_relu(x + variables[f"{scope}/bias"].view(1, -1, 1, 1), 0.2))

    dense = variables["4x4/Dense/weight"]
    x = (kept_even(z) @ scaled(dense, 2**0.5 / 4, dense.shape[0])).view(len(z), -1, 4, 4)
    x, side, scope = end(x, "4x4/Dense"), 4, "4x4/Conv"
    while True:
        weight = variables[f"{scope}/weight"]
        weight = scaled(weight, 2**0.5, 9 * weight.shape[2])
        x = end(functional.conv2d(x, weight.permute(3, 2, 0, 1), padding=1), scope)
        side *= 2
        scope = f"{side}x{side}/Conv0_up"
        if f"{scope}/weight" not in variables:
            rgb = variables["ToRGB_lod0/weight"]
            image = functional.conv2d(x, scaled(rgb, 1, rgb.shape[2]).permute(3, 2, 0, 1))
            return image + variables["ToRGB_lod0/bias"].view(1, -1, 1, 1)
        weight = variables[f"{scope}/weight"]  # (y, x, out, in): upsampled and convolved in one transposed convolution
        weight = functional.pad(scaled(weight, 2**0.5, 9 * weight.shape[3]).permute(3, 2, 0, 1), (1, 1, 1, 1))
        weight = weight[:, :, 1:, 1:] + weight[:, :, :-1, 1:] + weight[:, :, 1:, :-1] + weight[:, :, :-1, :-1]
        x = end(functional.conv_transpose2d(x, weight, stride=2, padding=1), scope)
        scope = f"{side}x{side}/Conv1"


def test_weights_of_the_original_program_draw_what_they_drew_there(tmp_path: Path) -> None:
    random = numpy.random.default_rng(3)
    shapes = {
        "4x4/Dense": (6, 5 * 16),
        "4x4/Conv": (3, 3, 5, 5),
        "8x8/Conv0_up": (3, 3, 4, 5),
        "8x8/Conv1": (3, 3, 4, 4),
        "16x16/Conv0_up": (3, 3, 7, 4),
        "16x16/Conv1": (3, 3, 7, 7),
        "ToRGB_lod0": (1, 1, 7, 3),
        "ToRGB_lod1": (1, 1, 4, 3),
    }
    variables: dict[str, Any] = {"lod": numpy.float32(0)}
    for scope, shape in shapes.items():
        channels = shape[2] if scope.endswith("up") else shape[-1] // (16 if "Dense" in scope else 1)
        variables[f"{scope}/weight"] = random.standard_normal(shape, dtype=numpy.float32)
        variables[f"{scope}/bias"] = random.standard_normal(channels, dtype=numpy.float32)
    path = tmp_path / "gs.npz"
    numpy.savez(path, **variables)
    z = torch.from_numpy(random.standard_normal((3, 6), dtype=numpy.float32))
    with torch.no_grad():
        drawn = from_state_dict(read_tensors(path))(z)
        expected = original({name: torch.from_numpy(numpy.array(value)) for name, value in variables.items()}, z)
    assert drawn.shape == (3, 3, 16, 16)
    assert torch.allclose(drawn, expected, rtol=1e-5, atol=1e-5)


def test_convolutions_that_follow_an_upsampling_may_be_separate(tmp_path: Path) -> None:
    """The original program can upsample and convolve in two steps; then Conv0 is laid out as any convolution."""
    state_dict = small()
    apart = {}
    for name, value in tensorflow(state_dict).items():
        if name.endswith("Conv0_up/weight"):
            value = torch.from_numpy(numpy.einsum("yxoi->yxio", value.numpy()[::-1, ::-1]).copy())
        apart[name.replace("Conv0_up", "Conv0")] = value
    found = from_state_dict(apart).state_dict()
    assert all(torch.equal(value, state_dict[key]) for key, value in found.items())


def test_untrained_weights_depend_on_nothing_but_the_seed() -> None:
    first, second = small(), small()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not first["layer1.wscale.b"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("layer2.wscale.b"), "layer2.wscale.b is missing"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "extra is unknown"),
        (
            lambda tensors: tensors.update({"layer2.wscale.b": torch.ones(3)}),
            r"has shape \(3,\) instead of \(8,\)",
        ),
        (lambda tensors: tensors.update({"layer1.conv.weight": torch.ones(3)}), "should have four axes"),
        (lambda tensors: tensors.pop("layer1.conv.weight"), "not a Progressive GAN"),
        (lambda tensors: tensors.pop("layer3.conv.weight"), "layer3.conv.weight is missing"),
        (lambda tensors: tensors.pop("layer6.conv.weight"), "layer6.conv.weight is missing"),
        (lambda tensors: tensors.pop("output_16x16.conv.weight"), "output_16x16.conv.weight is missing"),
        (lambda tensors: tensors.update(prefixed("ema.", tensors)), "several Progressive GANs, named '' and 'ema.'"),
        (lambda tensors: tensors.update({"4x4/Dense/weight": torch.ones(3, 4)}), "Dense/weight has shape"),
        (lambda tensors: tensors.update(step=7), "'step' is a int"),
        (lambda tensors: tensors.update(state_dict=7), "'state_dict' is a int"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(change, message: str) -> None:
    tensors = small()
    change(tensors)
    with pytest.raises(WeightsError, match=message) as refused:
        from_state_dict(tensors)
    assert "\n" not in str(refused.value)


def test_convolving_after_an_upsampling_is_one_transposed_convolution() -> None:
    random = torch.Generator().manual_seed(4)
    features = torch.randn(2, 5, 6, 7, generator=random, requires_grad=True)
    conv = UpsamplingConv(5, 3, 3, padding=1, bias=False)
    found = conv(features)
    large = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    wanted = functional.conv2d(large, conv.weight, padding=1)
    assert torch.allclose(found, wanted, atol=1e-5)
    mine, theirs = (torch.autograd.grad(one.square().sum(), (features, conv.weight)) for one in (found, wanted))
    for one, other in zip(mine, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_maps_that_are_overwritten_have_the_same_bits_as_with_gradients() -> None:
    generator = ProgressiveGenerator(SIZES)
    generator.initialise(1)
    z = torch.randn(3, SIZES[0], generator=torch.Generator().manual_seed(2))
    kept = z.clone()
    with torch.no_grad():
        plain = generator(z)
    assert torch.equal(generator(z.clone().requires_grad_()), plain) and torch.equal(z, kept)


def test_the_kernel_that_is_kept_follows_the_weights() -> None:
    conv = UpsamplingConv(4, 2, 3, padding=1, bias=False).requires_grad_(False)
    features = torch.ones(1, 4, 2, 2)
    before = conv(features)
    assert torch.equal(conv(features), before)
    conv.weight.mul_(2)
    assert torch.allclose(conv(features), 2 * before)
    conv.weight.data = torch.zeros(2, 4, 3, 3)
    assert not conv(features).any()
