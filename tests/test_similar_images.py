"""Near-duplicates in a folder: no image is selected on that has a copy among those it is scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dissectreport.errors import BadOption
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel
from dissectreport.models.similar_images import Look, near_duplicates
from dissectreport.pipeline import prepare
from dissectreport.pipeline.options import Options
from dissectreport.run.shards import even_groups
from dissectreport.worker.loaded_networks import Models
from tests.support.reporters import RecordingReporter

SIDE = 24
PHOTOGRAPHS, COPIES = 60, 3
READER = """
from torch import nn
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel

def load():
    module = nn.Sequential(nn.Conv2d(3, 2, 1))
    return FolderImageModel(
        name="reader", module=module, folder=open_folder({folder!r}, ({side}, {side})), layers=("0",),
        default_layers=("0",), identity="reader", facts={{"segmenter": "colour"}},
    )
"""


def model(folder: Path) -> str:
    """The address of a model that reads a folder, written beside it."""
    file = folder.parent / "reader.py"
    file.write_text(READER.format(folder=str(folder), side=SIDE))
    return f"{file}:load"


def photograph(number: int) -> Image.Image:
    """Something smooth that looks like no other one."""
    coarse = np.random.RandomState(number).randint(0, 255, (5, 5, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which each photograph also lies smaller, and compressed, and a little lighter."""
    folder = tmp_path_factory.mktemp("photographs") / "burst"
    folder.mkdir()
    for number in range(PHOTOGRAPHS):
        image = photograph(number)
        image.save(folder / f"{number:03d}.png")
        image.resize((64, 64)).save(folder / f"{number:03d}-small.jpg", quality=60)
        image.point(lambda value: min(255, value + 2)).save(folder / f"{number:03d}-lighter.webp", quality=80)
    return folder


def subject(name: str) -> str:
    """The photograph that a file shows."""
    return name[:3]


def test_no_photograph_is_in_two_groups_of_a_dissection_or_in_both_halves(burst: Path) -> None:
    folder = open_folder(burst, (SIDE, SIDE))
    for seed in range(3):
        order = folder.order(seed)
        groups = even_groups(-(-len(order) // 16))
        by_subject: dict[str, set[int]] = {}
        for position, name in enumerate(order):
            by_subject.setdefault(subject(name), set()).add(groups[position // 16])
        assert len(by_subject) == PHOTOGRAPHS, "each photograph is there"
        assert all(len(found) == 1 for found in by_subject.values()), "and in one group, so on one side of the split"
    assert len(folder) == PHOTOGRAPHS and len(folder.similar) == (COPIES - 1) * PHOTOGRAPHS


def test_it_is_said_how_many_are_left_out_and_they_are_no_samples(burst: Path) -> None:
    reporter = RecordingReporter()
    job = prepare.without_unreadable_images(prepare.prepare(Options(model(burst), device="cpu")), reporter)
    assert isinstance(job.generator, FolderImageModel)
    assert job.samples == PHOTOGRAPHS and job.generator.description()["similar"] == 120
    (line,) = [line for line in reporter.lines if "near-duplicate" in line]
    assert line.startswith("burst: 120 of 180 images are near-duplicates and left out, so that no image is on both")
    with pytest.raises(BadOption, match="has 60 images, and 120 near-duplicates; --samples must be at most 60, not 61"):
        prepare.prepare(Options(model(burst), samples=61, device="cpu"))


def test_a_worker_draws_the_same_samples_and_looks_for_nothing(burst: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = prepare.without_unreadable_images(
        prepare.prepare(Options(model(burst), device="cpu", reference=burst)), RecordingReporter()
    )
    expected = job.generator.latents(1, 0, PHOTOGRAPHS)  # type: ignore[attr-defined]
    monkeypatch.setattr("dissectreport.models.image_folder.read_look", lambda _: pytest.fail("looked again"))
    models = Models(job.source)
    assert torch.equal(models.latents(1, 0, PHOTOGRAPHS), expected)
    reference = job.reference
    assert reference is not None and models.reference.order(0) == reference.order(0)
    assert len(models.reference) == PHOTOGRAPHS


def test_what_is_similar_is_left_out_and_what_is_not_is_kept() -> None:
    image = photograph(1)
    moved = Image.fromarray(np.roll(np.asarray(image), 24, 1))
    darker = image.point(lambda value: value // 2)
    images = [image, photograph(2), image.resize((50, 70)), moved, image.rotate(180), darker, moved.resize((32, 32))]
    assert near_duplicates(Look.of(one) for one in images) == (2, 6)
    even = [Image.new("RGB", (9, 9), (grey, grey, grey)) for grey in (0, 2, 80, 90, 91)]
    assert near_duplicates(Look.of(one) for one in even) == (1, 4)
