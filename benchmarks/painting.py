"""Time from a stroke to the image in a browser, and what a Paint page loads.

Networks run on one thread of WebAssembly in Chromium: an embedded generator, and a Progressive GAN of the papers' size
(256 x 256 pixels) with random weights, edited in layer4. Times are wall-clock times of the network alone, and from a
stroke to its image; beside them stands the time that a processor spent on a stroke, which other programs on the same
machine change less. The page must answer meanwhile: `longest pause` is the longest time between two ticks of its timer.
"""

from __future__ import annotations

import tempfile
import time
from os import getloadavg
from pathlib import Path
from statistics import median

import numpy as np
from common import write
from playwright.sync_api import Browser, Page, sync_playwright

from dissectreport import plugins
from dissectreport.analysis.results.painting import Painting
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.report.html.parts import runtime_assets
from dissectreport.worker import loaded_networks
from dissectreport.worker.painting import PaintRequest, make_painting
from tests.support.browsers import wait_until
from tests.support.painting import SEGMENTER, write_paint_site

RUNS = 12
PATIENCE = 300
"""Seconds in which a machine that does other work at the same time has to answer."""
SYSTEM = "/usr/bin/chromium"
SIZES = (512, 512, 512, 512, 512, 256, 128, 64)
"""Channels of the papers' generator of 256 x 256 pixels: the latent, then each resolution from 4 x 4 on."""


def of_the_papers_size() -> NetworkGenerator:
    """The generator with random weights."""
    network = ProgressiveGenerator(SIZES)
    network.initialise(0)
    size = (network.resolution, network.resolution)
    return NetworkGenerator("pgan256", network, (SIZES[0],), size, network.layers)


def exported(generator: NetworkGenerator | str, layer: str) -> Painting:
    """What a page of the generator paints with."""
    name = generator if isinstance(generator, str) else generator.name
    source = loaded_networks.Source(name, SEGMENTER)
    if not isinstance(generator, str):
        known = plugins.generator
        plugins.generator = lambda _name, _weights="": generator  # type: ignore[assignment,return-value]
    try:
        network = make_painting(source)(PaintRequest(layer, 1, tuple(range(24)), ()))
    finally:
        if not isinstance(generator, str):
            plugins.generator = known
    units = network.activations.shape[1]
    return Painting(layer, network, (), np.ones(units), (), 1.0)


PAUSE = """() => {
  window.pause = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    window.pause = Math.max(window.pause, now - last);
    last = now;
  }, 4);
}"""


def processor_seconds(browser: Browser) -> float:
    """Seconds that processors spent on all pages of a browser."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(one["cpuTime"] for one in processes if one["type"] == "renderer"))


def measured(browser: Browser, page: Page, address: str) -> dict[str, float]:
    """Times of some strokes on the page at an address, and how many programs wanted a processor meanwhile."""
    began = time.monotonic()
    page.goto(address)
    wait_until(page, "document.getElementById('stage').dataset.strokes !== undefined", seconds=PATIENCE)
    first = time.monotonic() - began
    wait_until(page, "document.getElementById('stage').dataset.state === 'complete'", seconds=PATIENCE)
    page.evaluate(PAUSE)
    box = page.locator("#stage").bounding_box()
    assert box is not None
    networks, strokes, spent = [], [], processor_seconds(browser)
    for number in range(1, RUNS + 1):
        began = time.monotonic()
        page.mouse.click(box["x"] + box["width"] * number / (RUNS + 2), box["y"] + box["height"] / 2)
        page.wait_for_function(
            f"document.getElementById('stage').dataset.strokes === '{number}'", polling=5, timeout=1000 * PATIENCE
        )
        strokes.append(time.monotonic() - began)
        networks.append(float(page.evaluate("document.getElementById('stage').dataset.milliseconds")))
    spent = processor_seconds(browser) - spent
    return {
        "first image s": first,
        "processor ms a stroke": 1000 * spent / RUNS,
        "network ms": median(networks),
        "least network ms": min(networks),
        "stroke ms": 1000 * median(strokes),
        "least stroke ms": 1000 * min(strokes),
        "longest pause ms": page.evaluate("window.pause"),
        "load": getloadavg()[0],
    }


def sizes(folder: Path, page: Path) -> dict[str, float]:
    """Megabytes that the page loads beyond the runtime, and the runtime."""
    own = sum(path.stat().st_size for path in (folder / page.parent / "paint").iterdir())
    return {
        "page MB": (own + (folder / page).stat().st_size) / 1e6,
        "runtime MB": sum(map(len, runtime_assets().values())) / 1e6,
    }


if __name__ == "__main__":
    segmenter = plugins.segmenter(SEGMENTER)
    rows = []
    for name, generator, layer in (
        ("scenes_pgan, layer6", "scenes_pgan", "layer6"),
        ("256 pixels, layer4", of_the_papers_size(), "layer4"),
    ):
        with tempfile.TemporaryDirectory() as out, sync_playwright() as play:
            began = time.process_time()
            painting = exported(generator, layer)
            seconds = time.process_time() - began
            folder = Path(out)
            shown = write_paint_site(folder, painting, "", segmenter)
            system = SYSTEM if Path(SYSTEM).exists() else None
            browser = play.chromium.launch(executable_path=system, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
            found = measured(browser, context.new_page(), f"{folder.as_uri()}/{shown}#p=wasm")
            browser.close()
            rows.append({"network": name, **found, **sizes(folder, shown), "export s": seconds})
    write("painting", rows)
