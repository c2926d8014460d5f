"""How often the intervals of a dissection contain the truth, on images of the embedded generator.

    python benchmarks/validity.py --runs 40

Runs of 1,248 images each are taken from a pool of generated ones. Units of known truth are planted in each, and
counted, selected and scored as in any run. A row says how often their intervals contain the truth, by the share of
images that show the concept, and by the share in which the unit copies it; `degenerate` is the share without any
overlap. The last rows have what single runs print: their range, and what a default run of the model prints.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import write
from numpy.typing import NDArray

from dissectreport.analysis.dissection.spike_in import spike_in
from dissectreport.run.shards import BATCH, SHARD, even_groups
from dissectreport.stats.spikes import Spikes
from dissectreport.worker.concept_masks import Masks, on_grid
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.spikes import spikes

MODEL, SEGMENTER = "scenes_pgan", "scenes"
GRID, SHARDS, SEED, DEFAULT_SEED = 32, 26, 4242, 1
PRESENCE = (0, 0.15, 0.2, 0.4, 0.7, 1)
"""Edges of the bands of shares of images that show a concept."""

Labels = NDArray[np.uint8]


def labels_of(models: Models, seed: int, images: int) -> Labels:
    """(n, slots, 32, 32) labels of generated images."""
    parts = []
    for first in range(0, images, BATCH):
        with torch.no_grad():
            made = models.images(models.latents(seed, first, BATCH), first).float()
            parts.append(on_grid(models.labels(made), GRID).numpy().astype(np.uint8))
    return np.concatenate(parts)


def run_of(labels: Labels, first: int, concepts: int) -> Iterator[tuple[int, Spikes]]:
    """(group, planted units) of the shards of a run on images with these labels, whose first has this number."""
    for shard, group in enumerate(even_groups(SHARDS)):
        part = torch.from_numpy(labels[shard * SHARD : (shard + 1) * SHARD].astype(np.int64))
        yield group, spikes(Masks.of(part, concepts), first + shard * SHARD)


def planted(pool: Labels, runs: int, models: Models) -> pd.DataFrame:
    """One row a planted unit of a run."""
    vocabulary, tables = models.segmenter.vocabulary, []
    by_name = {(one.name, one.category): number for number, one in enumerate(vocabulary.concepts)}
    shown = np.zeros(len(vocabulary))
    for number in range(1, len(vocabulary)):
        shown[number] = (pool == number).any((1, 2, 3)).mean()
    for run in range(runs):
        taken = pool[np.random.default_rng(run).choice(len(pool), SHARD * SHARDS, replace=False)]
        found = spike_in(run_of(taken, SHARD * SHARDS * run, len(vocabulary)), GRID**2, vocabulary, {}, 0.9)
        assert found is not None, "concepts can be tested"
        numbers = [by_name[pair] for pair in zip(found.planted["concept"], found.planted["category"], strict=True)]
        tables.append(found.planted.assign(run=run, presence=shown[numbers]))
    return pd.concat(tables)


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Coverage over all, by presence, and by planted share."""
    low, high = (table[f"corrected_iou_{end}"] for end in ("low", "high"))
    table = table.assign(
        corrected=(low <= table["corrected_iou_true"]) & (table["corrected_iou_true"] <= high),
        degenerate=table["iou"] == 0,
        band=pd.cut(table["presence"], PRESENCE),
    )

    def row(what: str, part: pd.DataFrame) -> dict[str, Any]:
        values = {name: float(part[name].mean()) for name in ("covered", "corrected", "degenerate")}
        return {"what": what, "units": len(part), **values}

    bands = [row(f"concepts in {band} of the images", part) for band, part in table.groupby("band", observed=True)]
    shares = [row(f"planted share {share}", part) for share, part in table.groupby("planted_share")]
    by_run = table.groupby("run")["covered"].mean()
    spread = [
        {"what": f"a single run, {name}", "units": len(table) // len(by_run), "covered": float(value)}
        for name, value in zip(("2.5%", "97.5%"), by_run.quantile([0.025, 0.975]), strict=True)
    ]
    empty = {"corrected": "", "degenerate": ""}
    return [row("all", table), *bands, *shares, *(one | empty for one in spread)]


def printed(models: Models) -> dict[str, Any]:
    """What a default run of the model prints."""
    vocabulary, labels = models.segmenter.vocabulary, labels_of(models, DEFAULT_SEED, SHARD * SHARDS)
    found = spike_in(run_of(labels, 0, len(vocabulary)), GRID**2, vocabulary, {}, 0.9)
    assert found is not None, "concepts can be tested"
    value = found.covered / found.intervals
    return {"what": "printed by a default run", "units": found.intervals, "covered": value}


def main() -> None:
    """Simulate, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path, help="file of the labels of generated images, made if it is not there")
    parser.add_argument("--images", type=int, default=4800, help="images in the pool")
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = Source(MODEL, SEGMENTER).models()
    if options.pool is not None and options.pool.exists():
        pool = np.load(options.pool)
    else:
        pool = labels_of(models, SEED, options.images)
        if options.pool is not None:
            np.save(options.pool, pool)
    rows = rows_of(planted(pool, options.runs, models))
    write("validity", [*rows, {**rows[-1], **printed(models)}])


if __name__ == "__main__":
    main()
