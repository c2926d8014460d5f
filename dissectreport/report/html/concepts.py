"""A concept as pages show it: one value from the tables to the templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dissectreport.report.html.category_marks import mark_of


@dataclass(frozen=True)
class Concept:
    """The name of a concept and its category."""

    name: str
    """'' for a unit without a label."""
    category: str

    @classmethod
    def of(cls, row: Any) -> Concept:
        """From the columns `concept` and `category` of a row, as `itertuples` gives it."""
        return cls(str(row.concept), str(row.category))

    @property
    def mark(self) -> str:
        """The sign of the category, also a CSS class."""
        return mark_of(self.category)

    @property
    def label(self) -> str:
        """What a unit with this label is called."""
        return self.name or "no label"
