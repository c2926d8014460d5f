"""The page of findings is made of the tables of reports."""

from __future__ import annotations

import pandas as pd
import pytest

from dissectreport.report.export.notebook import Report, of_dissection
from tests.support.dissections import example_dissection, with_interventions
from tests.support.tools import load_tool

findings = load_tool("findings")


@pytest.fixture(scope="module")
def report() -> Report:
    return of_dissection(with_interventions(example_dissection(units=12, layers=2)))


def test_every_layer_is_counted_beside_its_controls(report: Report) -> None:
    text = "\n".join(findings.layers_section(report))
    for name, layer in report.layers.items():
        measured = layer.controls[(layer.controls["control"] == "measured") & (layer.controls["category"] == "")].iloc[
            0
        ]
        assert f"| {name} | {len(layer.units)} | {measured['units']:.0f} [" in text
    units = report.layers[max(report.layers, key=lambda name: findings.localised_share(report, name))]
    assert f"layer, {units.name}, has the largest share" in text


def test_what_units_remove_stands_beside_random_units_and_the_paper(report: Report) -> None:
    layer = report.layers[findings.causes_layer(report)]
    text = "\n".join(findings.removal_section(report))
    rows = layer.tables["causes-removal"]
    best = layer.tables["causes-concepts"].set_index("concept")["best_ranking"]
    for concept, ranking in best.items():
        chosen = rows[
            (rows["concept"] == concept) & (rows["ranking"] == ranking) & (rows["units"] == rows["units"].max())
        ]
        assert (f"| {concept} | {findings.percent(chosen['removed'].iloc[0])} [" in text) == bool(
            (chosen["units"] == findings.ABLATED_TOGETHER).any()
        )


def test_every_ground_is_named_for_every_concept(report: Report) -> None:
    text = "\n".join(findings.context_section(report))
    rows = report.layers[findings.causes_layer(report)].tables["causes-context"]
    assert len(rows)
    for row in rows.to_dict("records"):
        assert f"**{row['concept']}** (dependence on the ground" in text
        ground = row["context_concept"]
        assert (f"on {ground} " if isinstance(ground, str) and ground else "on nothing named ") in text


def test_refusals_are_counted_by_the_interval() -> None:
    rows = pd.DataFrame({"gain_low": [1.0, -1.0, 0.0, 3.0]})
    assert "2 of 4 pairs" in findings.refused_words(rows)


@pytest.mark.parametrize(("value", "text"), [(-0.001, "0%"), (0.534, "53%"), (-0.45, "-45%")])
def test_shares_have_no_negative_zero(value: float, text: str) -> None:
    assert findings.percent(value) == text
