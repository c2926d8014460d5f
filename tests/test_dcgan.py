"""DCGANs are recognised by their tensors, and weights are taken out of packages without installing them."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from dissectreport import plugins
from dissectreport.checkpoints import downloads, packages
from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.downloads import RemoteFile
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, WeightsError
from dissectreport.models import published
from dissectreport.models.families import dcgan
from dissectreport.models.families.base import DEFAULT_SAMPLING, NetworkTensors, Sampling
from dissectreport.models.families.opening import open_found
from dissectreport.models.families.recognition import find

MEMBER = "some_faces/weights.pth"
ADDRESS = f"pypi:some-faces==1.0/{MEMBER}"


def tutorial(latent: int = 6, width: int = 4, colours: int = 3, dropout: bool = False) -> nn.Sequential:
    """The generator of the tutorial, 32 px, with random weights and statistics."""
    torch.manual_seed(0)
    steps: list[nn.Module] = []
    sizes = (latent, 4 * width, 2 * width, width)
    for number, (before, after) in enumerate(pairwise(sizes)):
        stride, padding = (2, 1) if number else (1, 0)
        steps += [nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        steps += [nn.Dropout(0.2)] if dropout and not number else []
    network = nn.Sequential(*steps, nn.ConvTranspose2d(width, colours, 4, 2, 1, bias=False), nn.Tanh())
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape) + 0.5 if "running_var" in name else torch.randn(value.shape) / 3)
    return network.eval()


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors by the names that they have in files."""
    return {f"main.{name}": value for name, value in network.state_dict().items()}


def saved(content: object, folder: Path) -> Path:
    """A file with this content."""
    path = folder / "netG_epoch_24.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("colours", [1, 3, 4])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_dcgan_is_recognised_and_computes_the_same(
    colours: int, dropout: bool, wrapped: bool, tmp_path: Path
) -> None:
    network = tutorial(colours=colours, dropout=dropout)
    content = {"netG_state_dict": tensors(network), "epoch": 3} if wrapped else tensors(network)
    opened = open_found(find(open_model_file(saved(content, tmp_path))), Sampling())
    assert opened.line.startswith("DCGAN, 32 px, 6 latents, no labels")
    assert opened.layers == (("main.2", "main.6", "main.9") if dropout else ("main.2", "main.5", "main.8"))
    z = torch.randn(3, 6)
    with torch.no_grad():
        assert torch.equal(opened.module(z), network(z[:, :, None, None]))


def test_files_without_counters_of_batches_are_read() -> None:
    old = {name: value for name, value in tensors(tutorial()).items() if "num_batches" not in name}
    dcgan.from_tensors(NetworkTensors(old), Sampling())


def test_classes_are_a_part_of_the_input() -> None:
    network = tutorial(latent=9)
    made = dcgan.from_tensors(NetworkTensors(tensors(network), settings={dcgan.CLASSES: 3}), Sampling(labels=(1,)))
    assert (made.latent_size, made.classes) == (6, 3)
    z, labels = torch.randn(2, 6), nn.functional.one_hot(torch.tensor([1, 2]), 3).float()
    with torch.no_grad():
        assert torch.equal(made(z, labels), network(torch.cat([z, labels], 1)[:, :, None, None]))
    with pytest.raises(WeightsError, match="9 classes do not fit an input of 9 numbers"):
        dcgan.from_tensors(NetworkTensors(tensors(network), settings={dcgan.CLASSES: 9}), Sampling())


def test_what_is_no_such_generator_is_not_taken_for_one(tmp_path: Path) -> None:
    critic = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(4, 8, 4, 2, 1), nn.Conv2d(8, 1, 4))
    with pytest.raises(WeightsError, match="is a discriminator of a DCGAN, not a generator"):
        find(open_model_file(saved(tensors(critic), tmp_path)))
    dense = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 12))
    with pytest.raises(WeightsError, match="of no known family"):
        find(open_model_file(saved(tensors(dense), tmp_path)))
    odd = tensors(tutorial()) | {"main.9.weight": torch.zeros(5, 3, 4, 4)}
    with pytest.raises(WeightsError, match="of no known family"):
        find(open_model_file(saved(odd, tmp_path)))


def test_truncation_is_refused() -> None:
    with pytest.raises(WeightsError, match="has no truncation"):
        dcgan.from_tensors(NetworkTensors(tensors(tutorial())), Sampling(psi=0.5))
    with pytest.raises(BadOption, match="has no labels"):
        dcgan.from_tensors(NetworkTensors(tensors(tutorial())), Sampling(labels=(0,)))


def test_an_untrained_control_has_the_weights_of_the_paper() -> None:
    made = dcgan.from_tensors(NetworkTensors(tensors(tutorial(width=64))), DEFAULT_SAMPLING)
    made.initialise(1)
    first = made.state_dict()["main.3.weight"]
    assert abs(float(first.std()) - dcgan.INITIAL) < 0.001
    assert (made.state_dict()["main.1.running_var"] == 1).all()


# --- packages ---------------------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package in it, which is all that pip finds."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    info = "some_faces-1.0.dist-info"
    with zipfile.ZipFile(folder / "some_faces-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_faces/__init__.py", "raise SystemExit('this must not run')\n")
        wheel.writestr(MEMBER, b"weights")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: some-faces\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder


def remote(address: str = ADDRESS, content: bytes = b"weights") -> RemoteFile:
    """The file in the package."""
    return RemoteFile("faces.pth", (address,), hashlib.sha256(content).hexdigest())


def test_a_file_is_taken_out_of_a_package_that_is_not_installed(index: Path, tmp_path: Path) -> None:
    path = downloads.fetch(remote(), tmp_path / "weights")
    assert path.read_bytes() == b"weights"
    assert "some_faces" not in sys.modules
    assert [file.name for file in path.parent.iterdir() if not file.name.startswith(".faces")] == ["faces.pth"]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (remote(content=b"other"), "another file"),
        (remote("pypi:some-faces==1.0/some_faces/absent.pth"), "absent.pth cannot be taken out"),
        (remote("pypi:some-faces==2.0/some_faces/weights.pth"), "pip did not download it: ERROR"),
    ],
)
def test_what_cannot_be_taken_out_gives_one_line(file: RemoteFile, why: str, index: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=why) as refused:
        downloads.fetch(file, tmp_path / "weights")
    assert "\n" not in str(refused.value) and "put it into" in str(refused.value)
    assert not (tmp_path / "weights" / "faces.pth").exists()


def test_a_file_that_is_too_large_stays_in_its_package(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "LARGEST", 3)
    with pytest.raises(WeightsError, match="would have 7 bytes"):
        downloads.fetch(remote(), tmp_path / "weights")


@pytest.mark.parametrize(("name", "part", "inputs"), [("faces_dcgan", "netG_state_dict", 6), ("eyes_cgan", "", 14)])
def test_the_networks_in_packages_are_in_the_catalogue(name: str, part: str, inputs: int, tmp_path: Path) -> None:
    own = tensors(tutorial(inputs))
    made = getattr(published, name)(weights=saved({part: own} if part else own, tmp_path))
    (noise, *labels) = made.inputs.arguments
    assert noise.shape == (6,) and [label.classes for label in labels] == ([8] if inputs == 14 else [])
    assert made.facts["family"] == "DCGAN" and made.facts["segmenter"] == "colour"
    assert made.untrained(1).image_size == made.image_size == (32, 32)
    entry = read_catalogue(published.CATALOGUE)[name]
    (file,) = entry.origins[0].files
    assert packages.is_package(file.urls[0]) and len(file.sha256) == 64


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_real_network_becomes_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path / "weights"))
    words = ["build", "faces_dcgan", "--quick", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "site")]
    ran = CliRunner().invoke(app, words)
    if ran.exit_code and "pip did not download it" in ran.output:
        pytest.skip(f"the package index cannot be reached: {ran.output}")
    assert ran.exit_code == 0, ran.output
    home = tmp_path / "site" / "faces_dcgan"
    methods, overview = ((home / name).read_text() for name in ("methods.html", "index.html"))
    assert "gan-face-generate" in methods and "MIT" in methods and "DigiFace-1M" in methods
    assert "Single units of this network match what it draws" in overview
    layers = {path.parent.name for path in home.glob("main.*/index.html")}
    assert layers == {"main.2", "main.5", "main.11"}
    assert len(list((home / "main.5").glob("*.html"))) > 256, "a page for every unit"


@pytest.mark.network
@pytest.mark.parametrize("name", ["faces_dcgan", "eyes_cgan"])
def test_the_real_networks_draw(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path))
    try:
        made = plugins.generator(name)
    except WeightsError as problem:
        pytest.skip(f"the package index cannot be reached: {problem}")
    images = made(torch.randn(4, *made.latent_shape))
    assert images.abs().max() <= 1
    assert images.std(0).mean() > 0.2, "four images differ"
