"""The models of a site that can be compared: what each is called, and the axes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dissectreport.errors import OutputError
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare.profile_files import Sited, read_sited
from dissectreport.report.compare.scales import Scales, scales_of
from dissectreport.vocabulary import Concept


@dataclass(frozen=True)
class SiteModels:
    """All models of a site that can be compared, by folder."""

    sited: dict[str, Sited]

    @classmethod
    def read(cls, out: Path, summaries: Sequence[Summary]) -> SiteModels:
        """The models of the site at `out`; those without a profile that this version can read are left out."""
        sited = {}
        for summary in summaries:
            if summary.compare:
                with suppress(OutputError):
                    sited[summary.home] = read_sited(out, summary.home)
        return cls(sited)

    @cached_property
    def scales(self) -> Scales:
        """The axes of charts."""
        return scales_of([model.profile for model in self.sited.values()])

    @cached_property
    def names(self) -> dict[str, str]:
        """Folder -> what the model is called: its title, with its rule or its folder where two have the same."""
        return {home: self._name(home) for home in self.sited}

    @cached_property
    def present(self) -> frozenset[Concept]:
        """The concepts that have units in some layer of some model: those that a comparison can show."""
        layers = [layer for model in self.sited.values() for layer in model.profile.layers]
        return frozenset(c for la in layers for c, units in la.concepts.items() if units.measured.high > 0)

    def shown(self, home: str) -> tuple[Concept, ...]:
        """Those among the concepts of a model."""
        return tuple(concept for concept in self.sited[home].profile.vocabulary if concept in self.present)

    def _name(self, home: str) -> str:
        profile = self.sited[home].profile
        rules = [model.profile.rule for model in self.sited.values() if model.profile.title == profile.title]
        if len(rules) == 1:
            return profile.title
        return f"{profile.title} ({profile.rule if len(set(rules)) == len(rules) else home})"
