"""What the benchmarks share: processor time of one thread, and a results file."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def processor_seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """The least processor time of several runs of `work`."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table and write them to the results folder."""
    columns = list(rows[0])
    print(" | ".join(columns))
    for row in rows:
        print(" | ".join(f"{row[c]:.4g}" if isinstance(row[c], float) else str(row[c]) for c in columns))
    RESULTS.mkdir(exist_ok=True)
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load at the end": os.getloadavg(),
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
