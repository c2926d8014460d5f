"""The generators of CycleGAN are recognised by their tensors, and redraw photographs as the original program does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from dissectreport import plugins
from dissectreport.checkpoints import packages
from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.errors import BadOption, WeightsError
from dissectreport.models import published
from dissectreport.models.families.base import Sampling
from dissectreport.models.families.cyclegan import CycleGAN, ResidualStep
from dissectreport.models.families.describing import describe
from dissectreport.models.families.opening import open_found
from dissectreport.models.families.recognition import find
from dissectreport.models.image_model import RedrawingModel
from dissectreport.run.addresses import with_settings

NAME = "vintage_cyclegan"
NORMS = {
    "affine": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "plain": nn.InstanceNorm2d,
    "batch": nn.BatchNorm2d,
}


class Added(nn.Module):
    """A sequence that is added to its input."""

    def __init__(self, name: str, steps: list[nn.Module]) -> None:
        super().__init__()
        self.add_module(name, nn.Sequential(*steps))

    def forward(self, maps: Tensor) -> Tensor:
        (steps,) = self.children()
        result: Tensor = maps + steps(maps)
        return result


def original(
    norm: str = "affine", blocks: int = 2, name: str = "conv_block", dropout: bool = False, reflect: bool = True
) -> nn.Sequential:
    """The generator of the paper with four channels, step by step, and random weights and statistics."""
    torch.manual_seed(1)
    made, biased = NORMS[norm], norm != "batch"
    width = 4
    steps: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7, bias=biased), made(width), nn.ReLU()]
    for size in (width, 2 * width):
        steps += [nn.Conv2d(size, 2 * size, 3, 2, 1, bias=biased), made(2 * size), nn.ReLU()]
    inside = 4 * width
    for _ in range(blocks):
        inner: list[nn.Module] = []
        for last in (False, True):
            inner += [nn.ReflectionPad2d(1)] if reflect else []
            inner += [nn.Conv2d(inside, inside, 3, padding=0 if reflect else 1, bias=biased), made(inside)]
            inner += [] if last else [nn.ReLU(), *([nn.Dropout(0.5)] if dropout else [])]
        steps.append(Added(name, inner))
    for size in (inside, inside // 2):
        up = nn.ConvTranspose2d(size, size // 2, 3, 2, 1, output_padding=1, bias=biased)
        steps += [up, made(size // 2), nn.ReLU()]
    network = nn.Sequential(*steps, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape) + 0.5 if "running_var" in key else torch.randn(value.shape) / 4)
    return network.eval()


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors by the names that they have in files."""
    return {f"model.{name}": value for name, value in network.state_dict().items()}


def saved(content: Mapping[str, object], folder: Path, name: str = "latest_net_G.pth") -> Path:
    """A file with this content."""
    torch.save(dict(content), folder / name)
    return folder / name


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of four small photographs."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(random.integers(0, 255, (4, 4, 3), np.uint8))
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


VARIANTS = [
    {},
    {"norm": "plain", "blocks": 3},
    {"norm": "batch"},
    {"dropout": True},
    {"dropout": True, "norm": "batch", "reflect": False},
    {"reflect": False, "norm": "plain"},
    {"name": "block", "blocks": 1},
]


@pytest.mark.parametrize("how", VARIANTS, ids=str)
def test_a_generator_is_recognised_and_computes_the_same(how: dict[str, object], tmp_path: Path) -> None:
    network = original(**how)  # type: ignore[arg-type]
    opened = open_found(find(open_model_file(saved(tensors(network), tmp_path))), Sampling())
    blocks = int(str(how.get("blocks", 2)))
    assert opened.line == f"CycleGAN, {blocks} residual blocks, redraws photographs"
    assert isinstance(opened.module, CycleGAN) and opened.inputs is None and opened.resolution == 256
    images = 2 * torch.rand(2, 3, 24, 32) - 1
    with torch.no_grad():
        assert torch.allclose(opened.module(images), network(images), atol=1e-4)
    steps = dict(opened.module.named_modules())
    assert [name for name in opened.layers if isinstance(steps[name], ResidualStep)] == [
        f"model.{10 + number}" for number in range(blocks)
    ]
    assert opened.default_layers[0] == "model.9" and len(opened.default_layers) <= 5


def test_statistics_that_an_old_torch_kept_for_nothing_are_left_out(tmp_path: Path) -> None:
    network = original(norm="plain")
    norms = {"model.2": 4, "model.10.conv_block.2": 16, "model.13": 8}
    old = {
        f"{name}.{kind}": torch.ones(size) for name, size in norms.items() for kind in ("running_mean", "running_var")
    }
    opened = open_found(find(open_model_file(saved({**tensors(network), **old}, tmp_path))), Sampling())
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(opened.module(images), network(images), atol=1e-4)


def test_both_generators_of_a_training_file_can_be_read(tmp_path: Path, photographs: Path) -> None:
    first, second = original(), original(blocks=3)
    content = {"G_A2B": tensors(first), "G_B2A": tensors(second), "D_A": {"model.0.weight": torch.ones(4, 3, 4, 4)}}
    path = saved(content, tmp_path, "training.pth")
    (tmp_path / "back.toml").write_text(
        f'family = "cyclegan"\nweights = "{path.name}"\npart = "G_B2A"\n'
        f'images = {{ folder = "{photographs}", size = [32, 32] }}\n'
    )
    made = plugins.generator(str(tmp_path / "back.toml"))
    assert isinstance(made, RedrawingModel) and "3 residual blocks" in str(made.facts["recognised"])
    z = made.latents(0, 0, 2)
    with torch.no_grad():
        assert torch.allclose(made(z), second(z), atol=1e-4)
    assert "redraws" in describe(path)


def test_a_discriminator_of_patches_is_called_one(tmp_path: Path) -> None:
    shapes = {0: (8, 3, 4, 4), 2: (8, 8, 4, 4), 5: (8, 8, 4, 4), 8: (8, 8, 4, 4), 11: (1, 8, 4, 4)}
    content = {f"model.{number}.weight": torch.zeros(shape) for number, shape in shapes.items()}
    content |= {f"model.{number}.bias": torch.zeros(shape[0]) for number, shape in shapes.items()}
    with pytest.raises(WeightsError, match="is a discriminator of a CycleGAN, not a generator"):
        find(open_model_file(saved(content, tmp_path)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"model.10.conv_block.1.weight": torch.zeros(16, 9, 3, 3)},
            "conv_block.1.weight takes 9 channels and makes 16, but 16 come in",
        ),
        ({"model.10.conv_block.3.weight": torch.zeros(16, 16, 3, 3)}, "a residual block has two, at 1 and 5"),
        ({"model.4.bias": torch.zeros(3)}, "model.4.bias has shape"),
        ({"model.7.weight": torch.zeros(16, 9, 3, 3)}, "model.7.weight takes 9 channels, but 8 come in"),
        ({"model.12.weight": torch.zeros(9, 8, 3, 3)}, "model.12.weight takes 9 channels, but 16 come in"),
        ({"model.11.conv_block.2.other": torch.zeros(3)}, "of no known family: the nearest is CycleGAN"),
        ({"model.17.weight": torch.zeros(3, 4, 5, 5)}, "of no known family"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, Tensor], why: str, tmp_path: Path) -> None:
    file = open_model_file(saved({**tensors(original()), **change}, tmp_path))
    with pytest.raises(WeightsError, match=why):
        open_found(find(file), Sampling())


def test_psi_is_refused(tmp_path: Path) -> None:
    file = open_model_file(saved(tensors(original()), tmp_path))
    with pytest.raises(BadOption, match="a CycleGAN redraws photographs: it has no psi"):
        open_found(find(file), Sampling(psi=0.5))


def test_an_untrained_control_has_the_weights_of_the_paper(tmp_path: Path) -> None:
    opened = open_found(find(open_model_file(saved(tensors(original(norm="batch")), tmp_path))), Sampling())
    control = opened.reinitialise(3).state_dict()
    assert 0.01 < float(control["model.7.weight"].std()) < 0.03
    assert bool((control["model.2.running_var"] == 1).all()) and bool((control["model.2.running_mean"] == 0).all())


# --- in the catalogue -------------------------------------------------------------------------------------------------


def test_the_network_in_a_package_redraws_a_folder(tmp_path: Path, photographs: Path) -> None:
    network = original()
    weights = str(saved(tensors(network), tmp_path))
    made = plugins.generator(with_settings(NAME, None, None, (), "", photographs), weights)
    assert isinstance(made, RedrawingModel) and made.name == f"{NAME} (my photos)"
    assert made.facts["family"] == "CycleGAN" and made.facts["segmenter"] == "colour"
    assert made.facts["licence"] == "that of the given file"
    z = made.latents(0, 0, 1)
    with torch.no_grad():
        assert torch.allclose(made(z), network(z), atol=1e-4)
    control = made.untrained(1)
    assert control is not None and control.identity != made.identity
    entry = read_catalogue(published.CATALOGUE)[NAME]
    (file,) = entry.origins[0].files
    assert packages.is_package(file.urls[0]) and len(file.sha256) == 64 and entry.licence == "MIT"


def test_photographs_are_named_where_they_are_read_and_nowhere_else(photographs: Path) -> None:
    for name, words in (
        (NAME, "vintage_cyclegan redraws photographs; name a folder of them with --images FOLDER"),
        (with_settings("faces_dcgan", None, None, (), "", photographs), "faces_dcgan generates images of its own"),
        (with_settings("planted", None, None, (), "", photographs), "planted reads no photographs; leave out"),
        (with_settings(NAME, 0.5, None, (), "", photographs), "are settings of checkpoints, and vintage_cyclegan is"),
    ):
        with pytest.raises(BadOption, match=words):
            plugins.generator(name)


@pytest.mark.network
def test_the_real_network_redraws(tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path))
    try:
        made = plugins.generator(with_settings(NAME, None, None, (), "", photographs))
    except WeightsError as problem:
        pytest.skip(f"the package index cannot be reached: {problem}")
    assert isinstance(made, RedrawingModel)
    assert made.facts["licence"] == "MIT"
    z = made.latents(0, 0, 1)
    with torch.no_grad():
        images = made(z)
    assert images.shape == z.shape and images.abs().max() <= 1
    ours, theirs = images.flatten(), z.flatten()
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.5, "what was in the photograph is still to be seen"
    assert (images - z).abs().mean() > 0.05, "it was changed"
