"""A Paint page of a small embedded generator, and the edits that are tried on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import torch

from dissectreport import plugins
from dissectreport.analysis.assemble import vocabulary_table
from dissectreport.analysis.results.painting import InsertionGain, Painting, UnitBrush
from dissectreport.models.inverted import Inverted
from dissectreport.networks.hooks import read
from dissectreport.networks.latents import latents
from dissectreport.report.common.model import Site
from dissectreport.report.common.rendering import render
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.parts import runtime_assets
from dissectreport.report.html.places import Places
from dissectreport.report.pages.overview import overview_page
from dissectreport.report.paint.page import paint_files, paint_page
from dissectreport.segmenters.base import Segmenter
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.painting import PaintRequest, make_painting
from tests.support.dissections import example_dissection, with_interventions

MODEL, SEGMENTER, LAYER, SEED = "scenes64", "scenes", "layer4", 1
SAMPLES = tuple(range(24))
TREE = tuple(range(0, 40, 2))
REPAIR = (5, 6)


def inverted_photo(folder: Path) -> Path:
    """A latent with a residual in the painted layer, as `invert` writes them."""
    generator = plugins.generator(MODEL)
    z = latents(SEED, 40, 1, generator.latent_shape)
    (output,) = read(generator, (LAYER,), z).values()
    residual = output.std() * torch.randn(output.shape, generator=torch.Generator().manual_seed(3))
    photo = torch.full((*generator.image_size, 3), 90, dtype=torch.uint8)
    path = folder / "my house.safetensors"
    Inverted(generator.name, generator.identity, z, {LAYER: residual}, photo).write(path)
    return path


def painting(segmenter: Segmenter, photos: tuple[Path, ...] = ()) -> Painting:
    """The generator, exported, with a brush of some units for two concepts, and inverted photos in the gallery."""
    names = segmenter.vocabulary.names
    sky, tree, door = (names.index(name) for name in ("sky", "tree", "door"))
    network = make_painting(Source(MODEL, SEGMENTER))(
        PaintRequest(LAYER, SEED, SAMPLES, (sky, tree), tuple(map(str, photos)))
    )
    return Painting(
        layer=LAYER,
        network=network,
        brushes=(
            UnitBrush("tree", tree, TREE, TREE[::-1], (2.5,) * len(TREE), {sky: InsertionGain(-3, -9, 2, 40)}),
            UnitBrush("door", door, (1, 3), (3, 1), (3.0, 2.0), {tree: InsertionGain(25, 11, 40, 35)}),
        ),
        levels=np.linspace(0.5, 3, network.activations.shape[1]),
        repair=REPAIR,
        block=network.pixels / network.contexts.shape[1],
    )


def write_paint_site(folder: Path, shown: Painting, identity: str, segmenter: Segmenter) -> Path:
    """The Paint page with all that it loads; the address of the page within the folder."""
    dissection = example_dissection(units=6)
    facts = dissection.provenance
    dissection = replace(
        dissection,
        layers=(replace(dissection.layers[0], name=shown.layer),),
        provenance=replace(facts, model=MODEL, generator={**facts.generator, "identity": identity}),
        vocabulary=vocabulary_table(segmenter.vocabulary),
        interventions=None,
        artifacts=None,
        painting=shown,
    )
    assets, shared = load_assets()
    site = Site(dissection, Places.of(dissection), assets)
    page = site.places.page("paint")
    files = {page: render("paint.html", paint_page(site, shown)), **paint_files(site, shown)}
    for name, content in {**shared, **runtime_assets(), **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Path(page)


def write_overview(folder: Path, shown: Painting) -> Path:
    """An overview with a live image, beside the Paint page, without its other pictures; its address in the folder."""
    dissection = replace(with_interventions(example_dissection(units=12, layers=1)), painting=shown)
    site = Site(dissection, Places.of(dissection), load_assets()[0])
    page = site.places.page("index")
    (folder / page).write_bytes(render("overview.html", overview_page(site)))
    return Path(page)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which a folder is served on this machine while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
