"""Checked requests for interventions and for artifact units, and the reasons why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dissectreport.errors import (
    BadOption,
    FeaturesError,
    FolderError,
    ModelError,
    SegmenterError,
    UnknownName,
    WeightsError,
    counted,
)
from dissectreport.pipeline.loading import Networks, feature_network, middle, second_feature_network
from dissectreport.pipeline.options import ArtifactOptions, InterventionOptions, Options
from dissectreport.review.marked_units import read_marks
from dissectreport.run.budgets import FEWEST_LATENTS, FEWEST_REAL, FEWEST_SCORED, ArtifactBudget, InterventionBudget

if TYPE_CHECKING:
    from dissectreport.features.base import FeatureNetwork
    from dissectreport.models.base import Generator
    from dissectreport.segmenters.base import Segmenter


@dataclass(frozen=True)
class InterventionRequest:
    """A checked request for interventions."""

    layer: str
    budget: InterventionBudget


@dataclass(frozen=True)
class ArtifactRequest:
    """A checked request for artifact units."""

    layer: str
    budget: ArtifactBudget
    network: FeatureNetwork
    """The network in whose features images are compared."""
    marked: tuple[int, ...] = ()
    """The units that a person marked as artifacts."""
    second: FeatureNetwork | None = None
    """The network in whose features artifact units are scored again."""
    behaviour: str = ""
    """The name of what the network gave for the first images."""

    @property
    def identity(self) -> str:
        """The identity of the network, with its behaviour where that is known."""
        return f"{self.network.identity} {self.behaviour}".strip()


# --- interventions --------------------------------------------------------------------------------------------


def resolve_interventions(
    options: InterventionOptions, layers: tuple[str, ...], networks: Networks, budget: InterventionBudget
) -> InterventionRequest | None:
    """The interventions to make, checked before anything long begins; None where they are not wanted or impossible."""
    check_intervention_options(options)
    layer = options.intervention_layer or middle(layers)
    if layer not in layers:
        raise UnknownName.of("measured layer", layer, layers)
    if not options.interventions:
        return None
    problem = no_interventions(networks.generator, networks.segmenter)
    if problem is not None:
        if interventions_required(options):
            raise problem
        return None
    check_concepts(options.concepts, networks.segmenter)
    samples, constant = options.intervention_samples, options.constant
    return InterventionRequest(
        layer, replace(budget, samples=samples or budget.samples, constant=constant or budget.constant)
    )


def check_intervention_options(options: InterventionOptions) -> None:
    """Refuse values that cannot work."""
    if options.constant not in ("", "quantile", "mean"):
        raise BadOption(f"--constant is quantile or mean, not {options.constant}")
    if options.intervention_samples and options.intervention_samples < FEWEST_LATENTS:
        raise BadOption(
            f"--intervention-samples must be at least {FEWEST_LATENTS}, not {options.intervention_samples}: "
            "areas on fewer images are not reliable"
        )


def interventions_required(options: InterventionOptions) -> bool:
    """Whether an option asks for interventions explicitly, so that they must not be left out."""
    return bool(options.concepts or options.intervention_layer or options.intervention_samples)


def with_commas(parts: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The names in a list that was separated at commas, although some of the known names contain commas.

    >>> with_commas(("relu 4", "6", "out"), ("relu 4,6", "out"))
    ('relu 4,6', 'out')
    """
    whole = {_without_blanks(name): name for name in known if "," in name}
    names: list[str] = []
    at = 0
    while at < len(parts):
        ends = range(at + 1, len(parts) + 1) if parts[at] not in known else ()
        end = next((end for end in ends if _without_blanks(",".join(parts[at:end])) in whole), at + 1)
        given = ",".join(parts[at:end])
        names.append(given if given in known else whole.get(_without_blanks(given), given))
        at = end
    return tuple(names)


def _without_blanks(name: str) -> str:
    return ",".join(part.strip() for part in name.split(","))


def check_concepts(wanted: Sequence[str], segmenter: Segmenter) -> None:
    """Refuse a concept that the segmenter does not know."""
    names = segmenter.vocabulary.names[1:]
    for name in wanted:
        if name not in names:
            raise UnknownName.of("concept", name, names)


def no_interventions(generator: Generator, segmenter: Segmenter) -> ModelError | SegmenterError | None:
    """Why no interventions can be made; None where they can."""
    from dissectreport.models.base import makes_images

    if not makes_images(generator):
        return ModelError(
            f"{generator.name} reads images and makes none, so that ablating its units changes none; "
            "leave interventions out with --no-interventions"
        )
    if not hasattr(segmenter, "probabilities"):
        return SegmenterError(
            f"segmenter {segmenter.name!r} gives no probabilities with gradients, which interventions need; "
            "choose another with --segmenter, or leave them out with --no-interventions"
        )
    return None


# --- artifact units -------------------------------------------------------------------------------------------


def resolve_artifacts(
    options: Options, layers: tuple[str, ...], networks: Networks, budget: ArtifactBudget
) -> tuple[ArtifactRequest | None, str]:
    """The search for artifact units, checked before anything long begins, or None and why it is impossible; both are
    empty where it is not wanted."""
    if options.artifact_samples and options.artifact_samples < FEWEST_SCORED:
        raise BadOption(
            f"--artifact-samples must be at least {FEWEST_SCORED}, not {options.artifact_samples}: "
            "distances between sets of images need as many on each side"
        )
    marked, units = marked_units(options, networks.generator)
    if marked and marked not in layers:
        raise BadOption(
            f"--artifact-units {options.artifact_units} marks units of layer {marked}, which is not measured; "
            f"add it to --layers {','.join(layers)}"
        )
    layer = options.artifact_layer or marked or options.intervention_layer or middle(layers)
    if layer not in layers:
        raise UnknownName.of("measured layer", layer, layers)
    if not options.artifacts:
        return None, ""
    if marked not in ("", layer):
        raise BadOption(
            f"--artifact-units {options.artifact_units} marks units of layer {marked}, but {layer} is searched; "
            f"name {marked} instead, or no layer"
        )
    try:
        network = comparing_network(networks)
    except (ModelError, FolderError, FeaturesError, WeightsError) as error:
        if artifacts_required(options):
            raise
        return None, str(error)
    scored = options.artifact_samples or budget.scored
    budget = replace(budget, scored=scored, real=max(budget.real, 2 * options.artifact_samples))
    return ArtifactRequest(layer, budget, network, units, second_feature_network(networks)), ""


def artifacts_required(options: ArtifactOptions) -> bool:
    """Whether an option asks for artifact units explicitly, so that they must not be left out."""
    return bool(options.artifact_layer or options.artifact_samples or options.artifact_units or options.features)


def comparing_network(networks: Networks) -> FeatureNetwork:
    """The network in which generated images are compared with real ones; an error where these cannot be compared."""
    from dissectreport.models.base import makes_images

    generator, reference = networks.generator, networks.reference
    if not makes_images(generator):
        raise ModelError(f"{generator.name} reads images and makes none, so there is nothing to repair")
    if reference is None and generator.training_like_images(1) is None:
        raise FolderError(
            f"{generator.name} has no real images of its own to compare with; give a folder with --reference"
        )
    if reference is not None and len(reference.files) < FEWEST_REAL:
        raise FolderError(too_few_real(len(reference.files)))
    return feature_network(networks)


def too_few_real(images: int) -> str:
    """The error for too few real images, with the number that is needed."""
    return (
        f"{counted(images, 'real image')}; artifact units need at least {FEWEST_REAL}, because one half "
        "is compared with the other: give a --reference with more"
    )


def marked_units(options: ArtifactOptions, generator: Generator) -> tuple[str, tuple[int, ...]]:
    """The layer ('' for any) and the units that a person marked; none without a file."""
    path = options.artifact_units
    return ("", ()) if path is None else read_marks(path, generator.layers, generator.identity)


def marked_layer(options: ArtifactOptions) -> str:
    """The layer of the units that a person marked; '' where there are none, or the file names no layer."""
    return read_marks(options.artifact_units)[0] if options.artifact_units is not None else ""


def check_marked(options: ArtifactOptions, request: ArtifactRequest, units: int) -> None:
    """Refuse marked units that a layer of so many units does not have."""
    if request.marked and request.marked[-1] >= units:
        raise BadOption(
            f"--artifact-units {options.artifact_units} marks unit {request.marked[-1]}; "
            f"{request.layer} has units 0 to {units - 1}"
        )
