"""Real against generated images: which concepts a generator leaves out.

After Bau et al. 2019, Seeing What a GAN Cannot Generate. The same segmenter counts pixels in real and in generated
images. Image i of either side is in group i modulo 20. The error of a side's mean is a jackknife over its groups. The
two sides are independent, so the errors of a difference, and of the logarithm of a ratio, add in squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES, Q
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.common.student import quantile, upper_tail
from dissectreport.analysis.results.real_images import Reality
from dissectreport.run.shards import GROUPS
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, spread, union


def reality(real: Areas, generated: Areas, vocabulary: pd.DataFrame) -> Reality:
    """How much of each concept real and generated images show."""
    concepts = union(real.concepts, generated.concepts)
    names = vocabulary.loc[concepts]
    table = pd.DataFrame({name: names[name].to_numpy() for name in ("concept", "category")})
    one, other = (ConceptShares.of(areas, concepts) for areas in (real, generated))
    for name, side in (("real", one), ("generated", other)):
        table[[name, f"{name}_low", f"{name}_high"]] = np.stack([side.mean.value, *side.mean.share_interval()], 1)
    difference, low, high = apart(one.mean, other.mean)
    table[["difference", "difference_low", "difference_high"]] = np.stack([difference, low, high], 1)
    ratio, low, high = (np.exp(value) for value in apart(logarithm(one.mean), logarithm(other.mean)))
    table[["ratio", "ratio_low", "ratio_high"]] = np.stack([ratio, low, high], 1)
    table["in_real"], table["in_generated"] = one.images / one.count, other.images / other.count
    compared = np.maximum(one.images, other.images) >= FEWEST_IMAGES
    return Reality(_ranked(_judged(table, two_sided(one.mean, other.mean), compared)), one.count, other.count)


@dataclass(frozen=True)
class ConceptShares:
    """What one kind of images shows."""

    mean: Jackknife
    """Share (c,) of all pixels that shows each concept."""
    images: Ints
    """(c,) in how many images each occurs."""
    count: int
    """Images."""

    @classmethod
    def of(cls, areas: Areas, concepts: Ints) -> ConceptShares:
        """The side's share of each of `concepts`, over all images and without each group."""
        share = spread(areas.share(), areas.concepts, concepts, 1)
        groups, at = np.unique(areas.samples % GROUPS, return_inverse=True)
        sizes = np.bincount(at, minlength=len(groups))
        sums = np.zeros((len(groups), len(concepts)))
        np.add.at(sums, at, share)
        left = (len(share) - sizes)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = Jackknife(share.mean(0), (sums.sum(0) - sums) / left, sizes)
        return cls(mean, (share > 0).sum(0), len(share))


def logarithm(mean: Jackknife) -> Jackknife:
    """The same on a logarithmic scale; minus infinity where there is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Jackknife(np.log(mean.value), np.log(mean.without.clip(min=0)), mean.sizes)


def apart(one: Jackknife, other: Jackknife) -> tuple[Floats, Floats, Floats]:
    """(c,) other - one, and the ends of its 95 % interval; no ends where either side shows nothing or has one group."""
    with np.errstate(invalid="ignore"):
        value = other.value - one.value
        reach = _quantile(one, other) * np.hypot(one.error(), other.error())
        return value, value - reach, value + reach


def two_sided(one: Jackknife, other: Jackknife) -> Floats:
    """(c,) p-values of both sides showing as much; 1 where that cannot be told."""
    freedom = min(one.freedom, other.freedom)
    if freedom < 1:
        return np.ones(len(one.value))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(other.value - one.value) / np.hypot(one.error(), other.error())
    return np.where(np.isnan(t), 1.0, 2 * upper_tail(t, freedom))


def _quantile(one: Jackknife, other: Jackknife) -> float:
    freedom = min(one.freedom, other.freedom)
    return quantile(0.975, freedom) if freedom >= 1 else np.nan


def _judged(table: pd.DataFrame, p: Floats, compared: NDArray[np.bool_]) -> pd.DataFrame:
    """The table with what may be said of each concept."""
    adjusted = np.full(len(p), np.nan)
    adjusted[compared] = benjamini_hochberg(p[compared])
    found = table.assign(p_difference=p, q_difference=adjusted, compared=compared)
    words = np.where(found["difference"] < 0, "less", "more")
    return found.assign(verdict=np.where(found["q_difference"] < Q, words, ""))


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """What is left out most first, and last what cannot be compared."""
    order = table.assign(last=~table["compared"]).sort_values(
        ["last", "ratio", "real"], ascending=[True, True, False], kind="stable"
    )
    return order[table.columns].reset_index(drop=True)
