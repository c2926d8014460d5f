"""The pictures of the page of classes as files."""

from __future__ import annotations

from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.places import Files

QUALITY = 84


def class_images(site: Site) -> Files:
    """Held-out images of every class, and images before and after an attack, by their addresses."""
    classes, places = site.dissection.classes, site.places
    if classes is None:
        return {}
    files = {
        places.class_image(shown.sample): images.webp(images.tiles(shown.image), QUALITY)
        for every in classes.shown.values()
        for shown in every
    }
    for attack in classes.shown_attacks:
        files[places.class_image(attack.sample)] = images.webp(images.tiles(attack.before), QUALITY)
        files[places.attacked(attack.sample)] = images.webp(images.tiles(attack.after), QUALITY)
    return files
