"""What a run is asked to do, checked: the networks are there, the layers exist, the numbers make sense."""

from __future__ import annotations

import os
import platform
import shlex
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dissectreport import __version__, store
from dissectreport.errors import BadOption, SegmenterError, UnknownName
from dissectreport.plan import FEWEST, SHARD, Budget, Plan, budget_named, rule_named, shards

if TYPE_CHECKING:
    from dissectreport.measure import Source
    from dissectreport.models.base import Generator
    from dissectreport.segmenters.base import Segmenter

FEW = 960
"""Below this many samples shards are one batch, so that there still are groups to score."""


class Listener(Protocol):
    """Who is told how a run goes."""

    def say(self, line: str) -> None:
        """One line that the user should read."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of a task are finished."""


class Silent:
    """A listener that keeps quiet."""

    def say(self, line: str) -> None:
        """Nothing."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Options:
    """What a run is asked to do."""

    model: str
    segmenter: str = ""
    """'' for the one that the model names."""
    layers: tuple[str, ...] = ()
    """() for the model's default layers."""
    samples: int = 2112
    """Half of them score, in whole shards: 1,056 images stand behind every printed IoU by default."""
    rule: str = "corrected"
    seed: int = 1
    grid: int = 0
    """0 for the rule's own."""
    controls: bool = True
    device: str = "auto"
    workers: int = 0
    """0 for one per core on a CPU, one on an accelerator."""
    cache: Path = field(default_factory=store.default_folder)
    mixed_devices: bool = False
    pilot: int = Plan.pilot
    interventions: bool = True
    intervention_samples: int = 0
    """0 for the budget's own."""
    intervention_layer: str = ""
    """'' for the middle one of those that are measured."""
    concepts: tuple[str, ...] = ()
    """Concepts to intervene on; () for the commonest."""
    budget: str = ""
    """quick, default, full or paper; '' for default on a processor, full on an accelerator."""
    constant: str = ""
    """How far units are switched on: 'quantile' or 'mean'; '' for the budget's own."""
    precision: str = "auto"
    command: str = ""


@dataclass(frozen=True)
class Job:
    """A checked run: the networks are there, the layers exist, the numbers make sense."""

    options: Options
    plan: Plan
    source: Source
    layers: tuple[str, ...]
    generator: Generator
    segmenter: Segmenter
    workers: int
    intervention: Intervention | None = None
    """What to intervene on; None where interventions are not wanted, or cannot be made."""


@dataclass(frozen=True)
class Intervention:
    """A checked wish for interventions."""

    layer: str
    budget: Budget


def prepare(options: Options) -> Job:
    """Load what a run needs and refuse what cannot work, before anything is measured."""
    from dissectreport import plugins
    from dissectreport.measure import Source, pick_device

    rule = rule_named(options.rule)
    shards(options.samples)
    if options.workers < 0:
        raise BadOption(f"--workers must be at least 0, not {options.workers}")
    if options.grid and rule.reference:
        raise BadOption(f"--grid cannot be chosen under --rule {rule.name}, which has a grid of its own")
    device = pick_device(options.device)
    generator = plugins.generator(options.model)
    name = options.segmenter or str(generator.facts.get("segmenter", ""))
    if not name:
        raise BadOption(f"{options.model} names no segmenter of its own; choose one with --segmenter")
    segmenter = plugins.segmenter(name)
    layers = options.layers or generator.default_layers
    for layer in layers:
        if layer not in generator.layers:
            raise UnknownName.of(f"layer of {options.model}", layer, generator.layers)
    if len(set(layers)) < len(layers):
        raise BadOption(f"--layers names a layer twice: {', '.join(layers)}")
    whole = options.samples >= FEW
    plan = Plan(
        identity(generator, options.model),
        identity(segmenter, name),
        options.rule,
        options.seed,
        options.grid or rule.grid(generator.image_size[0]),
        options.samples if rule.reference else options.pilot,
        shard=SHARD if whole else Plan.batch,
        torch=versions()["torch"],
    )
    workers = options.workers or (cores() if device == "cpu" else 1)
    threads = 1 if device == "cpu" else max(1, (os.cpu_count() or 2) // 2)
    ordered = tuple(layer for layer in generator.layers if layer in layers)
    source = Source(options.model, name, None, device, threads)
    wish = intervention(options, ordered, segmenter, device)
    return Job(options, plan, source, ordered, generator, segmenter, workers, wish)


def intervention(options: Options, layers: tuple[str, ...], segmenter: Segmenter, device: str) -> Intervention | None:
    """What to intervene on, checked before anything long begins."""
    budget = budget_named(options.budget or ("default" if device == "cpu" else "full"))
    if options.precision not in ("auto", "float32", "bfloat16"):
        raise BadOption(f"--precision is auto, float32 or bfloat16, not {options.precision}")
    if options.constant not in ("", "quantile", "mean"):
        raise BadOption(f"--constant is quantile or mean, not {options.constant}")
    if options.intervention_samples and options.intervention_samples < FEWEST:
        raise BadOption(
            f"--intervention-samples must be at least {FEWEST}, not {options.intervention_samples}: "
            "no printed area rests on fewer"
        )
    layer = options.intervention_layer or middle(layers)
    if layer not in layers:
        raise UnknownName.of("measured layer", layer, layers)
    if not options.interventions:
        return None
    if not hasattr(segmenter, "probabilities"):
        if asked_for(options):
            raise SegmenterError(no_gradients(segmenter.name))
        return None
    return Intervention(
        layer,
        replace(
            budget,
            samples=options.intervention_samples or budget.samples,
            constant=options.constant or budget.constant,
        ),
    )


def asked_for(options: Options) -> bool:
    """Whether interventions were asked for in so many words, and must not be left out."""
    return bool(options.concepts or options.intervention_layer or options.intervention_samples)


def no_gradients(segmenter: str) -> str:
    """One line for a segmenter without `probabilities`."""
    return (
        f"segmenter {segmenter!r} tells no probabilities with gradients, which interventions need; "
        "choose another with --segmenter, or leave them out with --no-interventions"
    )


def middle(layers: tuple[str, ...]) -> str:
    """The middle one of some layers, the earlier of two."""
    return layers[(len(layers) - 1) // 2]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def identity(network: Generator | Segmenter, name: str) -> str:
    """What a network's numbers depend on: its own identity, and the file that it comes from."""
    from dissectreport import plugins

    return " ".join(filter(None, (network.identity, plugins.source_digest(name))))


def reproduce(job: Job) -> str:
    """The command that measures the same numbers."""
    options = job.options
    words = ["dissectreport build", options.model, f"--layers {','.join(job.layers)}"]
    words += [f"--samples {options.samples}", f"--seed {options.seed}"]
    words += [f"--segmenter {shlex.quote(job.source.segmenter)}"]
    words += [f"--rule {options.rule}"] if options.rule != "corrected" else []
    words += [f"--grid {options.grid}"] if options.grid else []
    words += [] if options.controls else ["--no-controls"]
    words += [] if options.interventions else ["--no-interventions"]
    for name in ("intervention_samples", "intervention_layer", "budget", "constant", "precision"):
        if getattr(options, name) != getattr(Options(""), name):
            words += [f"--{name.replace('_', '-')} {getattr(options, name)}"]
    words += [f"--concepts {shlex.quote(','.join(options.concepts))}"] if options.concepts else []
    return " ".join(words)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"dissectreport": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
