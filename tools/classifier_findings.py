"""What was found in the embedded classifier: a part of docs/classifiers.md, from its built report.

    python tools/classifier_findings.py --build           # build the report if the site lacks it, then write the part
    python tools/classifier_findings.py --site site       # write the part from the report in a site

Every figure is read from the tables of the report; nothing is written by hand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import dissectreport
from dissectreport import files
from dissectreport.report.export.notebook import LayerReport, Report

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "classifiers.md"
MODEL = "scenes_classifier"
BEGIN, END = "<!-- begin: python tools/classifier_findings.py -->", "<!-- end -->"
"""Between these lines of the page is the part that this program writes."""
FEW = 4
"""Units that are ablated together."""
GROUPS = {
    "target": "that matter most to the target",
    "source": "that matter most to the source",
    "others": "all others",
}


def part(report: Report) -> str:
    """What was found, in Markdown."""
    layer = next(layer for layer in report.layers.values() if "classes-classes" in layer.tables)
    return "\n\n".join([introduction(report, layer), *classes_part(layer), *attacks_part(layer)])


def introduction(report: Report, layer: LayerReport) -> str:
    """What was measured."""
    classes = layer.tables["classes-classes"]
    images = int(classes["class_images"].sum() + classes["selection_images"].sum())
    interpretable = int(layer.units["interpretable"].sum())
    return (
        f"`python tools/classifier_findings.py --build` made the tables below from the report of `{MODEL}`: "
        f"{len(classes)} classes with {images:,} images, and the {len(layer.units)} units of {layer.name}, of which "
        f"{interpretable} are interpretable. Intervals are 95% intervals; of random sets, the range of the sets."
    )


def classes_part(layer: LayerReport) -> Iterator[str]:
    """Accuracy with units ablated, and the units that matter most."""
    curves, classes = layer.tables["classes-curves"], layer.tables["classes-classes"]
    size = max((n for n in curves["ablated_units"].unique() if n <= FEW), default=int(curves["ablated_units"].min()))
    rows = curves[curves["ablated_units"] == size].set_index(["class", "ablated"])
    yield f"Balanced accuracy of each class, where 0.5 is chance, and with {size} units ablated, or all others:"
    kinds = ("leading", "random", "least", "others")
    yield table(
        (
            *("class", "no edit", "without those that matter most", "without random units"),
            *("without those that matter least", "with only those that matter most"),
        ),
        (
            [
                str(row["class"]),
                interval(row, "balanced_accuracy"),
                *(interval(rows.loc[(row["class"], kind)], "balanced_accuracy") for kind in kinds),
            ]
            for row in classes.to_dict("records")
        ),
    )
    lost = [(rows.loc[(name, "leading")], name) for name in classes["class"]]
    certain = [name for row, name in lost if row["random_difference_high"] < 0]
    yield (
        f"For {len(certain)} of {len(classes)} classes, the {size} units that matter most cost more accuracy than one "
        "more random set of as many units would."
    )
    yield "The units that matter most to each class, with the concepts that they match (– where none is matched):"
    yield table(("class", "units"), unit_rows(layer, size))


def unit_rows(layer: LayerReport, size: int) -> Iterator[list[str]]:
    """The leading units of every class, with their labels."""
    labels = layer.units.set_index("unit")
    for name, group in layer.tables["classes-class_units"].groupby("class", sort=False):
        chosen = group[(group["class_rank"] <= size) & group["matters"].astype(bool)]
        words = [f"{unit} ({label(labels.loc[unit])})" for unit in chosen["unit"]]
        yield [str(name), ", ".join(words) or "no single unit lowers its accuracy"]


def label(row: Any) -> str:
    """What a unit matches."""
    return str(row["concept"]) if row["interpretable"] else "–"


def attacks_part(layer: LayerReport) -> Iterator[str]:
    """What attacks change."""
    attacks = layer.tables.get("classes-attacks", pd.DataFrame())
    if attacks.empty:
        return
    succeeded = attacks.groupby("attack", sort=False)["succeeded"].first()
    words = ", ".join(f"{name} {share:.0%}" for name, share in succeeded.items())
    yield (
        "How much attacks change the peak activation of a unit, by the class that the unit matters to. Share of the "
        f"images whose prediction changed as intended: {words}."
    )
    yield table(
        ("units", *(f"{name} change" for name in succeeded.index)),
        (
            [
                words,
                *(
                    interval(row, "peak_change", 3)
                    for row in attacks[attacks["unit_group"] == group].to_dict("records")
                ),
            ]
            for group, words in GROUPS.items()
        ),
    )


def interval(row: Any, name: str, digits: int = 2) -> str:
    """A figure with its interval."""
    value, low, high = (f"{row[f'{name}{end}']:.{digits}f}" for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def table(title: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(title) + " |", "|" + "---|" * len(title)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def with_part(page: str, text: str) -> str:
    """The page with the part between its two lines; a ValueError where it does not have both."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def build(site: Path, cache: Path | None) -> None:
    """Build the report if the site lacks it."""
    if (site / MODEL / "summary.json").is_file():
        return
    command = [sys.executable, "-m", "dissectreport", "build", MODEL, "--no-paint", "--out", str(site)]
    subprocess.run([*command, *(["--cache", str(cache)] if cache else [])], check=True)


def main() -> None:
    """Write the part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="store_true", help="build the report if the site lacks it")
    parser.add_argument("--site", type=Path, default=ROOT / "site")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.build:
        build(arguments.site, arguments.cache)
    text = part(dissectreport.load(arguments.site, model=MODEL))
    files.write(PAGE, with_part(PAGE.read_text("utf-8"), text).encode())


if __name__ == "__main__":
    main()
