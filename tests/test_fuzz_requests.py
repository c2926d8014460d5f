"""What people write, and what other programs send: whatever it is, a value or one error of one line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dissectreport.cli.edits import _units
from dissectreport.models.families.loading import settings_of
from dissectreport.models.image_folder import open_folder
from dissectreport.models.strokes import PaintedEdits, Stroke, read_painted
from dissectreport.pipeline import journal
from dissectreport.pipeline.journal import News
from dissectreport.pipeline.on_demand import patches_of
from dissectreport.pipeline.words import FEWEST, read_words
from dissectreport.publish.github_pages import pages_address
from dissectreport.publish.serve import Changes, Handler
from dissectreport.report.site.build import write_site
from dissectreport.run.addresses import ModelAddress, checkpoint_of, with_settings
from dissectreport.run.shards import RunPart
from dissectreport.segmenters.mask_files import check_sizes, concepts_in, find_layout
from tests.support.dissections import example_dissection
from tests.support.fuzzing import Reader, fuzzed, harmless, patient, tried, try_reader
from tests.support.mutations import NASTY, changed_json, damaged

STROKES = PaintedEdits("m", "i", "layer1", 4, 4, (Stroke((1, 2), (0.0, 0.5), 0.5, (3, 4)),))
NEWS = News("mine", "", "corrected", 96, 1, 2, "host", 7, 1.0, 2.0)
WORDS = "\n".join(f"word{number}" for number in range(FEWEST + 3)).encode()
BRODEN = b"image,split,scene,object,part\na/1.png,train,3,a/1_object.png,a/1_part.png;a/1_object.png\na/1.png,val,,,\n"
LABELS = b"number,name,category\n1,sky,object(1)\n3,kitchen,scene(1)\n258,door,part(3)\n"
NAMES = b"0 void\n1 sky\n2 red door\n"


def picture(kind: str, high: int = 3) -> bytes:
    """A small picture whose pixels are below a number."""
    stream = io.BytesIO()
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) % high
    Image.fromarray(pixels if kind == "png" else np.stack([pixels] * 3, 2)).save(stream, kind)
    return stream.getvalue()


def _read_news(path: Path) -> None:
    list(journal.every(path.parent.parent))


def _read_broden(path: Path) -> None:
    """A folder in the layout of Broden, of which one file was changed."""
    images = path.parent / "images" / "a"
    images.mkdir(parents=True, exist_ok=True)
    for name in ("1.png", "1_object.png", "1_part.png"):
        (images / name).write_bytes(picture("png"))
    for name, content in (("index.csv", BRODEN), ("label.csv", LABELS)):
        if name != path.name:
            (path.parent / name).write_bytes(content)
    _read_masks(path.parent)


def _read_mask(path: Path) -> None:
    """A folder of images and masks, of which one mask was changed."""
    images = path.parent.parent / "images"
    images.mkdir(exist_ok=True)
    (images / path.name).write_bytes(picture("png"))
    (path.parent.parent / "names.txt").write_bytes(NAMES)
    _read_masks(path.parent.parent)


def _read_masks(folder: Path) -> None:
    layout = find_layout(folder, None, None)
    check_sizes(layout)
    for entry in layout.entries:
        for mask in entry.masks:
            concepts_in(layout, mask, (8, 8))


def _read_photographs(path: Path) -> None:
    """A folder of photographs, of which one was changed."""
    (path.parent / "b.png").write_bytes(picture("png"))
    folder = open_folder(path.parent, (8, 8))
    folder.first(2)
    for line in folder.notes():
        assert "\n" not in line


READERS = (
    Reader("strokes.json", changed_json(asdict(STROKES) | {"edits": 2}), read_painted),
    Reader("progress/mine.json", changed_json(asdict(NEWS)), _read_news),
    Reader("words.txt", damaged(WORDS), read_words),
    Reader("broden/index.csv", damaged(BRODEN), _read_broden),
    Reader("broden/label.csv", damaged(LABELS), _read_broden),
    Reader("labelled/masks/1.png", damaged(picture("png")), _read_mask),
    Reader("photos/a.jpg", damaged(picture("jpeg", 64)), _read_photographs),
)


@tried(READERS)
@given(data=st.data())
def test_a_file_that_somebody_wrote(reader: Reader, tmp_path: Path, data: st.DataObject) -> None:
    try_reader(reader, tmp_path, data.draw(reader.contents))


PIECES = st.lists(
    st.sampled_from(
        (*NASTY, "a", "=", ",", ":", "+", "psi", "label", "images", "directions", "1", "²", "９", "/", ".pt")
    )
    | st.text(max_size=4),
    max_size=6,
).map("".join)
USES = {
    "--units": _units,
    "--at": lambda words: patches_of(words, (4, 4)),
    "--shard": RunPart.parse,
    "settings": settings_of,
    "model": checkpoint_of,
    "directions": ModelAddress.read,
    "--directions": lambda words: ModelAddress.read(with_settings("a.pt", None, None, (), "", None, (words,))),
    "remote": pages_address,
}
"""What reads words that people write, by where they stand."""


@patient
@pytest.mark.parametrize("use", USES)
@fuzzed
@given(words=PIECES)
def test_words_that_somebody_wrote(use: str, tmp_path: Path, words: str) -> None:
    with harmless(tmp_path):
        USES[use](words)


# --- what a browser, or somebody else, sends to the server ----------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one model."""
    out = tmp_path_factory.mktemp("served") / "site"
    write_site(example_dissection(units=6), out)
    return out


class Connection:
    """The end of a connection at which a request lies ready."""

    def __init__(self, request: bytes) -> None:
        self.request, self.answer = io.BytesIO(request), io.BytesIO()

    def makefile(self, *_words: Any) -> io.BytesIO:
        """What is read."""
        return self.request

    def sendall(self, content: bytes) -> None:
        """Keep what is answered."""
        self.answer.write(content)

    def settimeout(self, _seconds: float) -> None:
        """Nothing: all that comes is here."""


REQUEST = b"GET /planted/index.html?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nRange: bytes=0-3\r\nAccept: */*\r\n\r\n"
requests = damaged(REQUEST) | st.tuples(
    st.sampled_from((b"GET", b"HEAD", b"POST", b"OPTIONS", b"get", b"")),
    st.lists(
        st.sampled_from([*NASTY, "planted", "index.html", "/", "//", ".git", "%2e%2e", "%0d%0a", "?", "#"]), max_size=6
    )
    .map("/".join)
    .map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9", b"")),
).map(lambda parts: b" ".join(parts) + b"\r\nHost: localhost\r\n\r\n")


def _head_and_body(answer: bytes) -> Iterator[bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    yield from (head, body)


@patient
@fuzzed
@given(request=requests)
def test_requests_to_the_server(site: Path, request: bytes) -> None:
    connection = Connection(request)
    with harmless(site), suppress(ConnectionError):
        Handler(connection, ("127.0.0.1", 9), None, changes=Changes(), directory=str(site))
    head, _ = _head_and_body(connection.answer.getvalue())
    lines = head.decode("latin-1").splitlines()
    assert not [line for line in lines if line.lower().startswith("location:") and "//" in line]


def test_a_stranger_host_is_refused_whatever_it_asks(site: Path) -> None:
    connection = Connection(REQUEST.replace(b"127.0.0.1:8000", b"example.org"))
    Handler(connection, ("127.0.0.1", 9), None, changes=Changes(), directory=str(site))
    assert b" 403 " in connection.answer.getvalue().splitlines()[0]


def test_the_edits_of_a_paint_page_come_back(tmp_path: Path) -> None:
    (tmp_path / "strokes.json").write_text(json.dumps(asdict(STROKES) | {"edits": 2}))
    assert read_painted(tmp_path / "strokes.json") == STROKES
