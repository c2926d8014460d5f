"""What the pages that are made of reports have in common: tables, intervals, and the reports that a site lacks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


def table(title: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(title) + " |", "|" + "---|" * len(title)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def interval(row: Any, name: str, words: Callable[[float], str]) -> str:
    """A figure of a row with the ends of its interval, each in words."""
    low, high = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    return f"{words(row[name])} [{words(row[low])}, {words(row[high])}]"


def build_missing(site: Path, model: str, cache: Path | None, *options: str) -> None:
    """Build the report of a model if the site lacks it."""
    if (site / model / "summary.json").is_file():
        return
    command = [sys.executable, "-m", "dissectreport", "build", model, *options, "--out", str(site)]
    subprocess.run([*command, *(["--cache", str(cache)] if cache else [])], check=True)
