"""The pass in which two segmenters label the same generated images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dissectreport.records.replication import SegmenterAgreement
from dissectreport.run.shards import Shard
from dissectreport.stats.base import Ints
from dissectreport.vocabulary import Concept, Vocabulary
from dissectreport.worker.concept_masks import on_grid
from dissectreport.worker.edited_model import pixels_by_image
from dissectreport.worker.finite_images import with_finite_images
from dissectreport.worker.loaded_networks import Source


def make_segmenter_agreement(
    source: Source, second: str, seed: int, grid: int
) -> Callable[[Shard], SegmenterAgreement]:
    """The pass that counts, in each image, the pixels of each concept that both segmenters know."""
    mine = source.models()
    # Loaded first, so that the networks of the other source take it over.
    generator, segmenter = mine.generator, mine.segmenter
    others = replace(source, segmenter=second).models()
    shared = shared_concepts(segmenter.vocabulary, others.segmenter.vocabulary)
    names = np.array([tuple(concept) for concept in shared], str).reshape(-1, 2)
    assert others.generator is generator, "both segmenters see images of one network"

    def work(shard: Shard) -> SegmenterAgreement:
        with torch.no_grad():
            images = with_finite_images(
                mine, lambda: mine.images(mine.latents(seed, shard.first, shard.count), shard.first)
            )
            labels = [on_grid(networks.labels(images), grid) for networks in (mine, others)]
        numbers = np.array(list(shared.values()), np.int64).reshape(-1, 2)
        first, second_, both = agreeing_pixels(labels[0], labels[1], numbers, len(segmenter.vocabulary))
        return SegmenterAgreement(others.segmenter.name, names, first, second_, both)

    return work


def shared_concepts(first: Vocabulary, second: Vocabulary) -> Mapping[Concept, tuple[int, int]]:
    """The numbers, in both vocabularies, of the concepts that have the same name and category in both."""
    numbers = {concept: number for number, concept in enumerate(second.concepts) if number}
    return {
        concept: (number, numbers[concept])
        for number, concept in enumerate(first.concepts)
        if number and concept in numbers
    }


def agreeing_pixels(first: Tensor, second: Tensor, numbers: Ints, vocabulary: int) -> tuple[Ints, Ints, Ints]:
    """(n, k) pixels of k concepts in the first labels (n, slots, h, w), in the second ones, and in both.

    `numbers` (k, 2) are the concepts in both vocabularies, of which the first has so many concepts.
    """
    known = int(numbers[:, 1].max(initial=0)) + 1
    translation = np.zeros(known + 1, np.int64)
    translation[numbers[:, 1]] = numbers[:, 0]
    translated = torch.from_numpy(translation).to(second.device)[second.clamp(max=known)]
    agreed = (first[:, :, None] == translated[:, None]).any(2)
    labels = (first, translated, torch.where(agreed, first, 0))
    one, other, both = (pixels_by_image(each, vocabulary)[:, numbers[:, 0]] for each in labels)
    return one, other, both
