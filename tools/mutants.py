"""Mutation testing of the statistics and of the counting: `make mutants`, by hand, half an hour on two free cores.

mutmut changes one thing at a time and runs the tests that touch it (`[tool.mutmut]` in pyproject.toml). It remembers
what it has done in `mutants/`, so a run that was stopped goes on. The results are written to
benchmarks/results/mutants.json. `--retest` tests survivors again, after tests were added; `--table` runs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parent.parent
MUTANTS = ROOT / "mutants"
RESULTS = ROOT / "benchmarks/results/mutants.json"


def exit_codes() -> dict[str, dict[str, int | None]]:
    """By module, each mutant's exit code; None where it was not tested yet."""
    files = sorted(MUTANTS.rglob("*.py.meta"))
    codes = {str(file.relative_to(MUTANTS)): json.loads(file.read_text())["exit_code_by_key"] for file in files}
    return {name.removesuffix(".meta"): found for name, found in codes.items() if found}


def survivors() -> list[str]:
    """Names of the mutants that no test noticed."""
    return [name for found in exit_codes().values() for name, code in found.items() if status(code) == "survived"]


def status(code: int | None) -> str:
    """'killed', 'survived', 'timeout' …, in the words of mutmut."""
    return "not checked" if code is None else str(status_by_exit_code[code])


def table() -> dict[str, dict[str, float]]:
    """By module and in all: mutants by status, and the share killed of those that were tested."""
    counts = {module: Counter(map(status, found.values())) for module, found in exit_codes().items()}
    counts["all"] = sum(counts.values(), Counter())
    return {name: dict(sorted(found.items())) | {"share killed": share_killed(found)} for name, found in counts.items()}


def share_killed(found: Counter[str]) -> float:
    """Killed ones and those that never ended, among those that were tested; a mutant without tests is not killed."""
    tested = sum(found.values()) - found["not checked"]
    return round((found["killed"] + found["timeout"]) / max(tested, 1), 3)


def main() -> None:
    """Run what is left to run, and write the table."""
    if "--table" not in sys.argv:
        names = survivors() if "--retest" in sys.argv else []
        subprocess.run([sys.executable, "-m", "mutmut", "run", *names], cwd=ROOT, check=True)
    RESULTS.write_text(json.dumps(table(), indent=2) + "\n")
    sys.stdout.write(f"{RESULTS.relative_to(ROOT)}: {table()['all']}\n")


if __name__ == "__main__":
    main()
