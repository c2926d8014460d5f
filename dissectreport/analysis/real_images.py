"""Real against generated images: which concepts a generator under-represents.

After Bau et al. 2019, Seeing What a GAN Cannot Generate. The same segmenter counts pixels in real and in generated
images. Image i of either side is in group i modulo 20. The error of a side's mean is a jackknife over its groups. The
two sides are independent, so the errors of a difference, and of the logarithm of a ratio, add in squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES, UNSEEN, Q
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.common.student import quantile, upper_tail
from dissectreport.analysis.results.real_images import Reality
from dissectreport.run.shards import GROUPS
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, spread, union
from dissectreport.vocabulary import Vocabulary


def reality(real: Areas, generated: Areas, vocabulary: Vocabulary) -> Reality:
    """Areas of concepts in real and in generated images, with tests of their differences."""
    concepts = union(real.concepts, generated.concepts)
    table = pd.DataFrame([vocabulary[number] for number in concepts], columns=["concept", "category"])
    real_shares, generated_shares = (ConceptShares.of(areas, concepts) for areas in (real, generated))
    sides = {"real": (real_shares, generated_shares), "generated": (generated_shares, real_shares)}
    for name, (side, other) in sides.items():
        table[[name, f"{name}_low", f"{name}_high"]] = np.stack([side.mean.value, *side.interval(other)], 1)
    difference, low, high = difference_interval(real_shares.mean, generated_shares.mean)
    table[["difference", "difference_low", "difference_high"]] = np.stack([difference, low, high], 1)
    ratio, low, high = (
        np.exp(value) for value in difference_interval(logarithm(real_shares.mean), logarithm(generated_shares.mean))
    )
    table[["ratio", "ratio_low", "ratio_high"]] = np.stack([ratio, low, high], 1)
    table["in_real"], table["in_generated"] = (
        real_shares.images / real_shares.count,
        generated_shares.images / generated_shares.count,
    )
    compared = np.maximum(real_shares.images, generated_shares.images) >= FEWEST_IMAGES
    return Reality(
        _ranked(_judged(table, two_sided(real_shares.mean, generated_shares.mean), compared)),
        real_shares.count,
        generated_shares.count,
    )


@dataclass(frozen=True)
class ConceptShares:
    """Areas of concepts in one set of images."""

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
        remaining = (len(share) - sizes)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = Jackknife(share.mean(0), (sums.sum(0) - sums) / remaining, sizes)
        return cls(mean, (share > 0).sum(0), len(share))

    def interval(self, other: ConceptShares) -> tuple[Floats, Floats]:
        """(c,) ends of the 95% interval of the areas.

        Where no image of this side shows a concept, it may be in as many as these fail to show with a probability of
        2.5% (rule of three), as large as in those of the other side.
        """
        low, high = self.mean.share_interval()
        typical = other.mean.value * other.count / np.maximum(other.images, 1)
        return low, np.where(self.images == 0, np.maximum(high, min(1, UNSEEN / self.count) * typical), high)


def logarithm(mean: Jackknife) -> Jackknife:
    """The mean on a logarithmic scale; minus infinity where it is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Jackknife(np.log(mean.value), np.log(mean.without.clip(min=0)), mean.sizes)


def difference_interval(real: Jackknife, generated: Jackknife) -> tuple[Floats, Floats, Floats]:
    """(c,) other - one, and the ends of its 95% interval; no ends if a side lacks the concept or has one group."""
    with np.errstate(invalid="ignore"):
        value = generated.value - real.value
        reach = _quantile(real, generated) * np.hypot(real.error(), generated.error())
        return value, value - reach, value + reach


def two_sided(real: Jackknife, generated: Jackknife) -> Floats:
    """(c,) p-values of equal areas on both sides; 1 where they cannot be tested."""
    freedom = min(real.freedom, generated.freedom)
    if freedom < 1:
        return np.ones(len(real.value))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(generated.value - real.value) / np.hypot(real.error(), generated.error())
    return np.where(np.isnan(t), 1.0, 2 * upper_tail(t, freedom))


def _quantile(real: Jackknife, generated: Jackknife) -> float:
    freedom = min(real.freedom, generated.freedom)
    return quantile(0.975, freedom) if freedom >= 1 else np.nan


def _judged(table: pd.DataFrame, p: Floats, compared: NDArray[np.bool_]) -> pd.DataFrame:
    """The table with adjusted p-values and a verdict for each concept."""
    adjusted = np.full(len(p), np.nan)
    adjusted[compared] = benjamini_hochberg(p[compared])
    tested = table.assign(p_difference=p, q_difference=adjusted, compared=compared)
    words = np.where(tested["difference"] < 0, "less", "more")
    return tested.assign(verdict=np.where(tested["q_difference"] < Q, words, ""))


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The most under-represented concept first; concepts that cannot be compared last."""
    order = table.assign(last=~table["compared"]).sort_values(
        ["last", "ratio", "real"], ascending=[True, True, False], kind="stable"
    )
    return order[table.columns].reset_index(drop=True)
