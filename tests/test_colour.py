"""Colour names by rule."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.segmenters.colour import COLOURS, blurred, load, oklab


def paper(code: str) -> Tensor:
    """(1, 3, 8, 8) of one colour."""
    return (torch.tensor(list(bytes.fromhex(code))).float() / 127.5 - 1).view(1, 3, 1, 1).expand(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("050505", "black"),
        ("fafafa", "white"),
        ("808080", "grey"),
        ("f01010", "red"),
        ("10a020", "green"),
        ("2040e0", "blue"),
        ("f8f020", "yellow"),
        ("ff8c10", "orange"),
        ("7a4820", "brown"),
        ("ffa8c4", "pink"),
        ("7a2090", "purple"),
    ],
)
def test_a_plain_colour_has_its_name(code: str, name: str) -> None:
    assert (load()(paper(code)) == COLOURS.index(name) + 1).all()


@pytest.mark.parametrize("tint", [(0, 0, 0), (3, 0, -3), (-3, 3, 0), (0, -3, 3)])
def test_what_has_no_colour_is_black_then_grey_then_white(tint: tuple[int, int, int]) -> None:
    shades = [[min(max(grey + part, 0), 255) for part in tint] for grey in range(256)]
    named = [COLOURS[int(load()(paper(bytes(shade).hex()))[0, 0, 0, 0]) - 1] for shade in shades]
    assert [name for name, _ in groupby(named)] == ["black", "grey", "white"]


def test_there_are_the_eleven_basic_terms() -> None:
    segmenter = load()
    assert [concept.name for concept in segmenter.vocabulary.concepts[1:]] == sorted(COLOURS)
    assert len(COLOURS) == 11


def test_every_pixel_has_a_colour_and_confidence_one() -> None:
    images = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(0)) * 4 - 2
    concepts = load()(images)
    assert concepts.shape == (2, 1, 12, 20)
    assert concepts.dtype == torch.int64
    assert concepts.min() >= 1
    assert concepts.max() <= 11
    assert (load().confidence(images) == 1).all()


def test_a_single_stray_pixel_does_not_change_the_name() -> None:
    images = paper("2040e0").clone()
    images[0, :, 4, 4] = paper("1838d0")[0, :, 0, 0]
    assert (load()(images) == COLOURS.index("blue") + 1).all()


def test_white_has_lightness_one_and_no_colour() -> None:
    assert torch.allclose(oklab(paper("ffffff"))[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]), atol=1e-3)


def test_the_blur_is_the_mean_of_nine_pixels_with_the_border_repeated() -> None:
    images = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    assert torch.allclose(blurred(images), functional.avg_pool2d(padded, 3, stride=1), atol=1e-6)
    laid_out = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(blurred(laid_out), blurred(images))


def test_the_most_probable_name_is_the_label() -> None:
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    likely = load().probabilities(images, range(1, 12))
    assert likely.shape == (4, 11, 16, 16)
    assert torch.allclose(likely.sum(1), torch.ones(4, 16, 16), atol=1e-5)
    agree = (likely.argmax(1) + 1 == load()(images)[:, 0]).float().mean()
    assert agree > 0.95, "labels are those of a table of 48 shades a channel"


@pytest.mark.parametrize("code", ["000000", "ffffff", "808080", "10a020"])
def test_probabilities_have_gradients_everywhere(code: str) -> None:
    images = paper(code).clone().requires_grad_()
    load().probabilities(images, [COLOURS.index("green") + 1])[:, 0].sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_more_green_is_more_probably_green() -> None:
    images = paper("6a7060").clone().requires_grad_()
    load().probabilities(images, [COLOURS.index("green") + 1]).sum().backward()
    assert images.grad is not None
    red, green, blue = images.grad.sum((0, 2, 3))
    assert green > 0 > red and green > blue


def test_nothing_has_no_probability() -> None:
    assert (load().probabilities(paper("10a020"), [0, 4])[:, 0] == 0).all()
