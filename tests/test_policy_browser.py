"""The Content-Security-Policy in a real browser: scripts of the site run, everything else does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from dissectreport.publish import serve
from dissectreport.report.export.single_file import single_file
from dissectreport.report.site.build import write_site
from dissectreport.report.site.fixed_comparison import write_comparison
from tests.support.browsers import open_page
from tests.support.dissections import example_dissection, with_interventions
from tests.support.tiers import extended

pytestmark = pytest.mark.browser
LAYER = "one/layer1/index.html"
FIXED = "compare/one-vs-two-layer1.html"
SINGLE = "single.html"
KINDS = (
    *("index.html", "compare.html", "one/index.html", LAYER, "one/layer1/table.html", "one/layer1/unit-1.html"),
    *("one/layer1/review.html", "one/concepts.html", "one/causes.html", "one/concepts/tree.html", "one/lookup.html"),
    *("one/trust.html", "one/methods.html", FIXED, SINGLE),
)


FEW = ("index.html", LAYER, "one/layer1/review.html", FIXED, SINGLE)
"""Those whose policies or scripts differ most."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("policy") / "site"
    for name, seed in (("one", 0), ("two", 1)):
        write_site(with_interventions(example_dissection(units=12, layers=1, name=name, seed=seed)), out)
    write_comparison(out, ["one", "two"])
    (out / SINGLE).write_bytes(single_file(with_interventions(example_dissection(units=12, layers=1)))[0])
    return out


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, serve.Changes]]:
    """The site at an address of this machine, whose pages listen for changes."""
    changes = serve.Changes()
    with serve.server(folder, 0, changes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", changes
        server.shutdown()
        thread.join()


def watched(page: Page) -> list[str]:
    """What the page complains of from now on."""
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    return trouble


@pytest.mark.parametrize("name", [name if name in FEW else extended(name) for name in KINDS])
def test_no_page_violates_its_policy_and_its_scripts_run(chromium: Browser, folder: Path, name: str) -> None:
    with open_page(chromium, folder, name) as page:  # fails on every line in the console
        theme = page.evaluate("document.documentElement.dataset.theme")
        page.click("[data-theme-toggle]")
        assert page.evaluate("document.documentElement.dataset.theme") not in (theme, None)
        page.click("[data-help-toggle]")
        page.click("#help button")
        assert page.evaluate("getComputedStyle(document.querySelector('.sr')).position") == "absolute"
        page.click("[data-theme-toggle]")


def test_no_served_page_violates_its_policy_and_it_hears_of_changes(chromium: Browser, folder: Path) -> None:
    page = chromium.new_page()
    with served(folder) as (address, changes):
        trouble = watched(page)
        for name in FEW:
            page.goto(f"{address}/{name}")
            page.click("[data-theme-toggle]")
        with page.expect_navigation():
            changes.notify()
        page.close()
    assert trouble == []


def test_charts_are_drawn_and_saved(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER, accept_downloads=True) as page:
        page.locator("[data-plot]").first.click()
        expect(page.locator(".main-svg").first).to_be_visible(timeout=30_000)
        # The library adds its rules to a style element of its own.
        assert page.evaluate("getComputedStyle(document.querySelector('.main-svg')).position") == "absolute"
        with page.expect_download() as saved:
            page.locator("[data-save]").first.click()
        assert saved.value.suggested_filename.endswith(".svg")


INJECTED = (
    "<img src=x onerror='window.ran = 1'>",
    "<svg onload='window.ran = 1'></svg>",
    "<a id=go href='javascript:window.ran = 1'>go</a>",
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    "<script>window.ran = 1</script>",
    "<script src='data:text/javascript,window.ran=1'></script>",
    "<script src='https://evil.example/x.js'></script>",
    "<img src='https://evil.example/x.gif'>",
    "<base href='https://evil.example/'>",
    "<form id=form action='https://evil.example/'></form>",
    "<style>@import 'https://evil.example/x.css'; body { display: none }</style>",
)


@pytest.mark.parametrize("name", ["index.html", FIXED, SINGLE])
def test_markup_that_slipped_into_a_page_does_nothing(chromium: Browser, folder: Path, name: str) -> None:
    text = (folder / name).read_text("utf-8")
    hurt = folder / f"{Path(name).parent}/hurt-{Path(name).name}"
    hurt.write_text(text.replace('<main id="main"', f'{"".join(INJECTED)}<main id="main"', 1), "utf-8")
    page = chromium.new_page()
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route("https://evil.example/**", refuse)
    page.goto(hurt.as_uri())
    page.evaluate("document.getElementById('go').click(); document.getElementById('form').submit()")
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None and page.url == hurt.as_uri()
    assert asked == []
    assert page.locator("main").is_visible()
    page.close()
    hurt.unlink()
