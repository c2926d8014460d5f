"""CLIP as a network that compares images with words (Radford et al. 2021).

    network = word_network("")                          # the checkpoint of the catalogue
    network = word_network("openai/clip-vit-base-patch32")   # another one, or ./folder

Whole images are resized to the square size of the network; nothing is cropped. A word is its own prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.errors import WeightsError
from dissectreport.features.hub import CATALOGUE
from dissectreport.segmenters.hub import HubCheckpoint, Preprocessor, identity, load_checkpoint, load_network

AT_ONCE = 16
"""Images, and words, that go through the network together."""


@dataclass(frozen=True, eq=False)
class WordNetwork:
    """Both halves of CLIP: images and words as vectors, whose cosines say how well they go together."""

    name: str
    network: Any
    tokenizer: Any
    preprocess: Preprocessor

    @property
    def identity(self) -> str:
        """Changes whenever the weights or the arithmetic change."""
        return f"words {identity(self.network, self.preprocess)}"

    def images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) -> (n, d) vectors."""
        rows = []
        for start in range(0, len(pixels), AT_ONCE):
            part = torch.from_numpy(pixels[start : start + AT_ONCE]).movedim(3, 1).float() / 127.5 - 1
            seen = self.network.vision_model(pixel_values=self.preprocess(part)).pooler_output
            rows.append(self.network.visual_projection(seen))
        return np.asarray(torch.cat(rows).detach().numpy(), np.float32)

    def texts(self, words: Sequence[str]) -> NDArray[np.float32]:
        """(w, d) vectors of words."""
        rows = []
        for start in range(0, len(words), AT_ONCE):
            part = list(words[start : start + AT_ONCE])
            tokens = self.tokenizer(part, padding=True, truncation=True, return_tensors="pt")
            seen = self.network.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
            rows.append(self.network.text_projection(seen.pooler_output))
        return np.asarray(torch.cat(rows).detach().numpy(), np.float32)


def word_network(checkpoint: str = "") -> WordNetwork:
    """Both halves of a CLIP; `checkpoint` is a repository ("owner/name", "owner/name@revision") or a folder."""
    origin = HubCheckpoint.of(checkpoint or str(read_catalogue(CATALOGUE)["clip"].extra["hub"]))

    def load(source: dict[str, Any]) -> WordNetwork:
        import transformers

        model_type = transformers.AutoConfig.from_pretrained(**source).model_type
        if model_type != "clip":
            raise WeightsError(f"{origin} is a {model_type}, which has no words; give a clip as owner/name or ./folder")
        network = load_network(transformers.CLIPModel, source)
        preprocess = Preprocessor(transformers.AutoImageProcessor.from_pretrained(**source))
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
        return WordNetwork(f"CLIP {origin}", network, tokenizer, preprocess)

    return load_checkpoint(origin, load)
