"""Training a StyleGAN2 in stages on tiny settings, and the embedded generator that it gives."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dissectreport import plugins
from dissectreport.drawings.dataset import HELD_OUT_SEED, cached_drawings, draw_many
from dissectreport.errors import BadOption
from dissectreport.models.embedded import embedded_style
from dissectreport.models.families import loading
from dissectreport.models.families.base import DEFAULT_SAMPLING, Sampling
from dissectreport.models.families.stylegan2 import StyleGAN2
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.training import staged
from dissectreport.training.adversarial import AdversarialStage, first_stage
from dissectreport.training.autoencoder import AutoencoderStage
from dissectreport.training.evaluation import RandomFeatures
from dissectreport.training.families import renew_noise, style_generator, with_average_w
from dissectreport.training.quality import distance
from dissectreport.training.recipes import Recipe, TrainedGenerator, downsample, sample_batch, step_random, to_images

TINY = Recipe(
    family="style",
    sizes=(8, 8, 8, 4),
    channels=(4, 4),
    batch=4,
    autoencoder_data=8,
    data=8,
    autoencoder_images=16,
    adversarial_images=(16,),
    warmup_steps=1,
    penalty_interval=2,
)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> staged.RunOptions:
    folder = tmp_path_factory.mktemp("drawings")
    cached_drawings(folder, 0, 8, TINY.size, TINY.subject)
    cached_drawings(folder, HELD_OUT_SEED, 20, TINY.size, TINY.subject)
    return staged.RunOptions(folder, evaluate_every=16, evaluated=20, held_out=20, log_every=1, compile_networks=False)


@pytest.fixture(scope="module")
def trained(options: staged.RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run through both stages, and its export as `style`."""
    out = tmp_path_factory.mktemp("run")
    staged.train(out, TINY, options)
    staged.export(out, out / "style.safetensors", options, 20)
    return out


def images_of(generator: object, count: int = 4) -> Tensor:
    assert isinstance(generator, NetworkGenerator)
    return generator(torch.randn(count, *generator.latent_shape, generator=torch.Generator().manual_seed(1)))


def test_a_run_that_was_stopped_continues_as_if_uninterrupted(
    trained: Path, options: staged.RunOptions, tmp_path: Path
) -> None:
    for stage in ("autoencoder", "adversarial-16"):
        staged.train(tmp_path, TINY, options, (stage, 8))
    staged.train(tmp_path, TINY, options)
    name = staged.checkpoint(Path(), "adversarial-16")
    one, other = (torch.load(out / name, weights_only=True)["stage"] for out in (trained, tmp_path))
    for part in ("generator", "average", "discriminator", "heads"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(value, other[part][key]) for key, value in one[part].items()), part


def test_the_export_is_a_stylegan2_file_like_any_other(trained: Path) -> None:
    embedded, recognised = embedded_style("style", trained), loading.load(trained / "style.safetensors")
    assert embedded.layers == recognised.layers and "b8.conv1.style" in embedded.layers
    assert embedded.facts["card"]["what"] == "StyleGAN2 of drawn churches, 16 x 16"
    assert torch.equal(images_of(embedded), images_of(recognised))
    real = embedded.training_like_images(2)
    assert real is not None and real.shape == (2, 3, 16, 16)
    other = embedded.untrained(3)
    assert other is not None and not torch.equal(images_of(other), images_of(embedded))


def test_truncation_moves_towards_the_mean_of_w(trained: Path) -> None:
    network = embedded_style("style", trained).module
    assert isinstance(network, StyleGAN2)
    latents = torch.randn(20_000, network.latent_size, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        w = network.mapping.untruncated(latents)
    assert (network.mapping.w_avg - w.mean(0)).abs().max() < 0.05 * w.std(0).max()
    typical = images_of(embedded_style("style", trained, Sampling(psi=0)))
    assert torch.allclose(typical[0], typical[1])
    every = images_of(embedded_style("style", trained))
    assert not torch.allclose(every[0], every[1])


def test_a_declared_name_takes_settings_of_sampling(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = (EntryPoint("mine", "mine:style", "any"), EntryPoint("other", "mine:other", "any"))
    monkeypatch.setattr(plugins, "_declared", lambda group: points)

    def style(sampling: Sampling = DEFAULT_SAMPLING) -> NetworkGenerator:
        return embedded_style("style", trained, sampling)

    functions = {"mine": style, "other": lambda: style()}
    monkeypatch.setattr(plugins, "_by_entry_point", lambda group, name: functions[name])
    made = plugins.generator("mine:psi=0.5")
    assert made.name == "style (psi 0.5)"
    assert torch.equal(images_of(made), images_of(style(Sampling(psi=0.5))))
    assert torch.equal(images_of(plugins.generator("mine")), images_of(style()))
    with pytest.raises(BadOption, match="mine reads no photographs"):
        plugins.generator("mine:images=photos")
    with pytest.raises(BadOption, match="label 3 was given, but this StyleGAN2 has no labels"):
        plugins.generator("mine:label=3")
    with pytest.raises(BadOption, match="settings of checkpoints, and other is none"):
        plugins.generator("other:psi=0.5")


def test_noise_is_renewed_in_training_alone() -> None:
    stage = AutoencoderStage(TINY, compile_networks=False)
    before = [{key: value.clone() for key, value in one.named_buffers()} for one in (stage.generator, stage.average)]
    stage.advance(torch.zeros(4, 3, 16, 16), step_random(0, 0))
    changed = [
        {key for key, value in one.named_buffers() if not torch.equal(value, old[key])}
        for one, old in zip((stage.generator, stage.average), before, strict=True)
    ]
    assert len(changed[0]) == 5 and all(name.endswith("noise_const") for name in changed[0])
    assert changed[1] == set()
    assert sorted(changed[0]) == sorted(name for name, _ in stage.generator.named_buffers() if "noise" in name)


def test_generators_without_noise_are_left_alone() -> None:
    random = torch.Generator().manual_seed(0)
    state = random.get_state()
    progressive = AutoencoderStage(replace(TINY, family="progressive"), compile_networks=False).generator
    renew_noise(progressive, random)
    assert torch.equal(random.get_state(), state)
    assert with_average_w(progressive) is progressive


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "diffusion"}, "progressive or style, not diffusion"),
        ({"adversarial_images": (8, 8)}, "does not grow: give one length in adversarial_images, not 2"),
    ],
)
def test_recipes_that_cannot_be_trained_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        replace(TINY, **values)  # type: ignore[arg-type]


def test_in_seconds_of_training_the_distance_to_drawings_falls() -> None:
    recipe = replace(
        TINY, sizes=(32, 32, 32, 16), channels=(16, 32), batch=16, autoencoder_images=640, adversarial_images=(480,)
    )
    pixels = downsample(torch.from_numpy(draw_many(0, range(100), 32, "churches").image), 16)
    held_out = downsample(torch.from_numpy(draw_many(HELD_OUT_SEED, range(100), 32, "churches").image), 16)
    features = RandomFeatures()
    real = features(to_images(held_out))

    def distance_of(generator: TrainedGenerator) -> float:
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
    assert decoder < 0.5 * untrained
    assert distance_of(second.average) < decoder


def test_styles_have_the_channels_of_the_recipe() -> None:
    network = style_generator((8, 16, 12, 10))
    assert network.resolution == 16 and network.latent_size == 8
    assert [network.get_parameter(f"b{size}.conv1.weight").shape[0] for size in (4, 8, 16)] == [16, 12, 10]
