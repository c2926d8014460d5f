"""The Progressive GAN: numbers of the reference implementation, and weights that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from torch import Tensor

from dissectreport.errors import WeightsError
from dissectreport.models.proggan import ProgressiveGenerator, from_state_dict, sizes_of

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


def with_older_names(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as older files name them."""
    older = {"features.0.wscale.scale": torch.ones(1)}
    for key, value in state_dict.items():
        layer, _, rest = key.partition(".")
        number = layer.removeprefix("layer")
        older[f"features.{int(number) - 1}.{rest}" if number.isdigit() else f"output.{rest}"] = value
    return older


def test_images_are_those_of_the_reference(reference: dict[str, numpy.ndarray]) -> None:
    generator = from_state_dict(weights(reference))
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


def test_older_names_and_a_wrapping_state_dict_load_the_same_generator() -> None:
    state_dict = small()
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    expected = from_state_dict(state_dict)(z)
    assert torch.equal(from_state_dict({"state_dict": with_older_names(state_dict)})(z), expected)


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
