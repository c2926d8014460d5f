"""Feature networks: those of segmenters, and InceptionV3 as published Fréchet distances know it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dissectreport import plugins
from dissectreport.errors import FeaturesError, WeightsError
from dissectreport.features.base import SegmenterFeatures
from dissectreport.features.inception import Inception, InceptionFeatures, fitted, load, mean_inside
from dissectreport.models.planted import load as planted
from dissectreport.sampler import latents
from dissectreport.segmenters import colour
from dissectreport.segmenters import planted as planted_segmenter
from dissectreport.segmenters import scenes as scenes_segmenter
from dissectreport.segmenters.planted import PAINTS, PlantedSegmenter

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


def test_a_segmenter_without_features_is_refused_in_a_line() -> None:
    with pytest.raises(FeaturesError, match="'colour' tells no features"):
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
        FeaturesError, match=r"'planted' (failed at its features|returned features of shape)"
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
    network = load(str(file))
    assert network.name.startswith("features of InceptionV3 with weights ")
    assert network.published
    images = torch.rand(1, 3, 20, 24, requires_grad=True)
    found = network(images)
    assert found.shape == (1, network.dimension) == (1, 2048)
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.abs().sum() > 0
    assert InceptionFeatures(Inception(), "6726825dffff").name == "features of InceptionV3"


def test_weights_that_do_not_fit_or_are_missing_are_refused(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="do not fit InceptionV3"):
        load(str(tmp_path / "other.pth"))
    with pytest.raises(WeightsError, match=r"comes without weights: write inception:FILE.*6726825d"):
        plugins.features("inception")


def test_the_mean_leaves_out_the_border() -> None:
    assert torch.allclose(mean_inside(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 5, 5))


def test_images_are_fitted_as_bytes_of_299_pixels() -> None:
    assert fitted(torch.full((1, 3, 64, 48), -1.0)).shape == (1, 3, 299, 299)
    assert torch.equal(fitted(torch.full((1, 3, 299, 299), -1.0)).unique(), torch.tensor([-1.0]))
    assert torch.allclose(fitted(torch.full((1, 3, 64, 48), 1.0)), torch.tensor(127 / 128))
