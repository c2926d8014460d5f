"""The rule of Bau et al. (ICLR 2019), held to numbers from running the original implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dissectreport
from dissectreport.analysis.dissection.iclr2019_search import information_ratio, quadrants, search
from dissectreport.analysis.dissection.published_rules import Evidence, score
from dissectreport.cache import store
from dissectreport.models.proggan import compute_as_published
from dissectreport.networks import hooks
from dissectreport.networks.latents import latents
from dissectreport.pipeline.render import load_dissection
from dissectreport.run.plan import Plan, Reading
from dissectreport.run.rules import rule_named
from dissectreport.stats.base import merge_all
from dissectreport.stats.categories import numbered
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.thresholds import FINE, ExactThresholds, search_thresholds
from dissectreport.worker import concept_masks, counting, pilot, published_rules
from tests.support.reference_models import GRID, LAYER, SAMPLES, fixture, generator, vocabulary
from tests.support.reporters import RecordingReporter

UNITS, CONCEPTS = 32, 31
CATEGORY = numbered([concept.category for concept in vocabulary().concepts])


def read(seed):
    """(100, 32, 8, 8) activations, one image at a time as in the reference."""
    z = latents(seed, 0, SAMPLES, (32,))
    model = generator()
    compute_as_published(model.module, wanted=True)
    return torch.cat([hooks.read(model, [LAYER], z[i : i + 1])[LAYER] for i in range(SAMPLES)])


@pytest.fixture(scope="module")
def judged():
    """Activations, labels and thresholds of the samples that are judged (seed 1)."""
    cuts, zero = fixture()["levels"][:, None], np.zeros(UNITS)
    labels = torch.from_numpy(fixture()["segmentation"].astype(np.int64))
    return read(1), labels, ExactThresholds(zero, zero + 1, cuts, np.zeros(UNITS, np.int64))


@pytest.fixture(scope="module")
def selection():
    """Activations, labels and the thresholds searched of the other samples (seed 2)."""
    maps = read(2)
    flat = maps.transpose(0, 1).flatten(1).double()
    even = pilot.even_cells(flat.amin(1).numpy(), flat.amax(1).numpy(), FINE)
    activations = pilot.histogram(maps, *even, FINE, GRID, "clamp")
    labels = torch.from_numpy(fixture()["segmentation_threshold_set"].astype(np.int64))
    return maps, labels, search_thresholds(activations)


@pytest.fixture(scope="module")
def found(selection):
    maps, labels, thresholds = selection
    joint, ends, categories = search_counts(maps, labels, thresholds)
    return search(joint, ends, categories, CATEGORY, thresholds.cuts)


def search_counts(maps, labels, thresholds):
    masks = concept_masks.Masks.of(labels, CONCEPTS, least=0)
    return (
        counting.joint(maps, masks, thresholds, GRID, "clamp"),
        counting.ends(maps, masks, thresholds, GRID, "clamp"),
        counting.categories(maps, labels, CATEGORY, thresholds, GRID, "clamp"),
    )


def judged_counts(maps, labels, thresholds):
    masks = concept_masks.Masks.of(labels, CONCEPTS)
    return (
        *counting.joint_and_chance(maps, masks, thresholds, GRID, "clamp"),
        counting.categories(maps, labels, CATEGORY, thresholds, GRID, "clamp"),
    )


def evidence(maps, labels, thresholds, order, size=16):
    """What a run would have counted, in shards of `size` images."""
    parts = [slice(first, first + size) for first in range(0, SAMPLES, size)]
    counts = [judged_counts(maps[part], labels[part], thresholds) for part in parts]
    return Evidence(
        thresholds,
        order,
        lambda: ((number, chance) for number, (_, chance, _) in enumerate(counts)),
        lambda: ((number, categories) for number, (_, _, categories) in enumerate(counts)),
        GRID**2,
    )


ROUNDING = 1e-5
"""Most that activations differ from the reference's, by which processor and library add up."""


def moved(judged, by):
    """The same with every threshold moved: counts fall as thresholds rise."""
    maps, labels, thresholds = judged
    return maps, labels, replace(thresholds, cuts=thresholds.cuts + by)


def scored(judged, order):
    maps, labels, thresholds = judged
    return score(evidence(maps, labels, thresholds, order), rule_named("iclr2019"), CATEGORY)


def test_latents_are_those_of_the_reference():
    assert np.array_equal(latents(1, 0, 4, (32,)).numpy(), fixture()["z_first"])


def test_images_and_activations_are_those_of_the_reference():
    # Other versions of the arithmetic library add up in another order.
    with torch.no_grad():
        images = generator()(latents(1, 0, 4, (32,)))
    assert np.abs(images.numpy() - fixture()["image_first"]).max() < 2e-5
    assert np.abs(read(1)[:4].numpy() - fixture()["feature_first"]).max() < ROUNDING


def overlaps(judged):
    joint, _, categories = judged_counts(*judged)
    overlap = np.zeros((CONCEPTS, UNITS), np.int64)
    overlap[joint.concepts] = joint.above()[0][..., 0].T
    return overlap, categories


def test_all_counts_equal_those_of_the_reference_but_for_pixels_that_rounding_may_move(judged):
    assert np.array_equal(overlaps(judged)[1].named, fixture()["label_counts"])
    (most, more), (least, less) = (overlaps(moved(judged, by)) for by in (-ROUNDING, ROUNDING))
    wanted = fixture()["intersection_counts"]
    assert (least <= wanted).all() and (wanted <= most).all()
    assert (most - least).sum() < 1e-4 * wanted.sum(), "these bounds are tight"
    within = fixture()["category_activation_counts"]
    assert (within >= less.bins[..., 1].T).all() and (within <= more.bins[..., 1].T).all()
    assert np.array_equal(more.images * GRID**2, fixture()["total_counts"])


def test_all_intersections_equal_those_of_the_reference_where_its_arithmetic_is_the_same(judged):
    """Other processors add up a convolution in another order; the test above holds there."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        pytest.skip("measured with AVX2")
    assert np.array_equal(overlaps(judged)[0], fixture()["intersection_counts"])


def test_the_faster_form_differs_by_rounding_alone():
    z, model = latents(1, 0, 4, (32,)), generator()
    compute_as_published(model.module, wanted=True)
    published = model(z)
    compute_as_published(model.module, wanted=False)
    assert 0 < (model(z) - published).abs().max() < 2e-5


def test_iou_and_information_ratio_equal_those_of_the_reference(judged):
    result = scored(judged, fixture()["max_iqr"].T)
    concepts = result.scores.concepts
    assert concepts.tolist() == list(range(1, CONCEPTS))
    if np.array_equal(overlaps(judged)[0], fixture()["intersection_counts"]):
        iou, iqr = 1e-12, 1e-9
    else:
        # A single pixel is a large part of a small concept.
        iou, iqr = 1e-3, 1e-2
    assert np.abs(result.ratios["iou"].T - fixture()["iou"][concepts]).max() < iou
    assert np.abs(result.ratios["iqr"].T - fixture()["iqr"][concepts]).max() < iqr


def test_the_same_units_are_interpretable_as_the_same_concepts(judged):
    result = scored(judged, fixture()["max_iqr"].T)
    verdict = result.judge()
    assert np.array_equal(result.scores.concepts[verdict.column], fixture()["unit_label"])
    assert np.array_equal(verdict.interpretable, fixture()["unit_interpretable"])


def test_the_search_equals_that_of_the_reference(found):
    # Ours cuts thresholds from a histogram, the reference from a sketch of quantiles; both interpolate.
    difference = np.abs(found.ratio.T - fixture()["max_iqr"])
    assert difference.mean() < 2.5e-5
    assert difference.max() < 2e-3
    strong = fixture()["max_iqr"] > 0.01
    for name, value in (("iou", found.iou), ("agreement", found.agreement)):
        assert np.abs(value.T - fixture()[f"max_iqr_{name}"])[strong].mean() < 5e-4, name


def test_the_search_gives_every_unit_the_label_of_the_reference(found, selection):
    assert np.array_equal(found.label, fixture()["unit_label"])
    thresholds = np.take_along_axis(selection[2].cuts, found.own[:, None], 1)[:, 0]
    assert np.median(np.abs(thresholds - fixture()["levels"])) < 1e-3


def test_the_thresholds_around_a_units_own_contain_it(found, selection):
    thresholds = selection[2].around(found.own)
    own = np.take_along_axis(selection[2].cuts, found.own[:, None], 1)
    assert np.array_equal(np.take_along_axis(thresholds.cuts, thresholds.own[:, None], 1), own)
    assert (np.diff(thresholds.cuts, axis=1) >= 0).all()


def test_images_of_largest_activation_are_those_of_the_reference(judged):
    peaks = Peaks(np.arange(SAMPLES), judged[0].amax((2, 3)).numpy())
    assert np.array_equal(peaks.top(10), fixture()["top_images"])
    assert np.allclose(peaks.of(peaks.top(10)), fixture()["top_activations"], rtol=0, atol=1e-5)


def test_the_information_ratio_is_zero_for_independent_and_one_for_equal_masks():
    assert information_ratio(np.full((2, 2), 0.25)) == 0
    perfect = quadrants(np.array(0.3), np.array(0.3), np.array(0.3))
    assert information_ratio(perfect) == pytest.approx(1)


@given(cuts=st.sets(st.integers(1, SAMPLES - 1), max_size=4), order=st.randoms(use_true_random=False))
def test_counts_of_any_split_merge_to_the_same_bits(selection, cuts, order):
    maps, labels, thresholds = selection
    ends = sorted({0, SAMPLES, *cuts})
    parts = [slice(*ends[i : i + 2]) for i in range(len(ends) - 1)]
    order.shuffle(parts)
    small = ExactThresholds(thresholds.low[:2], thresholds.span[:2], thresholds.cuts[:2], thresholds.own[:2])
    whole = search_counts(maps[:, :2], labels, small)
    merged = zip(*(search_counts(maps[part, :2], labels[part], small) for part in parts), strict=True)
    for one, other in zip(whole, map(merge_all, merged), strict=True):
        for name, value in one.arrays().items():
            assert np.array_equal(value, other.arrays()[name]), name


def test_a_whole_run_finds_what_the_reference_found(cache):
    options = dissectreport.Options(
        "tests.support.reference_models:generator",
        interventions=False,
        artifacts=False,
        segmenter="tests.support.reference_models:segmenter",
        samples=SAMPLES,
        rule="iclr2019",
        controls=False,
        device="cpu",
        workers=1,
        cache=cache,
    )
    dissectreport.measure(options)
    dissection = load_dissection(options.model, "iclr2019", cache)
    table = dissection.layers[0].table
    label = fixture()["unit_label"]
    assert dissection.provenance.grid == GRID
    assert table["concept"].tolist() == [str(fixture()["labels"][number]) for number in label]
    assert np.array_equal(table["interpretable"], fixture()["unit_interpretable"])
    iou = fixture()["iou"][label, np.arange(UNITS)]
    # Two units have two nearly equal maxima, so their thresholds, and with them their IoU, differ.
    assert np.median(np.abs(table["iou"] - iou)) < 2e-4
    assert np.quantile(np.abs(table["iou"] - iou), 0.9) < 2e-3


def test_a_whole_run_of_the_planted_model_judges_its_controls_by_the_same_cut_offs(cache):
    options = dissectreport.Options(
        "planted",
        interventions=False,
        artifacts=False,
        samples=32,
        layers=("features",),
        rule="iclr2019",
        device="cpu",
        workers=1,
        cache=cache,
    )
    written = dissectreport.build(options, cache / "site")
    dissection = load_dissection("planted", "iclr2019", cache)
    assert written.index.exists()
    assert dissection.provenance.grid == 32
    assert dissection.provenance.thresholds == {"iou": 0.05, "iqr": 0.01}
    assert dissection.concepts["position_only"].notna().all()  # one shard would leave one half empty
    (layer,) = dissection.layers
    counts = layer.controls[layer.controls["category"] == ""].set_index("control")["units"]
    assert set(counts.index) == {"measured", "random_directions", "untrained", "chance"}
    assert counts["measured"] == len(layer.interpretable)
    (sentence,) = [note for note in dissection.notes if "also match better than chance" in note]
    both = (layer.table["interpretable"] & layer.table["beats_chance"]).sum()
    assert f"{both} of the {counts['measured']} interpretable units also match better than chance" in sentence


@pytest.mark.extended
def test_a_second_run_measures_nothing_and_a_lost_search_is_made_again(cache):
    options = dissectreport.Options(
        "tests.support.reference_models:generator",
        interventions=False,
        artifacts=False,
        segmenter="tests.support.reference_models:segmenter",
        samples=16,
        rule="iclr2019",
        controls=False,
        device="cpu",
        workers=1,
        cache=cache,
    )
    first = dissectreport.measure(options)
    reporter = RecordingReporter()
    assert dissectreport.measure(options, reporter) == first
    assert not reporter.tasks
    searched_in = store.Store(cache / "measurements" / first.layers[0].thresholds)
    before = searched_in.path("thresholds").read_bytes()
    for name in searched_in.names():
        searched_in.path(name).write_bytes(b"torn")
    assert dissectreport.measure(options, reporter) == first
    assert {str(task) for task in reporter.tasks} == {"searching for the best thresholds"}
    assert searched_in.path("thresholds").read_bytes() == before


def half_and_half():
    """A unit that is on everywhere, and two images: one half object and half part, one all part."""
    labels = torch.full((2, 1, 4, 4), 2)
    labels[0, :, :2] = 1
    zero = np.zeros(1)
    thresholds = ExactThresholds(zero, zero + 1, np.full((1, 1), 0.5, np.float32), np.zeros(1, np.int64))
    return torch.ones(2, 1, 4, 4), labels, thresholds


def iou_under(rule):
    maps, labels, thresholds = half_and_half()
    category = numbered(["-", "object", "part"])
    _, chance = counting.joint_and_chance(maps, concept_masks.Masks.of(labels, 3), thresholds, 4, "clamp")
    categories = counting.categories(maps, labels, category, thresholds, 4, "clamp")
    held = Evidence(thresholds, None, lambda: [(0, chance)], lambda: [(0, categories)], 16)
    return score(held, rule_named(rule), category).ratios["iou"][0].tolist()


def test_only_images_that_hold_the_category_enter_the_union():
    assert iou_under("iclr2019") == [0.5, 0.75]
    assert iou_under("pnas2020") == [0.25, 0.75]


def test_what_is_not_named_belongs_to_the_first_category():
    labels = torch.tensor([0, 1, 2]).reshape(3, 1, 1, 1)
    held = concept_masks.holding(labels, numbered(["-", "object", "part"]))
    assert held.tolist() == [[True, True, False], [False, False, True]]


@pytest.mark.parametrize(
    ("iou", "iqr", "passes"),
    [(0.051, 0.011, True), (0.05, 0.011, False), (0.051, 0.01, False), (0.04, 0.02, False)],
)
def test_a_unit_must_exceed_both_cut_offs(judged, iou, iqr, passes):
    result = scored(judged, fixture()["max_iqr"].T)
    assert result.passed({"iou": np.array([iou]), "iqr": np.array([iqr])}).tolist() == [passes]


def test_the_chance_control_pairs_every_image_with_the_masks_of_the_next():
    labels = torch.arange(5).reshape(5, 1, 1, 1).expand(5, 1, 4, 4)
    plan = Plan("generator", "segmenter", "iclr2019", grid=4)
    assert published_rules.labels_on_grid(labels, plan, Reading(LAYER, shift=1))[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 0]
    assert published_rules.labels_on_grid(labels, plan, Reading(LAYER))[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
