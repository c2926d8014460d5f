"""Delete-one-group jackknife for groups of unequal size (Busing, Meijer & van der Leeden 1999)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.common.student import quantile, upper_tail
from dissectreport.stats.base import Floats, Ints


@dataclass(frozen=True)
class Jackknife:
    """An estimate over all groups and its values with each group left out; arrays broadcast over their tail."""

    value: Floats
    """(...) over all groups."""
    without: Floats
    """(groups, ...) with each group left out."""
    sizes: Ints
    """(groups,) samples in each group."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom: groups minus one."""
        return len(self.sizes) - 1

    def at(self, rows: Ints, columns: Ints) -> Jackknife:
        """Those of some rows and columns, which broadcast."""
        return Jackknife(self.value[rows, columns], self.without[:, rows, columns], self.sizes)

    @classmethod
    def joined(cls, blocks: Sequence[Jackknife]) -> Jackknife:
        """The estimates of consecutive blocks along the first axis of the values."""
        value, without = (np.concatenate([getattr(b, n) for b in blocks], a) for n, a in (("value", 0), ("without", 1)))
        return cls(value, without, blocks[0].sizes)

    def error(self) -> Floats:
        """(...) standard error; NaN with fewer than two groups."""
        groups = len(self.sizes)
        if groups < 2:
            return np.full(self.value.shape, np.nan)
        ratio = (self.sizes.sum() / self.sizes).reshape(-1, *[1] * self.value.ndim)
        pseudo = ratio * self.value - (ratio - 1) * self.without
        centre = (pseudo / ratio).sum(0)
        return np.asarray(np.sqrt(((pseudo - centre) ** 2 / (ratio - 1)).sum(0) / groups))

    def interval(self, share: float = 0.95) -> tuple[Floats, Floats]:
        """(...) ends of the t interval; NaN with fewer than two groups."""
        if self.freedom < 1:
            return np.full(self.value.shape, np.nan), np.full(self.value.shape, np.nan)
        reach = quantile((1 + share) / 2, self.freedom) * self.error()
        return self.value - reach, self.value + reach

    def inside(self) -> NDArray[np.bool_]:
        """(...) whether no value of a share touches 0 or 1."""
        every = np.concatenate([self.value[None], self.without])
        return np.asarray(((every > 0) & (every < 1)).all(0))

    def logit(self) -> Jackknife:
        """The logits of shares; 0 where a value touches 0 or 1."""
        inside = self.inside()
        value, without = np.where(inside, self.value, 0.5), np.where(inside, self.without, 0.5)
        return Jackknife(logit(value), logit(without), self.sizes)

    def share_interval(self) -> tuple[Floats, Floats]:
        """The interval of a share, made on the logit scale where no value touches 0 or 1, else cut off at them."""
        inside, plain, logit = self.inside(), self.interval(), self.logit().interval()
        return (
            np.where(inside, 1 / (1 + np.exp(-logit[0])), plain[0].clip(0, 1)),
            np.where(inside, 1 / (1 + np.exp(-logit[1])), plain[1].clip(0, 1)),
        )

    def ratio_interval(self) -> tuple[Floats, Floats]:
        """The interval of a positive ratio, made on the logarithm; NaN where a value is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = Jackknife(np.log(self.value), np.log(self.without), self.sizes).interval()
            return np.exp(low), np.exp(high)

    def p_above(self, bound: float = 0.0) -> Floats:
        """(...) one-sided p-value of the value being above `bound`; 1 with fewer than two groups."""
        if self.freedom < 1:
            return np.ones(self.value.shape)
        error = self.error()
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.value - bound) / error
        t = np.where(error > 0, t, np.where(self.value > bound, np.inf, -np.inf))
        return np.where(np.isfinite(self.value), upper_tail(t, self.freedom), 1.0)


def logit(share: Floats) -> Floats:
    """(...) log odds of shares between 0 and 1.

    >>> float(logit(np.array(0.5)))
    0.0
    """
    return np.asarray(np.log(share) - np.log1p(-share))


def benjamini_hochberg(p: Floats) -> Floats:
    """(n,) p-values -> (n,) adjusted values: the smallest false discovery rate at which each is found (1995)."""
    n = len(p)
    if not n:
        return p
    order = np.argsort(p)
    scaled = p[order] * n / np.arange(1, n + 1)
    adjusted = np.minimum.accumulate(scaled[::-1])[::-1].clip(0, 1)
    out = np.empty(n)
    out[order] = adjusted
    return out
