"""Time to draw a layer of 512 units, what a browser fetches until it shows the top of its pages, and how fast units are
sorted and filtered there.

Bytes are those that GitHub Pages would send: text compressed, everything else as it is. Images far below the top are
fetched when they are scrolled to.
"""

from __future__ import annotations

import tempfile
import threading
from os import getloadavg
from pathlib import Path
from statistics import median
from typing import Any

from common import processor_seconds, write
from playwright.sync_api import Browser, CDPSession, Response, sync_playwright

from dissectreport.publish.serve import server
from dissectreport.report.site.build import write_site
from tests.support.browsers import browser_path, compressed_size
from tests.support.dissections import example_dissection

RUNS = 5
PAGES = ("index.html", "planted/index.html", "planted/layer1/index.html", "planted/layer1/unit-0.html", "compare.html")

LAYER = PAGES[2]
CHANGE = """async ([id, value]) => {
  const field = document.getElementById(id);
  const began = performance.now();
  field.value = value;
  ["input", "change"].forEach((name) => field.dispatchEvent(new Event(name, { bubbles: true })));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now() - began;
}"""
CHANGES = (("sort", "unit"), ("sort", "lift"), ("iou", "0.2"), ("iou", ""), ("q", "1"), ("q", ""), ("sort", ""))
"""Fields of the layer's page, and what is chosen there, one after another."""


def changed(browser: Browser, address: str) -> list[dict[str, Any]]:
    """For each choice, milliseconds until the frame that shows it, and of the page's own thread, which depends little
    on what else the machine does: medians of several visits, and the least.
    """
    times: list[list[tuple[float, float]]] = []
    for _ in range(RUNS):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(address, wait_until="load")
        page.wait_for_timeout(500)
        visit = []
        for change in CHANGES:
            before = _busy(session)
            shown = float(page.evaluate(CHANGE, list(change)))
            visit.append((shown, 1000 * (_busy(session) - before)))
        times.append(visit)
        page.close()
    return [
        {
            "change": f"{field}: {value or '–'}",
            "processor ms": median(busy for _, busy in each),
            "least processor ms": min(busy for _, busy in each),
            "ms": median(shown for shown, _ in each),
            "least ms": min(shown for shown, _ in each),
            "load": getloadavg()[0],
        }
        for (field, value), each in zip(CHANGES, zip(*times, strict=True), strict=True)
    ]


def _busy(session: CDPSession) -> float:
    """Seconds of processor time that the page's thread has worked."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def seen(browser: Browser, address: str) -> dict[str, float]:
    """What a page fetches until half a second after it is loaded, and how long loading takes."""
    times = []
    for _ in range(RUNS):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        answers: list[Response] = []
        page.on("response", answers.append)
        page.goto(address, wait_until="load")
        times.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        page.wait_for_timeout(500)
        first = sum(compressed_size(one) for one in answers if one.status == 200)
        page.close()
    return {"first view KB": first / 1e3, "requests": len(answers), "load ms": median(times)}


if __name__ == "__main__":
    dissection = example_dissection(units=512, layers=1)
    with tempfile.TemporaryDirectory() as out:
        seconds = processor_seconds(lambda: write_site(dissection, Path(out)), 1)
        written = write_site(dissection, Path(out))
        served = server(Path(out), 0, None)
        threading.Thread(target=served.serve_forever, daemon=True).start()
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
            found = {name: seen(browser, f"http://127.0.0.1:{served.server_port}/{name}") for name in PAGES}
            changes = changed(browser, f"http://127.0.0.1:{served.server_port}/{LAYER}")
            browser.close()
        served.shutdown()
        drawn = {"units": 512, "render s": seconds, "files": written.files, "site MB": written.bytes / 1e6}
        rows = [
            {
                "page": name,
                "page KB": (Path(out) / name).stat().st_size / 1e3,
                **row,
                **drawn,
            }
            for name, row in found.items()
        ]
    write("render", rows)
    write("sorting", changes)
