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
    words = f"{lead.units} units off: {removed(lead.removed.value)} of {studied.concept.name} removed"
    return _drawn(ablated.before[at], ablated.after[at], words)


def _drawn(before: images.Bytes, after: images.Bytes, words: str) -> bytes:
    width, height = SIZE
    sheet = Image.new("RGB", SIZE, images.DARK)
    room = (width - GAP) // 2, height - LINE
    for left, pixels in ((0, before), (room[0] + GAP, after)):
        sheet.paste(_filling(Image.fromarray(pixels), room), (left, 0))
    ImageDraw.Draw(sheet).text((24, height - LINE + 20), words, fill=PAPER, font=ImageFont.load_default(38))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _filling(image: Image.Image, room: tuple[int, int]) -> Image.Image:
    """The image, enlarged to fill the room; what does not fit is cut off at both ends."""
    scale = max(room[0] / image.width, room[1] / image.height)
    large = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (large.width - room[0]) // 2, (large.height - room[1]) // 2
    return large.crop((left, top, left + room[0], top + room[1]))
