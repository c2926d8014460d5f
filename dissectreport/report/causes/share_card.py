"""The preview picture of a link to a model whose causal effects were measured: an image before and after."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dissectreport.report.causes.galleries import areas_lost
from dissectreport.report.causes.image_files import concept_number
from dissectreport.report.causes.overview import strongest_studied
from dissectreport.report.common.model import Site
from dissectreport.report.common.sharing import SIZE
from dissectreport.report.html import images
from dissectreport.report.html.numbers import removed

GAP, LINE = 12, 84
"""Pixels between the images, and of the line of words below them."""
INDENT = 24
"""Of the words, from the edge of their image."""
LETTERS = (36, 32, 28, 24)
"""Sizes of the words, the largest that fits is taken."""
PAPER = (251, 250, 247)


def before_and_after_card(site: Site) -> bytes:
    """A JPEG of the image that loses most of the strongest concept, before and after; b'' where there is none."""
    interventions = site.dissection.interventions
    pair = None if interventions is None else strongest_studied(interventions)
    if interventions is None or pair is None or not len(interventions.pictures[pair[0].concept.name].ablated.samples):
        return b""
    studied, lead = pair
    ablated, number = interventions.pictures[studied.concept.name].ablated, concept_number(site, studied.concept.name)
    at = int(np.argmax(np.nan_to_num(areas_lost(ablated, number))))
    words = f"{lead.units} units off: {removed(lead.removed.value)} less {studied.concept.name}"
    return beside((ablated.before[at], site.dissection.title), (ablated.after[at], words))


def beside(*sides: tuple[images.Bytes, str]) -> bytes:
    """Images beside each other, each with its line of words below."""
    width, height = SIZE
    sheet = Image.new("RGB", SIZE, images.DARK)
    room = (width - GAP) // 2, height - LINE
    for left, (pixels, words) in zip((0, room[0] + GAP), sides, strict=True):
        sheet.paste(_filling(Image.fromarray(pixels), room), (left, 0))
        _write(sheet, words, left + INDENT, room[0] - 2 * INDENT)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _write(sheet: Image.Image, words: str, left: int, width: int) -> None:
    """The words in the line below the images, smaller and at last shortened where they are wider than `width`."""
    font = next((f for f in map(ImageFont.load_default, LETTERS) if f.getlength(words) <= width), None)
    if font is None:
        font = ImageFont.load_default(LETTERS[-1])
        while font.getlength(words) > width:
            words = words.removesuffix("…")[:-1] + "…"
    ImageDraw.Draw(sheet).text((left, SIZE[1] - LINE // 2), words, fill=PAPER, font=font, anchor="lm")


def _filling(image: Image.Image, room: tuple[int, int]) -> Image.Image:
    """The image, enlarged to fill the room; what does not fit is cut off at both ends."""
    scale = max(room[0] / image.width, room[1] / image.height)
    large = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (large.width - room[0]) // 2, (large.height - room[1]) // 2
    return large.crop((left, top, left + room[0], top + room[1]))
