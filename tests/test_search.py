"""The search of the pages: what it knows, what it understands, and how it is used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.analysis.results.words import WordFacts
from dissectreport.report.common.model import Site
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.places import Places
from dissectreport.report.site.build import write_site
from dissectreport.report.site.search_index import model_index
from tests.support.browsers import assert_no_violation, open_page, wait_until
from tests.support.dissections import example_dissection, with_interventions
from tests.support.sites import broken_links
from tests.support.tiers import extended

HOME = "planted/index.html"
UNIT = "planted/layer1/unit-1.html"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "a site"
    write_site(with_interventions(example_dissection(units=24)), out)
    write_site(example_dissection(units=6, layers=1, name="another", seed=2), out)
    return out


def grown(made: Dissection, units: int) -> Dissection:
    """The same with the first layer repeated until it has so many units."""
    layer = made.layers[0]
    table = pd.concat([layer.table] * -(-units // layer.units), ignore_index=True)[:units]
    table["unit"] = np.arange(units)
    return replace(made, layers=(replace(layer, units=units, table=table), *made.layers[1:]))


def test_what_it_knows_of_5000_units_takes_less_than_100_kilobytes() -> None:
    made = grown(with_interventions(example_dissection(units=24)), 5000)
    index = model_index(Site(made, Places.of(made), load_assets()[0]))
    assert len(index) < 100_000
    known = json.loads(index.decode().removeprefix("dissectreport.searchable(").removesuffix(");\n"))
    assert (
        len(known["layers"][0]["labels"]) == len(known["layers"][0]["iou"]) == len(known["layers"][0]["sure"]) == 5000
    )


def described(made: Dissection) -> Dissection:
    """The same with a formula of unit 1 and a word of unit 2."""
    layer = made.layers[0]
    table = layer.table.assign(
        formula=np.where(layer.table["unit"] == 1, "tree AND NOT sky", ""),
        formula_better=layer.table["unit"] == 1,
        word=np.where(layer.table["unit"] == 2, "lighthouse", "boat"),
        word_better=layer.table["unit"] == 2,
        **dict.fromkeys(("word_auc", "word_auc_low", "word_auc_high", "random_words_auc", "label_auc"), 0.9),
    )
    return replace(made, layers=(replace(layer, table=table), *made.layers[1:]), words=WordFacts(80, "CLIP tiny", 200))


@pytest.mark.browser
def test_units_are_found_by_their_formulas_and_words(tmp_path: Path, chromium: Browser) -> None:
    write_site(described(example_dissection(units=6)), tmp_path / "site")
    with open_page(chromium, tmp_path / "site", HOME) as page:
        assert ask(page, "tree and not sky") == ["layer1 unit 1"]
        assert ask(page, "sky and not tree") == []
        assert ask(page, "lighthouse") == ["layer1 unit 2"]
        assert ask(page, "boat") == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("formula", "asked", "is_same"),
    [
        extended("tree OR sky", "sky or tree", True),
        ("tree AND NOT sky AND grass", "tree and grass and not sky", True),
        extended("tree OR sky AND grass", "sky or tree and grass", True),
        ("tree OR sky AND grass", "grass and sky or tree", False),
        extended("tree AND sky", "sky or tree", False),
    ],
)
def test_the_order_of_what_a_formula_joins_does_not_matter(
    formula: str, asked: str, is_same: bool, tmp_path: Path, chromium: Browser
) -> None:
    made = described(example_dissection(units=6))
    layer = made.layers[0]
    table = layer.table.assign(formula=np.where(layer.table["unit"] == 1, formula, ""))
    write_site(replace(made, layers=(replace(layer, table=table), *made.layers[1:])), tmp_path / "site")
    with open_page(chromium, tmp_path / "site", HOME) as page:
        assert ask(page, asked) == (["layer1 unit 1"] if is_same else [])


@pytest.mark.extended
@pytest.mark.browser
def test_units_are_found_by_every_word_of_the_list(tmp_path: Path, chromium: Browser) -> None:
    made = example_dissection(units=6)
    columns = ["layer", "word", "unit", "word_auc", "random_words_auc"]
    rows = [("layer1", "red door", 3, 0.8, 0.7), ("layer2", "red door", 5, 0.9, 0.6), ("layer1", "canoe", 0, 0.75, 0.7)]
    facts = WordFacts(3, "CLIP tiny", 200, ("red door", "canoe", "submarine"), pd.DataFrame(rows, columns=columns))
    write_site(replace(made, words=facts), tmp_path / "site")
    with open_page(chromium, tmp_path / "site", HOME) as page:
        assert ask(page, "red door") == ["layer2 unit 5", "layer1 unit 3"]
        assert "red door: AUC 0.90" in page.locator("#search-box li .note-of").first.inner_text()
        assert ask(page, "cano") == ["layer1 unit 0"]
        state = page.locator("#search-box [role=status]")
        assert ask(page, "submarine") == []
        expect(state).to_contain_text("“submarine” is in the list of words, but no unit beats random words for it")
        assert ask(page, "airship") == []
        expect(state).to_contain_text("Of words, only the 3 of the site’s list are known")


def test_pages_say_of_formulas_and_words_what_was_found(tmp_path: Path) -> None:
    write_site(described(example_dissection(units=6)), tmp_path / "site")
    layer = tmp_path / "site" / "planted" / "layer1"
    texts = [" ".join((layer / f"unit-{unit}.html").read_text().split()) for unit in range(3)]
    assert "A formula of several concepts matches it better than its label: <b>tree AND NOT sky</b>" in texts[1]
    assert "No formula of several concepts" in texts[0] and "No formula of several concepts" not in texts[1]
    assert "Its word: <b>lighthouse</b>" in texts[2] and "Its word" not in texts[1]
    assert ">tree AND NOT sky</span>" in (layer / "index.html").read_text()
    methods = " ".join((tmp_path / "site" / "planted" / "methods.html").read_text().split())
    assert "the 80 words of a list" in methods and "this holds for 1 of 12 units" in methods


def ask(page: Page, words: str) -> list[str]:
    """The names of what is found, with the key that opens the search."""
    page.keyboard.press("Control+k")
    wait_until(page, "/result|Nothing/.test((document.querySelector('#search-box [role=status]') || {}).textContent)")
    page.fill("#search-box input", words)
    return page.locator("#search-box li b").all_text_contents()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("layer2 unit 4", "layer2 unit 4"),
        ("Layer 2 #4", "layer2 unit 4"),
        ("layer2:4", "layer2 unit 4"),
        ("unit 4", "layer1 unit 4"),
        ("u4", "layer1 unit 4"),
        ("4", "layer1 unit 4"),
        ("layer2", "layer2"),
        ("tree", "tree"),
        ("chance-corrected", "chance-corrected IoU"),
        ("methods", "methods and tables"),
        ("another", "another"),
    ],
)
def test_it_understands_units_layers_concepts_terms_pages_and_models(
    chromium: Browser, folder: Path, words: str, first: str
) -> None:
    with open_page(chromium, folder, UNIT) as page:
        assert ask(page, words)[0] == first


@pytest.mark.browser
def test_two_steps_lead_from_any_page_to_a_unit_of_a_layer(chromium: Browser, folder: Path) -> None:
    for name in ("index.html", HOME, UNIT, "planted/concepts/tree.html", "compare.html"):
        with open_page(chromium, folder, name) as page:
            page.click("[data-search-open]")
            expect(page.locator("#search-box input")).to_be_focused()
            page.fill("#search-box input", "layer2 unit 14")
            expect(page.locator("#search-box li b").first).to_have_text("layer2 unit 14")
            with page.expect_navigation():
                page.keyboard.press("Enter")
            assert page.url.endswith("planted/layer2/unit-14.html")


@pytest.mark.browser
def test_everything_that_is_found_leads_to_a_page(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, HOME) as page:
        for words in ("unit 3", "tree", "layer", "i", ""):
            ask(page, words)
            found = page.locator("#search-box li").evaluate_all("found => found.map(e => e.dataset.href)")
            for address in found:
                path, _, anchor = address.partition("#")
                assert path.startswith(folder.as_uri())
                target = folder / path.removeprefix(folder.as_uri() + "/")
                assert target.is_file(), address
                assert not anchor.startswith("term-") or f'id="{anchor}"' in target.read_text("utf-8")


@pytest.mark.browser
def test_it_is_used_by_keys_and_read_out(chromium: Browser, folder: Path) -> None:
    with open_page(chromium, folder, UNIT) as page:
        page.keyboard.press("/")
        field = page.locator("#search-box input")
        expect(field).to_be_focused()
        page.keyboard.type("tree")
        expect(page.locator("#search-box [role=status]")).to_contain_text("results")
        page.keyboard.press("ArrowDown")
        second = page.locator("#search-box li").nth(1)
        expect(second).to_have_attribute("aria-selected", "true")
        expect(field).to_have_attribute("aria-activedescendant", str(second.get_attribute("id")))
        assert_no_violation(page)
        page.fill("#search-box input", "nothing like it")
        expect(page.locator("#search-box [role=status]")).to_contain_text("Nothing found")
        page.keyboard.press("Escape")
        expect(page.locator("#search-box")).to_be_hidden()


@pytest.mark.extended
@pytest.mark.browser
def test_the_menu_of_layers_leads_to_them_without_scripts_too(chromium: Browser, folder: Path) -> None:
    for scripts in (True, False):
        with open_page(chromium, folder, UNIT, java_script_enabled=scripts) as page:
            page.click(".layers-menu summary")
            with page.expect_navigation():
                page.click(".layers-menu nav a >> text=layer2")
            assert page.url.endswith("planted/layer2/index.html")
            assert broken_links(folder) == []
