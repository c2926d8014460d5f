"""The naming schemes of Progressive GAN weights, and their conversion to the current one.

    current     layer1.conv.weight, layer1.wscale.b … output_256x256.conv.weight (GAN Dissection)
    older       features.0.conv.weight, features.0.wscale.b … output.conv.weight; wscale.scale is a constant
    TensorFlow  4x4/Dense/weight, 8x8/Conv0_up/bias … ToRGB_lod0/weight (Karras et al., exported as arrays)

Each may be in a table `state_dict`, and names may have a prefix such as `module.`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from dissectreport.checkpoints.weight_files import tensors_of
from dissectreport.errors import WeightsError

FIRST = ("layer1.conv.weight", "features.0.conv.weight", "4x4/Dense/weight")
"""The tensor by which each scheme is recognised."""
TRAINING_ONLY = re.compile(r"lod|ToRGB_lod[1-9]\d*/(weight|bias)")
"""TensorFlow's variables that are used only while training at lower resolutions."""
TENSORFLOW = re.compile(r"(\d+)x\1/(Dense|Conv|Conv0_up|Conv0|Conv1)/(weight|bias)")


def resolution_of(sizes: Sequence[int]) -> int:
    """Image size of a generator with these channels: of the latent, then of each resolution from 4x4 on."""
    return int(2 ** len(sizes))


def output_name(sizes: Sequence[int]) -> str:
    """The name of the last child: output_RxR."""
    return f"output_{resolution_of(sizes)}x{resolution_of(sizes)}"


def one_network(content: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of the only Progressive GAN in a file, without their common prefix.

    Tensors with another prefix belong to other networks, and are dropped.
    """
    tensors = {name.removesuffix(":0"): value for name, value in tensors_of(content).items()}
    prefixes = {name.removesuffix(first) for name in tensors for first in FIRST if name.endswith(first)}
    if not prefixes:
        raise WeightsError(f"not a Progressive GAN: it has no tensor {' or '.join(FIRST)}")
    if len(prefixes) > 1:
        raise WeightsError(
            f"these weights belong to several Progressive GANs, named {' and '.join(map(repr, sorted(prefixes)))}; "
            "keep the tensors of one (in files of Karras et al., Gs makes the best images)"
        )
    (prefix,) = prefixes
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def with_current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with current names, in the layout of convolutions, without the constant `wscale.scale`."""
    if FIRST[2] in tensors:
        return _from_tensorflow(tensors)
    if FIRST[1] in tensors:
        return _from_older(tensors)
    return dict(tensors)


def _from_older(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    count = sum(bool(re.fullmatch(r"features\.\d+\.conv\.weight", name)) for name in tensors)
    output = output_name(range(count // 2 + 1))
    kept = {name: value for name, value in tensors.items() if not name.endswith("wscale.scale")}
    return {_from_older_name(name, output): value for name, value in kept.items()}


def _from_older_name(name: str, output: str) -> str:
    if numbered := re.fullmatch(r"features\.(\d+)\.(.+)", name):
        return f"layer{int(numbered[1]) + 1}.{numbered[2]}"
    return re.sub(r"^output\.", f"{output}.", name)


def _from_tensorflow(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = {name: value for name, value in tensors.items() if not TRAINING_ONLY.fullmatch(name)}
    resolution = max(int(match[1]) for name in kept if (match := TENSORFLOW.fullmatch(name)))
    return {
        _from_tensorflow_name(name, resolution): _as_convolution(name, value) if name.endswith("/weight") else value
        for name, value in kept.items()
    }


def _from_tensorflow_name(name: str, resolution: int) -> str:
    scope, _, kind = name.rpartition("/")
    kind = {"weight": "conv.weight", "bias": "wscale.b"}.get(kind, kind)
    if scope == "ToRGB_lod0":
        return f"output_{resolution}x{resolution}.{kind}"
    if not (match := TENSORFLOW.fullmatch(name)):
        return name
    second = 0 if match[2] in ("Dense", "Conv0", "Conv0_up") else 1
    return f"layer{2 * int(match[1]).bit_length() - 5 + second}.{kind}"


def _as_convolution(name: str, value: Tensor) -> Tensor:
    """A weight of TensorFlow, of shape (in, 16 * out), (h, w, out, in) or (h, w, in, out), as (out, in, h, w)."""
    axes = 2 if "/Dense/" in name else 4
    if value.dim() != axes or (axes == 2 and value.shape[1] % 16):
        raise WeightsError(f"{name} has shape {tuple(value.shape)}; it should have {axes} axes")
    if axes == 2:  # A linear map to 4 x 4 pixels equals a padded, flipped 4x4 convolution.
        return value.view(value.shape[0], -1, 4, 4).permute(1, 0, 2, 3).flip(2, 3).contiguous()
    if "/Conv0_up/" in name:  # The weight of a transposed convolution.
        return value.permute(2, 3, 0, 1).flip(2, 3).contiguous()
    return value.permute(3, 2, 0, 1).contiguous()


def sizes_of(tensors: Mapping[str, Tensor], name: str = "layer{}.conv.weight", first: int = 1) -> tuple[int, ...]:
    """The channels of the generator with these weights: of the latent, then of each resolution from 4x4 on.

    The weights of blocks are called `name`, numbered from `first` on.
    """
    pattern = re.escape(name).replace(r"\{\}", r"(\d+)")
    numbers = sorted(int(match[1]) for key in tensors if (match := re.fullmatch(pattern, key)))
    expected = range(first, first + len(numbers) + len(numbers) % 2)
    missing = [number for number in expected if number not in numbers]
    if missing:
        raise WeightsError(f"these weights do not fit a Progressive GAN: {name.format(missing[0])} is missing")
    weights = {number: tensors[name.format(number)] for number in numbers}
    for number, weight in weights.items():
        if weight.dim() != 4:
            raise WeightsError(f"{name.format(number)} has shape {tuple(weight.shape)}; it should have four axes")
    return (int(weights[first].shape[1]), *(int(weights[number].shape[0]) for number in expected[::2]))
