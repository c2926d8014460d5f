"""Any words as concepts, by CLIPSeg (Lüddecke and Ecker 2022), which finds in an image what a phrase describes.

    segmenter = load("dome,tower,tree")                       # words:dome,tower,tree
    segmenter = load("red door@0.4,tree")                     # a word with a threshold of its own
    segmenter = load("./my_clipseg:dome,tower")               # another checkpoint, a folder or owner/name, before ":"
    concepts = segmenter(images)                              # (n, slots, h, w) int64, 0 = nothing

Each word is searched for separately, with the prompt "a photo of a …". A pixel shows a word if its probability is above
the threshold, so it may show several: a dome is part of a building. A pixel shows at most four words, the most probable
ones. So words in a list of up to four do not influence each other, and in longer lists hardly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import BadOption, WeightsError
from dissectreport.segmenters.hub import (
    HubCheckpoint,
    Preprocessor,
    identity,
    load_checkpoint,
    load_network,
    size_within,
)
from dissectreport.vocabulary import Vocabulary

DEFAULT = "CIDAS/clipseg-rd64-refined"
PROMPT = "a photo of a {}."
THRESHOLD = 0.5
"""A pixel shows a word if it is more probable than not."""
SLOTS = 4
"""Words that a pixel can show. Each further slot multiplies the number of label sets, which are counted separately."""
MAX_WORDS = 32
"""Words in a list; each needs a run of the decoder for every image."""
SIDE = 128
"""The longest side of labels; the decoder has 22 x 22 patches."""
AT_ONCE = 32
"""Pairs of image and word that are decoded together, to limit memory for long lists."""


@dataclass(frozen=True)
class Word:
    """A word or phrase, and the probability above which a pixel shows it."""

    name: str
    threshold: float = THRESHOLD


def parse_words(text: str) -> tuple[str, tuple[Word, ...]]:
    """The checkpoint, '' for the default one, and the words of "checkpoint:word,word@threshold"."""
    checkpoint, colon, listed = text.rpartition(":")
    if colon and not checkpoint:
        raise BadOption(f"words {text!r} have no checkpoint before the colon; write words:{listed}")
    words = tuple(_word(item, text) for item in listed.split(","))
    names = [word.name for word in words]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise BadOption(f"words {text!r} contain {repeated!r} twice; remove one")
    if len(words) > MAX_WORDS:
        raise BadOption(f"{len(words)} words are too many; give at most {MAX_WORDS}")
    return checkpoint, words


def _word(item: str, text: str) -> Word:
    name, at, threshold = item.partition("@")
    name = " ".join(name.split())
    if not name or name == "-":
        raise BadOption(f"words {text!r} contain an empty word; separate words by commas: words:dome,tower,red door")
    if not at:
        return Word(name)
    try:
        number = float(threshold)
    except ValueError:
        number = -1.0
    if not 0 < number < 1:
        raise BadOption(f"the threshold {threshold!r} of {name!r} is not between 0 and 1; write {name}@{THRESHOLD}")
    return Word(name, number)


class WordSegmenter:
    """Finds words in images."""

    def __init__(self, name: str, network: Any, preprocess: Preprocessor, words: Sequence[Word], tokens: Any) -> None:
        self.name, self.network, self.preprocess, self.words = name, network, preprocess, tuple(words)
        with torch.no_grad():
            self.phrases: Tensor = network.clip.get_text_features(**tokens).pooler_output
            """(words, d) text features of each word."""
        self.vocabulary = Vocabulary.of(word=tuple(word.name for word in words))
        self.identity = identity(network, preprocess, self.words, PROMPT, SLOTS, SIDE, AT_ONCE)
        self.facts = {
            "network": type(network).__name__,
            "prompt": PROMPT.format("…"),
            "thresholds": {word.name: word.threshold for word in words},
        }

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h', w') int64, the best word first, at the size of images up to 128."""
        with torch.no_grad():
            return above_threshold(self.scores(images, range(len(self.words))), [word.threshold for word in self.words])

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') the larger of the highest probability of any word, and 1 minus it."""
        with torch.no_grad():
            best = self.scores(images, range(len(self.words))).amax(dim=1)
        return torch.maximum(best, 1 - best)

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability of each of k concepts, differentiable; "nothing" is zero."""
        words = [number - 1 for number in concepts if number]
        scores = self.scores(images, words) if words else None
        size = size_within(SIDE, (images.shape[2], images.shape[3]))
        nothing = images.new_zeros(()).expand(len(images), *size)
        maps = iter(()) if scores is None else iter(scores.unbind(dim=1))
        return torch.stack([next(maps) if number else nothing for number in concepts], dim=1)

    def scores(self, images: Tensor, words: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability of each of k words, given by index, differentiable."""
        logits = self.logits(self.preprocess(images), words)
        size = size_within(SIDE, (images.shape[2], images.shape[3]))
        return functional.interpolate(logits.float(), size, mode="bilinear", antialias=True).sigmoid()

    def logits(self, pixels: Tensor, words: Sequence[int]) -> Tensor:
        """(n, 3, h, w) preprocessed images -> (n, k, h, w) logits of words, images are encoded once for all words."""
        hidden = self.network.clip.vision_model(pixels, output_hidden_states=True).hidden_states
        levels = [hidden[layer + 1] for layer in self.network.extract_layers]
        size = max(1, AT_ONCE // len(pixels))
        phrases = self.phrases.to(pixels.device)[list(words)]
        return torch.cat([self._decoded(levels, part) for part in torch.split(phrases, size)], dim=1)

    def _decoded(self, levels: Sequence[Tensor], phrases: Tensor) -> Tensor:
        """(n, k, h, w) logits of (k, d) phrases."""
        count = len(phrases)
        repeated = [level.repeat_interleave(count, dim=0) for level in levels]
        logits: Tensor = self.network.decoder(repeated, phrases.repeat(len(levels[0]), 1)).logits
        return logits.reshape(len(levels[0]), count, *logits.shape[1:])

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, d) CLIP features of whole images, differentiable."""
        features: Tensor = self.network.clip.get_image_features(self.preprocess(images)).pooler_output
        return features.float()

    def to(self, device: torch.device) -> WordSegmenter:
        """The same segmenter on `device`; the network itself is moved."""
        self.network.to(device)
        return self


def above_threshold(scores: Tensor, thresholds: Iterable[float]) -> Tensor:
    """(n, k, h, w) scores -> (n, slots, h, w) numbers of the words above their thresholds, at most four.

    The most probable word is first. The others are sorted by number, so that there are fewer different label sets.
    """
    limits = scores.new_tensor(list(thresholds))[:, None, None]
    above = torch.where(scores > limits, scores, 0.0)
    best = above.topk(min(SLOTS, scores.shape[1]), dim=1)
    numbers = torch.where(best.values > 0, best.indices + 1, 0)
    return torch.cat([numbers[:, :1], numbers[:, 1:].sort(dim=1, descending=True).values], dim=1)


def load(words: str = "") -> WordSegmenter:
    """The segmenter of "word,word@threshold" or "checkpoint:word,word"; docs/own-words.md explains it."""
    if not words.strip():
        raise BadOption("the segmenter words needs words: --segmenter words:dome,tower,tree")
    checkpoint, parsed = parse_words(words)
    return load_checkpoint(
        HubCheckpoint.of(checkpoint or DEFAULT), lambda source: _from(f"words:{words}", parsed, source)
    )


def _from(name: str, words: Sequence[Word], source: dict[str, Any]) -> WordSegmenter:
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPSegForImageSegmentation

    config = AutoConfig.from_pretrained(**source)
    if config.model_type != "clipseg":
        raise WeightsError(
            f"a checkpoint of {config.model_type} does not find words; choose a CLIPSeg checkpoint, such as {DEFAULT}"
        )
    network = load_network(CLIPSegForImageSegmentation, source)
    tokens = _tokens(AutoTokenizer.from_pretrained(**source), words, config.text_config.max_position_embeddings)
    return WordSegmenter(name, network, Preprocessor(AutoImageProcessor.from_pretrained(**source)), words, tokens)


def _tokens(tokenizer: Any, words: Sequence[Word], longest: int) -> Any:
    """The tokens of the prompts, checked for length."""
    for word in words:
        length = len(tokenizer(PROMPT.format(word.name))["input_ids"])
        if length > longest:
            raise BadOption(f"{word.name!r} is too long: {length} tokens, but the network reads {longest}; shorten it")
    return tokenizer([PROMPT.format(word.name) for word in words], padding=True, return_tensors="pt")
