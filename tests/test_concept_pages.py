"""A page for each concept that occurs: its units, what they cause, and the images with it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dissectreport.report.common.model import BELOW_BASELINE, Site, interpretable_labels
from dissectreport.report.common.rendering import render
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.places import Places
from dissectreport.report.pages.concept import CARDS, ConceptRows, StudiedConceptPage, concept_page
from dissectreport.report.pages.example_images import concept_masks
from tests.support.dissections import example_dissection, with_interventions, with_real_images


@pytest.fixture(scope="module")
def site() -> Site:
    made = with_real_images(with_interventions(example_dissection()))
    return Site(made, Places.of(made), load_assets()[0])


@pytest.fixture(scope="module")
def rows(site: Site) -> ConceptRows:
    return ConceptRows.of(site)


def test_every_concept_that_occurs_has_a_page_with_its_interpretable_units(site: Site, rows: ConceptRows) -> None:
    assert set(rows.order) == set(site.dissection.concepts["concept"])
    for name in rows.order:
        page = concept_page(site, rows, name)
        assert isinstance(page, StudiedConceptPage) == (name in site.places.studied)
        by_layer = {one.layer: one for one in page.found}
        for layer in site.dissection.layers:
            labels = interpretable_labels(layer)
            units = labels.loc[labels["concept"] == name].sort_values("selection_score", ascending=False)["unit"]
            shown = by_layer.get(layer.name)
            assert (0 if shown is None else shown.units) == len(units)
            if shown is not None:
                assert [card.unit for card in shown.cards] == units.tolist()[:CARDS]
                assert {card.concept.name for card in shown.cards} == {name}
                own = layer.table.set_index("unit")
                for card in shown.cards:
                    below = own.loc[card.unit, "iou"] < own.loc[card.unit, "position_only"]
                    assert (BELOW_BASELINE in card.flags) == (below and own.loc[card.unit, "concept"] == name)


def test_a_concept_without_units_shows_the_best_matches_as_weak(site: Site) -> None:
    layers = [
        replace(layer, labels=layer.labels.assign(interpretable=layer.labels["concept"] != "tree"))
        for layer in site.dissection.layers
    ]
    without = replace(site, dissection=replace(site.dissection, layers=tuple(layers)))
    page = concept_page(without, ConceptRows.of(without), "tree")
    assert not page.found and page.chart_depth is None
    scores = [card.agreement.selection_score for _, _, card in page.nearest]
    assert scores == sorted(scores, reverse=True) and not any(card.interpretable for _, _, card in page.nearest)
    assert "No interpretable unit has tree as its label." in render("causes_concept.html", page).decode()


def test_images_are_those_with_most_of_the_concept_and_their_masks_those_of_the_segmenter(
    site: Site, rows: ConceptRows
) -> None:
    number = site.dissection.vocabulary["concept"].tolist().index("tree")
    files = concept_masks(site, "tree")
    for at, group in enumerate(concept_page(site, rows, "tree").seen):
        areas = (site.dissection.trust[at].labels == number).any(1).mean((1, 2))
        assert [one.area for one in group.examples] == sorted(areas[areas > 0], reverse=True)
        assert (group.images, group.of) == ((areas > 0).sum(), len(areas))
        overlay = Image.open(io.BytesIO(files[site.places.concept_mask("tree", at)])).convert("RGBA")
        bright = np.asarray(overlay)[..., 3].reshape(128, len(group.examples), -1) == 0
        assert np.allclose(bright.mean((0, 2)), [one.area for one in group.examples], atol=0.08)


def test_units_that_match_and_remove_are_counted_beside_what_chance_would_give(site: Site, rows: ConceptRows) -> None:
    interventions = site.dissection.interventions
    assert interventions is not None
    layer = site.dissection.layers[-1]
    labels = interpretable_labels(layer)
    labelled = set(labels.loc[labels["concept"] == "tree", "unit"])
    table = interventions.rankings
    first = table[(table["concept"] == "tree") & (table["ranking"] == "greedy")].sort_values("rank")["unit"][:12]
    words = concept_page(site, rows, "tree").match_and_effect
    assert f"Of the {len(first)} units of layer2 that are ablated first, {len(labelled & set(first))} ha" in words
    assert f"{len(first) * len(labelled) / layer.units:.1f} would be expected" in words


def test_the_chart_of_match_and_effect_has_every_unit_of_which_both_are_known(site: Site, rows: ConceptRows) -> None:
    interventions = site.dissection.interventions
    assert interventions is not None
    pairs = site.dissection.layers[-1].pairs
    match = pairs[pairs["concept"] == "tree"].set_index("unit")["corrected_iou"]
    effects = interventions.effects[interventions.effects["concept"] == "tree"].set_index("unit")
    page = concept_page(site, rows, "tree")
    assert {dot.unit for dot in page.matches} == set(match.index) & set(effects.index)
    for dot in page.matches:
        measured = effects.loc[dot.unit, "measured_effect"]
        assert dot.match == match[dot.unit] and dot.measured == (measured == measured)
        assert dot.effect == (measured if dot.measured else effects.loc[dot.unit, "estimate"])
    assert concept_page(site, rows, "sun").chart_match is None
