"""When pages show something on a slow connection: 1.6 Mbit a second, 40 ms of delay, text compressed as by GitHub.

python benchmarks/first_view.py [SITE]     # a site that was built; without it, one of a synthetic model is

First contentful paint, largest contentful paint and layout shift are those of Chromium on the screen of a laptop, in a
new context for each visit, so that nothing is cached; medians of three visits.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO

from common import write
from playwright.sync_api import Browser, sync_playwright

from dissectreport.report.site.build import write_site
from tests.support.browsers import TEXT, browser_path
from tests.support.dissections import example_dissection, with_interventions

RUNS = 3
NETWORK = {"offline": False, "latency": 40, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.8e6 / 8}
WATCH = """window.seen = { largest: 0, shift: 0 };
new PerformanceObserver((list) => list.getEntries().forEach((one) => { seen.largest = one.startTime; }))
  .observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => list.getEntries().forEach((one) => { seen.shift += one.value; }))
  .observe({ type: "layout-shift", buffered: true });"""
FIRST = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
KINDS = {
    "models": "index.html",
    "overview": "*/index.html",
    "layer": "*/layer*/index.html",
    "unit": "*/layer*/unit-*.html",
    "concept": "*/concepts/*.html",
    "concepts": "*/concepts.html",
    "map": "*/map.html",
    "causes": "*/causes.html",
    "artifacts": "*/artifacts.html",
    "paint": "*/paint.html",
    "compare": "compare.html",
    "methods": "*/methods.html",
}
"""Kinds of pages, and where they are in a site."""


class _Compressed(SimpleHTTPRequestHandler):
    """Sends text compressed."""

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        kind = self.guess_type(path)
        if not path.is_file() or not kind.startswith((*TEXT, "text/javascript")):
            return super().send_head()
        content = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Encoding", "gzip"),
            ("Content-Length", str(len(content))),
        ):
            self.send_header(name, value)
        self.end_headers()
        found: BinaryIO = BytesIO(content)
        return found


class _Server(ThreadingHTTPServer):
    """Says nothing of pages that were closed before all of their files had come."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def visited(browser: Browser, address: str) -> dict[str, float]:
    """Times of one visit, in seconds, and how far the page moved."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", NETWORK)
    page.goto(address, wait_until="load", timeout=120_000)
    page.wait_for_timeout(500)
    found = {
        "first paint s": page.evaluate(FIRST) / 1000,
        "largest paint s": page.evaluate("seen.largest") / 1000,
        "layout shift": page.evaluate("seen.shift"),
    }
    context.close()
    return found


def measured(site: Path) -> list[dict[str, Any]]:
    """A row for each kind of page that a site has."""
    served = _Server(("127.0.0.1", 0), partial(_Compressed, directory=str(site)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    rows: list[dict[str, Any]] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        for kind, pattern in KINDS.items():
            name = next((path.relative_to(site) for path in sorted(site.glob(pattern))), None)
            if name is not None:
                visits = [visited(browser, f"http://127.0.0.1:{served.server_port}/{name}") for _ in range(RUNS)]
                rows.append({"page": kind, **{key: median(one[key] for one in visits) for key in visits[0]}})
        browser.close()
    served.shutdown()
    return rows


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write("first_view", measured(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as out:
            write_site(with_interventions(example_dissection(units=128)), Path(out))
            write("first_view", measured(Path(out)))
