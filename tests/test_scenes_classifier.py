"""The embedded classifier: its labels are those of the drawings, and it recognises what its card says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dissectreport.drawings.brush import Drawing
from dissectreport.drawings.dataset import HELD_OUT_SEED, draw
from dissectreport.drawings.scene_classes import CLASSES, scene_class
from dissectreport.models.classifier import ClassifierModel
from dissectreport.models.scenes_classifier import SIZE, WEIGHTS, load
from dissectreport.run.plan import ClassKey
from dissectreport.segmenters.scenes import OBJECTS, PARTS
from dissectreport.training import classifier as training
from dissectreport.worker.classes import find_head
from dissectreport.worker.loaded_networks import Source


@pytest.fixture(scope="module")
def classifier() -> ClassifierModel:
    return load()


def test_labels_are_those_of_the_drawings(classifier: ClassifierModel) -> None:
    for number in range(40):
        drawing = draw(HELD_OUT_SEED, number, SIZE)
        assert classifier.labels[f"{number:06d}"] == scene_class(drawing, HELD_OUT_SEED, number)


def test_it_recognises_what_its_card_says(classifier: ClassifierModel) -> None:
    with torch.no_grad():
        predicted = classifier.logits(classifier.latents(1, 0, 240)).argmax(1).numpy()
    right = float((predicted == classifier.truth(1, 0, 240)).mean())
    expected = float(classifier.facts["card"]["accuracy"])
    assert right == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 240) ** 0.5)
    assert expected > 0.8


def test_images_are_drawn_by_number(classifier: ClassifierModel) -> None:
    (name,) = classifier.folder.order(1)[5:6]
    image = draw(HELD_OUT_SEED, int(name), SIZE).image
    shown = ((classifier.latents(1, 5, 1)[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(shown, image)


def test_its_last_layer_has_a_closed_form() -> None:
    source = Source("scenes_classifier", "scenes")
    assert find_head(source, ClassKey("", "", "layer4", 1, 48)).is_known
    assert not find_head(source, ClassKey("", "", "layer3", 1, 48)).is_known


def test_its_files_are_small() -> None:
    assert (WEIGHTS / "scenes_classifier.safetensors").stat().st_size < 1e6


def drawing_of(objects: dict[str, int], parts: dict[str, int]) -> Drawing:
    """A drawing of a scene by clear day with so many rows of each object and part."""
    labels = np.zeros((3, 20, 20), np.uint8)
    for slot, (rows, names) in enumerate(((objects, OBJECTS), (parts, PARTS))):
        top = 0
        for name, count in rows.items():
            labels[slot, top : top + count] = names.index(name) + 1
            top += count
    return Drawing(np.zeros((20, 20, 3), np.uint8), labels)


CLEAR = next(number for number in range(100) if np.random.default_rng((0, number)).choice(3, p=[0.6, 0.25, 0.15]) == 0)


@pytest.mark.parametrize(
    ("objects", "parts", "expected"),
    [
        ({"tree": 3}, {}, "no church"),
        ({"wall": 4}, {}, "plain church"),
        ({"dome": 2, "wall": 4}, {}, "dome"),
        ({"tower": 4, "wall": 4}, {"spire": 1}, "spire"),
        ({"dome": 1, "tower": 4, "wall": 4}, {"cupola": 1}, "cupola"),
        ({"dome": 3, "tower": 4, "wall": 4}, {"cupola": 1}, "dome and tower"),
        ({"dome": 2, "tower": 4, "wall": 4}, {}, "dome and tower"),
    ],
)
def test_the_kind_of_church_is_what_is_visible(objects: dict[str, int], parts: dict[str, int], expected: str) -> None:
    assert CLASSES[scene_class(drawing_of(objects, parts), 0, CLEAR)] == expected


def test_weather_comes_first() -> None:
    kinds = {CLASSES[scene_class(drawing_of({"wall": 4}, {}), 0, number)] for number in range(100)}
    assert kinds == {"dusk", "overcast", "plain church"}


def test_dusk_is_darker_than_day() -> None:
    """The weather that the class takes from the series is that of the drawing."""
    light: dict[str, list[float]] = {"dusk": [], "day": []}
    for number in range(60):
        drawing = draw(0, number, 16)
        name = CLASSES[scene_class(drawing, 0, number)]
        sky = drawing.image[0].astype(float)
        light["dusk" if name == "dusk" else "day"].append(float((sky[:, 2] - sky[:, 0]).mean()))
    assert max(light["dusk"]) < min(light["day"])


def test_training_learns_and_is_repeatable() -> None:
    """Two grey levels as two of the classes: a few steps tell them from each other, always the same."""
    pixels = torch.full((40, SIZE, SIZE, 3), 40, dtype=torch.uint8)
    pixels[20:] = 210
    labels = torch.tensor([0] * 20 + [1] * 20)
    recipe = training.Recipe(steps=12, batch=8)
    network = training.train(recipe, pixels, labels)
    assert (training.predictions(network, pixels) == labels).float().mean() > 0.9
    again = training.train(recipe, pixels, labels)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
