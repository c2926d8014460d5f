"""Images with and without the units of a concept, as pages show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dissectreport.analysis.results.interventions import (
    Ablated,
    ConceptPictures,
    Heat,
    Inserted,
)
from dissectreport.records.interventions import (
    EditedPictures,
    InterventionRecord,
    concept_file,
    unit_file,
)
from dissectreport.records.reader import Reader
from dissectreport.run.patches import patch_box
from dissectreport.stats.insertions import Insertions
from dissectreport.vocabulary import Vocabulary


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
        )
    return pictures_by_concept


def unit_pictures(record: InterventionRecord, units: Sequence[int], reader: Reader) -> dict[int, Ablated]:
    """By unit the images that show what ablating it alone does."""
    return {unit: _ablated(reader.read(record.pictures, EditedPictures, unit_file(unit))) for unit in units}


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
