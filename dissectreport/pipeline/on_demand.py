"""One change that a person asks for: some units of a layer turned off or on, and what it did to every concept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.interventions.tables import changes
from dissectreport.errors import BadOption, ModelError, UnknownName
from dissectreport.pipeline.prepare import Job, Listener, Options, bare, check_concepts, cores
from dissectreport.run import engine
from dissectreport.run.plan import FEWEST, PAIR, Aim, Budget, Plan, Shard, blocks_of, shards

if TYPE_CHECKING:
    from dissectreport.models.edits import Edits

MODES = ("ablate", "insert")
VALUES = ("zero", "mean", "resample", "quantile")
SHOWN = 8
"""Images kept of a change."""
LEVELLED = 64
"""Choosing latents from which means and quantiles of activations are taken."""


@dataclass(frozen=True)
class Wish:
    """What is asked for, in the words of the command line."""

    units: tuple[int, ...]
    layer: str
    mode: str = "ablate"
    value: str = ""
    """zero, mean, resample, quantile or a number; '' for zero where units are turned off, quantile where on."""
    at: str = "everywhere"
    """'everywhere', or places like '3,4' of the 8 x 8, several separated by spaces."""
    samples: int = FEWEST
    concepts: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Outcome:
    """What a change did."""

    table: pd.DataFrame
    """One row a concept that occurs, by falling size of the change: concept, category, before, after, change*."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    samples: int


def try_out(job: Job, wish: Wish, precision: str, listener: Listener) -> Outcome:
    """Make the change on judging latents and count every concept with and without it."""
    from dissectreport.models.base import makes_images
    from dissectreport.worker.first_batch import layer_shape
    from dissectreport.worker.interventions import Request, make_edits

    if not makes_images(job.generator):
        raise ModelError(f"{job.generator.name} reads images and makes none; there is nothing to turn its units off in")
    aim = Aim(job.plan.generator, job.plan.segmenter, wish.layer, (), (), job.plan.seed, precision, job.plan.torch)
    if wish.layer not in job.generator.layers:
        raise UnknownName.of(f"layer of {job.options.model}", wish.layer, job.generator.layers)
    units, height, width = layer_shape(job.generator, wish.layer)
    check_units(wish, units)
    places = places_of(wish.at, blocks_of(height, width))
    check_concepts(wish.concepts, job.segmenter)
    with engine.Workers(job.workers) as workers:
        values = values_of(job, aim, wish, workers)
        request = Request(wish.units, values, places)
        parts: dict[Shard, Mapping[str, Any]] = {}
        wanted = shards(wish.samples, PAIR)
        for shard, found in workers.run(partial(make_edits, job.source, aim, request, SHOWN), wanted):
            parts[shard] = found
            listener.progress("editing", len(parts), len(wanted), "batches")
    ordered = [(shard, parts[shard]) for shard in wanted]
    vocabulary = pd.DataFrame(
        [(c.name, c.category) for c in job.segmenter.vocabulary.concepts], columns=["concept", "category"]
    )
    table = changes([(shard, found["paired"]) for shard, found in ordered], vocabulary, wish.concepts)
    shown = [[found[name] for _, found in ordered if name in found] for name in ("before", "after")]
    return Outcome(table, np.concatenate(shown[0]), np.concatenate(shown[1]), wish.samples)


def repaired_images(
    options: Options, edits: Edits, samples: int, other_weights: bool, listener: Listener
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Sample numbers with their edited images (height, width, 3), in order of batches as they finish."""
    from dissectreport.models.edits import repaired
    from dissectreport.worker.artifacts import make_repaired

    generator, source = bare(options)
    if not 0 <= options.seed < 2**32:
        raise BadOption(f"--seed must be between 0 and {2**32 - 1}, not {options.seed}")
    with repaired(generator, edits, other_weights):
        pass  # Refused here, before workers start.
    wanted, done = shards(samples, Plan.batch), 0
    with engine.Workers(options.workers or (cores() if source.device == "cpu" else 1)) as workers:
        make = partial(make_repaired, source, edits, options.seed, other_weights)
        for shard, found in workers.run(make, wanted):
            yield from enumerate(found["images"], shard.first)
            done += shard.count
            listener.progress("repairing", done, samples, "images")


def check_units(wish: Wish, units: int) -> None:
    """Refuse an empty set, and units that the layer does not have."""
    if not wish.units:
        raise BadOption(
            "no units were named: give --units 3,5,8, or the --concept of a model that was built, for its causal set"
        )
    wrong = [unit for unit in wish.units if not 0 <= unit < units]
    if wrong:
        raise BadOption(f"unit {wrong[0]} is not in {wish.layer}, whose units are 0 to {units - 1}")
    if wish.samples < FEWEST:
        raise BadOption(f"--samples must be at least {FEWEST}, not {wish.samples}: no printed area rests on fewer")
    if wish.mode not in MODES:
        raise BadOption(f"--mode is {' or '.join(MODES)}, not {wish.mode}")


def places_of(at: str, blocks: tuple[int, int]) -> tuple[int, ...]:
    """Numbers of the places in words like '3,4 5,6' (row, column); () for 'everywhere'."""
    if at == "everywhere":
        return ()
    rows, columns = blocks
    found = []
    for words in at.split():
        parts = words.split(",")
        if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
            raise BadOption(f"--at is 'everywhere', or row,column like 3,4 (several separated by spaces), not {at!r}")
        row, column = (int(part) for part in parts)
        if row >= rows or column >= columns:
            raise BadOption(f"--at {words} is outside: rows are 0 to {rows - 1} and columns 0 to {columns - 1}")
        found.append(row * columns + column)
    return tuple(found)


def values_of(job: Job, aim: Aim, wish: Wish, workers: engine.Workers) -> tuple[float, ...]:
    """The activation of every unit; () for those of other latents."""
    value = wish.value or ("zero" if wish.mode == "ablate" else "quantile")
    if value == "zero":
        return (0.0,) * len(wish.units)
    if value == "resample":
        return ()
    if value in VALUES:
        from dissectreport.worker.interventions import make_levels

        make = partial(make_levels, job.source, aim, Budget.quantile)
        ((_, levels),) = workers.run(make, [Shard(0, 0, LEVELLED)])
        known = levels["mean" if value == "mean" else "upper"]
        return tuple(float(known[unit]) for unit in wish.units)
    try:
        number = float(value)
    except ValueError:
        raise BadOption(f"--value is {', '.join(VALUES)} or a number, not {value!r}") from None
    if not np.isfinite(number):
        raise BadOption(f"--value must be a finite number, not {value}")
    return (number,) * len(wish.units)
