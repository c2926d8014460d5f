"""Mutation testing of the statistics and of the counting: `make mutants`, by hand, an hour on two free cores.

mutmut changes one thing at a time and runs the tests that touch it (`[tool.mutmut]` in pyproject.toml). It remembers
what it has done in `mutants/`, so a run that was stopped goes on. The results are written to
benchmarks/results/mutants.json. `--retest` tests survivors again, after tests were added; `--sample N` tests N of the
mutants that were not tested yet, drawn at random with a fixed seed; `--table` runs nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parent.parent
MUTANTS = ROOT / "mutants"
RESULTS = ROOT / "benchmarks/results/mutants.json"
SEED = 1
"""Of `--sample`."""


def exit_codes() -> dict[str, dict[str, int | None]]:
    """By module, each mutant's exit code; None where it was not tested yet."""
    files = sorted(MUTANTS.rglob("*.py.meta"))
    codes = {str(file.relative_to(MUTANTS)): json.loads(file.read_text())["exit_code_by_key"] for file in files}
    return {name.removesuffix(".meta"): found for name, found in codes.items() if found}


def named(wanted: str) -> list[str]:
    """Names of the mutants with this status, such as 'survived'."""
    return sorted(name for found in exit_codes().values() for name, code in found.items() if status(code) == wanted)


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


def chosen(given: argparse.Namespace) -> list[str]:
    """Names of the mutants to test; none stands for all that were not tested yet."""
    if given.retest:
        return named("survived")
    untested = named("not checked") if given.sample else []
    return random.Random(SEED).sample(untested, min(given.sample, len(untested)))


def main() -> None:
    """Test mutants, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retest", action="store_true", help="test survivors again")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="test N of those not tested yet")
    parser.add_argument("--table", action="store_true", help="only write the table")
    given = parser.parse_args()
    if not given.table:
        subprocess.run([sys.executable, "-m", "mutmut", "run", *chosen(given)], cwd=ROOT, check=True)
    RESULTS.write_text(json.dumps(table(), indent=2) + "\n")
    sys.stdout.write(f"{RESULTS.relative_to(ROOT)}: {table()['all']}\n")


if __name__ == "__main__":
    main()
