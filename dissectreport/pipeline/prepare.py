"""What a run is asked to do, checked: the networks are there, the layers exist, the numbers make sense."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dissectreport import files
from dissectreport.errors import (
    BadOption,
    DissectReportError,
    FeaturesError,
    FolderError,
    ModelError,
    SegmenterError,
    UnknownName,
    WeightsError,
    counted,
)
from dissectreport.review.marked_units import read_marks
from dissectreport.run.plan import (
    CHECKUPS,
    FEWEST,
    FEWEST_REAL,
    FEWEST_SCORED,
    SHARD,
    Budget,
    Checkup,
    Plan,
    budget_named,
    rule_named,
    shards,
)
from dissectreport.version import __version__

if TYPE_CHECKING:
    from dissectreport.features.base import FeatureNetwork
    from dissectreport.models.base import Generator
    from dissectreport.models.image_folder import ImageFolder
    from dissectreport.segmenters.base import Segmenter
    from dissectreport.worker.loaded_networks import Source

SAMPLES = 1248
"""Samples by default. Half of them score, in whole shards: 624 images stand behind every printed IoU."""
QUICK_SAMPLES, QUICK_PILOT, QUICK_GRID = 192, 96, 32
"""Samples, samples that set the levels, and the side of the grid of a quick run."""
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
    samples: int | None = None
    """None for 1,248, or for all where there are fewer."""
    rule: str = "corrected"
    seed: int = 1
    grid: int = 0
    """0 for the rule's own."""
    controls: bool = True
    device: str = "auto"
    workers: int = 0
    """0 for one per core on a CPU, one on an accelerator."""
    cache: Path = field(default_factory=files.default_folder)
    mixed_devices: bool = False
    pilot: int = Plan.pilot
    quick: bool = False
    """Whether what is not asked for in so many words is measured coarsely."""
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
    weights: str = ""
    """A file with the model's weights; '' for those that it finds by itself."""
    reference: Path | None = None
    """A folder of real images; None for the model's own, where it has any."""
    artifacts: bool = True
    """Whether artifact units are looked for."""
    artifact_layer: str = ""
    """'' for the layer of the interventions."""
    artifact_samples: int = 0
    """Scoring latents; 0 for the budget's own."""
    artifact_units: Path | None = None
    """A file with the units that a person marked as artifacts."""
    features: str = ""
    """The network in whose features images are compared; '' for the segmenter's, where it tells any."""
    command: str = ""


@dataclass(frozen=True)
class Job:
    """A checked run: the networks are there, the layers exist, the numbers make sense."""

    options: Options
    samples: int
    """Images to measure."""
    plan: Plan
    source: Source
    layers: tuple[str, ...]
    generator: Generator
    segmenter: Segmenter
    workers: int
    intervention: Intervention | None = None
    """What to intervene on; None where interventions are not wanted, or cannot be made."""
    reference: ImageFolder | None = None
    """Real images; None where no folder was given."""
    examining: Examining | None = None
    """Where artifact units are looked for; None where that is not wanted, or cannot be done."""


@dataclass(frozen=True)
class Intervention:
    """A checked wish for interventions."""

    layer: str
    budget: Budget


@dataclass(frozen=True)
class Examining:
    """A checked wish for artifact units."""

    layer: str
    checkup: Checkup
    network: FeatureNetwork
    """In whose features images are compared."""
    reviewed: tuple[int, ...] = ()
    """The units that a person marked as artifacts."""


def prepare(options: Options) -> Job:
    """Load what a run needs and refuse what cannot work, before anything is measured."""
    from dissectreport import plugins
    from dissectreport.models.image_folder import open_folder
    from dissectreport.worker.loaded_networks import Source, pick_device

    rule = rule_named(options.rule)
    if options.samples is not None:
        shards(options.samples)
    if options.workers < 0:
        raise BadOption(f"--workers must be at least 0, not {options.workers}")
    if options.grid and rule.reference:
        raise BadOption(f"--grid cannot be chosen under --rule {rule.name}, which has a grid of its own")
    device = pick_device(options.device)
    generator = plugins.generator(options.model, options.weights)
    options = hastened(options, generator)
    name = options.segmenter or str(generator.facts.get("segmenter", ""))
    if not name:
        raise BadOption(
            f"{options.model} names no segmenter of its own; choose one with --segmenter (colour needs no weights)"
        )
    segmenter = plugins.segmenter(name)
    layers = options.layers or generator.default_layers
    for layer in layers:
        if layer not in generator.layers:
            raise no_layer(options.model, layer, generator)
    if len(set(layers)) < len(layers):
        raise BadOption(f"--layers names a layer twice: {', '.join(layers)}")
    plan = Plan(
        identity(generator, options.model),
        identity(segmenter, name),
        options.rule,
        options.seed,
        options.grid or rule.grid(generator.image_size[0]),
        torch=versions()["torch"],
    )
    samples, plan = sized(plan, options, generator)
    folder = options.reference or getattr(generator, "reference", None)
    reference = None if folder is None else open_folder(folder, generator.image_size)
    workers = options.workers or (cores() if device == "cpu" else 1)
    threads = 1 if device == "cpu" else max(1, (os.cpu_count() or 2) // 2)
    ordered = tuple(layer for layer in generator.layers if layer in layers)
    real = str(reference.path) if reference else ""
    features = features_named(options, segmenter)
    source = Source(options.model, name, None, device, threads, options.weights, real, features=features)
    wish = intervention(options, ordered, generator, segmenter, device)
    looking = examining(options, ordered, generator, segmenter, reference, device)
    return Job(options, samples, plan, source, ordered, generator, segmenter, workers, wish, reference, looking)


def bare(options: Options) -> tuple[Generator, Source]:
    """The generator alone, and the source from which workers load it: for images that no segmenter sees."""
    from dissectreport import plugins
    from dissectreport.models.base import makes_images
    from dissectreport.worker.loaded_networks import Source, pick_device

    device = pick_device(options.device)
    generator = plugins.generator(options.model, options.weights)
    if not makes_images(generator):
        raise ModelError(f"{generator.name} reads images and makes none, so that there is nothing to repair")
    return generator, Source(options.model, "", None, device, weights=options.weights)


def no_layer(model: str, layer: str, generator: Generator) -> UnknownName:
    """The error for a layer whose units cannot be read, or that there is none of."""
    if layer in dict(generator.module.named_modules()):
        return UnknownName(
            f"the units of {layer!r} in {model} cannot be read (`dissectreport layers {shlex.quote(model)} --all` "
            f"tells why); there are {', '.join(generator.layers)}"
        )
    return UnknownName.of(f"layer of {model}", layer, generator.layers)


def hastened(options: Options, generator: Generator) -> Options:
    """The options of a quick run: few images and pixels, first, middle and last of the layers, the smallest budget."""
    if not options.quick:
        return options
    layers = generator.default_layers
    own = rule_named(options.rule).reference
    return replace(
        options,
        samples=QUICK_SAMPLES if options.samples is None else options.samples,
        layers=options.layers or tuple(dict.fromkeys((layers[0], middle(layers), layers[-1]))),
        budget=options.budget or "quick",
        grid=options.grid or (0 if own else QUICK_GRID),
        pilot=QUICK_PILOT,
    )


def sized(plan: Plan, options: Options, generator: Generator) -> tuple[int, Plan]:
    """How many samples are measured, and the plan for so many: no more than the generator has."""
    from dissectreport.models.base import ImageModel, max_samples

    asked = SAMPLES if options.samples is None else options.samples
    most = max_samples(generator)
    if most is None:
        most = max(asked, options.pilot)
    if options.samples is not None and asked > most:
        broken = generator.description()["unreadable"] if isinstance(generator, ImageModel) else 0
        without = f", beside {broken:,} that cannot be read" if broken else ""
        raise BadOption(f"{generator.name} has {most:,} images{without}; --samples at most {most:,}, not {asked:,}")
    samples = min(asked, most)
    pilot = samples if rule_named(plan.rule).reference else min(options.pilot, most)
    return samples, replace(plan, pilot=pilot, shard=SHARD if samples >= FEW else Plan.batch)


def settled(job: Job, ear: Listener) -> Job:
    """The job without images that turn out broken, when all that a person should know of folders has been said."""
    from dissectreport.models.base import ImageModel

    for line in job.reference.notes() if job.reference is not None else ():
        ear.say(line)
    if not isinstance(job.generator, ImageModel):
        return job
    ear.say(f"reading {job.samples:,} images of {job.generator.description()['folder']}, to leave out broken ones")
    generator = job.generator.validated([(job.plan.seed, job.samples), (job.plan.pilot_seed, job.plan.pilot)])
    for line in generator.notes():
        ear.say(line)
    samples, plan = sized(job.plan, job.options, generator)
    if job.options.samples is None and samples < SAMPLES:
        ear.say(f"all {samples:,} images are measured; {SAMPLES:,} would be, if there were as many")
    source = replace(job.source, broken=generator.unreadable())
    return replace(job, samples=samples, plan=plan, source=source, generator=generator)


def intervention(
    options: Options, layers: tuple[str, ...], generator: Generator, segmenter: Segmenter, device: str
) -> Intervention | None:
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
    problem = no_interventions(generator, segmenter)
    if problem is not None:
        if asked_for(options):
            raise problem
        return None
    check_concepts(options.concepts, segmenter)
    return Intervention(
        layer,
        replace(
            budget,
            samples=options.intervention_samples or budget.samples,
            constant=options.constant or budget.constant,
        ),
    )


def check_concepts(wanted: Sequence[str], segmenter: Segmenter) -> None:
    """Refuse a concept that the segmenter does not know."""
    names = [concept.name for concept in segmenter.vocabulary.concepts[1:]]
    for name in wanted:
        if name not in names:
            raise UnknownName.of("concept", name, names)


def examining(
    options: Options,
    layers: tuple[str, ...],
    generator: Generator,
    segmenter: Segmenter,
    reference: ImageFolder | None,
    device: str,
) -> Examining | None:
    """Where to look for artifact units, checked before anything long begins."""
    checkup = CHECKUPS[budget_named(options.budget or ("default" if device == "cpu" else "full")).name]
    if options.artifact_samples and options.artifact_samples < FEWEST_SCORED:
        raise BadOption(
            f"--artifact-samples must be at least {FEWEST_SCORED}, not {options.artifact_samples}: "
            "distances between sets of images need as many on each side"
        )
    marked, units = reviewed_units(options, generator)
    if marked and marked not in layers:
        raise BadOption(
            f"--artifact-units {options.artifact_units} is about layer {marked}, which is not measured; "
            f"add it to --layers {','.join(layers)}"
        )
    layer = options.artifact_layer or marked or options.intervention_layer or middle(layers)
    if layer not in layers:
        raise UnknownName.of("measured layer", layer, layers)
    if not options.artifacts:
        return None
    check_reviewed(options, generator, layer, marked, units)
    problem = no_artifacts(options, generator, segmenter, reference)
    if problem is not None:
        if artifacts_asked_for(options):
            raise problem
        return None
    scored = options.artifact_samples or checkup.scored
    checkup = replace(checkup, scored=scored, real=max(checkup.real, 2 * options.artifact_samples))
    return Examining(layer, checkup, network_of(options, generator, segmenter), units)


def artifacts_asked_for(options: Options) -> bool:
    """Whether artifact units were asked for in so many words, and must not be left out."""
    return bool(options.artifact_layer or options.artifact_samples or options.artifact_units or options.features)


def features_named(options: Options, segmenter: Segmenter) -> str:
    """The feature network by name; '' for the segmenter's own features.

    Those lead where the segmenter is embedded, as its models are. Elsewhere figures should compare with published ones:
    InceptionV3, if its weights are here; nothing is downloaded that nobody asked for.
    """
    from dissectreport import plugins

    if options.features:
        return options.features
    embedded = [one.name for one in plugins.list_plugins(plugins.SEGMENTERS) if one.state == "embedded"]
    if segmenter.name in embedded and hasattr(segmenter, "features"):
        return ""
    here = [one.name for one in plugins.list_plugins(plugins.FEATURES) if one.state == "installed"]
    return "inception" if "inception" in here else ""


def network_of(options: Options, generator: Generator, segmenter: Segmenter) -> FeatureNetwork:
    """The network in whose features images are compared; FeaturesError where there is none."""
    from dissectreport import plugins
    from dissectreport.features.base import SegmenterFeatures

    name = features_named(options, segmenter)
    return plugins.features(name) if name else SegmenterFeatures.of(segmenter, generator.image_size)


def no_artifacts(
    options: Options, generator: Generator, segmenter: Segmenter, reference: ImageFolder | None
) -> DissectReportError | None:
    """Why no artifact units can be looked for; None where they can."""
    from dissectreport.models.base import makes_images

    if not makes_images(generator):
        return ModelError(f"{generator.name} reads images and makes none, so that there is nothing to repair")
    if reference is None and generator.training_like_images(1) is None:
        return FolderError(
            f"{generator.name} has no real images of its own to compare with; give some with --reference"
        )
    if reference is not None and len(reference.files) < FEWEST_REAL:
        return FolderError(too_few_real(len(reference.files)))
    try:
        network_of(options, generator, segmenter)
    except (FeaturesError, WeightsError) as error:
        return error
    return None


def too_few_real(images: int) -> str:
    """What is wrong with so few real images, and what would do."""
    return (
        f"{counted(images, 'real image')}; artifact units need at least {FEWEST_REAL}, because one half "
        "is compared with the other: give a --reference with more"
    )


def reviewed_units(options: Options, generator: Generator) -> tuple[str, tuple[int, ...]]:
    """The layer ('' for any) and the units of a manual review; none without a file."""
    path = options.artifact_units
    return ("", ()) if path is None else read_marks(path, generator.layers, generator.identity)


def marked_layer(options: Options) -> str:
    """The layer of a manual review; '' where there is none, or it names none."""
    return read_marks(options.artifact_units)[0] if options.artifact_units is not None else ""


def check_reviewed(options: Options, generator: Generator, layer: str, marked: str, units: tuple[int, ...]) -> None:
    """Refuse a manual review of another layer, or of units that the layer does not have."""
    from dissectreport.worker.first_batch import layer_shape

    if not units:
        return
    if marked not in ("", layer):
        raise BadOption(
            f"--artifact-units {options.artifact_units} is about layer {marked}, and {layer} is looked at; "
            f"name {marked} instead, or no layer"
        )
    there, _, _ = layer_shape(generator, layer)
    if units[-1] >= there:
        raise BadOption(
            f"--artifact-units {options.artifact_units} marks unit {units[-1]}; {layer} has units 0 to {there - 1}"
        )


def asked_for(options: Options) -> bool:
    """Whether interventions were asked for in so many words, and must not be left out."""
    return bool(options.concepts or options.intervention_layer or options.intervention_samples)


def no_interventions(generator: Generator, segmenter: Segmenter) -> ModelError | SegmenterError | None:
    """Why nothing can be intervened on; None where it can."""
    from dissectreport.models.base import makes_images

    if not makes_images(generator):
        return ModelError(
            f"{generator.name} reads images and makes none, so that turning its units off changes none; "
            "leave interventions out with --no-interventions"
        )
    if not hasattr(segmenter, "probabilities"):
        return SegmenterError(
            f"segmenter {segmenter.name!r} tells no probabilities with gradients, which interventions need; "
            "choose another with --segmenter, or leave them out with --no-interventions"
        )
    return None


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
    words = ["dissectreport build", shlex.quote(options.model), f"--layers {','.join(job.layers)}"]
    words += [f"--samples {job.samples}", f"--seed {options.seed}"]
    words += [f"--segmenter {shlex.quote(job.source.segmenter)}"]
    words += ["--quick"] if options.quick else []
    words += [f"--rule {options.rule}"] if options.rule != "corrected" else []
    words += [f"--grid {options.grid}"] if options.grid else []
    words += [] if options.controls else ["--no-controls"]
    words += [] if options.interventions else ["--no-interventions"]
    words += [] if options.artifacts else ["--no-artifacts"]
    for name in (
        *("intervention_samples", "intervention_layer", "budget", "constant", "precision"),
        *("artifact_layer", "artifact_samples", "features"),
    ):
        if getattr(options, name) != getattr(Options(""), name):
            words += [f"--{name.replace('_', '-')} {getattr(options, name)}"]
    words += [f"--weights {shlex.quote(options.weights)}"] if options.weights else []
    words += [f"--concepts {shlex.quote(','.join(options.concepts))}"] if options.concepts else []
    words += (
        [f"--artifact-units {shlex.quote(without_place(options.artifact_units))}"] if options.artifact_units else []
    )
    words += [f"--reference {shlex.quote(without_place(options.reference))}"] if options.reference else []
    return " ".join(words)


def without_place(path: Path) -> str:
    """A path as it may be published: as it was given, if it does not tell where on this machine it lies."""
    return path.name if path.is_absolute() else str(path)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"dissectreport": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
