"""What comparisons cost on a site of 20 models: bytes of their files, time to add the last model, and the first view.

The models are synthetic: 4 layers of 512 units, a vocabulary of 336 concepts of which 60 have units, causal effects of
20 concepts, and image quality. Bytes are those on the disk, before compression.
"""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from common import write
from playwright.sync_api import Response, sync_playwright

from dissectreport.publish.serve import server
from dissectreport.report.compare.live_files import FOLDER
from dissectreport.report.site.build import write_home, write_site
from dissectreport.report.site.writing import SiteFolder
from tests.support.dissections import example_dissection

MODELS, LAYERS, UNITS, VOCABULARY, WITH_UNITS, STUDIED = 20, 4, 512, 336, 60, 20
SYSTEM = "/usr/bin/chromium"
"""The browser where there is one, else Playwright's own."""


def figure(random: np.random.Generator, value: float, width: float) -> list[float]:
    """A value with the ends of its interval."""
    return [
        round(v, 4) for v in (value, value - width * random.uniform(0.5, 1), value + width * random.uniform(0.5, 1))
    ]


def layer(random: np.random.Generator, number: int) -> dict[str, Any]:
    """A layer as a profile has it."""
    units = random.multinomial(UNITS // 2, random.dirichlet(np.ones(WITH_UNITS)))
    iou = np.clip(random.gamma(2, 0.06, UNITS), 0.01, 0.95)
    good = int(units.sum())
    counted = [[float(n), float(max(n - 2, 0)), float(n + 2)] for n in units]
    labels = np.repeat(np.arange(WITH_UNITS), units)
    return {
        "name": f"layer{number}",
        "folder": f"layer{number}",
        "units": UNITS,
        "size": [2 ** (number + 2)] * 2,
        "counts": {
            "measured": [[good, good - 12, good + 12], [WITH_UNITS, WITH_UNITS - 5, WITH_UNITS + 5]],
            "chance": [[4, 0, 8], [3, 0, 6]],
        },
        "categories": {"object": {"measured": [good, good - 12, good + 12], "chance": [4, 0, 8]}},
        "concepts": [[i, *counted[i], 0, 0, 1] for i in range(WITH_UNITS)],
        "spread": [[round(float(v), 3), round(float(v) / 6, 3), int(i < good)] for i, v in enumerate(iou)],
        "best": [
            [i, i, int(i < WITH_UNITS), *figure(random, 0.2, 0.03), 0.03, *figure(random, 0.17, 0.03), 6.2, [*range(6)]]
            for i in range(VOCABULARY)
        ],
        "labels": [*map(int, labels), *([-1] * (UNITS - good))],
        "mean_corrected_iou": figure(random, 0.2, 0.01),
    }


def profile(number: int) -> dict[str, Any]:
    """A model as its file has it."""
    random = np.random.default_rng(number)
    studied = [
        [i, "learned_mask", 20, *figure(random, 0.6, 0.03), *figure(random, 0.05, 0.01), *figure(random, 0.55, 0.03)]
        for i in range(STUDIED)
    ]
    return {
        "version": 2,
        "home": f"model-{number}",
        "tile": 128,
        "unit_ends": ["unit-", ".html"],
        "model": f"model-{number}",
        "title": f"Synthetic model {number}",
        "rule": "corrected",
        "seed": 1,
        "samples": 10_000,
        "held_out": 5_000,
        "grid": 64,
        "segmenter": ["unified", "unified-1"],
        "latents": [512],
        "training": ["synthetic", "", 10_000 * (number + 1), None],
        "concepts": [[f"concept {i}", "object", "object", 1, *figure(random, 0.02, 0.001)] for i in range(VOCABULARY)],
        "layers": [layer(random, i + 1) for i in range(LAYERS)],
        "causes": {"layer": "layer2", "samples": 4096, "effects": studied},
        "quality": ["inception, 5,000 images", [["kernel_distance", *figure(random, 0.1, 0.01), 1]]],
        "pictures": [*range(48)],
        "notes": [],
    }


def add(out: Path, number: int, summary: dict[str, Any]) -> float:
    """Add a model to the site; the processor seconds that it takes."""
    home = f"model-{number}"
    facts = {**summary, "home": home, "model": home, "title": f"Synthetic model {number}"}
    files = {"summary.json": facts | {"compare": f"{home}/data/compare.json"}, "data/compare.json": profile(number)}
    started = process_time()
    write_home(SiteFolder(out), home, {f"{home}/{name}": json.dumps(each).encode() for name, each in files.items()})
    return process_time() - started


def first_view(address: str) -> tuple[float, int]:
    """Kilobytes that the live page fetches until it shows a comparison of two models, and its requests."""
    with sync_playwright() as play:
        path = SYSTEM if Path(SYSTEM).exists() else None
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))
        page.goto(address)
        page.wait_for_selector("#summary li")
        kilobytes = sum(len(one.body()) for one in answers if one.status == 200) / 1e3
        browser.close()
    return kilobytes, len(answers)


def size(out: Path, pattern: str) -> float:
    """Megabytes of some files of comparisons."""
    return sum(path.stat().st_size for path in (out / FOLDER).glob(pattern)) / 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        write_site(example_dissection(units=6, layers=1, name="example"), out / "example")
        summary = json.loads((out / "example/example/summary.json").read_text("utf-8"))
        seconds = [add(out / "site", number, summary) for number in range(MODELS)]
        served = server(out / "site", 0, None)
        threading.Thread(target=served.serve_forever, daemon=True).start()
        kilobytes, requests = first_view(f"http://127.0.0.1:{served.server_port}/compare.html")
        served.shutdown()
        row = {
            "models": MODELS,
            "pairs MB": size(out / "site", "*/against/*.js"),
            "models MB": size(out / "site", "*/model.js") + size(out / "site", "*/layers/*.js"),
            "largest pair KB": max(p.stat().st_size for p in (out / "site" / FOLDER).glob("*/against/*.js")) / 1e3,
            "last model s": seconds[-1],
            "first view KB": kilobytes,
            "requests": requests,
        }
        write("comparisons", [row])
