"""Samples whose image is not finite: another latent takes the place of theirs, in every pass alike.

A latent is the row of its sample in the series of its seed. If its image is not finite, the row of the same sample in a
reserve series takes its place, or in a second one if that image is not finite either. This draws from the latents whose
image is finite, as rejection sampling does. Which latent a sample has depends on the network, the seed and the sample
alone, so any division of the work gives the same bits. Few samples may be so; a network that fails often is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from dissectreport.errors import ModelError, counted
from dissectreport.models.base import makes_images
from dissectreport.networks.hooks import NotFinite, not_finite
from dissectreport.run import engine
from dissectreport.run.engine import Make
from dissectreport.worker.loaded_networks import Models

T = TypeVar("T")
R = TypeVar("R")

TOGETHER = 16
"""Images that are looked at together."""
FEW = 2
"""Samples of one piece of work that may have other latents, however small it is."""
SHARE = 1 / 8
"""Share of the samples of one piece of work that may have other latents."""
RESERVES = 4
"""Reserve series that are tried for a sample."""


def finite_work(make: Make[T, R]) -> Callable[[T], R]:
    """The work of a pass, in which samples without a finite image have other latents."""
    work = make()

    def finite(item: T) -> R:
        return _repeated(lambda: engine.kept().get(Models), lambda: work(item))

    return finite


def with_finite_images(models: Models, work: Callable[[], R]) -> R:
    """The result of some work, repeated with other latents as long as it meets images that are not finite.

    Raises the error that the work raises if all images are finite, and a ModelError if too many are not.
    """
    return _repeated(lambda: models, work)


def _repeated(loaded: Callable[[], Models | None], work: Callable[[], R]) -> R:
    """The same with networks that the work may have to load first."""
    models = loaded()
    if models is not None:
        models.forget_latents()
    while True:
        try:
            return work()
        except NotFinite as problem:
            models = loaded()
            if models is None or not makes_images(models.generator) or not _replace(models, problem):
                raise


def _replace(models: Models, problem: NotFinite) -> bool:
    """Give other latents to the samples that were drawn and have no finite image; whether there are any."""
    bad = _without_image(models)
    for seed, sample in bad:
        models.replaced[seed, sample] = models.replaced.get((seed, sample), 0) + 1
    drawn, replaced = len(models.drawn), len(models.replaced)
    if replaced > max(FEW, SHARE * drawn) or max(models.replaced.values(), default=0) > RESERVES:
        raise ModelError(f"{problem.where}, and {replaced:,} of {counted(drawn, 'image')} are not; {problem.remedy}")
    return bool(bad)


def _without_image(models: Models) -> list[tuple[int, int]]:
    """The seeds and samples, of those drawn, whose image is not finite."""
    bad, drawn = [], sorted(models.drawn)
    for first in range(0, len(drawn), TOGETHER):
        part = drawn[first : first + TOGETHER]
        z = torch.cat([models.latents(seed, sample, 1) for seed, sample in part])
        with torch.no_grad():
            images = models.call_generator(z, lambda z=z: models.generator(z))  # type: ignore[misc]
        bad += [part[row] for row in not_finite(images)]
    return bad
