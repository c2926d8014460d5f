"""Which models of a site are compared: by the names that people give, checked before anything is drawn."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dissectreport.errors import BadOption, OutputError, UnknownName
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare.arrangement import Subject
from dissectreport.report.compare.charts import MOST
from dissectreport.report.compare.profile_files import read_sited
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.names import safe_name
from dissectreport.report.html.places import COMPARISONS, OLD


def chosen(
    out: Path, summaries: Sequence[Summary], compared: SiteModels, models: Sequence[str], layers: Sequence[str]
) -> Subject:
    """The models of the site at `out` that are called so; `layers` has a layer for all, one for each, or none."""
    if not summaries:
        raise OutputError(f"there is no model in {out}; build one with `dissectreport build`, or name it with --out")
    if not 2 <= len(models) <= MOST:
        raise BadOption(f"two to {MOST} models can be compared at a time, not {len(models)}")
    if len(layers) not in (0, 1, len(models)):
        raise BadOption(f"--layers takes one layer for all models, or {len(models)} of them, not {len(layers)}")
    homes = [_home(out, summaries, name) for name in models]
    for summary in summaries:
        if summary.home in homes and summary.rule == OLD:
            raise OutputError(
                f"{summary.model} was imported from a dissect.json, which has neither chance levels nor intervals to "
                "compare by; compare models that were measured here"
            )
    for home in homes:
        if home not in compared.sited:
            read_sited(out, home)
    each = [""] * len(models) if not layers else [*layers] * (len(models) if len(layers) == 1 else 1)
    for home, layer in zip(homes, each, strict=True):
        profile = compared.sited[home].profile
        known = [one.name for one in profile.layers]
        if layer and layer not in known:
            raise UnknownName.of(f"layer on the pages of {profile.title}:", layer, known)
    subject = Subject.of(compared, homes, each)
    twice = next((m for i, m in enumerate(subject.members) if m.label in subject.labels[:i]), None)
    if twice is not None:
        raise BadOption(
            f"{twice.model.name} with {twice.profile.name} is named twice; name another model, or other --layers"
        )
    return subject


def _home(out: Path, summaries: Sequence[Summary], name: str) -> str:
    """The folder of the one model that is called so: by its folder, its address, or what it calls itself."""
    if any(one.home == name for one in summaries):
        return name
    homes = [one.home for one in summaries if name in (one.model, one.title)]
    if len(homes) > 1:
        raise UnknownName(
            f"{len(homes)} models in {out} are called {name!r}; name one by its folder: {', '.join(homes)}"
        )
    if not homes:
        raise UnknownName.of(f"model in {out}:", name, [one.home for one in summaries])
    return homes[0]


def kept(out: Path) -> dict[str, str]:
    """The fixed pages that the site at `out` has: address -> title."""
    pages = {}
    for path in sorted((out / COMPARISONS).glob("*.html")):
        with suppress(OSError, UnicodeDecodeError):
            title = re.search(r"<h1>\s*(.*?)\s*</h1>", path.read_text("utf-8"))
            if title is not None:
                pages[f"{COMPARISONS}/{path.name}"] = html.unescape(title[1])
    return pages


def place(out: Path, subject: Subject) -> Path:
    """Where the page of a choice goes if nobody says."""
    words = [member.sited.home for member in subject.members]
    folders = [member.folder for member in subject.members]
    if len(set(folders)) > 1:
        words = [f"{home}-{folder}" for home, folder in zip(words, folders, strict=True)]
    stem = "-vs-".join(words) + ("" if len(set(folders)) > 1 else f"-{folders[0]}")
    return out / COMPARISONS / f"{safe_name(stem)}.html"
