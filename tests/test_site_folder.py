"""The folder of a site: whose files lie there, which are damaged, who writes at a time, and what paths may lead to."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dissectreport import files
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.errors import OutputError
from dissectreport.report.common.ledger import LEDGER, read_ledger
from dissectreport.report.common.site_options import SiteSettings
from dissectreport.report.site.build import write_site
from dissectreport.report.site.existing_files import changed_files, check_folder
from dissectreport.report.site.fixed_comparison import write_comparison
from dissectreport.report.site.summaries import address_of_site, read_summaries
from tests.support.dissections import example_dissection
from tests.support.sites import contents
from tests.support.tiers import extended

REPLACE = SiteSettings(replace=True)


@pytest.fixture(scope="module")
def one() -> Dissection:
    return example_dissection(units=6, layers=1, name="one")


@pytest.fixture(scope="module")
def two() -> Dissection:
    return example_dissection(units=6, layers=1, name="two", seed=1)


@pytest.fixture(scope="module")
def made(one: Dissection, two: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "site"
    write_site(one, out)
    write_site(two, out)
    write_comparison(out, ["one", "two"])
    return out


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "site")


def test_a_folder_of_others_is_refused_before_anything_is_written(one: Dissection, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.html").write_text("my home page")
    (docs / "manifest.json").write_text('{"name": "my application", "files": {}}')
    before = contents(docs)
    with pytest.raises(
        OutputError, match=r"contains something else \(index.html, manifest.json\); .* --replace"
    ) as error:
        write_site(one, docs)
    assert "\n" not in str(error.value) and contents(docs) == before
    write_site(one, docs, settings=REPLACE)
    assert (docs / "index.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_hidden_files_alone_leave_a_folder_empty(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").write_text("")
    check_folder(tmp_path)
    check_folder(tmp_path / "missing")


def test_a_file_of_others_in_a_site_is_neither_replaced_nor_removed(site: Path, one: Dissection) -> None:
    (site / "three").mkdir()
    (site / "three" / "index.html").write_text("mine")
    (site / "one" / "layer1" / "notes.txt").write_text("mine too")
    before = contents(site)
    three = example_dissection(units=6, layers=1, name="three")
    with pytest.raises(OutputError, match=r"holds 1 file that the site did not write .*\(three/index.html\)"):
        write_site(three, site)
    assert contents(site) == before
    write_site(three, site, settings=REPLACE)
    assert (site / "one" / "layer1" / "notes.txt").read_text() == "mine too"
    assert "three/index.html" not in changed_files(site)


def test_the_page_that_a_user_put_beside_the_fixed_comparisons_is_not_taken_for_one(
    site: Path, one: Dissection
) -> None:
    (site / "compare" / "mine.html").write_text("<h1>Mine</h1>")
    write_site(one, site)
    assert "mine.html" not in (site / "compare.html").read_text("utf-8")
    assert (site / "compare" / "mine.html").read_text() == "<h1>Mine</h1>"


def flipped(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


def test_any_bit_of_any_file_is_noticed(made: Path, tmp_path: Path) -> None:
    """All files once, at a random bit, and each ledger alone at many."""
    assert changed_files(made) == []
    site = shutil.copytree(made, tmp_path / "site")
    source = random.Random(0)
    found = {path: path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file() and path.stat().st_size}
    ledgers = [path for path in found if path.name == LEDGER]
    others = [path for path in found if path.name != LEDGER]
    for path in others:
        flipped(path, source.randrange(8 * len(found[path])))
    assert {path.relative_to(site).as_posix() for path in others} <= set(changed_files(site)) and len(others) > 60
    for path in others:
        path.write_bytes(found[path])
    for path in ledgers:
        for _ in range(16):
            flipped(path, source.randrange(8 * len(found[path])))
            name = path.relative_to(site).as_posix()
            assert name in changed_files(site) or read_ledger(site) is None, name
            path.write_bytes(found[path])
    assert changed_files(site) == []


def test_the_next_build_repairs_what_it_can_and_says_so(
    made: Path, site: Path, one: Dissection, two: Dissection
) -> None:
    damaged = ["one/summary.json", "one/manifest.json", "compare/data/one/against/two.js", "index.html"]
    for name in damaged:
        flipped(site / name, 1003)
    flipped(site / "two" / "index.html", 77)
    lines: list[str] = []
    write_site(one, site, say=lines.append)
    first, second = lines
    # A damaged line of a ledger may make the file that it names look damaged too.
    assert first.startswith(("4 files of the site (", "5 files of the site (")) and first.endswith(
        "they are written again"
    )
    assert "1 file of the site (two/index.html) was" in second and "render these models" in second
    write_site(two, site)
    assert contents(site) == contents(made)
    lines.clear()
    write_site(one, site, say=lines.append)
    assert lines == []


@pytest.mark.parametrize("line", [0, *map(extended, range(1, 5)), 5])
def test_a_site_whose_ledger_lost_a_line_is_written_again(made: Path, site: Path, one: Dissection, line: int) -> None:
    ledger = site / LEDGER
    lines = ledger.read_text("utf-8").splitlines()
    ledger.write_text("\n".join(lines[: 2 * line] + lines[2 * line + 1 :]), "utf-8")
    lines = []
    write_site(one, site, say=lines.append)
    assert any(LEDGER in said for said in lines) and contents(site) == contents(made)


def test_a_model_that_the_user_removed_is_not_missed(site: Path, one: Dissection) -> None:
    shutil.rmtree(site / "two")
    (site / "compare" / "one-vs-two-layer1.html").unlink()
    lines: list[str] = []
    write_site(one, site, say=lines.append)
    assert changed_files(site) == [] and not [said for said in lines if "two/" in said.replace("-two", "")]


# --- paths ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/../b",
        "../a",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "a\0b",
        "a\nb",
        "C:/a",
        "a:b",
        3,
        None,
    ],
)
def test_a_name_that_could_leave_the_folder_is_none(name: Any) -> None:
    assert not files.is_inside(name)


def test_nothing_is_written_or_removed_through_a_link(site: Path, one: Dissection, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(site / "one" / "layer1", outside)
    before = contents(outside)
    shutil.rmtree(site / "one" / "layer1")
    (site / "one" / "layer1").symlink_to(outside)
    with pytest.raises(OutputError, match="layer1 is a link, and nothing is read or written through one"):
        write_site(one, site)
    assert contents(outside) == before


def test_a_link_in_place_of_a_file_is_refused(site: Path, one: Dissection, tmp_path: Path) -> None:
    (tmp_path / "precious.html").write_text("precious")
    (site / "index.html").unlink()
    (site / "index.html").symlink_to(tmp_path / "precious.html")
    with pytest.raises(OutputError, match=r"index.html is a link"):
        write_site(one, site)
    assert (tmp_path / "precious.html").read_text() == "precious"


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://[", "//evil.example/", "data:text/html,x", "none"])
def test_the_address_in_a_strangers_summary_is_taken_only_if_an_option_would_take_it(site: Path, address: str) -> None:
    edited(site / "one" / "summary.json", base_url=address)
    assert address_of_site(read_summaries(site)) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"assets": ["assets/../one/index.html"]},
        {"band": "../secret.webp"},
        {"units": "6"},
        {"layers": []},
        {"layers": [{"layer": "layer1", "units": 6, "measured": {"units": "<b>"}}]},
        {"layers": [3]},
        {"home": "two"},
        {"more": 1},
        {"title": None},
    ],
    ids=str,
)
def test_a_summary_that_no_render_writes_is_none_of_ours(site: Path, changes: dict[str, Any]) -> None:
    edited(site / "one" / "summary.json", **changes)
    assert [summary.home for summary in read_summaries(site)] == ["two"]


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"[]", b"null", b"\xff", b'{"home": "one"}'])
def test_a_summary_that_is_no_summary_is_none_of_ours(site: Path, content: bytes) -> None:
    (site / "one" / "summary.json").write_bytes(content)
    assert [summary.home for summary in read_summaries(site)] == ["two"]


@pytest.mark.extended
def test_a_pipe_in_a_site_is_not_waited_for(site: Path, one: Dissection) -> None:
    for name in ("two/summary.json", "two/data/compare.json"):
        (site / name).unlink()
        os.mkfifo(site / name)
    lines: list[str] = []
    write_site(one, site, say=lines.append)
    assert "two/summary.json" in " ".join(lines)


# --- killed and simultaneous runs -----------------------------------------------------------------------------


def test_what_a_killed_run_left_half_written_is_removed_and_other_files_are_not(site: Path, one: Dissection) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own = files.part_of(site / "one" / "index.html").name
    left = site / "one" / own.replace(f".{os.getpid()}.", f".{dead.pid}.")
    kept = [site / "one" / name for name in (own, ".mine.part", "a.part", own.replace(own.split(".")[2], "0" * 8))]
    for path in (left, *kept):
        path.write_text("half")
    write_site(one, site)
    assert not left.exists() and all(path.exists() for path in kept)
    os.utime(kept[-1], (0, 0))
    assert files.remove_parts(site) == 1


def test_two_models_that_are_written_at_once_are_both_there(tmp_path: Path, one: Dissection, two: Dissection) -> None:
    errors: list[BaseException] = []

    def write(dissection: Dissection) -> None:
        try:
            write_site(dissection, tmp_path / "site")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(each,)) for each in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and [summary.home for summary in read_summaries(tmp_path / "site")] == ["one", "two"]
    assert changed_files(tmp_path / "site") == []
    text = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "one/index.html" in text and "two/index.html" in text


def test_who_waits_is_told(tmp_path: Path) -> None:
    lines: list[str] = []

    def wait() -> None:
        with files.locked(tmp_path, lines.append):
            lines.append("inside")

    with files.locked(tmp_path):
        thread = threading.Thread(target=wait)
        thread.start()
        while not lines:
            thread.join(0.01)
        assert lines == [f"another process writes into {tmp_path}; waiting for it"]
    thread.join()
    assert lines[1:] == ["inside"]


@pytest.mark.parametrize("problem", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("flock")])
def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise problem

    monkeypatch.setattr("filelock.FileLock.acquire", fail)
    lines: list[str] = []
    with files.locked(tmp_path, lines.append):
        assert lines == [f"files in {tmp_path} cannot be locked; write into it from one process at a time"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_permissions_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "chmod", refuse)
    files.write(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    files.check_writable(tmp_path)
