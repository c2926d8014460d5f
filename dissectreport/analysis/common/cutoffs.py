"""The cut-offs that analyses share: what counts as interpretable, as significant, and as enough to be tested."""

from __future__ import annotations

import math

LEAST_CORRECTED_IOU = 0.04
"""A unit is interpretable from this chance-corrected IoU on."""
TWINS = 0.8
"""Concepts whose masks have a larger Jaccard index are twins, which count as one concept."""
Q = 0.05
"""What has a smaller p-value, after Benjamini-Hochberg, is significant."""
FEWEST_IMAGES = 20
"""A concept in fewer images of either half is not tested."""
UNSEEN = -math.log(0.025)
"""What n images do not show is there in so many of n with a probability of 2.5%: the rule of three (Hanley and
Lippman-Hand 1983)."""
FEWEST_GROUPS = 5
"""With fewer groups in the held-out half nothing is tested. The ends of a 95% bootstrap interval want more than 40
different resamples: four groups can be drawn in 35 ways, five in 126; three often give an interval of no width."""
