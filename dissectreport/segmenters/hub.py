"""Checkpoints of the transformers library, from the Hugging Face hub or a folder, and differentiable preprocessing.

    checkpoint = HubCheckpoint.of("nvidia/segformer-b0-finetuned-ade-512-512@main")
    network, preprocess = load_checkpoint(checkpoint, lambda source: (…from_pretrained(**source), Preprocessor(…)))

transformers is optional: it is imported only when a checkpoint is loaded.
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
from dissectreport.checkpoints.reporting import say
from dissectreport.errors import DissectReportError, SegmenterError, UnknownName, WeightsError, check_machine
from dissectreport.networks.identity import identity_of

Answer = TypeVar("Answer")

NEEDED = ("transformers", "scipy")
"""Networks that classify masks need scipy."""
RESAMPLING = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
"""Pillow's filters that functional.interpolate has too; others are replaced by bicubic."""


@dataclass(frozen=True)
class HubCheckpoint:
    """A folder, or a repository of the hub and optionally a revision of it."""

    place: str
    revision: str = ""

    @classmethod
    def of(cls, text: str) -> HubCheckpoint:
        """The checkpoint of "./folder", "owner/name" or "owner/name@revision"."""
        folder = Path(text).expanduser()
        if folder.is_dir():
            return cls(str(folder))
        if text[:1] in (".", "/", "~"):
            raise UnknownName(f"no checkpoint {text!r}; there is no folder {folder} in {Path.cwd()}")
        place, _, revision = text.partition("@")
        return cls(place, revision)

    @property
    def local(self) -> bool:
        """Whether it is a folder, which needs no network."""
        return Path(self.place).is_dir()

    def source(self, local_files_only: bool) -> dict[str, Any]:
        """Keyword arguments for from_pretrained; code in a checkpoint is never run."""
        source: dict[str, Any] = {"pretrained_model_name_or_path": self.place, "trust_remote_code": False}
        return source | {"revision": self.revision or None, "local_files_only": local_files_only}

    def __str__(self) -> str:
        return f"{self.place}@{self.revision}" if self.revision else self.place


def load_checkpoint(checkpoint: HubCheckpoint, load: Callable[[dict[str, Any]], Answer]) -> Answer:
    """The result of `load`, which gets the keyword arguments for from_pretrained; any failure becomes one line.

    A copy in the hub's cache is used without asking the hub for a newer one. So later runs need no network, and all
    processes of a run use the same weights.
    """
    for name in NEEDED:
        if find_spec(name) is None:
            raise SegmenterError(f"{checkpoint} needs {name}, which is not installed: pip install {' '.join(NEEDED)}")
    with quiet():
        try:
            return load(checkpoint.source(local_files_only=True))
        except DissectReportError:
            raise
        except Exception as problem:
            check_machine(problem)
            if checkpoint.local or offline() or not hub_resolves():
                raise WeightsError(failure(checkpoint, problem)) from problem
        say(f"downloading {checkpoint} from huggingface.co; later runs find it in its cache")
        try:
            return load(checkpoint.source(local_files_only=False))
        except DissectReportError:
            raise
        except Exception as problem:
            check_machine(problem)
            raise WeightsError(failure(checkpoint, problem)) from problem


def is_downloaded(place: str) -> bool:
    """Whether a checkpoint of the hub can be loaded without downloading anything."""
    if any(find_spec(name) is None for name in NEEDED):
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(place, "config.json"), str)


def hub_resolves() -> bool:
    """Whether the hub's host name can be resolved; its library would retry for half a minute. True with a proxy."""
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
    """Suppress messages about weights that load correctly; downloads still show progress."""
    # Otherwise the library opens a public request for conversion in the user's name.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    with without_loading_bars(), errors_only(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def without_loading_bars() -> Iterator[None]:
    """Switch off the short progress bars of transformers, but not those of the hub's downloads."""
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
def errors_only() -> Iterator[None]:
    """Both libraries log errors only."""
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def failure(checkpoint: HubCheckpoint, problem: BaseException) -> str:
    """One line: the checkpoint, why it cannot be loaded, and what to do."""
    return f"checkpoint {checkpoint} cannot be loaded: {reason(checkpoint, problem)}"


def reason(checkpoint: HubCheckpoint, problem: BaseException) -> str:
    """Why a checkpoint cannot be loaded, and what to do."""
    place, page = checkpoint.place, f"https://huggingface.co/{checkpoint.place}"
    known = {
        "GatedRepoError": f"it is gated; ask for access on {page}, then run hf auth login",
        "RepositoryNotFoundError": "the hub has no such repository, or it is private (hf auth login); "
        "write a folder as ./folder",
        "RevisionNotFoundError": f"it has no revision {checkpoint.revision!r}; {page} lists them",
        "HFValidationError": f"{place!r} is neither a folder nor owner/name on the hub",
        "OfflineModeIsEnabled": UNREACHABLE,
        "LocalEntryNotFoundError": UNREACHABLE,
        "ConnectError": UNREACHABLE,
    }
    for error in causes(problem):
        for name in (kind.__name__ for kind in type(error).__mro__):
            if name in known:
                return known[name]
    message = " ".join(str(problem).split())
    plain = next((words for part, words in PLAIN_WORDS.items() if part in message), "")
    return plain or f"{type(problem).__name__}: {message}"


UNREACHABLE = (
    "the hub cannot be reached, or --offline or HF_HUB_OFFLINE forbids it, and the hub's cache has no copy; connect "
    "once, or copy the checkpoint into a folder and give ./folder; the segmenters scenes and colour need neither"
)


PLAIN_WORDS = {
    "trust_remote_code": "it contains code, which is never run; choose one of a kind that is part of transformers",
    "Unrecognized model": "it has no config.json with a model_type that transformers knows",
    "image processor": "it has no preprocessor_config.json, which says how images are prepared",
    "requires the Torchvision": "transformers before 5.23 needs torchvision; pip install --upgrade transformers",
    "ignore_mismatched_sizes": "its weights do not fit its config.json",
}
"""Short explanations of messages of transformers, by a part of the message."""


def causes(problem: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, the cause of that, and so on."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def load_network(family: Any, source: Mapping[str, Any]) -> Any:
    """The network of a class of transformers with all its weights, in float32 and evaluation mode.

    safetensors files are preferred; of PyTorch's own files only tensors are read.
    """
    network, loading = family.from_pretrained(
        **source, dtype=torch.float32, weights_only=True, output_loading_info=True
    )
    missing = sorted(name for name in loading["missing_keys"] if not name.startswith("auxiliary_head."))
    if missing:
        raise WeightsError(
            f"{source['pretrained_model_name_or_path']} has no weights for {missing[0]} and {len(missing) - 1} more of "
            f"{type(network).__name__}: it was not trained to segment; choose a checkpoint that was"
        )
    return network.eval().requires_grad_(False)


def identity(network: Any, preprocess: Preprocessor, *settings: object) -> str:
    """Changes with the weights, the configuration, the preprocessing, `settings`, and the version of transformers."""
    config = {name: value for name, value in network.config.to_dict().items() if name not in UNIMPORTANT}
    parts = json.dumps([config, preprocess.settings, settings], sort_keys=True, default=str)
    digest = hashlib.sha256(parts.encode()).hexdigest()
    return f"{identity_of(network)} {digest[:16]} transformers {version('transformers')}"


UNIMPORTANT = ("_name_or_path", "architectures", "transformers_version", "dtype")
"""Keys of a configuration that do not change what the network computes."""


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """Differentiable preprocessing of images, by the settings of a checkpoint's image processor.

    The processor is not differentiable, so only its sizes are used. Where it would crop, the whole image is
    resized instead, because pixels of the border are labelled too.
    """

    processor: Any
    """An image processor of transformers."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments that it needs."""
    sizes: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Sizes that it gave earlier."""

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 3, h', w') input of the network."""
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
        """The settings that are used, as JSON values."""
        names = ("do_flip_channel_order", "do_rescale", "rescale_factor", "do_normalize")
        switches = {name: getattr(self.processor, name, None) for name in names}
        means = {name: list(getattr(self.processor, name, None) or []) for name in ("image_mean", "image_std")}
        return (
            switches | means | {"mode": RESAMPLING.get(int(getattr(self.processor, "resample", None) or 0), "bicubic")}
        )

    def resized(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) in [0, 255], resized as the processor would."""
        size = self.size((pixels.shape[2], pixels.shape[3]))
        if tuple(pixels.shape[2:]) == size:
            return pixels
        mode = self.settings["mode"]
        return functional.interpolate(pixels, size, mode=mode, antialias=mode != "nearest-exact").clamp(0, 255)

    def size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Height and width to which the processor resizes an image of this height and width."""
        if image_size not in self.sizes:
            empty = np.zeros((*image_size, 3), np.uint8)
            height, width = self.processor(images=empty, return_tensors="pt", **self.arguments)["pixel_values"].shape[
                -2:
            ]
            self.sizes[image_size] = (int(height), int(width))
        return self.sizes[image_size]


def size_within(side: int, size: tuple[int, int]) -> tuple[int, int]:
    """A height and width, scaled down so that neither exceeds `side`."""
    scale = min(1.0, side / max(size))
    height, width = (max(1, round(length * scale)) for length in size)
    return height, width
