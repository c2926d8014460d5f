"""Networks of every family as ONNX files that make the images that torch makes, before and after a layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dissectreport.errors import ExportError
from dissectreport.models.inputs import ClassLabels, Inputs, Noise
from dissectreport.onnx_files.exporting import export
from dissectreport.onnx_files.running import OnnxNetwork
from dissectreport.onnx_files.small_weights import BITS, WHOLE, rounded, with_small_weights
from dissectreport.run.addresses import with_settings
from dissectreport.segmenters.colour import ColourSegmenter
from dissectreport.worker import painting
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.painting import CHECKED, PaintRequest, make_painting
from tests.support.tiers import extended

FAMILIES = Path(__file__).parent / "fixtures" / "families"
AUTOENCODERS = Path(__file__).parent / "fixtures" / "autoencoders"
DRAWING = {
    "stylegan2ada_32_labels.pkl": "b16.conv0",
    "rosinality_train_32.pt": "b8.conv0",
    "stylegan3t_32.pkl": "L5_",
    "biggan_ajbrock_G_ema_hier.pth": "blocks.1.1",
    "biggan_deep_hf": "layers.3",
}
"""Generators of published families, and the beginning of the name of a layer in the middle."""
DRAWING_ON = {
    "stylegan2ada_32.pkl": "b16.conv1",
    "stylegan2_sg3repo_32.pkl": "b16.conv1.style",
    "rosinality_converted_64.pt": "b32.conv1",
    "stylegan3r_32.pkl": "L10_",
    "biggan_ajbrock_G_ema.pth": "blocks.1.0",
}
"""Others of these families, whose part up to a layer has the same operations, by a layer near the image."""
FEW = ("rosinality_train_32.pt", "biggan_ajbrock_G_ema_hier.pth", "biggan_ajbrock_G_ema.pth")
"""Those that `make test` exports; all others are members of the same kinds."""
SAMPLES = tuple(range(CHECKED + 1))


class Unexported(ColourSegmenter):
    """A segmenter that has no form as a file: these tests are about generators."""

    def exportable_labels(self, images: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def of(file: str, begin: str) -> tuple[Source, str]:
    """Where the networks come from, and the layer whose name begins so."""
    source = Source(str(FAMILIES / file), f"{__name__}:Unexported")
    return source, next(name for name in source.models().generator.layers if name.startswith(begin))


def as_torch_draws(source: Source, number: int, image: np.ndarray) -> bool:
    """Whether an image of a file is that of a latent."""
    models = source.models()
    with torch.no_grad():
        expected = models.images(models.latents(1, number, 1), number).numpy()
    difference = np.abs(np.clip(image, -1, 1) - np.clip(expected, -1, 1)).max(1)
    return bool(np.mean(difference <= 2 / 255) > 0.995)


@pytest.mark.slow
@pytest.mark.parametrize("file", [file if file in FEW else extended(file) for file in DRAWING])
def test_generators_of_every_family_are_exported_before_and_after_a_layer(file: str) -> None:
    source, layer = of(file, DRAWING[file])
    painted = make_painting(source)(PaintRequest(layer, 1, SAMPLES, ()))
    assert painted.tail and painted.head, painted.notes
    for number in (11, 12):
        z = source.models().latents(1, number, 1).numpy()
        inputs = dict(zip(named_outputs(painted.head), OnnxNetwork(painted.head)({"latent": z}), strict=True))
        (image,) = OnnxNetwork(painted.tail)({**inputs, "latent": z})
        assert as_torch_draws(source, number, image), "of a latent that was not compared when it was exported"


@pytest.mark.slow
@pytest.mark.parametrize("file", [file if file in FEW else extended(file) for file in DRAWING_ON])
def test_relatives_of_these_are_exported_after_a_layer(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "MOST_WEIGHTS", 0)  # The part up to the layer is too large for a page.
    source, layer = of(file, DRAWING_ON[file])
    painted = make_painting(source)(PaintRequest(layer, 1, SAMPLES, ()))
    assert painted.tail and not painted.head and any("too many for a page" in note for note in painted.notes)
    gallery: dict[str, np.ndarray] = {"activations": painted.activations, **painted.others, "latent": painted.latents}
    given = {name: values[CHECKED:].astype(np.float32) for name, values in gallery.items() if values.size}
    (image,) = OnnxNetwork(painted.tail)(given)
    assert as_torch_draws(source, SAMPLES[-1], image), "of a latent that was not compared when it was exported"


def named_outputs(content: bytes) -> list[str]:
    from onnx import ModelProto

    return [output.name for output in ModelProto.FromString(content).graph.output]


@pytest.mark.slow
def test_the_decoder_of_an_autoencoder_is_exported_and_its_photographs_are_not(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / f"{number}.png")
    source = Source(with_settings(str(AUTOENCODERS / "tiny"), None, None, (), "", tmp_path), "colour")
    layers = source.models().generator.default_layers
    painted = make_painting(source)(PaintRequest(layers[0], 1, SAMPLES, ()))
    assert painted.tail and not painted.head
    assert painted.latents.size == 0 and len(painted.activations) == len(SAMPLES)
    assert any("a distribution of its own" in note for note in painted.notes)


class Drawing(nn.Module):
    """A network of all inputs whose distribution is computed."""

    inputs = Inputs(
        (
            Noise((3,), "uniform", low=-2, high=3),
            Noise((4,), "truncated", bound=2.5),
            Noise((4,), "truncated", bound=3.3),
            Noise((5,), "sphere", scale=2),
            ClassLabels(7, "one-hot", only=(1, 4, 6)),
            ClassLabels(9),
        )
    )

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values, _ = self.inputs.arguments_from(z)
        return tuple(value.float() for value in values if isinstance(value, torch.Tensor))


@pytest.mark.slow
def test_noise_and_labels_are_computed_in_the_file_as_in_torch() -> None:
    torch.manual_seed(0)
    z = torch.cat([torch.randn(40, 18), torch.linspace(-4.5, 4.5, 18 * 9).view(9, 18)])
    names = [f"value{number}" for number in range(6)]
    run = OnnxNetwork(export(Drawing(), {"latent": z[:1]}, names, "the inputs").content)
    for row in z:
        for ours, theirs in zip(run({"latent": row[None].numpy()}), Drawing()(row[None]), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4)


class Scaled(nn.Module):
    """Convolutions with factors and summands behind them, one of which is used twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(4, 16, 3, padding=1, bias=False)
        self.up = nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False)
        self.last = nn.Conv2d(8, 3, 1)
        self.summand = nn.Parameter(torch.randn(16, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) * 0.25 + self.summand
        once = self.up(torch.relu(x))
        image: torch.Tensor = self.last(once * 3.0 + once)
        return image * 2.0 + 1.0


def operations(content: bytes) -> list[str]:
    from onnx import ModelProto

    return [node.op_type for node in ModelProto.FromString(content).graph.node]


@pytest.mark.slow
def test_factors_and_summands_become_a_part_of_convolutions() -> None:
    x = torch.randn(1, 4, 8, 8)
    content = export(Scaled(), {"x": x}, ["image"], "this").content
    found = operations(content)
    assert found.count("Mul") <= 2, "that behind the first convolution is gone"
    assert found.index("Relu") == found.index("Conv") + 1
    with torch.no_grad():
        np.testing.assert_allclose(OnnxNetwork(content)({"x": x.numpy()})[0], Scaled()(x).numpy(), atol=1e-5)


@pytest.mark.slow
def test_fewer_bits_of_weights_make_smaller_files_that_differ_more() -> None:
    x = torch.randn(1, 4, 8, 8)
    whole = export(Scaled(), {"x": x}, ["image"], "this").content
    files = {bits: with_small_weights(whole, bits) for bits in BITS}
    assert files[WHOLE] == with_small_weights(whole, WHOLE), "the same bytes"
    with torch.no_grad():
        expected = Scaled()(x).numpy()
    errors = [float(np.abs(OnnxNetwork(files[bits])({"x": x.numpy()})[0] - expected).max()) for bits in BITS]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-5 < errors[0] < 0.5
    assert len(files[8]) < len(files[WHOLE])


def test_weights_are_rounded_by_the_largest_of_their_row() -> None:
    values = np.array([[1.0, -0.5, 0.004], [0, 0, 0], [100, 50, -100]], np.float32)
    numbers, scale = rounded(values, 8)
    assert numbers.tolist() == [[127, -64, 1], [0, 0, 0], [127, 64, -127]]
    assert np.abs(numbers * scale - values).max() <= 100 / 127 / 2


def test_a_file_that_the_runtime_does_not_know_is_refused() -> None:
    with pytest.raises(ExportError, match="ONNX Runtime cannot run it"):
        OnnxNetwork(b"no network")
