"""A report in a notebook: the same tables from a cache and a site, short views, and the tutorial as it is printed."""

from __future__ import annotations

import ast
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dissectreport
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.errors import OutputError, UnknownName
from dissectreport.report.export.notebook import Report, of_dissection, of_site
from dissectreport.report.site.build import write_site
from tests.support.dissections import example_dissection, with_interventions
from tests.support.variants import HOSTILE, under_rule, with_hostile_names

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    made = with_interventions(example_dissection(units=8))
    layers = tuple(replace(one, name=name) for one, name in zip(made.layers, ("a", "a-b"), strict=True))
    causes = made.interventions
    assert causes is not None
    renamed = {layer.name: new.name for layer, new in zip(made.layers, layers, strict=True)}
    return replace(made, layers=layers, interventions=replace(causes, layer=renamed[causes.layer]))


@pytest.fixture(scope="module")
def measured(dissection: Dissection) -> Report:
    return of_dissection(dissection)


@pytest.fixture(scope="module")
def site(dissection: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    write_site(dissection, out)
    return out


def test_a_site_gives_the_tables_that_were_measured(measured: Report, site: Path) -> None:
    read = dissectreport.load(site)
    assert read.dissection is None and measured.dissection is not None
    assert [read.model, read.title, read.rule, read.samples] == ["planted", "planted", "corrected", 10000]
    assert list(read.layers) == list(measured.layers) == ["a", "a-b"]
    pairs = [(measured.tables, read.tables)]
    pairs += [(measured.layer(name).tables, read.layer(name).tables) for name in measured.layers]
    for own, other in pairs:
        assert set(own) == set(other)
        for name in own:
            pd.testing.assert_frame_equal(own[name], other[name], rtol=1e-5, atol=1e-12, check_dtype=False, obj=name)


def test_the_dissection_behind_a_report_is_where_its_tables_come_from(dissection: Dissection, measured: Report) -> None:
    assert measured.layer("a").units.equals(dissection.layers[0].table.reset_index(drop=True))
    assert measured.concepts["concept"].tolist() == dissection.concepts["concept"].tolist()
    assert "causes-removal" in measured.layer("a-b").tables and "causes-removal" not in measured.layer("a").tables


def test_a_unit_has_its_rows_and_its_picture(measured: Report, site: Path) -> None:
    for report in (measured, of_site(site / "planted")):
        unit = report.layer("a").unit(5)
        assert unit.facts["unit"] == 5 and set(unit.pairs["unit"]) == {5} and set(unit.labels["unit"]) <= {5}
        assert unit.image.size == (6 * 128, 128)
    own, drawn = measured.layer("a").unit(5).image, Image.open(site / "planted" / "a" / "img" / "5.webp")
    assert np.abs(np.asarray(own, float) - np.asarray(drawn.convert("RGB"), float)).mean() < 5, "but for compression"


def test_the_strongest_units_come_first(measured: Report) -> None:
    best = measured.layer("a").best(8)
    keys = [(bool(unit.facts["interpretable"]), float(unit.facts["selection_score"])) for unit in best]
    known = [key for key in keys if not np.isnan(key[1])]
    assert known == sorted(known, reverse=True)


def test_views_are_small_and_show_every_iou_with_chance_level_and_interval(measured: Report) -> None:
    layer = measured.layer("a")
    views: dict[str, Any] = {"report": measured, "layer": layer, "unit": layer.unit(1)}
    for name, view in views.items():
        html = view._repr_html_()
        assert len(html) < 40_000, name
        assert html.count("IoU <b>") == html.count(", chance ") == html.count("], chance "), name
        assert len(repr(view)) < 80
    dead = layer.unit(3)
    assert "no IoU measured" in dead._repr_html_() and "no label" in repr(dead)


def test_hostile_names_are_escaped_in_views() -> None:
    report = of_dissection(with_hostile_names(example_dissection(units=6, layers=1)))
    layer = next(iter(report.layers.values()))
    for view in (report, layer, layer.unit(0)):
        assert "<b>x</b>" not in view._repr_html_()
        assert HOSTILE not in view._repr_html_()


def test_what_is_not_there_is_named(measured: Report, site: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no layer of planted 'a-c'; did you mean a-b"):
        measured.layer("a-c")
    with pytest.raises(UnknownName, match="no unit 8 in a; there are 0 to 7"):
        measured.layer("a").unit(8)
    with pytest.raises(UnknownName, match="no table of a 'unit'; did you mean units"):
        measured.layer("a").tables["unit"]
    with pytest.raises(UnknownName, match="no report of 'other'"):
        dissectreport.load(site, model="other")
    with pytest.raises(UnknownName, match="no measurement under rule corrected of 'nothing'"):
        dissectreport.load("nothing", cache=tmp_path)
    broken = tmp_path / "planted"
    shutil.copytree(site / "planted", broken)
    (broken / "data" / "a-units.json").write_text("[")
    (broken / "a" / "img" / "5.webp").unlink()
    with pytest.raises(OutputError, match=r"a-units\.json cannot be read"):
        dissectreport.load(tmp_path).layer("a").unit(5)
    (broken / "summary.json").write_text("{}")
    with pytest.raises(OutputError, match="contains no report that can be read"):
        dissectreport.load(tmp_path)


def test_of_several_reports_one_is_chosen(site: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_site(example_dissection(units=6, layers=1, name=name), tmp_path)
    with pytest.raises(UnknownName, match="holds several reports; choose with model=, one of one, two"):
        dissectreport.load(tmp_path)
    assert dissectreport.load(tmp_path, model="two").model == dissectreport.load(tmp_path / "two").model == "two"


@pytest.mark.extended
def test_of_a_model_under_several_rules_one_is_chosen(tmp_path: Path) -> None:
    one = example_dissection(units=6, layers=1, name="one")
    for made in (one, under_rule(one, "pnas2020"), example_dissection(units=6, layers=1, name="two")):
        write_site(made, tmp_path)
    assert dissectreport.load(tmp_path, model="one").rule == "corrected"
    assert dissectreport.load(tmp_path, model="one", rule="pnas2020").rule == "pnas2020"
    assert dissectreport.load(tmp_path, rule="pnas2020").model == "one"
    assert dissectreport.load(tmp_path, model="one-pnas2020").rule == "pnas2020"
    with pytest.raises(UnknownName, match="no report under rule 'iclr2019'"):
        dissectreport.load(tmp_path, model="one", rule="iclr2019")


def cells(**changes: str) -> list[str]:
    """The code of the tutorial, with some words changed."""
    held = json.loads(TUTORIAL.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in held if cell["cell_type"] == "code"]
    for old, new in changes.items():
        assert any(f'"{old}"' in one for one in code)
        code = [one.replace(f'"{old}"', f'"{new}"') for one in code]
    return code


def shown(code: str, names: dict[str, Any]) -> Any:
    """What a cell shows: the value of its last line, where that is one."""
    *first, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        first, last = [*first, last], ast.Expr(ast.Constant(None))
    exec(compile(ast.Module(first, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def check_tutorial(code: list[str]) -> None:
    names: dict[str, Any] = {}
    found = [shown(cell, names) for cell in code]
    assert all(value is not None for value in found)
    assert [len(value._repr_html_()) > 200 for value in found if hasattr(value, "_repr_html_")].count(False) == 0
    assert any(isinstance(value, Image.Image) for value in found)
    assert found[-1] is True


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the planted generator, which is quick; as it is printed, it runs among the tests of the demo."""
    monkeypatch.chdir(tmp_path)
    check_tutorial(cells(scenes_pgan="planted", layer6="features"))


@pytest.mark.demo
def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_tutorial(cells())
