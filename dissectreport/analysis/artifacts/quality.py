"""Distances between generated and real images in the features of a network, with intervals.

    reference = Reference.of(real_features)                       # (N, d); every set is judged on its scale
    before, after = (judge(real=reference.side(n), generated=reference.scaled(f)) for f in (features, edited))
    before.estimates()["kernel_distance"]                         # value and 95% interval
    after.change_from(before)["kernel_distance"]                  # paired: the same latents with and without an edit
    reference.against_itself(n)                                   # real images against other real ones

Both sides have as many images, because all measures but the kernel distance depend on how many there are. Image i of
either side is in group i modulo 20, and intervals come from balanced halves of the groups, the same on both sides. A
bootstrap would not do: its duplicates are each other's nearest neighbours, and shrink covariances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.common.halves import Halved, whole_and_halves
from dissectreport.analysis.results.artifacts import QualityMeasure
from dissectreport.errors import BadOption
from dissectreport.run.budgets import FEWEST_SCORED
from dissectreport.run.shards import GROUPS
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.features import FeatureScale

MEASURES: Mapping[str, str] = {
    QualityMeasure.KERNEL_DISTANCE: "unbiased squared maximum mean discrepancy, kernel (x·y/d + 1)³ "
    "(KID; Binkowski et al. 2018)",
    QualityMeasure.FRECHET_DISTANCE: "distance of the normal distributions with the two means and covariances "
    "(FID; Heusel et al. 2017)",
    QualityMeasure.PRECISION: "share of generated images within reach of a real one (Kynkäänniemi et al. 2019); an "
    "image reaches to its fifth nearest neighbour of its own kind",
    QualityMeasure.RECALL: "share of real images within reach of a generated one (Kynkäänniemi et al. 2019)",
    QualityMeasure.DENSITY: "mean number of real images that reach a generated one, divided by 5 (Naeem et al. 2020)",
    QualityMeasure.COVERAGE: "share of real images that reach a generated one (Naeem et al. 2020)",
}
"""What every measure means."""

SHARES = (QualityMeasure.PRECISION, QualityMeasure.RECALL, QualityMeasure.COVERAGE)
NEIGHBOURS = 5
FEWEST = FEWEST_SCORED
"""Images on each side behind any figure: with fewer, a half would leave hardly more than the neighbours."""
FEWEST_FOR_COVARIANCE = 1000
PER_DIMENSION = 5
"""Images for each dimension of the features, behind a covariance."""
ROWS = 512
"""Images that are compared with all others at a time: what bounds memory."""
ROUNDING = 1e-10
"""Squared distances that differ by less, relative to the squared lengths, are equal: those of equal images must be."""


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure and the ends of its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ImageQuality:
    """The quality of a set of images, compared with real ones."""

    images: int
    """Images on each side."""
    dimension: int
    """Length of the features."""
    measures: Mapping[str, Halved]
    """By name, those of `MEASURES`; without the Fréchet distance where the images are too few for a covariance."""

    def estimates(self) -> dict[str, IntervalEstimate]:
        """Every figure with its interval; shares stay within 0 and 1."""
        ends = {name: m.share_interval() if name in SHARES else m.interval() for name, m in self.measures.items()}
        return {name: _estimate(self.measures[name], *end) for name, end in ends.items()}

    def change_from(self, before: ImageQuality) -> dict[str, IntervalEstimate]:
        """The change of every figure, paired: image i of both sets comes from the same latent."""
        assert (self.images, self.dimension) == (before.images, before.dimension), "the same latents, before and after"
        changes = {name: after.minus(before.measures[name]) for name, after in self.measures.items()}
        return {name: _estimate(change, *change.interval()) for name, change in changes.items()}

    @property
    def note(self) -> str:
        """A sentence that the page must show with these figures; '' for none."""
        return too_few_for_covariance(self.images, self.dimension)


def _estimate(figure: Halved, low: Floats, high: Floats) -> IntervalEstimate:
    return IntervalEstimate(float(figure.value), float(low), float(high))


# --- the two sides -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImageSet:
    """One of the two sets of images that are compared."""

    features: Floats
    """(n, d)"""

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """(39, n) whether an image is there: first all, then each half."""
        return whole_and_halves(len(self.features))

    @cached_property
    def members(self) -> Floats:
        """(n, 20) 1 where an image is in the group."""
        return np.eye(GROUPS)[np.arange(len(self.features)) % GROUPS]

    @cached_property
    def kernels(self) -> Floats:
        """(39,) mean of the kernel over pairs of two different images."""
        own = np.diag(self.members.T @ cubed((self.features**2).sum(1), self.features.shape[1]))
        count = self.kept.sum(1)
        return np.asarray(over_halves(kernel_sums(self, self) - own) / (count * (count - 1)))

    @cached_property
    def reach(self) -> Floats:
        """(39, n) squared distance to the fifth nearest other image; of those that are not there, none."""
        return reaches(self)

    def normals(self) -> Iterator[tuple[Floats, Floats]]:
        """Mean (d,) and covariance (d, d) of all images, then of each half."""
        # Sums around one centre: those of a complement are what the half leaves, without losing digits.
        centre = self.features.mean(axis=0)
        rows = self.features - centre
        whole = Moments.of(rows)
        yield whole.normal(centre)
        for half in self.kept[1::2]:
            part = Moments.of(rows[half])
            yield part.normal(centre)
            yield whole.without(part).normal(centre)


@dataclass(frozen=True)
class Moments:
    """Sums over images from which means and covariances follow."""

    count: int
    total: Floats
    """(d,)"""
    outer: Floats
    """(d, d)"""

    @classmethod
    def of(cls, rows: Floats) -> Moments:
        """The sums over rows (n, d)."""
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows)

    def without(self, part: Moments) -> Moments:
        """The sums over the other rows."""
        return Moments(self.count - part.count, self.total - part.total, self.outer - part.outer)

    def normal(self, centre: Floats) -> tuple[Floats, Floats]:
        """Mean (d,) and unbiased covariance (d, d) of rows that had `centre` taken from them."""
        mean = self.total / self.count
        return centre + mean, (self.outer - self.count * np.outer(mean, mean)) / (self.count - 1)


@dataclass(frozen=True)
class Reference:
    """The features of all real images, and the scale on which every set is judged."""

    features: Floats
    """(N, d) on that scale."""
    scale: FeatureScale
    first: int = 0
    """Place of the first of them among the real images of a run."""

    @classmethod
    def of(cls, real: NDArray[Any], scale: FeatureScale | None = None) -> Reference:
        """The reference of real features (N, d); the scale is theirs unless another is given."""
        _check_rows("real", real)
        scale = scale or FeatureScale.of(real)
        return cls(scale(real), scale)

    def without(self, images: int) -> Reference:
        """The real images used for selection: those that do not score, or all of them if too few would remain."""
        rest = self.features[images:]
        return Reference(rest, self.scale, images) if len(rest) >= FEWEST else self

    def side(self, images: int) -> ImageSet:
        """The first real images."""
        if images > len(self.features):
            raise BadOption(
                f"{images:,} generated images, but {len(self.features):,} real ones; as many of both are compared: "
                f"give {images:,} real images or more, or compare {len(self.features):,}"
            )
        return ImageSet(self.features[:images])

    def scaled(self, features: NDArray[Any]) -> ImageSet:
        """Generated features (n, d), as they come from the network, as the other side."""
        return ImageSet(self.scale(features))

    def against_itself(self, images: int) -> ImageQuality:
        """Real images against other real ones, `images` on each side or half of those that there are."""
        count = min(images, len(self.features) // 2)
        return measure_quality(real=self.side(count), generated=ImageSet(self.features[count : 2 * count]))


def measure_quality(*, real: ImageSet, generated: ImageSet) -> ImageQuality:
    """The quality of the generated images by every measure that their number allows."""
    _check(real, generated)
    images, dimension = real.features.shape
    distances: dict[str, Floats] = {QualityMeasure.KERNEL_DISTANCE: kernel_distances(real=real, generated=generated)}
    if not too_few_for_covariance(images, dimension):
        distances[QualityMeasure.FRECHET_DISTANCE] = frechet_distances(real=real, generated=generated)
    distances |= neighbourhoods(real=real, generated=generated)
    return ImageQuality(images, dimension, {name: Halved.of(values) for name, values in distances.items()})


def too_few_for_covariance(images: int, dimension: int) -> str:
    """Why the Fréchet distance is not given, in a sentence; '' if it is."""
    needed = max(FEWEST_FOR_COVARIANCE, PER_DIMENSION * dimension)
    if images >= needed:
        return ""
    return (
        f"FID is not computed: with {dimension:,} features it needs at least {needed:,} images on each side, "
        f"and there are {images:,}."
    )


def _check(real: ImageSet, generated: ImageSet) -> None:
    for name, side in (("real", real), ("generated", generated)):
        _check_rows(name, side.features)
    sizes = len(real.features), len(generated.features)
    if sizes[0] != sizes[1]:
        raise BadOption(
            f"{sizes[0]:,} real images and {sizes[1]:,} generated ones; measures of quality depend on the number, "
            f"so compare {min(sizes):,} of both"
        )
    lengths = real.features.shape[1], generated.features.shape[1]
    if lengths[0] != lengths[1]:
        raise BadOption(
            f"real features of length {lengths[0]:,} and generated ones of length {lengths[1]:,} do not compare; "
            "make both with the same network"
        )


def _check_rows(name: str, features: NDArray[Any]) -> None:
    if len(features) < FEWEST:
        raise BadOption(
            f"{len(features)} {name} image{'s' * (len(features) != 1)}; distances between sets of images need "
            f"at least {FEWEST} on each side"
        )
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise BadOption(
            f"the features of {name} image {int(bad.argmax())} are not finite; check the image and the network"
        )


# --- kernel distance -----------------------------------------------------------------------------------------


def cubed(products: Floats, dimension: int) -> Floats:
    """The cubic kernel from the products x·y of features of this length."""
    base = products / dimension + 1
    return base * base * base


def kernel_sums(first: ImageSet, second: ImageSet) -> Floats:
    """(20, 20) sums of the kernel over all pairs, by the groups of both."""
    sums = np.zeros((GROUPS, GROUPS))
    for rows in blocks(len(first.features)):
        kernel = cubed(first.features[rows] @ second.features.T, first.features.shape[1])
        sums += first.members[rows].T @ (kernel @ second.members)
    return sums


def over_halves(sums: Floats) -> Floats:
    """(20, 20) sums over pairs of groups -> (39,) those over all groups, then over each half."""
    kept = whole_and_halves(GROUPS).astype(np.float64)
    return np.asarray(np.einsum("hg,gf,hf->h", kept, sums, kept))


def kernel_distances(*, real: ImageSet, generated: ImageSet) -> Floats:
    """(39,) the unbiased distance over all images, then over each half; the sides may differ in number."""
    across = over_halves(kernel_sums(real, generated)) / (real.kept.sum(1) * generated.kept.sum(1))
    return np.asarray(real.kernels + generated.kernels - 2 * across)


# --- Fréchet distance ----------------------------------------------------------------------------------------


def frechet_distances(*, real: ImageSet, generated: ImageSet) -> Floats:
    """(39,) the distance over all images, then over each half."""
    pairs = zip(real.normals(), generated.normals(), strict=True)
    return np.array([frechet_distance(*first, *second) for first, second in pairs])


def frechet_distance(mean: Floats, covariance: Floats, other_mean: Floats, other_covariance: Floats) -> float:
    """|m - m'|² + tr(C + C' - 2 (C C')^½) of two normal distributions (Dowson & Landau 1982).

    C C' has the eigenvalues of the symmetric C^½ C' C^½. These need no square root of a general matrix, and those
    that rounding puts below zero are distinguished from the others.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(min=0)).sum()
    apart = mean - other_mean
    return float(apart @ apart + np.trace(covariance) + np.trace(other_covariance) - 2 * shared)


# --- neighbourhoods ------------------------------------------------------------------------------------------


def neighbourhoods(*, real: ImageSet, generated: ImageSet) -> dict[str, Floats]:
    """By measure (39,) figures over all images, then over each half."""
    of_generated, of_real = within_reach(points=generated, centres=real)
    covered, _ = within_reach(points=real, centres=generated)
    return {
        QualityMeasure.PRECISION: mean_of(of_generated > 0, generated.kept),
        QualityMeasure.RECALL: mean_of(covered > 0, real.kept),
        QualityMeasure.DENSITY: mean_of(of_generated, generated.kept) / NEIGHBOURS,
        QualityMeasure.COVERAGE: mean_of(of_real > 0, real.kept),
    }


def mean_of(counts: NDArray[Any], kept: NDArray[np.bool_]) -> Floats:
    """(39, n) -> (39,) means over the images that are there."""
    return np.asarray((counts * kept).sum(1) / kept.sum(1))


def within_reach(*, points: ImageSet, centres: ImageSet) -> tuple[Ints, Ints]:
    """(39, n) how many centres have each point within reach, and (39, n) how many points each centre has."""
    of_points, of_centres = np.zeros(points.kept.shape, np.int64), np.zeros(centres.kept.shape, np.int64)
    for rows in blocks(len(points.features)):
        distances = squared_distances(points.features[rows], centres.features)
        for row, kept in enumerate(points.kept[:, rows]):
            inside = distances <= centres.reach[row]
            of_points[row, rows] = inside.sum(1)
            of_centres[row] += inside[kept].sum(0)
    return of_points, of_centres


def reaches(side: ImageSet) -> Floats:
    """(39, n) squared distance to the fifth nearest other image that is there; -inf for those that are not."""
    squared_reach = np.full(side.kept.shape, -np.inf)
    for rows in blocks(len(side.features)):
        distances = squared_distances(side.features[rows], side.features)
        np.fill_diagonal(distances[:, rows], np.inf)
        for row, kept in enumerate(side.kept):
            present = np.flatnonzero(kept[rows])
            nearest = np.partition(distances[np.ix_(present, kept)], NEIGHBOURS - 1, axis=1)
            squared_reach[row, rows.start + present] = nearest[:, NEIGHBOURS - 1]
    lengths = (side.features**2).sum(1)
    return np.asarray(squared_reach + ROUNDING * (lengths + lengths.mean()))


def squared_distances(rows: Floats, columns: Floats) -> Floats:
    """(n, d) and (m, d) -> (n, m)"""
    lengths = (rows**2).sum(1)[:, None] + (columns**2).sum(1)
    return np.asarray(lengths - 2 * rows @ columns.T)


def blocks(images: int) -> Iterator[slice]:
    """Consecutive rows, few enough to be compared with all others at once."""
    for first in range(0, images, ROWS):
        yield slice(first, min(first + ROWS, images))
