"""The models that a site already has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dissectreport.report.common.site_options import NOWHERE
from dissectreport.report.common.summary import Summary


def read_summaries(out: Path) -> list[Summary]:
    """The models in the site, by name; a folder whose summary cannot be read is not one of ours."""
    summaries = []
    for path in sorted(out.glob("*/summary.json")):
        try:
            facts = json.loads(path.read_text("utf-8"))
            one = Summary(**{**facts, "assets": tuple(facts["assets"]), "layers": tuple(facts["layers"])})
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if one.home == path.parent.name:
            summaries.append(one)
    return sorted(summaries, key=lambda one: one.model)


def occupied_by_others(out: Path, model: str, rule: str) -> dict[str, str]:
    """Folders that other models, and this one under other rules, have in this site: folder -> model."""
    return {one.home: one.model for one in read_summaries(out) if (one.model, one.rule) != (model, rule)}


def address_of_site(summaries: Sequence[Summary], given: str = "") -> str:
    """The address under which a site of some models is published: the one given, or that they were drawn with."""
    if given:
        return "" if given == NOWHERE else given
    return next((one.base_url for one in summaries if one.base_url), "")


def assets_of(summaries: Sequence[Summary]) -> set[str]:
    """The style, scripts and fonts that the pages of some models use, by their addresses."""
    return {name for one in summaries for name in one.assets if name.startswith("assets/")}
