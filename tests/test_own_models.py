"""Anybody's network by a TOML file: what goes in, what comes out, which layers, and what is said otherwise."""

from __future__ import annotations

import hashlib
import math
import shlex
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

import dissectreport
from dissectreport import plugins
from dissectreport.cache import records
from dissectreport.checkpoints.state_dicts import load_exactly, select_tensors
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, DissectReportError, ModelError, UnknownName, WeightsError
from dissectreport.models.described_values import relative_to
from dissectreport.models.inputs import ClassLabels, Constant, Inputs, Noise
from dissectreport.models.layers import default_layers
from dissectreport.models.network_generator import NetworkCall, NetworkGenerator
from dissectreport.models.outputs import OutputFormat, range_warning
from dissectreport.networks import edits, hooks
from dissectreport.networks.latents import latents
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.preflight import preflight
from dissectreport.pipeline.prepare import prepare
from dissectreport.pipeline.render import load_dissection
from dissectreport.pipeline.reproduce import reproduce
from dissectreport.worker.loaded_networks import Source

NETWORKS = '''
import torch
from torch import nn
from beside import rectifier          # a file in the same folder, as research code has it


def up(a, b, kernel=4, stride=2, padding=1):
    return [nn.ConvTranspose2d(a, b, kernel, stride, padding, bias=False), nn.BatchNorm2d(b), rectifier()]


class Dcgan(nn.Module):
    """A generator as in the tutorials: rectifiers in place, flat names, tanh at the end."""

    def __init__(self, width=8, channels=3):
        super().__init__()
        self.main = nn.Sequential(
            *up(20, 4 * width, 4, 1, 0), *up(4 * width, 2 * width), *up(2 * width, width),
            nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z)


class Mlp(nn.Module):
    """No unit of it has an extent in space."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 12), nn.ReLU(True), nn.Linear(12, 24), nn.ReLU(True))
        self.out = nn.Linear(24, 3 * 8 * 8)

    def forward(self, z):
        return torch.sigmoid(self.out(self.body(z))).view(-1, 3, 8, 8)


class Conditional(nn.Module):
    """Takes noise, a class and a truncation by keyword; returns a tuple, grey, from 0 to 255."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(4, 5)
        self.block = nn.Conv2d(13, 6, 1)
        self.paint = nn.Conv2d(6, 1, 1)

    def forward(self, z, label, truncation=1.0):
        both = torch.cat([z * truncation, self.embed(label)], 1)
        maps = self.block(both[:, :, None, None].expand(-1, -1, 8, 8)).relu()
        return both, {"image": self.paint(maps).sigmoid() * 255}


class Leaning(Mlp):
    """What its argument changes shows neither in its parts nor in its weights."""

    def __init__(self, lean=0.0):
        super().__init__()
        self.lean = lean

    def forward(self, z):
        return super().forward(z) * 2 - 1 + self.lean


class Bytes(Mlp):
    """Returns whole numbers, which have no gradient."""

    def forward(self, z):
        return (super().forward(z) * 255).to(torch.uint8)


class Remembering(nn.Module):
    """A part of it returns a tuple."""

    def __init__(self):
        super().__init__()
        self.memory = nn.GRU(6, 8, batch_first=True)
        self.out = nn.Linear(8, 3 * 8 * 8)

    def forward(self, z):
        return self.out(self.memory(z[:, None])[0][:, 0]).tanh().view(-1, 3, 8, 8)


class Lazy(Mlp):
    """Knows the sizes of its weights only when it has run."""

    def __init__(self):
        super().__init__()
        self.out = nn.LazyLinear(3 * 8 * 8)


class Seer(nn.Module):
    """Tells classes of images."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 12, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.classes = nn.Linear(12, 4)

    def forward(self, images):
        return self.classes(self.body(images).flatten(1))


def number(width=3):
    return width
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with somebody's code and weights, where the commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text(
        "from torch import nn\n\n\ndef rectifier():\n    return nn.ReLU(inplace=True)\n"
    )
    (tmp_path / "net.py").write_text(NETWORKS)
    return tmp_path


BRIGHT = """
import torch

from dissectreport.segmenters.base import Vocabulary


class Bright:
    name, identity = "bright", "bright-1"
    vocabulary = Vocabulary.of(tone=("dark", "light"))

    def __call__(self, images):
        return (self.probabilities(images, (2,)) > 0.5).long() + 1

    def confidence(self, images):
        return self.probabilities(images, (1, 2)).amax(1)

    def probabilities(self, images, concepts):
        light = torch.sigmoid(images.mean(1, keepdim=True) * 5)
        return torch.cat([light * 0, 1 - light, light], 1)[:, list(concepts)]

    def to(self, device):
        return self
"""


def made(name: str, **arguments: object) -> nn.Module:
    """Somebody's network with random weights that draw something."""
    function = plugins._at_address(plugins.GENERATORS, f"./net.py:{name}")
    assert callable(function)
    torch.manual_seed(3)
    network: nn.Module = function(**arguments)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
        elif isinstance(part, nn.ConvTranspose2d):
            nn.init.normal_(part.weight, std=0.2)
    return network.eval()


def write(place: Path, text: str, name: str = "mine.toml") -> str:
    (place / name).write_text(textwrap.dedent(text))
    return name


DCGAN = """
    network = "./net.py:Dcgan"
    weights = "dcgan.pth"
    part = "g_ema"
    latent = [20, 1, 1]
    segmenter = "colour"
    facts = { licence = "mine" }
"""


# --- a whole dissection of a network that this package does not know ---


@pytest.mark.slow
def test_a_network_of_somebodys_own_is_dissected_through_its_description(place: Path) -> None:
    network = made("Dcgan", width=4)
    torch.save({"epoch": 3, "g_ema": {f"module.{k}": v for k, v in network.state_dict().items()}}, "dcgan.pth")
    write(place, f"{DCGAN}    arguments = {{ width = 4 }}\n")
    run = CliRunner()
    checked = run.invoke(app, ["check", "mine.toml"])
    assert checked.exit_code == 0, checked.output
    words = ["--samples", "96", "--cache", "cache", "--out", "site", "--workers", "1", "--quick"]
    built = run.invoke(app, ["build", "mine.toml", *words, "--no-interventions"])
    assert built.exit_code == 0, built.output
    found = load_dissection("mine.toml", cache=Path("cache"))
    assert [(layer.name, len(layer.table)) for layer in found.layers] == [
        ("main.2", 16),
        ("main.5", 8),
        ("main.8", 4),
    ]
    assert found.title == "mine"
    assert "mine" in Path("site/index.html").read_text()
    assert found.provenance.generator["licence"] == "mine"
    assert "untrained" in set(found.layers[0].controls["control"])
    # What is read is what the network computes: hooks of its own give the same, in place or not.
    z = latents(1, 0, 4, (20, 1, 1))
    ours = hooks.read(plugins.generator("mine.toml"), ["main.1", "main.2"], z)
    with torch.no_grad():
        before = network.main[1](network.main[0](z))
    assert torch.allclose(ours["main.1"], before, atol=1e-6)
    assert torch.allclose(ours["main.2"], before.relu(), atol=1e-6)
    assert bool((ours["main.1"] < 0).any())


@pytest.mark.extended
def test_two_descriptions_of_one_name_are_two_models(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"first": 6, "second": 5}
    for folder, units in sizes.items():
        (place / folder).mkdir()
        (place / folder / "net.py").write_text(
            "from torch import nn\n"
            "def net():\n"
            f"    first, last = nn.ConvTranspose2d(4, {units}, 4), nn.ConvTranspose2d({units}, 3, 4, 4)\n"
            "    return nn.Sequential(first, nn.ReLU(), last)\n"
        )
        (place / folder / "mine.toml").write_text(
            'network = "./net.py:net"\nlatent = [4, 1, 1]\nlayers = ["1"]\nsegmenter = "colour"\n'
        )
    keep = ["--cache", str(place / "cache")]
    run = CliRunner()
    for folder in sizes:
        monkeypatch.chdir(place / folder)
        measured = run.invoke(
            app,
            [
                "measure",
                "mine.toml",
                "--samples",
                "32",
                "--workers",
                "1",
                "--no-artifacts",
                "--no-interventions",
                "--quick",
                *keep,
            ],
        )
        assert measured.exit_code == 0, measured.output
    for folder in (*sizes, "first"):  # drawn again, it goes where it was
        monkeypatch.chdir(place / folder)
        drawn = run.invoke(app, ["render", "mine.toml", *keep, "--out", str(place / "site")])
        assert drawn.exit_code == 0, drawn.output
    monkeypatch.chdir(place)
    for address, name, units in (("first/mine.toml", "mine", 6), ("./second/mine.toml", "mine (second)", 5)):
        for model in (address, name):
            found = load_dissection(model, cache=place / "cache")
            assert (found.model, found.title, len(found.layers[0].table)) == (name, name, units)
    homes = {path.parent.name for path in (place / "site").glob("*/summary.json")}
    assert len(homes) == 2 and "mine" in homes
    leaks = [p for p in (place / "site").rglob("*") if p.is_file() and str(place).encode() in p.read_bytes()]
    assert leaks == [], "no path of the machine is published"
    listed = run.invoke(app, ["cache", "list", *keep]).output
    assert str(place / "second" / "mine.toml") in listed
    assert run.invoke(app, ["cache", "clear", "first/mine.toml", *keep]).exit_code == 0
    assert [one.model for one in records.every(place / "cache")] == ["mine (second)"]


def test_a_network_with_noise_in_it_is_measured_with_a_caution(place: Path) -> None:
    (place / "noisy.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Noisy(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.ConvTranspose2d(4, 6, 4), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 4))\n"
        "    def forward(self, z):\n"
        "        return self.net(z) + 0.1 * torch.randn(len(z), 1, 16, 16)\n"
    )
    (place / "noisy.toml").write_text(
        'network = "./noisy.py:Noisy"\nlatent = [4, 1, 1]\nlayers = ["net.1"]\nsegmenter = "colour"\n'
    )
    words = ["noisy.toml", "--samples", "32", "--workers", "1", "--no-artifacts", "--no-interventions", "--no-controls"]
    words.append("--quick")
    built = CliRunner().invoke(app, ["build", *words, "--cache", "cache", "--out", "site"])
    assert built.exit_code == 0, built.output
    for told in (built.output, (place / "site" / "noisy" / "index.html").read_text()):
        assert "does not reproduce its images from the same latents" in " ".join(told.split())


def test_units_before_a_rectifier_in_place_can_be_edited_again_and_again(place: Path) -> None:
    network = made("Dcgan")
    generator = NetworkGenerator("g", network, (20, 1, 1), (32, 32), ("main.1",))
    z = latents(1, 0, 2, (20, 1, 1))
    at = edits.run_prefix(generator, "main.1", z)
    first = at.images(at.activations)
    assert torch.equal(at.images(at.activations), first)
    assert torch.allclose(first, network(z), atol=1e-6)


def test_what_a_part_gave_is_kept_from_a_network_that_changes_it_afterwards() -> None:
    class Doubling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.middle, self.last = (nn.Conv2d(3, 3, 1) for _ in range(3))

        def forward(self, z: Tensor) -> Tensor:
            skipped = self.first(z)
            skipped *= 2
            out: Tensor = self.last(self.middle(skipped) + skipped)
            return out

    network = Doubling()
    generator = NetworkGenerator("g", network, (3, 4, 4), (4, 4), ("middle",))
    z = latents(1, 0, 2, (3, 4, 4))
    at = edits.run_prefix(generator, "middle", z)
    assert torch.allclose(at.images(at.activations), network(z), atol=1e-6)


@pytest.mark.slow
def test_a_network_without_extent_in_space_is_dissected(place: Path) -> None:
    torch.save(made("Mlp").state_dict(), "mlp.pth")
    name = write(
        place,
        """
        network = "./net.py:Mlp"
        weights = "mlp.pth"
        latent = { shape = 6, distribution = "uniform", low = 0 }
        output = { range = [0, 1] }
        segmenter = "colour"
        """,
    )
    generator = plugins.generator(name)
    assert generator.default_layers == ("body.1", "body.3")
    assert generator.image_size == (8, 8)
    dissectreport.build(
        Options(name, quick=True, samples=96, workers=1, interventions=False, artifacts=False, cache=place / "cache"),
        place / "site",
    )
    found = load_dissection(name, cache=place / "cache")
    assert [len(layer.table) for layer in found.layers] == [12, 24]


def test_several_inputs_labels_and_an_image_inside_a_tuple(place: Path) -> None:
    network = made("Conditional")
    torch.save(network.state_dict(), "c.pth")
    name = write(
        place,
        """
        network = "./net.py:Conditional"
        weights = "c.pth"
        inputs = [{ shape = [8] }, { classes = 4, only = [1, 3], name = "label" }, { value = 0.5, name = "truncation" }]
        output = { take = 1, range = [0, 255], channels = [0, 0, 0] }
        """,
    )
    with pytest.raises(ModelError, match=r"returns a dict instead of images \(it has 'image'\)"):
        plugins.generator(name)


def test_labels_reach_the_network_and_its_images_are_those_that_it_gives_them(place: Path) -> None:
    network = made("Conditional")
    torch.save(network.state_dict(), "c.pth")
    (place / "wrapped.py").write_text(
        "import net\n\n\nclass Wrapped(net.Conditional):\n    def forward(self, *given, **named):\n"
        "        return super().forward(*given, **named)[1]\n"
    )
    name = write(
        place,
        """
        network = "./wrapped.py:Wrapped"
        weights = "c.pth"
        inputs = [{ shape = [8] }, { classes = 4, only = [1, 3], name = "label" }, { value = 0.5, name = "truncation" }]
        output = { take = "image", range = [0, 255], channels = [0, 0, 0] }
        layers = ["block"]
        """,
    )
    generator = plugins.generator(name)
    assert generator.latent_shape == (9,)
    z = latents(1, 0, 6, (9,))
    labels = ClassLabels(4, only=(1, 3)).numbers(z[:, 8:])
    with torch.no_grad():
        grey = network(z[:, :8], labels, truncation=0.5)[1]["image"]
        images = generator(z)
    assert set(labels.tolist()) == {1, 3}
    assert torch.allclose(images, (grey / 127.5 - 1).expand(-1, 3, -1, -1), atol=1e-5)


# --- folders of images ---


@pytest.fixture
def photographs(place: Path) -> Path:
    """A folder of twenty photographs."""
    folder = place / "photos"
    folder.mkdir()
    for number in range(20):
        pixels = np.random.RandomState(number).randint(0, 256, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def test_a_network_that_reads_images_is_described_by_its_folder(photographs: Path) -> None:
    torch.save(made("Seer").state_dict(), "seer.pth")
    name = write(
        photographs.parent,
        """
        network = "./net.py:Seer"
        weights = "seer.pth"
        images = { folder = "photos", size = [32, 32], mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }
        """,
    )
    generator = plugins.generator(name)
    assert generator.default_layers == ("body.1", "body.3")
    assert len(generator.latents(1, 0, 20)) == 20  # type: ignore[attr-defined]
    assert [finding for finding in preflight(Source(name, "colour")) if finding.wrong] == []


def test_a_folder_of_real_images_is_shown_beside_generated_ones(photographs: Path) -> None:
    torch.save({"g_ema": made("Dcgan").state_dict()}, "dcgan.pth")
    name = write(photographs.parent, DCGAN.replace("segmenter", 'reference = "photos"\n    segmenter'))
    cache = photographs.parent / "cache"
    options = Options(name, samples=16, pilot=16, workers=1, cache=cache, quick=True, controls=False)
    options = replace(options, artifacts=False, interventions=False)
    first = dissectreport.measure(options)
    assert first.reference == {"folder": "photos", "images": 20, "unreadable": 0, "similar": 0}
    photographs.rename("others")
    (photographs.parent / "others" / "00.png").unlink()
    write(photographs.parent, DCGAN.replace("segmenter", 'reference = "others"\n    segmenter'))
    second = dissectreport.measure(options)
    assert second.reference == {"folder": "others", "images": 19, "unreadable": 0, "similar": 0}
    assert second.segmented != first.segmented


def test_pictures_that_are_broken_are_left_out_of_a_check_as_they_are_of_a_build(photographs: Path) -> None:
    for path in sorted(photographs.iterdir())[::2]:
        path.write_bytes(b"no picture")
    torch.save(made("Seer").state_dict(), "seer.pth")
    words = 'weights = "seer.pth"\nimages = { folder = "photos", size = [32, 32] }\n'
    name = write(photographs.parent, f'network = "./net.py:Seer"\n{words}')
    assert [finding for finding in preflight(Source(name, "colour"), 8) if finding.wrong] == []
    assert CliRunner().invoke(app, ["layers", name]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ('images = { folder = "photos" }', "images needs a folder and a size"),
        ('images = { folder = "photos", size = [32, 32] }\nlatent = 3', "takes images has no latent"),
        ('images = { folder = "photos", size = [32, 32], centre = 1 }', "no key of images in mine.toml: 'centre'"),
        ('images = { folder = "gone", size = [32, 32] }', "gone"),
        ('images = { folder = "photos", size = [32, 32], mean = 0.5 }', "mean must be a list of numbers"),
    ],
)
def test_images_that_cannot_be_read_are_one_line(photographs: Path, words: str, line: str) -> None:
    name = write(photographs.parent, f'network = "./net.py:Seer"\n{words}\n')
    with pytest.raises(DissectReportError, match=line) as raised:
        plugins.generator(name)
    assert "\n" not in str(raised.value)


# --- what goes in ---


def test_one_normal_latent_is_given_as_it_is() -> None:
    z = latents(1, 0, 5, (7,))
    (given,), keywords = Inputs.normal((7,)).arguments_from(z)
    assert isinstance(given, Tensor)
    assert torch.equal(given, z)
    assert keywords == {}


def test_uniform_noise_is_uniform() -> None:
    z = latents(1, 0, 20_000, (1,))
    (given,), _ = Inputs((Noise((1,), "uniform", low=-2, high=3),)).arguments_from(z)
    assert isinstance(given, Tensor)
    ordered = (np.sort(given.numpy()[:, 0]) + 2) / 5
    even = (np.arange(20_000) + 0.5) / 20_000
    assert np.abs(ordered - even).max() < 0.012, "Kolmogorov's bound at one in a thousand is .0138"


def test_truncated_noise_is_the_middle_of_the_normal_distribution() -> None:
    z = latents(1, 0, 20_000, (1,))
    (given,), _ = Inputs((Noise((1,), "truncated", bound=1.0),)).arguments_from(z)
    assert isinstance(given, Tensor)
    assert given.abs().max() <= 1
    ordered = np.sort(given.numpy()[:, 0].astype(float))
    low, high = (0.5 * math.erfc(-end / math.sqrt(2)) for end in (-1, 1))
    share = (np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in ordered[::50]]) - low) / (high - low)
    assert np.abs(share - (np.arange(20_000)[::50] + 0.5) / 20_000).max() < 0.014


def test_noise_on_the_sphere_has_its_radius() -> None:
    z = latents(1, 0, 50, (3, 2, 2))
    (given,), _ = Inputs((Noise((3, 2, 2), "sphere", scale=2.0),)).arguments_from(z)
    assert isinstance(given, Tensor)
    assert torch.allclose(given.flatten(1).norm(dim=1), torch.full((50,), 2.0))
    assert torch.allclose(
        given / given.flatten(1).norm(dim=1).view(-1, 1, 1, 1), z / z.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    )


def test_labels_are_all_equally_often_and_a_pure_function_of_the_sample() -> None:
    inputs = Inputs((Noise((8,)), ClassLabels(10, name="c")))
    assert inputs.latent_shape == (9,)
    _, keywords = inputs.arguments_from(latents(1, 0, 10_000, (9,)))
    labels = keywords["c"]
    assert isinstance(labels, Tensor)
    assert labels.dtype == torch.int64
    assert (np.abs(np.bincount(labels.numpy(), minlength=10) - 1000) < 120).all()
    _, later = inputs.arguments_from(latents(1, 500, 3, (9,)))
    assert torch.equal(later["c"], labels[500:503])


def test_a_one_hot_label_says_the_same_as_its_number() -> None:
    z = latents(1, 0, 100, (1,))
    (numbers,), _ = Inputs((ClassLabels(4, only=(0, 3)),)).arguments_from(z)
    (rows,), _ = Inputs((ClassLabels(4, "one-hot", only=(0, 3)),)).arguments_from(z)
    assert isinstance(numbers, Tensor)
    assert isinstance(rows, Tensor)
    assert set(numbers.tolist()) == {0, 3}
    assert torch.equal(rows.argmax(1), numbers)
    assert torch.equal(rows.sum(1), torch.ones(100))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Noise((3,), "gaussian"), "unknown distribution 'gaussian'; choose one of normal"),
        (lambda: Noise(()), "shape .* give one or more"),
        (lambda: Noise((3,), "uniform", low=1, high=1), "low must be below"),
        (lambda: ClassLabels(0), "0 classes"),
        (lambda: ClassLabels(3, only=(3,)), "class 3 is not among 3 classes"),
        (lambda: ClassLabels(3, "one_hot"), "encoding 'one_hot'"),
        (lambda: Inputs((Constant(1),)), "none of the inputs is a latent or a label"),
        (lambda: Inputs((Noise((1,), name="z"), ClassLabels(2, name="z"))), "both called 'z'"),
    ],
)
def test_inputs_that_cannot_be_are_one_line(make: Callable[[], object], line: str) -> None:
    with pytest.raises(BadOption, match=line):
        make()


# --- what comes out ---


def test_pixels_are_brought_to_the_usual_range() -> None:
    images = torch.rand(2, 3, 4, 4) * 255
    assert torch.allclose(OutputFormat(low=0, high=255).images(images), images / 127.5 - 1, atol=1e-6)
    assert OutputFormat().images(images) is images


@pytest.mark.parametrize("returned", [({"x": 1}, torch.ones(1, 3, 2, 2)), [0, torch.ones(1, 3, 2, 2)]])
def test_a_part_of_what_is_returned_can_be_taken(returned: object) -> None:
    assert torch.equal(OutputFormat(take=1).images(returned), torch.ones(1, 3, 2, 2))
    assert torch.equal(OutputFormat(take=-1).images(returned), torch.ones(1, 3, 2, 2))


def test_a_grey_image_can_be_shown_as_three_channels() -> None:
    grey = torch.rand(2, 1, 4, 4)
    assert torch.equal(OutputFormat(channels=(0, 0, 0)).images(grey), grey.expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("output", "returned", "line"),
    [
        (
            OutputFormat(),
            (torch.ones(1, 3, 2, 2), torch.ones(1, 8)),
            r"returns a tuple instead of images \(it contains \(1, 3, 2, 2\), \(1, 8\)\)",
        ),
        (
            OutputFormat(),
            {"sample": torch.ones(1, 3, 2, 2)},
            "returns a dict instead of images .it has 'sample'.; name the part",
        ),
        (OutputFormat(take="image"), {"sample": torch.ones(1)}, "dict without a part 'image' .it has 'sample'."),
        (OutputFormat(), torch.ones(2, 12), r"returns shape \(2, 12\); images are"),
        (
            OutputFormat(),
            torch.ones(2, 1, 4, 4),
            r"1 channel, not 3; for grey images, set output = \{ channels = \[0, 0, 0\]",
        ),
        (
            OutputFormat(),
            torch.ones(2, 16, 4, 4),
            r"16 channels, not 3; give the channels that are red, green and blue",
        ),
        (OutputFormat(), torch.ones(2, 8, 8, 3), r"8 channels, not 3; .*permute"),
        (OutputFormat(channels=(0, 1, 5)), torch.ones(2, 4, 8, 8), "no channel 5; they have channels 0 to 3"),
    ],
)
def test_outputs_that_are_no_images_are_one_line_that_says_what_would_do(
    output: OutputFormat, returned: object, line: str
) -> None:
    with pytest.raises(ModelError, match=line) as raised:
        output.images(returned)
    assert "\n" not in str(raised.value)


def test_a_range_that_can_hardly_be_right_is_doubted() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 8, 8, generator=random)
    assert "as if black were 0" in range_warning(images, declared=False)
    assert range_warning(images, declared=True) == ""
    assert "[0, 255]" in range_warning(images * 255, declared=False)
    assert "all its pixels" in range_warning(images * 0, declared=False)
    assert range_warning(images * 2.4 - 1.2, declared=False) == "", "generators overshoot a little"


def test_a_wrong_range_stops_a_run_before_anything_is_measured(place: Path) -> None:
    torch.save(made("Mlp").state_dict(), "mlp.pth")
    name = write(place, 'network = "./net.py:Mlp"\nweights = "mlp.pth"\nlatent = 6\nsegmenter = "colour"\n')
    with pytest.raises(ModelError, match=r"'mine': its pixels range from .* set output = \{ range = \[0, 1\] \}"):
        dissectreport.measure(
            Options(name, cache=place / "cache", samples=16, workers=1, interventions=False, artifacts=False)
        )


# --- which layers ---


def traced(network: nn.Module, *shape: int) -> tuple[hooks.ModuleTrace, ...]:
    return hooks.trace_modules(NetworkCall(network, Inputs.normal(shape), OutputFormat()), latents(0, 0, 2, shape))[0]


def test_of_blocks_of_one_shape_the_last_is_read_and_the_image_never(place: Path) -> None:
    assert default_layers(traced(made("Dcgan"), 20, 1, 1), (32, 32)) == ("main.2", "main.5", "main.8")


def test_a_progressive_gan_is_read_where_a_resolution_is_done() -> None:
    network = plugins.generator("scenes_pgan").module
    assert default_layers(traced(network, 128), (128, 128)) == ("layer2", "layer4", "layer6", "layer10", "layer12")


def test_a_part_that_runs_twice_has_no_units_to_read() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, z: Tensor) -> Tensor:
            out: Tensor = self.last(self.first(self.first(z)))
            return out

    parts = {part.name: part for part in traced(Twice(), 3, 4, 4)}
    assert parts["first"].runs == 2
    assert parts["first"].units == 0
    assert parts["last"].units == 3


def test_what_is_made_of_weights_alone_is_no_layer() -> None:
    normed = nn.utils.parametrizations.spectral_norm
    network = nn.Sequential(normed(nn.Conv2d(3, 8, 3, padding=1)), nn.ReLU(), normed(nn.Conv2d(8, 3, 1)))
    parts = traced(network, 3, 4, 4)
    assert [part.name for part in parts if part.units] == ["0", "1", "2"]
    assert default_layers(parts, (4, 4)) == ("1",)
    (weights,) = {part.returned for part in parts if not part.units}
    assert weights == "Tensor without a row for each image"


def test_the_list_of_layers_has_shapes_units_and_parameters(place: Path) -> None:
    torch.save({"g_ema": made("Dcgan").state_dict()}, "dcgan.pth")
    write(place, DCGAN)
    shown = CliRunner().invoke(app, ["layers", "mine.toml"])
    assert shown.exit_code == 0, shown.output
    rows = [line.split() for line in shown.output.splitlines()]
    assert ["*", "main.5", "ReLU", "16", "×", "8", "×", "8", "16", "0"] in rows
    assert ["main.3", "ConvTranspose2d", "16", "×", "8", "×", "8", "16", "8,192"] in rows


# --- descriptions that cannot be ---


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        ("network = [", BadOption, "mine.toml is not TOML"),
        (
            'networks = "./net.py:Dcgan"\nlatent = 20',
            UnknownName,
            "no key in mine.toml: 'networks'; did you mean network",
        ),
        ("latent = 20", BadOption, "give either network .* or family"),
        ('family = "progressive gan"\nlatent = 20', BadOption, "add weights"),
        (
            'family = "stylegan"\nweights = "g.pth"',
            UnknownName,
            "no family in mine.toml: 'stylegan'; did you mean stylegan3",
        ),
        ('network = "./net.py:Dcgan"', BadOption, r"takes: set latent = \[20, 1, 1\] .main\.0 takes 20 channels"),
        ('network = "./net.py:Dcgan"\nlatent = { size = 20 }', BadOption, "an input has shape = "),
        (
            'network = "./net.py:Dcgan"\nlatent = { shape = 20, mean = 0 }',
            BadOption,
            "an input with shape has no 'mean'",
        ),
        ('network = "./net.py:Dcgan"\nlatent = { shape = "20" }', BadOption, "shape must be a whole number"),
        ('network = "./net.py:Dcgan"\nlatent = 20.5', BadOption, "an input is a number, a shape, or a table"),
        ('network = "./net.py:Gone"\nlatent = 20', UnknownName, "no function in .*net.py: 'Gone'"),
        ('network = "./gone.py:Net"\nlatent = 20', UnknownName, "there is no file .*gone.py"),
        ('network = "no_such_package:Net"\nlatent = 20', ModelError, "cannot be imported: ModuleNotFoundError"),
        ('network = "./net.py:number"\nlatent = 20', BadOption, "returned a int; it should return a torch.nn.Module"),
        (
            'network = "./net.py:Dcgan"\narguments = { depth = 3 }\nlatent = 20',
            ModelError,
            "failed with arguments .*depth",
        ),
        (
            'network = "./net.py:Dcgan"\nlatent = [19, 1, 1]',
            ModelError,
            r"failed on two inputs .19 × 1 × 1 numbers, normal.; set latent = \[20, 1, 1\] .main\.0 takes 20 ch",
        ),
        (
            'network = "./net.py:Dcgan"\nlatent = [20, 1, 1]\nlayers = ["main.4x"]',
            UnknownName,
            "no measurable layer",
        ),
        (
            'network = "./net.py:Dcgan"\nlatent = [20, 1, 1]\nlayers = "main.4"',
            BadOption,
            "layers must be a list of names",
        ),
        ('network = "./net.py:Dcgan"\nlatent = [20, 1, 1]\nweights = "gone.pth"', WeightsError, "gone.pth"),
        (
            'network = "./net.py:Dcgan"\nlatent = [20, 1, 1]\noutput = { range = 255 }',
            BadOption,
            "range must be the values of black",
        ),
        ('network = "./net.py:Dcgan"\nlatent = [20, 1, 1]\noutput = { scale = 2 }', UnknownName, "no key of output"),
        (
            'network = "./net.py:Dcgan"\nlatent = 20\noutput = { take = [1] }',
            BadOption,
            "take must be a key or an index",
        ),
        (
            'network = "./net.py:Dcgan"\nlatent = { shape = 20, scale = "1" }',
            BadOption,
            "scale must be a number, not '1'",
        ),
        ('network = "./net.py:Dcgan"\ninputs = [{ classes = "10" }]', BadOption, "classes must be a whole number"),
        ('network = "./net.py:Dcgan"\nlatent = { shape = 20, name = 1 }', BadOption, "name must be a text, not 1"),
        (
            'network = "./net.py:Dcgan"\narguments = { channels = 16 }\nlatent = [20, 1, 1]',
            ModelError,
            "16 channels, not 3",
        ),
    ],
)
def test_a_description_that_cannot_work_is_one_line(
    place: Path, text: str, error: type[DissectReportError], line: str
) -> None:
    name = write(place, text)
    with pytest.raises(error, match=line) as raised:
        plugins.generator(name)
    assert "\n" not in str(raised.value)


def test_an_editor_may_mark_a_description_as_unicode_and_end_its_lines_as_windows_does(place: Path) -> None:
    (place / "mine.toml").write_bytes('\ufeffnetwork = "./net.py:Dcgan"\r\nlatent = [20, 1, 1]\r\n'.encode())
    assert plugins.generator("mine.toml").image_size == (32, 32)


@pytest.mark.parametrize(
    "line",
    ['weights = ""', 'part = ""', 'prefix = " "', 'segmenter = ","', "layers = []", 'layers = ["body.1", ""]'],
)
def test_an_empty_value_of_a_description_is_not_taken_for_none(place: Path, line: str) -> None:
    with pytest.raises(BadOption, match=f"{line.split()[0]} is empty; give a value, or remove the line"):
        plugins.generator(write(place, f'network = "./net.py:Mlp"\nlatent = 6\n{line}\n'))


def test_a_description_that_is_not_there_is_one_line(place: Path) -> None:
    with pytest.raises(UnknownName, match=r"no generator other.toml: the file cannot be read"):
        plugins.generator("other.toml")


# --- what a description is made into ---


def test_a_description_can_be_used_from_any_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "tone.py").write_text(BRIGHT)
    torch.save({"g_ema": made("Dcgan").state_dict()}, "dcgan.pth")
    write(place, DCGAN.replace('"colour"', '"./tone.py:Bright+colour"'), "an own modèl.toml")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    job = prepare(Options("../an own modèl.toml", cache=place / "cache"))
    assert job.segmenter.name == "bright+colour"
    assert shlex.split(reproduce(job))[:3] == ["dissectreport", "build", "../an own modèl.toml"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("colour", "colour"),
        ("tone.py:load", "a b/tone.py:load"),
        ("/tone.py:load", "/tone.py:load"),
        ("package.tone:load", "package.tone:load"),
        ("scenes+../tone.py:load", "scenes+a b/../tone.py:load"),
        ("words:./clip:dome,red door", "words:a b/./clip:dome,red door"),
        ("ade20k:owner/name+words:dome", "ade20k:owner/name+words:dome"),
        ("unified:parts=all,weights=./upp", "unified:parts=all,weights=a b/./upp"),
    ],
)
def test_paths_in_a_segmenters_name_are_counted_from_the_description(name: str, found: str) -> None:
    assert relative_to(Path("a b"), name) == found
    assert relative_to(Path(), name) == name


def test_an_identity_changes_with_all_that_changes_the_numbers(place: Path) -> None:
    torch.save(made("Leaning").state_dict(), "l.pth")
    text = 'network = "./net.py:Leaning"\nweights = "l.pth"\nlatent = 6\n'
    bare, leaning = (plugins.generator(write(place, text + more)) for more in ("", "arguments = { lean = 0.5 }"))
    (place / "net.py").write_text(NETWORKS.replace("* 2 - 1", "* 2.1 - 1"))
    edited = plugins.generator(write(place, text))
    z = latents(1, 0, 1, (6,))
    assert not torch.equal(bare(z), leaning(z))
    assert not torch.equal(bare(z), edited(z))
    assert len({one.identity for one in (bare, leaning, edited)}) == 3
    controls = [one.untrained(1) for one in (bare, leaning, edited)]
    assert len({control.identity for control in controls if control is not None}) == 3


def test_other_weights_than_the_described_ones_have_another_checksum(place: Path) -> None:
    torch.save(made("Mlp").state_dict(), "mlp.pth")
    torch.save({name: value / 2 for name, value in made("Mlp").state_dict().items()}, "other.pth")
    digest = hashlib.sha256((place / "mlp.pth").read_bytes()).hexdigest()
    text = 'network = "./net.py:Mlp"\nweights = "mlp.pth"\nlatent = 6\noutput = { range = [0, 1] }\n'
    name = write(place, f'{text}sha256 = "{digest[:8]}"\n')
    described = plugins.generator(name)
    assert plugins.generator(name, "other.pth").identity != described.identity
    (place / "mlp.pth").write_bytes((place / "other.pth").read_bytes())
    with pytest.raises(WeightsError, match=r"mlp.pth is not the file .* give the file with the sha256 of mine.toml"):
        plugins.generator(name)


def test_a_network_that_knows_its_sizes_only_when_it_has_run_takes_weights(place: Path) -> None:
    torch.save(made("Mlp").state_dict(), "mlp.pth")
    body = 'weights = "mlp.pth"\nlatent = 6\noutput = { range = [0, 1] }\n'
    lazy = plugins.generator(write(place, f'network = "./net.py:Lazy"\n{body}'))
    plain = plugins.generator(write(place, f'network = "./net.py:Mlp"\n{body}'))
    z = latents(1, 0, 2, (6,))
    assert torch.equal(lazy(z), plain(z))
    control = lazy.untrained(1)
    assert control is not None
    assert not torch.equal(control(z), lazy(z))


ODD = """
import torch
from torch import nn
from net import Mlp


def compiled():
    return torch.compile(Mlp())


def regionally():
    network = Mlp()
    network.body = torch.compile(network.body)
    network.out.compile()
    network.forward = torch.compile(network.forward)
    return network


class Script(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 192)

    def forward(self, z):
        return self.out(z).tanh().view(-1, 3, 8, 8)


def script():
    return torch.jit.trace(Script(), torch.ones(2, 6))


class Uncalled(Script):
    def forward(self, z):
        return self.out.forward(z).tanh().view(-1, 3, 8, 8)


class Sequence(Script):
    def __init__(self):
        super().__init__()
        self.memory = nn.GRU(6, 192, batch_first=True)

    def forward(self, z):
        return self.memory(z[:, None])[0].tanh().view(-1, 3, 8, 8)


torch.set_default_dtype(torch.float64)


def double():
    torch.set_default_dtype(torch.float64)
    return Mlp()
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("network", "line"),
    [
        ("script", "returned a TorchScript program, whose layers cannot be read; give the class of the network"),
        ("Uncalled", "no part of Uncalled runs as a module, .* call the parts themselves, part.x."),
        ("Sequence", "no layer of Sequence can be measured: memory returns a tuple"),
    ],
)
def test_a_network_whose_layers_cannot_be_read_is_one_line(place: Path, network: str, line: str) -> None:
    (place / "odd.py").write_text(ODD)
    with pytest.raises(DissectReportError, match=line) as raised:
        plugins.generator(write(place, f'network = "./odd.py:{network}"\nlatent = 6\n'))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("network", ["compiled", "regionally"])
def test_a_compiled_network_is_measured_as_it_is_without(place: Path, network: str) -> None:
    (place / "odd.py").write_text(ODD)
    torch.save({f"_orig_mod.{name}": value for name, value in made("Mlp").state_dict().items()}, "mlp.pth")
    body = 'weights = "mlp.pth"\nlatent = 6\noutput = { range = [0, 1] }\n'
    plain = plugins.generator(write(place, f'network = "./net.py:Mlp"\n{body}'))
    generator = plugins.generator(write(place, f'network = "./odd.py:{network}"\n{body}'))
    z = latents(1, 0, 2, (6,))
    assert generator.default_layers == plain.default_layers == ("body.1", "body.3")
    assert torch.equal(hooks.read(generator, ["body.1"], z)["body.1"], hooks.read(plain, ["body.1"], z)["body.1"])
    assert torch.equal(generator(z), plain(z))


def test_layers_of_a_compiled_network_may_be_named_as_torch_names_them(place: Path) -> None:
    network = torch.compile(made("Mlp"))
    generator = NetworkGenerator("g", network, (6,), (8, 8), ("_orig_mod.body.1",))  # type: ignore[arg-type]
    assert generator.layers == ("body.1",)


@pytest.mark.parametrize("network", ["double", "Script"])
def test_code_that_changes_the_default_type_of_numbers_does_not_change_it_here(place: Path, network: str) -> None:
    (place / "odd.py").write_text(ODD)
    words = "output = { range = [0, 1] }\n" if network == "double" else ""
    generator = plugins.generator(write(place, f'network = "./odd.py:{network}"\nlatent = 6\n{words}'))
    assert torch.get_default_dtype() == torch.float32
    assert generator(latents(1, 0, 2, (6,))).dtype == torch.float32


def test_weights_in_several_files_are_those_of_one_network_which_has_an_untrained_control(place: Path) -> None:
    network = made("Mlp")
    torch.save({"net": network.body.state_dict()}, "body.pth")  # type: ignore[union-attr]
    torch.save({"net": network.out.state_dict()}, "out.pth")  # type: ignore[union-attr]
    digest = hashlib.sha256((place / "out.pth").read_bytes()).hexdigest()
    body = 'network = "./net.py:Mlp"\npart = "net"\nlatent = 6\noutput = { range = [0, 1] }\n'
    table = f'weights = {{ "body." = "body.pth", out = "out.pth" }}\nsha256 = {{ "out." = "{digest}" }}\n'
    generator = plugins.generator(write(place, body + table))
    z = latents(1, 0, 2, (6,))
    assert torch.equal(generator(z) / 2 + 0.5, network(z))
    control = generator.untrained(1)
    assert control is not None and not torch.equal(control(z), generator(z))
    for words, error, line in (
        (
            'weights = ["body.pth", "body.pth"]',
            WeightsError,
            "body.pth and body.pth both have 0.weight; say which part",
        ),
        ('weights = ["body.pth", 3]', BadOption, "weights must be a text, a list of texts, or a table"),
        ('weights = "body.pth"\nsha256 = ["a", "b"]', BadOption, "sha256 has the form of weights"),
        (table.replace(digest, "0" * 64), WeightsError, "out.pth is not the file that its card describes"),
        ('weights = { body = "body.pth" }', WeightsError, "out.weight is missing"),
    ):
        with pytest.raises(error, match=line):
            plugins.generator(write(place, f"{body}{words}\n"))


def test_a_description_is_told_which_part_of_a_checkpoint_fits_and_what_to_ignore(place: Path) -> None:
    state = made("Mlp").state_dict()
    torch.save({"g": state, "g_ema": {**state, "step": torch.ones(1)}, "args": {"size": 8}}, "all.pth")
    body = 'network = "./net.py:Mlp"\nweights = "all.pth"\nlatent = 6\noutput = { range = [0, 1] }\n'
    with pytest.raises(WeightsError, match=r"set part = 'g_ema' \(the moving average .*part = 'g' would fit too"):
        plugins.generator(write(place, body))
    with pytest.raises(WeightsError, match=r"step is unknown; .* set ignore = \['step'\]"):
        plugins.generator(write(place, f'{body}part = "g_ema"\n'))
    assert plugins.generator(write(place, f"{body}part = 'g_ema'\nignore = ['step']\n")).latent_shape == (6,)


def test_a_date_among_the_facts_is_a_text(place: Path) -> None:
    name = write(place, 'network = "./net.py:Mlp"\nlatent = 6\nfacts = { trained = 2024-05-17 }\n')
    assert plugins.generator(name).facts["trained"] == "2024-05-17"


def test_a_layer_that_returns_a_tuple_is_refused_wherever_it_is_named(place: Path) -> None:
    text = 'network = "./net.py:Remembering"\nlatent = 6\nsegmenter = "colour"\n'
    with pytest.raises(BadOption, match="layer 'memory' returns a tuple; choose a layer inside it, or another"):
        plugins.generator(write(place, f'{text}layers = ["memory"]\n'))
    name = write(place, text)
    with pytest.raises(UnknownName, match=r"units of 'memory' in mine.toml cannot be read .*--all.*; there are out"):
        prepare(Options(name, layers=("memory",), cache=place / "cache"))
    shown = CliRunner().invoke(app, ["layers", name, "--all"])
    assert "memory  GRU     returns a tuple" in shown.output


# --- weights into networks ---


def test_weights_that_lie_in_a_part_under_a_prefix_are_found() -> None:
    inner = {"module.weight": torch.ones(2, 3), "module.bias": torch.zeros(2)}
    assert set(select_tensors({"model": {"g": {"state_dict": inner}}}, "model.g")) == {"weight", "bias"}
    assert set(select_tensors({"gen.weight": torch.ones(1), "disc.weight": torch.ones(1)}, prefix="gen.")) == {"weight"}
    both = {"module.gen.weight": torch.ones(1), "module.disc.weight": torch.ones(1)}
    assert set(select_tensors(both, prefix="module.gen.")) == set(select_tensors(both, prefix="gen.")) == {"weight"}


@pytest.mark.parametrize(
    ("checkpoint", "part", "prefix", "line"),
    [
        (
            {"d": {"w": torch.ones(1)}, "g": {"w": torch.ones(1)}},
            "",
            "",
            "no tensors at the top of this file; it has the parts g, d: set part",
        ),
        ({"g": {"w": torch.ones(1)}}, "ema", "", "no part 'ema' in this file; it has the parts g"),
        ({"g": 3}, "g", "", "part 'g' is a int"),
        ({"w": torch.ones(1)}, "", "net.", "no tensor's name begins with 'net.'; the names are w"),
    ],
)
def test_a_checkpoint_without_the_weights_says_what_it_has(
    checkpoint: dict[str, object], part: str, prefix: str, line: str
) -> None:
    with pytest.raises(WeightsError, match=line):
        select_tensors(checkpoint, part, prefix)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda w: w.pop("bias"), "bias is missing"),
        (lambda w: w.update(extra=torch.ones(1)), "extra is unknown"),
        (lambda w: w.update(bias=torch.ones(3)), r"bias has shape \(3,\) instead of \(2,\)"),
        (lambda w: [w.update({f"net.{k}": w.pop(k)}) for k in list(w)], r"and 1 more.*set prefix = 'net.'"),
    ],
)
def test_weights_must_fit_exactly(change: Callable[[dict[str, Tensor]], object], line: str) -> None:
    network = nn.Linear(3, 2)
    weights = dict(nn.Linear(3, 2).state_dict())
    change(weights)
    with pytest.raises(WeightsError, match=f"do not fit a line: {line}" if "more" not in line else line):
        load_exactly(network, weights, "a line")


@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
def test_a_network_in_a_wrapper_called_module_takes_weights_saved_inside_or_outside_it(prefix: str) -> None:
    inner, network = nn.Linear(3, 2), nn.DataParallel(nn.Linear(3, 2))
    load_exactly(
        network, select_tensors({f"{prefix}{name}": value for name, value in inner.state_dict().items()}), "a line"
    )
    assert torch.equal(network.module.weight, inner.weight)


@pytest.mark.parametrize("change", [Tensor.to_sparse, lambda value: value.to("meta")])
def test_tensors_of_the_right_shape_that_cannot_be_copied_are_one_line(change: Callable[[Tensor], Tensor]) -> None:
    network = nn.Linear(3, 2, bias=False)
    with pytest.raises(WeightsError, match="do not fit a line: weight is quantized, sparse or without") as raised:
        load_exactly(network, {"weight": change(torch.ones(2, 3))}, "a line")
    assert "\n" not in str(raised.value)


def test_batch_norms_counter_may_be_missing() -> None:
    network, other = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    nn.init.normal_(other.running_mean)
    load_exactly(network, {k: v for k, v in other.state_dict().items() if k != "num_batches_tracked"}, "a norm")
    assert torch.equal(network.running_mean, other.running_mean)


# --- check ---


BAD = {
    "random": ("x = x + torch.rand_like(x)", "the same latents give other images the second time"),
    "batch": ("x = x - x.mean(0, keepdim=True)", "an image depends on the others in its batch"),
    "blind": ("x = x * 0 + torch.linspace(-1, 1, 8)", "all latents give the same image"),
}


@pytest.mark.parametrize(("body", "line"), BAD.values(), ids=BAD)
def test_check_says_what_is_wrong_in_plain_words(place: Path, body: str, line: str) -> None:
    (place / "odd.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Odd(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.block = nn.Linear(4, 3)\n\n    def forward(self, z):\n"
        f"        x = self.block(z)[:, :, None, None].expand(-1, 3, 8, 8)\n        {body}\n        return x.tanh()\n"
    )
    name = write(place, 'network = "./odd.py:Odd"\nlatent = 4\n')
    findings = list(preflight(Source(name, "colour")))
    assert [str(finding) for finding in findings if finding.wrong and line in finding.words]
    assert CliRunner().invoke(app, ["check", name, "--segmenter", "colour"]).exit_code == 1


def test_check_reports_that_no_gradient_comes_through(place: Path) -> None:
    (place / "tone.py").write_text(BRIGHT)
    words = 'latent = 6\noutput = { range = [0, 255] }\nsegmenter = "./tone.py:Bright"\n'
    for network, expected in (("Bytes", "no gradient of what the segmenter finds"), ("Mlp", "can be edited")):
        kept = words if network == "Bytes" else words.replace("255", "1")
        name = write(place, f'network = "./net.py:{network}"\n{kept}')
        assert [finding for finding in preflight(Source(name, "./tone.py:Bright"), 4) if expected in finding.words]


def test_check_finds_nothing_wrong_with_what_is_right() -> None:
    findings = list(preflight(Source("planted", "planted")))
    assert [finding.verdict for finding in findings] == ["ok"] * len(findings)
    assert any("24 units of 8 × 8; 1 unit without any change" in finding.words for finding in findings), "the dead unit"
