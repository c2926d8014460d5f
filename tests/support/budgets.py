"""Small numbers of images for passes, with which planted artifact units are still found."""

from __future__ import annotations

from dissectreport.run.budgets import ArtifactBudget

TINY_ARTIFACTS = ArtifactBudget(
    "tiny",
    real=480,
    side=320,
    dissected=96,
    gradients=64,
    tested=96,
    retested=160,
    size_selection=104,
    control=3,
    bottom=2,
    scored=240,
    sizes=(2, 5),
    random_sets=3,
    random_scored=100,
    worst=4,
    pairs=6,
)
