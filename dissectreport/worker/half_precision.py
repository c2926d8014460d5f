"""Whether bfloat16 helps on this machine, and whether labels stay the same in it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dissectreport.errors import ModelError, SegmenterError
from dissectreport.run.plan import InterventionKey
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.finite_images import with_finite_images
from dissectreport.worker.loaded_networks import Source


def half_is_fast(device: str) -> bool:
    """Whether the device multiplies tiles of bfloat16: a GPU with tensor cores for it, or a processor with AMX.

    A processor's vector instructions alone (AVX-512 BF16) do not help: passes took half as long again with them as in
    float32.
    """
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device == "cpu" and ask is not None and bool(ask())


def half_agrees(source: Source, key: InterventionKey) -> float:
    """Share of pixels to which bfloat16 gives the same labels as float32, over a few images; 0 where it fails."""

    networks = source.models()

    def labels(precision: Precision) -> Tensor:
        model = EditedModel(networks, replace(key, precision=precision))
        at = model.open(key.selection_seed, 0, EDIT_BATCH)
        return model.labels_at(at, at.activations)

    whole = with_finite_images(networks, lambda: labels(Precision.FLOAT32))
    try:
        return float((whole == labels(Precision.BFLOAT16)).float().mean())
    except (ModelError, SegmenterError):  # Some operations do not support bfloat16.
        return 0.0
