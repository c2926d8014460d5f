"""Drawings, and what every pixel of them shows: the data of the embedded networks.

    drawing = draw(seed=0, number=7, subject="rooms")
    drawing.image                                   # (128, 128, 3) uint8
    drawing.labels                                  # (3, 128, 128) uint8: object, part, material; 0 = none

A drawing is a pure function of (subject, seed, number), so no data set has to be kept or shipped.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import numpy
from PIL import Image

from dissectreport.drawings.brush import Brush, Bytes, Drawing
from dissectreport.drawings.churches import CHURCHES
from dissectreport.drawings.rooms import ROOMS
from dissectreport.drawings.scenes import SCENES

SUBJECTS = {subject.name: subject for subject in (SCENES, ROOMS, CHURCHES)}
SUPERSAMPLING = 3
SHARD = 1000
HELD_OUT_SEED = 1_000_003
"""A series of drawings of which no network sees any in training."""


def draw(seed: int, number: int, size: int = 128, subject: str = "scenes") -> Drawing:
    """Drawing `number` of the endless series `seed`, `size` pixels high and wide."""
    shown = SUBJECTS[subject]
    brush = Brush(numpy.random.default_rng((seed, number)), size * SUPERSAMPLING, shown.pieces)
    image = Image.fromarray(shown.paint(brush)).resize((size, size), Image.Resampling.BOX)
    pieces = brush.pieces.resize((size, size), Image.Resampling.NEAREST)
    labels = shown.numbers[numpy.asarray(pieces)].transpose(2, 0, 1)
    return Drawing(numpy.asarray(image), numpy.ascontiguousarray(labels))


def draw_many(seed: int, numbers: Iterable[int], size: int = 128, subject: str = "scenes") -> Drawing:
    """The drawings stacked: image (n, h, w, 3) and labels (n, 3, h, w)."""
    drawings = [draw(seed, number, size, subject) for number in numbers]
    return Drawing(numpy.stack([each.image for each in drawings]), numpy.stack([each.labels for each in drawings]))


def cached_drawings(
    folder: Path, seed: int, count: int, size: int = 128, subject: str = "scenes", workers: int = 2
) -> list[Path]:
    """The files of the first `count` drawings, SHARD a file, drawn now where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, subject, seed, first, min(SHARD, count - first), size) for first in range(0, count, SHARD)]
    missing = [job for job in jobs if not _file_of(job).exists()]
    if len(missing) > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_draw_file, missing))
    else:
        for job in missing:
            _draw_file(job)
    return [_file_of(job) for job in jobs]


Job: TypeAlias = tuple[Path, str, int, int, int, int]


def _file_of(job: Job) -> Path:
    folder, subject, seed, first, count, size = job
    return folder / f"{subject}_{size}px_seed{seed}_{first:06d}_{count}.npz"


def _draw_file(job: Job) -> None:
    _, subject, seed, first, count, size = job
    drawing = draw_many(seed, range(first, first + count), size, subject)
    unfinished = _file_of(job).with_suffix(f".{os.getpid()}.npz")
    numpy.savez(unfinished, image=drawing.image, labels=drawing.labels)
    unfinished.replace(_file_of(job))


def load_drawings(
    folder: Path, seed: int, count: int, size: int = 128, subject: str = "scenes", workers: int = 2
) -> Drawing:
    """The first `count` drawings: image (n, h, w, 3) and labels (n, 3, h, w)."""
    paths = cached_drawings(folder, seed, count, size, subject, workers)
    return Drawing(_concatenated(paths, "image"), _concatenated(paths, "labels"))


def load_images(
    folder: Path, seed: int, count: int, size: int = 128, subject: str = "scenes", workers: int = 2
) -> Bytes:
    """The images of the first `count` drawings, (n, h, w, 3)."""
    return _concatenated(cached_drawings(folder, seed, count, size, subject, workers), "image")


def _concatenated(paths: Sequence[Path], name: str) -> Bytes:
    arrays = []
    for path in paths:
        with numpy.load(path, allow_pickle=False) as file:
            arrays.append(file[name])
    return numpy.concatenate(arrays)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the drawings")
    parser.add_argument("--subject", choices=SUBJECTS, default=SCENES.name, help="what to draw")
    parser.add_argument("--count", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    cached_drawings(options.out, options.seed, options.count, subject=options.subject)


if __name__ == "__main__":
    main()
