"""Checks of what plug-ins return for a first batch: the same again, alone as in a batch, in range, and in agreement.

What would make numbers wrong raises an error that names the plug-in. What makes results impossible to repeat is a
caution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dissectreport.errors import SegmenterError
from dissectreport.records.behaviour import SAME_LABELS
from dissectreport.vocabulary import Vocabulary
from dissectreport.worker.first_batch import CLOSE
from dissectreport.worker.loaded_networks import ROUNDING, Models

FEW = 2
"""Samples that are computed again, outside of their batch."""
LARGE = 0.01
"""Share of pixels from which a concept is compared with its probability."""
MARGIN = 0.05
"""How much less probable a concept must be where it is labelled than elsewhere, to be that of another number."""
NEARLY_ALL = 0.9
"""Share of the pixels of a label in which another concept must be more probable, to be a contradiction."""


def cautions(models: Models, z: Tensor, images: Tensor, labels: Tensor, repeats: bool) -> tuple[str, ...]:
    """Problems with a batch of latents, (n, 3, h, w) images and (n, slots, h, w) labels, one line each.

    Where images do not repeat, they cannot be compared with those of another batch.
    """
    with torch.no_grad():
        models.confidence(images[:FEW])
        check_probabilities(models, images[:FEW], labels[:FEW])
        lines = [_generator_caution(models, z, images) if repeats else "", segmenter_caution(models, images, labels)]
    return tuple(line for line in lines if line)


def batch_dependence(models: Models, z: Tensor, images: Tensor, alone: int = 1) -> float:
    """By how much the first images of a batch of latents differ from those that are generated alone, at most."""
    single = torch.cat([models.images(z[number : number + 1], number) for number in range(alone)])
    return float((single - images[:alone]).abs().max())


def _generator_caution(models: Models, z: Tensor, images: Tensor) -> str:
    off = batch_dependence(models, z, images)
    if off <= CLOSE:
        return ""
    return (
        f"an image of generator {models.generator.name!r} depends on the others in its batch (by up to {off:.2g} of 2):"
        " batch norm in training mode? The images that are shown are not those that are measured"
    )


def segmenter_caution(models: Models, images: Tensor, labels: Tensor) -> str:
    """What is doubtful about the labels of a batch of images; '' for nothing."""
    name, few = models.segmenter.name, images[:FEW]
    once = models.labels(few)
    if _are_same(once, labels[:FEW]):
        return ""
    if _are_same(once, models.labels(few)):
        return (
            f"the labels of segmenter {name!r} depend on the other images in a batch: batch norm in training mode?"
            " Call eval() on its network"
        )
    return (
        f"segmenter {name!r} gives other labels for the same images the second time: it uses random noise or"
        " dropout, so another run gives different numbers; call eval() on its network"
    )


def _are_same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and float((one == other).float().mean()) >= SAME_LABELS


def check_probabilities(models: Models, images: Tensor, labels: Tensor) -> None:
    """Refuse probabilities outside 0 and 1, and those of other concepts than the labels."""
    if not hasattr(models.segmenter, "probabilities"):
        return
    present = [number for number in torch.unique(labels).tolist() if number and _is_large(labels, number)]
    if not present:
        return
    compared = _with_next_numbers(models.segmenter.vocabulary, present)
    probabilities = models.probabilities(images, compared).float()
    models.check_probable("probabilities", float(probabilities.min()), float(probabilities.max()))
    sized = interpolate(probabilities, labels.shape[2:], mode="nearest")
    by_number = dict(zip(compared, sized.unbind(1), strict=True))
    lines = [_contradiction(models.segmenter.vocabulary, by_number, labels, number) for number in present]
    contrary = [line for line in lines if line]
    if 2 * len(contrary) > len(present):
        raise SegmenterError(
            f"segmenter {models.segmenter.name!r} labels other concepts than it finds probable: where it labels "
            f"{contrary[0]}; are the numbers of its labels off by one?"
        )


def _with_next_numbers(vocabulary: Vocabulary, present: Sequence[int]) -> list[int]:
    """Some concepts, and those with the numbers before and after theirs."""
    near = {number + step for number in present for step in (-1, 0, 1)}
    return sorted(number for number in near if 0 < number < len(vocabulary))


def _contradiction(vocabulary: Vocabulary, probabilities: Mapping[int, Tensor], labels: Tensor, number: int) -> str:
    """How the probabilities contradict the label of a concept; '' where they do not."""
    name, own, inside = vocabulary.names[number], probabilities[number], (labels == number).any(1)
    if not inside.all() and own[inside].mean() < own[~inside].mean() - MARGIN:
        return f"{name}, the probability of {name} is lower than elsewhere"
    category = vocabulary.concepts[number].category
    for other, rival in probabilities.items():
        alike = other != number and vocabulary.concepts[other].category == category
        if alike and (rival > own + ROUNDING)[inside].float().mean() >= NEARLY_ALL:
            return f"{name}, {vocabulary.names[other]} is more probable"
    return ""


def _is_large(labels: Tensor, number: int) -> bool:
    return float((labels == number).any(1).float().mean()) >= LARGE
