"""Every page of a small site as it was accepted: a change of any page shows as a difference.

To accept what is drawn now, look at the difference and run `DISSECTREPORT_ACCEPT=1 pytest tests/test_golden.py`.
"""

import difflib
import os
import re
import shutil
from pathlib import Path

import pytest

from dissectreport.report.site.build import write_site
from tests.support.dissections import example_dissection, with_interventions

GOLDEN = Path(__file__).parent / "golden"
KEPT = {".html", ".csv"}
SKIPPED = {f"unit-{number}" for number in range(2, 12)}
"""Pages of units that are like those of the first two."""


def scrubbed(text):
    """Text without what may change while the page stays the same: hashes in the names of shared files."""
    return re.sub(r"([-.])[0-9a-f]{8,}(?=[-.])", r"\1HASH", text)


def pages(folder):
    return {
        str(path.relative_to(folder)): scrubbed(path.read_text("utf-8"))
        for path in sorted(folder.rglob("*"))
        if path.suffix in KEPT and path.stem not in SKIPPED
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    write_site(with_interventions(example_dissection(units=12, layers=1)), out)
    found = pages(out)
    if os.environ.get("DISSECTREPORT_ACCEPT"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for name, text in found.items():
            (GOLDEN / name).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(text, "utf-8")
    return found


def test_the_site_has_the_pages_that_were_accepted(drawn):
    assert sorted(drawn) == sorted(pages(GOLDEN))


@pytest.mark.parametrize("name", sorted(pages(GOLDEN)) if GOLDEN.exists() else ["no golden site"])
def test_a_page_is_as_it_was_accepted(drawn, name):
    wanted = (GOLDEN / name).read_text("utf-8").splitlines()
    difference = list(difflib.unified_diff(wanted, drawn[name].splitlines(), "accepted", "drawn", lineterm="", n=0))
    assert not difference, "\n".join(line[:300] for line in difference[:20])
