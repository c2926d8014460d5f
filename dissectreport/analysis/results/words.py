"""The results of describing units with words, and what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

COLUMNS: Mapping[str, str] = {
    "word": "the word of the list that describes the unit's most active selection images best (CLIP-Dissect)",
    "word_better": "whether the word predicts the unit on the held-out images: word_auc is larger than that of every "
    "random word, and its interval above 0.5",
    "word_auc": "area under the ROC curve of the unit's largest activation in an image, for the tenth of the held-out "
    "images that are most similar to the word",
    "word_auc_low": "lower end of the 95% interval of word_auc",
    "word_auc_high": "upper end of the 95% interval of word_auc",
    "random_words_auc": "the largest of the same figure for 50 random words of the list",
    "label_auc": "the same figure for the tenth of the held-out images that show most of the unit's label",
}
"""What the columns of `Layer.table` mean that are about words."""


SEARCH_COLUMNS = ("word", "unit", "word_auc", "random_words_auc")
"""The columns of a table of the units of every word; `WordFacts.units` has `layer` besides."""


def no_units() -> pd.DataFrame:
    """A table without units."""
    return pd.DataFrame(columns=["layer", *SEARCH_COLUMNS])


@dataclass(frozen=True)
class WordFacts:
    """What units were described with."""

    words: int
    """Words of the list."""
    network: str
    images: int
    """Images of which the words were chosen or scored."""
    listed: tuple[str, ...] = ()
    """The words of the list."""
    units: pd.DataFrame = field(default_factory=no_units)
    """For the search: one row per word, layer and unit that the word predicts on held-out images better than random
    words do, at most three of a layer: layer, word, unit, word_auc, random_words_auc."""
