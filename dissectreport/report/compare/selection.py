"""Which models of a site are compared: by the names that people give, checked before anything is drawn."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dissectreport.errors import BadOption, OutputError, UnknownName
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare.charts import MOST
from dissectreport.report.compare.data import read_sited
from dissectreport.report.compare.page import Subject
from dissectreport.report.html.names import safe_name
from dissectreport.report.html.places import COMPARISONS, OLD


def chosen(out: Path, summaries: Sequence[Summary], models: Sequence[str], layers: Sequence[str]) -> Subject:
    """The models of the site at `out` that are called so; `layers` has a layer for all, one for each, or none."""
    if not summaries:
        raise OutputError(
            f"there is no model in {out}; draw some there with `dissectreport build`, or name it with --out"
        )
    if not 2 <= len(models) <= MOST:
        raise BadOption(f"two to {MOST} models can be compared at a time, not {len(models)}")
    if len(layers) not in (0, 1, len(models)):
        raise BadOption(f"--layers takes one layer for all models, or {len(models)} of them, not {len(layers)}")
    homes = [_home(out, summaries, name) for name in models]
    for summary in summaries:
        if summary.home in homes and summary.rule == OLD:
            raise OutputError(
                f"{summary.model} was imported from a dissect.json, which holds neither null nor intervals to compare "
                "by; compare models that were measured here"
            )
    sited = [read_sited(out, home) for home in homes]
    each = [""] * len(models) if not layers else [*layers] * (len(models) if len(layers) == 1 else 1)
    for one, layer in zip(sited, each, strict=True):
        known = [found.name for found in one.profile.layers]
        if layer and layer not in known:
            raise UnknownName.of(f"layer on the pages of {one.profile.title}:", layer, known)
    return Subject.of(sited, each)


def _home(out: Path, summaries: Sequence[Summary], name: str) -> str:
    """The folder of the one model that is called so: by its folder, its address, or what it calls itself."""
    if any(one.home == name for one in summaries):
        return name
    found = [one.home for one in summaries if name in (one.model, one.title)]
    if len(found) > 1:
        raise UnknownName(
            f"{len(found)} models in {out} are called {name!r}; name one by its folder: {', '.join(found)}"
        )
    if not found:
        raise UnknownName.of(f"model in {out}:", name, [one.home for one in summaries])
    return found[0]


def kept(out: Path) -> dict[str, str]:
    """The fixed pages that the site at `out` holds: address -> title."""
    found = {}
    for path in sorted((out / COMPARISONS).glob("*.html")):
        with suppress(OSError, UnicodeDecodeError):
            title = re.search(r"<h1>(.*?)</h1>", path.read_text("utf-8"))
            if title is not None:
                found[f"{COMPARISONS}/{path.name}"] = html.unescape(title[1])
    return found


def place(out: Path, subject: Subject) -> Path:
    """Where the page of a choice goes if nobody says."""
    words = [one.home for one in subject.sited]
    named = {one.layer.name for one in subject.chosen}
    folders = [one.folders[each.layer.name] for one, each in zip(subject.sited, subject.chosen, strict=True)]
    if len(named) > 1:
        words = [f"{home}-{folder}" for home, folder in zip(words, folders, strict=True)]
    stem = "-vs-".join(words) + ("" if len(named) > 1 else f"-{folders[0]}")
    return out / COMPARISONS / f"{safe_name(stem)}.html"
