"""Checks of a model before it is measured: its layers, and possible faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from dissectreport.errors import DissectReportError, ModelError, counted
from dissectreport.models.classifier import ClassifierModel
from dissectreport.networks import edits, hooks
from dissectreport.pipeline.options import NetworkOptions, Options
from dissectreport.pipeline.prepare import prepare
from dissectreport.run.shards import BATCH, shards
from dissectreport.stats.replaced import most_replaced
from dissectreport.worker import contracts
from dissectreport.worker.costs import networks_cost
from dissectreport.worker.finite_images import with_finite_images
from dissectreport.worker.first_batch import CLOSE, check_look
from dissectreport.worker.loaded_networks import Models, Source, untrained, without_broken


class Verdict(StrEnum):
    """The outcome of a check, as it is printed."""

    GOOD = "ok"
    LOOK = "look"
    """Something to review."""
    WRONG = "wrong"
    """A measurement would fail or be meaningless."""


LISTED = 20
"""Samples that are named in one line, at most."""
RARE = 1e-3
"""Concepts with a smaller share of pixels are not listed."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    verdict: Verdict
    words: str

    @property
    def wrong(self) -> bool:
        """Whether a measurement would fail or be meaningless."""
        return self.verdict == Verdict.WRONG

    def __str__(self) -> str:
        return f"{self.verdict:<5}  {self.words}"


@dataclass(frozen=True)
class LayerSummary:
    """A module of a model that runs."""

    layer: str
    kind: str
    shape: str
    """The shape of its output in words, or why its units cannot be read."""
    units: int
    """0 if they cannot be read."""
    parameters: int
    read: bool
    """Whether a build that names no layers reads it."""


def layer_rows(options: NetworkOptions) -> list[LayerSummary]:
    """Every part of a model that runs, in order."""
    models = without_broken(Source(options.model, "", weights=options.weights), 2)
    parts, _ = traced(models, 2)
    generator = models.generator
    return [
        LayerSummary(
            part.name,
            part.kind,
            shape_words(part),
            part.units if part.name in generator.layers else 0,
            part.parameters,
            part.name in generator.default_layers,
        )
        for part in parts
    ]


def traced(models: Models, count: int) -> tuple[tuple[hooks.ModuleTrace, ...], Tensor]:
    """Every part of the generator's network that runs, and the images of `count` latents."""
    z = models.latents(1, 0, count)
    return models.call_generator(z, lambda: hooks.trace_modules(models.generator, z))


def shape_words(part: hooks.ModuleTrace) -> str:
    """A part's output in words, or why its units cannot be read."""
    size = " × ".join(map(str, part.shape))
    if part.runs > 1:
        return f"{size or part.returned}, runs {part.runs} times"
    return size or f"returns a {part.returned}"


def check(options: Options, generated: int = 0) -> Iterator[Finding]:
    """Check the model and the segmenter of the options on a few samples, and that `generated` images are finite."""
    job = prepare(replace(options, interventions=False))
    return preflight(job.source, generated=generated, seed=job.plan.seed)


def preflight(source: Source, samples: int = BATCH, generated: int = 0, seed: int = 1) -> Iterator[Finding]:
    """Check a model and its segmenter on a few samples; the checks end at a wrong finding.

    Of the first `generated` samples of a seed, those whose images are not finite are named.
    """
    try:
        models = without_broken(source, samples)
        if generated:
            yield _finite(models, seed, generated)
        with_finite_images(models, lambda: _generated(models, samples))
        for examine in (_images, _repeats, _layers, _segmenter, _gradient, _control, _time):
            yield from examine(models, samples)
    except DissectReportError as problem:
        yield Finding(Verdict.WRONG, str(problem))


def _images(models: Models, samples: int) -> Iterator[Finding]:
    generator = models.generator
    shape = " × ".join(map(str, generator.latent_shape))
    yield Finding(Verdict.GOOD, f"{generator.name}: {_parameters(models):,} parameters, latents of {shape} numbers")
    images = _generated(models, samples)
    check_look(generator, images)
    outside = float((images.abs() > 1).float().mean())
    height, width = images.shape[2:]
    yield Finding(
        Verdict.GOOD if outside < 0.1 else Verdict.LOOK,
        f"{samples} images of {height} × {width}, pixels from {float(images.min()):.2f} to {float(images.max()):.2f}"
        + (f"; {outside:.1%} lie outside [-1, 1] and are clipped" if outside >= 0.001 else ""),
    )


def _finite(models: Models, seed: int, samples: int) -> Finding:
    """Which images of a seed's first samples are not finite."""
    bad: list[int] = []
    for shard in shards(samples, BATCH):
        z = models.latents(seed, shard.first, shard.count)
        with torch.no_grad():
            images = models.call_generator(z, lambda z=z: models.generator(z))  # type: ignore[misc]
        bad += [shard.first + row for row in hooks.not_finite(images)]
    if not bad:
        return Finding(Verdict.GOOD, f"all of {samples:,} images of seed {seed} are finite")
    listed = ", ".join(map(str, bad[:LISTED])) + (" …" if len(bad) > LISTED else "")
    is_few = len(bad) <= most_replaced(samples)
    what = "a run draws other latents in their place" if is_few else "check the weights, or measure another --seed"
    return Finding(
        Verdict.LOOK if is_few else Verdict.WRONG,
        f"not finite: {counted(len(bad), 'image')} of {samples:,} of seed {seed}, with the sample numbers {listed}; "
        f"{what}",
    )


def _repeats(models: Models, samples: int) -> Iterator[Finding]:
    images, again = _generated(models, samples), _generated(models, samples)
    if not torch.equal(images, again):
        off = float((images - again).abs().max())
        yield Finding(
            Verdict.WRONG if off > CLOSE else Verdict.LOOK,
            f"the same latents give other images the second time (by up to {off:.2g} of 2): something in the network "
            "is random, such as noise or dropout; fix it, otherwise results cannot be reproduced",
        )
        return
    z = models.latents(1, 0, samples)
    with torch.no_grad():
        off = contracts.batch_dependence(models, z, images, min(samples, 3))
    if off > CLOSE:
        yield Finding(
            Verdict.WRONG,
            f"an image depends on the others in its batch (by up to {off:.2g} of 2): batch norm in training mode? "
            "Call network.eval(), and see that its forward does not undo it",
        )
        return
    if samples > 1 and torch.equal(images[:1].expand_as(images), images):
        yield Finding(
            Verdict.WRONG, "all latents give the same image: the latent does not reach it, or the weights are missing"
        )
        return
    yield Finding(
        Verdict.GOOD, "the same latent gives the same image, alone and in a batch; different ones give different images"
    )


def _layers(models: Models, samples: int) -> Iterator[Finding]:
    names = models.generator.default_layers
    z = models.latents(1, 0, samples)
    maps = models.call_generator(z, lambda: hooks.read(models.generator, names, z))
    for name in names:
        hooks.check_finite(name, maps[name], 0)
        flat = maps[name].transpose(0, 1).flatten(1)
        still = int((flat.amax(1) == flat.amin(1)).sum())
        units, height, width = maps[name].shape[1:]
        words = f"layer {name}: {counted(units, 'unit')} of {height} × {width}"
        if still == units:
            yield Finding(
                Verdict.WRONG,
                f"{words}, none of which differs between images; check the weights, or choose another layer",
            )
        else:
            dead = f"; {counted(still, 'unit')} without any change in these {samples} images" if still else ""
            flat_words = (
                "; the layer has one cell, so its units show what is in an image, but not where"
                if height * width == 1
                else ""
            )
            yield Finding(Verdict.LOOK if still > units / 4 else Verdict.GOOD, f"{words}{dead}{flat_words}")


def _segmenter(models: Models, samples: int) -> Iterator[Finding]:
    images = _generated(models, samples)
    labels = models.labels(images)
    caution = contracts.segmenter_caution(models, images, labels)
    if caution:
        yield Finding(Verdict.WRONG, caution)
    concepts = models.segmenter.vocabulary.concepts
    shares = {number: float((labels == number).any(1).float().mean()) for number in range(1, len(concepts))}
    present = sorted(((share, concepts[number].name) for number, share in shares.items() if share), reverse=True)
    if not present:
        yield Finding(
            Verdict.WRONG, f"segmenter {models.segmenter.name} finds no concept in {samples} images; choose another"
        )
        return
    common = [f"{name} {share:.0%}" for share, name in present if share >= RARE][:8]
    unnamed = float((labels == 0).all(1).float().mean())
    yield Finding(
        Verdict.GOOD if unnamed < 0.5 else Verdict.LOOK,
        f"segmenter {models.segmenter.name} finds {len(present)} of {len(concepts) - 1} concepts: {', '.join(common)}"
        + (f"; {unnamed:.0%} of the pixels have no label" if unnamed >= 0.01 else ""),
    )


def _gradient(models: Models, samples: int) -> Iterator[Finding]:
    if isinstance(models.generator, ClassifierModel):
        yield _accuracy(models, models.generator, samples)
        return
    if not getattr(models.generator, "makes_images", True):
        yield Finding(Verdict.GOOD, "it makes no images, so there will be no interventions")
        return
    if not hasattr(models.segmenter, "probabilities"):
        name = models.segmenter.name
        yield Finding(Verdict.LOOK, f"segmenter {name} gives no probabilities, so there will be no interventions")
        return
    names = models.generator.default_layers
    layer = names[(len(names) - 1) // 2]
    at = edits.run_prefix(models.generator, layer, models.latents(1, 0, 1))
    whole = _generated(models, 1)
    with torch.no_grad():
        off = float((at.images(at.activations) - whole).abs().max())
    if off > CLOSE:
        yield Finding(
            Verdict.WRONG,
            f"running only the part after {layer} gives another image (by {off:.2g} of 2): the network changes while "
            f"it runs",
        )
        return
    if not _reaches(models, at):
        yield Finding(
            Verdict.LOOK, f"no gradient of what the segmenter finds reaches {layer}, so there will be no interventions"
        )
        return
    yield Finding(Verdict.GOOD, f"{layer} can be edited: the part after it gives the same image again")


def _accuracy(models: Models, classifier: ClassifierModel, samples: int) -> Finding:
    """How many classes a classifier has, and how many samples it recognises."""
    with torch.no_grad():
        predicted = classifier.logits(models.latents(1, 0, samples)).argmax(1).cpu().numpy()
    classes = f"it gives scores of {len(classifier.classes)} classes"
    if not classifier.labels:
        return Finding(Verdict.LOOK, f"{classes}; the images have no labels, so its own predictions are the truth")
    right = int((predicted == classifier.truth(1, 0, samples)).sum())
    chance = samples / len(classifier.classes)
    words = f"{classes}, and predicts {right} of {samples} images correctly"
    if right <= chance:
        return Finding(Verdict.LOOK, f"{words}, no more than chance; check the order of classes, mean and std")
    return Finding(Verdict.GOOD, words)


def _reaches(models: Models, at: edits.Prefix) -> bool:
    """Whether a concept that an image shows has a gradient at the layer."""
    activations = at.activations.clone().requires_grad_()
    images = at.images(activations)
    shown = [number for number in torch.unique(models.labels(images.detach())).tolist() if number]
    return models.probabilities(images, shown or [1]).requires_grad


def _control(models: Models, samples: int) -> Iterator[Finding]:
    bare = untrained(models.generator, 1)
    if bare is None:
        yield Finding(
            Verdict.LOOK, "no untrained control: it is not known how to make this network with random weights"
        )
        return
    with torch.no_grad():
        images = bare(models.latents(1, 0, samples))
    if hooks.not_finite(images):
        yield Finding(
            Verdict.LOOK,
            "no untrained control: with random weights the images are not finite, as where a parameter starts at 0",
        )
    elif bare.identity == models.generator.identity:
        raise ModelError("the untrained control has the trained weights: leave `reinitialise` out")
    else:
        yield Finding(Verdict.GOOD, "it can be made with random weights, for the untrained control")


def _time(models: Models, samples: int) -> Iterator[Finding]:
    cost = networks_cost(models, models.generator.default_layers, 1, min(samples, BATCH))
    yield Finding(
        Verdict.GOOD,
        f"an image takes {_spoken(cost.generator)} to generate and {_spoken(cost.segmenter)} to segment; "
        f"a build reads {counted(cost.units, 'unit')}",
    )


def _spoken(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.001 else "under 1 ms"


def _generated(models: Models, samples: int) -> Tensor:
    with torch.no_grad():
        return models.images(models.latents(1, 0, samples), 0)


def _parameters(models: Models) -> int:
    return sum(value.numel() for value in models.generator.module.parameters())
