"""The models that a site already has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from dissectreport.analysis.results.dissection import Provenance
from dissectreport.errors import OutputError
from dissectreport.report.common.ledger import read_file
from dissectreport.report.common.site_options import NOWHERE
from dissectreport.report.common.summary import Summary
from dissectreport.structured import parse_json


def read_summaries(out: Path) -> list[Summary]:
    """The models in the site, by name; a folder whose summary cannot be read is not one of ours."""
    summaries = []
    for path in sorted(out.glob("*/summary.json")):
        home = path.parent.name
        with suppress(OSError, OutputError, ValueError, TypeError, KeyError, AttributeError):
            summary = Summary.of_json(parse_json(read_file(out, f"{home}/{path.name}")))
            if summary.home == home:
                summaries.append(summary)
    return sorted(summaries, key=lambda summary: summary.model)


def occupied_by_others(summaries: Sequence[Summary], facts: Provenance) -> dict[str, str]:
    """Folders that other models of a site, and this one under other rules, have there: folder -> model.

    A model of the same name is another one if it comes from another file and has other weights.
    """
    return {summary.home: summary.model for summary in summaries if not _is_of(summary, facts)}


def _is_of(summary: Summary, facts: Provenance) -> bool:
    if (summary.model, summary.rule) != (facts.model, facts.rule):
        return False
    return summary.source == facts.source or summary.identity == facts.generator.get("identity", "")


def address_of_site(summaries: Sequence[Summary], given: str = "") -> str:
    """The address under which a site is published: the given one, or the one in its models' summaries."""
    if given:
        return "" if given == NOWHERE else given
    return next((summary.base_url for summary in summaries if summary.base_url), "")


def assets_of(summaries: Collection[Summary]) -> set[str]:
    """The style, scripts and fonts that the pages of some models use, by their addresses."""
    return {name for summary in summaries for name in summary.assets if name.startswith("assets/")}
