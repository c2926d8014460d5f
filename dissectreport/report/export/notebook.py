"""A report in a notebook: its tables for pandas, its pictures, and a short view of what a cell returns.

It is made from a dissection, or from the files of a site.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from PIL import Image

from dissectreport import structured
from dissectreport.analysis.results.dissection import Dissection, Layer
from dissectreport.errors import OutputError, UnknownName, check_machine
from dissectreport.image_files import opened_image
from dissectreport.report.common.model import rows_of
from dissectreport.report.common.rendering import environment
from dissectreport.report.common.summary import Summary
from dissectreport.report.common.unit_cards import STRIP
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.names import safe_names
from dissectreport.report.html.numbers import Agreement
from dissectreport.report.html.places import TAKEN, Places
from dissectreport.report.html.strips import strip_of
from dissectreport.report.site.downloads import tables_of
from dissectreport.report.site.summaries import read_summaries
from dissectreport.run.rules import RuleName

_SHOWN = 6
"""Units in the view of a layer."""
_HEIGHT = 64
"""Of a strip in a view, in pixels: a notebook keeps what it shows."""


class NotebookTables(Mapping[str, pd.DataFrame]):
    """Tables by name, each read on first access."""

    def __init__(self, of: str, readers: Mapping[str, Callable[[], pd.DataFrame]]) -> None:
        self._of, self._readers, self._read = of, readers, dict[str, pd.DataFrame]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The table; UnknownName names those that are there."""
        if name not in self._readers:
            raise UnknownName.of(f"table of {self._of}", name, self._readers)
        if name not in self._read:
            self._read[name] = self._readers[name]()
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is one."""
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(self._readers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._readers)


@dataclass(frozen=True, repr=False)
class Unit:
    """One unit of a layer."""

    layer: str
    number: int
    facts: pd.Series
    """Its row of the layer's table `units`."""
    labels: pd.DataFrame
    """Its label in each category."""
    pairs: pd.DataFrame
    """The concepts that it matches best."""
    picture: Callable[[], Image.Image]

    @cached_property
    def image(self) -> Image.Image:
        """The images with its highest activations, side by side, bright where it is on."""
        return self.picture()

    def __repr__(self) -> str:
        return f"<unit {self.number} of {self.layer}: {self.facts['concept'] or 'no label'}>"

    def _repr_html_(self) -> str:
        return _view("unit", unit=self, row=_row(self))


@dataclass(frozen=True, repr=False)
class LayerReport:
    """One layer: its tables by the names of their downloads, and its units by number."""

    name: str
    tables: NotebookTables
    picture: Callable[[int], Image.Image]

    @property
    def units(self) -> pd.DataFrame:
        """One row per unit."""
        return self.tables["units"]

    @property
    def controls(self) -> pd.DataFrame:
        """How many units count as interpretable, measured and under each control."""
        return self.tables["controls"]

    def unit(self, number: int) -> Unit:
        """One of its units."""
        if number not in self.units["unit"].to_numpy():
            raise UnknownName(f"no unit {number} in {self.name}; there are 0 to {len(self.units) - 1}")
        facts = self.units.set_index("unit", drop=False).loc[number]
        assert isinstance(facts, pd.Series), "a unit has one row"
        labels, pairs = (self._rows_of(number, name) for name in ("labels", "pairs"))
        return Unit(self.name, int(number), facts, labels, pairs, lambda: self.picture(number))

    @property
    def labels(self) -> pd.DataFrame:
        """One row per unit and category: its label there."""
        return self.tables["labels"]

    @property
    def pairs(self) -> pd.DataFrame:
        """One row per unit and concept, for the concepts that it matches best."""
        return self.tables["pairs"]

    def _rows_of(self, number: int, name: str) -> pd.DataFrame:
        """A unit's rows of a table; empty where the table is missing, as in old results."""
        table = self.tables[name] if name in self.tables else pd.DataFrame({"unit": []})
        return table[table["unit"] == number].reset_index(drop=True)

    def best(self, most: int = _SHOWN) -> list[Unit]:
        """The strongest units: interpretable, then by their selection score."""
        order = self.units.sort_values(["interpretable", "selection_score", "unit"], ascending=[False, False, True])
        return [self.unit(int(number)) for number in order["unit"].head(most)]

    def __repr__(self) -> str:
        return f"<layer {self.name}: {len(self.units)} units>"

    def _repr_html_(self) -> str:
        return _view("layer", layer=self, count=_count(self), rows=[(unit, _row(unit)) for unit in self.best()])


@dataclass(frozen=True, repr=False)
class Report:
    """The results of one model."""

    model: str
    title: str
    rule: str
    samples: int
    segmenter: str
    layers: Mapping[str, LayerReport]
    tables: NotebookTables
    """Of the whole model: concepts and layers."""
    dissection: Dissection | None = None
    """All that was measured; None where only a site is there."""

    @property
    def concepts(self) -> pd.DataFrame:
        """One row per concept that occurs."""
        return self.tables["concepts"]

    def layer(self, name: str) -> LayerReport:
        """One of its layers."""
        if name not in self.layers:
            raise UnknownName.of(f"layer of {self.model}", name, self.layers)
        return self.layers[name]

    def __repr__(self) -> str:
        return f"<report of {self.title}: {', '.join(self.layers)}>"

    def _repr_html_(self) -> str:
        return _view("report", report=self, rows=[(layer, _count(layer)) for layer in self.layers.values()])


def of_dissection(dissection: Dissection) -> Report:
    """The report of what was measured."""
    every = tables_of(dissection)
    facts = dissection.provenance

    def layer(one: Layer) -> LayerReport:
        return LayerReport(
            one.name,
            _tables_in_memory(every, one.name),
            lambda unit: Image.fromarray(strip_of(dissection, one, unit, STRIP)),
        )

    return Report(
        model=dissection.model,
        title=dissection.title,
        rule=facts.rule,
        samples=facts.samples,
        segmenter=str(facts.segmenter.get("name", "")),
        layers={one.name: layer(one) for one in dissection.layers},
        tables=_tables_in_memory(every, ""),
        dissection=dissection,
    )


def _tables_in_memory(every: Mapping[tuple[str, str], pd.DataFrame], layer: str) -> NotebookTables:
    def reader(table: pd.DataFrame) -> Callable[[], pd.DataFrame]:
        return lambda: table.reset_index(drop=True)

    return NotebookTables(layer or "the model", {name: reader(t) for (name, of), t in every.items() if of == layer})


def is_site(folder: Path) -> bool:
    """Whether a folder holds a site, or the pages of one model in it."""
    return (folder / "summary.json").is_file() or any(folder.glob("*/summary.json"))


def of_site(folder: Path, model: str = "", rule: str = "") -> Report:
    """The report of a model in a site: of `model`, or of the only one; `folder` is the site's or the model's own.

    Of a model that is there under several rules that of `rule`, or that of the corrected one.
    """
    own = (folder / "summary.json").is_file()
    site = folder.resolve().parent if own else folder
    summaries = [summary for summary in read_summaries(site) if not own or summary.home == folder.resolve().name]
    fitting = [summary for summary in summaries if model in ("", summary.model, summary.title, summary.home)]
    if not summaries:
        raise OutputError(f"{folder} contains no report that can be read; write it again with `dissectreport render`")
    if not fitting:
        raise UnknownName.of("report of", model, [summary.home for summary in summaries])
    ruled = (
        [summary for summary in fitting if summary.rule == (rule or RuleName.CORRECTED)]
        if len(fitting) > 1 or rule
        else fitting
    )
    if rule and not ruled:
        raise UnknownName.of("report under rule", rule, [summary.rule for summary in fitting])
    if len(ruled) != 1:
        names = ", ".join(summary.home for summary in fitting)
        raise UnknownName(f"{folder} holds several reports; choose with model=, one of {names}")
    return _from_files(site, ruled[0])


def _from_files(site: Path, summary: Summary) -> Report:
    names = [str(layer["layer"]) for layer in summary.layers]
    places = Places(summary.home, safe_names(names, TAKEN))

    def layer(name: str) -> LayerReport:
        return LayerReport(
            name, _tables_in_files(site, places, name), lambda unit: _open_image(site / places.strip(name, unit))
        )

    return Report(
        summary.model,
        summary.title or summary.model,
        summary.rule,
        summary.samples,
        summary.segmenter,
        {name: layer(name) for name in names},
        _tables_in_files(site, places, None),
    )


def _tables_in_files(site: Path, places: Places, layer: str | None) -> NotebookTables:
    """The tables of a layer that lie in a site, or those of the model."""
    folders = sorted(places.layers.values(), key=len, reverse=True)
    wanted = "" if layer is None else places.layers[layer]
    readers = {}
    for path in sorted((site / places.home / "data").glob("*.json")):
        owner = next((folder for folder in folders if path.stem.startswith(f"{folder}-")), "")
        # Every table is there as CSV too; provenance and the profile for comparisons are not.
        if owner == wanted and path.with_suffix(".csv").is_file():
            readers[path.stem.removeprefix(f"{owner}-")] = _reader(path)
    return NotebookTables(layer or "the model", readers)


def _reader(path: Path) -> Callable[[], pd.DataFrame]:
    return lambda: _table(path)


def _table(path: Path) -> pd.DataFrame:
    """A download as a table; null, for want of a number, becomes NaN."""
    try:
        table = pd.DataFrame(structured.read_json(path, 512 * structured.MEGABYTE))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}); draw the site again with `dissectreport render`"
        ) from error
    for name in table.columns[table.isna().all() & (len(table) > 0)]:
        table[name] = table[name].astype(float)
    return table


def _open_image(path: Path) -> Image.Image:
    try:
        with opened_image(path) as image:
            image.load()
            return image
    except Exception as error:  # Decoders raise many kinds of error for a damaged file.
        check_machine(error)
        raise OutputError(
            f"{path} cannot be read ({error}); draw the site again with `dissectreport render`"
        ) from error


@dataclass(frozen=True)
class UnitRow:
    """A unit in a view."""

    concept: NamedConcept
    interpretable: bool
    agreement: Agreement
    threshold: float
    on_fraction: float
    strip: str


def _row(unit: Unit) -> UnitRow:
    facts = unit.facts
    return UnitRow(
        NamedConcept.of(facts),
        bool(facts["interpretable"]),
        Agreement.of(facts),
        float(facts["threshold"]),
        float(facts["on_fraction"]),
        _as_data(unit.image),
    )


def _count(layer: LayerReport) -> dict[str, Any]:
    """The counts of a layer by control, all categories together."""
    table = layer.controls
    return {str(row.control): row for row in rows_of(table[table["category"] == ""])}


def _as_data(strip: Image.Image) -> str:
    small = strip.convert("RGB").resize((round(strip.width * _HEIGHT / strip.height), _HEIGHT))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=70)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


def _view(kind: str, **fields: Any) -> str:
    module = environment().get_template("notebook.html").module
    return str(Markup(getattr(module, kind)(**fields)))
