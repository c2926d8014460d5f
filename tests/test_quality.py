"""Distances between sets of images against slow and obvious ones, known answers, and other people's programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dissectreport.analysis.artifacts import quality
from dissectreport.analysis.artifacts.quality import (
    MEASURES,
    ImageSet,
    Reference,
    frechet_distance,
    measure_quality,
    too_few_for_covariance,
)
from dissectreport.analysis.common.halves import Halved, balanced, hadamard, whole_and_halves
from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.errors import BadOption
from dissectreport.stats.features import FeatureScale

N, D = 120, 4


def some_sets(n=N, d=D, seed=0):
    """Real features, and generated ones that are shifted and vary less."""
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)), random.standard_normal((n, d)) * 0.8 + 0.3


@pytest.fixture(scope="module")
def judged():
    real, generated = some_sets()
    return measure_quality(real=ImageSet(real), generated=ImageSet(generated))


# --- slow and obvious ---


def kernel_distance_by_loops(real, generated):
    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    n, m = len(real), len(generated)
    within_real = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within = sum(kernel(generated[i], generated[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    across = sum(kernel(x, y) for x in real for y in generated) / (n * m)
    return within_real + within - 2 * across


def neighbourhoods_by_loops(real, generated):
    def reach(images, i):
        return sorted(np.linalg.norm(images[i] - images[j]) for j in range(len(images)) if j != i)[4]

    of_real = [reach(real, i) for i in range(len(real))]
    of_generated = [reach(generated, i) for i in range(len(generated))]
    near = [[np.linalg.norm(x - y) <= r for y, r in zip(real, of_real, strict=True)] for x in generated]
    back = [[np.linalg.norm(x - y) <= r for x, r in zip(generated, of_generated, strict=True)] for y in real]
    return {
        "precision": sum(any(row) for row in near) / len(generated),
        "recall": sum(any(row) for row in back) / len(real),
        "density": sum(sum(row) for row in near) / (5 * len(generated)),
        "coverage": sum(any(row[j] for row in near) for j in range(len(real))) / len(real),
    }


def test_the_kernel_distance_is_that_of_all_pairs_one_by_one(judged):
    real, generated = some_sets()
    found = judged.measures["kernel_distance"]
    assert float(found.value) == pytest.approx(kernel_distance_by_loops(real, generated), rel=1e-10)
    for row in (0, 17, 37):
        half = whole_and_halves(N)[1 + row]
        assert found.halves[row] == pytest.approx(kernel_distance_by_loops(real[half], generated[half]), rel=1e-10)


@pytest.mark.parametrize("row", [0, 1, 24])
def test_neighbourhoods_are_those_counted_one_by_one(judged, row):
    kept = whole_and_halves(N)[row]
    wanted = neighbourhoods_by_loops(*(images[kept] for images in some_sets()))
    found = {name: judged.measures[name] for name in wanted}
    values = {name: float(figure.halves[row - 1] if row else figure.value) for name, figure in found.items()}
    assert values == pytest.approx(wanted, abs=1e-12)


def test_the_frechet_distance_over_a_half_is_that_of_its_rows():
    real, generated = some_sets(1000)
    found = measure_quality(real=ImageSet(real), generated=ImageSet(generated)).measures["frechet_distance"]
    for row in (1, 2, 38):
        kept = whole_and_halves(1000)[row]
        normals = [(x.mean(0), np.cov(x.T)) for x in (real[kept], generated[kept])]
        assert found.halves[row - 1] == pytest.approx(frechet_distance(*normals[0], *normals[1]), rel=1e-10)


def test_images_compared_in_small_blocks_give_the_same_figures(judged, monkeypatch):
    monkeypatch.setattr(quality, "ROWS", 7)
    real, generated = some_sets()
    again = measure_quality(real=ImageSet(real), generated=ImageSet(generated))
    for name, figure in judged.measures.items():
        assert np.allclose(again.measures[name].halves, figure.halves, rtol=1e-12)


# --- known answers ---


def test_the_frechet_distance_of_independent_features_is_that_of_their_deviations():
    mean, deviation, other = np.array([1.0, 2.0, 0.0]), np.array([1.0, 3.0, 0.0]), np.array([2.0, 1.0, 5.0])
    found = frechet_distance(mean, np.diag(deviation**2), np.zeros(3), np.diag(other**2))
    assert found == pytest.approx(5 + ((deviation - other) ** 2).sum())


def test_a_copy_of_the_real_images_is_perfect():
    real, _ = some_sets(1000)
    copy = measure_quality(real=ImageSet(real), generated=ImageSet(real.copy()))
    values = {name: figure.value for name, figure in copy.estimates().items()}
    assert values["precision"] == values["recall"] == values["coverage"] == 1
    assert values["density"] == pytest.approx(1.2)
    assert abs(values["frechet_distance"]) < 1e-9


def test_equal_images_are_within_each_others_reach_whatever_the_rounding():
    # Six copies of every image: the fifth nearest is at distance zero.
    rows = np.repeat(np.random.default_rng(0).standard_normal((40, 168)) * 1e3, 6, axis=0)
    found = measure_quality(
        real=ImageSet(rows), generated=ImageSet(rows[np.random.default_rng(1).permutation(len(rows))])
    )
    assert found.estimates()["precision"].value == found.estimates()["coverage"].value == 1


def test_the_kernel_distance_of_two_halves_of_one_set_is_about_zero():
    found = [Reference.of(some_sets(200, seed=seed)[0]).against_itself(100) for seed in range(40)]
    values = np.array([float(one.measures["kernel_distance"].value) for one in found])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(40)
    assert (values < 0).any()


def test_roles_are_named_and_swapping_them_swaps_precision_and_recall(judged):
    real, generated = (ImageSet(images) for images in some_sets())
    with pytest.raises(TypeError):
        measure_quality(real, generated)  # type: ignore[call-arg, misc]
    swapped = measure_quality(real=generated, generated=real).estimates()
    assert swapped["precision"].value == judged.estimates()["recall"].value
    assert swapped["precision"].value != judged.estimates()["precision"].value
    assert swapped["density"].value != judged.estimates()["density"].value


# --- other people's programs ---


def correlated(n, d, seed):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)) @ random.standard_normal((d, d)) + random.standard_normal(d)


def test_the_frechet_distance_equals_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    (mean, covariance), (other, others) = ((x.mean(0), np.cov(x.T)) for x in (correlated(999, 24, s) for s in (0, 1)))
    trace = np.trace(covariance + others - 2 * linalg.sqrtm(covariance @ others).real)
    wanted = ((mean - other) ** 2).sum() + trace
    assert frechet_distance(mean, covariance, other, others) == pytest.approx(wanted, rel=1e-9)


def test_distances_equal_torchmetrics():
    fid, kid = (pytest.importorskip(f"torchmetrics.image.{name}") for name in ("fid", "kid"))
    network = torch.nn.Flatten()
    sets = [correlated(1000, 12, seed) / 20 for seed in (0, 1)]
    frechet = fid.FrechetInceptionDistance(network, input_img_size=(3, 2, 2))
    kernel = kid.KernelInceptionDistance(network, subsets=1, subset_size=1000)
    for metric in (frechet.set_dtype(torch.float64), kernel):
        for features, real in zip(sets, (True, False), strict=True):
            metric.update(torch.from_numpy(features).view(-1, 3, 2, 2), real=real)
    ours = measure_quality(real=ImageSet(sets[0]), generated=ImageSet(sets[1])).estimates()
    assert ours["frechet_distance"].value == pytest.approx(float(frechet.compute()), rel=1e-8)
    assert ours["kernel_distance"].value == pytest.approx(float(kernel.compute()[0]), rel=1e-8)


# --- intervals ---


def test_halves_are_balanced():
    assert np.array_equal(hadamard() @ hadamard().T, 20 * np.eye(20))
    assert (balanced().sum(1) == 10).all()
    assert np.array_equal(balanced()[::2], ~balanced()[1::2])


def test_halves_give_the_standard_error_of_a_mean_exactly():
    groups = np.random.default_rng(0).standard_normal(20)
    halved = Halved.of(whole_and_halves(20) @ groups / whole_and_halves(20).sum(1))
    left_out = Jackknife(np.array(groups.mean()), (groups.sum() - groups) / 19, np.full(20, 7))
    assert float(halved.error()) == pytest.approx(float(left_out.error()), rel=1e-12)
    assert np.allclose(halved.interval(), left_out.interval())


def test_the_interval_of_a_share_stays_within_zero_and_one():
    low, high = Halved(np.array([0.01, 0.0]), np.array([[0.002, 0.0], [0.018, 0.0]] * 19)).share_interval()
    assert (low >= 0).all() and (high <= 1).all() and low[0] < 0.01 < high[0]


def test_intervals_cover_the_expected_figure_about_as_often_as_they_say():
    judged = [
        measure_quality(real=ImageSet(r), generated=ImageSet(g))
        for r, g in (some_sets(160, seed=seed) for seed in range(60))
    ]
    for name in ("kernel_distance", "precision", "recall", "density", "coverage"):
        found = [one.estimates()[name] for one in judged]
        middle = np.mean([estimate.value for estimate in found])
        covered = np.mean([estimate.low <= middle <= estimate.high for estimate in found])
        assert covered >= 0.88, name


def test_a_paired_change_is_known_better_than_its_two_ends(judged):
    real, generated = some_sets()
    moved = generated.copy()
    moved[::3] -= 0.2
    after = measure_quality(real=ImageSet(real), generated=ImageSet(moved))
    change, ends = after.change_from(judged), (after.estimates(), judged.estimates())
    for name, found in change.items():
        assert found.value == pytest.approx(ends[0][name].value - ends[1][name].value)
    width = {name: found.high - found.low for name, found in change.items()}
    assert width["kernel_distance"] < 0.5 * (ends[1]["kernel_distance"].high - ends[1]["kernel_distance"].low)
    assert change["kernel_distance"].high < 0
    assert set(judged.change_from(judged).values()) == {quality.IntervalEstimate(0, 0, 0)}


# --- what is asked for, and what is told ---


def test_with_too_few_images_for_a_covariance_a_note_says_how_many_it_needs(judged):
    assert "frechet_distance" not in judged.measures
    assert set(judged.measures) == set(MEASURES) - {"frechet_distance"}
    assert judged.note == (
        "FID is not computed: with 4 features it needs at least 1,000 images on each side, and there are 120."
    )
    assert "needs at least 10,240 images" in too_few_for_covariance(9000, 2048)
    assert not too_few_for_covariance(1056, 168)


@pytest.mark.parametrize(
    ("real", "generated", "words"),
    [
        (np.ones((1, 4)), np.ones((1, 4)), "1 real image; .* at least 100 on each side"),
        (np.ones((200, 4)), np.ones((99, 4)), "99 generated images; .* at least 100"),
        (np.ones((200, 4)), np.ones((100, 4)), "200 real images and 100 generated ones.*compare 100 of both"),
        (np.ones((100, 4)), np.ones((100, 5)), "length 4 and generated ones of length 5.*same network"),
        (np.ones((100, 4)), np.where(np.arange(100) == 7, np.nan, 1)[:, None] + np.zeros(4), "generated image 7"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused_in_a_line(real, generated, words):
    with pytest.raises(BadOption, match=words) as refused:
        measure_quality(real=ImageSet(real), generated=ImageSet(generated))
    assert "\n" not in str(refused.value)


def test_a_small_reference_is_split_in_halves_and_says_how_many():
    real, generated = some_sets(300)
    reference = Reference.of(real)
    assert reference.against_itself(120).images == 120
    assert reference.against_itself(300).images == 150
    with pytest.raises(BadOption, match="301 generated images, but 300 real ones"):
        reference.side(301)
    before = measure_quality(real=reference.side(300), generated=reference.scaled(generated))
    assert before.change_from(before)["recall"].value == 0


def test_features_are_scaled_by_the_real_images_and_those_that_hardly_vary_less():
    random = np.random.default_rng(0)
    real = random.standard_normal((400, 3)) * [5.0, 2.0, 1e-6] + 7
    scaled = FeatureScale.of(real)(real)
    assert np.allclose(scaled.mean(0), 0)
    assert np.allclose(scaled.std(0)[:2], 1)
    assert scaled.std(0)[2] < 1e-4
    assert np.array_equal(FeatureScale.published(3)(real), real)
    assert np.isfinite(FeatureScale.of(np.ones((100, 3)))(np.ones((1, 3)))).all()
