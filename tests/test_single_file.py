"""The report as one file: it opens from a folder, asks for nothing, can be read without scripts, and stays small."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from dissectreport.errors import OutputError
from dissectreport.report.common.model import Site
from dissectreport.report.export import single_file as single
from dissectreport.report.export.bundle import key_of
from dissectreport.report.export.single_file import SIZES, single_file
from dissectreport.report.site.gather import gather
from tests.support.dissections import example_dissection, with_interventions
from tests.support.pictures import random_pixels
from tests.support.sites import Page as Parsed
from tests.support.variants import HOSTILE, with_hostile_names


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content, left_out = single_file(with_interventions(example_dissection(units=12)))
    assert left_out == ""
    path = tmp_path_factory.mktemp("one") / "a report.html"
    path.write_bytes(content)
    return path


@contextmanager
def opened(browser: Browser, path: Path, anchor: str = "", **options: Any) -> Iterator[Page]:
    """The file alone; whatever it asks for or says fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    context.set_default_timeout(8000)
    trouble: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    own = ("data:", path.as_uri())
    page.on("request", lambda r: trouble.extend(() if r.url.startswith(own) else (f"request: {r.url}",)))
    page.goto(path.as_uri() + anchor)
    yield page
    context.close()
    assert trouble == []


def shown(page: Page) -> list[str]:
    return page.locator(".leaf:not([hidden]) h1").all_text_contents()


@pytest.mark.browser
def test_its_pages_are_reached_by_the_address_and_the_back_button(chromium: Browser, report: Path) -> None:
    with opened(chromium, report) as page:
        assert shown(page) == ["planted"]
        page.click(".top nav a:text-is('layer2')")
        assert shown(page) == ["layer2"] and page.url.endswith("#layer2:")
        assert page.locator(".top nav a[aria-current=page]").all_text_contents() == ["layer2"]
        page.click(".top nav a:text-is('causal effects')")
        page.locator(".leaf:not([hidden]) a[href^='#concepts:'] >> visible=true").first.click()
        assert "#concepts:" in page.url
        page.go_back()
        page.go_back()
        assert shown(page) == ["layer2"] and page.title() == "layer2 · planted · dissectreport"
    with opened(chromium, report, "#layer1:-u7") as page:
        assert shown(page) == ["layer1"]
        expect(page.locator("[id='layer1:-u7']")).to_be_in_viewport()
    with opened(chromium, report, "#%E0%A4%A") as page:
        assert shown(page) == ["planted"], "an address that is none"


@pytest.mark.browser
def test_units_can_be_searched_and_a_chart_leads_to_those_of_its_concept(chromium: Browser, report: Path) -> None:
    with opened(chromium, report, "#layer1:") as page:
        cards = page.locator(".leaf:not([hidden]) .card[id]")
        visible = page.locator(".leaf:not([hidden]) .card[id]:not([hidden])")
        assert cards.count() == visible.count() == 12
        page.fill(".leaf:not([hidden]) input[type=search]", "7")
        assert visible.locator(".id").all_text_contents() == ["unit 7"]
        page.fill(".leaf:not([hidden]) input[type=search]", "")
        column = page.locator(".leaf:not([hidden]) a.column").first
        concept, count = str(column.get_attribute("aria-label")).split(": ")
        column.locator(".value").click()
        assert page.input_value(".leaf:not([hidden]) input[type=search]") == concept
        assert visible.count() >= int(count.split()[0])
        assert all(concept in words for words in visible.locator(".cap").all_text_contents())


@pytest.mark.browser
def test_without_scripts_everything_can_be_read(chromium: Browser, report: Path) -> None:
    with opened(chromium, report, java_script_enabled=False) as page:
        titles = page.locator("h1").all_inner_texts()
        assert [words.split("\n")[0] for words in titles[:4]] == ["planted", "layer1", "layer2", "Concepts"]
        expect(page.locator("h1", has_text="Methods & data")).to_be_visible()
        expect(page.get_by_role("searchbox")).to_have_count(0)
        page.click(".top nav a:text-is('segmenter')")
        expect(page.locator("h1", has_text="The segmenter")).to_be_in_viewport()


def test_every_anchor_is_there_once_and_nothing_leads_out(report: Path) -> None:
    elements = Parsed(report.read_text("utf-8")).elements
    anchors = Counter(a["id"] for _, a, _, _ in elements if "id" in a)
    assert {name for name, times in anchors.items() if times > 1} == set()
    for tag, attributes, _, _ in elements:
        for name in ("href", "src", "poster", "data-plotly"):
            address = attributes.get(name, "#main")
            assert address.startswith(("#", "data:")), (tag, address[:80])
            assert not address.startswith("#") or address[1:] in anchors, (tag, address)
        for name in ("for", "aria-labelledby", "aria-describedby", "data-save", "data-copy"):
            assert set(attributes.get(name, "").split()) <= set(anchors), (tag, name)
        assert tag != "script" or not attributes
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9._:-]*", name) for name in anchors), "names of XML"


def test_no_two_pages_have_the_same_anchor() -> None:
    pages = [
        "index",
        "index/index",
        "_0/index",
        "0/index",
        "concepts",
        "concepts/x",
        "concepts.x/index",
        "a/index",
        "a",
    ]
    keys = [key_of(f"{page}.html") for page in pages]
    assert len(set(keys)) == len(pages)
    assert keys[:4] == ["index", "index:", "__0:", "_0:"]


def test_every_picture_of_it_is_an_image(report: Path) -> None:
    found = {a["src"] for tag, a, _, _ in Parsed(report.read_text("utf-8")).elements if tag == "img"}
    assert len(found) > 30
    for address in found:
        kind, content = re.fullmatch(r"data:image/(\w+);base64,(.*)", address).groups()  # type: ignore[union-attr]
        assert Image.open(io.BytesIO(base64.b64decode(content))).format == kind.upper()


@pytest.mark.usefixtures("rendered_anew")
def test_the_same_dissection_gives_the_same_file(report: Path) -> None:
    assert single_file(with_interventions(example_dissection(units=12)))[0] == report.read_bytes()


def test_hostile_names_do_not_break_out(tmp_path: Path) -> None:
    content = single_file(with_hostile_names(example_dissection(units=6, layers=1)))[0].decode()
    assert "<b>x</b>" not in content and HOSTILE.partition("/")[0].replace("<", "&lt;").replace(">", "&gt;") in content


def test_what_is_too_large_shrinks_step_by_step_and_is_refused_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    made = example_dissection(units=64, layers=1)
    pixels = random_pixels((*made.pictures.pixels.shape[:1], 128, 128, 3))
    found = replace(made, pictures=replace(made.pictures, pixels=pixels), trust=())
    gathered: list[dict[str, bytes]] = []

    def once(site: Site, progress: Any) -> dict[str, bytes]:
        if not gathered:
            gathered.append(gather(site))
        return gathered[0]

    monkeypatch.setattr(single, "gather", once)
    whole, nothing = single_file(found, 25)
    less, half = single_file(found, 1)
    assert (nothing, half) == ("", SIZES[1].left_out)
    assert len(whole) > 10**6 >= len(less)
    assert half in less.decode() and "To limit its size" not in whole.decode()
    monkeypatch.setattr(single, "SIZES", (SIZES[0], SIZES[2]))
    content, few = single_file(found, 1)
    cards = [
        a for _, a, _, _ in Parsed(content.decode()).elements if a.get("class", "").startswith("card") and "id" in a
    ]
    assert few == SIZES[2].left_out and len(cards) == SIZES[2].cards == 60
    monkeypatch.setattr(single, "SIZES", SIZES[:1])
    with pytest.raises(OutputError, match=r"takes more than the 1 MB of --cap: [\d.]+ MB as it is; measure fewer"):
        single_file(found, 1)
    assert single_file(found, 0)[0] == whole
