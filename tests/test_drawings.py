"""Drawn scenes: the same for ever, every pixel named, and the cache of them."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from dissectreport.segmenters.scenes import MATERIALS, OBJECTS, PARTS
from dissectreport.training.drawings import (
    PIECES,
    Drawing,
    cached_drawings,
    draw,
    draw_many,
    load_drawings,
    load_images,
)


@pytest.fixture(scope="module")
def scenes() -> Drawing:
    return draw_many(5, range(60), size=64)


def test_a_drawing_is_a_function_of_seed_and_number() -> None:
    first, again, other, another = draw(1, 2), draw(1, 2), draw(1, 3), draw(2, 2)
    assert numpy.array_equal(first.image, again.image)
    assert numpy.array_equal(first.labels, again.labels)
    assert not numpy.array_equal(first.image, other.image)
    assert not numpy.array_equal(first.image, another.image)


def test_a_drawing_has_the_size_that_was_asked_for() -> None:
    drawing = draw(0, 0, size=48)
    assert drawing.image.shape == (48, 48, 3)
    assert drawing.labels.shape == (3, 48, 48)
    assert drawing.image.dtype == drawing.labels.dtype == numpy.uint8


def test_every_pixel_has_an_object(scenes: Drawing) -> None:
    assert scenes.labels[:, 0].min() >= 1


def test_every_word_is_used_and_no_other(scenes: Drawing) -> None:
    for slot, names in enumerate((OBJECTS, PARTS, MATERIALS)):
        assert set(numpy.unique(scenes.labels[:, slot])) - {0} == set(range(1, len(names) + 1))


def test_a_part_belongs_to_one_object_only() -> None:
    owners: dict[str, set[str]] = {}
    for piece in PIECES:
        owners.setdefault(piece.part, set()).add(piece.object)
    assert all(len(owners[part]) == 1 for part in PARTS)


def test_sky_is_above_grass(scenes: Drawing) -> None:
    sky, grass = OBJECTS.index("sky") + 1, OBJECTS.index("grass") + 1
    assert (scenes.labels[:, 0, 0] == grass).sum() == 0
    assert (scenes.labels[:, 0, -1] == sky).sum() == 0


def test_a_cache_holds_the_drawings_and_is_filled_once(tmp_path: Path) -> None:
    images = load_images(tmp_path, seed=3, count=4, size=32)
    (path,) = cached_drawings(tmp_path, seed=3, count=4, size=32)
    written = path.stat().st_mtime_ns
    loaded = load_drawings(tmp_path, seed=3, count=4, size=32)
    expected = draw_many(3, range(4), size=32)
    assert numpy.array_equal(loaded.image, expected.image)
    assert numpy.array_equal(loaded.labels, expected.labels)
    assert numpy.array_equal(images, expected.image)
    assert path.stat().st_mtime_ns == written
