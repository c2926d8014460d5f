"""What the program does, step by step: measure, load, render, build; and what lies in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport import records, store
from dissectreport.errors import UnknownName
from dissectreport.jobs import Listener, Options, Silent, prepare
from dissectreport.records import Record
from dissectreport.report import SITE_LIMIT
from dissectreport.results import Reader

if TYPE_CHECKING:
    from dissectreport.analysis.dissection import Dissection
    from dissectreport.report.site import Written

__all__ = [
    "Options",
    "Silent",
    "build",
    "cache_lines",
    "clear",
    "damaged",
    "load",
    "measure",
    "render",
    "writable",
]


def measure(options: Options, listener: Listener | None = None) -> Record:
    """Measure a model, reusing whatever was measured before; returns where everything lies."""
    from dissectreport.measurement import Measurement

    return Measurement(prepare(options), listener or Silent()).run()


def load(model: str, rule: str = "corrected", cache: Path | None = None) -> Dissection:
    """What was measured of a model, as tables; needs neither torch nor the model."""
    where = cache or store.default_folder()
    return _assembled(records.load(where, model, rule), where)


def _assembled(record: Record, cache: Path) -> Dissection:
    from dissectreport.analysis.assemble import assemble

    return assemble(record, Reader(cache / "measurements"))


def render(
    model: str,
    out: Path,
    rule: str = "corrected",
    cache: Path | None = None,
    listener: Listener | None = None,
    site_limit: int = SITE_LIMIT,
) -> Written:
    """Draw the site of a model that was measured; needs neither torch nor the model.

    Pages of more than `site_limit` megabytes are refused, where that is not 0.
    """
    from dissectreport.report.site import write_site

    ear = listener or Silent()
    where = cache or store.default_folder()
    record = records.load(where, model, rule)
    ear.say("analysing the counts")
    return write_site(
        _assembled(record, where),
        out,
        lambda done, total: ear.progress("drawing units", done, total, "units"),
        site_limit,
    )


def build(options: Options, out: Path, listener: Listener | None = None, site_limit: int = SITE_LIMIT) -> Written:
    """Measure a model and draw its site."""
    measure(options, listener)
    return render(options.model, out, options.rule, options.cache, listener, site_limit)


def writable(out: Path) -> None:
    """Refuse an output folder that cannot be written, before anything long begins."""
    store.check_writable(out)


def cache_lines(cache: Path | None) -> Iterator[str]:
    """What is in the cache, a line each."""
    where = cache or store.default_folder()
    for record in records.every(where):
        layers = ", ".join(layer.name for layer in record.layers)
        yield f"{record.model}  {record.rule}  {record.samples:,} samples of {layers}"
    yield from records.unreadable(where)
    yield f"{store.size(where) / 1e6:,.1f} MB in {where}"


def damaged(cache: Path | None) -> list[Path]:
    """The files of the cache that cannot be read."""
    where = (cache or store.default_folder()) / "measurements"
    return [place.path(name) for place in store.folders(where) for name in place.names() if not place.sound(name)]


def clear(cache: Path | None, model: str = "") -> int:
    """Remove what was measured, of one model or of all; returns the bytes that were freed."""
    where = cache or store.default_folder()
    before = store.size(where)
    if not model:
        store.clear(where / "measurements")
        store.clear(where / "records")
        return before - store.size(where)
    mine = [record for record in records.every(where) if record.model == model]
    if not mine:
        raise UnknownName.of("measurement of", model, sorted({record.model for record in records.every(where)}))
    others = {name for record in records.every(where) if record.model != model for name in record.folders}
    for record in mine:
        for name in set(record.folders) - others:
            store.clear(where / "measurements" / name)
        records.place(where, record.model, record.rule).unlink()
    return before - store.size(where)
