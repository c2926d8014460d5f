"""Coverage of the package by part, the least covered files, and failure below the minimum.

Reads what `coverage combine` left in `.coverage`: `make coverage` runs all of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dissectreport"

MINIMUM = {"all": 90.0, "analysis": 95.0, "run": 95.0, "stats": 95.0}
"""Percent of lines and branches, of the whole and of parts where a wrong number would be published."""

SHOWN = 15
"""How many of the least covered files are printed."""


@dataclass(frozen=True)
class Covered:
    """Lines and branches that could run, and those that did."""

    possible: int
    executed: int

    def __add__(self, other: Covered) -> Covered:
        return Covered(self.possible + other.possible, self.executed + other.executed)

    @property
    def percent(self) -> float:
        """Executed of possible, from 0 to 100; 100 where nothing could run."""
        return 100 * self.executed / self.possible if self.possible else 100.0


def part_of(path: Path) -> str:
    """The part of the package that holds a file: a folder, or a module at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def grouped(files: dict[Path, Covered], group: Callable[[Path], str]) -> dict[str, Covered]:
    """The sums by group, the least covered first."""
    sums: dict[str, Covered] = {}
    for path, each in files.items():
        sums[group(path)] = sums.get(group(path), Covered(0, 0)) + each
    return dict(sorted(sums.items(), key=lambda item: item[1].percent))


def too_low(parts: dict[str, Covered]) -> list[str]:
    """One sentence for each minimum that is not reached."""
    total = sum(parts.values(), Covered(0, 0))
    return [
        f"{name}: {each.percent:.1f}% is covered, and at least {minimum:g}% must be"
        for name, minimum in MINIMUM.items()
        if (each := total if name == "all" else parts.get(name, Covered(1, 0))).percent < minimum
    ]


def measured(coverage: Coverage) -> dict[Path, Covered]:
    """Each file of the package with its lines and branches."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(report))
        files = json.loads(report.read_text("utf-8"))["files"]
    return {ROOT / name: covered(each["summary"]) for name, each in files.items()}


def covered(summary: dict[str, int]) -> Covered:
    """The sums of lines and branches of one file."""
    return Covered(
        summary["num_statements"] + summary["num_branches"], summary["covered_lines"] + summary["covered_branches"]
    )


def lines(rows: Iterable[tuple[str, Covered]]) -> Iterable[str]:
    """A table: percent, how many lines and branches never ran, and the name."""
    yield "covered  missed  name"
    for name, each in rows:
        yield f"{each.percent:6.1f}%  {each.possible - each.executed:6d}  {name}"


def main() -> int:
    """Print the tables; 1 when a minimum is not reached."""
    coverage = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    files = measured(coverage)
    parts = grouped(files, part_of)
    modules = grouped(files, lambda path: str(path.relative_to(ROOT)))
    total = sum(parts.values(), Covered(0, 0))
    report = [*lines(list(modules.items())[:SHOWN]), "", *lines([*parts.items(), ("all", total)]), *too_low(parts)]
    sys.stdout.write("\n".join(report) + "\n")
    return 1 if too_low(parts) else 0


if __name__ == "__main__":
    sys.exit(main())
