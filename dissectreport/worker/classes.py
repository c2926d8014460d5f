"""Passes that classify images, with and without units of a layer, on a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.models.classifier import ClassifierModel, classifier_of
from dissectreport.networks.edits import Edit, Prefix, run_prefix, stacked
from dissectreport.networks.hooks import check_finite
from dissectreport.records.classes import LinearHead
from dissectreport.records.interventions import Units
from dissectreport.run.plan import ClassKey
from dissectreport.run.shards import Shard
from dissectreport.stats.base import Ints
from dissectreport.stats.predictions import ClassEstimates, ClassScores, Predictions, known_truth, log_probabilities
from dissectreport.worker.loaded_networks import Models, Source

TOGETHER = 64
"""Sets that are ablated together on an accelerator, and in closed form anywhere."""
TRIED = 8
"""Images on which a closed form is tried."""
AGREES = 1e-4
"""Largest difference of the closed form, as a share of the range of scores."""


@dataclass(frozen=True)
class ClassifiedLayer:
    """The classifier of a worker, ready for edits of one layer."""

    networks: Models
    layer: str

    @property
    def classifier(self) -> ClassifierModel:
        """The classifier; a ModelError for any other model."""
        return classifier_of(self.networks.generator)

    def open(self, z: Tensor) -> Prefix:
        """The network run up to the layer on images."""
        at = self.networks.call_generator(z, lambda: run_prefix(self.classifier.scorer, self.layer, z))
        check_finite(self.layer, at.activations, 0)
        return at

    def scores(self, at: Prefix, activations: Tensor) -> Tensor:
        """(n, classes) scores of edited activations."""
        return self.networks.call_generator(at.z, lambda: at.images(activations)).float()

    def edited(self, at: Prefix, sets: Sequence[Units]) -> Iterator[Tensor]:
        """(n, classes) scores with each set ablated, one set after the other."""
        size = 1 if self.networks.device.type == "cpu" else TOGETHER
        count = len(at.z)
        for first in range(0, len(sets), size):
            edits = [Edit(units) for units in sets[first : first + size]]
            with torch.no_grad():
                if len(edits) == 1:
                    yield self.scores(at, edits[0](at.activations))
                else:
                    scores = self.scores(at.repeated(len(edits)), stacked(at.activations, edits))
                    yield from torch.split(scores, count)


def means_of(activations: Tensor) -> NDArray[np.float32]:
    """(n, units, h, w) -> (n, units) means."""
    return cast("NDArray[np.float32]", activations.mean((2, 3)).float().cpu().numpy())


def images_of(networks: Models, seed: int, samples: Sequence[int]) -> Tensor:
    """(n, 3, h, w) the images of some samples."""
    return torch.cat([networks.latents(seed, first, count) for first, count in runs(samples)])


def truth_of(classifier: ClassifierModel, seed: int, samples: Sequence[int]) -> Ints:
    """(n,) the classes of some samples; -1 where they are unknown."""
    return np.concatenate([classifier.truth(seed, first, count) for first, count in runs(samples)])


def runs(samples: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and number of each run of consecutive samples.

    >>> list(runs([3, 4, 5, 9]))
    [(3, 3), (9, 1)]
    """
    ends = [at for at in range(1, len(samples)) if samples[at] != samples[at - 1] + 1]
    for first, end in pairwise((0, *ends, len(samples))):
        yield int(samples[first]), end - first


def make_scores(source: Source, key: ClassKey, samples: Sequence[int]) -> Callable[[Shard], ClassScores]:
    """The pass that classifies some images without any edit."""
    layer = ClassifiedLayer(source.models(), key.layer)

    def work(shard: Shard) -> ClassScores:
        chosen = samples[shard.first : shard.first + shard.count]
        at = layer.open(images_of(layer.networks, key.seed, chosen))
        with torch.no_grad():
            logits = layer.scores(at, at.activations)
        check_finite("output", logits, chosen[0])
        truth = truth_of(layer.classifier, key.seed, chosen)
        return ClassScores(np.asarray(chosen, np.int64), truth, logits.cpu().numpy(), means_of(at.activations))

    return work


def make_estimates(source: Source, key: ClassKey, samples: Sequence[int]) -> Callable[[Shard], ClassEstimates]:
    """The pass that estimates what some images lose without each unit: activation × gradient, one backward pass."""
    layer = ClassifiedLayer(source.models(), key.layer)

    def work(shard: Shard) -> ClassEstimates:
        chosen = samples[shard.first : shard.first + shard.count]
        at = layer.open(images_of(layer.networks, key.seed, chosen))
        leaf = at.activations.detach().requires_grad_()
        with torch.enable_grad():
            scores = layer.scores(at, leaf)
            truth = truth_of(layer.classifier, key.seed, chosen)
            own = torch.from_numpy(known_truth(truth, scores.detach().cpu().numpy())).to(scores.device)
            loss = functional.cross_entropy(scores, own, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, leaf)
        check_finite(key.layer, gradient, chosen[0])
        lost = -(at.activations * gradient).sum((2, 3))
        return ClassEstimates(np.asarray(chosen, np.int64), lost.float().cpu().numpy())

    return work


def make_predictions(
    source: Source, key: ClassKey, head: LinearHead, sets: Sequence[Units], samples: Sequence[int]
) -> Callable[[Shard], Predictions]:
    """The pass that classifies some images with each set of units ablated, everywhere.

    With a known `head`, scores follow from the means of units; otherwise what follows the layer runs again.
    """
    layer = ClassifiedLayer(source.models(), key.layer)

    def work(shard: Shard) -> Predictions:
        chosen = samples[shard.first : shard.first + shard.count]
        at = layer.open(images_of(layer.networks, key.seed, chosen))
        with torch.no_grad():
            logits = layer.scores(at, at.activations).cpu().numpy()
        truth = known_truth(truth_of(layer.classifier, key.seed, chosen), logits)
        # Scores of all sets at once would take gigabytes where a network has a thousand classes.
        parts = [(part.argmax(2), log_probabilities(part, truth)) for part in _without(layer, at, logits, head, sets)]
        predicted, certainty = (np.concatenate(each, 1) for each in zip(*parts, strict=True))
        return Predictions(np.asarray(chosen, np.int64), predicted.astype(np.int64), certainty.astype(np.float32))

    return work


def _without(
    layer: ClassifiedLayer, at: Prefix, logits: NDArray[np.float32], head: LinearHead, sets: Sequence[Units]
) -> Iterator[NDArray[np.float64]]:
    """(n, some, classes) scores with the next sets ablated."""
    if not head.is_known:
        for scores in layer.edited(at, sets):
            yield scores.double().cpu().numpy()[:, None]
        return
    means = means_of(at.activations)
    for first in range(0, len(sets), TOGETHER):
        yield head.without(logits, means, indicators(sets[first : first + TOGETHER], means.shape[1]))


def indicators(sets: Sequence[Units], units: int) -> NDArray[np.float32]:
    """(sets, units) 1 for the units of each set, else 0."""
    rows = np.zeros((len(sets), units), np.float32)
    for row, members in zip(rows, sets, strict=True):
        row[list(members)] = 1
    return rows


def find_head(source: Source, key: ClassKey) -> LinearHead:
    """The last layer that turns the means of the layer's units into scores, if there is one.

    A linear layer counts only if the scores of the network itself without random units are those of the closed form.
    """
    layer = ClassifiedLayer(source.models(), key.layer)
    at = layer.open(layer.networks.latents(key.seed, 0, min(TRIED, key.images)))
    means = means_of(at.activations)
    units = means.shape[1]
    sets = tried_sets(units)
    with torch.no_grad():
        logits = layer.scores(at, at.activations).cpu().numpy()
    exact = np.stack([scores.cpu().numpy() for scores in layer.edited(at, sets)], 1)
    for weights in _candidates(layer.classifier.module, logits.shape[1], units):
        head = LinearHead(weights)
        difference = np.abs(head.without(logits, means, indicators(sets, units)) - exact).max()
        if difference <= AGREES * max(1.0, float(np.ptp(exact))):
            return head
    return LinearHead(np.zeros((0, 0), np.float32))


def tried_sets(units: int) -> list[Units]:
    """All units, and random halves of them."""
    random = np.random.RandomState(0)
    halves = [tuple(sorted(random.permutation(units)[: max(1, units // 2)].tolist())) for _ in range(4)]
    return [tuple(range(units)), *halves]


def _candidates(network: nn.Module, classes: int, units: int) -> Iterator[NDArray[np.float32]]:
    """The weights of every linear layer from so many units to so many classes."""
    for part in network.modules():
        weight = getattr(part, "weight", None)
        if not isinstance(part, nn.Linear | nn.Conv2d) or not isinstance(weight, Tensor):
            continue
        if tuple(weight.shape) in ((classes, units), (classes, units, 1, 1)):
            yield weight.detach().float().cpu().numpy().reshape(classes, units)
