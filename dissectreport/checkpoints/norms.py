"""Weight norm and spectral norm, taken out of a state dict: what remains are the weights that a network computes with.

    plain_weights({"0.weight_g": g, "0.weight_v": v})["0.weight"]     # g v / ‖v‖
    plain_weights({"0.weight_orig": w, "0.weight_u": u, "0.weight_v": v})["0.weight"]     # w / (u · w v)

Both forms of torch's names are known: those of torch.nn.utils, and those of torch.nn.utils.parametrizations.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dissectreport.checkpoints.names import common_name

NORMED = ("_orig", "_g")
"""Ends of the names of tensors that a norm turns into a weight."""
HELPERS = ("_u", "_v")
CLEARLY = 1.2
"""How many times as large the spectral norm of the other order must be."""


def plain_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with float32 weights in place of the tensors of norms; those that fit no norm stay."""
    named = {common_name(name): value for name, value in tensors.items()}
    if len(named) != len(tensors) or not any(name.endswith(NORMED) for name in named):
        return dict(tensors)
    plain: dict[str, Tensor] = {}
    for name, value in named.items():
        if (weight := _normed(name, named)) is not None:
            plain[name.removesuffix("_orig").removesuffix("_g")] = weight
        elif not _belongs_to_a_norm(name, named):
            plain[name] = value
    return plain


def _belongs_to_a_norm(name: str, named: Mapping[str, Tensor]) -> bool:
    """Whether a tensor only helps to compute a weight."""
    if not name.endswith(HELPERS):
        return False
    return any(_normed(f"{name[:-2]}{end}", named) is not None for end in NORMED)


def _normed(name: str, named: Mapping[str, Tensor]) -> Tensor | None:
    """The weight that a norm computes from a tensor and its helpers; None if they do not fit."""
    value, direction = named.get(name), named.get(f"{name[: name.rfind('_')]}_v")
    if value is None or direction is None or not name.endswith(NORMED):
        return None
    if name.endswith("_g"):
        return _weight_norm(value.float(), direction.float())
    u = named.get(f"{name.removesuffix('_orig')}_u")
    return None if u is None else _spectral_norm(value.float(), u.float().flatten(), direction.float().flatten())


def _weight_norm(size: Tensor, direction: Tensor) -> Tensor | None:
    """The direction with this size, along the axes in which the size has more than one number."""
    if size.ndim not in (0, direction.ndim):
        return None
    axes = tuple(axis for axis in range(direction.ndim) if not size.ndim or size.shape[axis] == 1)
    fits = all(not size.ndim or size.shape[axis] in (1, direction.shape[axis]) for axis in range(direction.ndim))
    return size * direction / direction.square().sum(axes, keepdim=True).sqrt() if fits else None


def _spectral_norm(weight: Tensor, u: Tensor, v: Tensor) -> Tensor | None:
    """The weight by its largest singular value, as the stored vectors give it.

    Transposed convolutions have their outputs second. Where both orders fit, it is taken for one of them only if the
    value is then clearly larger: vectors that were not made for an order give a small value.
    """
    orders = [weight.flatten(1)] + ([weight.transpose(0, 1).flatten(1)] if weight.ndim > 2 else [])
    values = [u @ rows @ v for rows in orders if (len(u), len(v)) == tuple(rows.shape)]
    if not values:
        return None
    return weight / (values[-1] if values[-1] > CLEARLY * values[0] else values[0])
