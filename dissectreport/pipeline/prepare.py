"""From options to a checked run: load everything that it needs, and refuse what cannot work."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dissectreport.errors import BadOption, UnknownName
from dissectreport.pipeline.class_requests import ClassRequest, resolve_classes
from dissectreport.pipeline.loading import Networks, middle, resolve_networks
from dissectreport.pipeline.machine import Machine, cores
from dissectreport.pipeline.options import MachineOptions, MeasureOptions, Options
from dissectreport.pipeline.provenance import versions
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.requests import (
    ArtifactRequest,
    InterventionRequest,
    resolve_artifacts,
    resolve_interventions,
    with_commas,
)
from dissectreport.run.budgets import ARTIFACT_BUDGETS, InterventionBudget, budget_named
from dissectreport.run.engine import limited
from dissectreport.run.plan import Plan
from dissectreport.run.precision import Precision
from dissectreport.run.rules import Rule, rule_named
from dissectreport.run.shards import SHARD

if TYPE_CHECKING:
    from dissectreport.models.base import Generator
    from dissectreport.models.image_folder import ImageFolder
    from dissectreport.segmenters.base import Segmenter
    from dissectreport.worker.loaded_networks import Source


SAMPLES = 1248
"""Samples by default. Half of them score, in whole shards: every printed IoU is measured on 624 images."""
QUICK_SAMPLES, QUICK_PILOT, QUICK_GRID = 192, 96, 32
"""Samples, samples of the pilot, and the side of the grid of a quick run."""
MOST_SAMPLES, MOST_GRID, MOST_WORKERS = 10_000_000, 2048, 1024
"""Upper limits of options, far above what is useful."""
FEW = 960
"""Below this number of samples a shard is one batch, so that there are enough groups."""


@dataclass(frozen=True)
class Job:
    """A checked run."""

    options: Options
    rule: Rule
    samples: int
    """Images to measure."""
    plan: Plan
    source: Source
    layers: tuple[str, ...]
    networks: Networks
    workers: int
    intervention: InterventionRequest | None = None
    """None where interventions are not wanted, or cannot be made."""
    classes: ClassRequest | None = None
    """None where the model is no classifier, or experiments with its classes are not wanted."""
    no_classes: str = ""
    """Why the classes of a classifier are left out; '' where they are not, and for other models."""
    artifacts: ArtifactRequest | None = None
    """None if artifact units are not wanted, or cannot be searched for."""
    behaviours: frozenset[str] = frozenset()
    """The store folders by which the networks were recognised."""
    no_artifacts: str = ""
    """Why artifact units cannot be searched for; '' where they can, or are not wanted."""

    @property
    def generator(self) -> Generator:
        """The generator."""
        return self.networks.generator

    @property
    def segmenter(self) -> Segmenter:
        """The segmenter."""
        return self.networks.segmenter

    @property
    def reference(self) -> ImageFolder | None:
        """Real images; None where no folder was given."""
        return self.networks.reference


def prepare(options: Options) -> Job:
    """Load what a run needs, and refuse what cannot work before anything is measured."""
    machine = resolve_machine(options)
    rule, budget = resolve_names(options, machine)
    with limited(options.timeout):
        networks = resolve_networks(options)
    if not ARTIFACT_BUDGETS[budget.name].second:
        networks = replace(networks, second="")
    options = with_quick_defaults(with_whole_names(options, networks), rule, networks.generator.default_layers)
    layers = resolve_layers(options, networks.generator)
    samples, plan = resolve_plan(options, rule, networks)
    interventions = resolve_interventions(options, layers, networks, budget)
    artifacts, no_artifacts = resolve_artifacts(options, layers, networks, ARTIFACT_BUDGETS[budget.name])
    classes = resolve_classes(options, layers, networks.generator, budget.name)
    source = source_of(options, networks, machine)
    return Job(
        options=options,
        rule=rule,
        samples=samples,
        plan=plan,
        source=source,
        layers=layers,
        networks=networks,
        workers=machine.workers,
        intervention=interventions,
        classes=classes,
        artifacts=artifacts,
        no_artifacts=no_artifacts,
    )


def resolve_names(options: MeasureOptions, machine: Machine) -> tuple[Rule, InterventionBudget]:
    """The rule by which units are matched, and the budget: less on a CPU, and least in a quick run.

    Numbers of images and pixels that cannot work are refused here, before any network is loaded.
    """
    default = "quick" if options.quick else "default" if machine.device == "cpu" else "full"
    rule, budget = rule_named(options.rule), budget_named(options.budget or default)
    if options.samples is not None and options.samples < 1:
        raise BadOption(f"--samples must be at least 1, not {options.samples}")
    if options.samples is not None and options.samples > MOST_SAMPLES:
        raise BadOption(f"--samples must be at most {MOST_SAMPLES:,}, not {options.samples:,}")
    if options.grid > MOST_GRID:
        raise BadOption(
            f"--grid must be at most {MOST_GRID:,}, not {options.grid:,}: a batch of one unit alone would take "
            f"{4 * Plan.batch * options.grid**2 / 1e9:,.0f} GB"
        )
    if options.grid and rule.is_published:
        raise BadOption(f"--grid cannot be chosen under --rule {rule.name}, which has a grid of its own")
    return rule, budget


def resolve_machine(options: MachineOptions) -> Machine:
    """The device and the numbers of processes and threads; BadOption where they cannot be used."""
    from dissectreport.worker.loaded_networks import pick_device

    if options.workers < 0:
        raise BadOption(f"--workers must be at least 0, not {options.workers}")
    if options.workers > MOST_WORKERS:
        raise BadOption(f"--workers must be at most {MOST_WORKERS:,}, not {options.workers:,}")
    if options.precision not in set(Precision):
        raise BadOption(f"--precision is auto, float32 or bfloat16, not {options.precision}")
    device = pick_device(options.device)
    if device == "cpu":
        return Machine(device, options.workers or cores(), 1)
    return Machine(device, options.workers or 1, max(1, (os.cpu_count() or 2) // 2))


def with_whole_names(options: Options, networks: Networks) -> Options:
    """The options, in which names with commas are whole."""
    layers = with_commas(options.layers, networks.generator.layers)
    return replace(options, layers=layers, concepts=with_commas(options.concepts, networks.segmenter.vocabulary.names))


def with_quick_defaults(options: Options, rule: Rule, layers: tuple[str, ...]) -> Options:
    """The options of a quick run: few images and pixels, the first, middle and last of the layers."""
    if not options.quick:
        return options
    return replace(
        options,
        layers=options.layers or tuple(dict.fromkeys((layers[0], middle(layers), layers[-1]))),
        grid=options.grid or (0 if rule.is_published else QUICK_GRID),
        pilot=QUICK_PILOT,
    )


def resolve_layers(options: MeasureOptions, generator: Generator) -> tuple[str, ...]:
    """The layers that are read, in the generator's order; UnknownName where there is no such layer."""
    layers = options.layers or generator.default_layers
    for layer in layers:
        if layer not in generator.layers:
            raise no_layer(options.model, layer, generator)
    if len(set(layers)) < len(layers):
        raise BadOption(f"--layers names a layer twice: {', '.join(layers)}")
    return tuple(layer for layer in generator.layers if layer in layers)


def no_layer(model: str, layer: str, generator: Generator) -> UnknownName:
    """The error for a layer whose units cannot be read, or that does not exist."""
    if layer in dict(generator.module.named_modules()):
        return UnknownName(
            f"the units of {layer!r} in {model} cannot be read (`dissectreport layers {shlex.quote(model)} --all` "
            f"says why); there are {', '.join(generator.layers)}"
        )
    return UnknownName.of(f"layer of {model}", layer, generator.layers)


def resolve_plan(options: MeasureOptions, rule: Rule, networks: Networks) -> tuple[int, Plan]:
    """How many samples are measured, and everything else that changes the numbers."""
    generator = networks.generator
    plan = Plan(
        *networks.identities(options.model),
        options.rule,
        options.seed,
        options.grid or rule.grid(generator.image_size[0]),
        torch=versions()["torch"],
    )
    return resolve_samples(plan, rule, options, generator)


def resolve_samples(plan: Plan, rule: Rule, options: MeasureOptions, generator: Generator) -> tuple[int, Plan]:
    """How many samples are measured, and the plan for so many: no more than the generator has."""
    from dissectreport.models.base import ImageModel, max_samples

    default = QUICK_SAMPLES if options.quick else SAMPLES
    requested = default if options.samples is None else options.samples
    most = max_samples(generator)
    if most is None:
        most = max(requested, options.pilot)
    if options.samples is not None and requested > most:
        left_out = generator.description() if isinstance(generator, ImageModel) else {}
        broken, similar = left_out.get("unreadable", 0), left_out.get("similar", 0)
        unused = f", and {broken:,} that cannot be read" if broken else ""
        unused += f", and {similar:,} near-duplicates" if similar else ""
        raise BadOption(
            f"{generator.name} has {most:,} images{unused}; --samples must be at most {most:,}, not {requested:,}"
        )
    samples = min(requested, most)
    pilot = samples if rule.is_published else min(options.pilot, most)
    return samples, replace(plan, pilot=pilot, shard=SHARD if samples >= FEW else Plan.batch)


def source_of(options: Options, networks: Networks, machine: Machine) -> Source:
    """The networks that workers load."""
    from dissectreport.worker.loaded_networks import Source

    return Source(
        options.model,
        networks.segmenter_name,
        None,
        machine.device,
        machine.threads,
        options.weights,
        str(networks.reference.path) if networks.reference else "",
        reference_left_out=networks.reference.left_out() if networks.reference else None,
        features=networks.features,
        second=networks.second,
    )


def without_unreadable_images(job: Job, reporter: Reporter) -> Job:
    """The run without unreadable images, which are reported."""
    from dissectreport.models.base import ImageModel

    for line in job.reference.notes() if job.reference is not None else ():
        reporter.say(line)
    if not isinstance(job.generator, ImageModel):
        return job
    reporter.say(
        f"checking {job.samples:,} images of {job.generator.description()['folder']}, to leave out unreadable ones"
    )
    generator = job.generator.validated([(job.plan.seed, job.samples), (job.plan.pilot_seed, job.plan.pilot)])
    for line in generator.notes():
        reporter.say(line)
    samples, plan = resolve_samples(job.plan, job.rule, job.options, generator)
    if job.options.samples is None and not job.options.quick and samples < SAMPLES:
        reporter.say(f"measuring all {samples:,} images; the default is {SAMPLES:,}")
    source = replace(job.source, left_out=generator.left_out())
    return replace(job, samples=samples, plan=plan, source=source, networks=replace(job.networks, generator=generator))
