"""The reference's dissect.json: written as it writes it, read from old results, and told for what it lacks."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import dissectreport
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.cli.app import app
from dissectreport.errors import BadOption, OutputError
from dissectreport.report.export.dissect_json import dissect_json, old_pictures, read_dissect_json
from dissectreport.report.export.imported import write_imported
from dissectreport.report.site.build import write_site
from dissectreport.report.site.fixed_comparison import write_comparison
from tests.support.dissections import example_dissection
from tests.support.sites import Page, broken_links, contents, pages
from tests.support.tiers import extended
from tests.support.variants import HOSTILE


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    return example_dissection(units=8)


@pytest.fixture(scope="module")
def old(dissection: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dissect.json with its images beside it, as the reference leaves them."""
    folder = tmp_path_factory.mktemp("results") / "church"
    pictures = old_pictures(dissection)
    for name, content in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "dissect.json").write_bytes(dissect_json(dissection, pictures))
    return folder / "dissect.json"


def test_it_has_what_the_references_page_reads(dissection: Dissection, old: Path) -> None:
    held = json.loads(old.read_text())
    assert held["default_ranking"] == "label" and isinstance(held["iou_threshold"], float)
    assert set(" ".join(held["segcolors"]).replace(",", " ")) <= set("0123456789 ")
    for layer, made in zip(held["layers"], dissection.layers, strict=True):
        assert [unit["unit"] for unit in layer["units"]] == list(range(8))
        assert layer["interpretable"] == sum(unit["interp"] for unit in layer["units"]) == len(made.interpretable)
        assert all((old.parent / layer["dirname"] / "image" / f"{u}-top.jpg").is_file() for u in range(8))
        for unit in layer["units"]:
            peaks = [one["maxact"] for one in unit["top"]]
            assert peaks == sorted(peaks, reverse=True) and len(peaks) == 8
            assert unit["iou_label"] and unit["iou_cat"]
        rankings = {one["name"]: one for one in layer["rankings"]}
        assert list(rankings)[:3] == ["unit", "label", "max iou"]
        assert sorted(rankings["label"]["score"]) == list(range(8)), "places, one a unit"
        for name, one in rankings.items():
            assert len(one["score"]) == 8
            assert ("concept" in one) == name.endswith("-iou") and ("metric" in one) == (name not in ("unit", "label"))


def test_lower_scores_are_better_and_interpretable_units_lead(dissection: Dissection, old: Path) -> None:
    for layer, made in zip(json.loads(old.read_text())["layers"], dissection.layers, strict=True):
        rankings = {one["name"]: one["score"] for one in layer["rankings"]}
        by_iou = np.argsort(rankings["max iou"], kind="stable")
        known = made.table["iou"].fillna(0.0)
        assert by_iou[0] == known.idxmax()
        by_label = np.argsort(rankings["label"])
        sure = made.table["interpretable"].to_numpy()[by_label]
        assert sure.tolist() == sorted(sure, reverse=True)
        for concept in made.interpretable["concept"].unique():
            pairs = made.pairs[made.pairs["concept"] == concept].set_index("unit")["iou"]
            wanted = [-float(pairs.get(unit, 0.0)) for unit in range(8)]
            assert rankings[f"{concept}-iou"] == wanted


def test_what_is_written_is_read_again(dissection: Dissection, old: Path) -> None:
    found = read_dissect_json(old)
    assert found.name == "church" and found.settings["model"] == "planted"
    for layer, made in zip(found.layers, dissection.layers, strict=True):
        assert layer.name == made.name
        rows = zip(layer.units, made.table.itertuples(), strict=True)
        for one, row in rows:
            assert (one.unit, one.concept, one.category) == (row.unit, row.concept, row.category)
            assert one.interpretable == row.interpretable
            assert one.iou == row.iou or (math.isnan(one.iou) and math.isnan(row.iou))
            assert one.threshold == row.threshold or (math.isnan(one.threshold) and math.isnan(row.threshold))
            top = made.examples.kind == "top"
            assert [number for number, _ in one.top] == made.examples.samples[one.unit][top].tolist()


def test_old_results_are_in_a_site_beside_others(dissection: Dissection, old: Path, tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1), tmp_path)
    written = CliRunner().invoke(app, ["import", str(old), "--out", str(tmp_path)])
    assert written.exit_code == 0, written.output
    assert broken_links(tmp_path.resolve()) == []
    index = (tmp_path / "index.html").read_text()
    assert "church" in index and "planted" in index
    text = (tmp_path / "church" / "layer1" / "index.html").read_text()
    cards = [a for _, a, _, _ in Page(text).elements if a.get("class", "").startswith("card")]
    assert len(cards) == 8
    assert text.count("no interval, no chance level") == int(dissection.layers[0].table["iou"].notna().sum())
    for page in pages(tmp_path / "church"):
        assert "but no chance level and no interval" in page.read_text()
    picture = Image.open(tmp_path / "church" / "layer1" / "img" / "1.webp")
    before = Image.open(old.parent / "layer1" / "image" / "1-top.jpg")
    assert picture.size == (6 * 128, 128)
    assert np.abs(np.asarray(picture.convert("RGB"), float) - np.asarray(before, float)).mean() < 6
    report = dissectreport.load(tmp_path, model="church")
    layer = report.layer("layer1")
    assert layer.units["iou"].tolist() == pytest.approx(
        dissection.layers[0].table["iou"].tolist(), nan_ok=True, rel=1e-5
    )
    assert layer.units["chance_level"].isna().all() and "[–, –]" in layer.unit(1)._repr_html_()


def test_importing_again_gives_the_same_bytes_and_removes_what_went(old: Path, tmp_path: Path) -> None:
    found = read_dissect_json(old)
    write_imported(found, old.parent, tmp_path)
    first = contents(tmp_path)
    assert write_imported(found, old.parent, tmp_path).changed == 0 and contents(tmp_path) == first
    write_imported(found, tmp_path / "nothing here", tmp_path, "church")
    assert not list(tmp_path.glob("church/*/img/*.webp"))
    assert (tmp_path / "church" / "layer1" / "index.html").read_text().count("no image") == 8


def test_other_results_of_the_same_name_are_not_overwritten(old: Path, tmp_path: Path) -> None:
    write_imported(read_dissect_json(old), old.parent, tmp_path)
    before = contents(tmp_path)
    other = tmp_path / "elsewhere" / "church"
    other.mkdir(parents=True)
    (other / "dissect.json").write_text(json.dumps(small()))
    with pytest.raises(OutputError, match="other results imported as 'church'; give these another --name"):
        write_imported(read_dissect_json(other / "dissect.json"), other, tmp_path)
    assert {name: held for name, held in contents(tmp_path).items() if "elsewhere" not in name} == before
    write_imported(read_dissect_json(other / "dissect.json"), other, tmp_path, again=True)
    assert (tmp_path / "church" / "layer4" / "index.html").exists()


def test_old_results_are_not_compared_and_it_is_said_why(old: Path, dissection: Dissection, tmp_path: Path) -> None:
    write_site(dissection, tmp_path)
    write_imported(read_dissect_json(old), old.parent, tmp_path)
    with pytest.raises(
        OutputError, match=r"church was imported from a dissect\.json, which has neither chance levels nor"
    ):
        write_comparison(tmp_path, ["planted", "church"])


def small(**changes: Any) -> dict[str, Any]:
    unit = {"unit": 0, "iou": 0.5, "iou_label": "tree", "iou_cat": "object", "interp": True}
    return {"layers": [{"layer": "layer4", "units": [unit], **changes}]}


def test_a_file_of_little_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "dissect.json"
    held = small(units=[{"unit": 3}, {"unit": 1, "iou": math.nan, "iou_label": "-", "iou_cat": "-", "level": None}])
    held["iou_threshold"] = [0.05]
    path.write_text(json.dumps(held))
    found = read_dissect_json(path)
    assert found.iou_threshold == 0.05
    assert [(one.unit, one.concept, one.category) for one in found.layers[0].units] == [(3, "", ""), (1, "", "")]
    write_imported(found, tmp_path, tmp_path / "site", "little")
    assert broken_links((tmp_path / "site").resolve()) == []


def test_images_are_taken_only_from_beside_the_file_and_encoded_again(old: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "image").mkdir(parents=True)
    shutil.copy(old.parent / "layer1" / "image" / "1-top.jpg", tmp_path / "outside" / "image" / "0-top.jpg")
    beside = tmp_path / "results"
    for folder in ("../outside", str(tmp_path / "outside")):
        (beside / "layer4" / "image").mkdir(parents=True, exist_ok=True)
        (beside / "dissect.json").write_text(json.dumps(small(dirname=folder)))
        write_imported(read_dissect_json(beside / "dissect.json"), beside, tmp_path / "site", "out", again=True)
        assert not list((tmp_path / "site").glob("out/layer4/img/*"))
    (beside / "layer4" / "image" / "0-top.jpg").write_bytes(b"no image")
    (beside / "dissect.json").write_text(json.dumps(small()))
    write_imported(read_dissect_json(beside / "dissect.json"), beside, tmp_path / "site", "out", again=True)
    assert not list((tmp_path / "site").glob("out/layer4/img/*"))
    wide = Image.new("RGB", (20 * 256, 256), "red")
    wide.save(beside / "layer4" / "image" / "0-top.jpg", comment=b"whose picture this is")
    write_imported(read_dissect_json(beside / "dissect.json"), beside, tmp_path / "site", "out", again=True)
    drawn = tmp_path / "site" / "out" / "layer4" / "img" / "0.webp"
    assert Image.open(drawn).size == (6 * 128, 128) and b"whose picture" not in drawn.read_bytes()


def damaged(picture: Path, how: str) -> None:
    """Damage a strip in one of the ways in which copies fail."""
    content = picture.read_bytes()
    if how == "cut":
        picture.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        picture.write_bytes(b"")
    elif how == "size":
        with Image.open(picture) as image:
            image.crop((0, 0, image.width - 40, image.height)).save(picture)
    elif how == "pipe":
        picture.unlink()
        os.mkfifo(picture)
    else:
        assert how == "bit"
        at = len(content) // 2
        picture.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


@pytest.mark.parametrize(
    ("how", "reason", "ours"),
    [
        ("cut", "truncated", False),
        extended("empty", "cannot identify", False),
        ("size", "unlike the others", False),
        extended("pipe", "not a regular file", False),
        ("bit", "not the image that was exported", True),
    ],
)
def test_a_damaged_image_is_told_and_its_card_says_so(
    old: Path, how: str, reason: str, ours: bool, tmp_path: Path
) -> None:
    """The reference's files have no digests, so of them only what a decoder or the size gives away is noticed."""
    beside = shutil.copytree(old.parent, tmp_path / "church")
    if not ours:
        content = json.loads((beside / "dissect.json").read_text())
        for layer in content["layers"]:
            for unit in layer["units"]:
                del unit["image_sha256"]
        (beside / "dissect.json").write_text(json.dumps(content))
    damaged(beside / "layer1" / "image" / "3-top.jpg", how)
    result = CliRunner().invoke(app, ["import", str(beside / "dissect.json"), "--out", str(tmp_path / "site")])
    assert result.exit_code == 0, result.output
    assert "1 damaged image of units left out" in result.stderr and "layer1/image/3-top.jpg (" in result.stderr
    assert reason in result.stderr
    page = (tmp_path / "site" / "church" / "layer1" / "index.html").read_text()
    assert page.count("damaged image") == 1 and page.count("no image") == 0
    assert not (tmp_path / "site" / "church" / "layer1" / "img" / "3.webp").exists()


def test_hostile_names_of_old_results_are_escaped(tmp_path: Path) -> None:
    unit = {"unit": 0, "iou": 0.5, "iou_label": HOSTILE, "iou_cat": HOSTILE, "interp": True}
    held = {"layers": [{"layer": HOSTILE, "units": [unit]}], "settings": {HOSTILE: HOSTILE}}
    (tmp_path / "dissect.json").write_text(json.dumps(held))
    write_imported(read_dissect_json(tmp_path / "dissect.json"), tmp_path, tmp_path / "site", HOSTILE)
    assert broken_links((tmp_path / "site").resolve()) == []
    assert all("<b>x</b>" not in page.read_text() for page in pages(tmp_path / "site"))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a dissect.json of the reference implementation"),
        ('{"header": {}}', "is not a dissect.json of the reference implementation: no 'layers'"),
        ('{"layers": []}', "it needs layers with different names"),
        (json.dumps(small(units=[])), "layer layer4 needs units"),
        (json.dumps(small(units=[{"unit": 1}, {"unit": 1}])), "with different numbers"),
        (json.dumps(small(units=[{"iou": 1}])), "no 'unit'"),
        (json.dumps(small(units=[{"unit": 1, "iou": "high"}])), "could not convert"),
        (json.dumps(small(units=[{"unit": 1, "iou": 7}])), "an IoU is between 0 and 1, not 7"),
        (json.dumps(small(units=[{"unit": 1.5}])), "1.5 is no number of a unit"),
        (json.dumps(small(units=[{"unit": -1}])), "-1 is no number of a unit"),
        (json.dumps({"layers": small()["layers"] * 2}), "it needs layers with different names"),
    ],
)
def test_what_is_no_such_file_is_one_line(content: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "dissect.json"
    path.write_text(content)
    result = CliRunner().invoke(app, ["import", str(path), "--out", str(tmp_path / "site")])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and line in result.stderr
    assert not (tmp_path / "site").exists()
    with pytest.raises(BadOption, match="there is no file"):
        read_dissect_json(tmp_path / "gone.json")
