"""Counts of a shard against loops that anybody can check."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from dissectreport.networks import hooks, resampling
from dissectreport.records.dissection import UnitScales
from dissectreport.run.plan import Plan, Reading
from dissectreport.stats import label_sets
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.label_sets import SIDE
from dissectreport.stats.thresholds import (
    CELLS,
    CHANCE_ON_FRACTIONS,
    ON_FRACTIONS,
    ExactThresholds,
    Thresholds,
    nearest,
)
from dissectreport.worker import binning, concept_masks, counting, pilot, whole_counts
from dissectreport.worker.observing import readings_of

GRID = 8
CONCEPTS = 7


@pytest.fixture(scope="module")
def case():
    """Maps (n, units, h, w), labels on the grid (n, slots, g, g) and the thresholds of a pilot."""
    random = np.random.default_rng(0)
    maps = torch.from_numpy(random.standard_normal((5, 3, 4, 4)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, CONCEPTS, (5, 2, GRID, GRID)))
    low, width = pilot.even_cells(*(np.full(3, v) for v in (-3.0, 3.0)))
    counts = random.integers(0, 50, (3, CELLS))
    return maps, labels, Thresholds.of(Histogram(low, width, counts))


def on_above(maps, thresholds):
    """(t, n, units, g, g) whether each unit is on above each threshold, the slow way."""
    laid = interpolate(maps, (GRID, GRID), mode="bilinear", align_corners=False).numpy()
    cell = ((laid - thresholds.low[:, None, None]) / thresholds.width[:, None, None]).astype(int).clip(0, CELLS - 1)
    return cell[None] >= thresholds.edges.T[:, None, :, None, None]


def present(labels):
    """(n, concepts, g, g) whether any slot names the concept."""
    return (labels[:, None] == torch.arange(1, CONCEPTS)[None, :, None, None, None]).any(2).numpy()


def test_joint_counts_equal_masks_laid_over_masks(case):
    maps, labels, thresholds = case
    joint, _ = counting.joint_and_chance(maps, concept_masks.Masks.of(labels, CONCEPTS), thresholds, GRID, "clamp")
    on, shown = on_above(maps, thresholds), present(labels)
    both, above = joint.above()
    assert joint.concepts.tolist() == list(range(1, CONCEPTS))
    assert np.array_equal(both, np.einsum("tnuhw,nchw->uct", on.astype(int), shown.astype(int)))
    assert np.array_equal(above, on.sum((1, 3, 4)).T)
    assert np.array_equal(joint.present, shown.sum((0, 2, 3)))
    assert np.array_equal(joint.images, shown.any((2, 3)).sum(0))


def test_the_chance_level_is_the_mean_overlap_over_all_pairings_of_different_images(case):
    maps, labels, thresholds = case
    _, chance = counting.joint_and_chance(maps, concept_masks.Masks.of(labels, CONCEPTS), thresholds, GRID, "clamp")
    on, shown = on_above(maps, thresholds)[thresholds.chance_columns], present(labels)
    pairs = [
        np.einsum("tuhw,chw->uct", on[:, i].astype(int), shown[j].astype(int))
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    assert np.allclose(chance.expected(), np.sum(pairs, 0) / 4, rtol=0, atol=1e-9)
    next_image = sum(np.einsum("tuhw,chw->uct", on[:, i].astype(int), shown[(i + 1) % 5].astype(int)) for i in range(5))
    assert np.array_equal(chance.observed_overlap(shifted=True), next_image)


def test_chance_counts_alone_equal_those_counted_together_with_the_joint_counts(case):
    maps, labels, thresholds = case
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    together, alone = (
        counting.joint_and_chance(maps, masks, thresholds, GRID, "clamp")[1],
        counting.chance(maps, masks, thresholds, GRID, "clamp"),
    )
    for name, value in together.arrays().items():
        assert np.array_equal(value, alone.arrays()[name]), name


@pytest.mark.parametrize("direct", [0, 1 << 18])
def test_a_finer_grid_is_counted_in_blocks_with_the_same_result(case, monkeypatch, direct):
    maps, labels, thresholds = case
    monkeypatch.setattr(counting, "DIRECT", direct)
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    whole = counting.joint_and_chance(maps, masks, thresholds, GRID, "clamp")[0]
    monkeypatch.setattr(counting, "CHUNK", 8 * GRID * GRID * 2)
    blocks = counting.joint(maps, masks, thresholds, GRID, "clamp")
    for name, value in whole.arrays().items():
        assert np.array_equal(value, blocks.arrays()[name]), name


@pytest.mark.parametrize("reach", [0.5, 20.0])
def test_cells_are_those_of_the_upsampled_activations_inside_and_outside_the_range_of_the_pilot(case, reach):
    maps = case[0]
    low, width = pilot.even_cells(*(np.full(3, v) for v in (-reach, reach)))
    laid = interpolate(maps, (GRID, GRID), mode="bilinear", align_corners=False).double().numpy()
    exact = (laid.transpose(1, 0, 2, 3).reshape(3, -1) - low[:, None]) / width[:, None]
    wanted = exact.astype(int).clip(0, CELLS - 1)
    sure = np.abs(exact - exact.round()) > 1e-2  # float32 may fall on the other side of an edge
    for images in (0, 2, 5):
        found = torch.cat(
            [
                torch.cat(list(binning.cells(maps[:, one], low[one], width[one], CELLS, GRID, "clamp", images)))
                for one in (slice(unit, unit + 1) for unit in range(3))
            ]
        )
        assert np.array_equal(found.numpy()[sure.flatten()], wanted.flatten()[sure.flatten()])


@pytest.mark.parametrize("end", [40, 10**9])
def test_renumbering_by_counting_equals_renumbering_by_sorting(end):
    numbers = torch.from_numpy(np.random.default_rng(4).integers(0, 40, (3, 50)))
    codes, places = concept_masks.renumbered(numbers, end)
    wanted = torch.unique(numbers, return_inverse=True)
    assert torch.equal(codes, wanted[0])
    assert torch.equal(places, wanted[1])


def test_a_concept_in_two_slots_of_a_pixel_counts_once():
    labels = torch.full((1, 2, GRID, GRID), 3)
    assert concept_masks.Masks.of(labels, CONCEPTS).by_image.tolist() == [[GRID * GRID]]


def test_upsampling_equals_interpolation_between_pixel_centres():
    maps = torch.randn(2, 3, 5, 7)
    wanted = interpolate(maps, (16, 20), mode="bilinear", align_corners=False)
    assert torch.allclose(resampling.upsample(maps, (16, 20)), wanted, atol=1e-6)


@pytest.mark.parametrize("edge", ["clamp", "zero"])
@pytest.mark.parametrize("size", [(4, 4), (80, 80)])
def test_random_directions_are_those_of_standardised_units_at_some_pixels_of_the_grid(edge, size):
    torch.manual_seed(2)
    maps, plan = torch.randn(2, 5, *size) * torch.tensor([1.0, 10.0, 3.0, 0.0, 2.0])[:, None, None], Plan("g", "s")
    plan = replace(plan, rule="pnas2020" if edge == "zero" else "corrected", grid=64)
    scales = UnitScales.of(maps.transpose(0, 1).flatten(1).numpy()).scales
    reading = Reading("layer", 7, tuple(scales.tolist()))
    (found,) = readings_of({"layer": maps}, plan, [reading], 0).values()
    standard = torch.where(torch.tensor(scales)[:, None, None] > 0, maps / torch.tensor(scales)[:, None, None], 0.0)
    turned = torch.einsum("uv,nvhw->nuhw", hooks.orthogonal(5, 7), standard.float())
    whole = resampling.upsample(turned, (64, 64), edge)
    assert torch.allclose(found, whole[:, :, 1::3, 1::3], atol=1e-5)


def test_zero_edges_fade_outside_the_outermost_centres():
    laid = resampling.upsample(torch.ones(1, 1, 2, 2), (4, 4), "zero")[0, 0]
    assert torch.allclose(laid[0], torch.tensor([0.5625, 0.75, 0.75, 0.5625]))
    assert laid[1, 1] == 1


def test_correlation_of_rounded_activations_is_close_to_that_of_activations():
    random = np.random.default_rng(1)
    base = random.standard_normal((6, 1, 8, 8))
    maps = torch.from_numpy(np.concatenate([base, base * 2 + 1, random.standard_normal((6, 1, 8, 8))], 1)).float()
    flat = maps.transpose(0, 1).flatten(1).double().numpy()
    low, width = pilot.even_cells(flat.min(1), flat.max(1))
    thresholds = Thresholds(low, width, np.zeros((3, 0), np.int64), np.zeros(0, np.int64))
    assert np.allclose(counting.cross(maps, thresholds).correlation(), np.corrcoef(flat), atol=0.02)


def test_thresholds_rise_and_have_the_on_fractions_asked_for():
    random = np.random.default_rng(2)
    low, width = pilot.even_cells(np.array([-4.0]), np.array([4.0]))
    values = random.standard_normal(200_000)
    counts = np.histogram(values, low[0] + np.arange(CELLS + 1) * width[0])[0][None]
    thresholds = Thresholds.of(Histogram(low, width, counts))
    assert (np.diff(thresholds.edges) >= 0).all()
    on_fractions = np.array([(values >= v).mean() for v in thresholds.values()[0]])
    assert np.abs(on_fractions - ON_FRACTIONS).max() < 0.005
    assert np.abs(on_fractions[thresholds.chance_columns] - CHANCE_ON_FRACTIONS).max() < 0.025


def test_label_sets_hold_exactly_the_concepts_of_their_pixels():
    labels = torch.from_numpy(np.random.default_rng(3).integers(0, 40, (3, 4, GRID, GRID)))
    masks = concept_masks.Masks.of(labels, 40)
    pixel = (1, 5, 6)
    held = masks.concepts[masks.holds[:, masks.label_sets[1, 5 * GRID + 6]].bool().numpy()]
    assert held.tolist() == sorted({int(v) for v in labels[pixel[0], :, pixel[1], pixel[2]]} - {0})


# --- against loops, pixel by pixel ---


def some_maps(seed=5, images=4, units=2, side=3):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((images, units, side, side)).astype(np.float32))


def some_labels(seed=6, images=4, slots=2):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, CONCEPTS, (images, slots, GRID, GRID)))


def sparse_labels():
    """The same with concept 6 at one pixel of one image alone, and concepts 4 and 5 not in every image."""
    labels = some_labels()
    labels[labels == 6] = 0
    labels[2, 0, 3, 5] = 6
    labels[1] = torch.where(labels[1] > 3, 0, labels[1])
    return labels


def exact_thresholds(maps, count=5):
    """Rising thresholds among the activations, some of which equal one."""
    flat = maps.transpose(0, 1).flatten(1)
    cuts = torch.sort(flat, 1).values[:, torch.linspace(0, flat.shape[1] - 1, count).long()].numpy()
    return ExactThresholds(cuts[:, 0] - 1.0, np.full(len(cuts), 9.0), cuts, np.zeros(len(cuts), np.int64))


def bins_of(maps, thresholds, edge="clamp"):
    """(n, units, g, g) number of thresholds that each upsampled activation exceeds."""
    laid = resampling.upsample(maps, (GRID, GRID), edge).numpy()
    return (laid[..., None] > thresholds.cuts[:, None, None, :]).sum(-1)


def test_joint_counts_at_exact_thresholds_equal_a_loop():
    maps, labels = some_maps(), sparse_labels()
    thresholds = exact_thresholds(maps)
    for edge in ("clamp", "zero"):
        bins, shown = bins_of(maps, thresholds, edge), present(labels)
        masks = concept_masks.Masks.of(labels, CONCEPTS)
        joint = counting.joint(maps, masks, thresholds, GRID, edge)
        for unit in range(2):
            for number, concept in enumerate(masks.concepts):
                there = bins[:, unit][shown[:, concept - 1]]
                assert joint.joint[unit, number].tolist() == np.bincount(there, minlength=6).tolist()
            assert joint.total[unit].tolist() == np.bincount(bins[:, unit].flatten(), minlength=6).tolist()
        assert joint.samples == 4
        assert joint.present.tolist() == shown.sum((0, 2, 3)).tolist()
        assert joint.images.tolist() == shown.any((2, 3)).sum(0).tolist()


def test_activations_that_equal_a_threshold_do_not_exceed_it():
    thresholds = ExactThresholds(np.zeros(1), np.ones(1), np.float32([[1, 2]]), np.zeros(1, np.int64))
    masks = concept_masks.Masks.of(torch.ones(1, 1, 1, 3, dtype=torch.int64), 2)
    compared = binning.binning_of(thresholds, torch.device("cpu"))
    laid = torch.tensor([[1.0, 1.5, 2.5]])
    assert compared.bin([0], laid, masks.label_sets).tolist() == [[0, 1, 2]]
    assert compared.step([0], laid, masks.label_sets).tolist() == [[0, 1, 2]]
    assert compared.bin([0], laid, torch.zeros(0, dtype=torch.int16)).dtype == torch.int16


def test_chance_at_exact_thresholds_equals_a_loop_also_for_the_masks_of_the_next_image():
    maps, labels = some_maps(), sparse_labels()
    thresholds = exact_thresholds(maps)
    bins, shown = bins_of(maps, thresholds), present(labels)
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    chance = counting.chance(maps, masks, thresholds, GRID, "clamp")
    for threshold in range(5):
        on = bins > threshold
        assert chance.on[:, threshold].tolist() == on.sum((0, 2, 3)).tolist()
        for unit in range(2):
            for number, concept in enumerate(masks.concepts):
                shows = shown[:, concept - 1]
                pairs = [[(on[i, unit] & shows[j]).sum() for j in range(4)] for i in range(4)]
                assert chance.observed[0, unit, number, threshold] == sum(pairs[i][i] for i in range(4))
                assert chance.shifted[0, unit, number, threshold] == sum(pairs[i][(i + 1) % 4] for i in range(4))
                assert chance.crossed[0, unit, number, threshold] == sum(map(sum, pairs))
    assert chance.sizes.tolist() == [4] and chance.samples == 4
    assert chance.present.tolist() == shown[:, masks.concepts - 1].sum((0, 2, 3)).tolist()
    assert chance.images.tolist() == shown[:, masks.concepts - 1].any((2, 3)).sum(0).tolist() == [4, 4, 4, 3, 3, 1]
    assert np.array_equal(chance.where, shown[:, masks.concepts - 1].sum(0).reshape(len(masks.concepts), -1))


def test_without_the_masks_of_the_next_image_nothing_else_changes(case):
    maps, labels, thresholds = case
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    full = counting.chance(maps, masks, thresholds, GRID, "clamp").arrays()
    bare = counting.chance(maps, masks, thresholds, GRID, "clamp", with_shifted=False).arrays()
    assert full.keys() == bare.keys()
    assert not bare["shifted"].any() and bare["shifted"].shape == full["shifted"].shape and full["shifted"].any()
    assert all(np.array_equal(full[name], bare[name]) for name in full if name != "shifted")


def test_units_are_laid_out_in_parts_that_fit_with_the_same_result(case, monkeypatch):
    maps, labels, thresholds = case
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    whole = counting.joint_and_chance(maps, masks, thresholds, GRID, "clamp")
    monkeypatch.setattr(counting, "CHUNK", len(maps) * GRID * GRID * 2)
    for one, other in zip(whole, counting.joint_and_chance(maps, masks, thresholds, GRID, "clamp"), strict=True):
        for name, value in one.arrays().items():
            assert np.array_equal(value, other.arrays()[name]), name


def test_categories_count_the_bins_of_images_that_hold_any_of_their_concepts():
    maps, labels = some_maps(), some_labels()
    labels[0], labels[1, :, :, :] = 1, torch.where(labels[1] > 3, 0, labels[1])
    category = np.array([0, 0, 0, 1, 1, 1, 2, 2])  # concept 7 never occurs
    thresholds = exact_thresholds(maps)
    bins = bins_of(maps, thresholds)
    found = counting.categories(maps, labels, category, thresholds, GRID, "clamp")
    assert found.bins.shape == (2, 3, 6)
    for kind in range(3):
        holds = [bool(np.isin(image, np.flatnonzero(category == kind)).any()) for image in labels.numpy()]
        assert found.images[kind] == sum(holds)
        for unit in range(2):
            wanted = np.bincount(bins[holds][:, unit].flatten(), minlength=6)
            assert found.bins[unit, kind].tolist() == wanted.tolist()
    assert found.named.tolist() == np.bincount(labels.flatten(), minlength=8).tolist()
    assert concept_masks.holding(labels, category).dtype == bool


def test_categories_are_counted_in_bins_of_cells_too(case):
    maps, labels, thresholds = case
    on = on_above(maps, thresholds).sum(0)
    category = np.array([0, 0, 0, 1, 1, 1, 1])
    found = counting.categories(maps, labels, category, thresholds, GRID, "clamp")
    for kind in range(2):
        holds = np.isin(labels.numpy(), np.flatnonzero(category == kind)).any((1, 2, 3))
        for unit in range(3):
            wanted = np.bincount(on[holds][:, unit].flatten(), minlength=128)
            assert found.bins[unit, kind].tolist() == wanted.tolist()


def test_ends_are_the_smallest_and_largest_activation_of_each_concept_in_each_bin():
    maps, labels = some_maps(), some_labels()
    thresholds = exact_thresholds(maps)
    bins, shown = bins_of(maps, thresholds), present(labels)
    laid = resampling.upsample(maps, (GRID, GRID)).numpy()
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    ends = counting.ends(maps, masks, thresholds, GRID, "clamp")
    assert ends.concepts is masks.concepts
    for unit in range(2):
        for number, concept in enumerate(masks.concepts):
            for one in range(6):
                values = laid[:, unit][shown[:, concept - 1] & (bins[:, unit] == one)]
                assert ends.low[unit, number, one] == (values.min() if len(values) else np.inf)
                assert ends.high[unit, number, one] == (values.max() if len(values) else -np.inf)


def test_areas_and_positions_of_concepts_are_those_of_their_masks():
    labels = some_labels()
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    shown = present(labels)[:, masks.concepts - 1]
    assert (masks.images, masks.sets) == (4, int(masks.label_sets.max()) + 1)
    assert np.array_equal(masks.by_image, shown.sum((2, 3)))
    assert np.array_equal(masks.by_pixel, shown.sum(0).reshape(len(masks.concepts), -1))
    areas = concept_masks.areas(masks, 96)
    assert areas.samples.tolist() == [96, 97, 98, 99] and areas.grid == GRID**2
    assert areas.concepts is masks.concepts
    assert np.array_equal(areas.pixels, masks.by_image) and areas.samples.dtype == np.int64


def test_nothing_is_a_concept_only_where_it_is_asked_for():
    labels = torch.zeros(1, 2, GRID, GRID, dtype=torch.int64)
    labels[0, 0, 0, 0] = 5
    assert concept_masks.Masks.of(labels, CONCEPTS).concepts.tolist() == [5]
    with_nothing = concept_masks.Masks.of(labels, CONCEPTS, least=0)
    assert with_nothing.concepts.tolist() == [0, 5]
    # One pixel names 5 in its first slot and nothing in its second.
    assert with_nothing.by_image.tolist() == [[GRID * GRID, 1]]


def test_labels_of_many_slots_and_a_large_vocabulary_do_not_overflow():
    random = np.random.default_rng(8)
    labels = torch.from_numpy(random.integers(0, 100_000, (2, 6, 4, 4)))
    masks = concept_masks.Masks.of(labels, 100_000)
    for image in range(2):
        for pixel in range(16):
            held = masks.concepts[masks.holds[:, masks.label_sets[image, pixel]].bool().numpy()]
            assert held.tolist() == sorted(set(labels[image, :, pixel // 4, pixel % 4].tolist()) - {0})


@pytest.mark.parametrize(("side", "rows"), [(8, range(8)), (16, range(1, 16, 2)), (4, [0, 0, 1, 1, 2, 2, 3, 3])])
def test_labels_on_the_grid_are_those_at_the_centres_of_its_cells(side, rows):
    labels = torch.arange(side * side).reshape(1, 1, side, side)
    found = concept_masks.on_grid(labels, GRID)
    assert found[0, 0].tolist() == [[row * side + column for column in rows] for row in rows]
    assert (found is labels) == (side == GRID)


def test_labels_of_oblong_images_are_taken_along_each_side():
    labels = torch.arange(8 * 16).reshape(1, 1, 8, 16)
    assert concept_masks.on_grid(labels, 8)[0, 0, 3].tolist() == [3 * 16 + column for column in range(1, 16, 2)]


def test_outside_a_zero_padded_map_activations_are_zero_and_not_the_lowest_cell():
    maps = torch.full((1, 1, 2, 2), 4.0)
    low, width = np.array([-8.0]), np.array([0.5])
    (laid,) = binning.cells(maps, low, width, 32, 4, "zero")
    faded = resampling.upsample(maps, (4, 4), "zero").flatten()
    assert laid.tolist() == [int((value + 8) / 0.5) for value in faded.tolist()]
    assert laid.dtype == torch.int32 and laid.min() >= 16


@pytest.mark.parametrize(
    ("sets", "wide", "kind"), [(3, False, torch.int16), (4000, False, torch.int32), (3, True, torch.int32)]
)
def test_keys_take_the_smallest_type_that_holds_them(sets, wide, kind):
    label_sets = torch.tensor([[0, sets - 1], [1, 0]], dtype=torch.int32)
    found = whole_counts.pixel_keys(label_sets, sets, 10, wide)
    assert found.dtype == kind
    assert found.tolist() == [0, (sets - 1) * 10, 10, 0]


def test_the_largest_key_fits_the_small_type():
    edge = 2**15 // 8
    small, large = (whole_counts.pixel_keys(torch.tensor([[sets - 1]]), sets, 8) for sets in (edge - 1, edge))
    assert (small.dtype, large.dtype) == (torch.int16, torch.int32)
    assert large.item() + 7 == 2**15 - 1


def test_sums_of_products_are_of_rounded_activations_over_cells():
    maps = torch.tensor([[[[0.0, 1.0], [2.0, -1.0]], [[5.0, 5.0], [5.0, 5.0]]]])
    thresholds = Thresholds(
        np.array([-1.0, 0.0]), np.array([4.0, 10.0]) / CELLS, np.zeros((2, 0), np.int64), np.zeros(0, np.int64)
    )
    found = counting.cross(maps, thresholds)
    # 128 levels from -1 to 3: level 32, 64, 96, 0; from 0 to 10: level 64 four times.
    assert found.sums.tolist() == [192, 256]
    assert found.products.tolist() == [[32**2 + 64**2 + 96**2, 192 * 64], [192 * 64, 4 * 64**2]]
    assert found.positive.tolist() == [2, 4] and found.cells == 4


def test_activations_outside_the_range_are_rounded_to_its_ends():
    maps = torch.tensor([[[[-9.0, 9.0]]]])
    thresholds = Thresholds(np.array([0.0]), np.array([1.0]) / CELLS, np.zeros((1, 0), np.int64), np.zeros(0, np.int64))
    assert counting.cross(maps, thresholds).sums.tolist() == [127]


def test_huge_shards_are_counted_in_double_precision():
    few = concept_masks.Masks(torch.zeros(1, 2**24 - 1, dtype=torch.int8), torch.ones(1, 1), np.array([1]))
    many = concept_masks.Masks(torch.zeros(1, 2**24, dtype=torch.int8), torch.ones(1, 1), np.array([1]))
    assert concept_masks.exact(few) and not concept_masks.exact(many)
    assert whole_counts.precise(torch.tensor([3])).dtype == torch.float64
    assert whole_counts.whole(torch.tensor([2.9999, 7.0])).tolist() == [3, 7]


def test_counts_are_made_where_the_activations_are_whatever_the_default_device():
    maps, labels = some_maps(), some_labels()
    exact = exact_thresholds(maps)
    low, width = pilot.even_cells(*(np.full(2, v) for v in (-3.0, 3.0)))
    even = Thresholds.of(Histogram(low, width, np.random.default_rng(0).integers(0, 50, (2, CELLS))))

    def everything():
        masks = concept_masks.Masks.of(labels, CONCEPTS)
        return [
            *counting.joint_and_chance(maps, masks, even, GRID, "clamp"),
            counting.joint(maps, masks, even, GRID, "clamp"),
            counting.chance(maps, masks, exact, GRID, "zero"),
            counting.categories(maps, labels, np.array([0, 0, 0, 1, 1, 1, 1]), exact, GRID, "clamp"),
            counting.ends(maps, masks, exact, GRID, "clamp"),
            counting.cross(maps, exact),
            concept_masks.areas(masks, 0),
        ]

    here = everything()
    with torch.device("meta"):
        elsewhere = everything()
    for one, other in zip(here, elsewhere, strict=True):
        for name, value in one.arrays().items():
            assert np.array_equal(value, other.arrays()[name]), name


def test_pairs_of_so_many_images_that_single_precision_would_not_hold_their_number_are_counted_exactly():
    images, grid = 47, 97
    thresholds = ExactThresholds(np.zeros(1), np.ones(1), np.float32([[0.5]]), np.zeros(1, np.int64))
    masks = concept_masks.Masks.of(torch.ones(images, 1, grid, grid, dtype=torch.int64), 2)
    chance = counting.chance(torch.ones(images, 1, 1, 1), masks, thresholds, grid, "clamp")
    assert chance.crossed.item() == images**2 * grid**2 > 2**24
    assert chance.observed.item() == chance.shifted.item() == images * grid**2


def test_neighbours_overlap_as_masks_laid_over_the_masks_of_the_image_next_in_activity(case):
    maps, labels, thresholds = case
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    _, chance, found = counting.joint_chance_and_neighbours(maps, masks, thresholds, GRID, "clamp")
    on, shown = on_above(maps, thresholds)[thresholds.chance_columns].astype(int), present(labels).astype(int)
    overlap, gap, crossed = (np.zeros_like(found.overlap) for _ in range(3))
    for unit in range(3):
        activity = on[:, :, unit].sum((0, 2, 3))
        order = sorted(range(5), key=lambda image: (activity[image], image))
        neighbour = dict(zip(order, (order[1], order[0], order[3], order[2], order[4]), strict=True))
        areas, mask_areas = on[:, :, unit].sum((2, 3)), shown.sum((2, 3))
        for one in range(5):
            overlap[unit] += np.einsum("thw,chw->ct", on[:, one, unit], shown[neighbour[one]])
            gap[unit] += np.outer(mask_areas[one] - mask_areas[neighbour[one]], areas[:, one])
            for other in range(5):
                crossed[unit] += (one != other) * np.outer(mask_areas[other], areas[:, one])
    assert found.concepts.tolist() == chance.concepts.tolist()
    for value, wanted in zip((found.overlap, *found.products()), (overlap, gap, crossed), strict=True):
        assert np.array_equal(value, wanted)
    alone = counting.chance_and_others(maps, masks, thresholds, GRID, "clamp")[1]
    assert all(np.array_equal(getattr(alone, name), getattr(found, name)) for name in vars(found))


def test_pixels_by_label_set_are_those_of_masks_at_the_thresholds_of_chance(case):
    maps, labels, thresholds = case
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    *_, found = counting.joint_and_others(maps, masks, thresholds, GRID, "clamp")
    columns = thresholds.chance_columns[nearest(CHANCE_ON_FRACTIONS, np.array(label_sets.ON_FRACTIONS))]
    on, shown = on_above(maps, thresholds)[columns].astype(int), present(labels)
    cell = np.arange(GRID) * SIDE // GRID
    assert found.on.sum() == on.sum() and len(found.sets) > 3
    for row, (concepts, cells) in enumerate(zip(found.sets, found.cells, strict=True)):
        held = np.isin(masks.concepts, concepts)
        mask = (shown == held[:, None, None]).all(1).astype(int)
        assert np.array_equal(found.on[:, row], np.einsum("tnuhw,nhw->ut", on, mask))
        assert np.array_equal(found.shifted[:, row], np.einsum("tnuhw,nhw->ut", on, np.roll(mask, -1, 0)))
        assert cells.sum() == mask.sum()
    for unit in range(on.shape[2]):
        by_cell = np.zeros((SIDE, SIDE, len(columns)), int)
        np.add.at(by_cell, (cell[:, None], cell[None]), np.moveaxis(on[:, :, unit].sum(1), 0, -1))
        assert np.array_equal(found.layout[unit], by_cell.reshape(-1, len(columns)))
    coarse = counting.chance_and_others(maps, masks, thresholds, GRID, "clamp")[2]
    assert all(np.array_equal(getattr(coarse, name), getattr(found, name)) for name in vars(found))
