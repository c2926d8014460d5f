"""Images with and without the units of a concept, as pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dissectreport.analysis.common.ratios import ratio_interval
from dissectreport.analysis.results.interventions import (
    Ablated,
    ConceptPictures,
    Heat,
    Inserted,
    RandomControl,
    UnitStrip,
)
from dissectreport.records.interventions import (
    EditedPictures,
    InterventionRecord,
    UnitStrips,
    concept_file,
    unit_file,
)
from dissectreport.records.reader import Reader
from dissectreport.run.patches import patch_box
from dissectreport.stats.insertions import Insertions
from dissectreport.vocabulary import Vocabulary

ALONE = ["unit", "concept", "images", "measured_effect", "measured_effect_low", "measured_effect_high"]


def concept_pictures(
    record: InterventionRecord, insertions: Insertions, reader: Reader, vocabulary: Vocabulary
) -> dict[str, ConceptPictures]:
    """By concept the images that show what its units do."""
    pictures_by_concept = {}
    for k, number in enumerate(record.key.concepts):
        pictures = reader.read(record.pictures, EditedPictures, concept_file(k))
        pictures_by_concept[vocabulary[number].name] = ConceptPictures(
            _ablated(pictures),
            _inserted(pictures, insertions, k, vocabulary),
            Heat(pictures.samples, pictures.heat),
            RandomControl(pictures.random_units, pictures.random_after, pictures.mapped_unit, pictures.activations),
        )
    return pictures_by_concept


def unit_pictures(record: InterventionRecord, units: Sequence[int], reader: Reader) -> dict[int, Ablated]:
    """By unit the images that show what ablating it alone does."""
    return {unit: _ablated(reader.read(record.pictures, EditedPictures, unit_file(unit))) for unit in units}


def unit_strips(record: InterventionRecord, reader: Reader, vocabulary: Vocabulary) -> dict[int, UnitStrip]:
    """By unit the small images of what ablating it alone does; none where they were not made."""
    strips = {}
    for name in record.strip_groups:
        group = reader.read(record.strips, UnitStrips, name)
        for at, unit in enumerate(group.units):
            strips[unit] = UnitStrip(
                concept=vocabulary[group.concept].name,
                samples=group.samples,
                before=group.before,
                after=group.after[at],
                pixels_before=group.pixels_before,
                pixels_after=group.pixels_after[at],
            )
    return dict(sorted(strips.items()))


def alone_table(strips: Mapping[int, UnitStrip]) -> pd.DataFrame:
    """One row per unit: what ablating it alone removes of the concept, over the images of its strip."""
    rows = []
    for unit, strip in strips.items():
        left, low, high = ratio_interval(strip.pixels_after[:, None], strip.pixels_before[:, None])
        effect = {"measured_effect": 1 - left, "measured_effect_low": 1 - high, "measured_effect_high": 1 - low}
        shares = {name: float(value[0]) for name, value in effect.items()}
        rows.append({"unit": unit, "concept": strip.concept, "images": len(strip.samples), **shares})
    return pd.DataFrame(rows, columns=ALONE)


def _ablated(pictures: EditedPictures) -> Ablated:
    return Ablated(
        units=pictures.units,
        samples=pictures.samples,
        before=pictures.before,
        after=pictures.after,
        labels_before=pictures.labels_before,
        labels_after=pictures.labels_after,
        confidence_after=pictures.confidence_after,
    )


def _inserted(pictures: EditedPictures, insertions: Insertions, k: int, vocabulary: Vocabulary) -> Inserted:
    rows = [
        int(np.flatnonzero((insertions.samples == sample) & (insertions.patches == patch))[0])
        for sample, patch in pictures.inserted
    ]
    height, width = pictures.heat.shape[1:]
    boxes = [patch_box(patch, height, width) for patch in pictures.inserted[:, 1].tolist()]
    return Inserted(
        units=pictures.units,
        samples=pictures.inserted[:, 0],
        patches=np.array(boxes, np.float32).reshape(-1, 4),
        contexts=tuple(vocabulary[int(insertions.contexts[row])].name for row in rows),
        gains=insertions.own_gains(k)[rows],
        before=pictures.inserted_before,
        after=pictures.inserted_after,
    )
