"""Classifiers that a file describes: where classes come from, and one clear line for what does not fit."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from dissectreport import plugins
from dissectreport.cache.records import Record
from dissectreport.checkpoints.reporting import reporting_to
from dissectreport.errors import BadOption, DissectReportError, FolderError, ModelError, UnknownName
from dissectreport.models.class_labels import read_names, table_classes
from dissectreport.models.classifier import UNKNOWN, ClassesGiven, ClassifierModel, as_classifier
from dissectreport.models.image_folder import File, ImageFolder, open_folder
from dissectreport.models.image_model import FolderImageModel
from dissectreport.pipeline import stages
from dissectreport.pipeline.classes import ClassPasses, with_known_classes
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.preflight import Verdict, preflight
from dissectreport.pipeline.prepare import Job, prepare
from dissectreport.pipeline.reporter import Silent
from dissectreport.pipeline.stages import ClassStage, Product, RunContext
from dissectreport.run.engine import Workers
from dissectreport.vocabulary import NOTHING, Vocabulary
from dissectreport.worker.loaded_networks import Source
from tests.support.reporters import RecordingReporter

NETWORK = '''
import torch
from torch import nn


class Classifier(nn.Module):
    """Scores of how red, green and blue an image is."""

    def __init__(self, classes=3, wrapped=False, flat=False):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.scores = nn.Conv2d(6, classes, 1)
        self.wrapped, self.flat = wrapped, flat
        with torch.no_grad():
            self.features[0].weight.zero_()
            self.features[0].bias.zero_()
            for channel in range(3):
                self.features[0].weight[channel, channel, 1, 1] = 1
            self.scores.weight.zero_()
            self.scores.bias.zero_()
            for channel in range(min(3, classes)):
                self.scores.weight[channel, channel] = 1

    def forward(self, images):
        scores = self.scores(self.pool(self.features(images)))
        if self.flat:
            return scores.flatten()
        return {"scores": scores.flatten(1), "other": images} if self.wrapped else scores
'''
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
BASE = """
task = "classify"
network = "./net.py:Classifier"
segmenter = "colour"
"""
FOLDER = 'images = { folder = "photos", size = [16, 16] }\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a network and eight images of each colour, in a folder for each."""
    (tmp_path / "net.py").write_text(NETWORK)
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.clip(np.array(colour) + random.integers(-40, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path


def described(place: Path, more: str = 'classes = ["red", "green", "blue"]\n', images: str = FOLDER) -> ClassifierModel:
    (place / "mine.toml").write_text(BASE + more + images)
    model = plugins.generator(str(place / "mine.toml"))
    assert isinstance(model, ClassifierModel)
    return model


def problem(place: Path, *content: str, kind: type[DissectReportError] = BadOption) -> str:
    """The one line of the error."""
    with pytest.raises(kind) as caught:
        described(place, *content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- where classes come from --------------------------------------------------------------------------------------


def test_classes_are_the_names_of_sub_folders(place: Path) -> None:
    model = described(place)
    assert model.classes == ("red", "green", "blue")
    assert {name.split("/")[0]: number for name, number in model.labels.items()} == {"red": 0, "green": 1, "blue": 2}
    with torch.no_grad():
        predicted = model.logits(model.latents(1, 0, 24)).argmax(1).tolist()
    assert predicted == model.truth(1, 0, 24).tolist()


def test_without_names_they_are_sorted(place: Path) -> None:
    assert described(place, "").classes == ("blue", "green", "red")


def test_names_may_stand_in_a_file(place: Path) -> None:
    (place / "names.txt").write_text("/r/red 0\n/g/green 1\n\n/b/blue 2\n")
    assert described(place, 'classes = "names.txt"\n').classes == ("red", "green", "blue")


def test_classes_may_stand_in_a_table(place: Path) -> None:
    files = sorted(path.relative_to(place / "photos").as_posix() for path in (place / "photos").rglob("*.png"))
    lines = [f"{file},{'warm' if file.startswith('red') else 'cold'}" for file in files]
    (place / "labels.csv").write_text("file,class\n" + "\n".join(lines) + "\n")
    images = 'images = { folder = "photos", size = [16, 16], labels = "labels.csv" }\n'
    model = described(place, 'classes = ["warm", "cold", "none"]\n', images)
    assert model.labels["red/0.png"] == 0
    assert model.labels["blue/3.png"] == 1


def test_without_labels_its_own_predictions_are_the_truth(place: Path) -> None:
    images = 'images = { folder = "photos/red", size = [16, 16] }\n'
    model = described(place, "", images)
    assert model.labels == {}
    assert model.classes == ("class 0", "class 1", "class 2")
    assert model.truth(1, 0, 4).tolist() == [UNKNOWN] * 4


def test_scores_may_be_a_part_of_what_is_returned(place: Path) -> None:
    more = 'classes = ["red", "green", "blue"]\narguments = { wrapped = true }\noutput = { take = "scores" }\n'
    assert described(place, more).classes[0] == "red"


# --- what does not fit --------------------------------------------------------------------------------------------


def test_as_many_classes_as_scores(place: Path) -> None:
    assert "mine.toml: the network has 5 scores, but 3 classes are named" in problem(
        place, 'classes = ["red", "green", "blue"]\narguments = { classes = 5 }\n'
    )
    assert "the network has 5 scores, but photos has 3 classes; name all classes" in problem(
        place, "arguments = { classes = 5 }\n"
    )


def test_a_folder_without_images_is_named(place: Path) -> None:
    (place / "photos" / "yellow").mkdir()
    words = problem(place, kind=FolderError)
    assert "photos: there is no image of class 'yellow', whose folder is empty" in words


def test_a_folder_of_no_class_is_named(place: Path) -> None:
    words = problem(place, 'classes = ["red", "green", "violet"]\n', kind=UnknownName)
    assert "no class for the sub-folder of photos 'blue'" in words


def test_an_image_beside_the_folders_is_named(place: Path) -> None:
    Image.new("RGB", (16, 16)).save(place / "photos" / "lost.png")
    assert "lost.png is in no sub-folder, so it has no class" in problem(place, kind=FolderError)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('classes = ["red", "red", "blue"]\n', "the class 'red' is named twice"),
        ('classes = ["red"]\n', "a classifier has at least two classes, and 1 are named"),
        ("classes = 3\n", "classes must be a list of names, or a file with one name per line, not 3"),
        ('classes = "no.txt"\n', "no.txt cannot be read: No such file or directory; name a text file"),
        ("output = { range = [0, 1] }\n", "key of the output of a classifier in mine.toml: 'range'"),
    ],
)
def test_wrong_keys_are_refused(place: Path, line: str, words: str) -> None:
    assert words in problem(place, line, kind=DissectReportError)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/a/airfield 0\n/c/car interior 1\n", ("airfield", "car interior")),
        ("dog 1\ncat 0\n", ("cat", "dog")),
        ("0 cat\n1 dog\n", ("cat", "dog")),
        ("1, cat\n2, dog\n", ("cat", "dog")),
        ("Boeing 737\nAudi 100\n", ("Boeing 737", "Audi 100")),
        ("digit 0\ndigit 1\n", ("digit 0", "digit 1")),
        ("cat\ndog 1\n", ("cat", "dog 1")),
    ],
)
def test_numbers_are_places_only_if_they_count_all_classes(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    (tmp_path / "names.txt").write_text(text)
    assert read_names(tmp_path / "names.txt") == names


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("header", ["file{0}class", "filename{0}label", ""])
@pytest.mark.parametrize("before", ["", "./", ".\\"])
def test_a_table_may_have_any_header_and_separator(tmp_path: Path, separator: str, header: str, before: str) -> None:
    rows = [
        f"{before}{name}{separator}{kind}" for name, kind in (("a/1.png", "cat"), ("b.png", "dog"), ("x.png", "cow"))
    ]
    (tmp_path / "labels.csv").write_text("\n".join([header.format(separator), *rows]).replace("/", before[1:] or "/"))
    folder = ImageFolder(tmp_path, (8, 8), (File("a/1.png", 1), File("b.png", 1)))
    assert table_classes(folder, tmp_path / "labels.csv") == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * 200_000, "labels.csv: line 1 is not a row of a table"),
        (b"\xff,cat", "labels.csv cannot be read: it is not UTF-8 text"),
        (b"b.png,cat\nb.png,dog", "labels.csv gives b.png the classes 'cat' and 'dog'"),
    ],
)
def test_what_is_no_table_of_classes_is_one_clear_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(BadOption, match=words):
        table_classes(ImageFolder(tmp_path, (8, 8), (File("b.png", 1),)), tmp_path / "labels.csv")


def test_a_class_of_near_duplicates_or_of_damaged_images_is_not_called_empty(place: Path) -> None:
    for name in COLOURS:
        (place / "photos" / "same" / f"{name}.png").parent.mkdir(exist_ok=True)
        (place / "photos" / "same" / f"{name}.png").write_bytes((place / "photos" / name / "0.png").read_bytes())
    words = problem(place, "arguments = { classes = 4 }\n", kind=FolderError)
    assert "no image of class 'same' is used: same/blue.png and the like are near-duplicates" in words
    for path in (place / "photos" / "same").iterdir():
        path.write_bytes(b"x")
    words = problem(place, "arguments = { classes = 4 }\n", kind=FolderError)
    assert "no image of class 'same' is used: same/blue.png (not an image) and the like cannot be read" in words


@pytest.mark.parametrize(("scores", "beside", "labelled"), [(3, False, True), (3, True, False), (5, False, False)])
def test_sub_folders_of_a_checkpoint_are_classes_only_if_they_can_be(
    place: Path, scores: int, beside: bool, labelled: bool
) -> None:
    if beside:
        Image.new("RGB", (16, 16)).save(place / "photos" / "lost.png")
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, scores))
    model = FolderImageModel(
        name="one", module=network, folder=open_folder(place / "photos", (16, 16)), layers=("0",), default_layers=("0",)
    )
    reporter = Mock()
    with reporting_to(reporter):
        found = as_classifier(model, ClassesGiven(guessed=True), "one")
    assert bool(found.labels) == labelled
    assert found.classes[0] == ("blue" if labelled else "class 0")
    assert ["photos gives no labels" in str(call) for call in reporter.say.mock_calls] == [True] * (not labelled)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("red/0.png,red,3", "labels.csv: line 1 has 3 columns; write file,class"),
        ("red/0.png,red", "labels.csv has no class for 23 images of photos, such as blue/0.png"),
    ],
)
def test_a_wrong_table_is_refused(place: Path, rows: str, words: str) -> None:
    (place / "labels.csv").write_text(rows)
    images = 'images = { folder = "photos", size = [16, 16], labels = "labels.csv" }\n'
    more = 'classes = ["red", "green", "blue"]\n'
    assert words in problem(place, more, images, kind=DissectReportError)


def test_scores_need_a_row_an_image(place: Path) -> None:
    words = problem(place, "arguments = { flat = true }\n", kind=ModelError)
    assert "mine.toml: the network" in words or "the network returns" in words
    assert "classes) scores" in words


def test_one_score_needs_another(place: Path) -> None:
    words = problem(place, "arguments = { classes = 1 }\n", kind=ModelError)
    assert "with at least two classes; for one score s, return -s and s" in words


def test_a_dictionary_needs_take(place: Path) -> None:
    words = problem(place, "arguments = { wrapped = true }\n", kind=ModelError)
    assert "output = { take = … }" in words


def test_a_task_is_classify(place: Path) -> None:
    (place / "mine.toml").write_text(BASE.replace("classify", "detect") + FOLDER)
    with pytest.raises(BadOption, match="task is 'detect'; it is \"classify\", or left out"):
        plugins.generator(str(place / "mine.toml"))
    (place / "mine.toml").write_text(BASE + "latent = 3\n")
    with pytest.raises(BadOption, match="a classifier reads images; add images"):
        plugins.generator(str(place / "mine.toml"))
    (place / "mine.toml").write_text(BASE.replace('task = "classify"', 'classes = ["a", "b"]') + FOLDER)
    with pytest.raises(BadOption, match='classes belongs to a classifier; add task = "classify"'):
        plugins.generator(str(place / "mine.toml"))


# --- options and checks ---------------------------------------------------------------------------------------------


def options(place: Path, **more: object) -> Options:
    return Options(str(place / "mine.toml"), cache=place / "cache", **more)  # type: ignore[arg-type]


def test_the_last_layer_is_studied(place: Path) -> None:
    described(place)
    request = prepare(options(place)).classes
    assert request is not None
    assert request.layer == prepare(options(place)).layers[-1]
    assert prepare(options(place, interventions=False)).classes is None


def test_a_quick_run_reads_all_images_of_a_small_folder(place: Path) -> None:
    described(place)
    assert prepare(options(place, quick=True)).samples == 24


def test_unknown_classes_and_layers_are_refused(place: Path) -> None:
    described(place)
    with pytest.raises(UnknownName, match=r"no class of mine 'rad'; did you mean red\?"):
        prepare(options(place, classes=("rad",)))
    with pytest.raises(UnknownName, match="no measured layer 'scores'"):
        prepare(options(place, class_layer="scores"))


def test_classes_belong_to_classifiers(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="--classes belongs to a classifier, and planted gives no scores of classes"):
        prepare(Options("planted", classes=("a",), cache=tmp_path))


def test_a_run_with_few_images_a_class_has_no_classes_and_says_why(place: Path) -> None:
    described(place)
    job, reporter = prepare(options(place, samples=6)), RecordingReporter()
    assert with_known_classes(job, reporter).classes is None
    (line,) = reporter.lines
    assert line.startswith("no classes: fewer than two classes of mine have 4 of the 6 images; give more images")
    with pytest.raises(ModelError, match="fewer than two classes of mine have 4 of the 6 images"):
        with_known_classes(prepare(options(place, samples=6, classes=("red",))), Silent())


def test_a_run_with_enough_images_a_class_keeps_its_classes(place: Path) -> None:
    described(place)
    job = prepare(options(place))
    assert with_known_classes(job, Silent()) is job


def test_a_class_with_few_images_is_refused_only_if_it_is_named(place: Path) -> None:
    for number in range(3, 8):
        (place / "photos" / "blue" / f"{number}.png").unlink()
    described(place)
    assert with_known_classes(prepare(options(place)), Silent()).classes is not None
    with pytest.raises(BadOption, match="class 'blue' has fewer than 4 of the 19 images; choose another"):
        with_known_classes(prepare(options(place, classes=("blue",))), Silent())


def some_record() -> Record:
    """The record of a run that measured nothing yet."""
    return Record("mine", "corrected", {}, 24, (), "", Vocabulary((NOTHING,)), {}, {}, {}, "", ())


def test_a_network_that_names_one_class_is_dissected_all_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without labels, the classes are only known once the network has named them."""

    def refuse(passes: ClassPasses) -> None:
        raise ModelError("fewer than two classes")

    saved: list[Record] = []

    def save(_job: Job, record: Record, _folders: set[str]) -> Product:
        saved.append(record)
        return Product(record)

    monkeypatch.setattr(ClassPasses, "run", refuse)
    monkeypatch.setattr(stages, "save_record", save)
    described(place, "", 'images = { folder = "photos/red", size = [16, 16] }\n')
    for chosen in ({}, {"class_layer": "features"}):
        job, reporter = prepare(options(place, layers=("features",), **chosen)), RecordingReporter()
        run, product = RunContext(job, Workers(1), reporter, None, 0), Product(some_record())  # type: ignore[arg-type]
        if chosen:
            with pytest.raises(ModelError, match="fewer than two classes"):
                ClassStage().run(run, product)
        else:
            assert ClassStage().run(run, product).measured.no_classes == "fewer than two classes"
            assert reporter.lines == ["no classes: fewer than two classes"]
            assert len(saved) == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"samples": 6}, "fewer than two classes of mine have 4"), ({"interventions": False}, "told --no-interventions")],
)
def test_the_record_says_why_a_classifier_has_no_classes(
    more: dict[str, object], reason: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "save_record", lambda _job, record, _folders: Product(record))
    described(place)
    job = with_known_classes(prepare(options(place, **more)), Silent())
    run = RunContext(job, Workers(1), Silent(), None, 0)  # type: ignore[arg-type]
    assert reason in ClassStage().run(run, Product(some_record())).measured.no_classes


def test_check_says_how_many_images_are_recognised(place: Path) -> None:
    described(place)
    lines = [str(finding) for finding in preflight(Source(str(place / "mine.toml"), "colour"), 16)]
    assert any("it gives scores of 3 classes, and predicts 16 of 16 images correctly" in line for line in lines)


def test_check_doubts_classes_in_the_wrong_order(place: Path) -> None:
    described(place, 'classes = ["green", "blue", "red"]\n')
    findings = list(preflight(Source(str(place / "mine.toml"), "colour"), 16))
    (doubt,) = [finding for finding in findings if "predicts 0 of 16 images correctly" in str(finding)]
    assert doubt.verdict == Verdict.LOOK
