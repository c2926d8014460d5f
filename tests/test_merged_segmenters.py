"""Several segmenters as one: nothing stays nothing, the same concept is one concept, and slots stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dissectreport import plugins
from dissectreport.analysis.assemble import trained
from dissectreport.errors import BadOption, SegmenterError, UnknownName
from dissectreport.pipeline.provenance import identity, source_digest
from dissectreport.segmenters import colour, planted, scenes
from dissectreport.segmenters.base import Concept, Vocabulary
from dissectreport.segmenters.colour import COLOURS
from dissectreport.segmenters.merged import merged
from dissectreport.worker import concept_masks


@dataclass(eq=False)
class Fixed:
    """A segmenter that gives the same labels for every image."""

    labels: Tensor
    """(slots, h, w)"""
    vocabulary: Vocabulary
    name: str = "fixed"
    identity: str = "fixed-1"
    sure: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, images: Tensor) -> Tensor:
        return self.labels.expand(len(images), -1, -1, -1)

    def confidence(self, images: Tensor) -> Tensor:
        return torch.full((len(images), *self.labels.shape[1:]), self.sure)

    def to(self, device: torch.device) -> Fixed:
        return self


class Likely(Fixed):
    """One that finds every concept with the probability of its number in tenths."""

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        tenths = torch.tensor([number / 10 for number in concepts])[None, :, None, None]
        return tenths * torch.ones(len(images), 1, *self.labels.shape[1:]) + 0 * images.sum()


class Sure(Likely):
    """One that describes whole images, too."""

    def features(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def images(count: int = 2, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


ONE = Vocabulary.of(object=("sky", "tree"), colour=("red",))
OTHER = Vocabulary.of(word=("sky",), object=("tree", "dome"))
LEFT = Sure(torch.tensor([[[1, 2], [0, 3]]]), ONE, "left", "left-1", 0.9)
RIGHT = Sure(torch.tensor([[[2, 1], [3, 0]], [[0, 2], [2, 0]]]), OTHER, "right", "right-1", 0.6)
BARE = Fixed(torch.tensor([[[1, 0], [0, 0]]]), Vocabulary.of(shape=("round",)), "bare", "bare-1", 0.7)


# --- labels ----------------------------------------------------------------------------------------------------


def test_nothing_of_every_part_is_nothing_and_never_a_concept() -> None:
    both = merged([scenes.load(), colour.load()])
    names = [concept.name for concept in both.vocabulary.concepts]
    assert names.count("-") == 1
    assert names[0] == "-"
    made = merged([LEFT, RIGHT])
    assert [concept.name for concept in made.vocabulary.concepts].count("-") == 1
    assert made(images(1))[0, :, 1, 1].tolist() == [3, 0, 0]


def test_a_concept_of_two_parts_is_one_concept_and_one_of_two_categories_is_two() -> None:
    made = merged([LEFT, RIGHT])
    assert made.vocabulary.concepts[1:] == (
        *(Concept("sky", "object"), Concept("tree", "object"), Concept("red", "colour")),
        *(Concept("sky (word)", "word"), Concept("dome", "object")),
    )
    assert made(images(1))[0].tolist() == [[[1, 2], [0, 3]], [[2, 4], [5, 0]], [[0, 2], [2, 0]]]


def test_a_pixel_counts_once_for_a_concept_that_two_parts_find_there() -> None:
    made = merged([LEFT, RIGHT])
    masks = concept_masks.Masks.of(made(images(1)), len(made.vocabulary))
    pixels = dict(zip(masks.concepts.tolist(), masks.by_image[0].tolist(), strict=True))
    assert pixels == {1: 1, 2: 3, 3: 1, 4: 1, 5: 1}, "tree is in three pixels, one of which both parts name"


def test_each_part_finds_what_it_finds_alone() -> None:
    parts: list[Any] = [scenes.load(), planted.load()]
    made, shown = merged(parts), images(2, 128)
    labels, first = made(shown), 0
    for part in parts:
        alone = part(shown)
        slots = labels[:, first : first + alone.shape[1]]
        for number in alone.unique().tolist():
            (place,) = slots[alone == number].unique().tolist()
            assert torch.equal(alone == number, slots == place)
            mine, whole = part.vocabulary.concepts[number], made.vocabulary.concepts[place]
            assert whole in (mine, Concept(f"{mine.name} ({mine.category})", mine.category))
        first += alone.shape[1]


HAIR = Vocabulary.of(object=("hair",), material=("hair", "skin"))


def test_a_name_that_a_part_shares_between_categories_is_the_same_concept_as_in_another_part() -> None:
    assert [concept.name for concept in HAIR.concepts] == ["-", "hair", "hair (material)", "skin"]
    one = Fixed(torch.tensor([[[1, 2, 3]]]), HAIR, "one")
    other = Fixed(torch.tensor([[[1, 1, 2]]]), Vocabulary.of(material=("hair", "hide")), "other")
    for parts, names in (
        ([one, other], ["hair", "hair (material)", "skin", "hide"]),
        ([other, one], ["hair", "hide", "hair (object)", "skin"]),
    ):
        made = merged(parts)
        assert [concept.name for concept in made.vocabulary.concepts[1:]] == names
        seen = made(images(1))[0, :, 0, :].T.tolist()
        named = [{made.vocabulary.concepts[number] for number in pixel} for pixel in seen]
        assert [len(pixel) for pixel in named] == [2, 1, 2], "both find the material in the middle"
        assert {concept.category for concept in named[1]} == {"material"}


def test_coarser_labels_are_repeated_at_the_finest_resolution() -> None:
    fine = Fixed(torch.arange(1, 17).reshape(1, 4, 4), Vocabulary.of(cell=tuple("abcdefghijklmnop")), "fine")
    labels = merged([LEFT, fine])(images(1))[0]
    assert labels[0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 3, 3], [0, 0, 3, 3]]
    assert (labels[1] - 3).tolist() == fine.labels[0].tolist()
    odd = Fixed(torch.tensor([[[1, 2, 3]]]), Vocabulary.of(cell=("x", "y", "z")), "odd")
    assert merged([odd, fine])(images(1))[0, 0].tolist() == [[1, 2, 2, 3]] * 4, "what stands at each centre"


def test_colours_of_images_of_any_size_are_merged() -> None:
    made: Any = merged([scenes.load(), colour.load()])
    for height, width in ((1, 1), (64, 64), (48, 200), (257, 129)):
        shown = torch.rand(2, 3, height, width) * 2 - 1
        labels = made(shown)
        assert labels.shape == (2, 5, max(height, 128), max(width, 128))
        names = {made.vocabulary.concepts[number].name for number in labels[:, 4].unique().tolist()}
        assert names <= set(COLOURS)


# --- probabilities, confidence, features -----------------------------------------------------------------------


def test_probabilities_are_those_that_any_part_finds_a_concept() -> None:
    made: Any = merged([LEFT, RIGHT, BARE])
    shares = made.probabilities(images(1), range(7))[0, :, 0, 0].tolist()
    either = 1 - (1 - 0.2) * (1 - 0.2)
    assert shares == pytest.approx([0.0, 0.1, either, 0.3, 0.1, 0.3, 0.0])
    assert made.probabilities(images(1), (5, 2))[0, :, 0, 0].tolist() == pytest.approx([0.3, either])


def test_a_concept_of_a_part_without_probabilities_is_zero_and_without_gradient() -> None:
    made: Any = merged([LEFT, BARE])
    number = made.vocabulary.concepts.index(Concept("round", "shape"))
    shares = made.probabilities(images(), (number,))
    assert (shares == 0).all()
    assert not shares.requires_grad


def test_gradients_reach_the_pixels_through_the_part_that_has_them() -> None:
    shown = images(1, 128).requires_grad_()
    made: Any = merged([scenes.load(), colour.load()])
    tree = made.vocabulary.concepts.index(Concept("tree", "object"))
    (gradient,) = torch.autograd.grad(made.probabilities(shown, (tree,)).sum(), shown)
    assert float(gradient.abs().sum()) > 0
    alone = scenes.load().probabilities(shown, (tree,))
    assert torch.allclose(made.probabilities(shown, (tree,)), alone, atol=1e-6)


def test_only_what_a_part_can_do_can_be_asked_of_the_whole() -> None:
    assert not hasattr(merged([BARE, colour.load()]), "probabilities")
    assert not hasattr(merged([BARE, colour.load()]), "features")
    likely = Likely(LEFT.labels, ONE, "likely")
    assert hasattr(merged([likely, BARE]), "probabilities")
    assert not hasattr(merged([likely, BARE]), "features")
    whole: Any = merged([LEFT, BARE, scenes.load()])
    assert whole.features(images()).shape == (2, 3 + 168)


def test_confidence_is_that_of_the_least_confident_part() -> None:
    assert (merged([LEFT, RIGHT, BARE]).confidence(images()) == 0.6).all()
    assert merged([LEFT, scenes.load()]).confidence(images()).shape == (2, 128, 128)


# --- facts, identity, names ------------------------------------------------------------------------------------


def test_held_out_quality_is_given_for_evaluated_concepts_only() -> None:
    other = Fixed(torch.zeros(1, 2, 2, dtype=torch.int64), Vocabulary.of(word=("tree", "spire")), "words")
    plain = Fixed(other.labels, Vocabulary.of(shape=("round",)), "plain", facts={"card": {"iou": {"round": 0.7}}})
    made = merged([scenes.load(), other, plain])
    found = trained({"name": made.name, **made.facts})
    assert found[Concept("tree", "object")] == pytest.approx(0.976)
    assert found[Concept("round", "shape")] == 0.7
    assert ("tree", "word") not in found
    assert ("tree", "") not in found
    assert made.facts["card"]["held_out"] == scenes.load().facts["card"]["held_out"]


def test_quality_is_given_under_the_name_of_a_concept_in_the_merged_vocabulary() -> None:
    card = {"card": {"iou": {"object": {"hair": 0.5}, "material": {"hair": 0.8, "skin": 0.9}}}}
    one = Fixed(LEFT.labels, HAIR, "one", facts=card)
    found = trained(merged([Fixed(LEFT.labels, Vocabulary.of(material=("hair",)), "other"), one]).facts)
    assert found == {("hair", "material"): 0.8, ("hair (object)", "object"): 0.5, ("skin", "material"): 0.9}


def test_of_two_qualities_of_a_concept_the_lower_is_given() -> None:
    cards = [{"card": {"iou": {"object": {"tree": value}}}} for value in (0.8, 0.6)]
    parts = [Fixed(LEFT.labels, ONE, name, facts=facts) for name, facts in zip("ab", cards, strict=True)]
    assert trained(merged(parts).facts) == {("tree", "object"): 0.6}


def test_facts_of_the_parts_are_under_their_names() -> None:
    made = merged([scenes.load(), Fixed(LEFT.labels, ONE, "mine", facts={"licence": "MIT"}), colour.load()])
    assert made.facts["mine"] == {"licence": "MIT"}
    assert made.facts["scenes"]["steps"] == 3100
    assert "iou" not in made.facts["scenes"]
    assert "colour" not in made.facts
    assert scenes.load().facts["card"]["iou"], "the parts keep their own"


def test_the_identity_changes_with_every_part_and_their_order() -> None:
    other = Fixed(BARE.labels, BARE.vocabulary, "bare", "bare-2")
    identities = [merged(parts).identity for parts in ([LEFT, BARE], [BARE, LEFT], [LEFT, other], [LEFT, RIGHT, BARE])]
    assert len(set(identities)) == 4
    assert merged([LEFT, BARE]).to(torch.device("cpu")).identity == identities[0]


def test_names_joined_by_plus_are_merged() -> None:
    made = plugins.segmenter("scenes+colour")
    assert made.name == "scenes+colour"
    assert made(images(1, 128)).shape == (1, 5, 128, 128)


def test_interventions_study_colours_only_where_there_is_nothing_else() -> None:
    made: Any = plugins.segmenter("scenes+colour")
    red = made.vocabulary.names.index("red")
    pixels = images(1, 128).requires_grad_()
    assert (made.probabilities(pixels, [red]) == 0).all()
    assert plugins.segmenter("colour").probabilities(pixels, [9]).requires_grad  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("scenes+", SegmenterError, "means 'scenes', ''"),
        ("+", SegmenterError, "means '', ''"),
        ("scenes+scenes", BadOption, "cannot merge scenes"),
        ("scenes+color", UnknownName, "did you mean colour"),
        ("./a+b.py:load", SegmenterError, "rename a file with a"),
    ],
)
def test_what_cannot_be_merged_gives_one_line(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as refused:
        plugins.segmenter(name)
    assert "\n" not in str(refused.value)


FILE = "from dissectreport.segmenters.planted import load\n"


def test_a_file_may_be_a_part_and_its_code_belongs_to_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    name = f"{path}:load+colour"
    before = identity(plugins.segmenter(name), name)
    path.write_text(f"{FILE}\n# edited\n")
    assert plugins.segmenter(name).name == "planted+colour"
    assert identity(plugins.segmenter(name), name) != before


def test_a_file_with_a_plus_in_its_name_stays_whole_alone(tmp_path: Path) -> None:
    path = tmp_path / "a+b.py"
    path.write_text(FILE)
    assert plugins.segmenter(f"{path}:load").name == "planted"
    assert source_digest(f"{path}:load")
