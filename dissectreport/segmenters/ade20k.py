"""Any network for semantic segmentation on the hub of transformers; by default one trained on ADE20K's 150 objects.

    segmenter = load()                                                  # ade20k
    segmenter = load("facebook/mask2former-swin-large-ade-semantic")    # ade20k:owner/name
    segmenter = load("./my_checkpoint")                                 # ade20k:./folder
    concepts = segmenter(images)                                        # (n, 1, h, w) int64, 0 = nothing

Two kinds of networks: those that score every pixel (SegFormer, UperNet, DPT, BEiT, MobileViT …), and those that score
masks and find one for every pixel (MaskFormer, Mask2Former, OneFormer). Labels are those that transformers' own
post-processing gives at the same size.
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
from dissectreport.segmenters.base import Vocabulary
from dissectreport.segmenters.hub import Checkpoint, Prepared, identity, network_of, opened, within

DEFAULT = "nvidia/segformer-b0-finetuned-ade-512-512"
"""3.8 million parameters: the quickest of the well known ones, and the one that finds least."""
SIDE = 256
"""The longer side of labels at most: grids are no finer, and 150 scores a pixel fill memory."""
AT_ONCE = 4
"""Images that are labelled together, for the same reason."""
NOTHING = {
    *("", "-", "nothing", "none", "background", "other", "others", "void", "unknown", "ignore", "ignored"),
    *("unlabeled", "unlabelled", "not labeled", "not labelled", "out of roi", "miscellaneous", "misc"),
}
"""Names of classes that say what a pixel does not show."""


# --- the two kinds of networks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How a kind of network says what a pixel shows."""

    scores: Callable[[Any], Tensor]
    """Its output -> (n, classes, h, w), the larger the likelier."""
    shares: Callable[[Tensor], Tensor]
    """Scores -> probabilities that add up to one."""


def softmax(scores: Tensor) -> Tensor:
    """Probabilities of logits (n, classes, h, w)."""
    return scores.softmax(dim=1)


def of_all(scores: Tensor) -> Tensor:
    """Each class's share of what the masks say (n, classes, h, w)."""
    return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-6)


def logits(output: Any) -> Tensor:
    """(n, classes, h, w) of a network that scores every pixel."""
    found: Tensor = output.logits
    return found


def masked(output: Any) -> Tensor:
    """(n, classes, h, w) sums over masks of class probability times mask probability (Cheng et al. 2021)."""
    return summed(output, output.masks_queries_logits)


def masked_finely(output: Any) -> Tensor:
    """The same with masks at 384 x 384, at which transformers adds up those of Mask2Former."""
    masks = functional.interpolate(output.masks_queries_logits.float(), (384, 384), mode="bilinear")
    return summed(output, masks)


def summed(output: Any, masks: Tensor) -> Tensor:
    """(n, classes, h, w) of (n, masks, h, w) logits; the last class is that of no object."""
    classes = output.class_queries_logits.float().softmax(dim=-1)[..., :-1]
    with torch.autocast(masks.device.type, enabled=False):  # half precision would make classes equal that are not
        return torch.einsum("nqc,nqhw->nchw", classes, masks.float().sigmoid())


PIXELS = Kind(logits, softmax)
MASKS: Mapping[str, Kind] = {
    "maskformer": Kind(masked, of_all),
    "oneformer": Kind(masked, of_all),
    "mask2former": Kind(masked_finely, of_all),
}
"""By model_type of the configuration; the other kind is whatever transformers has for semantic segmentation."""


# --- names -----------------------------------------------------------------------------------------------------


def synonyms(name: str) -> list[str]:
    """The synonyms that a class is called by: "windowpane;window" has two; COCO's endings are no part of a name."""
    words = (" ".join(word.split()) for word in re.split("[,;]", name))
    return [re.sub("(-other)?-merged$|-stuff$", "", word) for word in words]


def clean(name: str) -> str:
    """The first synonym, "" for nothing."""
    first = synonyms(name)[0]
    return "" if first.lower() in NOTHING else first


def numbered(names: Sequence[str]) -> tuple[Vocabulary, tuple[int, ...]]:
    """A vocabulary of the names of a network's classes, and the concept number of each class.

    Where two classes have one first synonym, each keeps all of its synonyms; classes of one name are one concept.
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
    """The names of a network's classes in order.

    Where training numbered labels without the background (`shifted`), but the names still begin with it, every class
    has the name after its own, and the last one was never trained.
    """
    names = [str(labels[number]) for number in sorted(labels)]
    return [*names[1:], "-"] if shifted and not clean(names[0]) else names


# --- the segmenter ---------------------------------------------------------------------------------------------


class HubSegmenter:
    """Names the object of every pixel by a network of transformers."""

    def __init__(
        self, name: str, network: Any, kind: Kind, prepared: Prepared, names: Sequence[str], tokens: Tensor | None
    ) -> None:
        self.name, self.network, self.kind, self.prepared = name, network, kind, prepared
        self.names, self.tokens = tuple(names), tokens
        self.vocabulary, self.concepts = numbered(names)
        self.identity = identity(network, prepared, self.names, SIDE, AT_ONCE)
        self.facts = {"network": type(network).__name__, "classes": len(names)}

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 1, h', w') int64 concept numbers, at the size of the images up to 256."""
        concepts = torch.tensor(self.concepts, device=images.device)
        with torch.no_grad():
            return torch.cat([concepts[self.scores(part).argmax(dim=1)] for part in torch.split(images, AT_ONCE)])[
                :, None
            ]

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') probability of the likeliest class."""
        with torch.no_grad():
            return torch.cat([self.kind.shares(self.scores(part)).amax(dim=1) for part in torch.split(images, AT_ONCE)])

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability of each of k concepts, differentiable."""
        shares = self.kind.shares(self.scores(images))
        classes = [[place for place, number in enumerate(self.concepts) if number == concept] for concept in concepts]
        return torch.stack([shares[:, places].sum(dim=1) for places in classes], dim=1)

    def scores(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, classes, h', w'), the larger the likelier, differentiable."""
        found = self.kind.scores(self._run(images)).float()
        return functional.interpolate(found, within(SIDE, (images.shape[2], images.shape[3])), mode="bilinear")

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, d) the means of its encoder's deepest features, differentiable."""
        output = self._run(images, output_hidden_states=True)
        levels = getattr(output, "encoder_hidden_states", None) or output.hidden_states
        deepest: Tensor = levels[-1]
        return deepest.float().flatten(2).mean(dim=2) if deepest.ndim == 4 else deepest.float().mean(dim=1)

    def to(self, device: torch.device) -> HubSegmenter:
        """The same segmenter on `device`; the network itself moves."""
        self.network.to(device)
        return self

    def _run(self, images: Tensor, **wanted: bool) -> Any:
        pixels = self.prepared(images)
        told = {} if self.tokens is None else {"task_inputs": self.tokens.to(images.device).expand(len(images), -1)}
        return self.network(pixel_values=pixels, **told, **wanted)


# --- loading ---------------------------------------------------------------------------------------------------


def load(checkpoint: str = "") -> HubSegmenter:
    """The segmenter of a checkpoint: a repository of the hub ("owner/name", "owner/name@revision") or a folder."""
    found = Checkpoint.of(checkpoint or DEFAULT)
    name = f"ade20k:{checkpoint}" if checkpoint else "ade20k"
    return opened(found, lambda where: _from(name, where))


def _from(name: str, where: dict[str, Any]) -> HubSegmenter:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(**where)
    kind = MASKS.get(config.model_type, PIXELS)
    network = network_of(_family(config), where)
    tokens = _task(config, where) if config.model_type == "oneformer" else None
    # OneFormer's processor would look up names of classes in another repository, which its configuration has too.
    spared = {} if tokens is None else {"class_info_file": None}
    prepared = Prepared(_processor(where, spared), {} if tokens is None else {"task_inputs": ["semantic"]})
    shifted = any(getattr(prepared.processor, old, False) for old in ("do_reduce_labels", "reduce_labels"))
    return HubSegmenter(name, network, kind, prepared, class_names(config.id2label, shifted), tokens)


def _family(config: Any) -> Any:
    """The class of network that a configuration is of."""
    from transformers import AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES as PIXEL_MODELS

    if config.model_type in MASKS:
        return AutoModelForUniversalSegmentation
    if config.model_type in PIXEL_MODELS:
        return AutoModelForSemanticSegmentation
    known = ", ".join(sorted((*MASKS, *PIXEL_MODELS)))
    raise WeightsError(f"a checkpoint of {config.model_type} does not name pixels; these do: {known}")


def _processor(where: dict[str, Any], spared: dict[str, Any]) -> Any:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(**where, **spared)


def _task(config: Any, where: dict[str, Any]) -> Tensor:
    """(1, tokens) the words that ask a OneFormer for semantic segmentation."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(**where)
    told = tokenizer(
        ["the task is semantic"],
        padding="max_length",
        max_length=config.task_seq_len,
        truncation=True,
        return_tensors="pt",
    )
    tokens: Tensor = told["input_ids"] * told["attention_mask"]
    return tokens
