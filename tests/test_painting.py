"""Painting without a page: edits in a file, the same image in every way to make it, and networks as ONNX files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from dissectreport.cache import records
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, ExportError, ModelError
from dissectreport.models import planted as planted_model
from dissectreport.models.edits import Edits
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.models.strokes import PaintedEdits, Stroke, everywhere, painted, read_painted
from dissectreport.networks.edits import run_prefix
from dissectreport.networks.latents import latents
from dissectreport.networks.parts import Head, Tail, other_tensors
from dissectreport.onnx_files.exporting import export
from dissectreport.onnx_files.free_size import measured_reach, with_free_size
from dissectreport.onnx_files.running import OnnxNetwork
from dissectreport.pipeline import painting
from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.painting import chosen_latents, edited_image
from dissectreport.pipeline.render import assembled, render
from dissectreport.records.painting import PaintRecord
from dissectreport.report.common.site_options import SiteSettings
from dissectreport.report.paint.page import last_scene
from dissectreport.report.site.build import write_site
from dissectreport.stats.areas import Areas
from tests.support.damage import unnoticed_in_cache, unnoticed_in_site

UNIT = planted_model.UNIT
GENERATOR = planted_model.load()
BALL = Stroke((UNIT["ball"],), (1.0,), cells=(27, 28))


def edits(*strokes: Stroke, latent: int = 3) -> PaintedEdits:
    return PaintedEdits("planted", GENERATOR.identity, "features", 8, 8, strokes, latent=latent)


@pytest.mark.parametrize(
    ("latent", "head", "last"), [((128,), b"onnx", 99_999), ((512, 4, 4), b"onnx", 8_191), ((128,), b"", -1)]
)
def test_scenes_end_where_a_latent_would_take_the_page_long(latent: tuple[int, ...], head: bytes, last: int) -> None:
    network = SimpleNamespace(latents=np.zeros((24, *latent)), head=head)
    painting_of: Any = SimpleNamespace(network=network)
    assert last_scene(painting_of) == last


# --- strokes ----------------------------------------------------------------------------------------------------


def test_strokes_mix_units_with_values_in_cells_one_after_another() -> None:
    maps = torch.arange(2 * 6, dtype=torch.float32).view(1, 2, 2, 3)
    after = Stroke((1,), (10.0,), 0.5, (0, 5)).on(Stroke((0,), (0.0,)).on(maps, 0), 0)
    assert after[0, 0].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert after[0, 1].tolist() == [[8.0, 7, 8], [9, 10, 10.5]]
    assert maps[0, 0, 0, 1] == 1, "nothing is changed in place"


def test_a_margin_is_not_painted_on_by_cells() -> None:
    after = Stroke((0,), (1.0,), cells=(0,)).on(torch.zeros(1, 1, 4, 4), 1)
    assert after[0, 0].nonzero().tolist() == [[1, 1]]


def test_painted_units_draw_their_concept_where_they_are_painted() -> None:
    before, after = edited_image(Options("planted"), edits()), edited_image(Options("planted"), edits(BALL))
    changed = (before != after).any(2)
    assert (after[26:30, 28:36] == [255, 0, 127]).all(), "the colour of a ball"
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 16 and rows.max() < 40 and columns.min() >= 16 and columns.max() < 48


def test_edits_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    every = edits(BALL, Stroke((1, 2), (0.25, -1.5), 0.3), latent=7)
    path.write_text(every.text())
    assert read_painted(path) == every
    repair = Edits("planted", GENERATOR.identity, "features", (12, 13), (0.0, 0.0))
    path.write_text(repair.text())
    assert read_painted(path) == everywhere(repair)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"edits": 3}, "begin with edits"),
        ({"strokes": [{"units": [1, 1], "values": [0, 0]}]}, "different whole numbers"),
        ({"strokes": [{"units": [1], "values": [0], "strength": 2}]}, "strength is from 0 to 1"),
        ({"strokes": [{"units": [1], "values": [0], "cells": [64]}]}, "below 64"),
        ({"strokes": [{"units": [1], "values": ["0"]}]}, "finite values"),
        ({"height": 0}, "1 to"),
        ({"latent": -1}, "whole numbers"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(json.dumps({**json.loads(edits(BALL).text()), **change}))
    with pytest.raises(BadOption, match=why):
        read_painted(path)


def test_strokes_fit_the_weights_and_the_size_of_the_layer() -> None:
    with (
        pytest.raises(ModelError, match="other weights"),
        painted(GENERATOR, replace(edits(BALL), identity="other")) as _,
    ):
        pass
    wrong = replace(edits(BALL), height=4, width=4)
    with pytest.raises(ModelError, match="4 x 4 cells, and 'features' has 8 x 8"), painted(GENERATOR, wrong) as edited:
        edited(latents(1, 0, 1, GENERATOR.latent_shape))


def test_the_command_writes_the_image_that_python_makes(tmp_path: Path) -> None:
    path, out = tmp_path / "edits.json", tmp_path / "image.png"
    path.write_text(edits(BALL).text())
    ran = CliRunner().invoke(app, ["edit", "planted", "--edits", str(path), "--latent", "5", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    with Image.open(out) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels == edited_image(Options("planted"), edits(BALL), latent=5)).all()
    assert not (pixels == edited_image(Options("planted"), edits(BALL))).all(), "another latent is another image"


# --- networks in parts, as files ---------------------------------------------------------------------------------


class Skipping(nn.Module):
    """A network whose last part needs what the first returned, and the latent."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        style = self.first(z)
        maps = self.second(style[:, :, None, None].expand(-1, 8, 4, 4))
        image: Tensor = torch.tanh(self.last(maps * style[:, :, None, None] + z.sum()))
        return image


def skipping() -> NetworkGenerator:
    return NetworkGenerator("skipping", Skipping(), (4,), (4, 4), ("first", "second"))


def inputs_of(generator: NetworkGenerator, z: Tensor) -> dict[str, Tensor]:
    at = run_prefix(generator, "second", z)
    others = {f"other{number}": tensor for number, tensor in enumerate(other_tensors(at))}
    return {"activations": at.activations.contiguous(), "latent": z, **others}


def test_a_tail_takes_what_later_parts_use_and_a_head_gives_it() -> None:
    generator = skipping()
    z, other = latents(1, 0, 1, (4,)), latents(1, 1, 1, (4,))
    inputs = inputs_of(generator, z)
    tail = export(Tail(run_prefix(generator, "second", z)), inputs, ["image"], "the tail")
    assert set(tail.inputs) == {"activations", "latent", "other0"}
    run = OnnxNetwork(tail.content)
    given = {name: value.numpy() for name, value in inputs_of(generator, other).items()}
    with torch.no_grad():
        expected: NDArray[np.float32] = generator(other).numpy()
    assert np.abs(run(given)[0] - expected).max() < 1e-3, "another latent is another image of the same file"
    head = export(Head(generator, "second", [0]), {"latent": z}, ["activations", "other0"], "the head")
    activations, style = OnnxNetwork(head.content)({"latent": other.numpy()})
    image = run({"activations": activations, "other0": style, "latent": other.numpy()})[0]
    assert np.abs(image - expected).max() < 1e-3


class Local(nn.Module):
    """An image of four pixels a cell, which depends on the cells that are at most two away."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn((4, 2, 3, 3), generator=generator))
        self.second = nn.Parameter(torch.randn((3, 4, 3, 3), generator=generator))

    def forward(self, activations: Tensor) -> Tensor:
        features = nn.functional.conv2d(activations, self.first, padding=1)
        return nn.functional.interpolate(nn.functional.conv2d(features, self.second, padding=1), scale_factor=2)


class Spread(Local):
    """The same image, minus its mean: no window of the map suffices."""

    def forward(self, activations: Tensor) -> Tensor:
        image = super().forward(activations)
        return image - image.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(("network", "side", "reach"), [(Local(), 12, 2), (Local(), 8, 0), (Spread(), 12, 0)])
def test_the_reach_of_a_cell_is_measured_and_0_where_windows_do_not_help(
    network: nn.Module, side: int, reach: int
) -> None:
    maps = torch.randn((1, 2, side, side), generator=torch.Generator().manual_seed(1))
    exported = export(network, {"activations": maps}, ["image"], "it")
    run = OnnxNetwork(with_free_size(exported.content))
    image = run({"activations": maps.numpy()})[0]
    assert image.shape == (1, 3, 2 * side, 2 * side)
    assert measured_reach(lambda window: run({"activations": window})[0], maps.numpy(), image) == reach


class Unknown(nn.Module):
    """An operation without a form in ONNX."""

    def forward(self, z: Tensor) -> Tensor:
        return (z > 0).view(torch.uint8)


def test_an_operation_without_a_form_in_onnx_is_named() -> None:
    with pytest.raises(ExportError, match=r"^this network cannot be exported: ONNX has no form of .* aten\.view$"):
        export(Unknown(), {"latent": torch.zeros(1, 4)}, ["image"], "this network")


def test_a_gallery_shows_every_concept() -> None:
    pixels = np.zeros((60, 3), np.int64)
    pixels[40, 1], pixels[41, 1], pixels[7, 2] = 5, 9, 1
    chosen = chosen_latents(Areas(np.arange(60), np.arange(3), pixels, 64), (1, 2), count=6)
    assert len(chosen) == 6 == len(set(chosen)) and list(chosen) == sorted(chosen)
    assert {7, 40, 41} <= set(chosen)
    few = Areas(np.arange(4), np.arange(3), pixels[:4], 64)
    assert chosen_latents(few, (1, 2)) == (0, 1, 2, 3)


# --- a measured model ---------------------------------------------------------------------------------------------


def job(paint: bool | None, facts: dict[str, object], quick: bool = False) -> SimpleNamespace:
    options = Options("planted", paint=paint, quick=quick)
    return SimpleNamespace(options=options, generator=SimpleNamespace(name="g", facts=facts))


def test_embedded_models_are_exported_and_others_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: dict[str, object] = {"card": {}}
    assert painting.is_painted(job(None, trained)) and not painting.is_painted(job(None, {}))
    assert painting.is_painted(job(True, {})) and not painting.is_painted(job(False, trained))
    assert painting.is_painted(job(True, {}, quick=True)) and not painting.is_painted(job(None, trained, quick=True))
    monkeypatch.setattr(painting, "PACKAGES", ("onnx", "no_such_package"))
    assert painting.is_painted(job(None, trained)), "the record says what is missing"
    with pytest.raises(BadOption, match=r"--paint is not possible: not installed: no_such_package; pip install"):
        painting.is_painted(job(True, {}))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a planted model that can be painted on."""
    cache = tmp_path_factory.mktemp("painted")
    few = {"samples": 32, "pilot": 32, "workers": 1, "controls": False, "interventions": False, "artifacts": False}
    measure(Options("planted", **few, paint=True, cache=cache, layers=("features",)))
    return cache


def files_of(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.usefixtures("rendered_anew")
@pytest.mark.slow
def test_a_site_has_the_page_and_the_runtime_only_where_wanted(measured: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "site", tmp_path / "other"
    render("planted", out, cache=measured)
    render("planted", other, cache=measured)
    files = files_of(out)
    assert files == files_of(other), "the same bytes"
    assert {"planted/paint.html", "planted/paint/tail-0.js", "planted/paint/labels-0.js"} <= files.keys()
    assert any(name.startswith("assets/onnxruntime-wasm-binary") for name in files)
    assert "paint.html#b=u3" in files["planted/features/unit-3.html"].decode()
    render("planted", out, cache=measured, settings=SiteSettings(paint=False))
    assert not [name for name in files_of(out) if "paint.html" in name or "onnxruntime" in name or "/paint/" in name]


@pytest.mark.extended
@pytest.mark.slow
def test_no_bit_of_an_exported_network_changes_unnoticed(measured: Path, tmp_path: Path) -> None:
    unnoticed, tried = unnoticed_in_cache(Path(shutil.copytree(measured, tmp_path / "cache")))
    assert unnoticed == [] and tried > 1000
    render("planted", tmp_path / "site", cache=measured)
    names = [name for name in files_of(tmp_path / "site") if "paint" in name or "onnxruntime" in name]
    assert len(names) > 5 and unnoticed_in_site(tmp_path / "site", names) == []


@pytest.mark.slow
def test_a_network_without_its_packages_says_so(measured: Path, tmp_path: Path) -> None:
    record = records.load(measured, "planted", "corrected")
    lacking = replace(record, painting=PaintRecord("features", "", "onnx is not installed"))
    written = write_site(assembled(lacking, measured), tmp_path / "site")
    pages = files_of(written.index.parent)
    assert "planted/paint.html" not in pages
    assert "There is no Paint page: onnx is not installed." in pages["planted/index.html"].decode()
