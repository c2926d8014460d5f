"""Marks of units: every form that can be read, and one clear line for each that cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissectreport.errors import DissectReportError
from dissectreport.review.marked_units import read_marks

EXPORTED = {
    "model": "scenes_pgan",
    "layer": "layer4",
    "identity": "abc",
    "units": [7, 3],
    "marks": {"3": "artifact", "7": "artifact", "8": "fine"},
}


def written(folder: Path, words: str) -> Path:
    path = folder / "marks.json"
    path.write_text(words, "utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (json.dumps(EXPORTED), ("layer4", (3, 7))),
        ('{"layer": "layer6", "units": [5]}', ("layer6", (5,))),
        ('{"units": [5, 5, 2]}', ("", (2, 5))),
        ("[12, 0]", ("", (0, 12))),
        ("457, 231;63\n147\n", ("", (63, 147, 231, 457))),
        ("\ufeff7", ("", (7,))),
    ],
)
def test_what_the_page_exports_and_plainer_forms_are_read(tmp_path: Path, words: str, found: object) -> None:
    assert read_marks(written(tmp_path, words), ["layer4", "layer6"], "abc") == found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("{units: 3}", "is not JSON"),
        ("seven", "is not JSON"),
        ("", "marks no unit"),
        (" \n", "marks no unit"),
        ('{"layer": "layer4", "units": []}', "marks no unit"),
        ('{"layer": "layer4"}', "contains no units"),
        ("3.5", "contains no units"),
        ('{"units": 3}', "units are 3"),
        ('{"units": ["3"]}', "'3' is not a valid unit index"),
        ('{"units": [true]}', "True is not a valid unit index"),
        ("[1, null]", "None is not a valid unit index"),
        ("[-1]", "-1 is not a valid unit index"),
        ('{"layer": 4, "units": [1]}', "the layer is 4"),
        ('{"layer": "layre4", "units": [1]}', "did you mean layer4"),
        ('{"layer": "layer4", "identity": "xyz", "units": [1]}', "another version of the model"),
    ],
)
def test_marks_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, words: str, told: str) -> None:
    with pytest.raises(DissectReportError, match=told) as error:
        read_marks(written(tmp_path, words), ["layer4", "layer6"], "abc")
    assert "marks.json" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DissectReportError, match=r"cannot read .*No such file"):
        read_marks(tmp_path / "missing.json")
    (tmp_path / "image.json").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DissectReportError, match="it is not text"):
        read_marks(tmp_path / "image.json")


def test_any_layer_and_model_will_do_where_none_is_known(tmp_path: Path) -> None:
    assert read_marks(written(tmp_path, json.dumps(EXPORTED))) == ("layer4", (3, 7))
