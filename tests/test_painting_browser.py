"""The Paint page in Chromium: it computes what torch computes, and mouse, keys, touch and links paint."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dissectreport import plugins
from dissectreport.analysis.assemble import vocabulary_table
from dissectreport.analysis.results.painting import Painting
from dissectreport.models.strokes import PaintedEdits, Stroke, checked_strokes
from dissectreport.networks.latents import latents
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.painting import edited_image
from dissectreport.report.html.images import concept_colours
from tests.support.browsers import assert_fits, assert_no_violation, browser_path, open_page, wait_until
from tests.support.painting import (
    LAYER,
    MODEL,
    REPAIR,
    SEED,
    SEGMENTER,
    inverted_photo,
    painting,
    served,
    write_overview,
    write_paint_site,
)
from tests.support.tiers import extended

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TREES, DOOR, ERASED = "b0_d_100_8.16-19.27", "b1_d_60_60-62", "u7_e_100_0-63"
RECORDED = ((0, "", 0), (3, TREES, 0), (11, f"{TREES}~{DOOR}~{ERASED}", 1), (2016, f"{DOOR}~r4.5.9_d_40_1-20", 0))
"""Scene, strokes in words, and whether the repair is on; the last scene is not of the gallery."""


@dataclass(frozen=True)
class PaintSite:
    """The page, and what it was made of."""

    folder: Path
    page: str
    painting: Painting
    photo: Path
    """An inverted photo of the gallery."""


@pytest.fixture(scope="module")
def paint_site(tmp_path_factory: pytest.TempPathFactory) -> PaintSite:
    folder, segmenter = tmp_path_factory.mktemp("painting") / "a site", plugins.segmenter(SEGMENTER)
    photo = inverted_photo(folder.parent)
    shown = painting(segmenter, (photo,))
    page = write_paint_site(folder, shown, plugins.generator(MODEL).identity, segmenter)
    return PaintSite(folder, str(page), shown, photo)


@contextmanager
def opened(chromium: Browser, site: PaintSite, view: str = "", **options: Any) -> Iterator[Page]:
    """The page, when all of its networks are there; Chromium complains if it is asked for a graphics processor."""
    with open_page(chromium, site.folder, f"{site.page}#p=wasm{view}", **options) as page:
        wait_until(page, "document.getElementById('stage').dataset.segmented !== undefined")
        yield page


def strokes_drawn(page: Page, count: int) -> None:
    wait_until(page, f"document.getElementById('stage').dataset.segmented === '{count}'")


def pixels(page: Page, canvas: str = "image") -> NDArray[np.uint8]:
    """(height, width, 4) what a canvas shows."""
    address = page.evaluate("(id) => document.getElementById(id).toDataURL('image/png')", canvas)
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGBA"))


def edits_of(page: Page, sample: int, repair: int) -> PaintedEdits:
    """The edits that the page would save."""
    script = """([sample, repair]) => {
      const app = dissectreport;
      const data = app.data("paint-data");
      const words = app.view.get().get("e");
      const count = data.cells[0] * data.cells[1];
      const strokes = app.strokesOf(words, app.brushes(data).brushOf, count);
      return JSON.stringify(app.strokesAsFile(data, sample, repair, strokes));
    }"""
    return checked_strokes(json.loads(page.evaluate(script, [sample, repair])))


def test_the_page_draws_what_torch_draws(chromium: Browser, paint_site: PaintSite) -> None:
    segmenter = plugins.segmenter(SEGMENTER)
    colours = concept_colours(vocabulary_table(segmenter.vocabulary))
    with opened(chromium, paint_site) as page:
        drawn = page.evaluate("Array.from(dissectreport.latentOf(1, 2016, 128))")
        assert np.array_equal(np.array(drawn, np.float32), latents(SEED, 2016, 1, (128,))[0].numpy())
        page.check("#show-segments")
        for sample, words, repair in RECORDED:
            page.evaluate("(words) => { location.hash = words; }", f"p=wasm&s={sample}&e={words}&r={repair}")
            wait_until(page, f"document.getElementById('stage').dataset.scene === '{sample}'")
            strokes_drawn(page, len(list(filter(None, words.split("~")))))
            edits, shown, segments = edits_of(page, sample, repair), pixels(page), pixels(page, "segments")
            assert (Stroke(REPAIR, (0.0, 0.0)) in edits.strokes) == bool(repair)
            expected = edited_image(Options(MODEL), edits)
            difference = np.abs(shown[..., :3].astype(int) - expected.astype(int)).max(2)
            assert (difference <= 1).mean() >= 0.999
            image = torch.from_numpy(shown[..., :3].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            labels = segmenter(image)[0, 0].numpy()
            assert (segments[..., :3] == colours[labels]).all(2)[segments[..., 3] > 0].mean() >= 0.995


def test_a_photo_is_painted_on_with_its_residuals(chromium: Browser, paint_site: PaintSite) -> None:
    with opened(chromium, paint_site) as page:
        assert page.locator(".photos img").count() == 2, "the photo, and what the network draws"
        page.get_by_role("button", name="photo my house, as the network draws it").click()
        wait_until(page, "document.getElementById('stage').dataset.scene === '-1'")
        assert page.locator("#still").get_attribute("alt") == "photo my house"
        page.evaluate("(words) => { location.hash = words; }", f"p=wasm&s=-1&e={TREES}")
        strokes_drawn(page, 1)
        shown, edits = pixels(page), edits_of(page, -1, 0)
    assert edits.latent == 0, "the photo is given to the command beside the edits"
    expected = edited_image(Options(MODEL), edits, photo=paint_site.photo)
    assert np.mean(np.abs(shown[..., :3].astype(int) - expected).max(2) <= 1) > 0.999
    assert np.mean(np.abs(edited_image(Options(MODEL), edits).astype(int) - expected).max(2) <= 1) < 0.9


def test_mouse_strokes_are_undone_redone_and_shared_by_a_link(chromium: Browser, paint_site: PaintSite) -> None:
    with opened(chromium, paint_site, "&b=b0") as page:
        first = pixels(page)
        box = page.locator("#stage").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.6)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=6)
        page.mouse.up()
        strokes_drawn(page, 1)
        painted = pixels(page)
        assert (painted != first).any()
        assert (pixels(page, "original") == first).all(), "the original stays"
        assert page.locator("#areas tbody tr").count() > 3
        assert "tree:" in (page.text_content("#gain") or "")
        page.click("#erase")
        page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6)
        strokes_drawn(page, 2)
        page.keyboard.press("z")
        strokes_drawn(page, 1)
        assert (pixels(page) == painted).all()
        page.click("#undo")
        strokes_drawn(page, 0)
        assert (pixels(page) == first).all()
        page.click("#redo")
        strokes_drawn(page, 1)
        address = page.evaluate("location.hash").replace("#p=wasm", "")
    with opened(chromium, paint_site, address) as page:
        strokes_drawn(page, 1)
        assert (pixels(page) == painted).all(), "the link shows the same"
        page.click("#reset")
        strokes_drawn(page, 0)
        assert (pixels(page) == first).all()


def test_keys_paint_and_every_control_has_a_name(chromium: Browser, paint_site: PaintSite) -> None:
    with opened(chromium, paint_site, "&s=3") as page:
        first = pixels(page)
        page.focus("#stage")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Space"):
            page.keyboard.press(key)
        strokes_drawn(page, 1)
        assert (pixels(page) != first).any()
        page.check("#hints")
        page.check("#wipe-on")
        page.keyboard.press("b")
        assert page.get_attribute("#before", "aria-pressed") == "true"
        assert_no_violation(page)
        assert_fits(page)


def test_a_finger_paints_on_a_phone(chromium: Browser, paint_site: PaintSite) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with opened(chromium, paint_site, **phone) as page:
        first = pixels(page)
        page.locator("#stage").scroll_into_view_if_needed()
        box = page.locator("#stage").bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        strokes_drawn(page, 1)
        assert (pixels(page) != first).any()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_units_random_units_repair_and_new_scenes(chromium: Browser, paint_site: PaintSite) -> None:
    with opened(chromium, paint_site, "&b=u7") as page:
        assert "unit 7" in (page.text_content("#chosen") or ""), "as a unit's page asks for"
        page.fill("#unit", "12")
        page.press("#unit", "Tab")
        assert "b=u12" in page.evaluate("location.hash")
        page.click("[data-brush='0']")
        page.click("#random")
        chosen = page.evaluate("dissectreport.view.get().get('b')")[1:].split(".")
        assert len(set(chosen)) == 20, "as many as the brush has"
        before = pixels(page)
        page.check("#repair")
        wait_until(page, "dissectreport.view.get().get('r') === '1'")
        page.wait_for_timeout(1500)
        assert (pixels(page) != before).any()
        page.click("#new-scene")
        sample = page.evaluate("dissectreport.view.get().get('s')")
        wait_until(page, f"document.getElementById('stage').dataset.scene === '{sample}'")
        assert (pixels(page, "original") != before).any()


@pytest.mark.parametrize("sample", ["9007199254740991", extended("-7"), extended("1e3.5"), extended("two")])
def test_a_scene_that_cannot_be_is_said_and_the_page_goes_on(
    chromium: Browser, paint_site: PaintSite, sample: str
) -> None:
    with opened(chromium, paint_site, f"&s={sample}") as page:
        assert page.text_content("#toast") == f"There is no scene {sample}: numbers go from 0 to 99,999"
        assert page.get_attribute("#stage", "data-scene") == "0"
        page.fill("#scene", "100000")
        page.press("#scene", "Tab")
        assert "There is no scene 100000" in (page.text_content("#toast") or "")


@pytest.mark.extended
def test_a_far_scene_is_drawn_while_the_page_answers(chromium: Browser, paint_site: PaintSite) -> None:
    with opened(chromium, paint_site) as page:
        page.evaluate("window.ticks = 0; setInterval(() => { window.ticks += 1; }, 20)")
        page.fill("#scene", "99999")
        page.press("#scene", "Tab")
        wait_until(page, "document.getElementById('stage').dataset.scene === '99999'")
        assert page.evaluate("window.ticks") > 3


@pytest.mark.extended
def test_the_first_stroke_is_of_a_brush_that_changes_the_image(chromium: Browser, paint_site: PaintSite) -> None:
    with opened(chromium, paint_site) as page:
        gains = page.evaluate("dissectreport.data('paint-data').brushes.map((brush) => brush.gains)")
        contexts = page.evaluate("dissectreport.data('paint-data').contexts[0]")
        added = [sum(max(0, brush.get(str(context), [0])[0]) for context in contexts) for brush in gains]
        chosen = page.locator("[data-brush][aria-pressed=true]").get_attribute("data-brush")
    assert chosen == str(int(np.argmax(added)))


CHANGES = """([side, cells]) => {
  let seen = 0;
  const run = (_, { activations: { data, shape: [, , high, wide] } }) => {
    seen = high * wide;
    const at = (y, x) => (y < 0 || x < 0 || y >= high || x >= wide ? 0 : data[y * wide + x]);
    const image = new Float32Array(12 * high * wide);
    image.forEach((_, i) => {
      const [y, x] = [Math.floor((i % (4 * high * wide)) / (2 * wide)) >> 1, (i % (2 * wide)) >> 1];
      for (let k = -1; k < 2; k++) for (let l = -1; l < 2; l++) image[i] += at(y + k, x + l) * (2 + k + 3 * l);
    });
    return Promise.resolve({ milliseconds: 1, outputs: { image: { data: image, shape: [1, 3, 2 * high, 2 * wide] } } });
  };
  const data = { cells: [side, side], reach: 1, units: 1, image: [2 * side, 2 * side] };
  const given = (values) => ({ activations: { data: values, shape: [1, 1, side, side] } });
  const before = Float32Array.from({ length: side * side }, (_, i) => Math.sin(i));
  const after = before.slice();
  cells.forEach((cell) => { after[cell] = 5; });
  const draw = dissectreport.drawsChanges(data, run);
  return draw(given(before)).then(() => draw(given(after))).then((changed) => {
    const count = seen;
    return dissectreport.drawsChanges({ ...data, reach: 0 }, run)(given(after)).then((whole) =>
      [count, changed.outputs.image.data.every((value, i) => value === whole.outputs.image.data[i])]);
  });
}"""


@pytest.mark.parametrize(("cells", "computed"), [((0,), 9), ((100,), 25), ((17, 35), 30), ((0, 255), 256), ((), 256)])
def test_a_stroke_computes_only_what_it_changes(
    chromium: Browser, paint_site: PaintSite, cells: tuple[int, ...], computed: int
) -> None:
    with open_page(chromium, paint_site.folder, f"{paint_site.page}#p=wasm") as page:
        assert page.evaluate(CHANGES, [16, list(cells)]) == [computed, True]


@pytest.mark.extended
def test_it_works_in_a_sub_folder_of_a_server(chromium: Browser, paint_site: PaintSite) -> None:
    with served(paint_site.folder.parent) as address:
        page = chromium.new_page()
        page.goto(f"{address}/{paint_site.folder.name}/{paint_site.page}#p=wasm&s=3&e={TREES}")
        wait_until(page, "document.getElementById('stage').dataset.strokes === '1'")
        assert page.is_hidden("#failed")
        page.close()


def test_units_are_switched_off_on_the_overview(chromium: Browser, paint_site: PaintSite) -> None:
    overview = write_overview(paint_site.folder, paint_site.painting)
    page = chromium.new_page()
    page.goto(f"{paint_site.folder.as_uri()}/{overview}#p=wasm")
    assert "{" not in page.locator("main").inner_text(), "data is not shown"
    page.focus("#live-off")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    wait_until(page, "document.getElementById('live').dataset.off === '3'")
    sample = page.evaluate("dissectreport.data('live-data').sample")
    off = Stroke(paint_site.painting.brushes[0].ranked[:3], (0.0,) * 3)
    edits = PaintedEdits(MODEL, plugins.generator(MODEL).identity, LAYER, 0, 0, (off,), SEED, sample)
    shown = pixels(page, "live-image")[..., :3].astype(int)
    page.close()
    assert (np.abs(shown - edited_image(Options(MODEL), edits).astype(int)).max(2) <= 1).mean() >= 0.999


def test_a_graphics_processor_draws_the_same(chromium: Browser, paint_site: PaintSite) -> None:
    """In software, because there is none here."""
    flags = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    with closing(chromium.browser_type.launch(executable_path=browser_path(), args=flags)) as browser:
        page = browser.new_page()
        page.goto(f"{paint_site.folder.as_uri()}/{paint_site.page}#p=webgpu&s=3&e={TREES}")
        wait_until(page, "document.getElementById('stage').dataset.strokes === '1'", seconds=120)
        if page.get_attribute("#stage", "data-processor") != "webgpu":
            pytest.skip("this browser has no WebGPU, not even in software")
        shown = pixels(page)[..., :3].astype(int)
        expected = edited_image(Options(MODEL), edits_of(page, 3, 0)).astype(int)
    assert (np.abs(shown - expected).max(2) <= 1).mean() >= 0.999


def test_what_does_not_work_is_said(chromium: Browser, paint_site: PaintSite, tmp_path: Path) -> None:
    context = chromium.new_context()
    context.add_init_script("delete globalThis.WebAssembly")
    page = context.new_page()
    page.goto(f"{paint_site.folder.as_uri()}/{paint_site.page}")
    assert "no WebAssembly" in (page.text_content("#failed") or "")
    context.close()
    part = paint_site.folder / Path(paint_site.page).parent / "paint" / "tail-0.js"
    whole = part.read_bytes()
    part.write_bytes(whole.replace(b'"tail", 0, "H4sI', b'"tail", 0, "AAAA'))
    try:
        page = chromium.new_page()
        page.goto(f"{paint_site.folder.as_uri()}/{paint_site.page}")
        wait_until(page, "!document.getElementById('failed').hidden")
        assert "damaged" in (page.text_content("#failed") or "")
        assert page.locator("#still").is_visible(), "the image of the gallery stays"
        page.close()
    finally:
        part.write_bytes(whole)


def test_the_layer_of_the_page_is_named(paint_site: PaintSite) -> None:
    page = (paint_site.folder / paint_site.page).read_text()
    assert f">{LAYER}</a>" in page
    assert "'wasm-unsafe-eval'" in page and "unsafe-eval'" not in page.replace("'wasm-unsafe-eval'", "")
