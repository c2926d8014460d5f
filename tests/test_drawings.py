"""Drawings: the same for ever, every pixel named, and the cache of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy
import pytest

from dissectreport.drawings.brush import Brush, Drawing, Piece
from dissectreport.drawings.dataset import SUBJECTS, cached_drawings, draw, draw_many, load_drawings, load_images
from dissectreport.drawings.patterns import TILES, cover_rectangle, pattern_of
from dissectreport.drawings.scene_church import choose_church, choose_door, free_walls

each_subject = pytest.mark.parametrize("subject", list(SUBJECTS))


@pytest.fixture(scope="module")
def drawings() -> dict[str, Drawing]:
    return {subject: draw_many(5, range(60), 64, subject) for subject in SUBJECTS}


def shows(drawing: Drawing, subject: str, category: str, name: str) -> numpy.ndarray:
    """(n, h, w) where a word of the subject is shown."""
    words = SUBJECTS[subject].words
    return drawing.labels[:, list(words).index(category)] == 1 + words[category].index(name)


@each_subject
def test_a_drawing_is_a_function_of_seed_and_number(subject: str) -> None:
    first, again = draw(1, 2, 64, subject), draw(1, 2, 64, subject)
    assert numpy.array_equal(first.image, again.image)
    assert numpy.array_equal(first.labels, again.labels)
    for other in (draw(1, 3, 64, subject), draw(2, 2, 64, subject)):
        assert not numpy.array_equal(first.image, other.image)


@pytest.mark.parametrize(
    ("subject", "digest"),
    [("scenes", "7239f06c7c6d06d0"), ("rooms", "514f67f2062e7e70"), ("churches", "c191a90a0e178d6f")],
)
def test_drawings_are_still_those_that_the_networks_learned_from(subject: str, digest: str) -> None:
    drawing = draw_many(3, range(20), 64, subject)
    assert hashlib.sha256(drawing.labels.tobytes()).hexdigest()[:16] == digest


@each_subject
def test_a_drawing_has_the_size_that_was_asked_for(subject: str) -> None:
    drawing = draw(0, 0, 48, subject)
    assert drawing.image.shape == (48, 48, 3)
    assert drawing.labels.shape == (3, 48, 48)
    assert drawing.image.dtype == drawing.labels.dtype == numpy.uint8


@each_subject
def test_every_pixel_has_an_object(drawings: dict[str, Drawing], subject: str) -> None:
    assert drawings[subject].labels[:, 0].min() >= 1


@each_subject
def test_every_word_is_used_and_no_other(drawings: dict[str, Drawing], subject: str) -> None:
    for slot, names in enumerate(SUBJECTS[subject].words.values()):
        assert set(numpy.unique(drawings[subject].labels[:, slot])) - {0} == set(range(1, len(names) + 1))


@each_subject
def test_a_part_belongs_to_one_object_only(subject: str) -> None:
    owners: dict[str, set[str]] = {}
    for piece in SUBJECTS[subject].pieces:
        owners.setdefault(piece.part, set()).add(piece.object)
    assert all(len(owners[part]) == 1 for part in SUBJECTS[subject].words["part"])


@each_subject
def test_no_word_is_in_two_categories(subject: str) -> None:
    words = [name for names in SUBJECTS[subject].words.values() for name in names]
    assert len(set(words)) == len(words)


def test_sky_is_above_grass(drawings: dict[str, Drawing]) -> None:
    sky, grass = (shows(drawings["scenes"], "scenes", "object", name) for name in ("sky", "grass"))
    assert grass[:, 0].sum() == 0
    assert sky[:, -1].sum() == 0


def test_rooms_have_their_ceiling_above_and_floor_and_rug_below(drawings: dict[str, Drawing]) -> None:
    ceiling, floor, rug = (shows(drawings["rooms"], "rooms", "object", name) for name in ("ceiling", "floor", "rug"))
    assert not ceiling[:, 32:].any()
    assert not (floor | rug)[:, :32].any()
    assert (ceiling.any(axis=(1, 2)) & (floor | rug).any(axis=(1, 2))).all()


def test_pillows_come_with_beds_and_cushions_with_sofas(drawings: dict[str, Drawing]) -> None:
    rooms = drawings["rooms"]
    for part, owner in (("pillow", "bed"), ("cushion", "sofa")):
        assert (shows(rooms, "rooms", "part", part) <= shows(rooms, "rooms", "object", owner)).all()


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


def test_a_cache_keeps_subjects_apart(tmp_path: Path) -> None:
    loaded = {subject: load_images(tmp_path, 3, 2, 32, subject) for subject in SUBJECTS}
    for subject, images in loaded.items():
        assert numpy.array_equal(images, draw_many(3, range(2), 32, subject).image)


def test_in_churches_too_sky_is_above_grass(drawings: dict[str, Drawing]) -> None:
    sky, grass = (shows(drawings["churches"], "churches", "object", name) for name in ("sky", "grass"))
    assert grass[:, 0].sum() == 0
    assert sky[:, -1].sum() == 0


def test_domes_and_towers_are_in_many_pictures_of_churches(drawings: dict[str, Drawing]) -> None:
    for name, least in (("wall", 0.85), ("tower", 0.5), ("dome", 0.3)):
        assert shows(drawings["churches"], "churches", "object", name).any(axis=(1, 2)).mean() > least


@pytest.mark.parametrize("material", sorted(TILES))
def test_a_pattern_is_laid_from_the_corner_of_what_it_covers(material: str) -> None:
    piece = Piece("wall", material)

    def covered(left: int, top: int) -> numpy.ndarray:
        brush = Brush(numpy.random.default_rng(0), 192, [Piece("sky"), piece])
        cover_rectangle(brush, piece, (150, 120, 90), ((left, top), (left + 60, top + 40)), pattern_of(material, 192))
        painted = numpy.asarray(brush.image)
        assert ((painted.sum(axis=2) > 0) == (numpy.asarray(brush.pieces) == 1)).all(), "image and labels agree"
        return painted[top : top + 40, left : left + 60]

    assert numpy.array_equal(covered(10, 20), covered(71, 33))


@pytest.mark.parametrize("material", sorted(TILES))
def test_a_pattern_repeats_without_a_seam_and_keeps_the_colour(material: str) -> None:
    tile = TILES[material](192)
    assert 0.8 < tile.mean() < 1.2
    inner = numpy.abs(numpy.diff(tile, axis=0)).max(initial=0), numpy.abs(numpy.diff(tile, axis=1)).max(initial=0)
    seam = numpy.abs(tile[0] - tile[-1]).max(), numpy.abs(tile[:, 0] - tile[:, -1]).max()
    assert seam[0] <= inner[0] + 1e-6
    assert seam[1] <= inner[1] + 1e-6


def test_windows_of_churches_lie_in_walls_and_towers_free_of_doors() -> None:
    brush = Brush(numpy.random.default_rng(0), 384, [Piece("sky")])
    for _ in range(200):
        church = choose_church(brush, 0.75 * brush.size)
        axis, width = choose_door(brush, church)
        for left, right in free_walls(church, axis, width):
            assert church.left <= left < right <= church.right
            assert right <= axis - width / 2 + 1e-6 or left >= axis + width / 2 - 1e-6
            if church.tower:
                assert right <= church.tower.edges[0] + 1e-6 or left >= church.tower.edges[1] - 1e-6
