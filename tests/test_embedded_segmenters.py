"""The segmenters of drawings: how well they name what they have never seen, and weights that must not be loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dissectreport.analysis.assemble import trained
from dissectreport.drawings.dataset import SUBJECTS, draw_many
from dissectreport.errors import WeightsError
from dissectreport.segmenters import rooms, scenes
from dissectreport.segmenters.colour import COLOURS
from dissectreport.segmenters.unet import WEIGHTS, UNet, UNetSegmenter, class_counts, first_argmax, load_unet
from dissectreport.training.segmenter import SHIFTS, as_images, iou_by_concept, mean
from dissectreport.vocabulary import Concept
from tests.support.tiers import extended

FRESH_SEED = 77_777
LOADERS = {"scenes": scenes.load, "rooms": rooms.load}
LEAST = {"scenes": 0.93, "rooms": 0.89}
"""The mean IoU of objects that fresh drawings must reach; under strange light or at half the size 0.05 less."""


@pytest.fixture(scope="module", params=list(LOADERS))
def segmenter(request: pytest.FixtureRequest) -> UNetSegmenter:
    return LOADERS[request.param]()


@pytest.fixture(scope="module")
def fresh(segmenter: UNetSegmenter) -> tuple[Tensor, Tensor]:
    """32 drawings of a series that nothing was trained or chosen on."""
    drawing = draw_many(FRESH_SEED, range(32), subject=segmenter.name)
    return as_images(torch.from_numpy(drawing.image)), torch.from_numpy(drawing.labels)


def test_every_subject_has_its_segmenter() -> None:
    # Churches are drawn for the next generator of scenes, and no weights for them come with the package yet.
    assert set(LOADERS) == set(SUBJECTS) - {"churches"}


def test_objects_of_fresh_drawings_are_found(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    found = iou_by_concept(segmenter.network, segmenter.words, *fresh)
    assert mean(found["object"]) >= LEAST[segmenter.name]


@pytest.mark.parametrize("shift", [shift if shift == "hue half a turn on" else extended(shift) for shift in SHIFTS])
def test_objects_are_found_in_strange_hues_and_light(
    segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor], shift: str
) -> None:
    images, labels = fresh
    found = iou_by_concept(segmenter.network, segmenter.words, SHIFTS[shift](images), labels)
    assert mean(found["object"]) >= LEAST[segmenter.name] - 0.05


def test_its_card_has_the_quality_of_each_concept_for_the_report(segmenter: UNetSegmenter) -> None:
    found = trained({"name": segmenter.name, **segmenter.to(torch.device("cpu")).facts})
    learned = {c for c in segmenter.vocabulary.concepts if c.category in segmenter.words}
    assert set(found) == learned
    assert found[Concept("wall", "object")] > 0.9
    assert trained({"card": {"iou": {"tree": 0.5}}}) == {("tree", ""): 0.5}
    assert trained({"name": "colour"}) == {}


def test_labels_are_numbers_of_the_vocabulary(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    concepts = segmenter(fresh[0][:4])
    assert concepts.shape == (4, 4, 128, 128)
    assert concepts.dtype == torch.int64
    known = segmenter.vocabulary.concepts
    for slot, category in enumerate((*segmenter.words, "colour")):
        seen = set(concepts[:, slot].unique().tolist()) - {0}
        assert {known[number].category for number in seen} == {category}


def test_slots_equal_the_labels_of_the_drawing(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    images, labels = fresh
    concepts, first = segmenter(images[:4]), 0
    for slot, count in enumerate(class_counts(segmenter.words)):
        truth = labels[:4, slot].long()
        truth = torch.where(truth > 0, truth + first, 0)
        assert (concepts[:, slot] == truth).float().mean() > 0.95
        first += count - 1


def test_the_vocabulary_counts_objects_parts_materials_and_colours(segmenter: UNetSegmenter) -> None:
    assert segmenter.vocabulary.categories == ("object", "part", "material", "colour")
    assert len(segmenter.vocabulary) == 1 + sum(map(len, segmenter.words.values())) + len(COLOURS)
    names = [concept.name for concept in segmenter.vocabulary.concepts]
    assert len(set(names)) == len(names)


def test_labels_are_the_largest_logits(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    images = fresh[0][:4]
    with torch.no_grad():
        largest = [logits.argmax(dim=1) for logits in segmenter.logits(images).values()]
    first, labels = 0, segmenter(images)
    for slot, numbers in enumerate(largest):
        wanted = torch.where(numbers > 0, numbers + first, 0)
        assert (labels[:, slot] == wanted).float().mean() > 0.9999, "rounding may choose between equals"
        first += class_counts(segmenter.words)[slot] - 1


def test_the_leading_class_is_the_first_of_the_largest() -> None:
    logits = torch.randint(-2, 3, (3, 5, 4, 6, 7), generator=torch.Generator().manual_seed(0)).float()
    expected = [[pixel.index(max(pixel)) for pixel in image] for image in logits.flatten(2).transpose(1, 2).tolist()]
    assert first_argmax(logits).dtype == torch.int16
    assert first_argmax(logits).flatten(1).tolist() == expected


@pytest.mark.parametrize("name", list(LOADERS))
def test_batch_norm_within_convolutions_changes_nothing_but_last_bits(name: str) -> None:
    segmenter = LOADERS[name]()
    unfolded = UNet(segmenter.words).eval()
    unfolded.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    images = as_images(torch.from_numpy(draw_many(FRESH_SEED, range(4), subject=name).image))
    with torch.no_grad():
        expected, found = unfolded(images), segmenter.network(images)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in segmenter.network.modules())


def test_confidence_is_high_on_drawings(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    confidence = segmenter.confidence(fresh[0][:4])
    assert confidence.shape == (4, 128, 128)
    assert confidence.max() <= 1
    assert confidence.mean() > 0.9


def test_logits_have_gradients_down_to_the_pixels(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    images = fresh[0][:1].clone().requires_grad_()
    logits = segmenter.logits(images)
    assert {category: value.shape[1] for category, value in logits.items()} == dict(
        zip(segmenter.words, class_counts(segmenter.words), strict=True)
    )
    (gradient,) = torch.autograd.grad(logits["object"][:, -1].sum(), images)
    assert gradient.abs().sum() > 0


def test_images_of_another_size_are_labelled_at_the_size_of_the_network(
    segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]
) -> None:
    images = fresh[0][:2]
    double = torch.nn.functional.interpolate(images, scale_factor=2.0, mode="nearest")
    agreement = (segmenter(double)[:, 0] == segmenter(images)[:, 0]).float().mean()
    assert agreement > 0.97


def test_features_describe_whole_images(segmenter: UNetSegmenter, fresh: tuple[Tensor, Tensor]) -> None:
    features = segmenter.features(fresh[0][:3])
    assert features.shape == (3, 168)
    assert features.isfinite().all()


def test_the_card_describes_the_weights(segmenter: UNetSegmenter) -> None:
    weights = WEIGHTS / f"{segmenter.name}.safetensors"
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["sha256"] in segmenter.identity
    assert card["mean_iou"]["object"] >= LEAST[segmenter.name]
    assert min(card["mean_iou_of_objects_under_shifts"].values()) >= LEAST[segmenter.name] - 0.05


def test_the_card_of_scenes_describes_the_two_stages_of_its_training() -> None:
    assert "the last 600 steps were a fine-tune" in scenes.load().facts["card"]["history"]


def test_it_moves_to_a_device(segmenter: UNetSegmenter) -> None:
    moved = segmenter.to(torch.device("cpu"))
    assert (moved.name, moved.identity, moved.words) == (segmenter.name, segmenter.identity, segmenter.words)


def test_weights_without_a_card_load_and_change_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(UNet(scenes.LEARNED).state_dict(), path)
    assert scenes.load(path).identity != scenes.load().identity


@pytest.mark.parametrize(
    ("content", "card", "message"),
    [
        (b"nothing", None, "not a safetensors file"),
        (b"nothing", '{"sha256": "0"}', "not the file that its card describes"),
        (b"nothing", "{", "is not JSON"),
        (b"nothing", "{}", "gives no sha256"),
        (None, None, "cannot be read"),
    ],
)
def test_broken_weights_are_refused(tmp_path: Path, content: bytes | None, card: str | None, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    if card is not None:
        path.with_suffix(".json").write_text(card)
    with pytest.raises(WeightsError, match=message):
        scenes.load(path)


@pytest.mark.parametrize("tensors", [{"dense.weight": torch.zeros(2, 2)}, UNet(rooms.LEARNED).state_dict()])
def test_weights_of_another_network_are_refused(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    with pytest.raises(WeightsError, match="do not fit the segmenter of scenes") as refused:
        load_unet("scenes", scenes.LEARNED, path)
    assert "\n" not in str(refused.value)
