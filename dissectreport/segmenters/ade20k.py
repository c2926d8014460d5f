"""Any network for semantic segmentation of the transformers library; by default one for the 150 objects of ADE20K.

    segmenter = load()                                                  # ade20k
    segmenter = load("facebook/mask2former-swin-large-ade-semantic")    # ade20k:owner/name
    segmenter = load("./my_checkpoint")                                 # ade20k:./folder
    concepts = segmenter(images)                                        # (n, 1, h, w) int64, 0 = nothing

Two kinds of networks are supported: those with scores for every pixel (SegFormer, UperNet, DPT, BEiT, MobileViT …), and
those with scores for masks (MaskFormer, Mask2Former, OneFormer). Labels are those of transformers' own post-processing
at the same size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import WeightsError
from dissectreport.segmenters.hub import (
    HubCheckpoint,
    Preprocessor,
    identity,
    load_checkpoint,
    load_network,
    size_within,
)
from dissectreport.vocabulary import Vocabulary

DEFAULT = "nvidia/segformer-b0-finetuned-ade-512-512"
"""3.8 million parameters: the fastest of the well-known checkpoints, and the least accurate."""
SIDE = 256
"""The longest side of labels: no grid is finer, and 150 scores for each pixel need much memory."""
AT_ONCE = 4
"""Images that are labelled together, to limit memory."""
NOTHING = {
    *("", "-", "nothing", "none", "background", "other", "others", "void", "unknown", "ignore", "ignored"),
    *("unlabeled", "unlabelled", "not labeled", "not labelled", "out of roi", "miscellaneous", "misc"),
}
"""Names of classes that are not concepts."""


# --- the two kinds of networks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreKind:
    """How to compute scores and probabilities of classes from what a kind of network returns."""

    scores: Callable[[Any], Tensor]
    """The network's output -> (n, classes, h, w) scores, larger for more probable classes."""
    probabilities: Callable[[Tensor], Tensor]
    """(n, classes, h, w) scores -> probabilities that sum to one."""


def softmax(scores: Tensor) -> Tensor:
    """(n, classes, h, w) logits -> probabilities."""
    return scores.softmax(dim=1)


def normalised(scores: Tensor) -> Tensor:
    """(n, classes, h, w) non-negative scores -> divided by their sum over classes."""
    return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-6)


def logits(output: Any) -> Tensor:
    """The (n, classes, h, w) scores of a network with logits for every pixel."""
    scores: Tensor = output.logits
    return scores


def masked(output: Any) -> Tensor:
    """(n, classes, h, w) sums over masks of class probability times mask probability (Cheng et al. 2021)."""
    return summed(output, output.masks_queries_logits)


def masked_finely(output: Any) -> Tensor:
    """The same with masks resized to 384 x 384, as transformers does for Mask2Former."""
    masks = functional.interpolate(output.masks_queries_logits.float(), (384, 384), mode="bilinear")
    return summed(output, masks)


def summed(output: Any, masks: Tensor) -> Tensor:
    """(n, masks, h, w) mask logits -> (n, classes, h, w) scores; the last class, "no object", is dropped."""
    classes = output.class_queries_logits.float().softmax(dim=-1)[..., :-1]
    with torch.autocast(masks.device.type, enabled=False):  # half precision would round different scores to equal ones
        return torch.einsum("nqc,nqhw->nchw", classes, masks.float().sigmoid())


PIXELS = ScoreKind(logits, softmax)
MASKS: Mapping[str, ScoreKind] = {
    "maskformer": ScoreKind(masked, normalised),
    "oneformer": ScoreKind(masked, normalised),
    "mask2former": ScoreKind(masked_finely, normalised),
}
"""By the configuration's model_type; all other networks for semantic segmentation are of the kind PIXELS."""


# --- names -----------------------------------------------------------------------------------------------------


def synonyms(name: str) -> list[str]:
    """The synonyms in a class name, such as two in "windowpane;window", without the suffixes of COCO."""
    words = (" ".join(word.split()) for word in re.split("[,;]", name))
    return [re.sub("(-other)?-merged$|-stuff$", "", word) for word in words]


def clean(name: str) -> str:
    """The first synonym; "" if it is in NOTHING."""
    first = synonyms(name)[0]
    return "" if first.lower() in NOTHING else first


def numbered(names: Sequence[str]) -> tuple[Vocabulary, tuple[int, ...]]:
    """The vocabulary of class names, and the concept number of each class.

    If two classes have the same first synonym, all synonyms are kept. Classes of the same name are one concept.
    """
    short = [clean(name) for name in names]
    wholes: dict[str, set[str]] = {}
    for first, name in zip(short, names, strict=True):
        wholes.setdefault(first, set()).add(name)
    words = [
        first if not first or len(wholes[first]) == 1 else " or ".join(synonyms(name))
        for first, name in zip(short, names, strict=True)
    ]
    known = tuple(dict.fromkeys(word for word in words if word))
    return Vocabulary.of(object=known), tuple(known.index(word) + 1 if word else 0 for word in words)


def class_names(labels: Mapping[int, str], shifted: bool) -> list[str]:
    """The names of a network's classes, in order.

    With `shifted`, the network was trained without the background class. If the names still begin with the background,
    each class has the following name, and the last class was never trained.
    """
    names = [str(labels[number]) for number in sorted(labels)]
    return [*names[1:], "-"] if shifted and not clean(names[0]) else names


# --- the segmenter ---------------------------------------------------------------------------------------------


class HubSegmenter:
    """Labels every pixel with an object, by a network of transformers."""

    def __init__(
        self,
        name: str,
        network: Any,
        kind: ScoreKind,
        preprocess: Preprocessor,
        names: Sequence[str],
        tokens: Tensor | None,
    ) -> None:
        self.name, self.network, self.kind, self.preprocess = name, network, kind, preprocess
        self.names, self.tokens = tuple(names), tokens
        self.vocabulary, self.concepts = numbered(names)
        self.identity = identity(network, preprocess, self.names, SIDE, AT_ONCE)
        self.facts = {"network": type(network).__name__, "classes": len(names)}

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 1, h', w') int64 concept numbers, at the size of the images up to 256."""
        concepts = torch.tensor(self.concepts, device=images.device)
        with torch.no_grad():
            return torch.cat([concepts[self.scores(part).argmax(dim=1)] for part in torch.split(images, AT_ONCE)])[
                :, None
            ]

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') probability of the most probable class."""
        with torch.no_grad():
            scores = map(self.scores, torch.split(images, AT_ONCE))
            return torch.cat([self.kind.probabilities(part).amax(dim=1) for part in scores])

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability of each of k concepts, differentiable."""
        probabilities = self.kind.probabilities(self.scores(images))
        classes = [[place for place, number in enumerate(self.concepts) if number == concept] for concept in concepts]
        return torch.stack([probabilities[:, places].sum(dim=1) for places in classes], dim=1)

    def scores(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, classes, h', w') scores, larger for more probable classes, differentiable."""
        scores = self.kind.scores(self._run(images)).float()
        return functional.interpolate(scores, size_within(SIDE, (images.shape[2], images.shape[3])), mode="bilinear")

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, d) means of the encoder's deepest features, differentiable."""
        output = self._run(images, output_hidden_states=True)
        levels = getattr(output, "encoder_hidden_states", None) or output.hidden_states
        deepest: Tensor = levels[-1]
        return deepest.float().flatten(2).mean(dim=2) if deepest.ndim == 4 else deepest.float().mean(dim=1)

    def to(self, device: torch.device) -> HubSegmenter:
        """The same segmenter on `device`; the network itself is moved."""
        self.network.to(device)
        return self

    def _run(self, images: Tensor, **wanted: bool) -> Any:
        pixels = self.preprocess(images)
        task = {} if self.tokens is None else {"task_inputs": self.tokens.to(images.device).expand(len(images), -1)}
        return self.network(pixel_values=pixels, **task, **wanted)


# --- loading ---------------------------------------------------------------------------------------------------


def load(checkpoint: str = "") -> HubSegmenter:
    """The segmenter of a checkpoint: a repository of the hub ("owner/name", "owner/name@revision") or a folder."""
    hub_checkpoint = HubCheckpoint.of(checkpoint or DEFAULT)
    name = f"ade20k:{checkpoint}" if checkpoint else "ade20k"
    return load_checkpoint(hub_checkpoint, lambda source: _from(name, source))


def _from(name: str, source: dict[str, Any]) -> HubSegmenter:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(**source)
    kind = MASKS.get(config.model_type, PIXELS)
    network = load_network(_family(config), source)
    tokens = _task(config, source) if config.model_type == "oneformer" else None
    # OneFormer's processor would fetch class names from another repository, but its configuration has them.
    overrides = {} if tokens is None else {"class_info_file": None}
    preprocess = Preprocessor(_processor(source, overrides), {} if tokens is None else {"task_inputs": ["semantic"]})
    shifted = any(getattr(preprocess.processor, old, False) for old in ("do_reduce_labels", "reduce_labels"))
    return HubSegmenter(name, network, kind, preprocess, class_names(config.id2label, shifted), tokens)


def _family(config: Any) -> Any:
    """The class of transformers that loads a configuration's networks."""
    from transformers import AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES as PIXEL_MODELS

    if config.model_type in MASKS:
        return AutoModelForUniversalSegmentation
    if config.model_type in PIXEL_MODELS:
        return AutoModelForSemanticSegmentation
    known = ", ".join(sorted((*MASKS, *PIXEL_MODELS)))
    raise WeightsError(f"a checkpoint of {config.model_type} does not segment images; these do: {known}")


def _processor(source: dict[str, Any], overrides: dict[str, Any]) -> Any:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(**source, **overrides)


def _task(config: Any, source: dict[str, Any]) -> Tensor:
    """(1, tokens) the prompt that asks a OneFormer for semantic segmentation."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(**source)
    encoded = tokenizer(
        ["the task is semantic"],
        padding="max_length",
        max_length=config.task_seq_len,
        truncation=True,
        return_tensors="pt",
    )
    tokens: Tensor = encoded["input_ids"] * encoded["attention_mask"]
    return tokens
