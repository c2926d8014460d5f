"""The network that a Paint page runs, and one painted image as that page makes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dissectreport.cache.reader import CacheReader
from dissectreport.cache.records import Record
from dissectreport.errors import BadOption, ExportError, ModelError
from dissectreport.pipeline.loading import middle
from dissectreport.pipeline.options import NetworkOptions
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.records.painting import PaintedNetwork, PaintRecord
from dissectreport.run.engine import Workers
from dissectreport.stats.areas import Areas

if TYPE_CHECKING:
    from dissectreport.models.strokes import PaintedEdits
    from dissectreport.worker.painting import PaintRequest

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""What the optional dependency dissectreport[paint] installs."""
GALLERY = 24
"""Latents that a page offers to paint on."""
EACH = 3
"""How many of them are chosen for each studied concept."""
FORMAT = 3
"""Raised where the same network is exported in another way."""


def missing_packages() -> str:
    """Why nothing can be exported here, in words; '' where it can."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if not missing:
        return ""
    return f"not installed: {', '.join(missing)}; pip install 'dissectreport[paint]' installs what it needs"


def is_painted(job: Job) -> bool:
    """Whether the network of a run is exported: where that is asked for; else for embedded models, if not quick."""
    from dissectreport.models.base import makes_images

    wanted = job.options.paint
    if wanted is None:
        return not job.options.quick and "card" in job.generator.facts and makes_images(job.generator)
    if wanted and not makes_images(job.generator):
        raise ModelError(f"{job.generator.name} reads images and makes none, so nothing can be painted; use --no-paint")
    if wanted and missing_packages():
        raise BadOption(f"--paint is not possible: {missing_packages()}")
    if job.options.photos and not wanted:
        raise BadOption(f"--photo {job.options.photos[0]} is for the Paint page; add --paint")
    return wanted


def check_photos(job: Job) -> None:
    """Refuse photos that cannot be read, are of another model, or have the name of another one."""
    from dissectreport.models.inverted import read_inverted

    names = [Path(photo).stem for photo in job.options.photos]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise BadOption(f"two photos are called {twice}; rename one of the files")
    for photo in job.options.photos:
        with read_inverted(photo).on(job.generator):
            pass


def exported(job: Job, record: Record, workers: Workers, reporter: Reporter) -> tuple[PaintRecord, set[str]]:
    """The exported network, or why there is none, and the folders with what was measured for it."""
    layer = record.interventions.key.layer if record.interventions is not None else middle(job.layers)
    if missing_packages():
        return PaintRecord(layer, "", missing_packages()), set()
    from dissectreport.worker.painting import make_painting

    runner = PassRunner(job.options.cache, "cpu", workers, reporter)
    request = replace(paint_request(record, CacheReader(runner.cache), layer), photos=job.options.photos)
    store = runner.open("painting", facts_of(job, request))
    make = partial(make_painting, job.source)
    try:
        runner.save_values(store, make, [request], lambda _: PaintedNetwork.FILE, Task.EXPORT, "networks")
    except ExportError as error:
        return PaintRecord(layer, "", str(error)), set()
    return PaintRecord(layer, store.folder.name), runner.folders


def facts_of(job: Job, request: PaintRequest) -> dict[str, object]:
    """Everything that could change the bytes of the exported files."""
    networks = {"generator": job.plan.generator, "segmenter": job.plan.segmenter, "torch": job.plan.torch}
    digests = [hashlib.sha256(Path(photo).read_bytes()).hexdigest() for photo in request.photos]
    photos = {"photos": [[Path(photo).stem, digest] for photo, digest in zip(request.photos, digests, strict=True)]}
    return {"format": FORMAT, **networks, **vars(request), **photos, **{name: version(name) for name in PACKAGES}}


def paint_request(record: Record, reader: CacheReader, layer: str) -> PaintRequest:
    """What is exported of a measured model: its gallery is chosen by the areas of concepts in the measured images."""
    from dissectreport.worker.painting import PaintRequest

    key = None if record.interventions is None else record.interventions.key
    areas = reader.total(record.layers[0].counts, record.samples, record.plan["shard"], Areas)
    # The page draws latents anew, so it shows no sample that has another one than its own.
    own = areas.without(record.generator.get("replaced", ()))
    gallery = chosen_latents(own, () if key is None else key.concepts)
    return PaintRequest(layer, record.plan["seed"], gallery, () if key is None else key.contexts)


def chosen_latents(areas: Areas, concepts: Sequence[int], count: int = GALLERY) -> tuple[int, ...]:
    """Rising numbers of samples: for each concept those with most of it, and then samples at equal distances."""
    chosen: dict[int, None] = {}
    for turn in range(EACH):
        for concept in concepts:
            pixels = areas.pixels[:, np.flatnonzero(areas.concepts == concept)[0]]
            for row in np.argsort(-pixels, kind="stable").tolist():
                if areas.samples[row] not in chosen and pixels[row] and len(chosen) < count * (turn + 1) // EACH:
                    chosen[int(areas.samples[row])] = None
                    break
    others = [int(sample) for sample in areas.samples if sample not in chosen]
    step = max(1, len(others) // max(1, count - len(chosen)))
    chosen |= dict.fromkeys(others[::step][: max(0, count - len(chosen))])
    return tuple(sorted(chosen))


def edited_image(
    options: NetworkOptions,
    edits: PaintedEdits,
    latent: int | None = None,
    seed: int | None = None,
    other_weights: bool = False,
    photo: Path | None = None,
) -> NDArray[np.uint8]:
    """(height, width, 3) the image of a latent after the strokes; latent and seed are those of the edits by default.

    With `photo`, a file that `invert` wrote, the strokes are on that photo.

    edits = read_painted("edits.json")                              # from dissectreport.models.strokes
    pixels = edited_image(Options("scenes_pgan"), edits, latent=3)
    """
    import torch

    from dissectreport.models.base import makes_images
    from dissectreport.models.inverted import read_inverted
    from dissectreport.models.strokes import painted
    from dissectreport.worker.loaded_networks import Source
    from dissectreport.worker.pictures import as_bytes

    number, seed = edits.latent if latent is None else latent, edits.seed if seed is None else seed
    if not 0 <= seed < 2**32:
        raise BadOption(f"--seed must be between 0 and {2**32 - 1}, not {seed}")
    if number < 0:
        raise BadOption(f"--latent must be at least 0, not {number}")
    models = Source(options.model, "", weights=options.weights).models()
    if not makes_images(models.generator):
        raise ModelError(f"{models.generator.name} reads images and makes none, so nothing can be painted")
    z = models.latents(seed, number, 1)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if photo is not None:
            inverted = read_inverted(photo)
            stack.enter_context(inverted.on(models.generator, other_weights))
            z = inverted.latent
        stack.enter_context(painted(models.generator, edits, other_weights))
        return np.asarray(as_bytes(models.images(z, number))[0])
