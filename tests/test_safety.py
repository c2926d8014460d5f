"""What must never happen: programs started by images, formulas in tables, private paths on pages, open workflows."""

from __future__ import annotations

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, UnidentifiedImageError

from dissectreport import image_files
from dissectreport.image_files import opened_image
from dissectreport.pipeline.reproduce import publishable, publishable_facts
from dissectreport.report.common.table_formats import as_csv

ROOT = Path(__file__).parents[1]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(%pipe%touch started) (r) file\n"


@pytest.mark.parametrize("content", [EPS, b"", b"no image", b"P6 8 8 255\n" + bytes(192), b"\x00" * 1000], ids=repr)
def test_other_formats_are_no_images_whatever_their_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0-top.jpg"
    path.write_bytes(content)
    with pytest.raises(UnidentifiedImageError), opened_image(path):
        pass
    assert [*tmp_path.iterdir()] == [path]


def test_pipes_devices_and_folders_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")
    for path in (tmp_path / "0.png", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="not a regular file"), opened_image(path):
            pass


def test_large_files_and_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises((Image.DecompressionBombError, OSError)), opened_image(bomb):
        pass
    monkeypatch.setattr(image_files, "MOST_BYTES", 10)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(OSError, match="larger than 10 bytes"), opened_image(tmp_path / "a.png"):
        pass


def test_images_are_opened_in_one_place() -> None:
    opening = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dissectreport").rglob("*.py")
        if re.search(r"\bImage\.open\(", path.read_text("utf-8"))
    ]
    assert opening == ["dissectreport/image_files.py"]


FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-tree", "@SUM(A1)", "\t=1", "\r=1", "＝1", "-1e", "--1")
PLAIN = ("tree", "Türe", "-0.5", "+3", "-1e-05", "a=b", "", "'quoted'", "a,b", 'say "no"', "two\nlines")


def test_text_of_a_table_is_no_formula_and_numbers_stay(tmp_path: Path) -> None:
    table = pd.DataFrame({"concept": [*FORMULAS, *PLAIN], "iou": -0.5, "units": -3, "sure": True})
    table.loc[1, "iou"] = np.nan
    content = as_csv(table)
    assert content.startswith(b"\xef\xbb\xbfconcept,iou,units,sure\n")
    (tmp_path / "a.csv").write_bytes(content)
    read = pd.read_csv(tmp_path / "a.csv", keep_default_na=False, dtype={"concept": str})
    assert list(read.columns) == list(table.columns)
    assert read["concept"].tolist() == [*(f"'{text}".replace("\r", "\n") for text in FORMULAS), *PLAIN]
    assert set(read["units"]) == {-3} and set(read["iou"].astype(str)) == {"-0.5", ""}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/home/me/x.py:f", "x.py:f"),
        ("scenes+/home/me/seg.py:f", "scenes+seg.py:f"),
        ("~/models/net.toml", "net.toml"),
        (r"C:\Users\me\net.toml", "net.toml"),
        ("./net.py:f", "./net.py:f"),
        ("scenes_pgan", "scenes_pgan"),
        ("words:sky / sea", "words:sky / sea"),
        ("/ 255", "/ 255"),
        ("https://example.org/a", "https://example.org/a"),
    ],
)
def test_no_path_of_the_machine_is_published(given: str, shown: str) -> None:
    assert publishable(given) == shown
    assert publishable_facts({"a": [{"segmenter": given}], "n": 3}) == {"a": [{"segmenter": shown}], "n": 3}


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_workflows_run_pinned_actions_with_few_permissions(path: Path) -> None:
    text = path.read_text("utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        writes = {name for name, right in job["permissions"].items() if right == "write"}
        assert writes <= {"pages", "id-token"}
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_page_has_a_policy() -> None:
    from dissectreport.report.html.policy import single_policy, site_policy

    for policy in (site_policy(), single_policy(["1"], ["p {}"])):
        by_name = {line.split()[0]: line.split()[1:] for line in policy.split("; ")}
        assert by_name["default-src"] == by_name["connect-src"] == by_name["base-uri"] == ["'none'"]
        assert not {"'unsafe-inline'", "'unsafe-eval'", "data:", "*", "https:"} & {*by_name["script-src"]}
        assert "'unsafe-inline'" not in by_name["style-src"]
    golden = [path.read_text("utf-8") for path in (ROOT / "tests" / "golden").rglob("*.html")]
    assert golden and all(text.count('http-equiv="Content-Security-Policy"') == 1 for text in golden)
