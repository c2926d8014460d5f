"""The part of docs/classifiers.md about the embedded classifier is made of the tables of its report."""

from __future__ import annotations

import pytest

from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.render import assembled
from dissectreport.report.export.notebook import Report, of_dissection
from tests.support.documents import DOCS
from tests.support.tools import load_tool

findings = load_tool("classifier_findings")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    cache = tmp_path_factory.mktemp("cache")
    options = Options(
        "planted_classifier", samples=96, grid=16, pilot=48, controls=False, workers=1, cache=cache, budget="quick"
    )
    return of_dissection(assembled(measure(options), cache))


@pytest.mark.slow
def test_every_figure_is_one_of_the_tables(report: Report) -> None:
    text = findings.part(report)
    layer = report.layers["features"]
    curves = layer.tables["classes-curves"]
    rows = curves[(curves["ablated_units"] == 4) & (curves["ablated"] == "leading")]
    for row in layer.tables["classes-classes"].to_dict("records"):
        gone = rows[rows["class"] == row["class"]].iloc[0]
        cells = [findings.number(one, "balanced_accuracy") for one in (row, gone)]
        assert f"| {row['class']} | {' | '.join(cells)} |" in text
    assert f"the {len(layer.units)} units of features" in text
    for row in layer.tables["classes-attacks"].to_dict("records"):
        assert findings.number(row, "peak_change", 3) in text


@pytest.mark.slow
def test_units_that_matter_are_named_with_their_concepts(report: Report) -> None:
    layer = report.layers["features"]
    text = findings.part(report)
    leading = layer.tables["classes-class_units"]
    first = leading[(leading["class"] == "ball") & (leading["class_rank"] == 1)].iloc[0]
    concept = findings.label(layer.units.set_index("unit").loc[first["unit"]])
    assert f"| ball | {first['unit']} ({concept})" in text


def test_the_page_has_the_place_of_the_part() -> None:
    page = (DOCS / "classifiers.md").read_text("utf-8")
    once = findings.with_part(page, "new")
    assert once.count("new\n\n<!-- end -->") == 1
    assert findings.with_part(once, "newer").replace("newer", "new") == once
    with pytest.raises(ValueError, match="the page has no lines"):
        findings.with_part("no place", "new")
