"""Which precision training computes in."""

from __future__ import annotations

import torch


def mixed_precision() -> torch.autocast:
    """Autocast to bfloat16 where the processor has instructions for it; elsewhere it takes eight times as long."""
    supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast("cpu", torch.bfloat16, enabled=supported)
