"""The passes over the images of a run: those that pages show, and real ones to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dissectreport.cache.reader import packed_stats, save, shard_name
from dissectreport.cache.store import Store, digest
from dissectreport.errors import ModelError, answered
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.records.dissection import SegmentedImages
from dissectreport.run import engine
from dissectreport.run.plan import FORMAT
from dissectreport.run.shards import SHARD, Shard, shards
from dissectreport.stats.peaks import Peaks

if TYPE_CHECKING:
    from dissectreport.worker.loaded_networks import Source

LOOKUP = 12
"""Images in which a reader can look up which units are active."""
TRUST = 12
"""Images whose segmentation is shown."""
REAL = 528
"""Real images in which concepts are counted, to compare with those of generated images."""


@dataclass(frozen=True)
class ImagePasses:
    """The passes that show images and count concepts in real ones."""

    job: Job
    source: Source
    """The networks, as the rule of the run reads them."""
    runner: PassRunner
    workers: engine.Workers
    reporter: Reporter

    def make_pictures(self, counts: Mapping[str, str]) -> str:
        """The folder with the images, maps and segmentations that pages show."""
        from dissectreport.analysis.dissection.examples import examples
        from dissectreport.worker.pictures import ShownSamples, make_pictures

        job, parts = self.job, shards(self.job.samples, self.job.plan.shard)
        peaks = {
            layer: self.runner.total(Store(self.runner.cache / name), parts, Peaks) for layer, name in counts.items()
        }
        by_layer = {layer: examples(layer_peaks)[1] for layer, layer_peaks in peaks.items()}
        pool = np.random.RandomState(2).permutation(job.samples)[: max(LOOKUP, TRUST)]
        chosen = [np.sort(pool[:LOOKUP]), np.sort(pool[:TRUST])]
        samples = np.unique(np.concatenate([*(numbers.flatten() for numbers in by_layer.values()), *chosen]))
        store = self.runner.open("pictures", {**job.plan.facts(), "shown": digest({"samples": samples, **by_layer})})
        make = partial(make_pictures, self.source, job.plan, ShownSamples(samples, by_layer, *chosen))
        self.runner.save_values(store, make, shards(len(samples), SHARD), shard_name, Task.PICTURES, "samples")
        return store.folder.name

    def _real_facts(self) -> dict[str, Any]:
        """What measurements of real images depend on, besides the pass."""
        job, plan = self.job, self.job.plan
        images = plan.generator if job.reference is None else job.reference.identity
        return {"format": FORMAT, "images": images, "segmenter": plan.segmenter, "torch": plan.torch}

    def segment_real_images(self) -> str:
        """The folder with segmented real images, of the reference or of the generator."""
        from dissectreport.worker.real_images import make_segmented_images

        store = self.runner.open("segmented", {**self._real_facts(), "count": TRUST})
        if not self.runner.is_intact(store, SegmentedImages.FILE):
            for _, images in self.workers.run(
                partial(make_segmented_images, self.job.source, TRUST), [Shard(0, 0, 1)], "labelling some real images"
            ):
                save(store, images)
        return store.folder.name

    def count_real_images(self) -> Mapping[str, Any]:
        """The folder with the areas of concepts in real images, and the number of images; empty without any."""
        from dissectreport.models.base import makes_images
        from dissectreport.worker.real_images import make_real_areas

        job, plan, count = self.job, self.job.plan, real_images(self.job)
        if not count:
            if makes_images(job.generator):
                self.reporter.say(
                    f"no comparison with real images: {job.generator.name} has none of its own; add --reference FOLDER"
                )
            return {}
        store = self.runner.open("real areas", {**self._real_facts(), "grid": plan.grid})
        make = partial(make_real_areas, job.source, plan, count)
        for shard, stats in self.runner.results(
            make,
            self.runner.missing(store, parts := shards(count, SHARD), shard_name),
            parts,
            Task.REAL_CONCEPTS,
        ):
            store.save(shard_name(shard), packed_stats(*stats.values()))
        return {"folder": store.folder.name, "images": count}


def real_images(job: Job) -> int:
    """In how many real images concepts are counted, no more than are generated; 0 where there are none to compare."""
    from dissectreport.models.base import makes_images

    if not makes_images(job.generator):
        return 0
    if job.reference is not None:
        return min(REAL, job.samples, len(job.reference.order(0)))
    who = f"generator {job.generator.name!r} failed to give a real image"
    image = answered(ModelError, who, lambda: job.generator.training_like_images(1))
    return min(REAL, job.samples) if image is not None else 0
