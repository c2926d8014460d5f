"""What the papers report, looked for in the embedded generators: docs/findings.md, from their built reports.

    python tools/findings.py --build           # build what is missing in the site, then write the page
    python tools/findings.py --site site       # write the page from the reports of a site

Every figure of the page is read from the tables of the reports; nothing is written by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report_text import build_missing, interval, table

import dissectreport
from dissectreport import files
from dissectreport.image_files import fitted
from dissectreport.report.export.notebook import Report
from dissectreport.report.html.images import sheet

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "findings.md"
PICTURE = ROOT / "docs" / "findings.webp"
MODEL = "scenes_pgan"
CHECKPOINTS = ("scenes64_early", "scenes64")
"""Checkpoints of one training, the early one first; measured on as many images, in the same layers."""
VARIANTS = ("scenes64", "scenes64_deviation", "scenes64_plain")
QUICK = tuple(dict.fromkeys((*CHECKPOINTS, *VARIANTS)))
CATEGORIES = ("object", "part", "material", "colour")
ABLATED_TOGETHER = 20
PUBLISHED_REMOVAL = {"dome": 0.774, "tree": 0.598, "door": 0.534, "window": 0.474, "brick": 0.427, "cloud": 0.275}
"""Share of a concept's pixels that ablating 20 units of layer4 of the church generator removes: the authors' notebook
`ablateeval`."""
PICTURED = 8
MEASURES = {"kernel_distance": "KID", "frechet_distance": "Fréchet distance"}
"""Measures of image quality whose names in tables are not their names in text."""


def page(site: Path) -> str:
    """The page, from the reports of a site."""
    main = dissectreport.load(site, model=MODEL)
    parts = [INTRODUCTION.format(samples=main.samples, segmenter=main.segmenter), *layers_section(main)]
    if causes_layer(main):
        parts += [*removal_section(main), *context_section(main)]
    if artifacts_layer(main):
        parts += artifacts_section(main)
    parts += [*missing_section(main), *training_section(site), *variants_section(site)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# Findings

`python tools/findings.py --build` made this page from the reports of the embedded generators. It looks for what
the two papers on network dissection report (Bau et al., ICLR 2019 and PNAS 2020) in a small Progressive GAN of drawn
churches, `scenes_pgan`: {samples:,} images, labelled by the segmenter `{segmenter}`. All intervals are 95% intervals.
The other models are measured with `--quick`, so their intervals are wider."""


def report(site: Path, model: str) -> Report:
    """The report of a model in a site."""
    return dissectreport.load(site, model=model)


def share(row: Any, name: str) -> str:
    """A share with its interval, in percent."""
    return interval(row, name, percent)


def percent(value: float) -> str:
    """A share in whole percent, without a negative zero."""
    return f"{round(100 * value) + 0}%"


def rounded(value: float, digits: int) -> str:
    """A number with so many digits, without a negative zero."""
    return f"{round(value, digits) + 0:.{digits}f}"


def number(row: Any, name: str, digits: int) -> str:
    """A number with its interval."""
    return interval(row, name, lambda value: rounded(value, digits))


# --- units by layer ---------------------------------------------------------------------------------------------------


def layers_section(main: Report) -> Iterator[str]:
    """Units of every layer by category, beside controls."""
    yield "## Which layers hold objects"
    yield (
        "The paper reports that the middle layers (4 to 7 of 14) hold most units that match objects and parts, that "
        "the first layers hold few, and that the late ones mostly match materials and colours. Interpretable units of "
        "every layer, overall and by the category of the label, beside as many random directions and the untrained "
        "network:"
    )
    head = ("layer", "units", "interpretable", *CATEGORIES, "random directions", "untrained")
    yield table(head, (layer_row(main, name) for name in main.layers))
    shares = {name: localised_share(main, name) for name in main.layers}
    most = max(shares, key=lambda name: shares[name])
    place = "the last" if most == list(shares)[-1] else "the first" if most == next(iter(shares)) else "a middle"
    few = shares[next(iter(shares))]
    yield (
        f"Found here: {place} layer, {most}, has the largest share of units that match an object or a part "
        f"({shares[most]:.0%}; the first layer that was measured: {few:.0%}). A unit may count in several categories."
    )
    yield privileged(main)


def count(main: Report, layer: str, control: str, category: str = "") -> Any:
    """The row of a layer's counts."""
    rows = main.layers[layer].controls
    chosen = rows[(rows["control"] == control) & (rows["category"].fillna("") == category)]
    return chosen.iloc[0] if len(chosen) else None


def layer_row(main: Report, layer: str) -> list[str]:
    """One layer's counts."""
    measured = count(main, layer, "measured")
    cells = [layer, str(int(measured["layer_units"])), number(measured, "units", 0)]
    cells += [_whole(count(main, layer, "measured", category)) for category in CATEGORIES]
    directions = count(main, layer, "random_directions")
    return [
        *cells,
        "" if directions is None else number(directions, "units", 0),
        _whole(count(main, layer, "untrained")),
    ]


def _whole(row: Any) -> str:
    return "" if row is None else f"{row['units']:.0f}"


def localised_share(main: Report, layer: str) -> float:
    """The share of a layer's units whose label is an object or a part that they find within images."""
    units = main.layers[layer].units
    chosen = units["interpretable"] & (units["kind"] == "object") & units["category"].isin(["object", "part"])
    return float(chosen.mean())


def privileged(main: Report) -> str:
    """Whether concepts have units of their own."""
    words = []
    for name, layer in main.layers.items():
        own = layer.tables["own_units"]
        words.append(f"{name} {int(own['own_unit'].sum())} of {len(own)}")
    return (
        "Concepts with a unit of their own, one that matches better than the best of as many random directions of the "
        f"layer: {'; '.join(words)}. Bau et al. (2017) found that units of classifiers match more concepts than random "
        "directions do."
    )


# --- causes -----------------------------------------------------------------------------------------------------------


def causes_layer(main: Report) -> str:
    """The layer whose units were ablated; '' where none were."""
    return next((name for name, layer in main.layers.items() if "causes-removal" in layer.tables), "")


def removal_section(main: Report) -> Iterator[str]:
    """What causal sets remove, beside random units."""
    layer = main.layers[causes_layer(main)]
    yield "## Units that cause a concept"
    yield (
        f"Twenty units of {layer.name} are ablated together, those that remove most on latents that are not scored. "
        "The paper ablates 20 of 512 units of layer4 of its church generator; where the concept has the same name, its "
        "figure stands beside."
    )
    best = layer.tables["causes-concepts"].set_index("concept")["best_ranking"]
    rows = layer.tables["causes-removal"]
    rows = rows[(rows["units"] == ABLATED_TOGETHER) & (rows["ranking"] == rows["concept"].map(best))]
    head = ("concept", "removed", "random units", "difference", "removed in the paper")
    yield table(
        head,
        (
            (
                str(row["concept"]),
                share(row, "removed"),
                percent(row["random"]),
                share(row, "difference"),
                f"{PUBLISHED_REMOVAL[row['concept']]:.0%}" if row["concept"] in PUBLISHED_REMOVAL else "",
            )
            for row in rows.to_dict("records")
        ),
    )
    significant = rows[rows["difference_low"] > 0]
    yield (
        f"Found here: for {len(significant)} of {len(rows)} concepts the units remove more than one more random set "
        "would. Negative shares mean that the concept grows."
    )
    yield from variants_of_ablation(layer.tables["causes-variants"])


def variants_of_ablation(rows: pd.DataFrame) -> Iterator[str]:
    """How the effect depends on what units are set to."""
    if rows.empty:
        return
    yield (
        "The effect depends on what the units are set to. ACE is the paper's average causal effect: area with the "
        "units inserted minus area with them ablated, divided by the area without edit."
    )
    head = ("concept", "set to zero", "set to their mean", "set to another image's", "ACE", "the segmenter may fail")
    names = ("removed_zero", "removed_mean", "removed_resampled")
    yield table(
        head,
        (
            (
                str(row["concept"]),
                *(share(row, name) for name in names),
                number(row, "ace", 2),
                "yes" if row["segmenter_fails"] else "no",
            )
            for row in rows.to_dict("records")
        ),
    )


def context_section(main: Report) -> Iterator[str]:
    """Where insertion adds a concept."""
    layer = main.layers[causes_layer(main)]
    rows = layer.tables["causes-context"]
    if rows.empty:
        return
    yield "## Where the network accepts a concept"
    yield (
        "The paper inserts doors: they appear where a door or a window is plausible (ACE of door by what stood there: "
        "door 1.61, window 0.51, house 0.19, building 0.04) and not on trees (-0.003) or in the sky (-0.016). Here the "
        "units of each concept are inserted at one patch of the layer, in at least 30 images for each thing that "
        "stands there. Gained pixels of the concept, with the interval; in brackets as many random units."
    )
    p = layer.tables["causes-concepts"].set_index("concept")["context_p"]
    for concept, group in rows.groupby("concept", sort=False):
        ordered = group.sort_values("gain", ascending=False).to_dict("records")
        cells = [f"{_ground(row)} {number(row, 'gain', 0)} ({rounded(row['random_gain'], 0)})" for row in ordered]
        yield f"**{concept}** (dependence on the ground: p = {p[concept]:.3g}): {'; '.join(cells)}."
    dependent = int((p < 0.05).sum())
    accepted = refused_words(rows)
    yield f"Found here: what is gained depends on the ground for {dependent} of {len(p)} concepts. {accepted}"


def _ground(row: Any) -> str:
    ground = row["context_concept"]
    return f"on {ground}" if isinstance(ground, str) and ground else "on nothing named"


def refused_words(rows: pd.DataFrame) -> str:
    """Where a concept is not accepted: the interval of the gain includes 0 or is below it."""
    refused = rows[rows["gain_low"] <= 0]
    return f"The interval of the gain includes no gain for {len(refused)} of {len(rows)} pairs of concept and ground."


# --- artifact units ---------------------------------------------------------------------------------------------------


def artifacts_layer(main: Report) -> str:
    """The layer in which artifact units were looked for; '' where they were not."""
    return next((name for name, layer in main.layers.items() if "artifacts-quality" in layer.tables), "")


def artifacts_section(main: Report) -> Iterator[str]:
    """Artifact units and what the repair does to image quality."""
    layer = main.layers[artifacts_layer(main)]
    units = layer.tables["artifacts-units"]
    chosen = layer.tables["artifacts-choice"]
    chosen = chosen[chosen["chosen"].astype(bool)]
    yield "## Artifact units"
    yield (
        "The paper ablates 20 artifact units of its bedroom generator by hand: FID falls from 52.87 to 32.11, and to "
        "52.27 with random units (version 1 of the paper)."
    )
    confirmed = int((units["confirmed"].fillna(0).astype(float) > 0).sum())
    found = int(units["artifact"].astype(bool).sum())
    yield (
        f"Found here, in {layer.name}: {found} of {len(units)} units are artifact units in the segmenter's features, "
        f"{confirmed} of them also in a second feature network that was trained without labels."
    )
    if chosen.empty:
        yield "No number of ablated units lowers KID significantly, so that no repair is recommended."
        return
    number_of_units = int(chosen["units"].iloc[0])
    rows = layer.tables["artifacts-quality"]
    yield f"The repair ablates {number_of_units} units. Image quality on latents and images that selected nothing:"
    yield table(
        ("measure", "before", "after the repair", "change", "real images"),
        (quality_row(rows, str(measure), number_of_units) for measure in rows["measure"].unique()),
    )
    yield "![The images that gain most: before, and below them after the repair](findings.webp)"


def quality_row(rows: pd.DataFrame, measure: str, units: int) -> list[str]:
    """One measure before and after."""
    rows = rows[rows["measure"] == measure]
    before, real = (rows[rows["set"] == name].iloc[0] for name in ("before", "real"))
    after = rows[(rows["set"] == "worst") & (rows["units"] == units)].iloc[0]
    digits = 1 if measure == "frechet_distance" else 3
    return [
        MEASURES.get(measure, measure),
        number(before, "value", digits),
        number(after, "value", digits),
        number(after, "change", digits),
        f"{real['value']:.{digits}f}",
    ]


def missing_section(main: Report) -> Iterator[str]:
    """What the generator does not draw."""
    rows = main.tables["real"] if "real" in main.tables else pd.DataFrame()
    if rows.empty:
        return
    rows = rows[rows["category"].isin(["object", "part"])]
    yield "## What the generator leaves out"
    less = rows[rows["verdict"] == "less"].sort_values("ratio").to_dict("records")
    yield (
        f"Of {len(rows)} objects and parts, {len(less)} take significantly less area than in the drawings that the "
        "generator was trained on (area in generated images, divided by that in drawings): "
        + "; ".join(f"{row['concept']} {number(row, 'ratio', 2)}" for row in less)
        + "."
    )


# --- training and variants --------------------------------------------------------------------------------------------


def model_row(site: Path, model: str) -> list[str]:
    """A model's totals over its layers."""
    found = report(site, model)
    interpretable = sum(int(count(found, name, "measured")["units"]) for name in found.layers)
    units = sum(int(count(found, name, "measured")["layer_units"]) for name in found.layers)
    localised = np.mean([localised_share(found, name) for name in found.layers])
    best = max(found.layers, key=lambda name: float(count(found, name, "measured")["mean_corrected_iou"]))
    row = count(found, best, "measured")
    concepts = number(row, "concepts", 0)
    return [
        f"`{model}`",
        f"{interpretable} of {units}",
        f"{localised:.0%}",
        f"{best}: {number(row, 'mean_corrected_iou', 3)}",
        concepts,
        _quality(found),
    ]


TOTALS = (
    "model",
    "interpretable units",
    "objects and parts within images",
    "largest mean chance-corrected IoU",
    "concepts in that layer",
    "KID",
)


def _quality(found: Report) -> str:
    layer = artifacts_layer(found)
    if not layer:
        return ""
    rows = found.layers[layer].tables["artifacts-quality"]
    return number(rows[(rows["set"] == "before") & (rows["measure"] == "kernel_distance")].iloc[0], "value", 2)


def training_section(site: Path) -> Iterator[str]:
    """Early and late checkpoints of one training."""
    yield "## Over training"
    yield (
        "The paper reports that units which match concepts emerge during training. Two checkpoints of one "
        "training, the early one first; KID is the distance of the images to drawings in the segmenter's features:"
    )
    yield table(TOTALS, (model_row(site, model) for model in CHECKPOINTS))


def variants_section(site: Path) -> Iterator[str]:
    """Training variants."""
    yield "## Training variants"
    yield (
        "The paper reports (in its first version) that minibatch standard deviation raises the variety of concepts by "
        "more than 70%, and that pixel norm adds further units. `scenes64` has both, `scenes64_deviation` only "
        "minibatch standard deviation, `scenes64_plain` neither:"
    )
    yield table(TOTALS, (model_row(site, model) for model in VARIANTS))
    yield (
        "Every variant was trained once. How much two trainings of one variant differ is not known, so that no "
        "difference between variants is called an effect of the variant."
    )


# --- command ----------------------------------------------------------------------------------------------------------


def build(site: Path, cache: Path | None) -> None:
    """Build every report that the site lacks."""
    build_missing(site, MODEL, cache)
    for model in QUICK:
        build_missing(site, model, cache, "--quick")


def picture(site: Path) -> bytes:
    """The images that gain most from the repair, before and after, as WebP."""
    folder = site / MODEL / "img"
    rows = []
    for when in ("before", "after"):
        paths = [folder / f"artifact-gained-{place}-{when}.webp" for place in range(PICTURED)]
        rows.append(np.stack([fitted(path, (128, 128)) for path in paths if path.is_file()]))
    return sheet(rows)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="store_true", help="build the reports that the site lacks")
    parser.add_argument("--site", type=Path, default=ROOT / "site")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.build:
        build(arguments.site, arguments.cache)
    text = page(arguments.site)
    if "(findings.webp)" in text:
        files.write(PICTURE, picture(arguments.site))
    files.write(PAGE, text.encode())


if __name__ == "__main__":
    main()
