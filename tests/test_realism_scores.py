"""Nearness to real images: against slow values, finite differences, the kernel distance, and planted blotches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dissectreport.analysis.artifacts.quality import Reference, measure_quality
from dissectreport.models.planted import TRUTH, UNIT, UNITS, PlantedGenerator
from dissectreport.models.planted import load as planted
from dissectreport.networks.edits import Edit, run_prefix
from dissectreport.networks.latents import latents
from dissectreport.segmenters import planted as segmenters
from dissectreport.stats.features import FeatureScale
from dissectreport.worker.realism import NearestReal, Witness

N, D = 60, 5


@pytest.fixture(scope="module")
def sets() -> tuple[Tensor, Tensor, FeatureScale]:
    """Real and generated features in double precision, and the scale of the real ones."""
    random = np.random.default_rng(0)
    real, generated = random.standard_normal((N, D)) * 3 + 1, random.standard_normal((N, D)) * 2 + 2
    return torch.from_numpy(real), torch.from_numpy(generated), FeatureScale.of(real)


def both(sets: tuple[Tensor, Tensor, FeatureScale]) -> tuple[Witness, NearestReal]:
    real, generated, scale = sets
    return Witness.of(real, generated, scale), NearestReal.of(real, scale)


def test_the_witness_is_the_mean_kernel_to_real_less_that_to_generated(
    sets: tuple[Tensor, Tensor, FeatureScale],
) -> None:
    def kernel(x, y):
        return (np.dot(x, y) / D + 1) ** 3

    real, generated = (sets[2](images.numpy()) for images in sets[:2])
    wanted = [np.mean([kernel(x, y) for y in real]) - np.mean([kernel(x, y) for y in generated]) for x in generated[:4]]
    assert np.allclose(both(sets)[0](sets[1][:4]).numpy(), wanted, rtol=1e-12)


def test_the_neighbour_score_is_the_mean_distance_to_the_five_nearest(
    sets: tuple[Tensor, Tensor, FeatureScale],
) -> None:
    real, generated = (sets[2](images.numpy()) for images in sets[:2])
    wanted = [-np.mean(sorted(np.linalg.norm(x - y) for y in real)[:5]) for x in generated[:4]]
    assert np.allclose(both(sets)[1](sets[1][:4]).numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_gradients_are_those_of_finite_differences(sets: tuple[Tensor, Tensor, FeatureScale], number: int) -> None:
    nearness = both(sets)[number]
    features = sets[1][:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(nearness, features, eps=1e-6, atol=1e-7)


def test_at_a_real_image_gradients_are_finite(sets: tuple[Tensor, Tensor, FeatureScale]) -> None:
    features = sets[0][:3].repeat(2, 1).requires_grad_()
    for nearness in both(sets):
        (gradient,) = torch.autograd.grad(nearness(features).sum(), features)
        assert gradient.isfinite().all()


def test_the_kernel_distance_falls_by_twice_what_the_witness_gains() -> None:
    random = np.random.default_rng(1)
    real, generated = random.standard_normal((400, D)), random.standard_normal((400, D)) + 0.5
    step = -1e-4 * random.random((400, D))
    scale = FeatureScale.of(real)
    nearness = Witness.of(torch.from_numpy(real), torch.from_numpy(generated), scale)
    # The kernel distance leaves out an image's kernel to itself, of which the witness has one in 400.
    before, after = (torch.from_numpy(images) for images in (generated, generated + step))
    gained = float((nearness(after) - nearness(before)).mean())
    reference = Reference.of(real, scale)
    changed = measure_quality(real=reference.side(400), generated=reference.scaled(after.numpy())).change_from(
        measure_quality(real=reference.side(400), generated=reference.scaled(before.numpy()))
    )
    assert changed["kernel_distance"].value == pytest.approx(-2 * gained, rel=0.02)


def test_features_of_half_precision_are_scored_in_single_precision(sets: tuple[Tensor, Tensor, FeatureScale]) -> None:
    real, generated, scale = sets
    nearness = Witness.of(real.float(), generated.float(), scale)
    assert nearness(generated.bfloat16()).dtype == torch.float32


# --- the planted generator: which units are artifacts is known ---


@pytest.fixture(scope="module")
def generator() -> PlantedGenerator:
    return planted(image_size=16)


@pytest.fixture(scope="module")
def gains(generator: PlantedGenerator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By the witness and by neighbours (units,) mean gain by ablating each unit: to first order, and exactly.

    Drawings are the real images; the witness knows latents that no unit is judged on.
    """
    features = segmenters.load().features
    with torch.no_grad():
        real = features(generator.training_like_images(480))
        made = features(generator(latents(1, 0, 480, generator.latent_shape)))
        at = run_prefix(generator, TRUTH.layer, latents(3, 0, 144, generator.latent_shape))
        edited = [features(at.images(Edit((unit,))(at.activations))) for unit in range(len(UNITS))]
    scale = FeatureScale.of(real.numpy())
    leaf = at.activations.clone().requires_grad_()
    images = features(at.images(leaf))
    found = {}
    for name, nearness in (
        ("witness", Witness.of(real, made, scale)),
        ("neighbours", NearestReal.of(real, scale)),
    ):
        (gradient,) = torch.autograd.grad(nearness(images).mean(), leaf, retain_graph=True)
        before = nearness(images.detach()).mean()
        exact = np.array([float(nearness(each).mean() - before) for each in edited])
        found[name] = (-(at.activations * gradient).sum((0, 2, 3)).numpy(), exact)
    return found


def test_both_blotches_lead_by_first_order_estimate_and_by_measured_effect(
    gains: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    for found, margin in zip(gains["witness"], (3, 20), strict=True):
        order = np.argsort(-found)
        assert set(order[:2]) == set(TRUTH.artifacts)
        assert found[order[1]] > margin * found[order[2]]
    idle = [UNIT[name] for name in ("dead", "always_on", "position_only", "ball_mirror", "crown_duplicate")]
    assert np.allclose(gains["witness"][1][idle], 0)


def test_to_the_nearest_images_a_ball_is_nearly_an_artifact(
    gains: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Why the witness leads: real images have balls too, and plain images are near to more of them."""
    share = {name: exact[UNIT["ball"]] / exact[UNIT["blotch1"]] for name, (_, exact) in gains.items()}
    assert share["neighbours"] > 0.3
    assert abs(share["witness"]) < 0.05
