"""Feature networks: those of segmenters, and InceptionV3 as published Fréchet distances know it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dissectreport import plugins
from dissectreport.errors import FeaturesError, WeightsError
from dissectreport.features import drawings
from dissectreport.features.base import SegmenterFeatures
from dissectreport.features.inception import Inception, InceptionFeatures, load, mean_pool, preprocessed
from dissectreport.models.planted import load as planted
from dissectreport.networks.latents import latents
from dissectreport.segmenters import colour
from dissectreport.segmenters import planted as planted_segmenter
from dissectreport.segmenters import scenes as scenes_segmenter
from dissectreport.segmenters.planted import PAINTS, PlantedSegmenter
from dissectreport.training import encoder

# --- of segmenters ---


def test_a_segmenter_with_features_is_a_feature_network_named_after_it() -> None:
    for segmenter, dimension in ((scenes_segmenter.load(), 168), (planted_segmenter.load(), 144)):
        network = SegmenterFeatures.of(segmenter, (32, 32))
        assert network.name == f"features of segmenter {segmenter.name}"
        assert segmenter.identity in network.identity
        images = torch.rand(2, 3, 32, 32, requires_grad=True)
        found = network.to(torch.device("cpu"))(images)
        assert found.shape == (2, network.dimension) == (2, dimension)
        (gradient,) = torch.autograd.grad(found.sum(), images)
        assert gradient.isfinite().all()


def test_the_features_of_drawings_are_small_differentiable_and_of_any_size() -> None:
    network = drawings.load()
    assert network.name == "features of an autoencoder of drawings" and not network.published
    assert (drawings.WEIGHTS / "drawings.safetensors").stat().st_size < 700_000
    images = torch.rand(2, 3, 96, 96, requires_grad=True)
    found = network.to(torch.device("cpu"))(images)
    assert found.shape == (2, network.dimension)
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
    assert network.identity == plugins.features("drawings").identity


def test_the_features_of_drawings_tell_kinds_of_images_apart_that_differ_from_halves_of_one_kind() -> None:
    card = json.loads((drawings.WEIGHTS / "drawings.json").read_text())
    assert card["distance_of_subjects"] > 2 * card["distance_of_halves"]
    assert "training.encoder" in card["command"]


@pytest.mark.slow
def test_an_encoder_is_trained_on_images_alone() -> None:
    colours = torch.rand(8, 3, 1, 1, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = colours.expand(8, 3, drawings.SIDE, drawings.SIDE).contiguous()

    def error(steps: int) -> float:
        network, decoder = encoder.train(images, encoder.Recipe(steps=steps, batch=8))
        with torch.no_grad():
            return float((decoder(network(images)[0]) - images).abs().mean())

    assert error(80) < 0.85 * error(1)


def test_a_segmenter_without_features_is_refused_in_a_line() -> None:
    with pytest.raises(FeaturesError, match="'colour' has no features"):
        SegmenterFeatures.of(colour.load(), (32, 32))


@pytest.mark.parametrize("wrong", ["raise", "shape"])
def test_features_that_are_none_are_refused_in_a_line(wrong: str) -> None:
    class Wrong(PlantedSegmenter):
        def features(self, images: Tensor) -> Tensor:
            if wrong == "raise":
                raise RuntimeError("two\nlines")
            return images

    segmenter = planted_segmenter.load()
    with pytest.raises(
        FeaturesError, match=r"'planted' (failed to compute features|returned features of shape)"
    ) as refused:
        SegmenterFeatures.of(Wrong(segmenter.colours, segmenter.shows), (16, 16))
    assert "\n" not in str(refused.value)


def test_planted_features_are_how_much_of_every_cell_each_paint_covers() -> None:
    generator, segmenter = planted(image_size=32), planted_segmenter.load()
    images = generator(latents(1, 0, 6, generator.latent_shape))
    found = segmenter.features(images).view(6, len(PAINTS), 4, 4)
    for number, paint in enumerate(PAINTS):
        exact = (images == torch.tensor(paint.colour)[:, None, None]).all(1)
        cells = exact.float().view(6, 4, 8, 4, 8).mean((2, 4))
        assert (found[:, number] - cells).abs().max() < 0.1, paint.name


# --- InceptionV3 ---


@pytest.fixture(scope="module")
def inception() -> Inception:
    """The network with weights that are the same everywhere."""
    network, random = Inception().eval(), np.random.RandomState(0)
    for value in network.parameters():
        spread = (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.1
        drawn = torch.from_numpy(random.standard_normal(value.shape).astype(np.float32))
        value.data = value.data * (value.ndim == 1) + drawn * spread
    return network


@pytest.fixture(scope="module")
def file(inception: Inception, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({name: value for name, value in inception.state_dict().items() if "num_batches" not in name}, path)
    return path


def test_names_and_shapes_are_those_of_the_published_weights(inception: Inception) -> None:
    """The digest is that of the table which torch-fidelity 0.4.0 loads the published file into."""
    lines = sorted(f"{name} {tuple(value.shape)}" for name, value in inception.state_dict().items())
    assert len(lines) == 566
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "760681d791cb624e"


def test_it_computes_what_the_published_network_computes(inception: Inception) -> None:
    """The numbers are those of torch-fidelity 0.4.0 with the same weights, for the same bytes."""
    pixels = (torch.arange(3 * 299 * 299) % 251).view(1, 3, 299, 299).to(torch.uint8)
    with torch.no_grad():
        found = InceptionFeatures(inception, "0")(pixels.float() / 127.5 - 1)[0]
    wanted = [0.59905, 0.61108, 0.65498, 0.7222, 0.41727, 0.47067, 0.5064, 0.62991]
    assert found.view(8, 256).mean(1).tolist() == pytest.approx(wanted, rel=1e-3)


def test_weights_are_read_from_a_file_and_named(file: Path) -> None:
    network = plugins.features(f"inception:{file}")
    assert network.identity == plugins.features("inception", str(file)).identity
    assert network.name.startswith("features of InceptionV3 with weights ")
    assert network.published
    images = torch.rand(1, 3, 20, 24, requires_grad=True)
    found = network(images)
    assert found.shape == (1, network.dimension) == (1, 2048)
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.abs().sum() > 0


def test_the_published_weights_need_no_name_and_others_do(inception: Inception) -> None:
    names = [InceptionFeatures(inception, sha256).name for sha256 in ("6726825d0000", "0123456789")]
    assert names == ["features of InceptionV3", "features of InceptionV3 with weights 01234567"]


def test_weights_that_do_not_fit_or_are_not_here_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="do not fit InceptionV3"):
        load(tmp_path / "other.pth")
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DISSECTREPORT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"pt_inception-2015-12-05-6726825d\.pth.* features of a segmenter need no"):
        plugins.features("inception")
    (tmp_path / "pt_inception-2015-12-05-6726825d.pth").write_bytes((tmp_path / "other.pth").read_bytes())
    with pytest.raises(WeightsError, match="is not the file that its card describes"):
        plugins.features("inception")


def test_the_mean_leaves_out_the_border() -> None:
    assert torch.allclose(mean_pool(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 5, 5))


def test_images_are_fitted_as_bytes_of_299_pixels() -> None:
    assert preprocessed(torch.full((1, 3, 64, 48), -1.0)).shape == (1, 3, 299, 299)
    assert torch.equal(preprocessed(torch.full((1, 3, 299, 299), -1.0)).unique(), torch.tensor([-1.0]))
    assert torch.allclose(preprocessed(torch.full((1, 3, 64, 48), 1.0)), torch.tensor(127 / 128))


# --- networks of transformers ---


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Miniatures of both networks, with random weights, in folders like those of the hub."""
    transformers = pytest.importorskip("transformers", reason="the extra [segmenters] is not installed")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    square = {"image_size": 28, "patch_size": 14}
    vision = transformers.CLIPVisionConfig(**sizes, **square, projection_dim=8)
    text = transformers.CLIPTextConfig(**sizes, vocab_size=9)
    torch.manual_seed(0)
    made = {
        "dinov2": transformers.Dinov2Model(
            transformers.Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, **square)
        ),
        "clip": transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8)
        ),
    }
    processors = {
        "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 32}},
        "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 28}},
    }
    told = {"crop_size": {"height": 28, "width": 28}, "do_center_crop": True, "resample": 3}
    for name, network in made.items():
        network.save_pretrained(tmp_path / name)
        (tmp_path / name / "preprocessor_config.json").write_text(json.dumps(told | processors[name]))
    return {name: tmp_path / name for name in made}


@pytest.mark.parametrize(("name", "dimension"), [("dinov2", 16), ("clip", 8)])
def test_a_network_of_transformers_gives_features_of_whole_images(
    folders: dict[str, Path], name: str, dimension: int
) -> None:
    network = plugins.features(f"{name}:{folders[name]}")
    assert network.name == f"features of {name} {folders[name]}"
    assert network.published
    images = torch.rand(2, 3, 40, 56, requires_grad=True)
    found = network.to(torch.device("cpu"))(images)
    assert found.shape == (2, network.dimension) == (2, dimension)
    (gradient,) = torch.autograd.grad(found[0, 0], images)
    assert gradient[0, :, :, -1].abs().sum() > 0, "the border counts"
    assert gradient[1].abs().sum() == 0


def test_a_checkpoint_of_another_network_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(WeightsError, match=r"is a dinov2, not a clip; give a clip as clip:owner/name"):
        plugins.features(f"clip:{folders['dinov2']}")


def test_features_are_asked_for_where_the_segmenter_is() -> None:
    away = torch.device("meta")
    found = SegmenterFeatures.of(scenes_segmenter.load().to(away), (64, 64), away)
    assert found.dimension == 168
