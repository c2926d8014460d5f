"""The training commands on tiny settings: they run, go on after a stop, and write weights that load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dissectreport.models.embedded import embedded
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.segmenters.rooms import LEARNED
from dissectreport.segmenters.unet import load_unet
from dissectreport.training import generator as generators
from dissectreport.training import segmenter as segmenters
from dissectreport.training.discriminator import Discriminator
from dissectreport.training.jitter import turn_hue
from dissectreport.training.quality import distance, kernel_distance

TINY = generators.Recipe(sizes=(8, 8, 8, 8, 4), data=8, batch=4, coarse=8, fading=8, fitting=2, penalty_interval=2)
TINY_SEGMENTER = segmenters.Recipe(data=4, steps=3, batch=2, subject="rooms", halved=0.5)


def weights_of(run: generators.Run | segmenters.Run) -> torch.Tensor:
    """All weights of a run in a row."""
    network = run.generator if isinstance(run, generators.Run) else run.network
    return torch.cat([value.flatten() for value in network.parameters()])


def test_a_stopped_run_of_a_generator_continues_as_if_uninterrupted(tmp_path: Path) -> None:
    whole = generators.train_generator(tmp_path / "whole", 24, TINY)
    generators.train_generator(tmp_path / "parts", 12, TINY)
    parts = generators.train_generator(tmp_path / "parts", 24, TINY)
    one, other = generators.Run.load(whole), generators.Run.load(parts)
    assert one.progress.images == other.progress.images == 24
    assert torch.equal(weights_of(one), weights_of(other))


def test_a_run_leaves_samples_and_a_state_to_return_to(tmp_path: Path) -> None:
    generators.train_generator(tmp_path, 16, TINY, save_every=0.0, keep_every=8)
    assert (tmp_path / "samples_0000016.png").exists()
    assert (tmp_path / "checkpoint_0000008.pt").exists()


def test_only_the_discriminator_learns_at_first(tmp_path: Path) -> None:
    run = generators.Run(replace(TINY, settling=1))
    before = weights_of(run)
    data = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    run.advance(data)
    assert torch.equal(weights_of(run), before)
    assert run.progress == generators.Progress(step=1)
    run.advance(data)
    assert not torch.equal(weights_of(run), before)
    assert run.progress.images == 4


@pytest.mark.parametrize("plain", [False, True])
def test_training_blocks_compute_what_the_generator_computes(plain: bool) -> None:
    growing = generators.GrowingGenerator(TINY.sizes, plain=plain)
    growing.initialise(seed=0)
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(growing(z, blend=1.0), growing.full(z), atol=1e-4)
        assert torch.allclose(growing(z, blend=0.0), growing.at_half_size()(z), atol=1e-4)


def test_a_generator_of_half_the_size_is_taken_over(tmp_path: Path) -> None:
    small = ProgressiveGenerator(TINY.sizes[:-1])
    small.initialise(seed=5)
    save_file(small.state_dict(), tmp_path / "small.safetensors")
    run = generators.open_run(tmp_path, TINY, tmp_path / "small.safetensors")
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for network in (run.generator, run.average):
            assert torch.allclose(network(z, blend=0.0), small(z), atol=1e-4)
            half_way = network(z, blend=0.5)
            coarse = generators.double(network(z, blend=0.0))
            assert torch.allclose(half_way, (coarse + network(z, blend=1.0)) / 2, atol=1e-4)


@pytest.mark.extended
def test_growing_breaks_nothing() -> None:
    growing = generators.GrowingGenerator(TINY.sizes)
    growing.initialise(seed=0)
    z = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))

    def difference() -> float:
        with torch.no_grad():
            wanted = generators.smoothly_doubled(growing(z, blend=0.0))
            return float((growing(z, blend=1.0) - wanted).square().mean() / wanted.var())

    before = difference()
    growing.fit_fine_layers(steps=200, batch=8, seed=0)
    assert difference() < 0.3 * before


def test_an_exported_generator_loads_and_its_card_compares_it_with_drawings(tmp_path: Path) -> None:
    generators.main(
        [
            *("train", "--out", str(tmp_path), "--images", "32", "--data", "8", "--sizes", "16,16,16,16,8,8"),
            *("--coarse", "0", "--fading", "0", "--fitting", "2", "--threads", "1"),
            *("--no-pixel-norm", "--no-batch-deviation", "--series", "small ones"),
        ]
    )
    path = tmp_path / "generator.safetensors"
    generators.main(["export", "--out", str(tmp_path), "--weights", str(path), "--count", "20", "--threads", "1"])
    generator = embedded("generator", tmp_path)
    assert generator.image_size == (64, 64)
    card = json.loads(path.with_suffix(".json").read_text())
    assert (card["images"], card["subject"], card["pixel_norm"], card["batch_deviation"]) == (
        32,
        "scenes",
        False,
        False,
    )
    assert (card["family_of_training"], card["variant"]) == ("small ones", "")
    assert card["areas"]["sky"]["drawn"] > 0.3
    distances = card["kernel_distance_times_1000"]
    assert distances["generated_to_drawn"]["value"] > distances["drawn_to_drawn"]["value"]


@pytest.mark.parametrize("deviation", [False, True])
def test_only_with_batch_deviation_does_the_verdict_on_an_image_depend_on_the_others(deviation: bool) -> None:
    torch.manual_seed(0)
    judge = Discriminator((8, 8, 4), deviation=deviation)
    one, another = torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16)
    another[0] = one[0]
    with torch.no_grad():
        assert torch.allclose(judge(one, 1.0)[0], judge(another, 1.0)[0], atol=1e-6) == (not deviation)


@pytest.mark.extended
def test_a_generator_without_pixel_norm_is_loaded_as_one(tmp_path: Path) -> None:
    recipe = replace(TINY, coarse=0, fitting=1, pixel_norm=False, series="small ones")
    run = generators.Run(recipe)
    run.grow()
    run.save(generators.checkpoint(tmp_path))
    generators.export_generator(tmp_path, tmp_path / "plain.safetensors", count=20)
    loaded = embedded("plain", tmp_path)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(loaded.module(z), run.average.full(z), atol=0.02), "the file holds half precision"
        assert not torch.allclose(loaded.module(z), loaded.module(2 * z), atol=0.02), "pixel norm would make them one"
        assert loaded.reinitialise is not None and loaded.reinitialise(0).get_submodule("layer1").plain
    card = loaded.facts["card"]
    assert (card["family_of_training"], card["variant"]) == ("small ones", "minibatch standard deviation")


@pytest.mark.extended
def test_a_generator_that_has_not_grown_is_exported_at_half_size(tmp_path: Path) -> None:
    run = generators.Run(replace(TINY, coarse=1000))
    run.save(generators.checkpoint(tmp_path))
    generators.export_generator(tmp_path, tmp_path / "half.safetensors", count=20)
    assert embedded("half", tmp_path).image_size == (16, 16)


def test_a_stopped_run_of_a_segmenter_continues_and_its_export_loads(tmp_path: Path) -> None:
    whole = segmenters.train_segmenter(tmp_path / "whole", TINY_SEGMENTER)
    segmenters.train_segmenter(tmp_path / "parts", TINY_SEGMENTER, until=1)
    parts = segmenters.train_segmenter(tmp_path / "parts", TINY_SEGMENTER)
    one, other = segmenters.Run.load(whole), segmenters.Run.load(parts)
    assert one.step == other.step == 3
    assert torch.equal(weights_of(one), weights_of(other))
    segmenters.export_segmenter(tmp_path / "whole", tmp_path / "rooms.safetensors", held_out=2, history="a detour")
    assert load_unet("rooms", LEARNED, tmp_path / "rooms.safetensors").words == LEARNED
    card = json.loads((tmp_path / "rooms.json").read_text())
    assert set(card["mean_iou"]) == {"object", "part", "material"}
    assert card["history"] == "a detour"


@pytest.mark.parametrize("module", [generators, segmenters])
def test_the_commands_explain_themselves(module, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module.main(["train", "--help"])
    assert "--data" in capsys.readouterr().out


def test_a_whole_turn_of_the_hue_changes_nothing() -> None:
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    turned = turn_hue(images, torch.ones(2), torch.ones(2))
    assert torch.allclose(turned, images, atol=1e-5)


def test_the_kernel_distance_is_the_plain_double_sum() -> None:
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(5, 3, generator=random), torch.randn(4, 3, generator=random)

    def pairs(first: torch.Tensor, second: torch.Tensor, same: bool) -> float:
        values = [
            float((a @ b / 3 + 1) ** 3)
            for i, a in enumerate(first)
            for j, b in enumerate(second)
            if not (same and i == j)
        ]
        return sum(values) / len(values)

    expected = pairs(one, one, True) + pairs(other, other, True) - 2 * pairs(one, other, False)
    assert kernel_distance(one, other) == pytest.approx(expected, rel=1e-4)


def test_sets_of_the_same_distribution_are_closer_than_sets_of_two() -> None:
    random = torch.Generator().manual_seed(0)
    one, again, other = (torch.randn(200, 4, generator=random) + shift for shift in (0, 0, 1))
    assert abs(distance(again, one).value) < distance(again, one).margin + 50
    assert distance(other, one).value > 10 * abs(distance(again, one).value)
