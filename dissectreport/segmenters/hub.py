"""Checkpoints of the transformers library, from its hub or from a folder, and their images prepared with gradients.

    checkpoint = Checkpoint.of("nvidia/segformer-b0-finetuned-ade-512-512@main")
    network, prepared = opened(checkpoint, lambda where: (…from_pretrained(**where), Prepared(…)))

transformers is an optional library: it is imported when a checkpoint is asked for, and never before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.checkpoints.downloads import offline
from dissectreport.checkpoints.telling import say
from dissectreport.errors import DissectReportError, SegmenterError, UnknownName, WeightsError
from dissectreport.networks.identity import identity_of

Answer = TypeVar("Answer")

NEEDED = ("transformers", "scipy")
"""scipy is what the networks that classify masks are built with."""
RESAMPLING = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of what functional.interpolate computes too; for the others bicubic is nearest."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a network lies: a folder, or a repository of the hub and perhaps a revision of it."""

    place: str
    revision: str = ""

    @classmethod
    def of(cls, text: str) -> Checkpoint:
        """The checkpoint that "./folder", "owner/name" or "owner/name@revision" stands for."""
        folder = Path(text).expanduser()
        if folder.is_dir():
            return cls(str(folder))
        if text[:1] in (".", "/", "~"):
            raise UnknownName(f"no checkpoint {text!r}; there is no folder {folder} in {Path.cwd()}")
        place, _, revision = text.partition("@")
        return cls(place, revision)

    @property
    def local(self) -> bool:
        """Whether it is a folder, for which nothing is asked of anybody."""
        return Path(self.place).is_dir()

    def where(self, local_files_only: bool) -> dict[str, Any]:
        """What every from_pretrained is told; code that comes with a checkpoint is never run."""
        found: dict[str, Any] = {"pretrained_model_name_or_path": self.place, "trust_remote_code": False}
        return found | {"revision": self.revision or None, "local_files_only": local_files_only}

    def __str__(self) -> str:
        return f"{self.place}@{self.revision}" if self.revision else self.place


def opened(checkpoint: Checkpoint, load: Callable[[dict[str, Any]], Answer]) -> Answer:
    """What `load` makes of a checkpoint, told where it lies; whatever goes wrong becomes one line.

    A copy in the hub's cache is taken as it is: a run needs no network once it had one, and weights never change
    between two of its processes.
    """
    for name in NEEDED:
        if find_spec(name) is None:
            raise SegmenterError(f"{checkpoint} needs {name}, which is not installed: pip install {' '.join(NEEDED)}")
    with quiet():
        try:
            return load(checkpoint.where(local_files_only=True))
        except DissectReportError:
            raise
        except Exception as problem:
            if checkpoint.local or offline() or not hub_is_found():
                raise WeightsError(refusal(checkpoint, problem)) from problem
        say(f"fetching {checkpoint} from huggingface.co; later runs find it in its cache")
        try:
            return load(checkpoint.where(local_files_only=False))
        except DissectReportError:
            raise
        except Exception as problem:
            raise WeightsError(refusal(checkpoint, problem)) from problem


def hub_is_found() -> bool:
    """Whether the hub's name leads anywhere: its library would try for half a minute. A proxy knows for itself."""
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or ""
    if getproxies():
        return True
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is said about weights that load as they should; downloads still show how far they are."""
    # Asking the hub's robot to convert old weights would publish a request in the reader's name.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    with no_bars(), no_words(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def no_bars() -> Iterator[None]:
    """The bars of transformers are off, which pass in a moment; those of the hub, which may take minutes, stay."""
    from huggingface_hub.utils import enable_progress_bars
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


@contextmanager
def no_words() -> Iterator[None]:
    """Both libraries log errors alone."""
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def refusal(checkpoint: Checkpoint, problem: BaseException) -> str:
    """That a checkpoint did not load, why, and what would do, in one line."""
    return f"checkpoint {checkpoint} cannot be loaded: {reason(checkpoint, problem)}"


def reason(checkpoint: Checkpoint, problem: BaseException) -> str:
    """Why a checkpoint did not load, and what would do."""
    place, page = checkpoint.place, f"https://huggingface.co/{checkpoint.place}"
    known = {
        "GatedRepoError": f"it is gated; ask for access on {page}, then run hf auth login",
        "RepositoryNotFoundError": "the hub has none of this name, or it is private (hf auth login); "
        "a folder is given as ./folder",
        "RevisionNotFoundError": f"it has no revision {checkpoint.revision!r}; {page} lists them",
        "HFValidationError": f"{place!r} is neither a folder nor owner/name on the hub",
        "OfflineModeIsEnabled": UNREACHABLE,
        "LocalEntryNotFoundError": UNREACHABLE,
        "ConnectError": UNREACHABLE,
    }
    for error in chain(problem):
        for name in (kind.__name__ for kind in type(error).__mro__):
            if name in known:
                return known[name]
    said = " ".join(str(problem).split())
    plain = next((words for part, words in SAID.items() if part in said), "")
    return plain or f"{type(problem).__name__}: {said}"


UNREACHABLE = (
    "its hub cannot be reached, or --offline or HF_HUB_OFFLINE forbids it, and the hub's cache has no copy; connect "
    "once, or copy the checkpoint into a folder and give ./folder; the segmenters scenes and colour need neither"
)


SAID = {
    "trust_remote_code": "it comes with code of its own, which is never run; take one that transformers has itself",
    "Unrecognized model": "it has no config.json with a model_type that transformers knows",
    "image processor": "it has no preprocessor_config.json, which says how images are prepared",
    "requires the Torchvision": "transformers before 5.23 needs torchvision; pip install --upgrade transformers",
    "ignore_mismatched_sizes": "its weights do not fit its config.json",
}
"""Plain words for what transformers says at length."""


def chain(problem: BaseException | None) -> Iterator[BaseException]:
    """An error, the one that it came from, and so on."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def network_of(family: Any, where: Mapping[str, Any]) -> Any:
    """The network of a class of transformers with all of its weights, in float32, for use alone.

    safetensors where the checkpoint has them, else PyTorch's own files, of which only tensors are read.
    """
    network, told = family.from_pretrained(**where, dtype=torch.float32, weights_only=True, output_loading_info=True)
    missing = sorted(name for name in told["missing_keys"] if not name.startswith("auxiliary_head."))
    if missing:
        raise WeightsError(
            f"{where['pretrained_model_name_or_path']} has no weights for {missing[0]} and {len(missing) - 1} more of "
            f"{type(network).__name__}: it was not trained to segment; take a checkpoint that was"
        )
    return network.eval().requires_grad_(False)


def identity(network: Any, prepared: Prepared, *settings: object) -> str:
    """A word that changes with a network's weights and all else that its numbers depend on."""
    config = {name: value for name, value in network.config.to_dict().items() if name not in UNIMPORTANT}
    told = json.dumps([config, prepared.settings, settings], sort_keys=True, default=str)
    digest = hashlib.sha256(told.encode()).hexdigest()
    return f"{identity_of(network)} {digest[:16]} transformers {version('transformers')}"


UNIMPORTANT = ("_name_or_path", "architectures", "transformers_version", "dtype")
"""What a configuration tells of where it comes from."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images as a checkpoint wants them, by the settings of its own image processor, and with gradients.

    The processor itself works on files through Pillow, so it is asked for sizes only. Where it would cut off a border,
    all of the image is resized instead: pixels of the border are concepts too.
    """

    processor: Any
    """An image processor of transformers."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What it wants to be told besides the image."""
    sizes: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Sizes that it was asked for."""

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 3, h', w') as the network wants them."""
        settings = self.settings
        pixels = self.resized((images.float().clamp(-1, 1) + 1) * 127.5)
        if settings["do_flip_channel_order"]:
            pixels = pixels.flip(1)
        if settings["do_rescale"]:
            pixels = pixels * settings["rescale_factor"]
        if settings["do_normalize"]:
            mean, deviation = (pixels.new_tensor(settings[name])[:, None, None] for name in ("image_mean", "image_std"))
            pixels = (pixels - mean) / deviation
        return pixels

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are used, as plain values."""
        names = ("do_flip_channel_order", "do_rescale", "rescale_factor", "do_normalize")
        found = {name: getattr(self.processor, name, None) for name in names}
        means = {name: list(getattr(self.processor, name, None) or []) for name in ("image_mean", "image_std")}
        return found | means | {"mode": RESAMPLING.get(int(getattr(self.processor, "resample", None) or 0), "bicubic")}

    def resized(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) in [0, 255] at the size that the processor gives images of this size."""
        size = self.size((pixels.shape[2], pixels.shape[3]))
        if tuple(pixels.shape[2:]) == size:
            return pixels
        mode = self.settings["mode"]
        return functional.interpolate(pixels, size, mode=mode, antialias=mode != "nearest-exact").clamp(0, 255)

    def size(self, given: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what the processor makes of an image of this height and width."""
        if given not in self.sizes:
            empty = np.zeros((*given, 3), np.uint8)
            height, width = self.processor(images=empty, return_tensors="pt", **self.asked)["pixel_values"].shape[-2:]
            self.sizes[given] = (int(height), int(width))
        return self.sizes[given]


def within(side: int, given: tuple[int, int]) -> tuple[int, int]:
    """The height and width of an image, made smaller where the longer is above `side`."""
    scale = min(1.0, side / max(given))
    height, width = (max(1, round(length * scale)) for length in given)
    return height, width
