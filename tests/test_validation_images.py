"""A classifier whose units are ranked on training images and scored on validation images, and one of many classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dissectreport import plugins
from dissectreport.analysis.classes.halves import SOLID, classified_samples, is_selection, selection_of
from dissectreport.errors import BadOption, DissectReportError, FolderError
from dissectreport.models.classifier import ClassifierModel
from dissectreport.models.image_folder import open_folder
from dissectreport.models.two_folders import TrainingAndValidation
from dissectreport.pipeline.class_requests import classified_images
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare
from dissectreport.run.shards import SHARD

NETWORK = """
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.scores = nn.Conv2d(5, 2, 1)

    def forward(self, images):
        return self.scores(self.pool(self.features(images)))
"""
DESCRIPTION = """
task = "classify"
network = "./net.py:Classifier"
segmenter = "colour"
images = {{ folder = "train", size = [16, 16], validation = "val"{more} }}
"""
CLASSES = ("dark", "light")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and validation images of two classes, 30 of each class and folder, none of which look alike."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for purpose in ("train", "val"):
        for name in CLASSES:
            (folder / purpose / name).mkdir(parents=True)
            for number in range(30):
                pixels = random.integers(0, 128, (16, 16, 3)) + 127 * (name == "light")
                Image.fromarray(pixels.astype(np.uint8)).save(folder / purpose / name / f"{number}.png")
    (folder / "net.py").write_text(NETWORK)
    return folder


@pytest.fixture
def place(images: Path, tmp_path: Path) -> Path:
    shutil.copytree(images, tmp_path, dirs_exist_ok=True)
    return tmp_path


def described(place: Path, more: str = "") -> ClassifierModel:
    (place / "mine.toml").write_text(DESCRIPTION.format(more=more))
    model = plugins.generator(str(place / "mine.toml"))
    assert isinstance(model, ClassifierModel)
    return model


def test_shards_of_training_and_of_validation_images_come_in_turn(place: Path) -> None:
    model = described(place)
    names = model.folder.order(1)
    assert len(names) == model.max_samples == 2 * SHARD
    assert {name.partition("/")[0] for name in names[:SHARD]} == {"training"}
    assert {name.partition("/")[0] for name in names[SHARD:]} == {"validation"}
    assert model.validation == "val"
    assert model.folder.order(2) != names


def test_images_and_labels_belong_together(place: Path) -> None:
    model = described(place)
    light = model.latents(1, 0, 2 * SHARD).mean((1, 2, 3)) > 0
    assert light.long().tolist() == model.truth(1, 0, 2 * SHARD).tolist()


def test_images_come_from_the_folder_that_their_name_says(place: Path) -> None:
    model, size = described(place), (16, 16)
    name = model.folder.order(1)[SHARD]
    expected = open_folder(place / "val", size).read([name.removeprefix("validation/")])
    assert torch.equal(model.latents(1, SHARD, 1), expected)


def test_copies_of_training_images_are_left_out_of_validation(place: Path) -> None:
    shutil.copy(place / "train" / "dark" / "0.png", place / "val" / "dark" / "copy.png")
    model = described(place)
    assert "validation/dark/copy.png" in model.left_out()
    assert "validation/dark/copy.png" not in model.folder.names
    assert model.description()["similar"] == 1


def test_what_another_process_left_out_stays_out(place: Path) -> None:
    model = described(place)
    gone = (model.folder.order(1)[0], model.folder.order(1)[SHARD])
    other = model.without(gone).folder
    assert not set(gone) & set(other.order(1))
    assert {name.partition("/")[0] for name in other.order(1)} == {"training", "validation"}


def test_too_few_images_of_one_kind_are_refused(place: Path) -> None:
    shutil.rmtree(place / "val" / "dark")
    with pytest.raises(FolderError, match=r"val has 30 different images; .* give at least 48 of each"):
        TrainingAndValidation.of(open_folder(place / "train", (16, 16)), open_folder(place / "val", (16, 16)))


def test_validation_images_need_classes_too(place: Path) -> None:
    (place / "flat").mkdir()
    for file in (place / "val").rglob("*.png"):
        shutil.move(file, place / "flat" / f"{file.parent.name}{file.name}")
    shutil.rmtree(place / "val")
    (place / "flat").rename(place / "val")
    with pytest.raises(BadOption, match="the training images have classes, but val has no sub-folders"):
        described(place)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (', labels = "train.csv"', "name those of val: validation_labels"),
        (", validation_labels = 3", "validation_labels must be the name of a CSV file of file and class, not 3"),
    ],
)
def test_a_table_of_each_is_needed(place: Path, more: str, words: str) -> None:
    rows = [f"{file.relative_to(place / 'train')},{file.parent.name}" for file in (place / "train").rglob("*.png")]
    (place / "train.csv").write_text("\n".join(rows))
    with pytest.raises(DissectReportError, match=words):
        described(place, more)


def test_tables_of_both_give_labels(place: Path) -> None:
    for purpose in ("train", "val"):
        files = sorted((place / purpose).rglob("*.png"))
        rows = [f"{file.relative_to(place / purpose)},{file.parent.name}" for file in files]
        (place / f"{purpose}.csv").write_text("\n".join(rows))
    model = described(place, ', labels = "train.csv", validation_labels = "val.csv"')
    assert len(model.labels) == 120
    assert model.labels["validation/light/3.png"] == 1


def test_units_are_ranked_on_training_images_and_scored_on_others(place: Path) -> None:
    model = described(place)
    request = prepare(Options(str(place / "mine.toml"), cache=place / "cache")).classes
    assert request is not None
    chosen = classified_images(model, request, 1, 96)
    truth = model.truth(1, 0, 96)
    selected = selection_of(chosen.samples, truth, bool(model.validation))
    assert selected.tolist() == [True] * 48 + [False] * 48
    assert selection_of(chosen.samples, truth, False).tolist() == is_selection(truth).tolist()


# --- many classes -------------------------------------------------------------------------------------------------


def test_few_classes_have_the_first_images() -> None:
    truth = np.arange(400) % 4
    assert classified_samples(truth, is_selection(truth), 200, np.array([0, 1])).tolist() == list(range(200))


def test_where_classes_are_many_the_studied_ones_have_enough_images() -> None:
    truth = np.random.default_rng(1).permutation(np.arange(3000) % 100)
    selected, studied = is_selection(truth), np.array([3, 50])
    samples = classified_samples(truth, selected, 500, studied)
    assert len(samples) == 500
    assert (np.diff(samples) > 0).all()
    for number in studied:
        own = selected[samples][truth[samples] == number]
        # A class has 30 images, 15 in each half.
        assert (own.sum(), (~own).sum()) == (15, 15)
    assert len(set(truth[samples])) > 90


def test_the_studied_classes_leave_images_to_others() -> None:
    truth = np.random.default_rng(1).permutation(np.arange(4000) % 40)
    samples = classified_samples(truth, is_selection(truth), 160, np.arange(4))
    assert (np.bincount(truth[samples])[:4] == 2 * (160 // 10)).all()
    assert (truth[samples] >= 4).sum() == 160 - 4 * 2 * (160 // 10)
    assert SOLID > 160 // 10
