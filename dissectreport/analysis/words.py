"""Words for units, by the formula of CLIP-Dissect (Oikarinen and Weng 2023), tested on held-out images.

With P the cosines of images and words, S = softmax over words of 10 P, and r = 0, 1, … the ranks of the images in which
a unit is most active, of at most 100 and with weights p = 0.998 falling to 0.97,

    score(word) = sum over r of log(1 + p (S - 1)) - log of the mean over units of exp of that sum

The word of the largest score is chosen on one half of the images. On the other, a word is as good as it predicts the
unit: the area under the ROC curve of the unit's largest activation for the tenth of the images most similar to the
word, beside that of 50 random words. Its interval has the error of DeLong, DeLong and Clarke-Pearson (1988), on the
logit scale, with Student's t for the smaller group; an area of 1 or 0 has an interval as wide as that of a share that
all of the smaller group have, or none. With 5 to 60 similar images it holds the truth in 92 to 99% of simulated cases;
on the plain scale, with normal quantiles, in 53 to 94%.

For the search, the other way round: the units of every word of the list. Those whose area is largest on the first half
count, if their area on the other half is larger than that of every random word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, nan, sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.jackknife import logit
from dissectreport.analysis.common.student import quantile
from dissectreport.analysis.results.words import COLUMNS, SEARCH_COLUMNS
from dissectreport.records.words import WordVectors
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.peaks import Peaks

TEMPERATURE = 10.0
MOST_ACTIVE = 100
FIRST, LAST = 0.998, 0.97
"""The weights of the most active image, and of the hundredth."""
TINY = 1e-7
RANDOM_WORDS = 50
TENTH = 0.1
MOST_UNITS = 3
"""At most so many units of a layer are found for a word."""
TOGETHER = 1000
"""Words that are compared at a time."""
FEWEST_SIMILAR = 5
"""With fewer images in a tenth of the held-out half nothing is tested."""


def word_columns(vectors: WordVectors, peaks: Peaks, areas: Areas, label: Ints, shard: int) -> pd.DataFrame | None:
    """The columns about words, one row per unit; None where there are too few images.

    `label` (units,) is the number of each unit's label, 0 for none; odd shards of `shard` samples are held out.
    """
    at = np.searchsorted(peaks.samples, vectors.samples)
    activity, held_out = peaks.peaks[at].astype(np.float64), vectors.samples // shard % 2 == 1
    if int(held_out.sum() * TENTH) < FEWEST_SIMILAR or not (~held_out).any():
        return None
    similarity = cosines(vectors.images, vectors.texts)
    word = word_scores(activity[~held_out], similarity[~held_out]).argmax(1)
    on, close = activity[held_out], similarity[held_out]
    auc, low, high = auc_with_interval(on, most(close)[:, word])
    rivals = random_words(len(vectors.words))
    by_chance = np.where(rivals == word[:, None], -np.inf, areas_under_curve(on, most(close[:, rivals])))
    best = by_chance.max(1)
    values: dict[str, Any] = {
        "word": [vectors.words[w] for w in word],
        "word_better": (auc > best) & (low > 0.5),
        "word_auc": auc,
        "word_auc_low": low,
        "word_auc_high": high,
        "random_words_auc": best,
        "label_auc": label_auc(on, areas, vectors.samples[held_out], label),
    }
    return pd.DataFrame({name: values[name] for name in COLUMNS})


def units_of_words(vectors: WordVectors, peaks: Peaks, shard: int) -> pd.DataFrame:
    """The units that each word predicts, at most `MOST_UNITS`, in `SEARCH_COLUMNS`; no rows for too few images."""
    at = np.searchsorted(peaks.samples, vectors.samples)
    activity, held_out = peaks.peaks[at].astype(np.float64), vectors.samples // shard % 2 == 1
    sides = [int(side.sum() * TENTH) for side in (held_out, ~held_out)]
    if min(sides) < FEWEST_SIMILAR:
        return pd.DataFrame(columns=list(SEARCH_COLUMNS))
    similarity, rivals = cosines(vectors.images, vectors.texts), random_words(len(vectors.words))
    by_chance = areas_under_curve(activity[held_out], most(similarity[held_out][:, rivals]))
    parts = []
    for first in range(0, len(vectors.words), TOGETHER):
        words = np.arange(first, min(first + TOGETHER, len(vectors.words)))
        chosen, scored = (
            areas_under_curve(activity[side], most(similarity[side][:, words])) for side in (~held_out, held_out)
        )
        parts.append(_best_units(words, chosen, scored, _largest_of_others(by_chance, rivals, words)))
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(word=[vectors.words[number] for number in rows["word"]])[list(SEARCH_COLUMNS)]


def _largest_of_others(by_chance: Floats, rivals: Ints, words: Ints) -> Floats:
    """(units, words) the largest of (units, rivals) areas of random words, without that of each word itself."""
    order = np.sort(by_chance, axis=1)
    own = np.array([np.flatnonzero(rivals == word)[0] if word in rivals else -1 for word in words])
    largest, second = order[:, -1:], order[:, -2:-1]
    is_own = (own >= 0) & (by_chance[:, own] == largest)
    return np.where(is_own, second, largest)


def _best_units(words: Ints, chosen: Floats, scored: Floats, chance: Floats) -> pd.DataFrame:
    """The units with the largest `chosen` (units, words) of each word whose `scored` are above `chance` and a half."""
    order = np.argsort(-chosen, axis=0, kind="stable")[:MOST_UNITS]
    values = {name: np.take_along_axis(table, order, 0) for name, table in (("auc", scored), ("chance", chance))}
    found = (values["auc"] > values["chance"]) & (values["auc"] > 0.5)
    rank, column = np.nonzero(found.T)[::-1]
    return pd.DataFrame(
        {
            "word": words[column],
            "unit": order[rank, column],
            "word_auc": values["auc"][rank, column],
            "random_words_auc": values["chance"][rank, column],
        }
    )


def cosines(images: NDArray[np.float32], texts: NDArray[np.float32]) -> Floats:
    """(n, w) cosines of (n, d) and (w, d) vectors."""
    one, other = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
        for rows in (images.astype(np.float64), texts.astype(np.float64))
    )
    return np.asarray(one @ other.T)


def word_scores(activity: Floats, similarity: Floats) -> Floats:
    """(units, w) scores from (n, units) activities and (n, w) cosines of images and words."""
    exponents = TEMPERATURE * similarity
    shares = np.exp(exponents - exponents.max(1, keepdims=True))
    shares = shares / shares.sum(1, keepdims=True)
    order = np.argsort(-activity, axis=0, kind="stable")[:MOST_ACTIVE]
    weights = FIRST - np.arange(len(order)) / MOST_ACTIVE * (FIRST - LAST)
    terms = [
        np.log(1 + weights[:, None] * (shares[order[:, unit]] - 1) + TINY).sum(0) for unit in range(order.shape[1])
    ]
    fit = np.stack(terms)
    largest = fit.max(0)
    return np.asarray(fit - largest - np.log(np.exp(fit - largest).mean(0)))


def random_words(count: int) -> Ints:
    """Numbers of the random words, the same for all units."""
    return np.sort(np.random.RandomState(0).permutation(count)[:RANDOM_WORDS]).astype(np.int64)


def most(values: Floats) -> NDArray[np.bool_]:
    """(n, k) whether each image is among the tenth with the largest values; of equal ones the first."""
    order = np.argsort(-values, axis=0, kind="stable")[: int(len(values) * TENTH)]
    chosen = np.zeros(values.shape, bool)
    np.put_along_axis(chosen, order, True, axis=0)
    return chosen


def auc_with_interval(activity: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """(units,) areas under the ROC curve of (n, units) activities for the images `chosen` (n, units), and the ends of
    their 95% intervals."""
    rows = [_delong(activity[:, unit], chosen[:, unit]).with_interval() for unit in range(activity.shape[1])]
    auc, low, high = np.array(rows).reshape(-1, 3).T
    return auc, low, high


def areas_under_curve(activity: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """(units, k) areas under the ROC curve of (n, units) activities for each of k choices (n, k) of images."""
    ranks = mid_ranks(activity)
    inside = chosen.sum(0)
    outside = len(chosen) - inside
    above = ranks.T @ chosen - inside * (inside + 1) / 2
    return np.asarray(above / np.maximum(inside * outside, 1))


def mid_ranks(values: Floats) -> Floats:
    """(n, k) ranks from 1 in each column, those of equal values at their middle."""
    return np.asarray(pd.DataFrame(values).rank().to_numpy(np.float64))


@dataclass(frozen=True)
class RocArea:
    """An area under the ROC curve, the variance that each of the two groups of images gives it, and their sizes."""

    value: float
    variances: tuple[float, float]
    sizes: tuple[int, int]

    @property
    def error(self) -> float:
        """Its standard error."""
        return sqrt(sum(self.variances))

    def with_interval(self) -> tuple[float, float, float]:
        """The area and the ends of its 95% interval."""
        if not 0 < self.value < 1:
            least = 0.025 ** (1 / max(1, min(self.sizes)))
            return (self.value, least, 1.0) if self.value == 1 else (self.value, self.value, 1 - least + self.value)
        centre = float(logit(np.asarray(self.value)))
        reach = quantile(0.975, min(self.sizes) - 1) * self.error / (self.value * (1 - self.value))
        return self.value, 1 / (1 + exp(reach - centre)), 1 / (1 + exp(-centre - reach))


def _delong(values: Floats, chosen: NDArray[np.bool_]) -> RocArea:
    """The area under the ROC curve, from how each value of one group ranks in the other; NaN for groups of one."""
    inside, outside = values[chosen], values[~chosen]
    sizes = len(inside), len(outside)
    if min(sizes) < 2:
        return RocArea(nan, (nan, nan), sizes)
    both = mid_ranks(np.concatenate([inside, outside])[:, None])[:, 0]
    of_inside = (both[: len(inside)] - mid_ranks(inside[:, None])[:, 0]) / len(outside)
    of_outside = 1 - (both[len(inside) :] - mid_ranks(outside[:, None])[:, 0]) / len(inside)
    variances = float(of_inside.var(ddof=1) / len(inside)), float(of_outside.var(ddof=1) / len(outside))
    return RocArea(float(of_inside.mean()), variances, sizes)


def label_auc(activity: Floats, areas: Areas, samples: Ints, label: Sequence[int] | Ints) -> Floats:
    """(units,) the area under the ROC curve for the tenth of the samples with most of the label; NaN without label."""
    rows = np.searchsorted(areas.samples, samples)
    column = {int(number): k for k, number in enumerate(areas.concepts)}
    found = np.full(activity.shape[1], np.nan)
    for unit, number in enumerate(label):
        if int(number) in column:
            shown = areas.pixels[rows, column[int(number)]].astype(np.float64)
            found[unit] = _delong(activity[:, unit], most(shown[:, None])[:, 0]).value
    return found
