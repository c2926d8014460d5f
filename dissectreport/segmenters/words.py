"""Any words as concepts, by CLIPSeg (Lüddecke and Ecker 2022): a network that finds in an image what a phrase says.

    segmenter = load("dome,tower,tree")                       # words:dome,tower,tree
    segmenter = load("red door@0.4,tree")                     # a word with a threshold of its own
    segmenter = load("./my_clipseg:dome,tower")               # another checkpoint, a folder or owner/name, before ":"
    concepts = segmenter(images)                              # (n, slots, h, w) int64, 0 = nothing

Every word is asked for by itself, as "a photo of a …", and shows wherever its score, a probability, is above its
threshold, so a pixel may show several: a dome is part of a building. A pixel has room for four; where more are above,
the best are kept. Up to four words are therefore found independently of one another, and longer lists nearly so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import BadOption, WeightsError
from dissectreport.segmenters.base import Vocabulary
from dissectreport.segmenters.hub import Checkpoint, Prepared, identity, network_of, opened, within

DEFAULT = "CIDAS/clipseg-rd64-refined"
PROMPT = "a photo of a {}."
THRESHOLD = 0.5
"""A word shows where the network finds it likelier than not."""
SLOTS = 4
"""Words that a pixel can show. Each further one multiplies the mixes of words that are counted one by one."""
MOST = 32
"""Words in a list: each costs a run of the decoder for every image."""
SIDE = 128
"""The longer side of labels at most: the decoder sees 22 x 22 patches."""
AT_ONCE = 32
"""Pairs of image and word that are decoded together, so that long lists need no more memory than short ones."""


@dataclass(frozen=True)
class Word:
    """A word or phrase to look for, and the score from which on a pixel shows it."""

    name: str
    threshold: float = THRESHOLD


def parsed(text: str) -> tuple[str, tuple[Word, ...]]:
    """The checkpoint, '' for the default one, and the words of "checkpoint:word,word@threshold"."""
    place, colon, listed = text.rpartition(":")
    if colon and not place:
        raise BadOption(f"words {text!r} name no checkpoint before the colon; try words:{listed}")
    words = tuple(_word(item, text) for item in listed.split(","))
    names = [word.name for word in words]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadOption(f"words {text!r} name {twice!r} twice; leave one out")
    if len(words) > MOST:
        raise BadOption(f"{len(words)} words are too many: each is looked for in every image; give at most {MOST}")
    return place, words


def _word(item: str, text: str) -> Word:
    name, at, threshold = item.partition("@")
    name = " ".join(name.split())
    if not name or name == "-":
        raise BadOption(f"words {text!r} have an empty one; words are separated by commas: words:dome,tower,red door")
    if not at:
        return Word(name)
    try:
        number = float(threshold)
    except ValueError:
        number = -1.0
    if not 0 < number < 1:
        raise BadOption(f"the threshold of {name!r} lies between 0 and 1, not at {threshold!r}: {name}@{THRESHOLD}")
    return Word(name, number)


class WordSegmenter:
    """Finds words in images."""

    def __init__(self, name: str, network: Any, prepared: Prepared, words: Sequence[Word], tokens: Any) -> None:
        self.name, self.network, self.prepared, self.words = name, network, prepared, tuple(words)
        with torch.no_grad():
            self.phrases: Tensor = network.clip.get_text_features(**tokens).pooler_output
            """(words, d) what the network understands by each word."""
        self.vocabulary = Vocabulary.of(word=tuple(word.name for word in words))
        self.identity = identity(network, prepared, self.words, PROMPT, SLOTS, SIDE, AT_ONCE)
        self.facts = {
            "network": type(network).__name__,
            "prompt": PROMPT.format("…"),
            "thresholds": {word.name: word.threshold for word in words},
        }

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h', w') int64, the best word first, at the size of images up to 128."""
        with torch.no_grad():
            return shown(self.scores(images, range(len(self.words))), [word.threshold for word in self.words])

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') how sure it is of the likeliest word: that it is there, or that none is."""
        with torch.no_grad():
            best = self.scores(images, range(len(self.words))).amax(dim=1)
        return torch.maximum(best, 1 - best)

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') score of each of k concepts, differentiable; nothing is zero."""
        asked = [number - 1 for number in concepts if number]
        scores = self.scores(images, asked) if asked else None
        size = within(SIDE, (images.shape[2], images.shape[3]))
        nothing = images.new_zeros(()).expand(len(images), *size)
        found = iter(()) if scores is None else iter(scores.unbind(dim=1))
        return torch.stack([next(found) if number else nothing for number in concepts], dim=1)

    def scores(self, images: Tensor, words: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability of each of k words, given by their places, differentiable."""
        logits = self.logits(self.prepared(images), words)
        size = within(SIDE, (images.shape[2], images.shape[3]))
        return functional.interpolate(logits.float(), size, mode="bilinear", antialias=True).sigmoid()

    def logits(self, pixels: Tensor, words: Sequence[int]) -> Tensor:
        """(n, 3, h, w) prepared images -> (n, k, h, w) logits of words, the image looked at once for all of them."""
        seen = self.network.clip.vision_model(pixels, output_hidden_states=True).hidden_states
        levels = [seen[layer + 1] for layer in self.network.extract_layers]
        each = max(1, AT_ONCE // len(pixels))
        phrases = self.phrases.to(pixels.device)[list(words)]
        return torch.cat([self._decoded(levels, part) for part in torch.split(phrases, each)], dim=1)

    def _decoded(self, levels: Sequence[Tensor], phrases: Tensor) -> Tensor:
        """(n, k, h, w) logits of (k, d) phrases."""
        count = len(phrases)
        repeated = [level.repeat_interleave(count, dim=0) for level in levels]
        logits: Tensor = self.network.decoder(repeated, phrases.repeat(len(levels[0]), 1)).logits
        return logits.reshape(len(levels[0]), count, *logits.shape[1:])

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, d) what CLIP makes of whole images, differentiable."""
        found: Tensor = self.network.clip.get_image_features(self.prepared(images)).pooler_output
        return found.float()

    def to(self, device: torch.device) -> WordSegmenter:
        """The same segmenter on `device`; the network itself moves."""
        self.network.to(device)
        return self


def shown(scores: Tensor, thresholds: Iterable[float]) -> Tensor:
    """(n, k, h, w) scores -> (n, slots, h, w) numbers of the words above their thresholds, at most four.

    The best comes first and the others by their numbers, so that the same words seldom make different mixes.
    """
    limits = scores.new_tensor(list(thresholds))[:, None, None]
    above = torch.where(scores > limits, scores, 0.0)
    best = above.topk(min(SLOTS, scores.shape[1]), dim=1)
    numbers = torch.where(best.values > 0, best.indices + 1, 0)
    return torch.cat([numbers[:, :1], numbers[:, 1:].sort(dim=1, descending=True).values], dim=1)


def load(words: str = "") -> WordSegmenter:
    """The segmenter of some words, separated by commas; another checkpoint than the default may stand before ":"."""
    if not words.strip():
        raise BadOption("the segmenter words needs some: --segmenter words:dome,tower,tree")
    place, known = parsed(words)
    return opened(Checkpoint.of(place or DEFAULT), lambda where: _from(f"words:{words}", known, where))


def _from(name: str, words: Sequence[Word], where: dict[str, Any]) -> WordSegmenter:
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPSegForImageSegmentation

    config = AutoConfig.from_pretrained(**where)
    if config.model_type != "clipseg":
        raise WeightsError(f"a checkpoint of {config.model_type} does not find words; take one of clipseg, {DEFAULT}")
    network = network_of(CLIPSegForImageSegmentation, where)
    tokens = _tokens(AutoTokenizer.from_pretrained(**where), words, config.text_config.max_position_embeddings)
    return WordSegmenter(name, network, Prepared(AutoImageProcessor.from_pretrained(**where)), words, tokens)


def _tokens(tokenizer: Any, words: Sequence[Word], longest: int) -> Any:
    """The words as the text network reads them, checked for length."""
    for word in words:
        length = len(tokenizer(PROMPT.format(word.name))["input_ids"])
        if length > longest:
            raise BadOption(f"{word.name!r} is too long: {length} tokens, and the network reads {longest}; shorten it")
    return tokenizer([PROMPT.format(word.name) for word in words], padding=True, return_tensors="pt")
