"""What units cause, as pages: their numbers are those of the tables, and nothing breaks them."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dissectreport.analysis.results.dissection import COLUMNS, Dissection
from dissectreport.analysis.results.interventions import COLUMNS as CAUSAL_COLUMNS
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.share_card import before_and_after_card
from dissectreport.report.causes.summary import TABLES
from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import Amount, Curve, Dot, bars, removal_curves, scatter, small_curves
from dissectreport.report.html.numbers import change, gain, percent, removed, share
from dissectreport.report.html.places import Places
from dissectreport.report.site.build import write_site
from tests.support.dissections import example_dissection, with_interventions
from tests.support.sites import Page, broken_links, contents, ious_without_context, page_text, pages
from tests.support.tiers import extended
from tests.support.variants import HOSTILE, as_published_run, with_hostile_names


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    return with_interventions(example_dissection())


@pytest.fixture(scope="module")
def found(dissection: Dissection) -> Interventions:
    assert dissection.interventions is not None
    return dissection.interventions


@pytest.fixture(scope="module")
def site(dissection: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("causes")
    write_site(dissection, out)
    return out


def rows(path: Path, caption: str) -> list[list[str]]:
    """The cells of a table's body, by its caption or the label of its box."""
    text = path.read_text("utf-8")
    found = re.findall(rf'(?:<caption class="sr">|aria-label="){re.escape(caption)}.*?<tbody>(.*?)</tbody>', text, re.S)
    cut = re.findall(r"<tr.*?>(.*?)</tr>", found[0], re.S)
    return [
        [
            re.sub(r"\s+", " ", unescape(re.sub(r"<.*?>", "", cell, flags=re.S))).strip()
            for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.S)
        ]
        for row in cut
    ]


def test_every_link_of_a_site_with_causes_leads_to_a_file(site: Path) -> None:
    assert broken_links(site.resolve()) == []


@pytest.mark.extended
@pytest.mark.usefixtures("rendered_anew")
def test_the_same_interventions_give_the_same_bytes(site: Path, tmp_path: Path) -> None:
    write_site(with_interventions(example_dissection()), tmp_path)
    assert contents(tmp_path) == contents(site)


def test_without_interventions_nothing_speaks_of_causes(tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1), tmp_path)
    assert not list(tmp_path.rglob("causes.html"))
    for path in pages(tmp_path):
        text = path.read_text("utf-8")
        assert "causes.html" not in text and 'id="removal"' not in text


def test_the_removal_table_holds_the_numbers_of_the_removal_table(site: Path, found: Interventions) -> None:
    table = found.removal.set_index(["concept", "ranking", "units"])
    names = {"gradient × activation": "gradient", "learned mask": "learned_mask"}
    for concept in found.concepts["concept"]:
        told = rows(
            site / "planted" / "concepts" / f"{concept}.html", "Area removed by ranking method, beside random units"
        )
        assert len(told) == (found.removal["concept"] == concept).sum()
        for order, units, *numbers in told:
            plain = order.replace(" preselected", "")
            one = table.loc[(concept, names.get(plain, plain), int(units))]
            wanted = [removed(one.removed), one.removed_low, one.removed_high]
            assert numbers[:2] == [wanted[0], f"[{removed(wanted[1])}, {removed(wanted[2])}]"]
            assert numbers[2:4] == [removed(one.random), f"[{removed(one.random_low)}, {removed(one.random_high)}]"]
            assert numbers[4:] == [
                removed(one.difference),
                f"[{removed(one.difference_low)}, {removed(one.difference_high)}]",
            ]


def test_the_first_sentence_counts_concepts_of_which_most_is_removed(site: Path, found: Interventions) -> None:
    best = found.removal.merge(
        found.concepts[["concept", "best_ranking"]],
        left_on=["concept", "ranking"],
        right_on=["concept", "best_ranking"],
    )
    good = best[(best["removed"] >= 0.6) & (best["difference_low"] > 0)]
    number = good.groupby("units")["concept"].nunique()
    few, most = sorted(best["units"].unique())
    words = page_text(site / "planted" / "causes.html")
    assert f"For {number.get(most, 0)} of 3 studied concepts, ablating the best {most} of 12 units removes" in words
    assert f"For {number.get(few) or 'none'} of them, {few} units are enough." in words


def test_the_twin_of_the_curves_holds_every_point(site: Path, found: Interventions) -> None:
    told = rows(site / "planted" / "concepts" / "tree.html", "Area removed, by ranking method and number of units")
    curves = found.curves[found.curves["concept"] == "tree"]
    assert [row[0] for row in told] == [str(n) for n in sorted(curves["units"].unique())]
    cells = {cell for row in told for cell in row[1:]}
    for row in curves.itertuples():
        assert f"{removed(row.removed)} [{removed(row.removed_low)}, {removed(row.removed_high)}]" in cells


def test_estimates_without_a_measurement_have_dashes(site: Path, found: Interventions) -> None:
    told = rows(site / "planted" / "concepts" / "tree.html", "Estimated and measured effect of each unit")
    effects = found.effects[found.effects["concept"] == "tree"]
    assert [int(row[0]) for row in told] == effects["rank"].tolist()
    assert [row[4:] == ["–", "–"] for row in told] == effects["measured_effect"].isna().tolist()
    assert [row[3] for row in told] == [removed(v) for v in effects["estimate"]]
    agreement = found.agreement.set_index("concept").loc["tree"]
    assert f"Rank correlation {share(agreement.spearman)}" in page_text(site / "planted" / "concepts" / "tree.html")


def test_side_effects_and_contexts_are_listed_in_full(site: Path, found: Interventions) -> None:
    page = site / "planted" / "concepts" / "door.html"
    side = found.side_effects[found.side_effects["concept"] == "door"].set_index("other_concept")
    told = rows(page, "Every concept that occurs, before and after")
    assert told[0][0] == "door"
    assert {row[0] for row in told} == set(side.index)
    for name, _, before, after, moved, _ in told:
        one = side.loc[name]
        assert [before, after, moved] == [percent(one.before), percent(one.after), change(one.change)]
    context = (
        found.context[found.context["concept"] == "door"]
        .replace({"context_concept": {"": "nothing"}})
        .set_index("context_concept")
    )
    contexts = rows(page, "Pixels gained per insertion, by context")
    assert [row[0] for row in contexts] == context["gain"].sort_values(ascending=False).index.tolist()
    for name, _, won, _, _, random, _ in contexts:
        assert [won, random] == [gain(context.loc[name, "gain"]), gain(context.loc[name, "random_gain"])]


def test_other_edits_are_listed_and_a_segmenter_that_may_fail_is_named(site: Path, found: Interventions) -> None:
    caption = "Area removed by ablation to other values, and the average causal effect"
    on_overview = {row[0]: row for row in rows(site / "planted" / "causes.html", caption)}
    for one in found.variants.itertuples():
        page = site / "planted" / "concepts" / f"{one.concept}.html"
        (told,) = rows(page, caption)
        assert told == on_overview[one.concept]
        for cell, mode in zip(told[2:5], ("zero", "mean", "resampled"), strict=True):
            value, low, high = (getattr(one, f"removed_{mode}{end}") for end in ("", "_low", "_high"))
            assert cell == f"{removed(value)} [{removed(low)}, {removed(high)}]"
        assert told[5].startswith(share(one.ace))
        assert ("Caution: where the concept is lost" in page_text(page)) == one.segmenter_fails
        assert ("the segmenter may fail" in told[6]) == one.segmenter_fails


def test_where_gains_do_not_differ_between_contexts_no_context_is_named(dissection: Dissection, tmp_path: Path) -> None:
    found = dissection.interventions
    assert found is not None
    alike = replace(found, concepts=found.concepts.assign(context_p=0.3))
    write_site(replace(dissection, interventions=alike), tmp_path)
    words = page_text(tmp_path / "planted" / "concepts" / "tree.html")
    assert "does not differ significantly between contexts (permutation test" in words and "p = 0.3)" in words
    assert "where the context is" not in words


def test_every_picture_is_there_without_scripts(site: Path, found: Interventions) -> None:
    page = Page((site / "planted" / "concepts" / "tree.html").read_text("utf-8"))
    static = [
        attributes["src"]
        for tag, attributes, above, _ in page.elements
        if tag == "img" and attributes.get("class") != "veil" and not any("js" in page.classes(a) for a in above)
    ]
    shown = found.pictures["tree"]
    assert len([src for src in static if src.startswith("img/")]) == (
        5 * len(shown.ablated.samples) + 2 * len(shown.inserted.samples) + 2 * len(shown.heat.samples)
    )
    assert len([e for e in page.elements if e[0] == "i" and "top:50.00%" in e[1].get("style", "")]) == 8


def test_area_before_and_after_is_that_of_the_masks(site: Path, dissection: Dissection, found: Interventions) -> None:
    number = dissection.vocabulary["concept"].tolist().index("tree")
    made = found.pictures["tree"].ablated
    words = page_text(site / "planted" / "concepts" / "tree.html")
    for i in range(len(made.samples)):
        before, after = ((s[i] == number).any(0).mean() for s in (made.labels_before, made.labels_after))
        assert f"tree {percent(float(before))} tree {percent(float(after))}" in words


def test_a_unit_page_distinguishes_measured_effects_from_estimates(site: Path, found: Interventions) -> None:
    measured_effect = found.effects.groupby("unit")["measured_effect"].apply(lambda values: values.notna().any())
    assert measured_effect.any() and not measured_effect.all()
    for unit, measured in measured_effect.items():
        words = page_text(site / "planted" / "layer2" / f"unit-{unit}.html")
        assert "Causal effects" in words and "Ablating this unit alone" in words
        assert ("effect measured in 8 images" in words) == (not measured)
        assert "Estimated, not measured" not in words


def test_every_unit_of_the_layer_is_shown_ablated_alone(site: Path, found: Interventions) -> None:
    folder = site / "planted" / "layer2"
    for unit, strip in found.strips.items():
        page = Page((folder / f"unit-{unit}.html").read_text("utf-8"))
        ablated = [e[1] for e in page.elements if e[1].get("alt", "").endswith(f"with unit {unit} ablated")]
        assert len(ablated) == len(strip.samples) == 8
        assert {image["src"] for image in ablated} == {f"img/{unit}-alone-off.webp"}
        row = found.alone.set_index("unit").loc[unit]
        measured = change(-row.measured_effect)
        words = page_text(folder / f"unit-{unit}.html")
        assert f"of tree in 8 images by {measured} [" in words or unit in found.unit_pictures or "removes" in words
        with Image.open(folder / "img" / f"{unit}-alone-off.webp") as picture:
            height, width = strip.after.shape[1:3]
            assert picture.size == (8 * width, height)
    assert "-alone-" not in (site / "planted" / "layer1" / "unit-1.html").read_text("utf-8")


def test_what_a_unit_removes_alone_is_one_minus_the_ratio_of_pixels(found: Interventions) -> None:
    strip, row = found.strips[0], found.alone.set_index("unit").loc[0]
    assert row.measured_effect == pytest.approx(1 - strip.pixels_after.sum() / strip.pixels_before.sum())
    assert row.measured_effect_low < row.measured_effect < row.measured_effect_high
    assert row.images == 8 and row.concept == "tree"


def test_without_strips_a_unit_page_tells_measured_effects_from_estimates(
    dissection: Dissection, tmp_path: Path
) -> None:
    found = dissection.interventions
    assert found is not None
    write_site(replace(dissection, interventions=replace(found, strips={}, alone=found.alone[:0])), tmp_path)
    measured_effect = found.effects.groupby("unit")["measured_effect"].apply(lambda values: values.notna().any())
    for unit, measured in measured_effect.items():
        words = page_text(tmp_path / "planted" / "layer2" / f"unit-{unit}.html")
        assert ("This unit was not ablated by itself." in words) == (not measured)
        assert ("Ablating this unit alone" in words) == measured
    shown = Page((tmp_path / "planted" / "layer2" / "unit-0.html").read_text("utf-8"))
    assert sum("unit 0 ablated" in e[1].get("alt", "") for e in shown.elements) == len(found.unit_pictures[0].samples)


def test_every_table_of_interventions_can_be_downloaded_and_its_columns_are_explained(
    site: Path, found: Interventions
) -> None:
    explained = page_text(site / "planted" / "methods.html").partition("Data dictionary of causal effects")[2]
    for name in TABLES:
        path = site / "planted" / "data" / f"layer2-causes-{name}.csv"
        with path.open(encoding="utf-8-sig", newline="") as file:
            left = list(csv.DictReader(file))
        right = json.loads(path.with_suffix(".json").read_text("utf-8"), parse_constant=pytest.fail)
        assert len(left) == len(right) == len(getattr(found, name)) > 0
        assert list(left[0]) == list(right[0]) == list(getattr(found, name).columns)
        assert set(left[0]) <= {*COLUMNS, *CAUSAL_COLUMNS}
        assert all(column in explained for column in left[0])


def test_the_notes_of_interventions_stand_on_their_pages(site: Path) -> None:
    for name in ("causes", "concepts/door"):
        assert "The concept door occurs in few images." in page_text(site / "planted" / f"{name}.html")
    assert "The concept door" not in page_text(site / "planted" / "concepts" / "tree.html")


def test_the_overview_leads_with_the_concept_of_the_largest_effect(site: Path) -> None:
    text = (site / "planted" / "index.html").read_text("utf-8")
    assert re.search(r'href="concepts/tree.html">\s*More about\s+tree', text) and 'href="causes.html"' in text
    concepts = (site / "planted" / "concepts.html").read_text("utf-8")
    assert all(f'href="concepts/{name}.html"' in concepts for name in ("tree", "door", "sky"))


def test_the_first_page_of_a_site_shows_what_units_of_each_model_cause(dissection: Dissection, tmp_path: Path) -> None:
    write_site(dissection, tmp_path)
    alone = (tmp_path / "index.html").read_text("utf-8")
    write_site(replace(dissection, model="other"), tmp_path)
    both = (tmp_path / "index.html").read_text("utf-8")
    for text, homes in ((alone, ["planted"]), (both, ["planted", "other"])):
        for home in homes:
            assert re.search(rf'<img src="{home}/concepts/img/tree-\d-random.webp"', text)
    assert both.count("random units off instead") == 2 and both.count('class="headline"') == 2
    assert broken_links(tmp_path.resolve()) == []


def renamed(made: Dissection, old: str, new: str) -> Dissection:
    """The same with one concept of the interventions called otherwise."""
    found = made.interventions
    assert found is not None
    tables = {
        name: table.replace(
            {column: {old: new} for column in ("concept", "other_concept", "context_concept") if column in table}
        )
        for name, table in vars(found).items()
        if isinstance(table, pd.DataFrame)
    }
    pictures = {new if concept == old else concept: shown for concept, shown in found.pictures.items()}
    strips = {
        unit: replace(strip, concept=new) if strip.concept == old else strip for unit, strip in found.strips.items()
    }
    return replace(made, interventions=replace(found, pictures=pictures, strips=strips, **tables))


@pytest.mark.parametrize("name", [HOSTILE, "door / gate", "Tür", "con", "index", "img", "5", "Sky", "", "…"])
def test_any_name_of_a_concept_has_a_page_of_its_own(dissection: Dissection, tmp_path: Path, name: str) -> None:
    made = renamed(dissection, "tree", name)
    places = Places.of(made)
    assert len({page.casefold() for page in places.concepts.values()}) == len(places.concepts)
    assert places.studied == (name, "door", "sky")
    assert all(re.fullmatch(r"[\w.-]+", page) for page in places.concepts.values())


def test_hostile_names_break_no_page_of_causes(dissection: Dissection, tmp_path: Path) -> None:
    made = with_hostile_names(renamed(dissection, "tree", HOSTILE))
    assert made.interventions is not None
    made = replace(made, interventions=replace(made.interventions, layer=made.layers[-1].name, notes=(HOSTILE,)))
    write_site(made, tmp_path)
    for path in pages(tmp_path):
        text = path.read_text("utf-8")
        assert "<b>x</b>" not in text, path
        for script in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL):
            json.loads(script)
    assert broken_links(tmp_path.resolve()) == []
    assert len(list(tmp_path.glob("*/concepts/*.html"))) == len(Places.of(made).concepts)


def test_a_concept_without_pictures_or_contexts_still_has_its_page(dissection: Dissection, tmp_path: Path) -> None:
    found = dissection.interventions
    assert found is not None
    bare = replace(
        found,
        pictures={},
        unit_pictures={},
        context=found.context[:0],
        agreement=found.agreement[:0],
        effects=found.effects.assign(
            measured_effect=math.nan, measured_effect_low=math.nan, measured_effect_high=math.nan
        ),
    )
    write_site(replace(dissection, interventions=bare), tmp_path)
    assert broken_links(tmp_path.resolve()) == []
    words = page_text(tmp_path / "planted" / "concepts" / "tree.html")
    assert "Area removed" in words and "With and without" not in words and "nan" not in words


def test_no_page_of_causes_prints_a_missing_number(site: Path) -> None:
    for path in pages(site):
        assert not re.search(r"\bnan\b", page_text(path)), path
        assert ious_without_context(Page(path.read_text("utf-8"))) == [], path


@pytest.mark.parametrize("rule", ["iclr2019", extended("pnas2020")])
def test_a_published_rule_has_the_same_pages(rule: str, dissection: Dissection, tmp_path: Path) -> None:
    write_site(as_published_run(rule, dissection), tmp_path)
    assert (tmp_path / "planted" / "concepts" / "tree.html").is_file()


def test_removals_changes_and_gains_are_honest_at_both_ends() -> None:
    values = (0, 0.0004, -0.0004, 0.031, -0.031, 0.71, 0.9999, 1, -1.2, math.nan)
    told = ["0%", "<0.1%", ">−0.1%", "3.1%", "−3.1%", "71%", ">99.9%", "100%", "−120%", "–"]
    assert [removed(v) for v in values] == told
    assert [change(v) for v in (0, 0.12, -0.71, math.nan)] == ["0%", "+12%", "−71%", "–"]
    assert [gain(v) for v in (0, 61.0, -1.5, 0.01, 1234, math.nan)] == ["0", "+61", "−1.5", "+<0.1", "+1,234", "–"]


def test_one_measured_number_of_units_is_a_point_with_its_interval_and_no_line_from_0() -> None:
    zero, measured = Point(0.0, 0.0, 0.0), Point(0.68, 0.65, 0.71)
    single = removal_curves("c", "t", "d", [Curve("greedy", (0, 20), (zero, measured))])
    several = removal_curves("c", "t", "d", [Curve("greedy", (0, 10, 20), (zero, measured, measured))])
    assert "order-line" in several and "order-line" not in single and "band" not in single
    assert "whisker order3" in single
    assert "<title>greedy, 20 units off: 68% [65%, 71%] removed</title>" in single


def test_charts_without_data_can_be_rendered() -> None:
    nothing = Point(math.nan, math.nan, math.nan)
    empty = [Curve("learned_mask", (0, 1), (Point(0, 0, 0), nothing)), Curve("random", (), ())]
    for drawn in (
        removal_curves("a", "b", "c", empty),
        removal_curves("a", "b", "c", []),
        small_curves("a", "b", "c", empty, 1.0),
        scatter("a", "b", "c", [Dot(1, 0.0, Point(0, 0, 0))]),
        bars("a", "b", "c", [Amount("x", nothing)]),
        bars("a", "b", "c", [Amount("x", Point(0, 0, 0))]),
    ):
        assert "nan" not in drawn.replace("</", "")


def test_a_difference_is_dark_where_nothing_changed_and_white_where_much_did() -> None:
    before = np.zeros((32, 32, 3), np.uint8)
    after = before.copy()
    after[:16, :, 1] = 255
    drawn = np.asarray(Image.open(BytesIO(images.difference(before, after))).convert("L"))
    assert drawn[:14].min() > 240 and drawn[18:].max() < 40


def test_the_studied_concept_leads_wherever_a_slot_names_it() -> None:
    labels = np.array([[[1, 1]], [[0, 2]]], np.int16)
    assert images.leading_labels(labels).tolist() == [[1, 1]]
    assert images.leading_labels(labels, 2).tolist() == [[1, 2]]


def test_the_preview_of_a_link_is_the_image_that_loses_most_before_and_after(found: Interventions) -> None:
    made = with_interventions(example_dissection())
    site = Site(made, Places.of(made), load_assets()[0])
    picture = np.asarray(Image.open(BytesIO(before_and_after_card(site))), np.float64)
    assert picture.shape == (630, 1200, 3)
    lost = [
        (before == number).mean() - (after == number).mean()
        for number in [made.vocabulary["concept"].tolist().index("tree")]
        for before, after in zip(
            found.pictures["tree"].ablated.labels_before, found.pictures["tree"].ablated.labels_after, strict=True
        )
    ]
    at = int(np.argmax(lost))
    for left, pixels in (
        (0, found.pictures["tree"].ablated.before[at]),
        (606, found.pictures["tree"].ablated.after[at]),
    ):
        shown = picture[:546, left : left + 594].mean((0, 1))
        assert np.abs(shown - pixels.mean((0, 1))).max() < 12
    bare = example_dissection(units=6, layers=1)
    assert before_and_after_card(Site(bare, Places.of(bare), load_assets()[0])) == b""
