"""Time to draw a layer of 512 units, and what its page weighs before and after its images."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import processor_seconds, write

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from made import made_dissection

from dissectreport.report.site import write_site

if __name__ == "__main__":
    dissection = made_dissection(units=512, layers=1)
    with tempfile.TemporaryDirectory() as out:
        seconds = processor_seconds(lambda: write_site(dissection, Path(out)), 1)
        written = write_site(dissection, Path(out))
        page = max(Path(out).rglob("*.html"), key=lambda path: path.stat().st_size)
        weight = page.stat().st_size
    row = {
        "units": 512,
        "render s": seconds,
        "files": written.files,
        "site MB": written.bytes / 1e6,
        "largest page KB": weight / 1e3,
    }
    write("render", [row])
