"""The map of units: every unit has a cell of its own, near units that match the same concepts."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from dissectreport.report.common.model import Site
from dissectreport.report.common.rendering import render
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.places import Places
from dissectreport.report.pages.unit_layout import grid_for, unit_cells
from dissectreport.report.pages.unit_map import UnitMap, map_page, map_picture
from dissectreport.report.site.build import write_site
from tests.support.browsers import open_page
from tests.support.dissections import example_dissection, with_interventions


def test_units_of_one_concept_are_nearer_than_others_and_none_shares_a_cell() -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 12, 1500)
    matches = rng.random((1500, 12)) * 0.1
    matches[np.arange(1500), label] += rng.random(1500)
    columns, rows = grid_for(len(matches))
    cells = unit_cells(matches, columns, rows)
    assert len(set(cells.tolist())) == 1500 and cells.max() < columns * rows
    assert (cells == unit_cells(matches, columns, rows)).all()
    spots = np.stack(np.divmod(cells, columns), 1).astype(float)
    near = [spots[label == one].std(0).mean() for one in range(12)]
    assert np.mean(near) < 0.6 * spots.std(0).mean()


@pytest.mark.parametrize("units", [1, 2, 7])
def test_few_units_and_units_without_any_match_have_cells(units: int) -> None:
    cells = unit_cells(np.zeros((units, 3)), *grid_for(units))
    assert len(set(cells.tolist())) == units


def test_the_page_lists_every_interpretable_unit_and_the_picture_has_every_cell() -> None:
    made = with_interventions(example_dissection())
    site = Site(made, Places.of(made), load_assets()[0])
    whole = UnitMap.of(site)
    page = map_page(site, whole)
    listed = sum(len(units) for row in page.rows for _, units in row.layers)
    assert listed == page.interpretable == sum(len(layer.interpretable) for layer in made.layers)
    assert page.data["cells"] == whole.cells.tolist() and page.total == 24
    picture = Image.open(io.BytesIO(map_picture(site, whole)))
    assert picture.size == (page.width, page.height)
    opaque = np.asarray(picture.convert("RGBA"))[whole.cell // 2 :: whole.cell, whole.cell // 2 :: whole.cell, 3] > 128
    assert sorted(np.flatnonzero(opaque).tolist()) == sorted(whole.cells.tolist())
    assert b'id="map-data"' in render("map.html", page)


@pytest.mark.browser
def test_arrow_keys_move_on_the_map_and_enter_opens_the_unit(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("map")
    write_site(example_dissection(units=12, layers=1), out)
    with open_page(chromium, out, "planted/map.html") as page:
        concept = page.locator("#map-concepts option").first.get_attribute("value") or ""
        page.fill("#map-words", concept)
        shown = int(page.locator("#map-shown").inner_text().split()[0])
        assert shown >= 1 and f"c={concept}" in page.url
        page.locator("#map").focus()
        page.keyboard.press("ArrowRight")
        told = page.locator("#map-about").inner_text()
        assert f": {concept}" in told
        page.keyboard.press("Enter")
        page.wait_for_url("**/unit-*.html")
        assert f"unit {page.url.rpartition('-')[2].removesuffix('.html')}:" in told
