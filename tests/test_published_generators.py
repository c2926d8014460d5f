"""The published models: their catalogue, their entry points, and one that is downloaded, measured, and found again."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import dissectreport
from dissectreport import plugins
from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.downloads import OFFLINE
from dissectreport.checkpoints.transfer import FOLDER
from dissectreport.cli.app import app
from dissectreport.errors import WeightsError
from dissectreport.models import published
from dissectreport.models.proggan_variants import KINDS, PROGRESSIVE, new
from dissectreport.pipeline.render import load_dissection
from dissectreport.plugins import FEATURES, GENERATORS, SEGMENTERS
from tests.support.reporters import RecordingReporter
from tests.support.servers import Page, closed_port, serving

ROOT = Path(__file__).parents[1]
SCENES = ("bedroom", "churchoutdoor", "conferenceroom", "diningroom", "kitchen", "livingroom", "restaurant")
DISSECT = "https://dissect.csail.mit.edu/models/proggan_"
ABLATIONS = "http://gandissect.csail.mit.edu/models/ablations/"
PUBLISHED = (
    f"{DISSECT}bedroom-d8a89ff1.pth",
    f"{DISSECT}churchoutdoor-7e701dd5.pth",
    f"{DISSECT}conferenceroom-21e85882.pth",
    f"{DISSECT}diningroom-3aa0ab80.pth",
    f"{DISSECT}kitchen-67f1e16c.pth",
    f"{DISSECT}livingroom-5ef336dd.pth",
    f"{DISSECT}restaurant-b8578299.pth",
    f"{DISSECT}celebhq-620d161c.pth",
    f"{ABLATIONS}wgangp-beaa509a.pth",
    f"{ABLATIONS}progressive-training-70bd90ac.pth",
    f"{ABLATIONS}small-minibatch-04143d18.pth",
    f"{ABLATIONS}revised-training-parameters-902f5486.pth",
    f"{ABLATIONS}minibatch-discrimination-604c5731.pth",
    f"{ABLATIONS}minibatch-stddev-068bc667.pth",
    f"{ABLATIONS}equalized-learning-rate-88ed833d.pth",
    f"{ABLATIONS}pixelwise-normalization-4da7e9ce.pth",
)
"""The first address of every file, as the references' programs spell them."""
SIZES = {
    128: (512, 512, 512, 256, 128, 64, 32),
    256: (512, 512, 512, 512, 256, 128, 64, 32),
    1024: (512, 512, 512, 512, 512, 256, 128, 64, 32, 16),
}
CATALOGUES = {
    "generators": GENERATORS.catalogue,
    "segmenters": SEGMENTERS.catalogue,
    "features": FEATURES.catalogue,
}
NAMED = {name: entry for name, entry in read_catalogue(published.CATALOGUE).items() if entry.packaged is None}
ZOO = {name: entry for name, entry in NAMED.items() if entry.extra["kind"] not in published.TITLES}
"""The Progressive GANs; tests/test_dcgan.py and tests/test_cyclegan.py have the others."""


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of downloads."""
    monkeypatch.delenv(OFFLINE, raising=False)
    monkeypatch.setenv(FOLDER, str(tmp_path / "weights"))
    return tmp_path / "weights"


def weights(kind: str = PROGRESSIVE, sizes: tuple[int, ...] = (8, 8, 8, 8), seed: int = 0) -> bytes:
    """A file of torch.save with untrained weights."""
    made = new(kind, sizes)
    made.initialise(seed)
    file = io.BytesIO()
    torch.save({"state_dict": made.state_dict()}, file)
    return file.getvalue()


CHURCH = weights()
DIGEST = hashlib.sha256(CHURCH).hexdigest()


def catalogue(folder: Path, address: str, sha256: str = DIGEST[:8], first: str = "") -> str:
    """The address of a model that a made-up catalogue describes."""
    (folder / "catalogue.toml").write_text(
        f"""
        [groups.here]
        publisher = "this test"
        urls = [{f'"{first}/", ' if first else ""}"{address}/"]
        [entries.church_pgan]
        title = "churches"
        licence = "not stated"
        licence_note = "made up"
        dataset = "none"
        paper = "none"
        kind = "progressive"
        resolution = 16
        layers = ["layer4"]
        segmenter = "colour"
        origins = [{{ group = "here", files = [{{ name = "church.pth", sha256 = "{sha256}" }}] }}]
        """
    )
    (folder / "mine.py").write_text(
        "from functools import partial\nfrom pathlib import Path\n"
        "from dissectreport.checkpoints.catalogue import read_catalogue\n"
        "from dissectreport.models.published import load\n"
        "read_catalogue.cache_clear()\nHERE = Path(__file__)\n"
        "church_pgan = partial(load, read_catalogue(HERE.with_name('catalogue.toml'))['church_pgan'])\n"
    )
    return f"{folder}/mine.py:church_pgan"


# --- The catalogue -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", CATALOGUES)
def test_the_catalogue_names_just_what_the_package_declares(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert read_catalogue(CATALOGUES[group]).keys() == project["entry-points"][f"dissectreport.{group}"].keys()


def test_every_model_that_does_not_come_with_the_package_has_the_one_loader() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    ours = {
        name: value for name, value in declared["dissectreport.generators"].items() if ".models.published:" in value
    }
    assert ours == {name: f"dissectreport.models.published:{name}" for name in NAMED}
    with pytest.raises(AttributeError, match="no model 'churches'"):
        _ = published.churches
    with pytest.raises(AttributeError):
        _ = published.scenes_pgan


def test_every_published_file_is_in_the_catalogue_under_its_addresses() -> None:
    first = [origin.files[0].urls[0] for entry in ZOO.values() for origin in entry.origins[:1]]
    assert sorted(first) == sorted(PUBLISHED)
    for entry in ZOO.values():
        for origin in entry.origins[:1]:
            (file,) = origin.files
            assert file.name == file.urls[0].rpartition("/")[2]
            assert file.sha256 == re.fullmatch(r".+-([0-9a-f]{8})\.pth", file.name)[1]
        if entry.extra["kind"] == PROGRESSIVE:
            assert file.urls[1] == f"http://gandissect.csail.mit.edu/models/{file.name}"
    later = {origin.files[0] for entry in ZOO.values() for origin in entry.origins[1:]}
    base = "http://netdissect.csail.mit.edu/data/ganmodel/karras"
    assert {file.urls for file in later} == {(f"{base}/{scene}_lsun.pth",) for scene in SCENES}
    assert not any(file.sha256 for file in later), "nobody published checksums of these"


@pytest.mark.parametrize("name", ZOO)
def test_an_entry_says_what_the_report_and_the_loader_need(name: str) -> None:
    entry = ZOO[name]
    assert entry.extra["kind"] in (*KINDS, PROGRESSIVE, "")
    if entry.origins:
        assert {"dataset", "resolution", "paper", "segmenter", "layers"} <= entry.extra.keys()
        assert entry.licence == "not stated" and "CC BY-NC 4.0" in entry.licence_note
    if entry.megabytes:
        kind, resolution = entry.extra["kind"], entry.extra["resolution"]
        sizes = SIZES[resolution]
        with torch.device("meta"):
            made = new(kind, (128, *sizes[1:]) if kind == "batch_norm" else sizes)
        assert set(entry.extra["layers"]) <= set(made.layers) and made.resolution == resolution
        bytes_of_it = sum(value.numel() * 4 for value in made.state_dict().values())
        assert entry.megabytes == pytest.approx(bytes_of_it / 1e6, abs=0.6)


def test_the_page_for_people_without_internet_names_every_file() -> None:
    page = (ROOT / "docs" / "no-internet.md").read_text()
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| `(.+?)` \| (?:`(.+?)` )?\|$", page, re.MULTILINE)}
    names = {name: [origin.files[0].name for origin in entry.origins] for name, entry in NAMED.items() if entry.origins}
    assert {name: [file for file in files if file] for name, files in rows.items()} == names


# --- The list ----------------------------------------------------------------------------------------------------


def test_the_list_says_what_is_here_what_it_takes_and_its_licence(downloads: Path) -> None:
    def line(name: str) -> list[str]:
        (found,) = [line for line in CliRunner().invoke(app, ["models"]).stdout.splitlines() if f" {name} " in line]
        return re.split(r"  +", found.strip())

    assert line("church_pgan") == ["church_pgan", "churches, 256 px", "downloadable", "~73 MB", "not stated"]
    downloads.mkdir()
    (downloads / "churchoutdoor_lsun.pth").write_bytes(bytes(5_000_000))
    assert line("church_pgan")[2:] == ["installed", "5 MB", "not stated"]
    assert line("scenes_pgan")[2:] == ["embedded", "2 MB", "MIT"]
    assert line("pgan")[2:] == ["--weights", "yours"]
    assert line("colour")[2:] == ["embedded", "MIT"]


def test_the_list_fits_a_terminal_and_needs_no_torch(downloads: Path) -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom dissectreport.cli.app import app\n"
        "said = CliRunner().invoke(app, ['models']).stdout\nassert 'torch' not in sys.modules\nprint(said)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if str(downloads) not in line]
    assert len(lines) > 20 and max(map(len, lines)) <= 100
    note = lines.index("  licence not stated: converted from networks of Karras et al., which are under CC BY-NC 4.0")
    assert note == lines.index("Segmenters") - 1, "it is not said of segmenters whose licence is not stated"
    assert f"downloads are kept in {downloads}" in said


def test_what_others_declare_is_listed_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = (EntryPoint("theirs", "a.b:c", ""), EntryPoint("planted", "dissectreport.models.planted:load", ""))
    monkeypatch.setattr(plugins, "_declared", lambda group: points)
    assert [one.name for one in plugins.list_plugins(GENERATORS)] == ["planted", "theirs"]


# --- From the web to a measurement -------------------------------------------------------------------------------

SMALL = {
    "samples": 32,
    "pilot": 32,
    "workers": 1,
    "device": "cpu",
    "interventions": False,
    "artifacts": False,
    "grid": 8,
}


def test_a_model_is_downloaded_measured_and_needs_no_network_again(tmp_path: Path, downloads: Path) -> None:
    ear = RecordingReporter()
    with serving(church_pth=Page(CHURCH)) as server, reporting.reporting_to(ear):
        model = catalogue(tmp_path, server.address, first=closed_port())
        options = dissectreport.Options(model, cache=tmp_path / "cache", **SMALL)
        record = dissectreport.measure(options, ear)
        assert [asked.path for asked in server.asked] == ["/church.pth"]
    assert ear.lines[:2] == [
        f"downloading church.pth from {url.removeprefix('http://')}" for url in (ear_first(tmp_path), server.address)
    ]
    assert (downloads / "church.pth").read_bytes() == CHURCH
    assert record.model == model and record.generator["name"] == "church_pgan"
    assert record.generator["sha256"] == DIGEST
    assert record.generator["weights"] == {
        "file": "church.pth",
        "from": "this test",
        "checksum": "its first 8 digits are as published",
        "verified": True,
    }
    assert record.generator["licence"] == "not stated; made up" and record.generator["dataset"] == "none"
    again = dissectreport.measure(options)
    assert again.generator == record.generator and again.layers == record.layers
    found = load_dissection(model, cache=tmp_path / "cache")
    assert len(found.layers[0].table) == 8


def ear_first(folder: Path) -> str:
    """The first address in the made-up catalogue."""
    return tomllib.loads((folder / "catalogue.toml").read_text())["groups"]["here"]["urls"][0].rstrip("/")


def test_the_command_line_reports_the_download_and_then_works_offline(tmp_path: Path) -> None:
    words = [
        "--samples",
        "16",
        "--workers",
        "1",
        "--no-interventions",
        "--no-artifacts",
        "--no-controls",
        "--grid",
        "4",
    ]
    words += ["--device", "cpu", "--cache", str(tmp_path / "cache")]
    with serving(church_pth=Page(CHURCH)) as server:
        model = catalogue(tmp_path, server.address)
        refused = CliRunner().invoke(app, ["measure", model, *words, "--offline"])
        assert refused.exit_code == 1 and not server.asked
        first = CliRunner().invoke(app, ["measure", model, *words])
        assert first.exit_code == 0, first.output
        assert first.stderr.count("downloading church.pth") == 1
    assert "church.pth is not in" in refused.stderr and refused.stderr.count("\n") == 1
    assert "put it into" in refused.stderr and "`dissectreport build scenes_pgan` needs no download" in refused.stderr
    second = CliRunner().invoke(app, ["measure", model, *words, "--offline"])
    assert second.exit_code == 0 and "downloading" not in second.output
    assert OFFLINE not in os.environ


def test_a_download_that_was_changed_since_is_refused_with_what_would_do(tmp_path: Path, downloads: Path) -> None:
    model = catalogue(tmp_path, closed_port())
    downloads.mkdir()
    (downloads / "church.pth").write_bytes(weights(seed=1))
    with pytest.raises(WeightsError, match=r"not the file that its card describes .*; remove it, and the next run"):
        plugins.generator(model)


def test_a_file_without_a_checksum_is_named_on_the_page(tmp_path: Path) -> None:
    with serving(church_pth=Page(CHURCH)) as server:
        found = plugins.generator(catalogue(tmp_path, server.address, sha256=""))
    assert found.facts["weights"]["verified"] is False
    assert found.facts["weights"]["checksum"] == "none was published"
    assert found.facts["sha256"] == DIGEST


def test_downloads_are_listed_beside_measurements_and_outlast_them(tmp_path: Path, downloads: Path) -> None:
    downloads.mkdir()
    (downloads / "church.pth").write_bytes(bytes(3_000_000))
    listed = CliRunner().invoke(app, ["cache", "list", "--cache", str(tmp_path)]).stdout.splitlines()
    assert listed == [
        f"0.0 MB in {tmp_path}",
        f"3.0 MB of downloaded weights in {downloads}, which are not cleared",
    ]
    assert CliRunner().invoke(app, ["cache", "clear", "--cache", str(tmp_path)]).stdout == "0.0 MB removed\n"
    assert (downloads / "church.pth").exists()


# --- A file of the user's ----------------------------------------------------------------------------------------


def test_a_given_file_is_used_and_nothing_is_downloaded(tmp_path: Path) -> None:
    path = tmp_path / "my church.pth"
    path.write_bytes(CHURCH)
    ear = RecordingReporter()
    with serving(church_pth=Page(CHURCH)) as server, reporting.reporting_to(ear):
        found = plugins.generator(catalogue(tmp_path, server.address), str(path))
        assert not server.asked and not ear.lines
    assert found.name == "church_pgan"
    assert found.facts["weights"]["from"] == "a file of the user's" and found.facts["weights"]["verified"]
    assert found.facts["dataset"] == "none" and found.facts["licence"] == "not stated; made up"


def test_a_given_file_with_another_checksum_is_reported_and_used(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(weights(sizes=(8, 8, 8), seed=1))
    ear = RecordingReporter()
    with reporting.reporting_to(ear):
        for _ in range(2):
            found = plugins.generator(catalogue(tmp_path, closed_port()), str(path))
    assert found.image_size == (8, 8) and not found.facts["weights"]["verified"]
    assert "dataset" not in found.facts and found.facts["licence"] == "that of the given file"
    assert len(ear.lines) == 2, "each line once"
    assert "is not the church.pth that was published as church_pgan" in ear.lines[0]
    assert "makes images of 8 x 8 pixels; those of church_pgan have 16" in ear.lines[1]


@pytest.mark.extended
def test_a_measurement_with_a_given_file_lies_under_the_name_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(weights(seed=5))
    model = catalogue(tmp_path, closed_port())
    options = dissectreport.Options(model, cache=tmp_path / "cache", weights=str(path), **SMALL, controls=False)
    record = dissectreport.measure(options)
    assert record.model == model and record.generator["weights"]["file"] == "mine.pth"
    assert record.command.endswith("--weights mine.pth"), "no folder of the machine"
    assert load_dissection(model, cache=tmp_path / "cache").layers


@pytest.mark.parametrize("kind", [*KINDS, PROGRESSIVE])
def test_any_progressive_gan_of_the_users_can_be_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(weights(kind, (8, 8, 8, 8, 8, 8, 8)))
    if kind in ("equalized", "pixel_norm"):
        names = {"equalized": "livingroom_equalized_lr", "pixel_norm": "livingroom_pixelnorm"}
        found = plugins.generator(names[kind], str(path))
    else:
        found = plugins.generator("pgan", str(path))
    assert found.image_size == (128, 128)
    assert found.default_layers == (("layer4",) if kind == PROGRESSIVE else ("features.3",))
    control = found.untrained(3)
    assert control.identity == found.untrained(3).identity != found.identity
    z = torch.randn(2, *found.latent_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert control(z).shape == found(z).shape == (2, 3, 128, 128)  # type: ignore[misc]
        assert not torch.equal(control(z), found(z))  # type: ignore[misc]


def test_a_model_without_weights_of_its_own_asks_for_a_file() -> None:
    with pytest.raises(WeightsError, match="pgan has no weights of its own; give a file with --weights FILE"):
        plugins.generator("pgan")


@pytest.mark.parametrize("command", ["build", "measure", "intervene", "layers", "check"])
def test_a_model_that_takes_no_file_refuses_one_in_one_line(tmp_path: Path, command: str) -> None:
    cached = ["--cache", str(tmp_path / "cache")] if command in ("build", "measure", "intervene") else []
    result = CliRunner().invoke(app, [command, "planted", "--weights", "x.pth", *cached])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "generator 'planted' takes no file of weights; leave out --weights x.pth" in result.stderr


def test_layers_and_check_read_a_given_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(weights("batch_norm", (8, 8, 8)))
    listed = CliRunner().invoke(app, ["layers", "pgan", "--weights", str(path)])
    assert listed.exit_code == 0 and "features.3" in listed.stdout
    looked = CliRunner().invoke(app, ["check", "pgan", "--weights", str(path), "--segmenter", "colour"])
    assert "8 × 8" in looked.stdout or "8 x 8" in looked.stdout, looked.output


def test_a_described_network_of_the_family_may_be_any_of_its_kinds(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(weights("plain", (8, 8, 8)))
    (tmp_path / "other.pth").write_bytes(weights("plain", (8, 8, 8), seed=1))
    (tmp_path / "mine.toml").write_text('family = "progressive gan"\nweights = "mine.pth"\nlatent = 8\n')
    found = plugins.generator(str(tmp_path / "mine.toml"))
    assert found.image_size == (8, 8) and "features.3" in found.layers
    other = plugins.generator(str(tmp_path / "mine.toml"), str(tmp_path / "other.pth"))
    assert other.identity != found.identity


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file; give another --weights FILE"):
        plugins.generator("pgan", str(tmp_path / "absent.pth"))
