"""Counts of a shard against loops that anybody can check."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from dissectreport.networks import hooks
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.levels import CELLS, NULL_TAILS, TAILS, Levels
from dissectreport.worker import counting
from dissectreport.worker import dissection as measure

GRID = 8
CONCEPTS = 7


@pytest.fixture(scope="module")
def case():
    """Maps (n, units, h, w), labels on the grid (n, slots, g, g) and the levels of a pilot."""
    random = np.random.default_rng(0)
    maps = torch.from_numpy(random.standard_normal((5, 3, 4, 4)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, CONCEPTS, (5, 2, GRID, GRID)))
    low, width = measure.even_cells(*(np.full(3, v) for v in (-3.0, 3.0)))
    counts = random.integers(0, 50, (3, CELLS))
    return maps, labels, Levels.of(Histogram(low, width, counts))


def on_above(maps, levels):
    """(t, n, units, g, g) whether each unit is on above each level, the slow way."""
    laid = interpolate(maps, (GRID, GRID), mode="bilinear", align_corners=False).numpy()
    cell = ((laid - levels.low[:, None, None]) / levels.width[:, None, None]).astype(int).clip(0, CELLS - 1)
    return cell[None] >= levels.edges.T[:, None, :, None, None]


def present(labels):
    """(n, concepts, g, g) whether any slot names the concept."""
    return (labels[:, None] == torch.arange(1, CONCEPTS)[None, :, None, None, None]).any(2).numpy()


def test_joint_counts_equal_masks_laid_over_masks(case):
    maps, labels, levels = case
    joint, _ = counting.joint_and_chance(maps, counting.Masks.of(labels, CONCEPTS), levels, GRID, "clamp")
    on, shown = on_above(maps, levels), present(labels)
    both, above = joint.above()
    assert joint.concepts.tolist() == list(range(1, CONCEPTS))
    assert np.array_equal(both, np.einsum("tnuhw,nchw->uct", on.astype(int), shown.astype(int)))
    assert np.array_equal(above, on.sum((1, 3, 4)).T)
    assert np.array_equal(joint.present, shown.sum((0, 2, 3)))
    assert np.array_equal(joint.images, shown.any((2, 3)).sum(0))


def test_the_null_is_the_mean_overlap_over_all_pairings_of_different_images(case):
    maps, labels, levels = case
    _, chance = counting.joint_and_chance(maps, counting.Masks.of(labels, CONCEPTS), levels, GRID, "clamp")
    on, shown = on_above(maps, levels)[levels.null], present(labels)
    pairs = [
        np.einsum("tuhw,chw->uct", on[:, i].astype(int), shown[j].astype(int))
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    assert np.allclose(chance.expected(), np.sum(pairs, 0) / 4, rtol=0, atol=1e-9)
    next_image = sum(np.einsum("tuhw,chw->uct", on[:, i].astype(int), shown[(i + 1) % 5].astype(int)) for i in range(5))
    assert np.array_equal(chance.seen(shifted=True), next_image)


def test_the_null_alone_counts_what_it_counts_beside_the_joint(case):
    maps, labels, levels = case
    masks = counting.Masks.of(labels, CONCEPTS)
    together, alone = (
        counting.joint_and_chance(maps, masks, levels, GRID, "clamp")[1],
        counting.chance(maps, masks, levels, GRID, "clamp"),
    )
    for name, value in together.arrays().items():
        assert np.array_equal(value, alone.arrays()[name]), name


@pytest.mark.parametrize("direct", [0, 1 << 18])
def test_a_finer_grid_is_counted_in_blocks_with_the_same_result(case, monkeypatch, direct):
    maps, labels, levels = case
    monkeypatch.setattr(counting, "DIRECT", direct)
    masks = counting.Masks.of(labels, CONCEPTS)
    whole = counting.joint_and_chance(maps, masks, levels, GRID, "clamp")[0]
    monkeypatch.setattr(counting, "CHUNK", 8 * GRID * GRID * 2)
    blocks = counting.joint(maps, masks, levels, GRID, "clamp")
    for name, value in whole.arrays().items():
        assert np.array_equal(value, blocks.arrays()[name]), name


@pytest.mark.parametrize("reach", [0.5, 20.0])
def test_cells_are_those_of_the_upsampled_activations_within_the_pilots_range_or_beyond_it(case, reach):
    maps = case[0]
    low, width = measure.even_cells(*(np.full(3, v) for v in (-reach, reach)))
    laid = interpolate(maps, (GRID, GRID), mode="bilinear", align_corners=False).double().numpy()
    exact = (laid.transpose(1, 0, 2, 3).reshape(3, -1) - low[:, None]) / width[:, None]
    wanted = exact.astype(int).clip(0, CELLS - 1)
    sure = np.abs(exact - exact.round()) > 1e-2  # float32 may fall on the other side of an edge
    for images in (0, 2, 5):
        found = torch.cat(
            [
                torch.cat(list(counting.cells(maps[:, one], low[one], width[one], CELLS, GRID, "clamp", images)))
                for one in (slice(unit, unit + 1) for unit in range(3))
            ]
        )
        assert np.array_equal(found.numpy()[sure.flatten()], wanted.flatten()[sure.flatten()])


@pytest.mark.parametrize("end", [40, 10**9])
def test_numbers_are_counted_anew_as_sorting_them_would(end):
    numbers = torch.from_numpy(np.random.default_rng(4).integers(0, 40, (3, 50)))
    codes, places = counting.renumbered(numbers, end)
    wanted = torch.unique(numbers, return_inverse=True)
    assert torch.equal(codes, wanted[0])
    assert torch.equal(places, wanted[1])


def test_a_concept_in_two_slots_of_a_pixel_counts_once():
    labels = torch.full((1, 2, GRID, GRID), 3)
    assert counting.Masks.of(labels, CONCEPTS).by_image.tolist() == [[GRID * GRID]]


def test_upsampling_equals_interpolation_between_pixel_centres():
    maps = torch.randn(2, 3, 5, 7)
    wanted = interpolate(maps, (16, 20), mode="bilinear", align_corners=False)
    assert torch.allclose(hooks.upsample(maps, (16, 20)), wanted, atol=1e-6)


def test_zero_edges_fade_outside_the_outermost_centres():
    laid = hooks.upsample(torch.ones(1, 1, 2, 2), (4, 4), "zero")[0, 0]
    assert torch.allclose(laid[0], torch.tensor([0.5625, 0.75, 0.75, 0.5625]))
    assert laid[1, 1] == 1


def test_correlation_of_whole_levels_is_close_to_that_of_activations():
    random = np.random.default_rng(1)
    base = random.standard_normal((6, 1, 8, 8))
    maps = torch.from_numpy(np.concatenate([base, base * 2 + 1, random.standard_normal((6, 1, 8, 8))], 1)).float()
    flat = maps.transpose(0, 1).flatten(1).double().numpy()
    low, width = measure.even_cells(flat.min(1), flat.max(1))
    levels = Levels(low, width, np.zeros((3, 0), np.int64), np.zeros(0, np.int64))
    assert np.allclose(counting.cross(maps, levels).correlation(), np.corrcoef(flat), atol=0.02)


def test_levels_rise_and_their_tails_are_those_asked_for():
    random = np.random.default_rng(2)
    low, width = measure.even_cells(np.array([-4.0]), np.array([4.0]))
    values = random.standard_normal(200_000)
    counts = np.histogram(values, low[0] + np.arange(CELLS + 1) * width[0])[0][None]
    levels = Levels.of(Histogram(low, width, counts))
    assert (np.diff(levels.edges) >= 0).all()
    tails = np.array([(values >= v).mean() for v in levels.values()[0]])
    assert np.abs(tails - TAILS).max() < 0.005
    assert np.abs(tails[levels.null] - NULL_TAILS).max() < 0.025


def test_mixes_hold_exactly_the_concepts_of_their_pixels():
    labels = torch.from_numpy(np.random.default_rng(3).integers(0, 40, (3, 4, GRID, GRID)))
    masks = counting.Masks.of(labels, 40)
    pixel = (1, 5, 6)
    held = masks.concepts[masks.holds[:, masks.mix[1, 5 * GRID + 6]].bool().numpy()]
    assert held.tolist() == sorted({int(v) for v in labels[pixel[0], :, pixel[1], pixel[2]]} - {0})
