"""TensorFlow Lite files are read as data, and their networks computed in torch; person and background are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from dissectreport import plugins
from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.packages import is_package
from dissectreport.checkpoints.tflite import read_tflite
from dissectreport.errors import WeightsError
from dissectreport.segmenters import person
from dissectreport.segmenters.person import PersonSegmenter
from dissectreport.segmenters.tflite_network import TfliteNetwork
from tests.support.tflite_files import weights, written


def test_a_network_is_computed_as_its_operations_are_defined(tmp_path: Path) -> None:
    network = TfliteNetwork(read_tflite(written(tmp_path / "network.tflite")))
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    w = {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights().items()}
    # A padding that keeps the size puts its odd pixel below and on the right.
    y = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), w["first"].permute(0, 3, 1, 2), w["first bias"], 2)
    y = y * functional.relu6(y + 3) / 6
    y = functional.conv2d(y, w["each"].permute(3, 0, 1, 2), w["each bias"], padding=1, groups=4)
    y = y * y.mean((2, 3), keepdim=True)
    y = functional.interpolate(y, (8, 8), mode="bilinear")
    kernel = w["last"][0].permute(2, 0, 1)
    y = torch.einsum("nchw,cij->nhiwj", y, kernel).reshape(2, 1, 16, 16) + w["last bias"]
    assert torch.allclose(network(x), torch.sigmoid(y), atol=1e-6)
    x.requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None and bool(x.grad.abs().sum() > 0)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "network.tflite")
    content = path.read_bytes()
    for wrong, words in (
        (b"no network", "is no TensorFlow Lite file"),
        (content[: len(content) // 2], "network.tflite"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(WeightsError, match=words) as refused:
            read_tflite(path)
        assert "\n" not in str(refused.value)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_tflite(tmp_path / "absent.tflite")
    with pytest.raises(WeightsError, match="CONV_2D with activation function 1 is not known"):
        read_tflite(written(tmp_path / "other.tflite", activation=1))


def test_damaged_files_end_in_an_error_and_nothing_else(tmp_path: Path) -> None:
    content = written(tmp_path / "network.tflite").read_bytes()
    random, path = np.random.default_rng(1), tmp_path / "damaged.tflite"
    for _ in range(300):
        damaged = bytearray(content)
        for at in random.integers(8, len(content), 4):
            damaged[at] = random.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            graph = read_tflite(path)
        except WeightsError:
            continue
        assert all(isinstance(step.operation, str) for step in graph.steps)


class Left(torch.nn.Module):
    """A network that finds a person in the left half."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        across = torch.linspace(1, 0, images.shape[3]).expand(len(images), 1, images.shape[2], -1)
        return across + 0 * images[:, :1]


def test_every_pixel_is_person_or_background() -> None:
    segmenter = PersonSegmenter(Left(), "0" * 64)  # type: ignore[arg-type]
    images = torch.zeros(2, 3, 32, 32)
    labels = segmenter(images)
    assert labels.shape == (2, 1, 32, 32) and labels.dtype == torch.int64
    assert (labels[:, :, :, :16] == 1).all() and (labels[:, :, :, 16:] == 2).all()
    assert segmenter.vocabulary.names == ["-", "person", "background"]
    likely = segmenter.probabilities(images, (1, 2, 0))
    assert torch.allclose(likely[:, 0] + likely[:, 1], torch.ones(2, 32, 32)) and not likely[:, 2].any()
    assert torch.allclose(segmenter.confidence(images), likely[:, :2].amax(1))


def test_its_file_is_in_a_package() -> None:
    (file,) = read_catalogue(person.CATALOGUE)["person"].origins[0].files
    assert is_package(file.urls[0]) and len(file.sha256) == 64


@pytest.mark.network
def test_the_published_network_computes_what_the_original_runtime_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path))
    try:
        segmenter = plugins.segmenter("person")
    except WeightsError as problem:
        pytest.skip(f"the package index cannot be reached: {problem}")
    j = np.arange(256 * 256 * 3, dtype=np.float64)
    image = (0.5 + 0.5 * np.sin(0.001 * j + np.cos(0.03 * j))).astype(np.float32).reshape(1, 256, 256, 3)
    with torch.no_grad():
        found = segmenter.network(torch.from_numpy(image).permute(0, 3, 1, 2))  # type: ignore[attr-defined]
    assert float(found.mean()) == pytest.approx(MEAN, abs=1e-5)
    assert found.flatten()[[0, 20000, 40000]].tolist() == pytest.approx(VALUES, abs=1e-5)


MEAN, VALUES = 0.0026529, [0.0, 0.0067111, 0.0]
"""What ai-edge-litert 2 computes; on faces, its masks and ours differ by 1e-4 at most."""
