"""Which models of a site are compared: the given names are checked before anything is computed."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dissectreport.errors import BadOption, OutputError, UnknownName
from dissectreport.report.common.ledger import Ledger, read_file, read_ledger
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare.arrangement import ComparedModels
from dissectreport.report.compare.charts import MOST
from dissectreport.report.compare.profile_files import read_sited
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.names import safe_name
from dissectreport.report.html.places import COMPARISONS, OLD


def chosen(
    out: Path, summaries: Sequence[Summary], compared: SiteModels, models: Sequence[str], layers: Sequence[str]
) -> ComparedModels:
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
    layer_names = [""] * len(models) if not layers else [*layers] * (len(models) if len(layers) == 1 else 1)
    for home, layer in zip(homes, layer_names, strict=True):
        profile = compared.sited[home].profile
        known = [layer_profile.name for layer_profile in profile.layers]
        if layer and layer not in known:
            raise UnknownName.of(f"layer on the pages of {profile.title}:", layer, known)
    subject = ComparedModels.of(compared, homes, layer_names)
    twice = next((m for i, m in enumerate(subject.members) if m.label in subject.labels[:i]), None)
    if twice is not None:
        raise BadOption(
            f"{twice.model.name} with {twice.profile.name} is named twice; name another model, or other --layers"
        )
    return subject


def _home(out: Path, summaries: Sequence[Summary], name: str) -> str:
    """The folder of the one model that is called so: by its folder, its address, or what it calls itself."""
    if any(summary.home == name for summary in summaries):
        return name
    homes = [summary.home for summary in summaries if name in (summary.model, summary.title)]
    if len(homes) > 1:
        raise UnknownName(
            f"{len(homes)} models in {out} are called {name!r}; name one by its folder: {', '.join(homes)}"
        )
    if not homes:
        raise UnknownName.of(f"model in {out}:", name, [summary.home for summary in summaries])
    return homes[0]


def is_kept(name: str) -> bool:
    """Whether this is the address of a fixed page."""
    return re.fullmatch(f"{COMPARISONS}/[^/]+\\.html", name) is not None


def kept(out: Path) -> dict[str, str]:
    """The fixed pages that the site at `out` has: address -> title."""
    pages = {}
    for name in sorted(filter(is_kept, (read_ledger(out) or Ledger()).files)):
        with suppress(OSError, OutputError, UnicodeDecodeError):
            title = re.search(r"<h1>\s*(.*?)\s*</h1>", read_file(out, name).decode())
            if title is not None:
                pages[name] = html.unescape(title[1])
    return pages


def place(out: Path, subject: ComparedModels) -> Path:
    """The default path of the page of a comparison."""
    words = [member.sited.home for member in subject.members]
    folders = [member.folder for member in subject.members]
    if len(set(folders)) > 1:
        words = [f"{home}-{folder}" for home, folder in zip(words, folders, strict=True)]
    stem = "-vs-".join(words) + ("" if len(set(folders)) > 1 else f"-{folders[0]}")
    return out / COMPARISONS / f"{safe_name(stem)}.html"
