"""CLIP as a network that compares images with words (Radford et al. 2021).

    network = word_network("")                          # the checkpoint of the catalogue
    network = word_network("openai/clip-vit-base-patch32")   # another one, or ./folder
    check_word_network("")                              # whether it can be had, without reading its weights

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


WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files one of which a checkpoint has; those that are preferred come first."""


def word_network(checkpoint: str = "") -> WordNetwork:
    """Both halves of a CLIP; `checkpoint` is a repository ("owner/name", "owner/name@revision") or a folder."""
    origin = _origin(checkpoint)

    def load(source: dict[str, Any]) -> WordNetwork:
        import transformers

        tokenizer, preprocess = _preparation(origin, source)
        return WordNetwork(f"CLIP {origin}", load_network(transformers.CLIPModel, source), tokenizer, preprocess)

    return load_checkpoint(origin, load)


def check_word_network(checkpoint: str = "") -> None:
    """Raise a WeightsError unless a checkpoint is a CLIP whose files are here or can be downloaded.

    Its weights are downloaded where they are missing, but not read.
    """
    origin = _origin(checkpoint)

    def check(source: dict[str, Any]) -> None:
        from transformers.utils import cached_file

        _preparation(origin, source)
        place = source["pretrained_model_name_or_path"]
        options = {key: source[key] for key in ("revision", "local_files_only")}
        quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
        if not any(cached_file(place, name, **options, **quiet) for name in WEIGHTS):
            raise OSError(f"it has no file of weights ({', '.join(WEIGHTS)})")

    load_checkpoint(origin, check)


def _origin(checkpoint: str) -> HubCheckpoint:
    return HubCheckpoint.of(checkpoint or str(read_catalogue(CATALOGUE)["clip"].extra["hub"]))


def _preparation(origin: HubCheckpoint, source: dict[str, Any]) -> tuple[Any, Preprocessor]:
    """The tokenizer and the preprocessing of images of a checkpoint, which must be a CLIP."""
    import transformers

    model_type = transformers.AutoConfig.from_pretrained(**source).model_type
    if model_type != "clip":
        raise WeightsError(
            f"{origin} is a {model_type}, which knows no words; give a CLIP network as owner/name or ./folder"
        )
    preprocess = Preprocessor(transformers.AutoImageProcessor.from_pretrained(**source))
    return transformers.AutoTokenizer.from_pretrained(**source), preprocess
