"""What was found in the embedded classifier: a part of docs/classifiers.md, from its built report.

    python tools/classifier_findings.py --build           # build the report if the site lacks it, then write the part
    python tools/classifier_findings.py --site site       # write the part from the report in a site

Every figure is read from the tables of the report; nothing is written by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from report_text import build_missing, interval, table

import dissectreport
from dissectreport import files
from dissectreport.report.export.notebook import LayerReport, Report

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "classifiers.md"
MODEL = "scenes_classifier"
BEGIN, END = "<!-- begin: python tools/classifier_findings.py -->", "<!-- end -->"
"""Between these lines of the page is the part that this program writes."""
FEW = 4
NOTABLE = 0.05
"""Units that are ablated together, at least, and the loss of balanced accuracy with which a table begins."""
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
        f"`python tools/classifier_findings.py --build` made the tables below from the report of `{MODEL}` "
        f"(`--quick`): {len(classes)} classes with {images:,} images, and the {len(layer.units)} units of "
        f"{layer.name}, of which {interpretable} are interpretable. Intervals are 95% intervals; of random sets, the "
        "range of the sets."
    )


def classes_part(layer: LayerReport) -> Iterator[str]:
    """Accuracy with units ablated, and the units that matter most."""
    curves, classes = layer.tables["classes-curves"], layer.tables["classes-classes"]
    size = notable_size(curves)
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
                number(row, "balanced_accuracy"),
                *(number(rows.loc[(row["class"], kind)], "balanced_accuracy") for kind in kinds),
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
    units = layer.tables["classes-class_units"]
    alone = int(units[units["matters"].astype(bool)]["class"].nunique())
    yield (
        f"Ablated alone, a unit lowers the accuracy of {alone} of {len(classes)} classes on the selection images. "
        "Units that do not are ranked by how much less probable the class becomes. The first "
        f"{FEW} units of each class, with the concepts that they match (– if none is matched):"
    )
    yield table(("class", "units"), unit_rows(layer))


def notable_size(curves: pd.DataFrame) -> int:
    """How many units the table is about: the fewest, of at least `FEW`, without which a class loses `NOTABLE`."""
    leading = curves[curves["ablated"] == "leading"]
    sizes = sorted(int(size) for size in leading["ablated_units"].unique() if size >= FEW)
    lost = [size for size in sizes if leading[leading["ablated_units"] == size]["accuracy_change"].min() <= -NOTABLE]
    return (lost or sizes or [int(leading["ablated_units"].max())])[0]


def unit_rows(layer: LayerReport) -> Iterator[list[str]]:
    """The leading units of every class, with their labels."""
    labels = layer.units.set_index("unit")
    for name, group in layer.tables["classes-class_units"].groupby("class", sort=False):
        chosen = group[group["class_rank"] <= FEW]["unit"]
        yield [str(name), ", ".join(f"{unit} ({label(labels.loc[unit])})" for unit in chosen)]


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
                *(number(row, "peak_change", 3) for row in attacks[attacks["unit_group"] == group].to_dict("records")),
            ]
            for group, words in GROUPS.items()
        ),
    )


def number(row: Any, name: str, digits: int = 2) -> str:
    """A figure with its interval."""
    return interval(row, name, lambda value: f"{value:.{digits}f}")


def with_part(page: str, text: str) -> str:
    """The page with the part between its two lines; a ValueError where it does not have both."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main() -> None:
    """Write the part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="store_true", help="build the report if the site lacks it")
    parser.add_argument("--site", type=Path, default=ROOT / "site")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.build:
        build_missing(arguments.site, MODEL, arguments.cache, "--quick", "--no-paint")
    text = part(dissectreport.load(arguments.site, model=MODEL))
    files.write(PAGE, with_part(PAGE.read_text("utf-8"), text).encode())


if __name__ == "__main__":
    main()
