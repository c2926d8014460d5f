"""Results as lines of text for a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dissectreport.errors import counted
from dissectreport.pipeline.schedule import spoken, spoken_rate
from dissectreport.run.shards import WHOLE, RunPart

if TYPE_CHECKING:
    from dissectreport.analysis.results.artifacts import Artifacts
    from dissectreport.pipeline.cache_tools import CacheContent, RunStatus
    from dissectreport.pipeline.invert import InvertedPhoto
    from dissectreport.pipeline.on_demand import EditResult
    from dissectreport.pipeline.preflight import LayerSummary
    from dissectreport.plugins import PluginInfo
    from dissectreport.report.site.writing import Written


def show(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(line)


def written_lines(written: Written, seconds: float) -> Iterator[str]:
    """What was written, and what to open first."""
    changed = f"{written.changed:,} of them new or changed"
    size = f"{counted(written.files, 'file')}, {written.bytes / 1e6:,.1f} MB, {changed}"
    yield f"finished in {spoken(seconds)}: {size}"
    yield f"open first: {written.index}"


def measured_line(model: str, seconds: float, part: RunPart | None = None) -> str:
    """That a model or a part of its images was measured, and what to do next."""
    if part is not None:
        done = f"part {part.number} of {part.of} was measured in {spoken(seconds)}"
        return f"{done}; when all parts are measured, `dissectreport merge` with the same options merges them"
    return f"measured in {spoken(seconds)}; `dissectreport render {shlex.quote(model)}` writes its site"


def inverted_lines(photos: Sequence[InvertedPhoto], out: Path) -> Iterator[str]:
    """How well each photo is drawn, and what the generator leaves out of it."""
    yield f"{'photo':24} {'dB':>6} {'labels':>7}   {'+ residuals':>11} {'labels':>7}   largest changes of areas"
    for one in photos:
        changes = ", ".join(f"{area.concept} {area.photo:.1%} → {area.inverted:.1%}" for area in one.areas[:3])
        alone, both = f"{one.psnr_latent:6.1f} {one.labels_latent:7.1%}", f"{one.psnr:11.1f} {one.labels:7.1%}"
        yield f"{one.photo[:24]:24} {alone}   {both}   {changes}"
    for layer in photos[0].residuals:
        mean = sum(one.residuals[layer] for one in photos) / len(photos)
        yield f"residuals at {layer}: {mean:.1%} of its activations, root mean square"
    yield f"{counted(len(photos), 'photo')} in {out}: files for the option --photo, images, numbers"


def edit_lines(result: EditResult) -> Iterator[str]:
    """What an edit changed, one line per concept; of a photo without intervals."""
    if result.samples == 1:
        yield f"{'concept':24} {'before':>8} {'after':>8} {'change':>8}  (one photo: no interval)"
        for concept, before, after, change in result.table[["concept", "before", "after", "change"]].values.tolist():
            yield f"{concept:24.24} {before:8.3%} {after:8.3%} {f'{change:+8.0%}' if before else '–':>8}"
        return
    yield f"{'concept':24} {'before':>8} {'after':>8} {'change':>8}  95% interval   ({result.samples:,} images)"
    columns = ("concept", "before", "after", "change", "change_low", "change_high")
    for concept, before, after, change, low, high in result.table[list(columns)].values.tolist():
        ends = f"{change:+8.0%}  [{low:+.0%}, {high:+.0%}]" if before else f"{'–':>8}"
        yield f"{concept:24.24} {before:8.3%} {after:8.3%} {ends}"


def artifact_lines(artifacts: Artifacts) -> Iterator[str]:
    """The artifact units, the quality of images, and the recommended repair."""
    yield from _listed_units(artifacts)
    yield from _quality(artifacts)
    yield from _repair(artifacts)


def _listed_units(artifacts: Artifacts) -> Iterator[str]:
    count = len(artifacts.listed)
    units = f"{count or 'no'} artifact unit{'s' * (count != 1)}"
    yield f"{units} in {artifacts.layer} ({artifacts.features}; {artifacts.reference})"
    table = artifacts.units.set_index("unit")
    for unit in artifacts.listed:
        row = table.loc[unit]
        interval = f"[{row['measured_effect_low']:.3g}, {row['measured_effect_high']:.3g}]"
        yield (
            f"  unit {unit:4}  ablating it alone lowers KID by {row['measured_effect']:.3g} {interval}, "
            f"{row['share']:.1%} of it; q {row['q']:.2g}"
        )


SETS = {
    "before": "no edit",
    "worst": "top {units} ablated",
    "marked": "{units} marked ablated",
    "real": "real images",
}
"""What the tables call sets of images, in words."""


def _quality(artifacts: Artifacts) -> Iterator[str]:
    yield f"{'':23} {'measure':18} {'value':>9}  95% interval           change"
    columns = ["set", "units", "measure", "value", "low", "high", "change", "change_low", "change_high"]
    for name, units, measure, value, low, high, change, least, most in artifacts.quality[columns].values.tolist():
        changed = f"{change:+9.4f} [{least:+.4f}, {most:+.4f}]" if change == change else ""
        words = SETS.get(name, name).format(units=units)
        words = f"{words} (repair)" if artifacts.is_repair(name, units) else words
        yield f"{words:23} {measure:18} {value:9.4f}  {f'[{low:.4f}, {high:.4f}]':22} {changed}".rstrip()
    yield f"{artifacts.scored:,} images on each side; real against other real images: {artifacts.against_itself:,}"


def _repair(artifacts: Artifacts) -> Iterator[str]:
    from dissectreport.report.artifacts.summary import figure_of_repair, repair_against_random, repair_and_listed

    if artifacts.chosen:
        confirmed = figure_of_repair(artifacts).better
        caution = "" if confirmed else " (on the images that score it, it does not help significantly)"
        yield f"repair: ablate units {', '.join(map(str, artifacts.repair))}{caution}"
        if sentence_of_lists := repair_and_listed(artifacts):
            yield sentence_of_lists
        yield repair_against_random(artifacts)
    elif artifacts.repairable:
        yield "no repair is recommended: no number of ablated units lowers KID significantly"
    else:
        yield "no repair was tried: no candidate lowers KID when it is ablated alone"


def layer_lines(rows: Sequence[LayerSummary], everything: bool = False) -> Iterator[str]:
    """Layers as a table, those that a build reads marked; with `everything` the parts without units too."""
    cells = [
        ("*" if row.read else "", row.layer, row.kind, row.shape, f"{row.units:,}", f"{row.parameters:,}")
        for row in rows
        if row.units or everything
    ]
    yield from table([("", "layer", "kind", "shape", "units", "parameters"), *cells], numbers=2)
    yield "* is measured by a build without --layers"


def model_lines(groups: Mapping[str, Sequence[PluginInfo]]) -> Iterator[str]:
    """What can be named, under headings, with its licences."""
    listed = [plugin for group in groups.values() for plugin in group]
    name, title, state = (max(len(getattr(plugin, field)) for plugin in listed) for field in ("name", "title", "state"))
    for heading, group in groups.items():
        yield heading
        for plugin in group:
            columns = f"{plugin.name:{name}}  {plugin.title:{title}}  {plugin.state:{state}}  {plugin.size:>7}"
            yield f"  {columns}  {plugin.licence}".rstrip()
        notes = (f"  licence {plugin.licence}: {plugin.licence_note}" for plugin in group if plugin.licence_note)
        yield from dict.fromkeys(notes)


def cache_lines(content: CacheContent) -> Iterator[str]:
    """The runs in a cache and its size."""
    for run in content.runs:
        model, source, rule = run.record.identifies
        newest, origin = "  newest" if run.newest else "", f"  {source}" if source else ""
        yield f"{model}  {rule}  {run.record.words}{newest}{origin}"
    if any(run.newest for run in content.runs):
        yield "newest: of several runs of a model by one rule, the one that `dissectreport render` shows"
    yield from content.unreadable
    if len(content.by_model) > 1 or content.unfinished:
        for name, size in content.by_model:
            yield f"{size / 1e6:>9,.1f} MB of {name}"
    if content.unfinished:
        yield f"{content.unfinished / 1e6:>9,.1f} MB of unfinished runs"
    yield f"{content.measured / 1e6:,.1f} MB in {content.folder}"
    if content.downloaded:
        yield f"{content.downloaded / 1e6:,.1f} MB of downloaded weights in {content.weights}, which are not cleared"


def status_lines(status: RunStatus) -> Iterator[str]:
    """How far runs are, and those that were measured."""
    from dissectreport.pipeline.journal import FINISHED

    for news in status.news:
        samples = f"  {news.samples:,} samples" if news.samples else ""
        part = "" if news.run_part == WHOLE else f"  part {news.part} of {news.parts}"
        yield f"{news.model}  {news.rule}{samples}{part}: {news.state}"
        if news.state != FINISHED:
            rate = spoken_rate(news.rate)
            where = f"step {news.step} of {news.steps}: {news.step_name}: " if news.step else ""
            count = f"{news.task}, {news.done:,} of {news.total:,} {news.unit}{', ' * bool(rate)}{rate}"
            yield f"  {where}{count}; about {spoken(news.left)} left"
        yield f"  process {news.process} of {news.machine}, last update {spoken(status.now - news.seen)} ago"
    for record in status.measured:
        yield f"{record.model}  {record.rule}: measured  {record.words}"


def table(rows: Iterable[Sequence[str]], numbers: int) -> Iterator[str]:
    """Rows in columns, of which the last `numbers` are set to the right."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = len(widths) - numbers
    for line in lines:
        left = (cell.ljust(width) for cell, width in zip(line[:words], widths[:words], strict=True))
        right = (cell.rjust(width) for cell, width in zip(line[words:], widths[words:], strict=True))
        yield "  ".join([*left, *right]).rstrip()
