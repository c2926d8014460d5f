"""Moving averages that are kept as a list without names: as programs of FastGAN, torch_ema and diffusers do.

named_averages({"G": {"weight": w}, "ema": {"shadow_params": [a]}})      # {"ema.shadow_params": {"weight": a}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from dissectreport.checkpoints.parts import MOST, at

LISTS = ("g_ema", "ema", "shadow_params", "ema.shadow_params", "ema_state_dict.shadow_params", "G_ema.shadow_params")
"""Where programs keep such lists."""
BUFFERS = re.compile(
    r"(.*\.)?(running_(mean|var)s?|num_batches_tracked|noise_const|noise_\d+|resample_filter|(up|down)_filter|kernel"
    r"|w_avg|latent_avg|stored_(mean|var)|accumulation_counter|weight_[uv]|_[uv]|s?[uv]\d+|transform|freqs|phases"
    r"|magnitude_ema)"
)
"""Names of tensors that are no parameters, of which no average is kept."""


def named_averages(
    content: Mapping[str, object], tables: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, dict[str, Tensor]]:
    """The averages in a checkpoint, by part, with the names of the table whose parameters they fit, and its buffers."""
    averages: dict[str, dict[str, Tensor]] = {}
    for part in LISTS:
        values = at(content, part)
        if not isinstance(values, list | tuple) or not 0 < len(values) < MOST:
            continue
        for table in tables.values():
            names = [name for name in table if not BUFFERS.fullmatch(name)]
            if _fit([table[name] for name in names], values):
                averages[part] = {**table, **dict(zip(names, values, strict=True))}
                break
    return averages


def _fit(parameters: list[Tensor], values: list[object] | tuple[object, ...]) -> bool:
    """Whether values are tensors of the shapes of some parameters, in their order."""
    return len(parameters) == len(values) and all(
        isinstance(value, Tensor) and value.shape == parameter.shape
        for parameter, value in zip(parameters, values, strict=True)
    )
