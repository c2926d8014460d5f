"""The site in a real browser: from a folder without a network, without scripts, and from a server."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Response, expect

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.publish.serve import server
from dissectreport.report.common.model import Site
from dissectreport.report.common.site_options import DETAILS, SiteSettings
from dissectreport.report.html import images
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.numbers import share, times
from dissectreport.report.html.places import Places
from dissectreport.report.site.build import write_site
from dissectreport.report.site.pages import layer_files, model_files, unit_files
from dissectreport.run.rules import RULES
from tests.support.browsers import assert_fits, assert_no_violation, compressed_size, open_page, wait_until
from tests.support.dissections import example_dissection, with_interventions
from tests.support.tiers import extended
from tests.support.variants import under_rule, widened

HOME = "planted/index.html"
LAYER = "planted/layer1/index.html"
UNIT = "planted/layer1/unit-1.html"
CAUSING = "planted/layer2/unit-1.html"
CAUSES = "planted/causes.html"
CONCEPT = "planted/concepts/tree.html"
KINDS = (
    "index.html",
    "compare.html",
    HOME,
    LAYER,
    "planted/layer1/table.html",
    UNIT,
    CAUSING,
    "planted/concepts.html",
    CAUSES,
    CONCEPT,
    "planted/concepts/green.html",
    "planted/map.html",
    "planted/lookup.html",
    "planted/trust.html",
    "planted/methods.html",
)
"""One page of each type."""
FURTHER = (CAUSING, "planted/concepts/green.html", "planted/methods.html")
"""Those that consist of what other pages have."""


pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "a site"
    write_site(with_interventions(example_dissection(units=24)), out)
    return out


def labels(page: Page) -> list[str]:
    """The names of the cards that are shown, in order."""
    shown = page.locator("#cards > .card:not([hidden]) .name")
    return [words.strip() for words in shown.all_text_contents()]  # Chromium renders no text far below the fold


def captions(page: Page) -> list[str]:
    """What the cards that are shown are called, with their labels in other categories."""
    return page.locator("#cards > .card:not([hidden]) .cap").all_text_contents()


def numbers(page: Page, css: str) -> list[float]:
    return [float(v) for v in page.locator(css).evaluate_all("found => found.map(e => e.value)")]


@pytest.mark.parametrize("name", [extended(name) if name in FURTHER else name for name in KINDS])
def test_every_page_is_quiet_fits_every_screen_and_has_no_violation(chromium: Browser, folder: Path, name: str) -> None:
    with open_page(chromium, folder, name) as page:
        assert_fits(page)
        assert_no_violation(page)


def write_layer(dissection: Dissection, out: Path) -> None:
    """The page of the first layer with the pictures of its units and all that it loads, without the units' pages."""
    assets, shared = load_assets()
    site = Site(dissection, Places.of(dissection), assets)
    bare = replace(site, settings=SiteSettings(replace(DETAILS[0], unit_pages=False)))
    units = unit_files(bare, 0, 0, dissection.layers[0].units)
    for name, content in {**shared, **model_files(site), **layer_files(site, 0), **units}.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)


SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => { shifts += entry.value; }))
  .observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("width", [390, extended(1440)])
def test_nothing_moves_while_a_page_loads(chromium: Browser, folder: Path, width: int) -> None:
    served = server(folder, 0, None)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    for name in KINDS:
        context = chromium.new_context(viewport={"width": width, "height": 900})
        context.add_init_script(SHIFTS)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{served.server_port}/{name}")
        for _ in range(4):
            page.mouse.wheel(0, 800)
            page.wait_for_timeout(50)
        page.evaluate("document.fonts.ready.then(() => null)")
        assert page.evaluate("shifts") < 0.02, name
        context.close()
    served.shutdown()


def test_a_layer_of_512_units_is_on_the_screen_for_400_kilobytes(chromium: Browser, tmp_path: Path) -> None:
    write_layer(example_dissection(units=512, layers=1), tmp_path)
    (tmp_path / "index.html").touch()
    served = server(tmp_path, 0, None)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(f"http://127.0.0.1:{served.server_port}/{LAYER}")
    page.wait_for_load_state("networkidle")
    sent = sum(map(compressed_size, answers))
    page.close()
    served.shutdown()
    assert len(answers) > 10 and sent < 400_000


@pytest.mark.parametrize("name", [HOME, extended("planted/concepts.html")])
def test_pages_of_many_layers_fit_a_phone_and_so_do_their_curves(chromium: Browser, tmp_path: Path, name: str) -> None:
    write_site(example_dissection(units=6, layers=5), tmp_path)
    with open_page(chromium, tmp_path, name, viewport={"width": 390, "height": 844}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        boxes = "found => found.map(e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right])"
        words = page.locator("#chart-units text, #chart-concepts text").evaluate_all(boxes)
        assert (len(words) > 10) == (name == HOME), "the charts are on the overview"
        assert all(left >= 17 and right <= 390 for left, right in words), "the page's margin"


def test_cards_sort_by_iou_and_the_address_remembers(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        page.select_option("#sort", "iou")
        shown = numbers(page, "#cards data.iou")
        assert shown == sorted(shown, reverse=True)
        assert page.url.endswith("#sort=iou")
        page.reload()
        assert numbers(page, "#cards data.iou") == shown


def test_filters_combine_and_the_back_button_undoes_them(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        every = labels(page)
        page.click("[data-category=object]")
        objects = labels(page)
        page.click("[data-sure]")
        assert 0 < len(labels(page)) <= len(objects) < len(every)
        page.go_back()
        assert labels(page) == objects
        page.go_back()
        assert labels(page) == every
        page.fill("#iou", "0.4")
        assert all(v >= 0.4 for v in numbers(page, "#cards > .card:not([hidden]) data.iou"))
        page.click("#clear")
        assert labels(page) == every


def test_search_finds_concepts_and_unit_numbers(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        page.fill("#q", "roof")
        assert 0 < len(labels(page)) < 24
        assert all("roof" in words for words in captions(page))
        page.fill("#q", "7")
        assert page.locator("#cards > .card:not([hidden]) .id").all_text_contents() == ["unit 7"]
        page.fill("#q", "nothing like it")
        expect(page.locator("#empty")).to_be_visible()
        assert page.inner_text("#shown") == "0 of 24 units"


def test_all_of_many_cards_show_the_label_that_is_asked_for_and_their_own_again(
    chromium: Browser, tmp_path: Path
) -> None:
    write_site(example_dissection(units=90, layers=1), tmp_path)
    with open_page(chromium, tmp_path, LAYER) as page:
        every = labels(page)
        page.click("[data-category=object]")
        shown = len(labels(page))
        assert shown > 48, "more than are written at once"
        written = "document.querySelectorAll('#cards > .card:not([hidden]) .corrected_iou').length"
        wait_until(page, f"{written} === {shown}")
        assert page.locator("#cards > .card:not([hidden]) .name > .sign-object").count() == shown
        page.click("#clear")
        wait_until(page, f"{written} === 0")
        assert labels(page) == every


def test_a_column_of_the_chart_leads_to_its_units(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        column = page.locator("a.column").first
        words = str(column.get_attribute("aria-label"))
        column.locator(".value").click()
        concept, units = words.split(": ")
        assert all(concept == words for words in labels(page))
        assert len(labels(page)) == int(units.split()[0])
        page.go_back()
        assert len(labels(page)) == 24


def test_a_card_asked_for_by_another_label_shows_that_labels_figures(chromium: Browser, folder: Path) -> None:
    table = example_dissection(units=24).layers[0].labels
    rows = table[table["interpretable"] & ~table["is_unit_label"]].set_index(["unit", "concept"])
    unit, concept = rows.index[0]
    one = rows.loc[(unit, concept)]
    with open_page(chromium, folder, LAYER) as page:
        nums, gauge = page.locator(f"#u{unit} .nums"), page.locator(f"#u{unit} .gauge")
        name = page.locator(f"#u{unit} .name")
        overall = name.text_content()
        before = nums.text_content(), gauge.inner_html()
        page.select_option("#c", concept)
        assert nums.locator("data.iou").evaluate("e => e.value") == f"{one.iou:.4f}"
        told = f"IoU {share(one.iou)} [{share(one.iou_low)}, {share(one.iou_high)}] chance {share(one.chance_level)}"
        threshold = float(f"{one.threshold:.3g}")
        more = f"chance-corrected {share(one.corrected_iou)}threshold {threshold:g}lift {times(one.lift)}"
        assert nums.text_content() == f"{told}{more}{one.kind}"
        assert name.text_content() == concept
        assert page.locator(f"#u{unit} .overall").text_content() == f"overall label {overall}"
        assert gauge.locator("i").get_attribute("class") == f"fill-{one.category}"
        expect(page.locator("#others")).to_be_visible()
        for card in page.locator("#cards > .card:not([hidden]) .nums").all():
            counts = [card.locator(kind).count() for kind in ("data.iou", ".ci", ".chance_level")]
            assert counts == [1, 1, 1]
        page.select_option("#sort", "iou")
        shown = numbers(page, "#cards > .card:not([hidden]) data.iou")
        assert shown == sorted(shown, reverse=True)
        page.fill("#iou", "0.2")
        assert all(v >= 0.2 for v in numbers(page, "#cards > .card:not([hidden]) data.iou"))
        page.click("#clear")
        assert (nums.text_content(), gauge.inner_html()) == before
        expect(page.locator("#others")).to_be_hidden()
        page.click(f"[data-category={one.category}]")
        assert nums.text_content() == f"{told}{more}{one.kind}"


def test_the_units_of_a_concept_are_those_that_are_counted_by_what_they_show_of_it(
    chromium: Browser, folder: Path
) -> None:
    layer = example_dissection(units=24).layers[0]
    counted = layer.labels[layer.labels["interpretable"]].copy()
    # Those of the overall label are made up apart from those of the same label in its category.
    overall = layer.table.set_index("unit")["selection_score"]
    counted["selection_score"] = counted["selection_score"].where(
        ~counted["is_unit_label"], counted["unit"].map(overall)
    )
    with open_page(chromium, folder, LAYER) as page:
        for concept, rows in counted.groupby("concept"):
            page.goto(f"{folder.as_uri()}/{LAYER}#c={concept}")
            shown = page.locator("#cards > .card:not([hidden])").evaluate_all("found => found.map(e => e.id)")
            assert sorted(shown) == sorted(f"u{unit}" for unit in rows["unit"])
            surest = dict(zip(rows["unit"], rows["selection_score"].round(4), strict=True))
            falling = [surest[int(name[1:])] for name in shown]
            assert falling == sorted(falling, reverse=True)
            listed = page.locator(f'#c option[value="{concept}"]').text_content()
            assert listed == f"{concept} ({len(rows)})"


def test_a_link_to_a_unit_and_a_link_to_a_view_both_work(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, f"{LAYER}#u=7") as page:
        expect(page.locator("#u7.here")).to_be_in_viewport()
    with open_page(chromium, folder, f"{LAYER}#cat=part&sort=unit") as page:
        units = [
            int(words.split()[1]) for words in page.locator("#cards > .card:not([hidden]) .id").all_text_contents()
        ]
        assert units == sorted(units)
        assert 0 < len(units) < 24


def test_the_keyboard_searches_steps_and_helps(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        page.keyboard.press("f")
        expect(page.locator("#q")).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        first = page.locator("#cards > .card").first
        expect(first).to_be_focused()
        page.keyboard.press("?")
        shown = page.inner_text("#help")
        for key in page.locator("[data-shortcut]").evaluate_all("found => found.map(e => e.dataset.shortcut[0])"):
            assert key in shown or key == "A"
        page.keyboard.press("?")
        page.keyboard.press("Enter")
        page.wait_for_url("**/unit-*.html")
        unit = page.url
        # A key that is pressed before the next page's script has run is lost.
        with page.expect_navigation():
            page.keyboard.press("ArrowRight")
        assert page.url != unit
        page.keyboard.press("u")
        page.wait_for_url("**/index.html#u=*")


def test_single_keys_can_be_switched_off(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        page.click("[data-help-toggle]")
        page.uncheck("#keys-on")
        page.keyboard.press("Escape")
        page.keyboard.press("f")
        expect(page.locator("#q")).not_to_be_focused()


def test_dark_follows_the_system_and_then_the_reader(chromium: Browser, folder: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with open_page(chromium, folder, UNIT, color_scheme="dark") as page:
        dark = page.evaluate(paper)
        page.click("[data-theme-toggle]")
        light = page.evaluate(paper)
        page.goto(f"{folder.as_uri()}/{LAYER}")
        assert page.evaluate(paper) == light != dark


def test_the_threshold_moves_the_numbers_and_the_masks(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, UNIT) as page:
        before = page.inner_text("#cut-out")
        page.focus("#slide")
        page.keyboard.press("Home")
        after = page.inner_text("#cut-out")
        assert before != after
        assert "on-fraction" in after
        assert "chance level" in after
        assert "[" in after
        assert [page.locator(f".ex-{kind} canvas").count() for kind in ("top", "middle", "random")] == [8, 4, 4]
        expect(page.locator(".ex-random .veil").first).to_be_hidden()
        painted = "canvas => canvas.getContext('2d').getImageData(0, 0, 256, 256).data.some(v => v > 0)"
        for kind in ("top", "middle", "random"):
            assert page.locator(f".ex-{kind} canvas").first.evaluate(painted)
        drawn = "canvas => canvas.toDataURL()"
        low = [one.evaluate(drawn) for one in page.locator(".ex-random canvas").all()]
        page.keyboard.press("End")
        assert low != [one.evaluate(drawn) for one in page.locator(".ex-random canvas").all()]
        page.click("#mask")
        expect(page.locator(".ex-top canvas").first).to_be_hidden()
        expect(page.locator(".ex-random .veil").first).to_be_hidden()


@pytest.mark.parametrize(("rule", "wide"), [extended("corrected", False), ("pnas2020", False), ("corrected", True)])
def test_masks_at_a_new_threshold_follow_the_rule_and_the_image(
    rule: str, wide: bool, chromium: Browser, tmp_path: Path
) -> None:
    made = under_rule(example_dissection(units=6, layers=1), rule)
    write_site(widened(made) if wide else made, tmp_path)
    (layer,), width = made.layers, 512 if wide else 256
    on = images.upsample(layer.examples.maps[2, :1], 256, width, RULES[rule].edge)[0] > layer.curves.thresholds[2, 0]
    with open_page(chromium, tmp_path, "planted/layer1/unit-2.html") as page:
        page.focus("#slide")
        page.keyboard.press("Home")
        pixels = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"
        found = np.array(page.locator(".ex-top canvas").first.evaluate(pixels)).reshape(256, width, 4)[..., 3]
        box = page.locator(".ex-top .picture").first.bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(width / 256, rel=0.02)
    assert (found[on] != 178).mean() > 0.99
    assert (found[~on] != 0).mean() > 0.99


def test_a_unit_can_be_linked_and_cited(chromium: Browser, folder: Path) -> None:
    copied = "window.copied = []; document.addEventListener('copy', () => copied.push(document.activeElement.value))"
    with open_page(chromium, folder, UNIT + "#masks=off") as page:
        page.evaluate(copied)
        page.click("main [data-copy-link]:first-of-type")
        expect(page.locator("#toast")).to_be_visible()
        unpublished = (
            "link copied; it opens only on this computer, because this page is not published; it shows masks off"
        )
        assert page.text_content("#toast") == page.text_content("#said") == unpublished
        page.click("text=Cite this unit")
        link, citation = page.evaluate("copied")
        assert link == f"{folder.as_uri()}/{UNIT}#masks=off"
        assert citation.startswith("layer1 unit 1 (")
        assert "planted · rule corrected" in citation
        assert citation.endswith(link)


def test_a_figure_is_saved_as_a_picture_with_its_caption(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, UNIT) as page:
        with page.expect_download() as saved:
            page.click("[data-save-png=chart-histogram]")
        with Image.open(saved.value.path()) as picture:
            assert picture.format == "PNG" and picture.width == 2 * (560 + 24) and picture.height > 2 * 250
            assert len(picture.convert("L").resize((64, 64)).getcolors() or []) > 8


def test_a_unit_and_a_figure_are_embedded_alone_and_a_figure_is_cited(chromium: Browser, folder: Path) -> None:
    copied = "window.copied = []; document.addEventListener('copy', () => copied.push(document.activeElement.value))"
    with open_page(chromium, folder, UNIT) as page:
        page.evaluate(copied)
        page.click("[data-cite=chart-histogram-figure]")
        page.click("[data-embed-code=unit]")
        entry, code = page.evaluate("copied")
        assert entry.startswith("@misc{") and f"{UNIT}#chart-histogram-figure" in entry
        assert f'src="{folder.as_uri()}/{UNIT}#embed=unit"' in code
    for part, shown, hidden in (
        ("unit", "h1", "#chart-histogram-figure"),
        ("chart-histogram-figure", "#chart-histogram", "h1"),
    ):
        with open_page(chromium, folder, f"{UNIT}#embed={part}") as page:
            expect(page.locator(shown)).to_be_visible()
            for other in (hidden, "header.top", "footer", ".ranks"):
                expect(page.locator(other)).to_be_hidden()
            assert page.locator(".whole").get_attribute("href") == f"{folder.as_uri()}/{UNIT}"


def test_a_link_shows_the_same_threshold_masks_wipe_and_order(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, UNIT) as page:
        page.focus("#slide")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.click("#mask")
        shown, masks = page.inner_text("#cut-out"), page.get_attribute("#examples", "class")
        assert "threshold=" in page.url and "masks=off" in page.url
        page.reload()
        assert (page.inner_text("#cut-out"), page.get_attribute("#examples", "class")) == (shown, masks)
    with open_page(chromium, folder, CONCEPT) as page:
        page.focus("#wipe")
        page.keyboard.press("Home")
        page.reload()
        assert off(page) == "0%"
    with open_page(chromium, folder, "planted/layer1/table.html") as page:
        page.get_by_role("button", name="lift", exact=True).click()
        first = page.text_content("tbody tr:first-child")
        assert page.url.endswith("#order=-lift")
        page.reload()
        assert page.text_content("tbody tr:first-child") == first


def test_what_is_chosen_of_a_layer_is_on_the_screen(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER, viewport={"width": 1440, "height": 900}) as page:
        page.evaluate("document.querySelector('.filters').scrollIntoView({ block: 'end' })")
        page.select_option("#c", index=1)
        expect(page.locator("#cards > .card:not([hidden])").first).to_be_in_viewport(ratio=0.9)
        page.click("#clear")
        page.locator("#cards > .card").last.scroll_into_view_if_needed()
        expect(page.locator("#q")).to_be_in_viewport()
        page.fill("#q", "roof")
        expect(page.locator("#cards > .card:not([hidden])").first).to_be_in_viewport(ratio=0.9)


def test_tables_sort_and_say_so(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, "planted/layer1/table.html") as page:
        page.get_by_role("button", name="IoU", exact=True).click()
        shown = numbers(page, "tbody data.iou")
        assert shown == sorted(shown, reverse=True)
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="IoU", exact=True).click()
        assert numbers(page, "tbody data.iou") == shown[::-1]


def off(page: Page) -> str:
    """How much of the image is shown without the units."""
    return str(page.evaluate("document.getElementById('compare').style.getPropertyValue('--off')"))


def test_the_keyboard_compares_with_and_without(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, CONCEPT) as page:
        assert off(page) == "50%"
        page.keyboard.press("l")
        expect(page.locator("#wipe")).to_be_focused()
        page.keyboard.press("ArrowRight")
        assert off(page) == "55%"
        page.keyboard.press("Home")
        assert off(page) == "0%"
        page.keyboard.press("m")
        assert off(page) == "100%"
        expect(page.locator("#flip")).to_have_attribute("aria-pressed", "true")
        over = page.locator(".wipe .over").first
        assert over.evaluate("e => getComputedStyle(e).clipPath") == "inset(0px 0% 0px 0px)"
        page.click("#flip")
        assert off(page) == "0%"


def test_a_pointer_wipes_where_it_is(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, CONCEPT) as page:
        box = page.locator("[data-wipe]").first.bounding_box()
        assert box is not None
        page.locator("[data-wipe]").first.click(position={"x": box["width"] * 0.25, "y": box["height"] / 2})
        assert off(page) == "25%"


def test_the_comparison_opens_on_the_image_that_changes_most(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, CONCEPT) as page:
        percent = "found => found.map(e => parseFloat(e.textContent))"
        areas = page.locator(".ablated figcaption b").evaluate_all(percent)
        lost = [before - after for before, after in zip(areas[::2], areas[1::2], strict=True)]
        pressed = page.locator(".thumbs button").evaluate_all("found => found.map(e => e.getAttribute('aria-pressed'))")
        assert pressed.index("true") == lost.index(max(lost))
        shown = page.locator("[data-show=after]").get_attribute("src")
        assert shown == page.locator(".ablated [data-part=after]").nth(lost.index(max(lost))).get_attribute("src")


def test_an_image_to_compare_has_an_address(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, CONCEPT) as page:
        thumbs = page.locator(".thumbs button")
        thumbs.nth(2).click()
        shown = page.locator("[data-show=after]").get_attribute("src")
        assert shown == page.locator(".ablated [data-part=after]").nth(2).get_attribute("src")
        address = page.url
        assert "#s=" in address
        page.reload()
        expect(thumbs.nth(2)).to_have_attribute("aria-pressed", "true")
        assert page.locator("[data-show=after]").get_attribute("src") == shown


def test_a_concept_is_complete_without_scripts(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, CAUSES, java_script_enabled=False) as page:
        with page.expect_navigation():
            page.click(".studied a >> text=tree")
        expect(page.locator(".js:visible")).to_have_count(0)
        page.locator("#with-without summary").click()
        expect(page.locator(".ablated img").first).to_be_visible()
        expect(page.locator("#chart-curves")).to_be_visible()
        expect(page.locator("#removal > .scroll table")).to_be_visible()


def test_what_an_address_names_is_unfolded(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, "planted/methods.html#dictionary") as page:
        expect(page.locator("#dictionary table")).to_be_visible()
        expect(page.locator("#dictionary-causes table")).to_be_hidden()
        page.evaluate("location.hash = 'dictionary-causes'")
        expect(page.locator("#dictionary-causes table")).to_be_visible()


@pytest.mark.parametrize("name", [LAYER, extended("planted/concepts.html"), extended(CONCEPT)])
def test_plotly_comes_only_when_asked_for(chromium: Browser, folder: Path, name: str) -> None:
    with open_page(chromium, folder, name) as page:
        assert page.evaluate("typeof window.Plotly") == "undefined"
        page.click("[data-plot] >> nth=0")
        page.wait_for_selector(".plotly-host .main-svg")
        colours = page.evaluate("JSON.stringify(document.querySelector('.plotly-host').data)")
        assert "var(--" not in colours


def test_a_chart_leaves_as_an_svg_that_stands_alone(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        with page.expect_download() as download:
            page.click("[data-save=chart-bars]")
        text = download.value.path().read_text("utf-8")
        assert download.value.suggested_filename.endswith(".svg")
        assert 'xmlns="http://www.w3.org/2000/svg"' in text
        assert "rgb(" in text
        assert "<title" in text


def test_a_point_of_an_image_leads_to_units(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, "planted/lookup.html") as page:
        page.wait_for_selector("#found li")
        first = page.locator("#found a").evaluate_all("found => found.map(e => e.href)")
        page.click("[data-layer='1']")
        page.locator("#stage").click(position={"x": 30, "y": 30})
        wait_until(page, "first => document.querySelector('#found a').href !== first", first[0])
        assert "layer=layer2" in page.url
        assert "at=" in page.url
        address = page.url
        page.reload()
        assert page.url == address
        page.hover("#found a")
        page.click("#found a")
        page.wait_for_url("**/layer2/unit-*.html")


def test_tables_images_and_links_work_without_scripts(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, HOME, java_script_enabled=False) as page:
        with page.expect_navigation():
            page.click("h3 >> text=layer1")
        assert page.locator("#cards > .card").count() == 24
        expect(page.locator(".js:visible")).to_have_count(0)
        with page.expect_navigation():
            page.locator("#cards > .card").first.click()
        page.locator("main summary").first.click()
        expect(page.locator("main details table").first).to_be_visible()
        page.goto(f"{folder.as_uri()}/planted/lookup.html")
        assert page.locator(".lookrow a").count() > 5


def test_images_are_lazy_and_all_of_them_load(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, LAYER) as page:
        assert page.locator("#cards img:not([loading=lazy])").count() == 0
        page.evaluate("document.querySelectorAll('img').forEach(e => e.loading = 'eager')")
        wait_until(page, "Array.from(document.images).every(e => e.complete && e.naturalWidth > 0)")


class Quiet(SimpleHTTPRequestHandler):
    """A server without a log."""

    def log_message(self, *_: Any) -> None:
        pass


def test_the_site_works_from_a_sub_folder_of_a_server(chromium: Browser, folder: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    top = f"http://127.0.0.1:{server.server_port}/a%20site/"
    page = chromium.new_page()
    failed: list[str] = []
    page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
    page.on("request", lambda r: None if r.url.startswith((top, "data:")) else failed.append(r.url))
    try:
        page.goto(top)
        page.click("h2 a")
        page.click("h3 >> text=layer2")
        page.locator("#cards > .card").first.click()
        page.wait_for_url("**/a%20site/planted/layer2/unit-*.html")
        page.wait_for_load_state("networkidle")
        assert failed == []
    finally:
        page.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", [extended(HOME), extended(LAYER), UNIT, extended(CONCEPT)])
def test_a_page_prints_its_content_in_dark_ink(chromium: Browser, folder: Path, name: str) -> None:
    with open_page(chromium, folder, name) as page:
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.emulate_media(media="print")
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".filters, .cut, .top").first).to_be_hidden()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 28, 30)"


@pytest.mark.parametrize("name", [CONCEPT, extended("planted/methods.html")])
def test_the_tab_of_a_page_is_on_the_screen_of_a_phone(chromium: Browser, folder: Path, name: str) -> None:
    """Or the menu in which it is."""
    with open_page(chromium, folder, name, viewport={"width": 390, "height": 844}) as page:
        tab = page.locator(".top .wrap > nav [aria-current], .top summary.here").first
        expect(tab).to_be_in_viewport(ratio=0.9)
