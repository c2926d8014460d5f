"""Lines of a description that are inferred from a network by running it: what it takes, and where its images are.

latent_line(network)        # "latent = [100, 1, 1] (main.0 takes 100 channels; with it the network runs)"
output_line(returned)       # "output = { take = 'image' } (it has three channels, and is larger than the others)"
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dissectreport.errors import check_machine, counted

SIZES = ("z_dim", "latent_dim", "latent_size", "nz", "dim_z", "z_size", "noise_dim", "style_dim", "input_dim")
"""Attributes in which networks keep the length of their latent."""
MOST = 12
"""Latents that are tried, at most."""
LARGEST = 65_536
"""The largest latent that is tried."""
BYTE = 255.0


class Trial(NamedTuple):
    """A latent that may be what a network takes."""

    shape: tuple[int, ...]
    why: str
    classes: int = 0
    """Classes of a label after the latent; 0 for none."""
    encoding: str = ""


def latent_line(network: nn.Module) -> str:
    """The line with a latent with which a network runs and returns images, and why; '' if none was found."""
    for trial in list(_trials(network))[:MOST]:
        returned = _returned(network, trial)
        image = _image_in(returned)
        if image is None:
            continue
        size = f"with it the network makes images of {image.shape[2]} x {image.shape[3]}"
        also = output_line(returned)
        return f"{_line_of(trial)} ({trial.why}; {size})" + (f" and {also}" if also else "")
    return ""


def _line_of(trial: Trial) -> str:
    """A trial as a line of a description."""
    shape = str(trial.shape[0]) if len(trial.shape) == 1 else str(list(trial.shape))
    if not trial.classes:
        return f"latent = {shape}"
    label = f'{{ classes = {trial.classes}, encoding = "{trial.encoding}" }}'
    return f"inputs = [{{ shape = {list(trial.shape)} }}, {label}]"


def _trials(network: nn.Module) -> Iterator[Trial]:
    """Latents that a network's attributes and first layers suggest, the surest first."""
    arguments = _required_arguments(network)
    labels = list(_labels(network)) if arguments == 2 else [(0, "")]
    for shape, why in dict(_shapes(network)).items():
        for classes, encoding in labels:
            # Labels may be joined to the latent before the first layer.
            lengths = [shape[0], shape[0] - classes] if classes else [shape[0]]
            for length in lengths:
                if 0 < length <= LARGEST:
                    yield Trial((length, *shape[1:]), why, classes, encoding)


def _shapes(network: nn.Module) -> Iterator[tuple[tuple[int, ...], str]]:
    """Shapes of a latent, and why."""
    for name in SIZES:
        size = getattr(network, name, None)
        if isinstance(size, int) and not isinstance(size, bool):
            yield (size,), f"{name} is {size}"
            yield (size, 1, 1), f"{name} is {size}"
    layers = [(name, part) for name, part in network.named_modules() if not list(part.children())]
    for name, part in [(name, part) for name, part in layers if hasattr(part, "weight")][:2]:
        if isinstance(part, nn.Linear):
            yield (part.in_features,), f"{name} takes {part.in_features} numbers"
        elif isinstance(part, nn.ConvTranspose2d | nn.Conv2d):
            yield (part.in_channels, 1, 1), f"{name} takes {part.in_channels} channels"
            yield (part.in_channels,), f"{name} takes {part.in_channels} channels"
            yield (part.in_channels, 4, 4), f"{name} takes {part.in_channels} channels"


def _labels(network: nn.Module) -> Iterator[tuple[int, str]]:
    """Numbers of classes that a network's attributes and embeddings suggest, and how it takes them."""
    for part in network.modules():
        if isinstance(part, nn.Embedding):
            yield part.num_embeddings, "index"
    for name in ("num_classes", "n_classes", "classes", "c_dim", "n_class"):
        size = getattr(network, name, None)
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            yield size, "one-hot"


def _required_arguments(network: nn.Module) -> int:
    """How many arguments a network's forward needs."""
    try:
        parameters = list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is inspect.Parameter.empty and p.kind in kinds for p in parameters)


def _returned(network: nn.Module, trial: Trial) -> object:
    """What a network returns for two latents; None if it fails."""
    random = torch.Generator().manual_seed(0)
    arguments = [torch.randn(2, *trial.shape, generator=random)]
    if trial.classes:
        numbers = torch.zeros(2, dtype=torch.int64)
        one_hot = nn.functional.one_hot(numbers, trial.classes).float()
        arguments.append(numbers if trial.encoding == "index" else one_hot)
    was_training = network.training
    try:
        with torch.no_grad():
            returned: object = network.eval()(*arguments)
            return returned
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # A network may fail in any way on what it does not take.
        check_machine(problem)
        return None
    finally:
        network.train(was_training)


def _image_in(returned: object) -> Tensor | None:
    """The image in what a network returns: the largest map of one, three or four channels."""
    return next((value for _, value in _images_in(returned)), None)


def _images_in(returned: object) -> list[tuple[str | int | None, Tensor]]:
    """The images in what a network returns, the largest first, with their keys."""
    parts: list[tuple[str | int | None, Any]]
    if isinstance(returned, Mapping):
        parts = [(key, value) for key, value in returned.items() if isinstance(key, str)]
    elif isinstance(returned, Sequence) and not isinstance(returned, str):
        parts = list(enumerate(returned))
    else:
        parts = [(None, returned)]
    images = [(key, value) for key, value in parts if isinstance(value, Tensor) and value.ndim == 4]
    coloured = [(key, value) for key, value in images if value.shape[1] in (1, 3, 4) and min(value.shape[2:]) > 1]
    return sorted(coloured, key=lambda pair: (-pair[1].shape[2] * pair[1].shape[3], pair[1].shape[1] != 3))


def output_line(returned: object) -> str:
    """The line of a description that takes the images from what a network returns, and why; '' if none is needed."""
    images = [(key, image) for key, image in _images_in(returned) if image.numel() and not image.is_meta]
    if not images:
        return ""
    key, image = images[0]
    settings, reasons = [], []
    if key is not None:
        settings.append(f"take = {key!r}")
        reasons.append(f"it has {counted(image.shape[1], 'channel')} of {image.shape[2]} x {image.shape[3]}")
    if image.shape[1] != 3:
        settings.append(f"channels = {[0, 0, 0] if image.shape[1] == 1 else [0, 1, 2]}")
        reasons.append("it is grey" if image.shape[1] == 1 else "its fourth channel is no colour")
    low, high = float(image.min()), float(image.max())
    if low >= 0 and high > 1:
        settings.append("range = [0, 255]" if high > BYTE / 10 else "range = [0, 1]")
        reasons.append(f"its pixels lie from {low:.3g} to {high:.3g}")
    elif 0 <= low < high:
        settings.append("range = [0, 1]")
        reasons.append("none of its pixels is below 0")
    return f"output = {{ {', '.join(settings)} }} ({', '.join(reasons)})" if settings else ""
