"""Writes weights with the card that describes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_safetensors
from torch import Tensor


def write_weights(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write the tensors in half precision to `path`, and the card, with their SHA-256, beside them."""
    halved = {key: value.half().contiguous() if value.is_floating_point() else value for key, value in tensors.items()}
    content = to_safetensors(halved)
    described = {**card, "licence": "MIT", "sha256": hashlib.sha256(content).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content)
    _replace(path.with_suffix(".json"), (json.dumps(described, indent=2) + "\n").encode())


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
