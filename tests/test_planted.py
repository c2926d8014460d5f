"""Every answer that the planted generator claims, checked by counting pixels, apart from the statistics."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import BadOption
from dissectreport.models.planted import LEVEL, NOISE, ROOF, TRUTH, UNIT, UNITS, PlantedGenerator, load
from dissectreport.networks.identity import identity_of
from dissectreport.networks.latents import latents
from dissectreport.segmenters import planted as segmenters
from dissectreport.segmenters.planted import PAINTS, VOCABULARY
from tests.support.planted_oracle import LAYER, edited, features, has, inserted, iou, painted, upsampled

COUNT = 24
BLOTCHES = ("blotch1", "blotch2")


@pytest.fixture(scope="module")
def generator() -> PlantedGenerator:
    return load()


@pytest.fixture(scope="module")
def z(generator: PlantedGenerator) -> Tensor:
    return latents(1, 0, COUNT, generator.latent_shape)


@pytest.fixture(scope="module")
def images(generator: PlantedGenerator, z: Tensor) -> Tensor:
    with torch.no_grad():
        return generator(z)


@pytest.fixture(scope="module")
def maps(generator: PlantedGenerator, z: Tensor) -> np.ndarray:
    """(n, units, 64, 64) activations, upsampled slowly."""
    cells = features(generator, z)
    wanted = ("grass", "wall", "window", "crown", "trunk", "ball", "ball_mirror", *BLOTCHES)
    out = np.full((COUNT, len(UNITS), 64, 64), np.nan)
    for name in wanted:
        for sample in range(COUNT):
            out[sample, UNIT[name]] = upsampled(cells[sample, UNIT[name]], 64)
    return out


def test_all_planted_concepts_occur(images: Tensor) -> None:
    assert all(painted(images, concept.name).any() for concept in VOCABULARY.concepts[1:])


def test_no_upsampled_activation_equals_the_threshold(maps: np.ndarray) -> None:
    assert np.nanmin(np.abs(maps - LEVEL)) > 2**-18


def test_the_oracle_upsamples_like_the_network(generator: PlantedGenerator, z: Tensor, maps: np.ndarray) -> None:
    cells = torch.from_numpy(features(generator, z)).float()
    fast = functional.interpolate(cells, (64, 64), mode="bilinear", align_corners=False)
    assert np.array_equal(fast[:, UNIT["crown"]].numpy(), maps[:, UNIT["crown"]])


# --- the segmenter ---


def test_the_segmenter_reads_every_paint_exactly(images: Tensor) -> None:
    labels = segmenters.load()(images)
    assert labels.shape == (COUNT, 3, 64, 64)
    assert labels.dtype == torch.int64
    for concept in VOCABULARY.concepts[1:]:
        assert np.array_equal(has(labels, concept.name), painted(images, concept.name)), concept


def test_the_segmenter_reads_edited_images_exactly(generator: PlantedGenerator, z: Tensor) -> None:
    images = edited(generator, z, ("ball", "wall", "noise1"), value=0.75)
    labels = segmenters.load()(images)
    assert all(np.array_equal(has(labels, c.name), painted(images, c.name)) for c in VOCABULARY.concepts[1:])


def test_the_segmenter_survives_rounding_to_bytes(images: Tensor) -> None:
    segment = segmenters.load()
    rounded = ((images + 1) * 127.5).byte().float() / 127.5 - 1
    assert torch.equal(segment(rounded), segment(images))


def test_a_blotch_is_nothing(generator: PlantedGenerator, images: Tensor) -> None:
    blotched = (images == torch.tensor(PAINTS[-1].colour)[:, None, None]).all(dim=1)
    assert blotched.any()
    labels = segmenters.load()(images).permute(0, 2, 3, 1)
    assert not labels[blotched].any()


def test_the_largest_probabilities_are_those_of_the_labels(images: Tensor) -> None:
    segment = segmenters.load()
    probabilities = segment.probabilities(images, range(len(segment.vocabulary)))
    labels = segment(images)
    for slot in range(3):
        assert (probabilities.gather(1, labels[:, slot : slot + 1])[labels[:, slot : slot + 1] > 0] > 0.85).all()
    assert segment.confidence(images).shape == (COUNT, 64, 64)
    assert segment.confidence(images).min() > 0.85


# --- units that paint ---


@pytest.mark.parametrize(("unit", "concept"), [(UNITS[u], c) for u, c in TRUTH.paints.items()])
def test_a_unit_paints_its_concept_where_nothing_hides_it(
    maps: np.ndarray, images: Tensor, unit: str, concept: str
) -> None:
    order = [paint.name for paint in PAINTS]
    in_front = order[order.index(concept) + 1 :]
    hidden = np.isin(names_of(images), in_front)
    on = maps[:, UNIT[unit]] > LEVEL
    assert iou(on & ~hidden, names_of(images) == concept) == 1


def names_of(images: Tensor) -> np.ndarray:
    """(n, h, w) the names of the paints of every pixel."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    names = np.full(pixels.shape[:3], "", dtype="U6")
    for paint in PAINTS:
        names[(pixels == np.array(paint.colour, np.float32)).all(axis=-1)] = paint.name
    assert (names != "").all(), "a pixel of no paint"
    return names


def test_without_blotches_the_ball_unit_has_iou_one(generator: PlantedGenerator, z: Tensor, maps: np.ndarray) -> None:
    clean = edited(generator, z, BLOTCHES)
    assert iou(maps[:, UNIT["ball"]] > LEVEL, painted(clean, "ball")) == 1


@pytest.mark.parametrize("unit", sorted(TRUTH.paints))
def test_ablating_a_painting_unit_removes_its_concept_and_bares_what_is_behind(
    generator: PlantedGenerator, z: Tensor, images: Tensor, unit: int
) -> None:
    concept = TRUTH.paints[unit]
    without = edited(generator, z, (UNITS[unit],))
    gone = names_of(images) == concept
    if concept == "wall":
        gone |= names_of(images) == "window"
    assert gone.any()
    assert not painted(without, concept).any()
    assert np.array_equal((without != images).any(dim=1).numpy(), gone)


def test_concepts_overlap_object_part_and_colour(images: Tensor) -> None:
    assert np.array_equal(painted(images, "green"), painted(images, "grass") | painted(images, "crown"))
    assert np.array_equal(painted(images, "red"), painted(images, "roof") | painted(images, "ball"))
    house = painted(images, "wall") | painted(images, "window") | painted(images, "roof")
    assert np.array_equal(painted(images, "house"), house)
    assert np.array_equal(painted(images, "tree"), painted(images, "crown") | painted(images, "trunk"))


# --- the distributed roof ---


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_roof_stays_until_fewer_than_two_of_its_units_are_left(
    generator: PlantedGenerator, z: Tensor, images: Tensor, size: int
) -> None:
    for units in combinations(ROOF, size):
        without = edited(generator, z, units)
        if size <= 2:
            assert torch.equal(without, images), units
        else:
            assert not painted(without, "roof").any(), units


def test_no_roof_unit_looks_like_the_roof(generator: PlantedGenerator, z: Tensor, images: Tensor) -> None:
    cells = features(generator, z)
    for unit in ROOF:
        on = np.stack([upsampled(each[UNIT[unit]], 64) for each in cells]) > 0.1875
        assert 0.3 < iou(on, painted(images, "roof")) < 0.8


# --- units that only seem to do something, or nothing ---


WITHOUT_EFFECT = (
    *(UNITS[unit] for unit in (*TRUTH.mirrors, *TRUTH.duplicates)),
    *("position_only", "dead", "always_on"),
    *NOISE,
)


@pytest.mark.parametrize("unit", WITHOUT_EFFECT)
@pytest.mark.parametrize("value", [0.0, 5.0])
def test_units_without_effect_change_no_pixel(
    generator: PlantedGenerator, z: Tensor, images: Tensor, unit: str, value: float
) -> None:
    assert torch.equal(edited(generator, z, (unit,), value), images)


def test_the_mirror_is_twice_the_ball_unit(generator: PlantedGenerator, z: Tensor, maps: np.ndarray) -> None:
    cells = features(generator, z)
    for mirror, original in TRUTH.mirrors.items():
        assert np.array_equal(cells[:, mirror], 2 * cells[:, original])
    clean = edited(generator, z, BLOTCHES)
    assert iou(maps[:, UNIT["ball_mirror"]] > 2 * LEVEL, painted(clean, "ball")) == 1


def test_a_duplicate_equals_its_original(generator: PlantedGenerator, z: Tensor) -> None:
    cells = features(generator, z)
    for duplicate, original in TRUTH.duplicates.items():
        assert np.array_equal(cells[:, duplicate], cells[:, original])


def test_no_other_two_units_are_alike(generator: PlantedGenerator) -> None:
    cells = features(generator, latents(2, 0, 200, generator.latent_shape))
    live = [unit for unit in range(len(UNITS)) if unit not in TRUTH.dead]
    correlation = np.corrcoef(cells.transpose(1, 0, 2, 3).reshape(len(UNITS), -1)[live])
    pairs = {(live[i], live[j]) for i, j in np.argwhere(np.triu(correlation, 1) > 0.99)}
    assert pairs == {tuple(sorted(pair)) for pair in (*TRUTH.mirrors.items(), *TRUTH.duplicates.items())}


def test_the_position_only_unit_is_on_at_the_same_pixels_in_every_image(
    generator: PlantedGenerator, z: Tensor, images: Tensor
) -> None:
    cells = features(generator, z)
    for unit in TRUTH.position_only:
        on = np.stack([upsampled(each[unit], 64) for each in cells]) > LEVEL
        below = np.arange(64) >= 48
        assert on[:, 49:].all()
        assert not on[:, :46].any()
        assert iou(np.broadcast_to(below[None, :, None], on.shape), painted(images, "grass")) > 0.5


def test_dead_units_are_zero_and_always_on_units_are_not(generator: PlantedGenerator, z: Tensor) -> None:
    cells = features(generator, z)
    assert not cells[:, list(TRUTH.dead)].any()
    assert cells[:, list(TRUTH.always_on)].min() >= 1


def test_noise_is_independent_of_the_image(generator: PlantedGenerator, z: Tensor, images: Tensor) -> None:
    other = z.clone()
    other[:, -12:] = -other[:, -12:]
    before, after = features(generator, z), features(generator, other)
    assert (before[:, list(TRUTH.noise)] != after[:, list(TRUTH.noise)]).any(axis=(1, 2, 3)).all()
    with torch.no_grad():
        changed = names_of(generator(other)) != names_of(images)
    # The same latents put clutter into all units, which moves the edges of what is painted, and nothing else.
    assert changed.mean() < 0.03


# --- artifacts ---


def test_ablating_the_artifact_units_gives_the_clean_images(
    generator: PlantedGenerator, z: Tensor, images: Tensor
) -> None:
    clean = edited(generator, z, BLOTCHES)
    blotched = names_of(images) == "blotch"
    assert blotched.any()
    assert not (names_of(clean) == "blotch").any()
    assert np.array_equal(names_of(clean)[~blotched], names_of(images)[~blotched])


def test_each_artifact_unit_makes_blotches_of_its_own(generator: PlantedGenerator, z: Tensor, images: Tensor) -> None:
    areas = [(names_of(edited(generator, z, (unit,))) == "blotch").sum() for unit in BLOTCHES]
    assert all(0 < area < (names_of(images) == "blotch").sum() for area in areas)


def test_drawn_scenes_have_no_blotch_and_stay_the_same(generator: PlantedGenerator) -> None:
    drawn = generator.training_like_images(16)
    assert drawn is not None
    assert not (names_of(drawn) == "blotch").any()
    more = generator.training_like_images(20)
    assert more is not None
    assert torch.equal(more[:16], drawn)


# --- context ---


def test_a_window_can_be_inserted_on_a_wall_and_nowhere_else(
    generator: PlantedGenerator, z: Tensor, images: Tensor
) -> None:
    before = names_of(images)
    inserted_on_walls = 0
    for row, column in ((3, 1), (4, 2), (4, 5), (6, 6)):
        after = names_of(inserted(generator, z, "window", row, column, 2.25))
        assert set(before[after != before]) <= {"wall", "window"}
        centre = (slice(None), row * 8 + 4, column * 8 + 4)
        on_wall = before[centre] == "wall"
        assert (after[centre][on_wall] == "window").all()
        inserted_on_walls += on_wall.sum()
    assert inserted_on_walls > 5


def test_a_ball_can_be_inserted_anywhere(generator: PlantedGenerator, z: Tensor) -> None:
    for row, column in ((1, 1), (4, 4), (6, 6)):
        after = names_of(inserted(generator, z, "ball", row, column, 3.0))
        assert np.isin(after[:, row * 8 + 4, column * 8 + 4], ["ball", "blotch"]).all()


# --- the network as a network ---


@pytest.mark.parametrize("concept", ["grass", "wall", "crown", "trunk", "ball", "roof"])
def test_gradients_of_an_area_lead_to_the_units_that_paint_it(
    generator: PlantedGenerator, z: Tensor, concept: str
) -> None:
    effects = first_order(generator, z, concept)
    causal = {unit for unit, painted_concept in TRUTH.paints.items() if painted_concept == concept}
    causal |= set(TRUTH.distributed.get(concept, ()))
    assert set(effects.topk(len(causal)).indices.tolist()) == causal
    # Gradients pass the rotation of the mixed layer and back, which rounds.
    assert effects[[UNIT[unit] for unit in WITHOUT_EFFECT]].abs().max() < 1e-6 * effects.max()


def test_gradients_of_windows_lead_to_the_wall_that_they_need(generator: PlantedGenerator, z: Tensor) -> None:
    effects = first_order(generator, z, "window")
    assert effects.argmax() == UNIT["wall"]
    assert effects[UNIT["window"]] > 0


def first_order(generator: PlantedGenerator, z: Tensor, concept: str) -> Tensor:
    """(units,) sum over images and cells of activation times gradient of the concept's soft area."""
    read: list[Tensor] = []

    def keep(module: object, inputs: object, output: Tensor) -> Tensor:
        read.append(output.detach().requires_grad_())
        return read[0]

    hook = generator.module.get_submodule(LAYER).register_forward_hook(keep)
    segmenters.load().probabilities(generator(z), (segmenters.number_of(concept),)).sum().backward()
    hook.remove()
    assert read[0].grad is not None
    return (read[0].grad * read[0]).detach().sum(dim=(0, 2, 3))


def test_images_do_not_depend_on_the_batch(generator: PlantedGenerator, z: Tensor, images: Tensor) -> None:
    with torch.no_grad():
        singly = torch.cat([generator(each[None]) for each in z])
    assert torch.equal(singly, images)


def test_the_mixed_layer_is_finer_and_can_be_edited(generator: PlantedGenerator, z: Tensor, images: Tensor) -> None:
    shapes: list[tuple[int, ...]] = []

    def halve(module: object, inputs: object, output: Tensor) -> Tensor:
        shapes.append(tuple(output.shape))
        output = output.clone()
        output[:, 1] = 0
        return output

    hook = generator.module.get_submodule("mixed").register_forward_hook(halve)
    with torch.no_grad():
        changed = generator(z)
    hook.remove()
    assert shapes == [(COUNT, 16, 16, 16)]
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("size", [32, 128])
def test_other_sizes_show_the_same_scene(z: Tensor, size: int) -> None:
    generator = load(image_size=size)
    with torch.no_grad():
        images = generator(z[:4])
    assert images.shape == (4, 3, size, size)
    cells = features(generator, z[:4])
    on = np.stack([upsampled(each[UNIT["ball"]], size) for each in cells]) > LEVEL
    hidden = names_of(images) == "blotch"
    assert np.array_equal(on & ~hidden, painted(images, "ball"))


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(BadOption, match="choose 16, 32"):
        load(image_size=50)


def test_the_control_has_other_weights_and_draws_other_images(
    generator: PlantedGenerator, z: Tensor, images: Tensor
) -> None:
    control = generator.untrained(0)
    assert control.identity == generator.untrained(0).identity
    assert len({control.identity, generator.untrained(1).identity, generator.identity}) == 3
    with torch.no_grad():
        assert control(z).shape == images.shape  # type: ignore[misc]
    assert control.training_like_images(1) is None


def test_the_identity_is_that_of_the_weights(generator: PlantedGenerator) -> None:
    assert load().identity == generator.identity == identity_of(generator.module)
    assert load(seed=1).identity != generator.identity
