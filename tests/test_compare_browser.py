"""Comparing in a real browser: the same words as on the page without scripts, addresses, keys, and what goes wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dissectreport.analysis.comparison.profiles import Estimate
from dissectreport.report.common.site_options import DETAILS, SiteSettings, with_detail
from dissectreport.report.compare.charts import ConceptLanes, Lane, lane, row_axis, rows_chart
from dissectreport.report.compare.live_files import FOLDER
from dissectreport.report.html.assets import style_alone
from dissectreport.report.site.build import write_site
from dissectreport.report.site.fixed_comparison import write_comparison
from dissectreport.report.site.summaries import read_summaries
from tests.support.browsers import assert_fits, assert_no_violation, open_page, wait_until
from tests.support.dissections import example_dissection, with_interventions
from tests.support.tiers import extended
from tests.support.variants import of_training, under_rule, with_concept_renamed, with_hostile_names, with_quality

pytestmark = pytest.mark.browser

LIVE = "compare.html"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints with causes and quality, a larger model of another vocabulary, and two odd ones."""
    out = tmp_path_factory.mktemp("browser") / "many models"
    one = example_dissection(units=12, name="one")
    early = with_interventions(of_training(one, "drawn", 20_000))
    late = with_interventions(of_training(example_dissection(units=12, name="two", seed=1), "drawn", 60_000), seed=7)
    other = with_concept_renamed(example_dissection(units=16, layers=3, name="three", seed=2), "tree", "fir")
    apart = example_dissection(units=12, name="apart", seed=4)
    for concept in apart.vocabulary["concept"]:
        apart = apart if concept == "-" else with_concept_renamed(apart, concept, f"a {concept}")
    variant = of_training(
        example_dissection(units=12, name="variant", seed=3), "drawn", 60_000, "pixel norm, batch norm"
    )
    middle = of_training(example_dissection(units=12, name="middle", seed=5), "drawn", 40_000)
    for made in (with_quality(early, 0.2), with_quality(late, 0.1)):
        write_site(made, out)
    # Nobody opens the pages of the units of these.
    for made in (middle, other, under_rule(early, "pnas2020"), with_hostile_names(one), variant, apart):
        write_site(with_detail(made, DETAILS[-1]), out, settings=SiteSettings(DETAILS[-1]))
    return out


def fixed(many: Path, *models: str, layers: tuple[str, ...] = ()) -> str:
    """The address of the page without scripts."""
    return write_comparison(many, list(models), layers).index.relative_to(many).as_posix()


def address(*models: str) -> str:
    return LIVE + "#" + "&".join(f"m={one}" for one in models)


def ready(page: Page) -> None:
    page.wait_for_selector("#summary li")


def content(page: Page) -> dict[str, Any]:
    """All that a page says: sentences, warnings, and the tables behind its charts."""
    texts = "found => found.map(e => (e.innerText ?? e.textContent).trim().replace(/\\s+/g, ' '))"
    parts: dict[str, Any] = {
        name: page.locator(css).evaluate_all(texts)
        for name, css in (
            ("summary", "#summary h3, #summary li"),
            ("kinds", "#summary li.differs"),
            ("intervals", "#summary .key"),
            ("warnings", ".note"),
            ("headings", "main h2:not(.small)"),
            ("figures", "figcaption"),
            ("labels", "figure svg text"),
            ("places", "figure svg title, figure svg desc"),
        )
    }
    for one in ("concepts", "depth", "trend", "match", "quality"):
        parts[one] = page.locator(f"#{one} tr").evaluate_all(
            "rows => rows.map(row => Array.from(row.cells).map(cell => cell.innerText.trim().replace(/\\s+/g, ' ')))"
        )
    parts["drawn"] = page.locator("figure svg").evaluate_all(
        """found => found.map(svg => Array.from(svg.querySelectorAll("g[transform], line, rect, circle, path")).map(e =>
            e.tagName + " " + e.getAttribute("class") + " " +
            ["x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "width", "height", "d", "transform"]
                .map(name => (e.getAttribute(name) || "").replace(/-?[0-9.]+/g, v => Math.round(v))).join(" ")))"""
    )
    return parts


@pytest.mark.parametrize(
    "layers",
    [
        ("one/layer2", "two/layer2"),
        extended(("two/layer1", "one/layer2", "two/layer2")),
        extended(("one/layer1", "three/layer1")),
        extended(("two/layer1", "variant/layer1")),
        ("one/layer1", "one-pnas2020/layer1", "three/layer3", "two/layer1"),
        extended(("one/layer1", "one-pnas2020/layer1")),
        ("one/layer1", "apart/layer1"),
        extended(("one/layer1", "two/layer1", "one/layer2", "one-pnas2020/layer1")),
        ("middle/layer1", "two/layer1", "one/layer1"),
        extended(("one/layer1", "one/layer2")),
    ],
)
def test_the_live_page_and_the_fixed_page_say_and_draw_the_same(
    chromium: Browser, many: Path, layers: tuple[str, ...]
) -> None:
    pairs = [one.split("/") for one in layers]
    page_of = fixed(many, *(home for home, _ in pairs), layers=tuple(layer for _, layer in pairs))
    with open_page(chromium, many, page_of, java_script_enabled=False) as page:
        assert page.locator(".js:visible").count() == 0
        wanted = content(page)
    with open_page(chromium, many, address(*layers)) as page:
        ready(page)
        found = content(page)
    found["headings"] = [
        words for words in found["headings"] if words not in ("Keep this page", "Kept comparisons", "Models")
    ]
    found["warnings"] = [words for words in found["warnings"] if "needs scripts" not in words]
    for part, words in wanted.items():
        assert found[part] == words, part
    differ = {"three", "apart"} & {home for home, _ in pairs}
    assert bool(differ) == any("vocabularies differ" in words for words in wanted["figures"])
    three_checkpoints = len({"one", "middle", "two"} & {home for home, _ in pairs}) == 3
    assert three_checkpoints == any("training images" in words for words in wanted["summary"])
    if "apart/layer1" in layers:
        assert wanted["concepts"] == [] and "cannot be compared" in " ".join(wanted["summary"])
    else:
        assert len(wanted["summary"]) > 4 and len(wanted["concepts"]) > 8


@pytest.mark.parametrize(
    "name", ["index.html", address("one", "two"), extended(address("one", "two", "three/layer2")), extended("fixed")]
)
def test_pages_of_many_models_are_quiet_fit_every_screen_and_have_no_violation(
    chromium: Browser, many: Path, name: str
) -> None:
    where = fixed(many, "one", "two") if name == "fixed" else name
    with open_page(chromium, many, where) as page:
        if name.startswith(LIVE):
            ready(page)
        assert_fits(page)
        assert_no_violation(page)


def test_a_comparison_can_be_made_by_keyboard_alone(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("one/layer1", "two/layer1")) as page:
        ready(page)
        reach(page, "[data-focus=model-1]")
        page.keyboard.type("variant")
        expect(page.locator("#chosen .slot b").nth(1)).to_contain_text("variant")
        expect(page.locator("[data-focus=model-1]")).to_be_focused()
        reach(page, "[data-focus=layer-0]")
        page.keyboard.press("ArrowDown")
        page.wait_for_url("**/compare.html#m=*/layer2&m=variant/**")
        reach(page, "#add")
        page.keyboard.press("Enter")
        expect(page.locator("#chosen li")).to_have_count(3)
        reach(page, "#chosen li:nth-child(3) button")
        page.keyboard.press("Enter")
        expect(page.locator("#chosen li")).to_have_count(2)
        reach(page, "#depth-units-figure summary")
        page.keyboard.press("Enter")
        expect(page.locator("#depth-units-figure table")).to_be_visible()
        reach(page, "#concept")
        before = page.url
        page.keyboard.press("ArrowDown")
        page.wait_for_url(lambda url: url != before)
        expect(page.locator("#concept")).to_be_focused()
        reach(page, "#best a.card")
        page.keyboard.press("Enter")
        page.wait_for_url("**/unit-*.html")


def reach(page: Page, wanted: str) -> None:
    """Press Tab until the focus is on something."""
    for _ in range(200):
        if page.evaluate("css => document.activeElement.matches(css)", wanted):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} cannot be reached by Tab")


def test_words_at_the_end_of_a_row_lie_within_the_chart(chromium: Browser) -> None:
    words = "−26.5 [−30.9, −22.1]"
    parts = [lane(Estimate(value, value - 0.1, value + 0.1), 0.1, 0.0, 1.0) for value in (0.5, 0.2)]
    row = ConceptLanes("sky", (Lane(0, parts[0], "", False), Lane(1, parts[1], words, True)))
    axis = row_axis(0.0, 1.0, str)
    page = chromium.new_page()
    page.set_content(f"<style>{style_alone().decode()}</style>{rows_chart('one', 'Rows', 'A row.', [row], axis)}")
    page.evaluate("document.fonts.ready.then(() => null)")
    right, width = page.locator(f"text='{words}'").evaluate(
        "e => [e.getBBox().x + e.getBBox().width, e.ownerSVGElement.viewBox.baseVal.width]"
    )
    page.close()
    assert width - 40 < right <= width


def shown(page: Page) -> list[str]:
    """Model, rule and layer of every slot."""
    return page.locator("#chosen select").evaluate_all("found => found.map(e => e.selectedOptions[0].textContent)")


def test_the_address_keeps_the_choice_and_the_back_button_undoes_it(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("one/layer1", "two/layer1")) as page:
        ready(page)
        page.focus("[data-focus=layer-1]")
        page.select_option("[data-focus=layer-1]", "layer2")
        page.wait_for_url("**/compare.html#m=one/layer1&m=two/layer2**")
        expect(page.locator("[data-focus=layer-1]")).to_be_focused()
        page.select_option("[data-focus=rule-0]", label="pnas2020")
        page.wait_for_url("**/compare.html#m=one-pnas2020/layer1**")
        expect(page.locator("#notes")).to_contain_text("Different rules")
        chosen = shown(page)
        page.reload()
        ready(page)
        assert shown(page) == chosen == ["one", "pnas2020", "layer1", "two", "corrected", "layer2"]
        page.go_back()
        page.wait_for_url("**/compare.html#m=one/layer1&m=two/layer2**")
        expect(page.locator("#notes")).not_to_contain_text("Different rules")
        assert shown(page) == ["one", "corrected", "layer1", "two", "corrected", "layer2"]


def test_models_are_added_up_to_six_by_key_and_removed(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("one", "two")) as page:
        ready(page)
        page.select_option("#layer", "layer1")
        expect(page.locator("#chosen [data-focus^=layer]").last).to_have_value("layer1")
        assert set(shown(page)[2::3]) == {"layer1"}
        for number in range(3, 7):
            page.keyboard.press("a")
            expect(page.locator("#chosen li")).to_have_count(number)
        expect(page.locator("#add")).to_be_disabled()
        assert page.url.count("m=") == 6
        page.get_by_role("button", name="Remove").last.click()
        expect(page.locator("#chosen li")).to_have_count(5)
    with open_page(chromium, many, address(*["one"] * 8)) as page:
        ready(page)
        expect(page.locator("#notes")).to_contain_text("8 models were asked for; these are the first 6.")


def test_a_concept_is_shown_by_its_strongest_unit_in_each_model(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("one/layer2", "two/layer2")) as page:
        ready(page)
        page.select_option("#concept", label=page.locator("#concept option").nth(1).inner_text())
        page.wait_for_url("**&c=*")
        concept = page.locator("#concept").input_value().split("/")[1]
        cards = page.locator("#best .rival img[width='768']")
        assert cards.count() == 2
        assert concept in page.locator("#concept option:checked").inner_text()
        for card in page.locator("#best .nums").all():
            counts = [card.locator(kind).count() for kind in ("data.iou", ".ci", ".chance_level")]
            assert counts == [1, 1, 1]
        page.evaluate("document.querySelectorAll('img').forEach(e => e.loading = 'eager')")
        wait_until(page, "Array.from(document.images).every(e => e.complete && e.naturalWidth > 0)")
        page.locator("#best .card").first.click()
        page.wait_for_url("**/one/layer2/unit-*.html")


def test_without_pages_of_units_a_card_leads_to_the_unit_on_its_layer(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("middle/layer2", "variant/layer2")) as page:
        ready(page)
        page.locator("#best .card").first.click()
        page.wait_for_url("**/middle/layer2/index.html#u=*")


def test_models_and_layers_that_are_not_on_the_site_are_named(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("nobody", "one/layer9", "two")) as page:
        ready(page)
        expect(page.locator("#notes")).to_contain_text("There is no model nobody on this site.")
        expect(page.locator("#notes")).to_contain_text("There is no layer layer9 on the pages of one; ")
    with open_page(chromium, many, LIVE + "#m=%E0%A4%A&m=&c=%&x") as page:
        ready(page)
        assert page.locator("#chosen li").count() == 2


def test_damaged_data_of_a_model_is_reported(chromium: Browser, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    shutil.copytree(many, out)
    (out / FOLDER / "two" / "model.js").write_text("/* damaged */", "utf-8")
    with open_page(chromium, out, address("one", "two", "three")) as page:
        ready(page)
        expect(page.locator("#notes")).to_contain_text("The data of two cannot be read")
        assert page.locator("#chosen li").count() == 2


def test_names_that_are_markup_are_text(chromium: Browser, many: Path) -> None:
    strange = next(one.home for one in read_summaries(many) if one.home.startswith("b-x"))
    with open_page(chromium, many, address(strange, "one")) as page:
        ready(page)
        assert page.locator("main b b, #compared b:not(.tick-sign, .gauge b)").count() == 0
        assert "<b>x</b>" in page.inner_text("#chosen")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.reload()
        ready(page)


@pytest.mark.extended
def test_a_chart_of_the_live_page_leaves_as_an_svg(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, address("one", "two")) as page:
        ready(page)
        with page.expect_download() as download:
            page.click("[data-save=depth-units]")
        assert "rgb(" in download.value.path().read_text("utf-8")
        page.get_by_role("button", name="Copy link").click()
        expect(page.locator("#said")).to_contain_text("link copied; it opens only on this computer")


def test_many_models_are_searched_sorted_and_chosen(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, "index.html") as page:
        rows = page.locator("#models-table tbody tr:not([hidden])")
        assert rows.count() == 8
        page.fill("#q", "pnas")
        assert rows.count() == 1
        assert page.inner_text("#shown") == "1 of 8 models"
        page.reload()
        assert rows.count() == 1
        page.fill("#q", "")
        page.get_by_role("button", name="interpretable units all layers").click()
        shares = [float(words.split("%")[0]) for words in page.locator("#models-table td b").all_inner_texts()]
        assert shares == sorted(shares, reverse=True)
        for name in ("two", "three"):
            page.get_by_role("checkbox", name=re.compile(f"Compare {name}, ")).check()
        page.click("#compare")
        ready(page)
        assert "#m=two/" in page.url and "&m=three/" in page.url
        page.click("header .brand")
        page.click("#models-table th a >> text=three")
        page.click(".top summary >> text=more")
        page.click(".top nav >> text=compare")
        ready(page)
        assert page.url.split("#")[1].startswith("m=three/")


def test_models_are_listed_without_scripts(chromium: Browser, many: Path) -> None:
    with open_page(chromium, many, "index.html", java_script_enabled=False) as page:
        assert page.locator("#models-table tbody tr").count() == 8
        assert page.locator(".js:visible").count() == 0
        page.locator("p.key a").click()
        expect(page.locator("#models")).to_be_visible()
        expect(page.locator("#models .note")).to_contain_text("dissectreport compare")
        page.click("#models-table th a >> text=two")
        page.wait_for_url("**/two/index.html")


@pytest.mark.extended
@pytest.mark.parametrize("name", [address("one", "two"), extended("fixed")])
def test_a_comparison_prints_in_dark_ink(chromium: Browser, many: Path, name: str) -> None:
    with open_page(chromium, many, fixed(many, "one", "two") if name == "fixed" else name) as page:
        page.wait_for_selector("#summary li")
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.emulate_media(media="print")
        expect(page.locator("#summary li").first).to_be_visible()
        assert page.locator(".picker:visible, .chart-tools:visible").count() == 0
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 28, 30)"
