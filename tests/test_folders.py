"""Folders of images: every kind of file is read right or told of, and the order is the names'."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, features

from dissectreport.errors import FolderError
from dissectreport.models.image_folder import ImageFolder, open_folder

Pixels = NDArray[np.uint8]
SIZE = (16, 24)
QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
"""Top left, top right, bottom left, bottom right of the picture that most tests read."""
AWAY = np.ix_([0, 1, 2, 3, 12, 13, 14, 15], [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23])
"""Pixels away from the borders of the quarters, where filters and codecs mix them."""
ORIENTATION = 0x0112
GREY = 6
"""The difference of the greys of images that do not look alike."""


def quartered(height: int = 16, width: int = 24) -> Pixels:
    """A picture whose quarters are red, green, blue and yellow."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    places = ((top, left), (top, right), (bottom, left), (bottom, right))
    for (rows, columns), colour in zip(places, QUARTERS, strict=True):
        picture[rows, columns] = colour
    return picture


def as_pixels(images: torch.Tensor) -> Pixels:
    """(n, 3, h, w) in [-1, 1] -> (n, h, w, 3) uint8, rounded."""
    return ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def alone(path: Path, size: tuple[int, int] = SIZE) -> Pixels:
    """(h, w, 3) the only image of a file's folder."""
    (picture,) = as_pixels(open_folder(path.parent, size).images([0]))
    return picture


def save(path: Path, picture: Pixels | Image.Image, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(path, **how)
    return path


def spread(folder: Path, count: int) -> Path:
    """A folder of pictures each of one grey of its own."""
    for number in range(count):
        save(folder / f"{number:03d}.png", np.full((4, 4, 3), GREY * number, np.uint8))
    return folder


@pytest.mark.parametrize("kind", ["png", "PNG", "bmp", "tif", "tiff", "gif", "webp", "avif", "jpg", "jpeg"])
def test_every_format_is_read(tmp_path: Path, kind: str) -> None:
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    lossless = {"lossless": True} if kind == "webp" else {}
    found = alone(save(tmp_path / f"a.{kind}", quartered(), **lossless))
    if kind in ("jpg", "jpeg", "avif"):
        assert np.abs(found[AWAY].astype(int) - quartered()[AWAY].astype(int)).max() <= 32
    else:
        assert (found == quartered()).all()


def test_images_lie_between_minus_one_and_one(tmp_path: Path) -> None:
    save(tmp_path / "a.png", quartered())
    images = open_folder(tmp_path, SIZE).images([0])
    assert images.dtype == torch.float32 and images.shape == (1, 3, *SIZE)
    assert images[0, :, 0, 0].tolist() == [1, -1, -1] and images[0, :, 15, 23].tolist() == [1, 1, -1]


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_lies_on_its_side_is_put_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the turns of Image.Transpose that the camera made
    lying = Image.fromarray(quartered())
    if orientation > 1:
        lying = lying.transpose(Image.Transpose(undone[orientation]))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(tmp_path / f"a.{kind}", lying, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    assert np.abs(alone(path)[AWAY].astype(int) - quartered()[AWAY].astype(int)).max() <= (32 if kind == "jpg" else 0)
    assert not open_folder(tmp_path, SIZE).notes(), "it is neither cropped nor enlarged"


def test_transparent_images_are_composed_over_white(tmp_path: Path) -> None:
    picture = np.zeros((16, 24, 4), np.uint8)
    picture[:, :12] = (255, 0, 0, 255)
    picture[:, 12:] = (255, 0, 0, 51)
    found = alone(save(tmp_path / "a.png", picture))
    assert (found[:, :12] == (255, 0, 0)).all() and (found[:, 12:] == (255, 204, 204)).all()


def test_transparent_grey_and_palette_images_are_composed_over_white(tmp_path: Path) -> None:
    grey = np.dstack([np.full((16, 24), 100, np.uint8), np.tile(np.uint8([255] * 12 + [0] * 12), (16, 1))])
    found = alone(save(tmp_path / "grey" / "a.png", grey))
    assert (found[:, :12] == 100).all() and (found[:, 12:] == 255).all()
    indices = Image.fromarray(np.tile(np.uint8([0] * 12 + [1] * 12), (16, 1)), "P")
    indices.putpalette([10, 20, 30, 40, 50, 60])
    for kind in ("png", "gif"):
        found = alone(save(tmp_path / kind / f"a.{kind}", indices, transparency=1))
        assert (found[:, :12] == (10, 20, 30)).all() and (found[:, 12:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_modes_become_red_green_and_blue(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(quartered()).convert(mode, **({"palette": Image.Palette.ADAPTIVE} if mode == "P" else {}))
    found = alone(save(tmp_path / "a.tif", image))
    wanted = np.asarray(image.convert("RGB"))
    assert (found == wanted).all()
    if mode in ("P", "CMYK"):
        assert (found == quartered()).all()


def test_a_cmyk_jpeg_is_no_negative(tmp_path: Path) -> None:
    white = Image.new("CMYK", (24, 16), (0, 0, 0, 0))
    assert (alone(save(tmp_path / "a.jpg", white)) >= 254).all()


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_sixteen_bits_become_eight_of_the_same_brightness(tmp_path: Path, kind: str) -> None:
    values = np.repeat(np.uint16([0, 257, 32896, 65535]), 6)
    image = Image.fromarray(np.tile(values, (16, 1)))
    assert image.mode == "I;16"
    found = alone(save(tmp_path / f"a.{kind}", image))
    assert found[0, ::6].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_pixels_without_a_known_range_are_skipped_and_reported(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", Image.fromarray(np.zeros((16, 24), np.float32)))
    save(tmp_path / "b.png", quartered())
    (line,) = open_folder(tmp_path, SIZE).notes()
    assert "1 of 2 files cannot be read and is skipped: a.tif (its pixels have 32 bits" in line


def test_the_first_frame_stands_for_a_moving_picture(tmp_path: Path) -> None:
    frames = [Image.fromarray(quartered()), Image.new("RGB", (24, 16))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (alone(tmp_path / "a.gif") == quartered()).all()


def test_of_two_pictures_in_one_jpeg_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (24, 16), "white"), Image.new("RGB", (24, 16))]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert (alone(tmp_path / "a.jpg") == 255).all()


@pytest.mark.parametrize(("height", "width"), [(160, 240), (160, 400), (400, 240), (161, 399)])
def test_an_image_covers_the_size_and_is_cropped_in_the_middle(tmp_path: Path, height: int, width: int) -> None:
    found = alone(save(tmp_path / "a.png", quartered(height, width)))
    assert (found[AWAY] == quartered()[AWAY]).all()


def test_scaling_down_averages_instead_of_picking(tmp_path: Path) -> None:
    stripes = np.zeros((160, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    assert (np.abs(alone(save(tmp_path / "a.png", stripes))[:, 2:-2].astype(int) - 127) <= 3).all()


def test_a_large_jpeg_looks_as_the_same_picture_without_loss(tmp_path: Path) -> None:
    smooth = Image.fromarray(np.random.RandomState(0).randint(0, 256, (32, 48, 3)).astype(np.uint8))
    large = smooth.resize((240, 160), Image.Resampling.BICUBIC)
    jpeg = alone(save(tmp_path / "jpeg" / "a.jpg", large, quality=95))
    png = alone(save(tmp_path / "png" / "a.png", large))
    assert np.abs(jpeg.astype(int) - png.astype(int)).max() <= 6


def test_images_are_in_order_of_their_names_at_any_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/2.png", "a.png", "B.png", "b/1.PNG", "b.png", "ä.png", ".hidden/3.png", "._a.png", "notes.txt"):
        save(tmp_path / name, quartered(), format="PNG")
    names = tuple(file.name for file in open_folder(tmp_path, SIZE).files)
    assert names == ("B.png", "a.png", "b.png", "b/1.PNG", "b/2.png", "ä.png")
    walk = os.walk

    def backwards(*args: Any, **more: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for place, below, files in walk(*args, **more):
            below.reverse()
            yield place, below, files[::-1]

    monkeypatch.setattr(os, "walk", backwards)
    assert tuple(file.name for file in open_folder(tmp_path, SIZE).files) == names


def test_links_are_followed_but_round_no_circle(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "a.png", quartered())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "nothing.png")
    opened = open_folder(folder, SIZE)
    assert opened.names == ("linked/a.png",)
    assert [str(one) for one in opened.skipped] == ["gone.png (No such file or directory)"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in folders")
def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(FolderError, match="there is no image"):
        open_folder(tmp_path, SIZE)


def broken(folder: Path) -> None:
    """Files that are called images and are none."""
    (folder / "page.jpg").write_text("<!doctype html><title>404</title>")
    (folder / "empty.png").write_bytes(b"")
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    for kind in ("jpg", "png", "webp"):
        path = save(folder / f"whole.{kind}", noise)
        (folder / f"cut.{kind}").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        path.unlink()


def test_broken_files_are_skipped_listed_and_counted(tmp_path: Path) -> None:
    spread(tmp_path, 3)
    broken(tmp_path)
    folder = open_folder(tmp_path, (4, 4))
    assert folder.first(5).shape == (3, 3, 4, 4), "of cut bodies nobody hears before they are read"
    validated = folder.validated([(1, 8)])
    assert {one.name for one in validated.skipped} == {"page.jpg", "empty.png", "cut.jpg", "cut.png", "cut.webp"}
    assert len(validated) == 3 and validated.names == ("000.png", "001.png", "002.png")
    reasons = {one.name: one.reason for one in validated.skipped}
    assert reasons["page.jpg"] == "not an image" and "truncated" in reasons["cut.jpg"]
    (line,) = validated.notes()
    assert line.startswith(f"{tmp_path.name}: 5 of 8 files cannot be read and are skipped: cut.jpg (")
    assert line.endswith("and 2 more") and "\n" not in line
    assert torch.equal(folder.without(one.name for one in validated.undecodable).first(3), validated.first(3))


def test_headers_tell_of_what_is_no_image_and_no_pixels_are_read_for_it(tmp_path: Path) -> None:
    spread(tmp_path, 1)
    broken(tmp_path)
    assert {one.name for one in open_folder(tmp_path, (4, 4)).skipped} == {"page.jpg", "empty.png", "cut.webp"}


def test_a_broken_image_is_replaced_by_the_next_in_order(tmp_path: Path) -> None:
    folder = open_folder(spread(tmp_path, 12), (4, 4))
    whole = folder.first(8, seed=5)
    victim = folder.order(5)[2]
    (tmp_path / victim).write_bytes((tmp_path / victim).read_bytes()[:45])
    again = open_folder(tmp_path, (4, 4)).first(8, seed=5)
    assert torch.equal(again[:2], whole[:2]) and torch.equal(again[2:7], whole[3:])
    assert torch.equal(again, open_folder(tmp_path, (4, 4)).first(12, seed=5)[:8])


def test_several_threads_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spread(tmp_path, 40)
    broken(tmp_path)
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        folder = open_folder(tmp_path, (4, 4)).validated([(2, 45)])
        found.append((folder.undecodable, folder.skipped, folder.first(40, seed=2).tolist()))
    assert found[0] == found[1]


def test_only_as_many_are_decoded_as_are_wanted(tmp_path: Path) -> None:
    folder = open_folder(spread(tmp_path, 12), (4, 4))
    victim = folder.order(5)[8]
    (tmp_path / victim).write_bytes((tmp_path / victim).read_bytes()[:45])
    assert not folder.validated([(5, 8)]).undecodable
    assert [one.name for one in folder.validated([(5, 9)]).undecodable] == [victim]


def test_another_seed_gives_another_order_of_the_same_images(tmp_path: Path) -> None:
    folder = open_folder(spread(tmp_path, 20), (4, 4))
    orders = [folder.order(seed) for seed in (1, 2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == list(folder.names)
    drawn = np.random.RandomState(1).permutation(20)
    assert orders[0] == tuple(f"{number:03d}.png" for number in drawn)
    assert as_pixels(folder.first(20, seed=1))[:, 0, 0, 0].tolist() == (GREY * drawn).tolist()


def test_a_broken_image_asked_for_by_name_is_refused_in_one_line(tmp_path: Path) -> None:
    broken(tmp_path)
    with pytest.raises(FolderError, match=r"cut\.jpg \(.*truncated.*\) cannot be read; repair or remove it") as refused:
        open_folder(tmp_path, SIZE).read(["cut.jpg"])
    assert "\n" not in str(refused.value)


def test_where_nothing_can_be_read_the_first_files_are_named(tmp_path: Path) -> None:
    broken(tmp_path)
    for ask in (lambda folder: folder.validated([(0, 5)]).notes(), lambda folder: folder.first(2)):
        with pytest.raises(FolderError, match=r"5 of 5 files cannot be read .* name a folder with images") as refused:
            ask(open_folder(tmp_path, SIZE))
        assert "\n" not in str(refused.value)


def test_small_and_misshapen_images_are_counted(tmp_path: Path) -> None:
    for number, (height, width) in enumerate([(16, 24), (32, 48), (8, 12), (64, 64), (200, 10)]):
        save(tmp_path / f"{number}.png", quartered(height, width) // (number + 1))
    assert open_folder(tmp_path, SIZE).notes() == (
        f"{tmp_path.name}: 2 of 5 images are smaller than 16 x 24 and enlarged",
        f"{tmp_path.name}: 2 of 5 images are of another shape than 16 x 24 and cropped",
    )


def test_files_of_other_types_are_reported(tmp_path: Path) -> None:
    save(tmp_path / "a.png", quartered())
    for name in ("b.heic", "c.HEIC", "labels.json", "README"):
        (tmp_path / name).write_bytes(b"")
    (line,) = open_folder(tmp_path, SIZE).notes()
    assert line.endswith("4 files of other kinds (.heic, .json, without an ending) skipped")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no folder .*photos; name a folder with images"),
        (lambda path: path.write_text("x"), "photos is a file; name the folder that contains it"),
        (lambda path: path.mkdir(), "there is no image in .*photos; images are jpg, jpeg, png"),
        (lambda path: (path.mkdir(), (path / "a.heic").touch()), r"no image in .*photos .1 file .* \(\.heic\)"),
    ],
)
def test_a_folder_that_cannot_serve_is_one_line(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "photos")
    with pytest.raises(FolderError, match=words) as refused:
        open_folder(tmp_path / "photos", SIZE)
    assert "\n" not in str(refused.value)


def test_a_folder_without_permission_is_one_line_and_one_inside_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.png", quartered())
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: Any) -> object:
        if Path(str(path)).name == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    closed = "closed"
    assert [one.name for one in open_folder(tmp_path, SIZE).skipped] == ["closed"]
    closed = tmp_path.name
    with pytest.raises(FolderError, match="cannot be read: Permission denied; name a folder with images"):
        open_folder(tmp_path, SIZE)


def test_a_bomb_is_skipped_and_reported_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    save(tmp_path / "a.png", quartered())
    for name, side in (("bomb", 40_000), ("large", 10_000)):
        with (tmp_path / f"{name}.png").open("wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            PngImagePlugin.putchunk(file, b"IHDR", side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0]))
            PngImagePlugin.putchunk(file, b"IDAT", b"")
    bomb, large = open_folder(tmp_path, SIZE).notes()
    assert "1 of 3 files" in bomb and "bomb.png (too many pixels to be opened safely)" in bomb
    assert "1 of 2 images is of another shape" in large
    assert not recwarn.list


def test_names_with_odd_characters_stay_on_one_line(tmp_path: Path) -> None:
    save(tmp_path / "a.png", quartered())
    (tmp_path / "b\nc.png").write_bytes(b"x")
    try:
        (tmp_path / os.fsdecode(b"d\xff.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("a file system that wants Unicode")
    folder = open_folder(tmp_path, SIZE)
    (line,) = folder.notes()
    assert "b?c.png (not an image)" in line and "d?.png" in line
    line.encode()
    assert folder.identity


def test_the_identity_changes_with_names_sizes_and_the_way_of_reading_alone(tmp_path: Path) -> None:
    def now(size: tuple[int, int] = (4, 4)) -> str:
        return open_folder(tmp_path, size).identity

    first = spread(tmp_path, 3) and now()
    (tmp_path / "notes.txt").write_text("no image")
    os.utime(tmp_path / "000.png", (0, 0))
    assert now() == first and now((8, 8)) != first
    (tmp_path / "001.png").rename(tmp_path / "003.png")
    renamed = now()
    save(tmp_path / "002.png", np.zeros((9, 9, 3), np.uint8))
    assert len({first, renamed, now()}) == 3


def test_opening_reads_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spread(tmp_path, 3)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    folder = open_folder(tmp_path, (4, 4))
    assert folder.identity and len(folder.files) == 3


def test_the_name_of_a_folder_does_not_contain_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spread(tmp_path, 1))
    folder: ImageFolder = open_folder(".", (4, 4))
    assert folder.name == tmp_path.name
