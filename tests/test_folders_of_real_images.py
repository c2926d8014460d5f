"""Networks that read the images of a folder, and folders of real images beside a generator."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

import dissectreport
from dissectreport import plugins
from dissectreport.cache import store
from dissectreport.cache.records import Record
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, FolderError, ModelError
from dissectreport.models.base import ImageModel
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel
from dissectreport.networks import hooks
from dissectreport.pipeline import prepare
from dissectreport.pipeline.on_demand import EditOptions, intervene
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.render import load_dissection
from dissectreport.pipeline.reproduce import reproduce
from dissectreport.run.plan import Plan
from dissectreport.run.rules import rule_named
from dissectreport.segmenters import colour
from dissectreport.worker.loaded_networks import Models, Source
from tests.support.reporters import RecordingReporter

SIDE, IMAGES = 24, 240
PAINTS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255)}
UNIT = {name: number for number, name in enumerate(PAINTS)}

READER = '''
import torch
from torch import nn
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel


class Network(nn.Module):
    """Units 0 to 2 are positive where a pixel is red, green or blue; then something that nobody looks at."""

    def __init__(self):
        super().__init__()
        self.colours = nn.Conv2d(3, 3, 1)
        self.head = nn.Linear(3, 7)

    def forward(self, x):
        logits = self.head(self.colours(x).mean((2, 3)))
        x.zero_()  # a network may change what it is given
        return {{"logits": logits}}


def network(seed):
    torch.manual_seed(seed)
    return Network()


def load():
    made = network(0)
    made.requires_grad_(False)
    made.colours.weight.copy_((2 * torch.eye(3) - 1)[:, :, None, None])
    made.colours.bias.zero_()
    return FolderImageModel(
        name="colours", module=made, folder=open_folder({folder!r}, (24, 24)), layers=("colours",),
        default_layers=("colours",), mean=(0, 0, 0), reinitialise=network, facts={{"segmenter": "colour"}},
    )
'''


def paint(folder: Path, count: int = IMAGES, seed: int = 0) -> Path:
    """Pictures of a patch of one colour on another, of various places and sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    for number in range(count):
        context_concept, patch = (list(PAINTS.values())[k] for k in random.permutation(3)[:2])
        picture = np.full((SIDE, SIDE, 3), context_concept, np.uint8)
        (top, left), (height, width) = random.randint(0, SIDE // 2, 2), random.randint(6, SIDE // 2, 2)
        picture[top : top + height, left : left + width] = patch
        Image.fromarray(picture).save(folder / f"{number:04d}.png")
    return folder


def cut(path: Path) -> None:
    """Break a file such that its header does not show it."""
    path.write_bytes(path.read_bytes()[:50])
    assert not [one for one in open_folder(path.parent, (SIDE, SIDE)).skipped if one.name == path.name]


def model(folder: Path) -> str:
    """The address of a reader of a folder, written beside it."""
    file = folder.parent / "mine.py"
    file.write_text(READER.format(folder=str(folder)))
    return f"{file}:load"


def reader(folder: Path) -> Any:
    made = plugins.generator(model(folder))
    assert isinstance(made, ImageModel)
    return made


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("reading") / "painted", seed=3)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("few") / "small", 20)


@pytest.fixture(scope="module")
def dissected(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """The cache of a dissected reader, what was said, and its address; two files of the folder are broken."""
    (painted / "page.jpg").write_text("<html>")
    cut(painted / "0007.png")
    heard, cache = RecordingReporter(), tmp_path_factory.mktemp("cache")
    address = model(painted)
    dissectreport.measure(Options(address, cache=cache, grid=SIDE, workers=1, device="cpu"), heard)
    return cache, heard.lines, address


# --- the reader ---


def test_samples_are_the_images_in_the_order_of_the_seed(small: Path) -> None:
    made, folder = reader(small), open_folder(small, (SIDE, SIDE))
    assert torch.equal(made.latents(3, 5, 4), folder.read(folder.order(3)[5:9]))
    assert made.latent_shape == (3, SIDE, SIDE) and made.image_size == (SIDE, SIDE) and made.max_samples == 20


def test_it_gives_back_the_images_whatever_the_network_does_to_them(small: Path) -> None:
    made = reader(small)
    for one in (made, replace(made, mean=(), std=())):
        images = made.latents(1, 0, 3)
        before = images.clone()
        assert torch.equal(one(images), before) and torch.equal(images, before)


def test_units_are_read_of_normalised_images(small: Path) -> None:
    made = replace(reader(small), mean=(0.5, 0.25, 0), std=(0.5, 0.25, 1))
    images = torch.tensor([1.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, SIDE, SIDE)
    assert made.normalised(images)[0, :, 0, 0].tolist() == [1, 1, 0]
    seen = hooks.read(made, ["colours"], images)["colours"]
    assert seen[0, :, 0, 0].tolist() == [0, 0, -2]
    assert torch.equal(replace(made, mean=(), std=()).normalised(images), images)


@pytest.mark.parametrize(("mean", "std"), [((0, 0), ()), ((), (1, 1, 0)), ((1,), (1, 1, 1))])
def test_a_normalisation_that_cannot_be_is_refused(
    small: Path, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(ModelError, match="'colours' needs three means and three positive standard"):
        replace(reader(small), mean=mean, std=std)


def test_means_of_bytes_and_channels_that_are_none_are_refused(small: Path) -> None:
    with pytest.raises(ModelError, match="are for colours from 0 to 255; divide mean and std by 255"):
        replace(reader(small), mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
    with pytest.raises(ModelError, match=r"has the channels \[3, 2, 1\]; give 0, 1 and 2"):
        replace(reader(small), channels=(3, 2, 1))


def test_a_network_may_take_blue_first(small: Path) -> None:
    made = reader(small)
    other = replace(made, channels=(2, 1, 0), identity="")
    images = made.latents(1, 0, 2)
    assert torch.equal(other.normalised(images), made.normalised(images)[:, [2, 1, 0]])
    assert torch.equal(other(images), images) and other.identity != made.identity


@pytest.mark.parametrize("problem", [OSError(errno.EMFILE, "Too many open files"), MemoryError()])
def test_images_are_not_left_out_for_what_the_machine_lacks(
    small: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise problem

    folder = open_folder(small, (8, 8))
    monkeypatch.setattr("dissectreport.models.image_folder.fitted", refuse)
    with pytest.raises(type(problem)):
        folder.first(2)


def test_more_samples_than_images_are_refused(small: Path) -> None:
    with pytest.raises(FolderError, match="the folder small has 20 images; --samples must be at most 20"):
        reader(small).latents(1, 16, 5)


def test_its_identity_depends_on_network_folder_and_normalisation(small: Path, painted: Path) -> None:
    made = reader(small)
    others = [
        made.untrained(1),
        reader(painted),
        replace(made, mean=(0.5, 0.5, 0.5), identity=""),
        replace(made, folder=open_folder(small, (8, 8)), identity=""),
    ]
    assert len({made.identity, *(one.identity for one in others)}) == 5
    assert made.to(torch.device("cpu")).identity == reader(small).identity == made.identity


def test_without_a_way_to_reinitialise_there_is_no_untrained_network(small: Path) -> None:
    assert replace(reader(small), reinitialise=None).untrained(1) is None


def test_a_layer_that_it_does_not_have_is_refused(small: Path) -> None:
    with pytest.raises(ModelError, match="has no layer 'heat'; it has colours, head"):
        FolderImageModel("x", nn.ModuleDict({"colours": nn.ReLU(), "head": nn.ReLU()}), made_of(small), ("heat",), ())


def made_of(folder: Path) -> object:
    return open_folder(folder, (SIDE, SIDE))


def test_what_is_broken_is_left_out_by_every_worker(tmp_path: Path) -> None:
    folder = paint(tmp_path / "some", 12)
    victim = open_folder(folder, (SIDE, SIDE)).order(1)[2]
    whole = reader(folder).latents(1, 0, 8)
    cut(folder / victim)
    job: Any = prepare.without_unreadable_images(
        prepare.prepare(Options(model(folder), samples=8, workers=1, device="cpu")), RecordingReporter()
    )
    assert job.source.left_out == (victim,) and job.generator.left_out() == (victim,)
    generators: list[Any] = [job.generator, Models(job.source).generator]
    for draw in (each.latents for each in generators):
        assert torch.equal(draw(1, 0, 7), torch.cat([whole[:2], whole[3:]]))
    unaware: Any = Models(Source(model(folder), "colour")).generator
    with pytest.raises(FolderError, match=f"{victim} .* cannot be read; repair or remove it"):
        unaware.latents(1, 0, 8)


# --- how many there are ---


def test_by_default_as_many_are_measured_as_there_are_and_it_is_said(small: Path) -> None:
    heard = RecordingReporter()
    job = prepare.without_unreadable_images(prepare.prepare(Options(model(small), device="cpu")), heard)
    assert job.samples == 20 and job.plan.pilot == 20
    assert "measuring all 20 images; the default is 1,248" in heard.lines
    assert "--samples 20" in reproduce(job)
    assert prepare.prepare(Options("planted", device="cpu")).samples == 1248


def test_more_than_there_are_is_refused_when_it_was_asked_for(small: Path) -> None:
    with pytest.raises(BadOption, match="colours has 20 images; --samples must be at most 20, not 21"):
        prepare.prepare(Options(model(small), samples=21, device="cpu"))
    result = CliRunner().invoke(app, ["measure", model(small), "--samples", "21"])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1


def test_of_images_that_turn_out_broken_there_are_fewer(tmp_path: Path) -> None:
    folder = paint(tmp_path / "some", 12)
    cut(folder / "0003.png")
    heard = RecordingReporter()
    refused = "has 11 images, and 1 that cannot be read; --samples must be at most 11, not 12"
    with pytest.raises(BadOption, match=refused):
        prepare.without_unreadable_images(prepare.prepare(Options(model(folder), samples=12, device="cpu")), heard)
    assert any("some: 1 of 12 files cannot be read and is skipped: 0003.png (" in line for line in heard.lines)
    assert prepare.without_unreadable_images(prepare.prepare(Options(model(folder), device="cpu")), heard).samples == 11


@pytest.mark.parametrize("rule", ["pnas2020", "iclr2019"])
def test_published_rules_take_what_is_there_too(small: Path, rule: str) -> None:
    job = prepare.without_unreadable_images(
        prepare.prepare(Options(model(small), rule=rule, device="cpu")), RecordingReporter()
    )
    assert (job.samples, job.plan.pilot) == (20, 20)


def test_a_folder_of_broken_files_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = paint(tmp_path / "some", 2)
    for path in folder.iterdir():
        path.write_text("no")
    with pytest.raises(FolderError, match=r"some: 2 of 2 files cannot be read .*; name a folder with images"):
        prepare.prepare(Options(model(folder), device="cpu"))


# --- dissected ---


def test_units_that_detect_a_colour_have_the_iou_that_their_pixels_have(dissected, painted: Path) -> None:
    cache, _, address = dissected
    found = load_dissection(address, cache=cache)
    table = found.layers[0].table
    assert table["concept"].tolist() == list(PAINTS) and table["interpretable"].all()
    folder = open_folder(painted, (SIDE, SIDE))
    sound = [name for name in folder.order(1) if name not in ("page.jpg", "0007.png")]
    images = folder.read(sound)
    # Under 960 samples a shard is a batch of 16, and those of odd number score.
    held_out = torch.arange(len(images)) // 16 % 20 % 2 == 1
    labels = colour.load()(images)[held_out, 0]
    for name, unit in UNIT.items():
        on = (images[held_out] == torch.tensor(PAINTS[name])[:, None, None] / 127.5 - 1).all(1)
        seen = labels == 1 + colour.COLOURS.index(name)
        assert table["iou"][unit] == float((on & seen).sum() / (on | seen).sum(dtype=torch.float64))
    assert found.provenance.held_out == int(held_out.sum())


def test_it_is_said_what_was_left_out_and_that_nothing_is_intervened_on(dissected) -> None:
    _, lines, _ = dissected
    (skipped,) = (line for line in lines if "skipped:" in line)
    assert skipped.startswith("painted: 2 of 241 files cannot be read and are skipped: 0007.png (")
    assert "measuring all 239 images; the default is 1,248" in lines
    assert any("no interventions: colours reads images and makes none" in line for line in lines)


def test_its_pages_speak_of_images_that_are_read(dissected, tmp_path: Path, painted: Path) -> None:
    cache, _, address = dissected
    dissectreport.render(address, tmp_path, cache=cache)
    (home,) = (path.parent for path in tmp_path.glob("*/trust.html"))
    trust, methods, overview = ((home / f"{name}.html").read_text() for name in ("trust", "methods", "index"))
    assert "<h2>Images that the network reads</h2>" in trust and "generated" not in trust
    assert "12 of 239 images of the folder painted; 2 could not be read." in trust
    words = " ".join(methods.split())
    assert "colours read 239 of the 239 images of the folder <i>painted</i>, in a random order given by seed 1" in words
    assert "images that colours reads" in overview
    assert "What do the units of a network respond to?" in (tmp_path / "index.html").read_text()
    pages = [path.read_text() for path in tmp_path.rglob("*.html")]
    data = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert not any(str(painted) in text for text in (*pages, *data)), "where the folder lies is nobody's business"


def test_the_pictures_that_are_shown_are_those_of_the_folder(dissected, painted: Path) -> None:
    cache, _, address = dissected
    pictures = load_dissection(address, cache=cache).pictures
    folder = open_folder(painted, (SIDE, SIDE)).without(["page.jpg", "0007.png"])
    wanted = folder.read([folder.order(1)[number] for number in pictures.numbers])
    shown = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2) / 127.5 - 1
    assert (shown - wanted).abs().max() <= 1 / 127.5 + 1e-6


def test_interventions_on_a_reader_are_refused_when_they_were_asked_for(small: Path) -> None:
    with pytest.raises(ModelError, match="colours reads images and makes none"):
        prepare.prepare(Options(model(small), device="cpu", concepts=("red",)))
    with pytest.raises(ModelError, match="colours reads images and makes none, so its units cannot be ablated"):
        intervene(Options(model(small), device="cpu", workers=1), EditOptions((0,), "colours"))


# --- real images beside a generator ---

SMALL = {"layers": ("features",), "samples": 16, "pilot": 16, "workers": 1, "device": "cpu"}
PLANTED = SMALL | {"interventions": False, "artifacts": False, "controls": False}


def beside(cache: Path, reference: Path | None) -> tuple[Record, list[str]]:
    heard = RecordingReporter()
    return dissectreport.measure(Options("planted", cache=cache, reference=reference, **PLANTED), heard), heard.lines


def test_a_reference_is_shown_instead_of_the_generators_own_images(tmp_path: Path) -> None:
    folder = paint(tmp_path / "photos & more", 14)
    (folder / "page.jpg").write_text("<html>")
    record, lines = beside(tmp_path / "cache", folder)
    assert record.reference == {"folder": "photos & more", "images": 14, "unreadable": 1, "similar": 0}
    assert "photos & more: 1 of 15 files cannot be read and is skipped: page.jpg (not an image)" in lines
    assert "photos & more: 14 of 14 images are smaller than 64 x 64 and enlarged" in lines
    real, made = load_dissection("planted", cache=tmp_path / "cache").trust
    assert (real.source, made.source) == ("real", "generated")
    wanted = open_folder(folder, (64, 64)).first(12)
    assert np.abs(real.images.transpose(0, 3, 1, 2) / 127.5 - 1 - wanted.numpy()).max() <= 1 / 127.5 + 1e-6
    dissectreport.render("planted", tmp_path / "site", cache=tmp_path / "cache")
    page = (tmp_path / "site" / "planted" / "trust.html").read_text()
    assert "<h2>Real images</h2>" in page and 'alt="real image 1 of 12: ' in page
    assert "12 of 14 images of the folder photos &amp; more; 1 could not be read." in page
    assert "--reference 'photos & more'" in record.command and str(tmp_path) not in record.command
    texts = [path.read_text() for kind in ("html", "json") for path in (tmp_path / "site").rglob(f"*.{kind}")]
    assert not any(str(tmp_path) in text for text in texts)


def test_another_reference_is_segmented_and_nothing_else_is_made_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    own, _ = beside(cache, None)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    first, _ = beside(cache, paint(tmp_path / "one", 12, seed=1))
    assert first.pictures == own.pictures and first.segmented != own.segmented
    shown = store.Store(cache / "measurements" / first.segmented).load("segmented")["images"]
    paint(tmp_path / "one", 20, seed=1)
    second, _ = beside(cache, tmp_path / "one")
    assert second.pictures == own.pictures and second.segmented not in (first.segmented, own.segmented)
    assert not np.array_equal(shown, store.Store(cache / "measurements" / second.segmented).load("segmented")["images"])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(cache.rglob("*.npz"))) == len(before) + 2 * 2, "what is shown of each reference, and its areas"
    again, _ = beside(cache, None)
    assert again.segmented == own.segmented and load_dissection("planted", cache=cache).trust[0].source == "drawn"


def test_a_reference_that_cannot_be_read_is_one_line_before_anything_is_measured(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["build", "planted", "--reference", str(tmp_path / "none"), "--cache", str(tmp_path / "cache")]
    )
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert re.search(r"there is no folder .*none; name a folder with images", result.stderr)
    assert not (tmp_path / "cache").exists()


def test_a_relative_reference_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "data" / "real", 1)
    monkeypatch.chdir(tmp_path)
    job = prepare.prepare(Options("planted", reference=Path("data/real"), device="cpu"))
    assert "--reference data/real" in reproduce(job) and Path(job.source.reference).is_absolute()


def test_a_generator_with_few_latents_is_asked_for_no_more(tmp_path: Path) -> None:
    class Few:
        """The planted generator with ten latents of its own."""

        max_samples = 10

        def __init__(self) -> None:
            self.own = plugins.generator("planted")

        def __getattr__(self, name: str) -> object:
            return getattr(self.own, name)

        def __call__(self, z: Tensor) -> Tensor:
            return self.own(z)

    samples, plan = prepare.resolve_samples(Plan("a", "b"), rule_named("corrected"), Options("few"), Few())
    assert (samples, plan.pilot) == (10, 10)
