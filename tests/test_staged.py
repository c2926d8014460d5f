"""Training in stages on tiny settings: distances fall, a stopped run goes on unchanged, no label is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.drawings.dataset import HELD_OUT_SEED, cached_drawings, draw_many
from dissectreport.models.embedded import embedded
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.training import staged
from dissectreport.training.adversarial import AdversarialStage, first_stage
from dissectreport.training.autoencoder import AutoencoderStage, divergence, multiscale_error
from dissectreport.training.evaluation import RandomFeatures
from dissectreport.training.growth import grow_generator
from dissectreport.training.heads import Heads, Projection
from dissectreport.training.quality import distance
from dissectreport.training.recipes import Recipe, downsample, load_pixels, sample_batch, step_random, to_images
from dissectreport.training.trunk import Trunk, grow_trunk

TINY = Recipe(
    sizes=(8, 8, 8, 8, 4),
    channels=(4, 4, 4),
    batch=4,
    autoencoder_data=8,
    data=8,
    autoencoder_images=16,
    adversarial_images=(16, 16),
    warmup_steps=1,
    growth_steps=2,
    penalty_interval=2,
)


STAGES = ["autoencoder", "adversarial-16", "adversarial-32"]


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    cached_drawings(folder, 0, 8, TINY.size, TINY.subject)
    cached_drawings(folder, HELD_OUT_SEED, 20, TINY.size, TINY.subject)
    return folder


@pytest.fixture(scope="module")
def options(drawings: Path) -> staged.RunOptions:
    return staged.RunOptions(
        drawings, evaluate_every=1000, evaluated=20, held_out=20, log_every=1, compile_networks=False
    )


@pytest.fixture(scope="module")
def whole(options: staged.RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run through all stages that was never stopped and was evaluated on the way."""
    out = tmp_path_factory.mktemp("whole")
    staged.train(out, TINY, replace(options, evaluate_every=16))
    return out


def assert_same_state(one: Path, other: Path, stage: str) -> None:
    """Both runs ended this stage with the same bits."""
    states = [torch.load(staged.checkpoint(out, stage), weights_only=True) for out in (one, other)]
    assert [state["progress"]["images"] for state in states] == [16, 16]
    pairs = list(zip(*(tensors_in(state["stage"]) for state in states), strict=True))
    assert len(pairs) > 50
    assert all(torch.equal(first, second) for first, second in pairs), stage


def tensors_in(state: object) -> Iterator[Tensor]:
    """All tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors_in(value)


def test_a_run_stopped_in_every_stage_continues_as_if_uninterrupted(
    tmp_path: Path, options: staged.RunOptions, whole: Path
) -> None:
    for stage in STAGES:
        staged.train(tmp_path, TINY, options, (stage, 8))
        assert torch.load(staged.checkpoint(tmp_path, stage), weights_only=True)["progress"]["images"] == 8
    staged.train(tmp_path, TINY, options)
    for stage in STAGES:
        assert_same_state(whole, tmp_path, stage)


def test_a_run_killed_while_it_saves_continues_from_the_state_before(
    tmp_path: Path, options: staged.RunOptions
) -> None:
    staged.train(tmp_path, TINY, options, ("autoencoder", 8))
    path = staged.checkpoint(tmp_path, "autoencoder")
    path.with_suffix(".unfinished").write_bytes(b"half a st")
    staged.train(tmp_path, TINY, options, ("autoencoder", 16))
    assert torch.load(path, weights_only=True)["progress"]["images"] == 16


def test_a_run_leaves_its_curve_samples_and_generators_that_load(whole: Path) -> None:
    points = [json.loads(line) for line in (whole / "curve.jsonl").read_text().splitlines()]
    assert [point["stage"] for point in points] == STAGES
    assert points[-1]["segmenter_distance"] > 0 < points[-1]["random_distance"]
    assert points[-1]["shares"].keys() >= {"sky", "dome", "spire"}
    assert (whole / "adversarial-32" / "samples_0000016.png").exists()
    assert embedded("generator_0000016", whole / "adversarial-32").image_size == (32, 32)
    assert embedded("generator_0000016", whole / "adversarial-16").image_size == (16, 16)


def test_training_continues_where_a_longer_stage_is_asked_for(tmp_path: Path, options: staged.RunOptions) -> None:
    staged.train(tmp_path, TINY, options, ("autoencoder", 16))
    longer = replace(TINY, autoencoder_images=24, batch=2)
    staged.train(tmp_path, longer, options, ("autoencoder", 24))
    state = torch.load(staged.checkpoint(tmp_path, "autoencoder"), weights_only=True)
    assert state["progress"]["images"] == 24
    assert state["progress"]["step"] == 6, "only the lengths of the stages may change: the batch is still 4"


def test_no_label_reaches_the_training(tmp_path: Path, options: staged.RunOptions, whole: Path) -> None:
    unlabelled = tmp_path / "drawings"
    unlabelled.mkdir()
    for path in options.drawings.glob("*.npz"):
        with numpy.load(path) as file:
            numpy.savez(unlabelled / path.name, image=file["image"])
    staged.train(tmp_path / "without", TINY, replace(options, drawings=unlabelled))
    assert_same_state(whole, tmp_path / "without", STAGES[-1])


def test_in_seconds_of_training_the_distance_to_drawings_falls() -> None:
    recipe = Recipe(
        sizes=(32, 32, 32, 16), channels=(16, 32), autoencoder_images=640, adversarial_images=(480,), warmup_steps=10
    )
    pixels = downsample(torch.from_numpy(draw_many(0, range(100), 32, "churches").image), 16)
    held_out = downsample(torch.from_numpy(draw_many(HELD_OUT_SEED, range(100), 32, "churches").image), 16)
    features = RandomFeatures()
    real = features(to_images(held_out))

    def distance_of(generator: ProgressiveGenerator) -> float:
        latents = torch.randn(100, 32, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            return distance(features(generator(latents).clamp(-1, 1)), real).value

    def learn(stage: AutoencoderStage | AdversarialStage) -> None:
        while stage.progress.images < stage.planned:
            random = step_random(0, stage.progress.step)
            stage.advance(sample_batch(pixels, recipe.batch, random), random)

    first = AutoencoderStage(recipe, compile_networks=False)
    untrained = distance_of(first.average)
    learn(first)
    decoder = distance_of(first.average)
    second = first_stage(recipe, first, compile_networks=False)
    learn(second)
    assert decoder < 0.3 * untrained
    assert distance_of(second.average) < decoder


def test_the_settling_discriminators_leave_the_generator_alone() -> None:
    stage = first_stage(TINY, AutoencoderStage(TINY, compile_networks=False), compile_networks=False)
    before = [value.clone() for value in stage.generator.parameters()]
    images = torch.zeros(4, 3, 16, 16)
    stage.advance(images, step_random(0, 0))
    assert all(torch.equal(one, other) for one, other in zip(before, stage.generator.parameters(), strict=True))
    stage.advance(images, step_random(0, 1))
    assert not all(torch.equal(one, other) for one, other in zip(before, stage.generator.parameters(), strict=True))


def test_one_pass_of_the_discriminator_gives_the_gradient_of_the_generators_own_loss() -> None:
    stage = first_stage(TINY, AutoencoderStage(TINY, compile_networks=False), compile_networks=False)
    random = torch.Generator().manual_seed(0)
    drawn, generated = (torch.randn(4, 3, 16, 16, generator=random).requires_grad_() for _ in range(2))
    margin = stage.discriminator(drawn)[:, 0] - stage.discriminator(generated)[:, 0]
    (expected,) = torch.autograd.grad(functional.softplus(margin).mean(), generated)
    gradient, _ = stage._teach_discriminator(generated.detach().requires_grad_(), drawn.detach())
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_a_grown_generator_repeats_the_small_one_and_shares_its_layers() -> None:
    small = ProgressiveGenerator((8, 8, 8, 8))
    small.initialise(0)
    z = torch.randn(16, 8, generator=torch.Generator().manual_seed(5))

    def error(steps: int) -> float:
        grown = grow_generator(small, (8, 8, 8, 8, 8), 0, steps)
        with torch.no_grad():
            wanted = functional.interpolate(small(z), scale_factor=2.0, mode="bilinear")
            return float((grown(z) - wanted).square().mean() / wanted.var())

    assert error(200) < 0.3 * error(0)
    grown = grow_generator(small, (8, 8, 8, 8, 8), 0, 3)
    for name in small.layers:
        assert torch.equal(grown.get_parameter(f"{name}.conv.weight"), small.get_parameter(f"{name}.conv.weight"))


@pytest.mark.extended
def test_a_grown_discriminator_scores_like_the_small_one() -> None:
    torch.manual_seed(0)
    small, images = Trunk(16, (8, 8)), torch.rand(64, 3, 32, 32)

    def error(steps: int) -> float:
        torch.manual_seed(1)
        grown = grow_trunk(small, (8, 8, 8), images, steps)
        with torch.no_grad():
            wanted = small(functional.avg_pool2d(images, 2))
            return float((grown(images) - wanted).square().mean())

    assert error(200) < 0.3 * error(0)


def test_heads_see_images_of_twice_the_size_as_the_encoder_does() -> None:
    torch.manual_seed(0)
    projection = Projection(Trunk(16, (4, 8), 6))
    large = torch.randn(2, 3, 32, 32)
    for one, other in zip(projection(large), projection(functional.avg_pool2d(large, 2)), strict=True):
        assert all(torch.equal(first, second) for first, second in zip(one, other, strict=True))
    _, mixed = projection(large)
    assert [tuple(level.shape[1:]) for level in mixed] == [(64, 8, 8), (64, 4, 4)]
    assert Heads(2)(mixed).shape == (2, 2)
    assert not any(value.requires_grad for value in projection.parameters())


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    mean, spread = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.7, 1.3]])
    one = torch.distributions.Normal(mean, spread)
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum()
    assert divergence(mean, spread) == pytest.approx(float(expected))


def test_the_error_counts_every_scale() -> None:
    images = torch.zeros(1, 3, 8, 8)
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).expand(1, 3, 8, 8)
    assert multiscale_error(images, images) == 0
    assert multiscale_error(images, images + 1) == 4
    assert multiscale_error(images, checks) == 1, "what averages out is seen at full size alone"


def test_rates_fall_to_a_tenth_over_the_last_fifth() -> None:
    shares = [Recipe().learning_rate_factor(images, 1000) for images in (0, 800, 900, 990, 1000)]
    assert shares == pytest.approx([1, 1, 0.5, 0.1, 0.1])


def test_drawings_are_made_smaller_and_keep_their_order(drawings: Path) -> None:
    pixels = load_pixels(drawings, TINY, 8, 16)
    whole = load_pixels(drawings, TINY, 8, 32)
    assert pixels.shape == (8, 16, 16, 3)
    assert torch.equal(whole, torch.from_numpy(draw_many(0, range(8), 32, TINY.subject).image))
    smaller = replace(TINY, sizes=TINY.sizes[:-1], drawing_size=32)
    assert smaller.size == 16 and torch.equal(load_pixels(drawings, smaller, 8, 16), pixels)
    means = whole.view(8, 16, 2, 16, 2, 3).float().mean(dim=(2, 4))
    assert (pixels.float() - means).abs().max() <= 0.5


def test_the_export_loads_and_its_card_says_how_the_generator_began(tmp_path: Path, drawings: Path) -> None:
    small = ["--sizes", "8,8,8,8,4", "--channels", "4,4,4", "--batch", "4", "--data", "8", "--autoencoder-data", "8"]
    lengths = ["--autoencoder-images", "8", "--adversarial-images", "8,8"]
    shared = ["--out", str(tmp_path), "--drawings", str(drawings), "--threads", "1"]
    staged.main(["train", *shared, *small, *lengths, "--no-compile", "--held-out", "20", "--warmup-steps", "0"])
    weights = tmp_path / "churches_pgan.safetensors"
    staged.main(["export", *shared, "--weights", str(weights), "--count", "20"])
    assert embedded("churches_pgan", tmp_path).image_size == (32, 32)
    card = json.loads(weights.with_suffix(".json").read_text())
    assert "decoder of a variational autoencoder" in card["preceded_by"]
    assert card["images"] == 24
    assert card["areas"]["sky"]["drawn"] > 0.3
