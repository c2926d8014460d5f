"""The identity of a network: a string that changes with its structure or its weights."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import nn

from dissectreport.errors import ModelError


def identity_of(module: nn.Module) -> str:
    """The class of the network and the SHA-256 of its structure and its tensors: names, types, shapes and bytes.

    Raises a ModelError for a tensor without content.
    """
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted({**dict(module.named_buffers()), **module.state_dict()}.items()):
        if not isinstance(value, torch.Tensor):  # what a module keeps beside its tensors
            plain = json.dumps(value, sort_keys=True, default=lambda other: type(other).__name__)
            digest.update(f"{name} {plain}\n".encode())
            continue
        if value.is_meta:
            raise ModelError(
                f"{name} of {type(module).__name__} has no content: it was made on the device meta; make the network on"
                " the CPU"
            )
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return f"{type(module).__name__}-{digest.hexdigest()}"
