"""The pass that attacks a classifier: by projected gradient descent (Madry et al. 2018) with a bound on the length.

An attack takes steps along the normalised gradient of the cross-entropy, and is kept within the length and the range of
pixels. It starts at the image itself, so that it is reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.models.classifier import ClassifierModel
from dissectreport.records.classes import ClassExamples
from dissectreport.run.attacks import STEP, largest_norm
from dissectreport.run.plan import ClassKey
from dissectreport.run.shards import Shard
from dissectreport.stats.predictions import Attacks
from dissectreport.worker.classes import ClassifiedLayer, images_of
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.pictures import as_bytes


def attacked(classifier: ClassifierModel, images: Tensor, classes: Tensor, steps: int, towards: bool) -> Tensor:
    """(n, 3, h, w) images in [-1, 1] -> the same after so many steps towards classes (n,), or away from them."""
    # Pixels are in [-1, 1] here, which is twice as wide as [0, 1].
    largest = 2 * largest_norm(images[0].numel())
    changed = images
    for _ in range(steps):
        leaf = changed.detach().requires_grad_()
        with torch.enable_grad():
            loss = functional.cross_entropy(classifier.logits(leaf), classes, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, leaf)
        step = gradient / lengths(gradient).clamp(min=1e-12) * (STEP * largest / steps)
        change = changed.detach() + (-step if towards else step) - images
        change = change * (largest / lengths(change).clamp(min=largest))
        changed = (images + change).clamp(-1, 1)
    return changed.detach()


def lengths(values: Tensor) -> Tensor:
    """(n, ...) -> (n, 1, 1, 1) lengths (L2)."""
    return values.square().sum((1, 2, 3), keepdim=True).sqrt()


def randomly_changed(images: Tensor, length: Tensor, samples: Sequence[int]) -> Tensor:
    """(n, 3, h, w) images changed by (n, 1, 1, 1) `length` in random directions, which depend on the samples."""
    noise = torch.stack(
        [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(int(sample))) for sample in samples]
    ).to(images.device)
    return (images + noise / lengths(noise) * length).clamp(-1, 1)


def make_attacks(
    source: Source, key: ClassKey, steps: int, samples: Sequence[int], targets: Sequence[int]
) -> Callable[[Shard], Attacks]:
    """The pass that attacks some images, each with a target, in the modes of `run.attacks.Attack`."""
    layer = ClassifiedLayer(source.models(), key.layer)

    def peaks(images: Tensor) -> Tensor:
        return layer.open(images).activations.amax((2, 3)).float()

    def predicted(images: Tensor) -> Tensor:
        with torch.no_grad():
            return layer.classifier.logits(images).argmax(1)

    def work(shard: Shard) -> Attacks:
        chosen = samples[shard.first : shard.first + shard.count]
        images = images_of(layer.networks, key.seed, chosen)
        target = torch.as_tensor(targets[shard.first : shard.first + shard.count], device=images.device)
        original, before = predicted(images), peaks(images)
        aimed = attacked(layer.classifier, images, target, steps, towards=True)
        away = attacked(layer.classifier, images, original, steps, towards=False)
        changed = (aimed, away, randomly_changed(images, lengths(aimed - images), chosen))
        return Attacks(
            samples=np.asarray(chosen, np.int64),
            source=original.cpu().numpy(),
            target=target.cpu().numpy(),
            predicted=torch.stack([predicted(one) for one in changed], 1).cpu().numpy(),
            norm=torch.stack([lengths(one - images).flatten() / 2 for one in changed], 1).cpu().numpy(),
            peaks=torch.stack([peaks(one) - before for one in changed], 1).cpu().numpy(),
        )

    return work


def make_examples(
    source: Source, key: ClassKey, steps: int, samples: Sequence[int], shown: Sequence[int], targets: Sequence[int]
) -> ClassExamples:
    """The images of some samples, and of others before and after the targeted attack."""
    layer = ClassifiedLayer(source.models(), key.layer)
    images = images_of(layer.networks, key.seed, samples)
    before = images_of(layer.networks, key.seed, shown) if shown else images[:0]
    target = torch.as_tensor(targets, device=before.device)
    after = attacked(layer.classifier, before, target, steps, towards=True) if shown else before
    numbers = (np.asarray(samples, np.int64), np.asarray(shown, np.int64))
    return ClassExamples(numbers[0], as_bytes(images), numbers[1], as_bytes(before), as_bytes(after))
