"""Masks in files label images: each layout, each form of names, and what is said about files that do not fit."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import dissectreport
from dissectreport import plugins
from dissectreport.errors import BadOption, DissectReportError, SegmenterError
from dissectreport.image_files import fitted
from dissectreport.networks.latents import latents
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare
from dissectreport.segmenters import masks
from dissectreport.segmenters.mask_files import concepts_in, find_layout, read_names

SIZE = (24, 32)
"""Height and width of the images."""
CLASSES = ("sky", "tree", "road")
COLOURS = ((128, 128, 128), (64, 128, 64), (128, 64, 128))
NETWORK = """
import torch
from torch import nn

class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())

    def forward(self, x):
        return self.body(x).mean((2, 3))

class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.ConvTranspose2d(6, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ReLU())
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, z):
        return self.out(self.body(z[:, :, None, None])).mul(4).tanh()
"""


def scenes(count: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and the class of each pixel, from 1."""
    random = np.random.RandomState(0)
    made = []
    for _ in range(count):
        classes = np.kron(random.randint(1, 4, (3, 4)), np.ones((8, 8), int))
        shades = random.randint(30, 220, (4, 3))
        made.append((shades[classes].astype(np.uint8), classes.astype(np.uint8)))
    return made


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def palette(path: Path, classes: np.ndarray) -> None:
    """An indexed PNG, whose colours mean nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(classes, mode="P")
    image.putpalette(np.random.RandomState(1).randint(0, 255, 768).astype(np.uint8).tobytes())
    image.save(path)


def ade(root: Path) -> str:
    for number, (image, classes) in enumerate(scenes()):
        save(root / "images" / "validation" / f"ADE_{number}.png", image)
        save(root / "annotations" / "validation" / f"ADE_{number}.png", classes)
    rows = "".join(f"{number}\t0.1\t9\t2\t{name};more\n" for number, name in enumerate(CLASSES, 1))
    (root / "objectInfo150.txt").write_text(f"Idx\tRatio\tTrain\tVal\tName\n{rows}")
    return str(root / "annotations" / "validation")


def camvid(root: Path) -> str:
    for number, (image, classes) in enumerate(scenes()):
        save(root / "train" / f"{number:04}.png", image)
        palette(root / "trainannot" / f"{number:04}.png", classes - 1)
    (root / "names.txt").write_text("# CamVid\n0 sky\n1 tree\n2 road\n11 void\n")
    return str(root / "trainannot")


def coloured(root: Path) -> str:
    for number, (image, classes) in enumerate(scenes()):
        save(root / "images" / f"{number:04}.png", image)
        save(root / "masks" / f"{number:04}_L.png", np.array([(0, 0, 0), *COLOURS], np.uint8)[classes])
    lines = [f"{r} {g} {b}\t{name}" for (r, g, b), name in zip(COLOURS, CLASSES, strict=True)]
    (root / "label_colors.txt").write_text("\n".join(lines))
    return str(root)


def broden(root: Path) -> str:
    rows = []
    for number, (image, classes) in enumerate(scenes()):
        save(root / "images" / f"{number}.png", image)
        values = classes.astype(int) + 300
        save(
            root / "images" / f"{number}_object.png",
            np.stack([values % 256, values // 256, 0 * values], 2).astype(np.uint8),
        )
        rows.append({"image": f"{number}.png", "split": "val", "object": f"{number}_object.png", "scene": "9"})
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = [f"{number},{name},object(4),4,0.1,{name}" for number, name in enumerate(CLASSES, 301)]
    (root / "label.csv").write_text(
        "\n".join(["number,name,category,frequency,coverage,syns", *names, "9,street,scene(4),4,1,"])
    )
    return str(root)


LAYOUTS: dict[str, Callable[[Path], str]] = {"ade": ade, "camvid": camvid, "coloured": coloured, "broden": broden}


def batch() -> Tensor:
    """(n, 3, h, w) the images as a network gets them."""
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1 for image, _ in scenes()])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_pixel_has_the_label_of_its_mask(layout: str, tmp_path: Path) -> None:
    segmenter = masks.load(LAYOUTS[layout](tmp_path))
    labels = segmenter(batch().flip(0))
    names = np.array(segmenter.vocabulary.names)[labels[:, 0].numpy()]
    expected = np.array(["-", *CLASSES])[np.stack([classes for _, classes in scenes()])[::-1]]
    assert (names == expected).all()
    if layout == "broden":
        assert segmenter.vocabulary.categories == ("object", "scene")
        assert (np.array(segmenter.vocabulary.names)[labels[:, 1].numpy()] == "street").all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_scaled_and_cropped_as_their_images_are(layout: str, tmp_path: Path) -> None:
    segmenter = masks.load(LAYOUTS[layout](tmp_path))
    size = (16, 16)
    image = torch.from_numpy(fitted(segmenter.layout.entries[2].image, size)).permute(2, 0, 1).float() / 127.5 - 1
    labels = segmenter(image[None])[0, 0]
    # The centre of 24 x 32 pixels is a square of 24, of which every row and column counts one and a half times.
    at = (np.arange(16) * 1.5 + 0.75).astype(int)
    expected = np.array(["-", *CLASSES])[scenes()[2][1][at][:, at + 4]]
    assert (np.array(segmenter.vocabulary.names)[labels.numpy()] == expected).all()


def test_an_image_is_recognised_although_it_was_rounded(tmp_path: Path) -> None:
    segmenter = masks.load(ade(tmp_path))
    noise = torch.randn(4, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 0.01
    assert torch.equal(segmenter(batch() + noise), segmenter(batch()))
    with pytest.raises(
        SegmenterError, match=r"none of the 4 that masks:validation has masks for .* --samples at most 4"
    ):
        segmenter(-batch())


def test_a_changed_mask_is_another_segmenter(tmp_path: Path) -> None:
    name = ade(tmp_path)
    first = masks.load(name).identity
    save(tmp_path / "annotations" / "validation" / "ADE_0.png", np.ones(SIZE, np.uint8))
    assert masks.load(name).identity != first


@pytest.mark.parametrize(
    ("text", "values", "names"),
    [
        ("sky\ntree\n", [1, 2], ["-", "sky", "tree"]),
        ("0: background\n1: sky\n2: palm tree\n", [0, 1, 2], ["-", "sky", "palm tree"]),
        ("3,sky\n7,red door,part\n", [3, 7], ["-", "sky", "red door"]),
        ("name,r,g,b\nsky,1,2,3\n", [1 + 256 * 2 + 65536 * 3], ["-", "sky"]),
        ("number,syns,name\n3,,sky\n", [3], ["-", "sky"]),
        ("64 128 64\t\tTree\n", [64 + 256 * 128 + 65536 * 64], ["-", "Tree"]),
        ("\ufeffid\tname\n5\tsky\n", [5], ["-", "sky"]),
        ("\n# words\n\nsky\n", [1], ["-", "sky"]),
        ("1;wall\n2;tree, green\n", [1, 2], ["-", "wall", "tree, green"]),
        ("id;name\n0;sky\n5;road\n", [0, 5], ["-", "sky", "road"]),
        ("name;id\nsky;0\nroad;5\n", [0, 5], ["-", "sky", "road"]),
        ("1|wall\n3|tree\n", [1, 3], ["-", "wall", "tree"]),
        ("-1 void\n1 tree\n-1 plate\n", [1], ["-", "tree"]),
        ("0\tdigit 3\n1 digit 4\n", [0, 1], ["-", "digit 3", "digit 4"]),
    ],
)
def test_names_have_many_forms(text: str, values: list[int], names: list[str], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    read = read_names(tmp_path / "names.txt")
    assert sorted(read.concept_of) == sorted(values)
    assert read.vocabulary.names == names


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "names.txt").unlink(), "has no file of names; write names.txt"),
        (lambda root: (root / "names.txt").write_text("0 sky\n0 tree"), "has the value 0 twice"),
        (lambda root: (root / "names.txt").write_text("0 sky\n1 2 3 tree"), "has numbers and colours; give either"),
        (
            lambda root: (root / "names.txt").write_text("1 2 sky"),
            "line 1 of .* is '1 2 sky'; write a value and a name",
        ),
        (lambda root: (root / "names.txt").write_text("300 2 1 sky"), "line 1 of .* write a value and a name"),
        (lambda root: (root / "names.txt").write_text("sky,0\ntree,1"), "line 1 of .* is 'sky,0'; write a value"),
        (lambda root: (root / "names.txt").write_text("sky;0\ntree;1"), "line 1 of .* is 'sky;0'; write a value"),
        (lambda root: (root / "names.txt").write_text("tree\nAnimal 64 128 64"), "line 2 of .* write a value"),
        (lambda root: (root / "names.txt").write_text("no column\n0 sky\n2 tree"), "line 1 of .* is 'no column'"),
        (lambda root: (root / "names.txt").write_text("1,wall," + "x" * 200_000), "line 1 of .* write a value"),
        (lambda root: (root / "names.txt").write_text("1" * 9000 + " wall"), "line 1 of .* write a value"),
        (lambda root: (root / "names.txt").write_text(""), "has no names"),
        (lambda root: (root / "names.txt").write_bytes(b"\xff\xfe\xff"), "cannot be read"),
        (
            lambda root: (root / "names.txt").write_text("0 sky\n1 tree"),
            "has the value 2, which the file of names does",
        ),
        (lambda root: (root / "trainannot" / "0001.png").unlink(), "1 of 4 images in train have no mask .* 0001.png"),
        (lambda root: save(root / "trainannot" / "0001.png", np.ones((24, 24), np.uint8)), "is 24 x 24 pixels and its"),
        (lambda root: save(root / "trainannot" / "0001.png", scenes()[0][0]), "has colours, but the file of names has"),
        (lambda root: (root / "trainannot" / "0001.png").write_text("x"), "0001.png cannot be opened"),
        (lambda root: (root / "train").rename(root / "elsewhere"), "images of the masks in .* were not found; name"),
        (lambda root: (root / "trainannot").rename(root / "elsewhere"), "the folder of masks .* is not there"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(change: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    name = camvid(tmp_path)
    change(tmp_path)
    with pytest.raises(SegmenterError, match=words) as raised:
        masks.load(name)(batch())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "label.csv").unlink(), "has an index.csv, but no label.csv"),
        (lambda root: (root / "index.csv").write_text("a,b\n1,2\n"), "has no column called image"),
        (lambda root: (root / "index.csv").write_text("image,object\n0.png,9.png\n"), "names 9.png, which is not in"),
        (lambda root: (root / "index.csv").write_text("image,object\n0.png,../label.csv\n"), "leads out of"),
        (lambda root: (root / "index.csv").write_text("object,image\n0.png\n"), "which is not in"),
        (
            lambda root: (root / "index.csv").write_bytes(b"image,object\n\xff.png,\n"),
            "cannot be read: it is not UTF-8",
        ),
        (
            lambda root: (root / "index.csv").write_text("image\n" + "x" * 200_000),
            "cannot be read: line 2 is not a row",
        ),
    ],
)
def test_a_broden_index_that_does_not_fit_is_one_clear_line(
    change: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    name = broden(tmp_path)
    change(tmp_path)
    with pytest.raises(SegmenterError, match=words):
        find_layout(Path(name), None, None)


@pytest.mark.parametrize(("colour", "known"), [((255, 0, 0), False), ((255, 255, 255), True), ((0, 0, 0), True)])
def test_a_colour_without_a_name_is_refused_unless_it_is_black_or_white(
    colour: tuple[int, int, int], known: bool, tmp_path: Path
) -> None:
    layout = find_layout(Path(coloured(tmp_path)), None, None)
    save(tmp_path / "one.png", np.full((2, 2, 3), colour, np.uint8))
    if known:
        assert not concepts_in(layout, tmp_path / "one.png", (2, 2)).any()
    else:
        with pytest.raises(SegmenterError, match=r"has the value \(255, 0, 0\), which the file of names does not have"):
            concepts_in(layout, tmp_path / "one.png", (2, 2))


def test_images_and_names_may_lie_elsewhere(tmp_path: Path) -> None:
    camvid(tmp_path)
    (tmp_path / "train").rename(tmp_path / "my photos, all")
    (tmp_path / "names.txt").rename(tmp_path / "other.txt")
    argument = f"{tmp_path / 'trainannot'},images={tmp_path}/my photos%2C all,names={tmp_path / 'other.txt'}"
    assert len(plugins.segmenter(f"masks:{argument}").vocabulary) == 4  # nothing, and three names
    with pytest.raises(SegmenterError, match="is not understood; write masks:FOLDER"):
        masks.load(f"{tmp_path},pictures=x")


def described(root: Path, line: str, name: str = "mine.toml") -> Path:
    (root / "net.py").write_text(NETWORK)
    (root / name).write_text(line)
    return root / name


READER = 'network = "./net.py:Reader"\nimages = { folder = "train", size = [24, 32] }\nlayers = ["body"]\n'


def test_a_network_that_reads_images_is_measured_against_masks(tmp_path: Path) -> None:
    camvid(tmp_path)
    path = described(tmp_path, f'{READER}masks = "trainannot"\n')
    few = {"samples": 4, "pilot": 4, "workers": 1, "interventions": False, "artifacts": False}
    record = dissectreport.measure(Options(str(path), cache=tmp_path / "cache", device="cpu", **few))  # type: ignore[arg-type]
    assert record.segmenter["name"] == "masks:trainannot"
    assert record.vocabulary.names == ["-", *CLASSES]


def test_samples_that_somebody_labelled_are_measured(tmp_path: Path) -> None:
    path = described(tmp_path, 'network = "./net.py:Painter"\nlatent = 6\nsegmenter = "colour"\n')
    generator = plugins.generator(str(path))
    with torch.no_grad():
        images = generator(latents(1, 0, 5, generator.latent_shape))
    for number, image in enumerate(images):
        pixels = ((image.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        save(tmp_path / "labelled" / "images" / f"{number}.png", pixels)
        save(tmp_path / "labelled" / "masks" / f"{number}.png", (pixels[..., 0] > 128).astype(np.uint8))
    (tmp_path / "labelled" / "names.txt").write_text("0 background\n1 bright")
    path = described(tmp_path, 'network = "./net.py:Painter"\nlatent = 6\nmasks = "labelled"\n')
    job = prepare(Options(str(path), device="cpu", pilot=4, workers=1))
    assert job.samples == 5
    assert job.generator.untrained(1) is None
    expected = (images[:, :1] + 1).mul(127.5).round() > 128
    assert torch.equal(job.segmenter(images) == 1, expected)
    with pytest.raises(BadOption, match="--samples must be at most 5"):
        prepare(Options(str(path), device="cpu", samples=6))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('masks = "trainannot"\nsegmenter = "colour"', "masks take the place of a segmenter; remove one"),
        ("masks = 3", "masks must be a folder, or"),
        ('masks = { images = "train" }', "masks needs a folder"),
        ('masks = { folder = "trainannot", size = "3" }', "no key of masks in mine.toml: 'size'"),
    ],
)
def test_a_description_of_masks_that_is_wrong_is_one_clear_line(line: str, words: str, tmp_path: Path) -> None:
    camvid(tmp_path)
    with pytest.raises(DissectReportError, match=words):
        plugins.generator(str(described(tmp_path, f"{READER}{line}\n")))
