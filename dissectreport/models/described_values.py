"""The values of a description: what its network takes and returns, how a family is sampled, masks and facts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dissectreport import structured
from dissectreport.errors import BadOption
from dissectreport.models.description import MASK_KEYS, OUTPUT_KEYS, Description
from dissectreport.models.families.base import Sampling
from dissectreport.models.families.image_classifier import LAST_STRIDE
from dissectreport.models.families.recognition import Found
from dissectreport.models.inputs import Argument, ClassLabels, Constant, Inputs, Noise
from dissectreport.models.outputs import OutputFormat
from dissectreport.run.addresses import quoted_path
from dissectreport.segmenters import masks


def with_stride(found: Found, description: Description) -> Found:
    """A network with the stride that a description gives, which no tensor shows; unchanged where it gives none."""
    if LAST_STRIDE not in description.content:
        return found
    settings = {**found.network.settings, LAST_STRIDE: description.content[LAST_STRIDE]}
    return replace(found, network=replace(found.network, settings=settings))


def sampling_of(description: Description) -> Sampling:
    """How images are drawn from a network of a family: psi, cutoff, label and noise."""
    content = description.content
    try:
        cutoff = whole_numbers("cutoff", content["cutoff"]) if "cutoff" in content else (None,)
        return Sampling(
            psi=float(NUMBER("psi", content.get("psi", 1.0))),
            cutoff=cutoff[0],
            labels=whole_numbers("label", content["label"]) if "label" in content else (),
            noise=TEXT("noise", content.get("noise", "const")),
        )
    except BadOption as problem:
        raise description.problem(str(problem)) from problem


def facts_of(description: Description) -> dict[str, Any]:
    """The facts for the report, as plain JSON values."""
    segmenter = masks_of(description) or relative_to(description.path.parent, description.text("segmenter"))
    named = {"family": description.text("family"), "segmenter": segmenter}
    facts: dict[str, Any] = structured.parse_json(json.dumps(description.table("facts"), default=str))
    return {key: value for key, value in named.items() if value} | facts


def masks_of(description: Description) -> str:
    """The segmenter of the masks that the file names; '' for none."""
    given = description.content.get("masks")
    if given is None:
        return ""
    if "segmenter" in description.content:
        raise description.problem("masks take the place of a segmenter; remove one of them")
    table = {"folder": given} if isinstance(given, str) else given
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise description.problem(f"masks must be a folder, or {{ folder = …, images = …, names = … }}, not {given!r}")
    description.check_keys(table, MASK_KEYS, "of masks ")
    if "folder" not in table:
        raise description.problem("masks needs a folder")
    images = description.table("images").get("folder")
    own = {"images": images, **table} if isinstance(images, str) else table
    places = {key: description.path.parent / Path(own[key]).expanduser() for key in MASK_KEYS if key in own}
    paths = {key: quoted_path(place, safe="/") for key, place in places.items()}
    settings = [f"{key}={path}" for key, path in paths.items() if key != "folder"]
    return ",".join([f"masks:{paths['folder']}", *settings])


def labelled_samples(description: Description) -> int | None:
    """How many samples of a generator somebody labelled; None where it has a segmenter."""
    name = masks_of(description)
    return len(masks.load(name.partition(":")[2]).layout.entries) if name else None


def relative_to(folder: Path, segmenter: str) -> str:
    """A segmenter's name in which relative paths (./folder, file.py:function) are prefixed by a folder.

    >>> relative_to(Path("models"), "colour+./mine.py:load+ade20k:./weights+words:dome")
    'colour+models/./mine.py:load+ade20k:models/./weights+words:dome'
    """
    if folder == Path():
        return segmenter
    return re.sub(r"(^|[+:=])(?=\.{1,2}/|[^+:=/~][^+:=]*\.py:)", lambda match: f"{match[1]}{folder}/", segmenter)


def inputs_of(description: Description) -> Inputs:
    """What the network is called with: `latent` for one argument, `inputs` for several."""
    content = description.content
    if ("latent" in content) == ("inputs" in content):
        raise description.problem(
            "describe what the network takes: latent = 128 (or its shape, or a table), or inputs = [ … ] for several"
        )
    try:
        if "latent" in content:
            return Inputs((argument(content["latent"]),))
        if not isinstance(content["inputs"], list):
            raise description.problem(f"inputs must be a list, not {content['inputs']!r}")
        return Inputs(tuple(map(argument, content["inputs"])))
    except (TypeError, BadOption) as problem:
        line = str(problem).removeprefix(f"{description.path.name}: ")
        raise description.problem(line) from problem


KINDS: dict[str, tuple[Callable[..., Argument], tuple[str, ...]]] = {
    "shape": (Noise, ("shape", "distribution", "scale", "low", "high", "bound", "name")),
    "classes": (ClassLabels, ("classes", "encoding", "only", "name")),
    "value": (Constant, ("value", "name")),
}
"""The kinds of input, by the key that marks them, and the keys that each may have."""


def argument(value: object) -> Argument:
    """One input: a number or a shape for a standard normal latent, or a table."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Noise((value,))
    if isinstance(value, list):
        return Noise(whole_numbers("shape", value))
    if not isinstance(value, dict):
        raise BadOption(f"an input is a number, a shape, or a table, not {value!r}")
    kind = next((key for key in KINDS if key in value), "")
    if not kind:
        raise BadOption(f"an input has shape = … (noise), classes = … (a label) or value = … (a constant), not {value}")
    make, keys = KINDS[kind]
    for key in value:
        if key not in keys:
            raise BadOption(f"an input with {kind} has no {key!r}; it may have {', '.join(keys)}")
    return make(**{key: READERS[key](key, entry) if key in READERS else entry for key, entry in value.items()})


def whole_numbers(key: str, value: object) -> tuple[int, ...]:
    """A whole number or a list of them, as a tuple."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in values):
        raise BadOption(f"{key} must be a whole number or a list of them, not {value!r}")
    return tuple(values)


def numbers(key: str, values: object) -> tuple[float, ...]:
    """A list of numbers, as a tuple."""
    if not isinstance(values, list) or not all(isinstance(item, int | float) for item in values):
        raise BadOption(f"{key} must be a list of numbers, not {values!r}")
    return tuple(float(item) for item in values)


def of_type(types: tuple[type, ...], noun: str, key: str, value: Any) -> Any:
    """The value, if it is of one of the types."""
    if not isinstance(value, types) or isinstance(value, bool):
        raise BadOption(f"{key} must be {noun}, not {value!r}")
    return value


NUMBER, TEXT = partial(of_type, (int, float), "a number"), partial(of_type, (str,), "a text")
READERS: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("shape", "only"), whole_numbers),
    **dict.fromkeys(("scale", "low", "high", "bound"), NUMBER),
    **dict.fromkeys(("distribution", "encoding", "name"), TEXT),
    "classes": partial(of_type, (int,), "a whole number"),
}
"""Check and convert the values of an input's keys; other keys take any value."""


def output_of(description: Description) -> OutputFormat:
    """How to get images from what the network returns."""
    table = description.table("output")
    description.check_keys(table, OUTPUT_KEYS, "of output ")
    ends = table.get("range", [-1, 1])
    if not (isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)):
        raise description.problem(
            f"range must be the values of black and white, such as [-1, 1] or [0, 255], not {ends!r}"
        )
    channels = whole_numbers("channels", table["channels"]) if "channels" in table else ()
    take = of_type((str, int), "a key or an index", "take", table["take"]) if "take" in table else None
    return OutputFormat(take, channels, float(ends[0]), float(ends[1]), "range" in table)
