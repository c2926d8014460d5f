"""What the program does, step by step: measure, load, render, build; and what lies in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from threadpoolctl import threadpool_limits

from dissectreport import files
from dissectreport.analysis.results.artifacts import CHOICE, MARKED
from dissectreport.cache import records, store
from dissectreport.cache.reader import Reader
from dissectreport.cache.records import ANY, Record, Wanted
from dissectreport.checkpoints import downloads
from dissectreport.errors import BadOption, FeaturesError, FolderError, ModelError, SegmenterError, UnknownName
from dissectreport.pipeline.prepare import (
    FEW,
    Job,
    Listener,
    Options,
    Silent,
    artifacts_asked_for,
    asked_for,
    cores,
    marked_layer,
    middle,
    no_artifacts,
    no_interventions,
    prepare,
    reproduce,
    settled,
)
from dissectreport.report.common.site_options import CAP, PLAIN, SITE_LIMIT, Drawing, checked_address
from dissectreport.run.engine import Workers
from dissectreport.run.parallel import Spread, in_threads, in_turn
from dissectreport.run.plan import rule_named

if TYPE_CHECKING:
    from dissectreport.analysis.results.artifacts import Artifacts
    from dissectreport.analysis.results.dissection import Dissection
    from dissectreport.models.edits import Edits
    from dissectreport.pipeline.on_demand import Outcome, Wish
    from dissectreport.pipeline.preflight import Finding
    from dissectreport.report.site.build import Written

T = TypeVar("T")
R = TypeVar("R")

__all__ = [
    "Listener",
    "Options",
    "Silent",
    "Wanted",
    "build",
    "cache_lines",
    "check",
    "clear",
    "compare",
    "damaged",
    "drawing",
    "export_old",
    "import_old",
    "intervene",
    "layer_lines",
    "load",
    "mail",
    "measure",
    "render",
    "writable",
]


def measure(options: Options, listener: Listener | None = None) -> Record:
    """Measure a model, reusing whatever was measured before; returns where everything lies."""
    ear = listener or Silent()
    job = settled(prepare(options), ear)
    with Workers(job.workers) as workers:
        return _passes(job, workers, ear)


def _passes(job: Job, workers: Workers, ear: Listener) -> Record:
    """All that is measured of a job."""
    from dissectreport.pipeline.dissection import Measurement

    with one_thread():
        record = Measurement(job, workers, ear).run()
        record = _intervened(job, record, workers, ear) if job.options.interventions else record
    return _diagnosed(job, record, workers, ear) if job.options.artifacts else record


def _intervened(job: Job, record: Record, workers: Workers, ear: Listener) -> Record:
    """The record with what turning units off and on did."""
    from dissectreport.analysis.assemble import what_to_study
    from dissectreport.pipeline.interventions import Intervening

    options = job.options
    aim = job.intervention
    if aim is None:
        ear.say(f"no interventions: {no_interventions(job.generator, job.segmenter)}")
        return record
    ear.say(f"choosing what to intervene on in {aim.layer}")
    reader = Reader(options.cache / "measurements")
    try:
        study = what_to_study(record, reader, aim.layer, options.concepts, aim.budget)
        run = Intervening(job, study, aim, workers, ear)
        kept = run.run()
    except (BadOption, ModelError, SegmenterError) as error:
        if asked_for(options):
            raise
        # What was dissected can be drawn without.
        ear.say(f"no interventions: {error}")
        return record
    found = replace(record, interventions=kept, folders=tuple(sorted({*record.folders, *run.folders})))
    found.save(options.cache)
    return found


def _diagnosed(job: Job, record: Record, workers: Workers, ear: Listener) -> Record:
    """The record with artifact units and what ablating them does to the quality of images."""
    from dissectreport.pipeline.artifacts import Diagnosing

    options, wish = job.options, job.examining
    if wish is None:
        ear.say(f"no artifact units: {no_artifacts(options, job.generator, job.segmenter, job.reference)}")
        return record
    ear.say(f"looking for artifact units in {wish.layer}")
    run = Diagnosing(job, wish, workers, ear)
    try:
        with one_thread() if wish.network.dimension < LARGE else nullcontext():
            kept = run.run()
    except (BadOption, ModelError, FeaturesError, FolderError) as error:
        if artifacts_asked_for(options):
            raise
        # What was dissected can be drawn without.
        ear.say(f"no artifact units: {error}")
        return record
    kept["command"] = options.command or reproduce(job)
    found = replace(record, artifacts=kept, folders=tuple(sorted({*record.folders, *run.folders})))
    found.save(options.cache)
    return found


def load(
    model: str,
    rule: str = "corrected",
    cache: Path | None = None,
    *,
    samples: int = 0,
    layers: tuple[str, ...] = (),
) -> Dissection:
    """What was measured of a model, as tables; needs neither torch nor the model.

    Of several runs the newest; with `samples` or `layers` the newest of those with so many, or of just those.
    """
    where = cache or files.default_folder()
    return _assembled(records.load(where, model, rule, Wanted(samples, tuple(layers))), where)


def _assembled(record: Record, cache: Path, spread: Spread = in_threads) -> Dissection:
    from dissectreport.analysis.assemble import assemble

    with one_thread():
        return assemble(record, Reader(cache / "measurements"), spread)


LARGE = 512
"""Length of features from which their covariances take longer than threads take to meet."""


def one_thread() -> AbstractContextManager[Any]:
    """While the block runs, numpy multiplies matrices on one thread.

    They are small here: threads that wait for each other take three times as long as one alone, and beside busy
    workers the eigenvalues of a small matrix take a hundred times as long.
    """
    return cast("AbstractContextManager[Any]", threadpool_limits(1, user_api="blas"))


def render(
    model: str,
    out: Path,
    rule: str = "corrected",
    cache: Path | None = None,
    listener: Listener | None = None,
    wanted: Wanted = ANY,
    site_limit: int = SITE_LIMIT,
    drawing: Drawing = PLAIN,
    workers: int = 1,
) -> Written:
    """Draw the site of a model that was measured; needs neither torch nor the model.

    Pages of more than `site_limit` megabytes are refused, where that is not 0, or show less, where `drawing` says so.
    Other than 1, `workers` processes draw, one per core for 0; a script that asks for them needs the usual
    `if __name__ == "__main__":`.
    """
    ear = listener or Silent()
    where = cache or files.default_folder()
    record = records.load(where, model, rule, wanted)
    several = len(records.runs(where, model, rule))
    if several > 1:
        ear.say(f"drawing the run of {record.words}, one of {several}; `dissectreport cache list` lists them")
    with Workers(workers or cores()) as drawers:
        return _drawn(record, out, where, ear, site_limit, drawing, drawers)


def _drawn(
    record: Record, out: Path, cache: Path, ear: Listener, site_limit: int, drawing: Drawing, workers: Workers
) -> Written:
    from dissectreport.report.site.build import write_site

    ear.say("analysing the counts")
    apart = partial(_apart, workers) if workers.number > 1 and _units(record, cache) >= MANY else None
    found = _assembled(record, cache, apart or in_threads)
    with one_thread():
        written = write_site(
            found,
            out,
            lambda done, total: ear.progress("drawing units", done, total, "units"),
            site_limit,
            drawing,
            apart or in_turn,
        )
    for line in written.left_out:
        ear.say(line)
    if not found.tells:
        ear.say(
            f"{record.samples:,} samples are too few to tell which units agree with a concept; raise --samples"
            f"{'' if record.samples < FEW else ', or choose another segmenter'}"
        )
    return written


MANY = 128
"""Units from which drawing them takes longer than starting processes for it."""


def _units(record: Record, cache: Path) -> int:
    """Units of all layers that were measured."""
    reader = Reader(cache / "measurements")
    return sum(int(reader.arrays(layer.levels, "levels", "shape")["shape"][0]) for layer in record.layers)


def _apart(workers: Workers, work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
    """The parts of a work, done by other processes."""
    return workers.run(partial(_on_one_thread, work), parts)


def _on_one_thread(work: Callable[[T], R]) -> Callable[[T], R]:
    def run(part: T) -> R:
        with one_thread():
            return work(part)

    return run


def build(
    options: Options,
    out: Path,
    listener: Listener | None = None,
    site_limit: int = SITE_LIMIT,
    drawing: Drawing = PLAIN,
) -> Written:
    """Measure a model and draw its site."""
    ear = listener or Silent()
    job = settled(prepare(options), ear)
    # Where an accelerator has one worker, processes draw all the same: they are started when first needed.
    with Workers(job.workers) as workers, Workers(options.workers or cores()) as others:
        _passes(job, workers, ear)
        record = records.load(options.cache, options.model, options.rule)
        drawers = workers if workers.number > 1 else others
        return _drawn(record, out, options.cache, ear, site_limit, drawing, drawers)


def mail(
    model: str,
    out: Path,
    rule: str = "corrected",
    cache: Path | None = None,
    listener: Listener | None = None,
    wanted: Wanted = ANY,
    cap: int = CAP,
) -> int:
    """Write the report of a model that was measured as one file of at most `cap` megabytes (0: any); its bytes."""
    from dissectreport.report.export.single_file import single_file
    from dissectreport.report.site.writing import write_if_changed

    ear = listener or Silent()
    where = cache or files.default_folder()
    found = _assembled(records.load(where, model, rule, wanted), where)
    content, left_out = single_file(found, cap, lambda done, total: ear.progress("drawing units", done, total, "units"))
    if left_out:
        ear.say(f"to stay within {cap} MB it leaves out {left_out}")
    write_if_changed(out, content)
    return len(content)


def export_old(model: str, out: Path, rule: str = "corrected", cache: Path | None = None, wanted: Wanted = ANY) -> int:
    """Write a measured model as a dissect.json of the reference, with its units' images beside it; the files."""
    from dissectreport.report.export.dissect_json import dissect_json, old_pictures
    from dissectreport.report.site.writing import write_if_changed

    where = cache or files.default_folder()
    found = _assembled(records.load(where, model, rule, wanted), where)
    pictures = old_pictures(found)
    for name, content in pictures.items():
        write_if_changed(out.parent / name, content)
    write_if_changed(out, dissect_json(found))
    return len(pictures) + 1


def import_old(path: Path, out: Path, name: str = "", again: bool = False) -> Written:
    """Draw what a dissect.json of the reference tells, with the images beside it, into the site at `out`.

    Over other results that were imported under the same name only if that is wanted `again`.
    """
    from dissectreport.report.export.dissect_json import read_dissect_json
    from dissectreport.report.export.imported import write_imported

    return write_imported(read_dissect_json(path), path.resolve().parent, out, name, again)


def compare(models: Sequence[str], out: Path, layers: Sequence[str] = (), file: Path | None = None) -> Written:
    """Write a page that compares some models of the site at `out`; needs neither torch nor what was measured."""
    from dissectreport.report.site.build import write_comparison

    return write_comparison(out, models, layers, file)


def intervene(options: Options, wish: Wish, listener: Listener | None = None) -> Outcome:
    """Turn some units of a model off or on, and count every concept with and without.

    Where the wish names no units, those are taken that remove its first concept best, of a model that was measured.
    """
    from dissectreport.pipeline.on_demand import try_out

    ear = listener or Silent()
    job = prepare(replace(options, interventions=False))
    if not wish.units and wish.concepts:
        wish = replace(wish, units=_known_units(options, wish))
    precision = "float32" if options.precision == "auto" else options.precision
    return try_out(job, wish, precision, ear)


def artifacts(options: Options, listener: Listener | None = None) -> tuple[Artifacts, Edits | None, Edits | None]:
    """The artifact units of a model; the edits to take away, of the repair and of the units that a person marked.

    Edits are None where no repair is recommended, and where no units were marked.

    The newest run that fits is taken as it is; a model that was not measured is, in that layer alone.
    """
    from dissectreport.models.edits import Edits
    from dissectreport.pipeline.dissection import Measurement

    ear = listener or Silent()
    layer = options.artifact_layer or marked_layer(options)
    options = replace(options, interventions=False, artifact_layer=layer)
    known = _measured(options)
    if known is not None:
        names = tuple(layer.name for layer in known.layers)
        options = replace(options, layers=names, samples=known.samples, segmenter=known.segmenter["name"])
        budget = options.budget or (known.artifacts or {}).get("checkup", {}).get("name", "")
        grid = 0 if rule_named(options.rule).reference else known.plan["grid"]
        options = replace(options, pilot=known.plan["pilot"], grid=grid, budget=budget)
    layer = layer or middle(prepare(replace(options, artifacts=False)).layers)
    if known is None:
        options = replace(options, layers=(layer,), controls=False)
    job = settled(prepare(replace(options, artifact_layer=layer)), ear)
    same = known is not None and known.plan == asdict(job.plan)
    with Workers(job.workers) as workers:
        record = known if known is not None and same else Measurement(job, workers, ear).run()
        record = _diagnosed(job, record, workers, ear)
    found = _assembled(record, options.cache).artifacts
    assert found is not None, "what was asked for is there, or was refused"

    def edits(units: tuple[int, ...], why: str) -> Edits | None:
        off = (0.0,) * len(units)
        return Edits(options.model, job.generator.identity, found.layer, units, off, why) if units else None

    return found, edits(found.repair, CHOICE), edits(found.reviewed, MARKED)


def _measured(options: Options) -> Record | None:
    """The newest run of the model that has the layer, if one is named."""
    wanted = Wanted(options.samples or 0, seed=options.seed, segmenter=options.segmenter)
    fitting = [one for one in records.runs(options.cache, options.model, options.rule) if wanted.fits(one)]
    layer = options.artifact_layer
    return next((one for one in fitting if not layer or layer in [held.name for held in one.layers]), None)


def artifact_lines(found: Artifacts) -> Iterator[str]:
    """The list of artifact units and the quality of images, as lines."""
    from dissectreport.report.artifacts.summary import beside_random, figure_of, repair_beside_list

    many = len(found.listed)
    yield f"{many or 'no'} artifact unit{'s' * (many != 1)} in {found.layer} ({found.features}; {found.reference})"
    table = found.units.set_index("unit")
    for unit in found.listed:
        row = table.loc[unit]
        yield (
            f"  unit {unit:4}  alone off, the kernel distance falls by {row['exact']:.4g} "
            f"[{row['exact_low']:.4g}, {row['exact_high']:.4g}], {row['share']:.1%} of it; q {row['q']:.2g}"
        )
    yield f"{'':17} {'measure':18} {'value':>9}  95 % interval          change to before"
    columns = ["set", "units", "measure", "value", "low", "high", "change", "change_low", "change_high"]
    for name, units, measure, value, low, high, change, least, most in found.quality[columns].values.tolist():
        changed = f"{change:+9.4f} [{least:+.4f}, {most:+.4f}]" if change == change else ""
        words = f"{name} {units}" if units else name
        words = f"{words} (repair)" if name == "worst" and units == found.chosen else words
        yield f"{words:17} {measure:18} {value:9.4f}  {f'[{low:.4f}, {high:.4f}]':22} {changed}".rstrip()
    yield f"{found.scored:,} images on each side; real against other real ones: {found.against_itself:,}"
    if found.chosen:
        sure = figure_of(found, "worst", found.chosen).better
        yield (
            f"repair: turn off the {found.chosen} worst units {', '.join(map(str, found.repair))}"
            f"{'' if sure else ' (the images that score it do not confirm that this helps)'}"
        )
        if beside_list := repair_beside_list(found):
            yield beside_list
        yield beside_random(found, "worst", found.chosen)
    elif found.candidates:
        yield "no repair is recommended: with none of the sizes tried does the kernel distance surely fall"
    else:
        yield "no repair was tried: no suspected unit alone brings images nearer to real ones"


def save_edits(edits: Edits, out: Path) -> None:
    """Write edits as a small JSON file."""
    files.write(out, edits.text().encode())


def repair(
    options: Options,
    edits: Path,
    samples: int,
    out: Path,
    other_weights: bool = False,
    listener: Listener | None = None,
) -> int:
    """Write edited images as PNG, named by their samples; returns how many."""
    from dissectreport.models.edits import read_edits
    from dissectreport.pipeline.on_demand import repaired_images
    from dissectreport.report.html.images import png

    if samples < 1:
        raise BadOption(f"--samples must be at least 1, not {samples}")
    found = read_edits(edits)
    writable(out)
    for number, pixels in repaired_images(options, found, samples, other_weights, listener or Silent()):
        files.write(out / f"{number:06d}.png", png(pixels))
    return samples


def middle_layer(options: Options) -> str:
    """The layer that is intervened on by default: the middle one of the model's own."""
    job = prepare(replace(options, interventions=False))
    return middle(job.layers)


def layer_lines(model: str, everything: bool = False, weights: str = "") -> Iterator[str]:
    """A model's layers as a table, those that a build reads marked; with `everything` the parts without units too."""
    from dissectreport.pipeline.preflight import layer_rows

    rows = [row for row in layer_rows(model, weights) if row["units"] or everything]
    cells = [
        (
            "*" if row["read"] else "",
            row["layer"],
            row["kind"],
            row["shape"],
            f"{row['units']:,}",
            f"{row['parameters']:,}",
        )
        for row in rows
    ]
    table = [("", "layer", "kind", "shape", "units", "parameters"), *cells]
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    for line in table:
        left = (word.ljust(width) for word, width in zip(line[:4], widths[:4], strict=True))
        right = (word.rjust(width) for word, width in zip(line[4:], widths[4:], strict=True))
        yield "  ".join([*left, *right]).rstrip()
    yield "* is read by a build that names no --layers"


def check(options: Options) -> Iterator[Finding]:
    """What a few samples tell of a model and its segmenter."""
    from dissectreport.pipeline.preflight import look_over

    return look_over(prepare(replace(options, interventions=False)).source)


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """What a change did, a line a concept."""
    yield f"{'concept':24} {'before':>8} {'after':>8} {'change':>8}  95 % interval   ({outcome.samples:,} images)"
    columns = ("concept", "before", "after", "change", "change_low", "change_high")
    for concept, before, after, change, low, high in outcome.table[list(columns)].values.tolist():
        ends = f"{change:+8.0%}  [{low:+.0%}, {high:+.0%}]" if before else f"{'–':>8}"
        yield f"{concept:24.24} {before:8.3%} {after:8.3%} {ends}"


def save_pictures(outcome: Outcome, out: Path) -> None:
    """The images before, and under them the same after."""
    from dissectreport.report.html.images import sheet

    files.write(out, sheet([outcome.before, outcome.after]))


def _known_units(options: Options, wish: Wish) -> tuple[int, ...]:
    """The causal set of a concept, from what was measured."""
    from dissectreport.analysis.interventions.tables import causal_sets

    studying = [record for record in records.runs(options.cache, options.model, options.rule) if record.interventions]
    # A newer run without interventions does not hide what an older one found.
    reader = Reader(options.cache / "measurements")
    known = causal_sets(studying[0].interventions, studying[0].vocabulary, reader, wish.layer) if studying else {}
    if wish.concepts[0] not in known:
        raise UnknownName.of(f"causal set in {wish.layer} of", wish.concepts[0], known)
    return known[wish.concepts[0]]


def drawing(fit: bool, base_url: str) -> Drawing:
    """How a site is to be drawn; BadOption where `base_url` is no address."""
    return Drawing(fit=fit, base_url=checked_address(base_url))


def writable(out: Path) -> None:
    """Refuse an output folder that cannot be written, before anything long begins."""
    files.check_writable(out)


def cache_lines(cache: Path | None) -> Iterator[str]:
    """What is in the cache, a line each."""
    where = cache or files.default_folder()
    runs: dict[tuple[str, str, str], list[Record]] = {}
    for record in records.every(where):
        runs.setdefault(record.identifies, []).append(record)
    for (model, source, rule), found in runs.items():
        for number, record in enumerate(sorted(found, key=lambda one: -one.run)):
            newest = "  newest" if len(found) > 1 and number == 0 else ""
            yield f"{model}  {rule}  {record.words}{newest}{f'  {source}' if source else ''}"
    yield from records.unreadable(where)
    measured, weights = files.size(where / "measurements") + files.size(where / "records"), downloads.downloads_folder()
    yield f"{measured / 1e6:,.1f} MB in {where}"
    if weights.exists():
        yield f"{files.size(weights) / 1e6:,.1f} MB of downloaded weights in {weights}, which are not cleared"


def damaged(cache: Path | None) -> list[Path]:
    """The files of the cache that cannot be read."""
    where = (cache or files.default_folder()) / "measurements"
    return [place.path(name) for place in store.folders(where) for name in place.names() if not place.sound(name)]


def clear(cache: Path | None, model: str = "") -> int:
    """Remove what was measured, of one model or of all; returns the bytes that were freed."""
    where = cache or files.default_folder()
    before = files.size(where)
    if not model:
        files.clear(where / "measurements")
        files.clear(where / "records")
        return before - files.size(where)
    mine = [record for record in records.every(where) if records.is_of(record, model)]
    if not mine:
        raise UnknownName.of("measurement of", model, sorted({record.model for record in records.every(where)}))
    others = {name for record in records.every(where) if not records.is_of(record, model) for name in record.folders}
    for record in mine:
        for name in set(record.folders) - others:
            files.clear(where / "measurements" / name)
    records.remove(where, model)
    return before - files.size(where)
