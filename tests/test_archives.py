"""Archives in place of weights: the message says which file to unpack, and nothing is unpacked."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest

from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import WeightsError


def tar(names: Sequence[str], size: int = 600) -> bytes:
    """A tar archive of files of this size."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, BytesIO(b"x" * size))
    return out.getvalue()


def zipped(names: Sequence[str]) -> bytes:
    """A zip archive of small files."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


TORCH = ("sys_info", "storages", "tensors", "pickle")
CASES = {
    "one in a tar": (
        tar(["readme", "run/net G.pth"]),
        "unpack it with `tar -xf .*w.pth 'run/net G.pth'`",
    ),
    "two in a tar": (tar(["a.pth", "b.pkl", "c.txt"]), r"with a.pth, b.pkl: unpack it with `tar -xf .*`, and give one"),
    "none in a tar": (tar(["a.txt", "b.txt"]), "is a tar archive of a.txt, b.txt: none of them is called like weights"),
    "an empty tar": (tar([]) + b"", "no format|tar archive"),
    "a cut tar": (tar(["a.txt", "b.pth"])[:1400], "is a tar archive"),
    "an old torch": (tar(TORCH), "was saved by a version of torch before 0.2"),
    "one in a zip": (
        zipped(["x/readme", "x/G.pth"]),
        "a zip archive: unpack it with `unzip .*w.pth x/G.pth`, and",
    ),
    "many in a zip": (zipped([f"{n}.pt" for n in range(5)]), "with 0.pt, 1.pt, 2.pt and 2 more: unpack it with `unzip"),
    "a compressed file": (gzip.compress(b"weights"), r"is compressed with gzip: unpack it with `gunzip -k .*w.pth`"),
    "a compressed tar": (gzip.compress(tar(["a/G.pth"])), r"is a compressed tar archive: unpack it with `tar -xzf"),
    "a large compressed tar": (
        gzip.compress(tar(["a.txt", "G.pth", "big.pth"], 1 << 19)),
        "is a compressed tar archive: unpack it with .*G.pth",
    ),
    "a cut compressed file": (gzip.compress(b"weights" * 99)[:20], "compressed with gzip, and was truncated"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_archive_is_named_and_what_to_unpack(case: str, tmp_path: Path) -> None:
    content, words = CASES[case]
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=words) as refused:
        read_checkpoint(path)
    assert "\n" not in str(refused.value)
    assert [file.name for file in tmp_path.iterdir()] == ["w.pth"], "nothing was unpacked"
