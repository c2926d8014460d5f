"""The network of a Paint page as classic scripts, which a page can load from a folder: packed, and in parts."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping

import numpy as np

from dissectreport.analysis.results.painting import Painting
from dissectreport.report.html.parts import PackedFile, packed_file, script_of
from dissectreport.report.html.places import Files, Places
from dissectreport.stats.base import Floats


def packed_files(painting: Painting) -> dict[str, PackedFile]:
    """The files of the network that are there, by name, in the order in which a page needs them."""
    network = painting.network
    contents: Mapping[str, bytes] = {
        "tail": network.tail,
        "head": network.head,
        "gallery": gallery(painting),
        "labels": network.labels,
    }
    return {name: packed_file(gzip.compress(content, 9, mtime=0)) for name, content in contents.items() if content}


def gallery(painting: Painting) -> bytes:
    """Latents in float32; then, of those that the head does not compute, activations and further inputs in float16."""
    network = painting.network
    arrays = [network.latents, network.activations, *(network.others[name] for name in sorted(network.others))]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def network_files(places: Places, painting: Painting) -> Files:
    """The scripts with the files of the network, by their addresses."""
    return {
        places.paint_part(name, number): script_of(name, number, part)
        for name, packed in packed_files(painting).items()
        for number, part in enumerate(packed.parts)
    }


def floats(values: Floats) -> str:
    """Numbers in float32 as a page keeps them: in base64."""
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()
