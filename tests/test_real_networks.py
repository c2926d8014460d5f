"""The page on real networks is made of the tables of dissections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.support.dissections import example_dissection, with_interventions
from tests.support.tools import load_tool

real_networks = load_tool("real_networks")


def test_the_page_has_the_units_and_what_ablating_them_removes() -> None:
    dissection = with_interventions(example_dissection(units=12, layers=1))
    explained = pd.DataFrame([{"concept": "blue", "area": 0.25, "class": 0.5, "unit": 0.125, "name": "main.2, 7"}])
    page = real_networks.page([(real_networks.NETWORKS[0], dissection)], explained)
    (layer,) = dissection.layers
    best = layer.table[layer.table["concept"] != ""].sort_values("corrected_iou").iloc[-1]
    assert f"| {best['concept']} | {layer.name}, {best['unit']} | {best['iou']:.2f} [" in page
    assert dissection.interventions is not None
    assert all(f"| {concept} |" in page for concept in dissection.interventions.concepts["concept"])
    assert "| blue | 25.0% | 0.50 | 0.12 | main.2, 7 |" in page


def test_what_was_found_is_said_first() -> None:
    dissection = with_interventions(example_dissection(units=12, layers=1))
    said = real_networks.summary(dissection)
    (layer,) = dissection.layers
    best = layer.table[layer.table["concept"] != ""].sort_values("corrected_iou").iloc[-1]
    assert (best["iou_low"] > best["position_only"]) == (best["concept"] in said.partition(" significantly")[0])
    assert said.endswith("than ablating random units does.")
    assert real_networks.percent(-0.004) == "0%" and real_networks.percent(-0.52) == "−52%"


def test_units_are_compared_by_the_variance_that_they_explain() -> None:
    random = np.random.default_rng(0)
    area = random.random(400)
    values = np.stack([area * 3 - 1, -area, random.random(400), np.ones(400)], 1)
    assert real_networks.unit_fits(values, area) == pytest.approx([1, 1, 0, 0], abs=0.02)
    assert real_networks.share_explained(area, area) == 1
    assert real_networks.share_explained(area, np.full(400, area.mean())) == pytest.approx(0)
