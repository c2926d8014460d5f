"""How time and memory for each sample grow with samples: a run of a cheap network, and its latents up to a million."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import write

MODEL = Path(__file__).with_name("growth_model.py")
RUN = """
import json, resource, sys, time
from pathlib import Path
import dissectreport
from dissectreport.pipeline.render import load_dissection
chosen = dict(workers=1, pilot=96, grid=16, controls=False, interventions=False, artifacts=False)
model, segmenter, cache, samples = sys.argv[1:]
times = [time.process_time()]
for number in (96, int(samples)):
    dissectreport.measure(dissectreport.Options(
        model, segmenter=segmenter, device="cpu", cache=Path(cache), samples=number, **chosen
    ))
    times.append(time.process_time())
load_dissection(model, cache=Path(cache), samples=int(samples))
times.append(time.process_time())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([times[2] - times[1], times[3] - times[2], peak]))
"""
DRAW = """
import json, resource, sys, time
from dissectreport.networks.latents import latents
started, samples = time.process_time(), int(sys.argv[1])
for first in range(0, samples, 48):
    latents(1, first, 48, (128,))
print(json.dumps([time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def answer(code: str, *words: str) -> Any:
    """What a process of its own prints as JSON, on its last line."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def of(samples: int) -> dict[str, float | str]:
    """Milliseconds for each sample to measure it after a first run of 96 samples, and to analyse it; peak memory."""
    with tempfile.TemporaryDirectory() as cache:
        measured, analysed, peak = answer(RUN, f"{MODEL}:few", f"{MODEL}:segmenter31", cache, str(samples))
    return {
        "what": "run",
        "samples": samples,
        "ms a sample": 1000 * measured / samples,
        "analysis ms a sample": 1000 * analysed / samples,
        "peak MB": peak,
    }


def drawn(samples: int) -> dict[str, float | str]:
    """Milliseconds for each latent of 128 numbers, drawn in shards of 48."""
    seconds, peak = answer(DRAW, str(samples))
    return {
        "what": "latents",
        "samples": samples,
        "ms a sample": 1000 * seconds / samples,
        "analysis ms a sample": 0.0,
        "peak MB": peak,
    }


if __name__ == "__main__":
    numbers = list(map(int, sys.argv[1:])) or [960, 9600, 96_000]
    write("samples", [*map(of, numbers), *map(drawn, (1000, 10_000, 100_000, 1_000_000))])
