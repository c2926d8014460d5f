"""Feature networks of the transformers library: DINOv2 (Oquab et al. 2024) and CLIP (Radford et al. 2021).

    network = dinov2()                                  # the checkpoint of published distances (Stein et al. 2023)
    network = clip("openai/clip-vit-base-patch32")      # another one of the hub, or ./folder

A whole image is resized to the square that the network was trained on; nothing is cut off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dissectreport.checkpoints.catalogue import entries
from dissectreport.errors import WeightsError
from dissectreport.segmenters.hub import Checkpoint, Prepared, identity, network_of, opened

CATALOGUE = Path(__file__).parent / "zoo.toml"


class HubFeatures:
    """What a network of transformers sees in whole images."""

    published = True

    def __init__(self, name: str, network: Any, dimension: int, prepared: Prepared) -> None:
        self.name, self.network, self.dimension, self.prepared = name, network, dimension, prepared
        self.identity = f"features {identity(network, prepared)}"

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, dimension), differentiable: the network's word for the whole image."""
        found = self.network(pixel_values=self.prepared(images))
        whole: Tensor = found.image_embeds if "image_embeds" in found else found.pooler_output
        return whole

    def to(self, device: torch.device) -> HubFeatures:
        """The same features on `device`; the network itself moves."""
        self.network.to(device)
        return self


def dinov2(checkpoint: str = "") -> HubFeatures:
    """The features of a DINOv2: a repository of the hub ("owner/name", "owner/name@revision") or a folder."""
    return _load("dinov2", "Dinov2Model", "hidden_size", checkpoint)


def clip(checkpoint: str = "") -> HubFeatures:
    """What the image half of a CLIP says of whole images: a repository of the hub or a folder."""
    return _load("clip", "CLIPVisionModelWithProjection", "projection_dim", checkpoint)


def _load(kind: str, family: str, dimension: str, checkpoint: str) -> HubFeatures:
    place = Checkpoint.of(checkpoint or str(entries(CATALOGUE)[kind].more["hub"]))

    def load(where: dict[str, Any]) -> HubFeatures:
        import transformers

        found = transformers.AutoConfig.from_pretrained(**where).model_type
        if not found.startswith(kind):
            raise WeightsError(f"{place} is a {found}, not a {kind}; write {kind}:owner/name or {kind}:./folder of one")
        network = network_of(getattr(transformers, family), where)
        prepared = Prepared(transformers.AutoImageProcessor.from_pretrained(**where))
        return HubFeatures(f"features of {kind} {place}", network, getattr(network.config, dimension), prepared)

    return opened(place, load)
