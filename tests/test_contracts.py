"""What plug-ins return is checked on the first batch, and the line that says what is wrong names the plug-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from dissectreport import plugins
from dissectreport.errors import SegmenterError
from dissectreport.vocabulary import NOTHING, Concept, Vocabulary
from dissectreport.worker import contracts
from dissectreport.worker.loaded_networks import Models, Source

SIDES = Vocabulary((NOTHING, Concept("left", "object"), Concept("right", "object")))


@dataclass
class Halves:
    """Labels the left half 1 and the right half 2; what it returns can be changed."""

    labels: Callable[[Tensor], Tensor] = lambda labels: labels
    likely: Callable[[Tensor], Tensor] = lambda probabilities: probabilities
    sure: Callable[[Tensor], Tensor] = lambda confidence: confidence
    name: str = "halves"
    identity: str = "halves"
    facts: dict[str, Any] = field(default_factory=dict)
    vocabulary: Vocabulary = SIDES

    def _plain(self, images: Tensor) -> Tensor:
        labels = torch.ones(len(images), 1, *images.shape[2:], dtype=torch.long, device=images.device)
        labels[..., images.shape[3] // 2 :] = 2
        return labels

    def __call__(self, images: Tensor) -> Tensor:
        images.mul_(2).add_(1)  # As a network that normalises its input in place.
        return self.labels(self._plain(images))

    def confidence(self, images: Tensor) -> Tensor:
        return self.sure(torch.full((len(images), *images.shape[2:]), 0.9))

    def probabilities(self, images: Tensor, concepts: tuple[int, ...]) -> Tensor:
        plain = self._plain(images)
        return self.likely(torch.cat([0.1 + 0.8 * (plain == number) for number in concepts], 1))

    def to(self, device: torch.device) -> Halves:
        return self


def found(segmenter: Halves) -> tuple[str, ...]:
    """The cautions about a segmenter, on images of the planted generator."""
    models = Models(Source("planted", "planted"))
    models.__dict__["segmenter"] = segmenter
    z = models.latents(1, 0, 4)
    with torch.no_grad():
        images = models.images(z, 0)
        before = images.clone()
        result = contracts.cautions(models, z, images, models.labels(images), repeats=True)
    assert torch.equal(images, before), "a segmenter gets copies of images"
    return result


def test_what_is_right_gives_no_line() -> None:
    assert found(Halves()) == ()


def test_labels_that_do_not_repeat_are_a_caution() -> None:
    (line,) = found(Halves(labels=lambda labels: 1 + torch.randint_like(labels, 2)))
    assert line.startswith("segmenter 'halves' gives other labels for the same images the second time")


def test_labels_that_depend_on_the_batch_are_a_caution() -> None:
    (line,) = found(Halves(labels=lambda labels: labels.flip(3) if len(labels) > 2 else labels, likely=torch.ones_like))
    assert line.startswith("the labels of segmenter 'halves' depend on the other images in a batch")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"likely": lambda p: p.logit()}, "returned probabilities from -2.2 to 2.2; they must be probabilities"),
        ({"sure": lambda p: p.log()}, "returned confidence from -0.105 to -0.105; they must be probabilities"),
        ({"likely": lambda p: p * float("nan")}, "returned probabilities from nan to nan"),
        ({"labels": lambda labels: labels.flip(3)}, "where it labels left, the probability of left is lower"),
        ({"labels": lambda labels: labels.to("meta")}, "returned labels that are without content"),
        ({"labels": lambda labels: labels.to_sparse()}, "returned labels that are sparse; need plain numbers"),
        ({"labels": lambda labels: labels.to(torch.complex64)}, "returned labels that are complex"),
        ({"labels": lambda labels: labels[..., : 4 * len(labels)]}, "the same for all images of one size"),
        ({"sure": lambda p: p.to_sparse()}, "returned confidence that are sparse"),
        ({"sure": lambda p: p * float("nan")}, "returned confidence that is not finite"),
    ],
    ids=[
        *("logits", "logarithms", "not a number", "labels of others"),
        *("no content", "sparse", "complex", "other sizes", "sparse confidence", "no confidence"),
    ],
)
def test_what_makes_numbers_wrong_is_refused(change: dict[str, Any], line: str) -> None:
    with pytest.raises(SegmenterError, match=f"segmenter 'halves' .*{line}"):
        found(Halves(**change))


def test_labels_whose_number_is_one_too_low_are_refused_although_some_are_missing() -> None:
    """What is labelled nothing is not compared, and red is never probable, neither here nor elsewhere."""
    three = Vocabulary.of(object=("red", "green", "blue"))
    segmenter = Halves(
        vocabulary=three,
        labels=lambda labels: labels - 1,
        likely=lambda p: torch.cat([torch.full_like(p[:, :1], 0.1), p[:, 1:]], 1),
    )
    with pytest.raises(SegmenterError, match=r"where it labels red, green is more probable; .* off by one\?"):
        found(segmenter)


def test_images_that_depend_on_the_batch_are_a_caution() -> None:
    models = Models(Source("planted", "planted"))
    z = models.latents(1, 0, 4)
    with torch.no_grad():
        images = models.images(z, 0) + 0.1
        lines = contracts.cautions(models, z, images, models.labels(images), repeats=True)
        assert contracts.cautions(models, z, images, models.labels(images), repeats=False) == ()
    (line,) = lines
    assert line.startswith("an image of generator 'planted' depends on the others in its batch (by up to 0.1 of 2)")


class Forgetful(Halves):
    """Does not return itself."""

    def to(self, device: torch.device) -> Halves:
        return None  # type: ignore[return-value]


class Failing(Halves):
    """Cannot be moved."""

    def to(self, device: torch.device) -> Halves:
        raise RuntimeError("no room")


@pytest.mark.parametrize(
    ("segmenter", "line"),
    [
        (Forgetful(), "the method to of segmenter 'halves' returned a NoneType; it must return the plug-in"),
        (Failing(), r"segmenter 'halves' failed at to\('cpu'\): RuntimeError: no room"),
    ],
)
def test_a_segmenter_that_cannot_be_moved_is_one_line(
    segmenter: Halves, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "segmenter", lambda _: segmenter)
    with pytest.raises(SegmenterError, match=line):
        _ = Models(Source("planted", "halves")).segmenter
