"""What pages say of words for units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class UnitWord:
    """The word of a unit, which predicts it on held-out images better than random words do."""

    word: str
    auc: float
    low: float
    high: float
    random: float
    """The largest of the random words."""
    label: float
    """That of the unit's label; NaN without one."""

    @classmethod
    def of(cls, row: Any) -> UnitWord | None:
        """That of a row of a layer's table; None where no word is better than random ones."""
        if not getattr(row, "word_better", False):
            return None
        names = ("word_auc", "word_auc_low", "word_auc_high", "random_words_auc", "label_auc")
        return cls(str(row.word), *(float(getattr(row, name)) for name in names))
