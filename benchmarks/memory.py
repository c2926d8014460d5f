"""Peak memory of a measurement against the number of samples: it must not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from common import write

CODE = """
import json, resource, sys
from pathlib import Path
import dissectreport
from dissectreport.pipeline.render import load_dissection
small = dict(pilot=96, workers=2, interventions=False, artifacts=False, cache=Path(sys.argv[2]))
options = dissectreport.Options("planted", samples=int(sys.argv[1]), **small)
dissectreport.measure(options)
measured = sum(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
load_dissection("planted", cache=options.cache)
analysed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([measured, analysed]))
"""


def peaks(samples: int) -> tuple[float, float]:
    """Peak memory in MB: of the driver and its largest worker when measured, and of the driver when analysed."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(samples), cache], capture_output=True, text=True, check=True
        )
    measured, analysed = json.loads(done.stdout)
    return measured / 1024, analysed / 1024


if __name__ == "__main__":
    rows = []
    for samples in (960, 1920, 3840):
        measured, analysed = peaks(samples)
        rows.append({"samples": samples, "measuring MB": measured, "analysing MB": analysed})
    write("memory", rows)
