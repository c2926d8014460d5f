"""A concept as pages show it: one value from the tables to the templates."""

from __future__ import annotations

from typing import Any

from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.images import TERMS
from dissectreport.vocabulary import Concept


class NamedConcept(Concept):
    """A concept with its sign and its label; its name is '' for a unit without a label."""

    __slots__ = ()

    @classmethod
    def of(cls, row: Any) -> NamedConcept:
        """From the columns `concept` and `category` of a row, as `itertuples` gives it."""
        return cls(str(row.concept), str(row.category))

    @property
    def mark(self) -> str:
        """The sign of the category, also a CSS class."""
        return mark_of(self.category)

    @property
    def swatch(self) -> str:
        """How a concept that is one of the basic colours looks, as CSS; '' for others."""
        return f"#{TERMS[self.name]:06x}" if self.mark == "colour" and self.name in TERMS else ""

    @property
    def label(self) -> str:
        """What a unit with this label is called."""
        return self.name or "no label"
