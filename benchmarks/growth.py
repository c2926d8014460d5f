"""How the store, the analysis and its memory grow with concepts and units: 64 units against 31, 301 and 1,200
concepts, and 512 units against 301."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import write

MODEL = Path(__file__).with_name("growth_model.py")
MEASURE = """
import sys, time
from pathlib import Path
import dissectreport
chosen = dict(workers=1, samples=240, pilot=96, grid=32, controls=False, interventions=False, artifacts=False)
dissectreport.measure(dissectreport.Options(
    sys.argv[1], segmenter=sys.argv[2], device="cpu", cache=Path(sys.argv[3]), **chosen
))
print(time.process_time())
"""
ANALYSE = """
import json, resource, sys, time
from pathlib import Path
from dissectreport.pipeline.render import load_dissection
started = time.process_time()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dissection = load_dissection(sys.argv[1], cache=Path(sys.argv[3]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.process_time() - started, peak / 1024, (peak - before) / 1024, len(dissection.concepts)]))
"""


def of(units: int, concepts: int) -> dict[str, float]:
    """Processor seconds and MB of a run with this many units and concepts."""
    with tempfile.TemporaryDirectory() as cache:
        arguments = [f"{MODEL}:load{units}", f"{MODEL}:segmenter{concepts}", cache]
        measured, analysed = (
            subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout
            for code in (MEASURE, ANALYSE)
        )
        store = sum(path.stat().st_size for path in Path(cache).rglob("*") if path.is_file())
    seconds, peak, _, occur = json.loads(analysed)
    return {
        "units": units,
        "concepts": concepts,
        "concepts that occur": occur,
        "measuring s": float(measured.split()[-1]),
        "store MB": store / 1e6,
        "analysis s": seconds,
        "analysis MB": peak,
    }


if __name__ == "__main__":
    write("growth", [of(*pair) for pair in ((64, 31), (64, 301), (64, 1200), (512, 301))])
