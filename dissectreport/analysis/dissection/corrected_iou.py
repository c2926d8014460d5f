"""The chance-corrected IoU with its interval and its test, on a scale on which its error is about constant.

With the chance level held at c, a chance-corrected IoU x lies between -c / (1 - c), no overlap at all, and 1. Then
x (1 - c) + c is a share, the IoU itself, and its logit is what intervals and tests are made of. On the plain scale
intervals of weak matches and of rare concepts are too short below and too long above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dissectreport.analysis.common.jackknife import Jackknife, logit
from dissectreport.analysis.common.student import upper_tail
from dissectreport.stats.base import Floats, Ints


@dataclass(frozen=True)
class CorrectedIoU:
    """Chance-corrected IoUs over all groups and without each, and the chance levels over all groups."""

    jackknife: Jackknife
    chance_level: Floats
    """(...) shaped like the values."""

    def at(self, rows: Ints, columns: Ints) -> CorrectedIoU:
        """Those of pairs of a unit and a concept column; rows and columns broadcast."""
        jack = self.jackknife
        return CorrectedIoU(jack.at(rows, columns), self.chance_level[rows, columns])

    def interval(self) -> tuple[Floats, Floats]:
        """(...) ends of the 95% interval; NaN with fewer than two groups."""
        low, high = self.as_shares().share_interval()
        return self.of_iou(low), self.of_iou(high)

    def p_above(self, bound: float, value: Floats | None = None) -> Floats:
        """(...) one-sided p-value of being above `bound`, of the values or of other ones with the same errors."""
        jack = self.jackknife
        if jack.freedom < 1:
            return np.ones(jack.value.shape)
        value = jack.value if value is None else value
        shares = self.as_shares()
        even = shares.logit()
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = logit(self._share(value)) - logit(self._share(np.full(value.shape, bound)))
            t = np.where(shares.inside(), distance / even.error(), (value - bound) / jack.error())
        t = np.where(np.isfinite(t), t, np.where(value > bound, np.inf, -np.inf))
        return np.where(np.isfinite(value), upper_tail(t, jack.freedom), 1.0)

    def as_shares(self) -> Jackknife:
        """The IoUs that the values have at their chance levels."""
        jack = self.jackknife
        return Jackknife(self._share(jack.value), self._share(jack.without), jack.sizes)

    def _share(self, corrected: Floats) -> Floats:
        return np.asarray(corrected * (1 - self.chance_level) + self.chance_level)

    def of_iou(self, share: Floats) -> Floats:
        """(...) the chance-corrected values of IoUs, at the same chance levels."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((share - self.chance_level) / (1 - self.chance_level))
