"""Whatever a file holds, its reader gives a value or one error of one line: no traceback, no hang, no file outside.

Every run tries a few cases of each reader; `make fuzz` tries thousands.
"""

from __future__ import annotations

import io
import json
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from dissectreport import structured
from dissectreport.cache.records import VERSION, Record, every, unreadable
from dissectreport.cache.store import DIGEST, Store, sealed_json
from dissectreport.checkpoints.transfer import PartialDownload, resumable
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.cli.parameters import comma_separated
from dissectreport.image_files import fitted
from dissectreport.models.class_labels import read_names as read_class_names
from dissectreport.models.class_labels import table_classes
from dissectreport.models.described_values import inputs_of, output_of
from dissectreport.models.description import read_description
from dissectreport.models.directions import read_directions
from dissectreport.models.edits import Edits, read_edits
from dissectreport.models.image_folder import File, ImageFolder
from dissectreport.publish.serve import _file_of_site
from dissectreport.report.common.ledger import LEDGER, parsed
from dissectreport.report.common.site_options import checked_address
from dissectreport.report.compare.profile_files import read_sited
from dissectreport.report.export.dissect_json import dissect_json, old_pictures, read_dissect_json
from dissectreport.report.export.imported import write_imported
from dissectreport.report.site.build import write_site
from dissectreport.report.site.summaries import read_summaries
from dissectreport.review.marked_units import read_marks
from dissectreport.review.preferences import lines, read_choices
from dissectreport.run.plan import FORMAT
from dissectreport.segmenters.mask_files import read_names as read_mask_names
from dissectreport.segmenters.unified_labels import ClassNames
from tests.support.dissections import example_dissection
from tests.support.fuzzing import Reader, fuzzed, harmless, patient, repacked, tried, try_reader
from tests.support.mutations import NASTY, changed_json, damaged
from tests.support.records import RECORD

# --- valid content to begin with ------------------------------------------------------------------------------------

DISSECTION = example_dissection(units=6)
OLD = json.loads(dissect_json(DISSECTION, old_pictures(DISSECTION)))
MARKS = {"model": "m", "layer": "layer1", "identity": "i", "units": [1, 2], "marks": {"1": "artifact"}}
CHOICES = {
    "kind": "preference",
    "model": "m",
    "identity": "i",
    "edit": "e",
    "person": "p",
    "again": 0,
    "choices": [{"sample": 1, "chosen": "after"}, {"sample": 2, "chosen": "tie"}],
}
EDITS = json.loads(Edits("m", "i", "layer1", (1, 2), (0.0, 0.5), "rule").text())
NAMES = {
    "object": ["-", "tree", "sky"],
    "material": ["-", "wood"],
    "object_part": {"tree": ["-", "crown"]},
}
DESCRIPTION = """
name = "mine"
network = "./net.py:Network"
weights = "weights.pt"
arguments = { width = 8 }
inputs = [{ shape = [4, 1, 1], distribution = "uniform", low = 0 }, { classes = 5, encoding = "one-hot", only = [1] }]
output = { take = 0, range = [0, 255], channels = [2, 1, 0] }
layers = ["a", "b"]
segmenter = "colour"
facts = { licence = "MIT", fid = 3.5 }
"""
RECORDED = {"version": VERSION, "format": FORMAT, **RECORD.to_json()}
VALUES = ("true", "-1", "0", "[]", "{}", '""', "inf", "1e400", "9" * 30, "[[[1]]]", "'../x'", "1979-05-27", '"\\u0000"')


def _arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, **{"main.weight": np.zeros((2, 3), np.float32), "main.bias": np.zeros(2, np.float32)})
    return file.getvalue()


def _sparse_arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, encoder=np.ones((3, 2)), decoder=np.ones((2, 3)), keep=np.array(2))
    return stream.getvalue()


def _torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"g": {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, "step": 3}, file)
    return file.getvalue()


def _old_torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2, 3)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def _picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one model."""
    out = tmp_path_factory.mktemp("fuzzed") / "site"
    write_site(DISSECTION, out)
    return out


# --- the readers ----------------------------------------------------------------------------------------------------


def _read_description(path: Path) -> None:
    description = read_description(path)
    inputs_of(description)
    output_of(description)
    description.names("layers")
    description.table("facts")


def _read_choices(path: Path) -> None:
    for line in lines([read_choices(path), read_choices(path)]):
        assert "\n" not in line


def _import(path: Path) -> None:
    write_imported(read_dissect_json(path), path.parent, path.parent / "site", again=True)


def _read_record(path: Path) -> None:
    """The record in a file whose seal is right, so that its fields are read."""
    try:
        values = structured.read_json(path)
    except (OSError, ValueError):
        return
    if isinstance(values, dict):
        values.pop(DIGEST, None)
        path.write_bytes(sealed_json(values, path.name))
    cache = path.parent.parent
    for record in every(cache):
        assert isinstance(record, Record)
        str(record.words)
    for line in unreadable(cache):
        assert "\n" not in line


def _read_npz(path: Path) -> None:
    Store(path.parent).load(path.stem)


def _read_picture(path: Path) -> None:
    with suppress(Exception):  # Pillow raises many kinds; every caller catches them all.
        fitted(path, (8, 8))


def _toml(pieces: list[tuple[int, str]]) -> bytes:
    """The description with some values replaced."""
    rows = DESCRIPTION.strip().splitlines()
    for row, value in pieces:
        key = rows[row % len(rows)].partition(" = ")[0]
        rows[row % len(rows)] = f"{key} = {value}"
    return "\n".join(rows).encode()


descriptions = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(VALUES) | st.text(max_size=6).map(json.dumps)), min_size=1, max_size=3
).map(_toml) | damaged(DESCRIPTION.encode())

TEXT = b"id;name\n-1;void\n0;sky\n5;red door,part\n"
tables = (
    st.lists(st.lists(st.sampled_from(("0", "-1", "64 128 64", "sky", "id", "name", "a/1.png", '"', "")), max_size=4))
    .flatmap(lambda rows: st.sampled_from(",;\t| ").map(lambda mark: "\n".join(map(mark.join, rows))))
    .map(str.encode)
)


def _read_table(path: Path) -> None:
    table_classes(ImageFolder(path.parent, (8, 8), (File("a/1.png", 1), File("sky", 1))), path)


READERS = (
    Reader("mine.toml", descriptions, _read_description),
    Reader("marks.json", changed_json(MARKS) | damaged(b"1, 2; 3"), read_marks),
    Reader("choices.json", changed_json(CHOICES), _read_choices),
    Reader("edits.json", changed_json(EDITS), read_edits),
    Reader("labels.json", changed_json(NAMES), ClassNames.read),
    Reader("dissect.json", changed_json(OLD), _import),
    Reader(
        "records/mine--corrected.json", changed_json({"version": 3, "format": FORMAT, **RECORD.to_json()}), _read_record
    ),
    Reader("0123456789abcdef/samples.npz", damaged(_arrays()), _read_npz),
    Reader("weights.npz", repacked(_arrays()), read_checkpoint),
    Reader("weights.pt", repacked(_torch_file()), read_checkpoint),
    Reader("old.pt", damaged(_old_torch_file()), read_checkpoint),
    Reader("names.txt", damaged(TEXT) | tables, read_mask_names),
    Reader("classes.txt", damaged(TEXT) | tables, read_class_names),
    Reader("classes.csv", damaged(TEXT) | tables, _read_table),
    Reader("directions.npz", repacked(_sparse_arrays()), read_directions),
    Reader("plain.pkl", damaged(pickle.dumps({"a": [(1, (2,)), {"b": (3, 4)}]})), read_checkpoint),
    *(
        Reader(f"picture.{kind}", damaged(_picture(kind)), _read_picture)
        for kind in ("png", "jpeg", "gif", "bmp", "webp", "tiff", "avif")
    ),
)


@tried(READERS)
@given(data=st.data())
def test_a_reader_of_files(reader: Reader, tmp_path: Path, data: st.DataObject) -> None:
    try_reader(reader, tmp_path, data.draw(reader.contents))


@patient
@fuzzed
@given(content=st.data())
def test_safetensors(tmp_path: Path, content: st.DataObject) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2, 3)}, path)
    path.write_bytes(content.draw(damaged(path.read_bytes())))
    with harmless(tmp_path):
        read_checkpoint(path)


@patient
@pytest.mark.parametrize("name", ["summary.json", "data/compare.json", LEDGER])
@fuzzed
@given(data=st.data())
def test_files_of_a_site(site: Path, name: str, data: st.DataObject) -> None:
    home = next(path.parent for path in site.glob("*/summary.json"))
    path = home / name
    before = path.read_bytes()
    path.write_bytes(data.draw(changed_json(json.loads(before))))
    try:
        with harmless(site):
            read_summaries(site)
            parsed(path.read_bytes(), home.name)
            if name == "data/compare.json":
                read_sited(site, home.name)
    finally:
        path.write_bytes(before)


@patient
@fuzzed
@given(content=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_json_and_toml_of_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    for read in (structured.read_json, structured.read_toml):
        problem = ""
        try:
            read(path)
        except structured.Malformed as error:
            problem = str(error)
        assert "\n" not in problem


@patient
@fuzzed
@given(values=changed_json(vars(PartialDownload("http://x", "tag", 10))))
def test_what_is_known_of_a_download(tmp_path: Path, values: bytes) -> None:
    part = tmp_path / "weights.part"
    part.write_bytes(b"12345")
    (tmp_path / "weights.part.json").write_bytes(values)
    with harmless(tmp_path):
        known, have = resumable(part, "http://x")
        assert have == 0 or (known is not None and type(known.total) is int and type(known.validator) is str)


PIECES = st.lists(
    st.sampled_from([*NASTY, "planted", "index.html", "/", ".git", "%2e%2e", "%5c", "?", "#"]), max_size=6
)


@patient
@fuzzed
@given(address=PIECES.map("/".join) | st.text(max_size=30))
def test_addresses_on_the_server(site: Path, address: str) -> None:
    with harmless(site):
        path = _file_of_site(site, address)
        assert path is None or path.resolve().is_relative_to(site)


@patient
@fuzzed
@given(words=st.text(max_size=30) | PIECES.map("".join))
def test_words_of_the_command_line(tmp_path: Path, words: str) -> None:
    with harmless(tmp_path):
        comma_separated(words)
        checked_address(words)
        checked_address(f"https://{words}")
