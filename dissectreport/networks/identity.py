"""One word for a network, which changes whenever its structure or its weights do."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def identity_of(module: nn.Module) -> str:
    """The class of the network and the SHA-256 of its structure and its tensors: names, types, shapes and bytes."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted({**dict(module.named_buffers()), **module.state_dict()}.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return f"{type(module).__name__}-{digest.hexdigest()}"
