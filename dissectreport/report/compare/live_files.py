"""The files that the live page of comparisons reads: one for each model, layer, and ordered pair of models.

They are classic scripts, so that a page that was opened from a folder can load them. Each has a digest of all that it
is computed from; a file whose digest has not changed need not be computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

from dissectreport.report.compare.model_parts import layer_part, model_part
from dissectreport.report.compare.pair_parts import pair_part
from dissectreport.report.compare.sentences import Sentence
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.places import COMPARISONS
from dissectreport.version import __version__
from dissectreport.vocabulary import Concept

FOLDER = f"{COMPARISONS}/data"
VERSION = 1
"""Changes whenever other files would be computed from the same profiles."""
CALL = "dissectreport.received("


@dataclass(frozen=True)
class LiveFile:
    """A file that can be computed."""

    digest: str
    content: Callable[[], bytes]


def live_files(site: SiteModels) -> dict[str, LiveFile]:
    """Every file of a site by its name within FOLDER."""
    files: dict[str, LiveFile] = {}
    for home, model in site.sited.items():
        of_model = _digest(model.digest, site.names[home], repr(site.scales.of(model.profile)), repr(site.shown(home)))
        files[f"{home}/model.js"] = _file(of_model, f"{home}/model", partial(model_part, site, home))
        for layer in model.profile.layers:
            name = f"{home}/layers/{model.folders[layer.name]}"
            files[f"{name}.js"] = _file(of_model, name, partial(layer_part, site, home, layer))
        for first, another in site.sited.items():
            name = f"{home}/against/{first}"
            of_pair = _digest(another.digest, model.digest)
            files[f"{name}.js"] = _file(of_pair, name, partial(pair_part, site, first, home))
    return files


def _file(digest: str, name: str, compute: Callable[[], Any]) -> LiveFile:
    return LiveFile(digest, lambda: _script(name, compute()))


def _script(name: str, part: Any) -> bytes:
    words = json.dumps([name, plain(part)], allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    # The only two characters that JSON allows in strings and older scripts do not.
    escaped = words[1:-1].replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"{CALL}{escaped});\n".encode()


def plain(value: Any) -> Any:
    """A part as JSON has it; sentences as [kind, words], concepts as their keys."""
    if isinstance(value, Sentence):
        return [value.kind, value.words]
    if isinstance(value, Concept):
        return key_of(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple) else value


def key_of(concept: Concept) -> str:
    """A concept as the live page names it."""
    return f"{concept.category}/{concept.name}"


def _digest(*inputs: str) -> str:
    return hashlib.sha256("\0".join((str(VERSION), __version__, *inputs)).encode()).hexdigest()[:16]
