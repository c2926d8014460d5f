"""Feature networks of the transformers library: DINOv2 (Oquab et al. 2024) and CLIP (Radford et al. 2021).

    network = dinov2()                                  # the checkpoint of Stein et al. (2023)
    network = clip("openai/clip-vit-base-patch32")      # another checkpoint of the hub, or ./folder

Whole images are resized to the square size of the network; nothing is cropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.errors import WeightsError
from dissectreport.segmenters.hub import HubCheckpoint, Preprocessor, identity, load_checkpoint, load_network

CATALOGUE = Path(__file__).parent / "catalogue.toml"


class HubFeatures:
    """The features of a network of transformers for whole images."""

    published = True

    def __init__(self, name: str, network: Any, dimension: int, preprocess: Preprocessor) -> None:
        self.name, self.network, self.dimension, self.preprocess = name, network, dimension, preprocess
        self.identity = f"features {identity(network, preprocess)}"

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, dimension) pooled output or image embedding, differentiable."""
        output = self.network(pixel_values=self.preprocess(images))
        features: Tensor = output.image_embeds if "image_embeds" in output else output.pooler_output
        return features

    def to(self, device: torch.device) -> HubFeatures:
        """The same features on `device`; the network itself is moved."""
        self.network.to(device)
        return self


def dinov2(checkpoint: str = "") -> HubFeatures:
    """The features of DINOv2; `checkpoint` is a repository ("owner/name", "owner/name@revision") or a folder."""
    return _load("dinov2", "Dinov2Model", "hidden_size", checkpoint)


def clip(checkpoint: str = "") -> HubFeatures:
    """The image embeddings of CLIP; `checkpoint` is a repository or a folder."""
    return _load("clip", "CLIPVisionModelWithProjection", "projection_dim", checkpoint)


def _load(kind: str, family: str, dimension: str, checkpoint: str) -> HubFeatures:
    origin = HubCheckpoint.of(checkpoint or str(read_catalogue(CATALOGUE)[kind].extra["hub"]))

    def load(source: dict[str, Any]) -> HubFeatures:
        import transformers

        model_type = transformers.AutoConfig.from_pretrained(**source).model_type
        if not model_type.startswith(kind):
            raise WeightsError(
                f"{origin} is a {model_type}, not a {kind}; give a {kind} as {kind}:owner/name or {kind}:./folder"
            )
        network = load_network(getattr(transformers, family), source)
        preprocess = Preprocessor(transformers.AutoImageProcessor.from_pretrained(**source))
        return HubFeatures(f"features of {kind} {origin}", network, getattr(network.config, dimension), preprocess)

    return load_checkpoint(origin, load)
