"""Images of a run and a list of words as vectors of CLIP, from which units get words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dissectreport import structured
from dissectreport.analysis.words import RANDOM_WORDS
from dissectreport.cache.reader import CacheReader
from dissectreport.cache.records import Record
from dissectreport.errors import BadOption
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.records.dissection import ShownPictures
from dissectreport.records.words import WordVectors
from dissectreport.run.engine import Workers

if TYPE_CHECKING:
    from dissectreport.features.words import WordNetwork

FORMAT = 1
"""Raised where the same network gives other vectors."""
FEWEST, MOST = RANDOM_WORDS + 10, 20_000
"""Words in a list: enough to draw random ones from, and few enough to compare in memory."""
LARGEST = 1 << 20
"""Bytes of a list of words."""


def read_words(path: Path) -> tuple[str, ...]:
    """The words of a list, one a line; empty lines and those that begin with # do not count.

    Raises a BadOption if the file cannot be read, or has a number of words that cannot be tested.
    """
    try:
        lines = [" ".join(line.split()) for line in structured.read_lines(path, LARGEST)]
    except (OSError, ValueError) as problem:
        raise BadOption(f"--words {path} cannot be read as a list of words, one per line: {problem}") from problem
    words = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    unprintable = [word for word in words if not word.isprintable()]
    if unprintable:
        raise BadOption(f"--words {path} has the word {unprintable[0][:40]!a}, which cannot be printed; remove it")
    if not FEWEST <= len(words) <= MOST:
        raise BadOption(
            f"--words {path} has {len(words):,} different words; give {FEWEST} to {MOST:,}: each word of a unit is "
            f"compared with {RANDOM_WORDS} random ones"
        )
    return words


def check_words(options: Options) -> None:
    """Refuse a list of words, or a network for them, that cannot be used, before anything long begins."""
    if options.words is not None:
        from dissectreport.features.words import check_word_network

        read_words(options.words)
        check_word_network(options.words_network)


def word_vectors(
    job: Job, record: Record, words: Sequence[str], workers: Workers, reporter: Reporter
) -> tuple[str, set[str]]:
    """The store folder with the vectors of the images that pages show and of the words, and all folders used."""
    from dissectreport.features.words import word_network

    runner = PassRunner(job.options.cache, "cpu", workers, reporter)
    network = word_network(job.options.words_network)
    listed = hashlib.sha256("\n".join(words).encode()).hexdigest()
    facts = {"format": FORMAT, "network": network.identity, "words": listed, "pictures": record.pictures}
    store = runner.open("word vectors", facts)

    def compute() -> WordVectors:
        reader = CacheReader(runner.cache)
        names = reader.names(record.pictures)
        shown = ShownPictures.joined([reader.read(record.pictures, ShownPictures, name) for name in names])
        rows = list(_counted(network, shown, reporter))
        return WordVectors(shown.numbers, np.concatenate(rows), tuple(words), network.texts(words), network.name)

    runner.once(store, WordVectors, compute)
    return store.folder.name, runner.folders


def _counted(network: WordNetwork, shown: ShownPictures, reporter: Reporter) -> Iterator[NDArray[np.float32]]:
    """The vectors of the images, batch by batch, with reports of how far they are."""
    import torch

    from dissectreport.features.words import AT_ONCE

    total = len(shown.numbers)
    for start in range(0, total, AT_ONCE):
        reporter.progress(Task.WORDS, start, total, "images")
        with torch.no_grad():
            yield network.images(shown.pixels[start : start + AT_ONCE])
    reporter.progress(Task.WORDS, total, total, "images")
