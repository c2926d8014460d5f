"""One record's counts and pictures, as each analysis wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dissectreport.analysis.dissection import published_rules
from dissectreport.analysis.dissection.counted import UNITS_AT_ONCE, Counted, no_shards
from dissectreport.analysis.dissection.label_error import (
    LabelError,
    disagreements,
    label_errors,
)
from dissectreport.analysis.dissection.spike_in import spike_in
from dissectreport.analysis.dissection.units import Units
from dissectreport.analysis.real_images import reality
from dissectreport.analysis.results.dissection import (
    Trust,
    TrustSource,
)
from dissectreport.analysis.results.real_images import Reality
from dissectreport.analysis.results.spike_in import SpikeIn
from dissectreport.analysis.results.words import WordFacts, no_units
from dissectreport.analysis.words import units_of_words, word_columns
from dissectreport.records.dissection import SegmentedImages, ShownPictures, StoredThresholds
from dissectreport.records.reader import EVERYTHING, Portion, Reader, S
from dissectreport.records.replication import SegmenterAgreement
from dissectreport.records.words import WordVectors
from dissectreport.run.plan import Plan
from dissectreport.run.rules import rule_named
from dissectreport.run.shards import SHARD, Shard, even_groups, shards
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints, merge_all
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import Cross
from dissectreport.stats.joint import Joint, JointTotals
from dissectreport.stats.label_sets import LabelSets
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.spikes import Spikes
from dissectreport.vocabulary import Concept

if TYPE_CHECKING:
    from dissectreport.cache.records import LayerRecord, Record


class RecordSource:
    """One record's counts and pictures."""

    def __init__(self, record: Record, plan: Plan, reader: Reader) -> None:
        self.record, self.plan, self.reader = record, plan, reader
        self.rule = rule_named(plan.rule)
        self.groups = even_groups(len(shards(record.samples, plan.shard)))

    def stats(self, folder: str, kind: type[S], portion: Portion = EVERYTHING) -> Iterator[tuple[Shard, S]]:
        """Each shard with one of its statistics."""
        return self.reader.stats(folder, self.record.samples, self.plan.shard, kind, portion)

    def by_group(self, kind: type[S], folder: str, portion: Portion = EVERYTHING) -> Iterator[tuple[int, S]]:
        """Each shard's group with one of its statistics."""
        return ((self.groups[shard.number], stat) for shard, stat in self.stats(folder, kind, portion))

    def chances(self, folder: str, portion: Portion = EVERYTHING) -> Iterator[tuple[int, Chance]]:
        """Each shard's group with its counts against chance."""
        return self.by_group(Chance, folder, portion)

    def neighbours(self, folder: str, portion: Portion) -> Iterator[Neighbours]:
        """Each shard's counts against neighbours."""
        return (stat for _, stat in self.stats(folder, Neighbours, portion))

    def counted(self, layer: LayerRecord) -> Counted:
        """All that was counted of a layer."""
        stored = self.reader.read(layer.thresholds, StoredThresholds)
        halves: dict[int, JointTotals] = {}
        for shard, stat in self.stats(layer.counts, JointTotals):
            half = shard.number % 2
            halves[half] = halves[half].merge(stat) if half in halves else stat
        whole, published = merge_all(halves.values()), self.rule.is_published
        held_out = None if published else max(halves)
        return Counted(
            name=layer.name,
            shape=stored.shape,
            thresholds=stored.thresholds,
            chances=partial(self.chances, layer.counts),
            totals=whole,
            held_out=whole if held_out is None else halves[held_out],
            bins_of=partial(self.bins_of, layer.counts, held_out),
            cross=merge_all(stat for _, stat in self.stats(layer.counts, Cross)),
            peaks=merge_all(stat for _, stat in self.stats(layer.counts, Peaks)),
            random_directions=tuple(partial(self.chances, folder) for folder in layer.random_directions),
            untrained=partial(self.chances, layer.untrained),
            pixels=self.plan.chance_grid**2,
            neighbours=no_shards if published else partial(self.neighbours, layer.counts),
            label_sets=no_shards if published else partial(self.by_group, LabelSets, layer.counts),
        )

    def label_errors(self) -> dict[Concept, LabelError]:
        """How good the segmenter's labels are, by its card, or else by what a second segmenter says."""
        folder, known = self.record.replication, label_errors(self.record.segmenter)
        if not folder or SegmenterAgreement.FILE not in self.reader.names(folder):
            return known
        return {**disagreements(self.reader.read(folder, SegmenterAgreement)), **known}

    def bins_of(self, folder: str, half: int | None, numbers: Ints) -> Ints:
        """(units, bins) pixels that show each unit's concept, from the shards of a half, or of both."""
        parts = []
        for start in range(0, len(numbers), UNITS_AT_ONCE):
            portion = Portion(slice(start, start + UNITS_AT_ONCE), half)
            stats = (stat for _, stat in self.stats(folder, Joint, portion))
            parts.append(np.sum([stat.of_concepts(numbers[portion.units]) for stat in stats], axis=0))
        return np.concatenate(parts)

    def with_words(self, units: Units, vectors: WordVectors, areas: Areas) -> Units:
        """The units with the columns about words in their table, where there are enough images."""
        numbers = {name: number for number, name in enumerate(self.record.vocabulary.names) if number}
        label = np.array([numbers.get(str(name), 0) for name in units.table["concept"]], np.int64)
        columns = word_columns(vectors, units.counted.peaks, areas, label, self.plan.shard)
        return units if columns is None else replace(units, table=pd.concat([units.table, columns], axis=1))

    def word_facts(self, vectors: WordVectors, units: Sequence[Units]) -> WordFacts:
        """What units were described with, and the units of every word."""
        found = [
            units_of_words(vectors, one.counted.peaks, self.plan.shard).assign(layer=layer.name)
            for layer, one in zip(self.record.layers, units, strict=True)
        ]
        return WordFacts(
            len(vectors.words),
            vectors.network,
            len(vectors.samples),
            vectors.words,
            pd.concat([no_units(), *(table for table in found if len(table))], ignore_index=True),
        )

    def evidence(self, folder: str, pixels: int = 0) -> published_rules.Evidence:
        """What was counted at so many pixels of an image, or at all of the grid."""
        stored = self.reader.read(folder, StoredThresholds)
        return published_rules.Evidence(
            stored.exact,
            stored.search_ratios,
            partial(self.chances, folder),
            partial(self.by_group, Categories, folder),
            pixels or self.plan.chance_grid**2,
        )

    def devices(self) -> tuple[str, ...]:
        """The devices on which the record was measured."""
        layers = self.record.layers
        named = [
            f for layer in layers for f in (layer.counts, *layer.random_directions, layer.untrained, layer.shifted)
        ]
        folders = [folder for folder in named if folder]
        used = [
            self.reader.devices(f, self.record.samples, self.plan.shard, self.record.mixed_devices) for f in folders
        ]
        return tuple(sorted({device for part in used for device in part}))

    def pictures(self) -> ShownPictures:
        """Everything that the picture pass kept, its parts joined in order of samples."""
        folder = self.record.pictures
        return ShownPictures.joined(
            [self.reader.read(folder, ShownPictures, name) for name in self.reader.names(folder)]
        )

    def reality(self, generated: Areas) -> Reality | None:
        """Areas of concepts in real and generated images; None without real images."""
        record = self.record.real
        if not record:
            return None
        real = self.reader.total(record["folder"], record["images"], SHARD, Areas)
        return reality(real, generated, self.record.vocabulary) if len(real.samples) else None

    def spike_in(self, folder: str, units: Sequence[Units], twins: Mapping[int, int]) -> SpikeIn | None:
        """Which planted units of the run were found; `units` are those of its layers."""
        shards_of = ((self.groups[shard.number], stat) for shard, stat in self.stats(folder, Spikes))
        share = float(np.concatenate([one.table["interpretable"] for one in units]).mean())
        return spike_in(shards_of, self.plan.chance_grid**2, self.record.vocabulary, twins, share)

    def trust(self, measured: SegmentedImages) -> tuple[Trust, ...]:
        """The real images first: of the folder that was given, or the generator's own; then what was measured."""
        record = self.record
        real = self.reader.read(record.segmented, SegmentedImages)
        sources = [
            (TrustSource.REAL if record.reference else TrustSource.TRAINING_LIKE, real),
            (TrustSource.READ if record.reads else TrustSource.GENERATED, measured),
        ]
        return tuple(
            Trust(source, shown.images, shown.labels, shown.confidence)
            for source, shown in sources
            if len(shown.images)
        )
