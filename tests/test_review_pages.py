"""What people judge by eye, in a browser: units on a contact sheet, and images before and after; and real images."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dissectreport.report.artifacts.preference_page import Pairs, name_of, preference_images, preference_page
from dissectreport.report.common.model import Site
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.places import Places
from dissectreport.report.pages.real_images import real_page
from dissectreport.report.pages.real_images_chart import RatioRow, fraction, ratios
from dissectreport.report.site.build import write_site
from dissectreport.report.site.pages import preference_files
from dissectreport.review.marked_units import read_marks
from dissectreport.review.preferences import Preferred, read_choices
from tests.support.browsers import THEMES, open_page, violations
from tests.support.dissections import example_dissection, with_interventions, with_real_images
from tests.support.sites import broken_links
from tests.support.tiers import extended

SHEET = "planted/layer1/review.html"
BLIND = "planted/preference.html"
REAL = "planted/real.html"
EDIT = "5 units of <layer1> ablated"


def made_site() -> Site:
    found = with_real_images(with_interventions(example_dissection(units=12)))
    return Site(found, Places.of(found), load_assets()[0])


def made_pairs(site: Site, count: int = 10) -> Pairs:
    """Pairs of which the third does not change."""
    pictures = site.dissection.pictures
    before = pictures.pixels[:count]
    after = np.where(np.arange(count)[:, None, None, None] == 2, before, 255 - before)
    return Pairs(before, after, pictures.numbers[:count], EDIT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, site = tmp_path_factory.mktemp("by eye") / "a site", made_site()
    write_site(site.dissection, out)
    for name, content in preference_files(site, made_pairs(site)).items():
        (out / name).write_bytes(content)
    return out


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def serious(found: list[dict[str, Any]]) -> list[str]:
    """The elements with violations that matter to someone who uses the page."""
    return [v["nodes"][0]["html"] for v in found if v["impact"] in ("serious", "critical")]


def test_links_hold(folder: Path) -> None:
    assert broken_links(folder.resolve()) == []


@pytest.mark.browser
@pytest.mark.parametrize("name", [SHEET, BLIND, REAL])
def test_pages_are_quiet_fit_a_phone_and_have_no_serious_violation(chromium: Browser, folder: Path, name: str) -> None:
    with open_page(chromium, folder, name, viewport={"width": 390, "height": 844}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("a" if name == SHEET else "1")
        page.keyboard.press("a" if name == SHEET else "1")
        for theme in THEMES:
            assert serious(violations(page, theme)) == []
        if name == BLIND:
            page.click("#end")
            for theme in THEMES:
                assert serious(violations(page, theme)) == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, extended(1440)])
def test_both_images_of_a_pair_are_equally_wide_before_and_after_the_choice(
    chromium: Browser, folder: Path, width: int
) -> None:
    with open_page(chromium, folder, BLIND, viewport={"width": width, "height": 900}) as page:
        widths = "found => found.map(e => Math.round(e.getBoundingClientRect().width))"
        left, right = page.locator("#blind img").evaluate_all(widths)
        assert left == right > 100
        for key in "12":
            page.keyboard.press(key)
        page.click("#end")
        revealed = page.locator("#revealed img").evaluate_all(widths)
        assert len(revealed) == 4 and len(set(revealed)) == 1 and revealed[0] > 100


@pytest.mark.browser
def test_units_are_marked_by_keys_undone_kept_and_exported(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    with open_page(chromium, folder, SHEET, accept_downloads=True) as page:
        for key in ("j", "a", "f", "u", "a", "z", "f"):
            page.keyboard.press(key)
        assert page.inner_text("#marked") == "4 of 12 marked"
        page.reload()
        assert page.inner_text("#marked") == "4 of 12 marked"
        page.locator("#u7 [data-mark-as=artifact]").click()
        page.keyboard.press("n")
        assert page.locator(".sheet-card:not([hidden])").count() == 12 - 5
        page.click("[data-show=artifact]")
        assert page.locator(".sheet-card:not([hidden])").evaluate_all("all => all.map(e => e.id)") == ["u0", "u7"]
        path = saved(page, "#export", tmp_path)
    held = json.loads(path.read_text())
    assert held["marks"] == {"0": "artifact", "1": "fine", "2": "unsure", "3": "fine", "7": "artifact"}
    assert (held["model"], held["identity"]) == ("planted", "drawn-shapes-1")
    assert read_marks(path, ["layer1"], "drawn-shapes-1") == ("layer1", (0, 7))
    with open_page(chromium, folder, SHEET) as page:
        page.set_input_files("#import", path)
        expect(page.locator("#answer")).to_have_text(f"5 marks imported from {path.name}.")
        assert page.locator("#u7").get_attribute("data-mark") == "artifact"
        path.write_text(json.dumps({**held, "layer": "layer2"}))
        page.set_input_files("#import", path)
        expect(page.locator("#answer")).to_contain_text("marks of another layer (layer2")
        page.set_input_files("#import", {"name": "a.json", "mimeType": "text/plain", "buffer": b"no"})
        expect(page.locator("#answer")).to_contain_text("a.json is not JSON")


@pytest.mark.browser
def test_marks_of_one_layer_are_not_those_of_another_and_masks_come_off(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, SHEET) as page:
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.keyboard.press("m")
        assert page.locator("#u0 .whole img").count() == 6
        assert page.locator("#u0 .whole img").first.evaluate("e => e.decode().then(() => e.naturalWidth)") > 0
        expect(page.locator("#u0 .strip")).to_be_hidden()
        page.keyboard.press("]")
        page.wait_for_url("**/layer2/review.html")
        assert page.inner_text("#marked") == "0 of 12 marked"


@pytest.mark.browser
def test_without_storage_both_pages_work_and_say_what_is_lost(chromium: Browser, folder: Path) -> None:
    deny = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } });"
    for name, keys, where, told_there in ((SHEET, "ja", "#marked", "1 of"), (BLIND, "12", "#chosen", "2 of")):
        context = chromium.new_context()
        context.add_init_script(deny)
        page = context.new_page()
        page.goto(f"{folder.as_uri()}/{name}")
        for key in keys:
            page.keyboard.press(key)
        expect(page.locator("#lost")).to_be_visible()
        assert page.inner_text(where).startswith(told_there)
        context.close()


@pytest.mark.browser
def test_without_scripts_the_sheet_is_a_plain_contact_sheet(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, SHEET, java_script_enabled=False) as page:
        assert page.locator(".sheet-card img").count() == 12
        expect(page.locator("#marking")).to_be_hidden()
    with open_page(chromium, folder, BLIND, java_script_enabled=False) as page:
        expect(page.locator(".note").first).to_contain_text("This page needs scripts")


def clicked(page: Page, brightest: dict[str, bool]) -> str:
    """The key of the image after the repair, by what the page shows."""
    stem = Path(str(page.locator("#left").get_attribute("src"))).stem
    return "1" if brightest[stem] else "2"


@pytest.mark.browser
def test_results_of_blind_choices_are_shown_only_at_the_end_and_add_up(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    site = made_site()
    pairs = made_pairs(site)
    is_after = {f"pair-{name_of(picture)}": bool(k) for pair in pairs.files for k, picture in enumerate(pair)}
    with open_page(chromium, folder, BLIND, accept_downloads=True) as page:
        assert page.inner_text("#chosen") == "0 of 9"
        for number in range(9):
            key = clicked(page, is_after)
            if number == 4:  # changes its mind
                page.keyboard.press("1")
                page.keyboard.press("z")
            if number == 6:
                page.reload()
                assert clicked(page, is_after) == key
            assert page.locator("#revealed li").count() == 0
            assert [page.locator(f"#{side}").get_attribute("alt") for side in ("left", "right")] == [
                f"{side} image of pair {number + 1}" for side in ("left", "right")
            ]
            page.keyboard.press("0" if number == 8 else key)
        expect(page.locator("#result")).to_be_visible()
        words = page.inner_text("#told").replace("\u00a0", " ")
        assert words.startswith(
            "The image after the edit was preferred in 8 of 8 decided pairs (1 without a preference): 100%"
        )
        assert words.endswith("The images after the edit are preferred.")
        assert page.locator("#revealed .chosen figcaption").all_text_contents() == ["after · chosen"] * 8
        path = saved(page, "#export", tmp_path)
        page.click("#again")
        page.keyboard.press("1")
        page.click("#end")
        (tmp_path / "later").mkdir()
        later = read_choices(saved(page, "#export", tmp_path / "later"))
    found = read_choices(path)
    assert (found.again, later.again) == (0, 1) and found.browser == later.browser
    assert [found.count(kind) for kind in ("after", "before", "tie")] == [8, 0, 1]
    assert found.about == {"model": "planted", "identity": "drawn-shapes-1", "edit": EDIT}
    low = re.search(r"\[(\d+)", Preferred.of([found]).summary())
    assert low is not None and f"[{low[1]}%" in words
    held = json.loads(path.read_text())
    assert {c["sample"] for c in held["choices"]} == {int(s) for i, s in enumerate(pairs.samples) if i != 2}


def test_names_and_order_of_pairs_do_not_reveal_the_edit() -> None:
    site = made_site()
    pairs = made_pairs(site, 40)
    page = preference_page(site, pairs)
    assert (page.pairs, page.same) == (39, 1)
    data: dict[str, Any] = dict(page.data)
    assert all(one < other for one, other in data["pairs"])
    names = {name for pair in data["pairs"] for name in pair}
    assert set(preference_images(site, pairs)) == {f"planted/img/pair-{name}.webp" for name in names}
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names)
    after = [name_of(pairs.files[i][1]) for i in pairs.different]
    second = sum(pair[1] == name for pair, name in zip(data["pairs"], after, strict=True))
    assert 8 < second < 31


def test_a_repair_that_changes_nothing_has_a_page_that_says_so() -> None:
    site = made_site()
    same = site.dissection.pictures.pixels[:3]
    files = preference_files(site, Pairs(same, same, np.arange(3), EDIT))
    assert list(files) == ["planted/preference.html"]
    assert "The repair does not change any image." in files["planted/preference.html"].decode()


def test_names_are_escaped() -> None:
    site = made_site()
    files = preference_files(site, made_pairs(site))
    assert "&lt;layer1&gt;" in files[BLIND].decode() and "<layer1>" not in files[BLIND].decode()


def test_what_is_left_out_leads_the_page_and_links_to_the_units_that_make_it() -> None:
    site = made_site()
    found = site.dissection.reality
    assert found is not None
    page = real_page(site, found)
    assert [row.concept.name for row in page.rows] == list(found.table["concept"])
    assert page.rows[0].ratio.value == 0 and page.rows[0].verdict == "less"
    less = sum(row.verdict == "less" for row in page.rows)
    assert page.answer.startswith(f"Compared with real images, {less} of ")
    tree = next(row for row in page.rows if row.concept.name == "tree")
    assert tree.href == "concepts/tree.html"
    assert any(row.units for row in page.rows)


def test_what_no_generated_image_shows_is_listed_although_it_has_no_page() -> None:
    made = made_site().dissection
    assert made.reality is not None
    missing = made.reality.table["concept"].iloc[0]
    fewer = replace(made, concepts=made.concepts[made.concepts["concept"] != missing])
    site = Site(fewer, Places.of(fewer), load_assets()[0])
    page = real_page(site, made.reality)
    assert (page.rows[0].concept.name, page.rows[0].href, page.rows[0].verdict) == (missing, "", "less")
    assert missing not in [row.concept.name for row, _ in page.galleries]


def test_without_real_images_there_is_no_page_and_the_segmenters_page_says_so(tmp_path: Path) -> None:
    made = example_dissection(units=6, layers=1)
    write_site(replace(made, trust=made.trust[1:]), tmp_path)
    assert not (tmp_path / REAL).exists()
    assert "There are no real images for this model" in (tmp_path / "planted/trust.html").read_text()


def test_the_scale_of_ratios_is_one_of_doublings() -> None:
    assert [fraction(step) for step in (-3, 0, 1)] == ["1/8", "equal", "2×"]
    from dissectreport.report.html.charts import Point

    nan = float("nan")
    rows = [
        RatioRow(NamedConcept("none", "object"), Point(0.0, nan, nan), 0.1, 0.0, True),
        RatioRow(NamedConcept("half", "part"), Point(0.5, 0.4, 0.6), 0.1, 0.05, True),
        RatioRow(NamedConcept("only generated", "part"), Point(float("inf"), nan, nan), 0.0, 0.05, False),
    ]
    drawn = str(ratios("r", "t", "d", rows))
    assert drawn.count("<circle") == 1 and drawn.count("<path") == 2 and "nan" not in drawn and "inf" not in drawn
    assert str(ratios("r", "t", "d", [])).startswith("<svg")
