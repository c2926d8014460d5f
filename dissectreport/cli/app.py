"""The commands: each takes its options, calls the pipeline or publishing, and prints the result."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dissectreport.cli import printing
from dissectreport.cli.parameters import Only, comma_separated, with_options
from dissectreport.cli.session import reporting
from dissectreport.cli.streams import prepare_streams
from dissectreport.errors import BadOption, counted
from dissectreport.pipeline.options import Options, RunOptions, SiteOptions

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find out what the units of an image generator represent and cause, and publish it as a static web "
    "site.\n\nExample: dissectreport build scenes_pgan --out site",
)
cache_app = typer.Typer(no_args_is_help=True, help="List, check or clear what was measured.")
app.add_typer(cache_app, name="cache")

MACHINE = "Machine"
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Do not download; fail if a file is missing.", rich_help_panel=MACHINE),
]
Out = Annotated[Path, typer.Option(help="Folder in which the site is written.", metavar="FOLDER")]
Site = Annotated[Path, typer.Argument(help="The folder of the site.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder that keeps the measurements.", metavar="FOLDER", show_default="the platform's cache folder"
    ),
]
SETTINGS = ("weights", "psi", "cutoff", "label", "noise", "images", "directions")
"""Which options say more about a model."""


def _version(wanted: bool) -> None:
    if wanted:
        from dissectreport.version import __version__

        typer.echo(f"dissectreport {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


# --- measure and render ---------------------------------------------------------------------------------------


@app.command()
@with_options
def build(options: Options, site: SiteOptions, offline: Offline = False) -> None:
    """Measure a model and write its site."""
    with reporting(offline) as reporter:
        from dissectreport.pipeline.build import build
        from dissectreport.pipeline.render import site_settings

        settings = site_settings(site, options.paint)
        written = build(options, site.out, reporter, site.site_limit, settings)
        reporter.close()
        _print(printing.written_lines(written, reporter.elapsed))


@app.command()
@with_options
def measure(
    options: Options,
    shard: Annotated[
        str,
        typer.Option(
            help="Measure only one of several parts of the images, such as 2/8; `dissectreport merge` merges them. "
            "0/8 computes the thresholds first, so that the parts need not.",
            metavar="I/N",
            show_default="everything",
            rich_help_panel=MACHINE,
        ),
    ] = "",
    offline: Offline = False,
) -> None:
    """Measure a model, without a site."""
    with reporting(offline) as reporter:
        from dissectreport.pipeline.measure import measure
        from dissectreport.pipeline.parts import measure_part
        from dissectreport.run.shards import RunPart

        part = RunPart.parse(shard) if shard else None
        if part is None:
            measure(options, reporter)
        else:
            measure_part(options, part, reporter)
        reporter.close()
        reporter.say(printing.measured_line(options.model, reporter.elapsed, part))


@app.command()
@with_options
def merge(
    options: Options,
    others: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Another cache with parts, to copy; can be given several times.", metavar="FOLDER"),
    ] = None,
    offline: Offline = False,
) -> None:
    """Merge the parts of `measure --shard`.

    Also measures what does not belong to a part: pictures, interventions and artifact units.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.parts import merge

        merge(options, others or (), reporter)
        reporter.close()
        reporter.say(printing.measured_line(options.model, reporter.elapsed))


@app.command()
@with_options
def render(
    run: RunOptions,
    site: SiteOptions,
    paint: Annotated[bool, typer.Option(help="Write the Paint page, if the network was exported.")] = True,
) -> None:
    """Write the site of a measured model.

    Shows the newest run that fits the options. Needs neither torch nor the model.
    """
    with reporting() as reporter:
        from dissectreport.pipeline.render import render, site_settings, wanted

        settings = site_settings(site, paint)
        which = wanted(run)
        written = render(
            run.model,
            site.out,
            rule=run.rule,
            cache=run.cache,
            reporter=reporter,
            which=which,
            site_limit=site.site_limit,
            settings=settings,
            workers=0,
        )
        reporter.close()
        _print(printing.written_lines(written, reporter.elapsed))


@app.command()
def compare(
    models: Annotated[
        list[str], typer.Argument(help="Two to six models of the site: folder, address, or the name that it shows.")
    ],
    layers: Annotated[
        str,
        typer.Option(
            help="One layer for all, or one for each, separated by commas.",
            show_default="of each model the layer with most concepts",
        ),
    ] = "",
    out: Annotated[Path, typer.Option(help="The site that contains the models.", metavar="FOLDER")] = Path("site"),
    to: Annotated[
        Path | None, typer.Option(help="File for the page.", metavar="FILE", show_default="a page of the site")
    ] = None,
) -> None:
    """Write a page that compares models of a site.

    The page is one file, and complete without scripts.
    """
    with reporting() as reporter:
        from dissectreport.pipeline.render import compare

        written = compare(models, out, comma_separated(layers), to, reporter)
        _print(printing.written_lines(written, reporter.elapsed))


@app.command()
def status(
    model: Annotated[str, typer.Argument(help="A model that is being measured.", show_default="all")] = "",
    cache: Cache = None,
) -> None:
    """Show how far runs are.

    Works on any machine that can read the cache, and needs neither torch nor the model.
    """
    with reporting():
        from dissectreport.pipeline import cache_tools

        _print(printing.status_lines(cache_tools.status(cache, model)))


# --- edits ----------------------------------------------------------------------------------------------------


@app.command()
@with_options
def intervene(
    options: Annotated[
        Options,
        Only("model", "segmenter", "rule", "seed", "device", "workers", "cache", "precision", *SETTINGS),
    ],
    concept: Annotated[
        str, typer.Option(help="Concept to print first; without --units, its most causal units are edited.")
    ] = "",
    units: Annotated[str, typer.Option(help="Units, separated by commas.")] = "",
    mode: Annotated[
        str, typer.Option(help="What to do: ablate (set to zero) or insert (set to a high activation).")
    ] = "ablate",
    at: Annotated[
        str, typer.Option(help="Where: everywhere, or row,column of the 8 x 8 patches, such as '3,4 3,5'.")
    ] = "everywhere",
    value: Annotated[
        str,
        typer.Option(
            help="Value that the units get: zero, mean, resample (of another image), quantile (99.5%) or a number.",
            show_default="zero to ablate, quantile to insert",
        ),
    ] = "",
    layer: Annotated[str, typer.Option(help="Layer whose units are edited.", show_default="the middle one")] = "",
    samples: Annotated[int, typer.Option(help="Images behind each area, at least 128.")] = 128,
    out: Annotated[Path | None, typer.Option(help="A WebP file for images before and after.", metavar="FILE")] = None,
    photo: Annotated[
        Path | None,
        typer.Option(help="A photo that `dissectreport invert` wrote, edited in place of samples.", metavar="FILE"),
    ] = None,
    offline: Offline = False,
) -> None:
    """Edit units and print how concepts change.

    Units are ablated or inserted, and the area of every concept is measured before and after.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.on_demand import EditOptions, intervene, save_pictures

        request = EditOptions(_units(units), layer, mode, value, at, samples, comma_separated(concept), photo)
        result = intervene(options, request, reporter)
        reporter.close()
        _print(printing.edit_lines(result))
        if out:
            save_pictures(result, out)
            typer.echo(f"images: {out}")


@app.command("artifacts")
@with_options
def artifact_units(
    options: Annotated[
        Options,
        Only(
            *("model", "reference", "artifact_samples", "features", "artifact_units", "budget", "samples"),
            *("segmenter", "rule", "seed", "device", "workers", "cache", "precision", *SETTINGS),
        ),
    ],
    layer: Annotated[
        str,
        typer.Option(help="Layer to search.", show_default="that of the marked units, otherwise the middle one"),
    ] = "",
    edits: Annotated[Path, typer.Option(help="File for the recommended repair.", metavar="FILE")] = Path("edits.json"),
    offline: Offline = False,
) -> None:
    """Find artifact units and recommend a repair.

    Artifact units are units whose ablation alone brings images significantly closer to real ones.

    The repair, the units recommended for ablation, is written to --edits.

    Units of --artifact-units are written beside it, to edits-marked.json.
    """
    with reporting(offline) as reporter:
        from dissectreport import files
        from dissectreport.pipeline.repair import artifact_units, save_edits

        files.check_writable(edits.parent)
        artifacts, repair, marked = artifact_units(replace(options, artifact_layer=layer), reporter)
        reporter.close()
        _print(printing.artifact_lines(artifacts))
        if repair is not None:
            save_edits(repair, edits)
            typer.echo(f"edits: {edits}; `{_repair_command(options, edits)}` makes repaired images")
        elif edits.exists():
            typer.echo(f"{edits} belongs to an earlier run and was not changed")
        if marked is not None:
            beside = edits.with_name(f"{edits.stem}-marked{edits.suffix}")
            save_edits(marked, beside)
            typer.echo(f"edits of the marked units: {beside}")


@app.command()
@with_options
def repair(
    options: Annotated[Options, Only("model", "seed", "device", "workers", *SETTINGS)],
    edits: Annotated[Path, typer.Option(help="A file that `dissectreport artifacts` wrote.", metavar="FILE")],
    samples: Annotated[int, typer.Option(help="Images to make, from the first of the seed.")] = 100,
    out: Annotated[Path, typer.Option(help="Folder for the images.", metavar="FOLDER")] = Path("images"),
    other_weights: Annotated[
        bool, typer.Option("--other-weights", help="Apply edits that were made for other weights.")
    ] = False,
    offline: Offline = False,
) -> None:
    """Make images with artifact units ablated.

    They are PNG files, named by their numbers in the series of the seed.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.repair import repair

        count = repair(options, edits, samples, out, other_weights, reporter)
        reporter.close()
        typer.echo(f"{counted(count, 'image')} in {out}")


@app.command()
@with_options
def edit(
    options: Annotated[Options, Only("model", *SETTINGS)],
    edits: Annotated[Path, typer.Option(help="A file that a Paint page saved, or a repair.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="PNG file for the image.", metavar="FILE")] = Path("image.png"),
    latent: Annotated[
        int | None, typer.Option(help="Number of the latent in the series.", show_default="that of the edits")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the series.", show_default="that of the edits")] = None,
    photo: Annotated[
        Path | None,
        typer.Option(help="A photo that `dissectreport invert` wrote, in place of a latent.", metavar="FILE"),
    ] = None,
    other_weights: Annotated[
        bool, typer.Option("--other-weights", help="Apply edits that were made for other weights.")
    ] = False,
    offline: Offline = False,
) -> None:
    """Make one image with painted edits.

    It is the image that the Paint page of a report shows for the same strokes on the same latent.
    """
    with reporting(offline) as reporter:
        from dissectreport import files
        from dissectreport.models.strokes import read_painted
        from dissectreport.pipeline.painting import edited_image
        from dissectreport.report.html.images import png

        files.check_writable(out.parent)
        pixels = edited_image(options, read_painted(edits), latent, seed, other_weights, photo)
        files.write(out, png(pixels))
        reporter.close()
        typer.echo(f"image: {out}")


@app.command()
@with_options
def invert(
    options: Annotated[Options, Only("model", "segmenter", "device", *SETTINGS)],
    photos: Annotated[list[Path], typer.Argument(help="Photos, of any size.", metavar="PHOTO...")],
    out: Annotated[Path, typer.Option(help="Folder for the latents.", metavar="FOLDER")] = Path("inverted"),
    layers: Annotated[
        str,
        typer.Option(
            help="Layers that get residuals, separated by commas.",
            show_default="the first and the middle one of those that are measured",
        ),
    ] = "",
    offline: Offline = False,
) -> None:
    """Find the latents that are nearest to photos.

    Finds a latent for each photo, and then small residuals in two layers, which add what the generator cannot make.
    `build`, `edit` and `intervene` take the files with --photo.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.invert import invert

        found = invert(options, photos, out, reporter, comma_separated(layers))
        reporter.close()
        _print(printing.inverted_lines(found, out))


@app.command()
@with_options
def animate(
    options: Annotated[Options, Only("model", "rule", "cache", *SETTINGS)],
    concept: Annotated[
        str, typer.Option(help="Studied concept.", show_default="the one of which most is removed")
    ] = "",
    units: Annotated[int, typer.Option(help="Units that are ablated, one by one.")] = 20,
    shown: Annotated[int, typer.Option(help="Images side by side, at most 6.")] = 3,
    out: Annotated[Path, typer.Option(help="WebP or GIF file.", metavar="FILE")] = Path("units-off.webp"),
    offline: Offline = False,
) -> None:
    """Animate how units are switched off.

    The causal units of a concept are ablated one by one, on the images of the model's pages that lose most of it. The
    model must have been built.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.animation import animate, animation_plan
        from dissectreport.pipeline.render import load_dissection

        dissection = load_dissection(options.model, options.rule, options.cache)
        plan = animation_plan(dissection, concept, units, shown)
        frames = animate(options, plan, out)
        reporter.close()
        typer.echo(f"{plan.concept}, {counted(frames, 'frame')}: {out}")


# --- replication ----------------------------------------------------------------------------------------------


@app.command()
@with_options
def replicate(
    options: Annotated[
        Options,
        Only(
            *("model", "rule", "samples", "segmenter", "features", "reference", "budget"),
            *("device", "workers", "cache", "precision", *SETTINGS),
        ),
    ],
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the second measurement.", show_default="the next that shares no latents"),
    ] = None,
    out: Out = Path("site"),
    offline: Offline = False,
) -> None:
    """Measure the claims of a run again.

    The labels, causal sets, artifact units and repair of the newest run of a model are measured again on new
    latents, and with another segmenter or feature network if you name one. A page says which claims replicate.
    """
    with reporting(offline) as reporter:
        from dissectreport.pipeline.render import render_run
        from dissectreport.pipeline.replicate import replicate

        record = replicate(options, seed, reporter)
        written = render_run(record, out, options.cache, reporter)
        reporter.close()
        _print(printing.written_lines(written, reporter.elapsed))


# --- models ---------------------------------------------------------------------------------------------------


@app.command()
def models() -> None:
    """List models, segmenters, feature networks.

    Shows whether each is installed, its size and its licence.
    """
    from dissectreport import plugins

    groups = {
        "Models": plugins.list_plugins(plugins.GENERATORS),
        "Segmenters": plugins.list_plugins(plugins.SEGMENTERS),
        "Feature networks (--features)": plugins.list_plugins(plugins.FEATURES),
    }
    _print(printing.model_lines(groups))
    typer.echo(f"downloads are kept in {plugins.downloads()}; --weights FILE reads any other file")
    typer.echo("Some names take an argument, such as words:dome,tower; + joins segmenters, such as scenes+colour.")


@app.command()
@with_options
def layers(
    options: Annotated[Options, Only("model", *SETTINGS)],
    everything: Annotated[
        bool, typer.Option("--all", help="Show also parts of the network whose units cannot be read.")
    ] = False,
    offline: Offline = False,
) -> None:
    """List the layers of a model.

    Shows their shapes, units and parameters, to choose --layers from.
    """
    with reporting(offline):
        from dissectreport.pipeline.preflight import layer_rows

        _print(printing.layer_lines(layer_rows(options), everything))


@app.command()
@with_options
def check(
    options: Annotated[Options, Only("model", "segmenter", "seed", "device", *SETTINGS)],
    samples: Annotated[
        int, typer.Option(help="Also generate this many images, and name those that are not finite.", min=0)
    ] = 0,
    offline: Offline = False,
) -> None:
    """Check a model and its segmenter.

    Generates and segments a few images and reports problems. The exit status is 1 if there are any.
    """
    with reporting(offline):
        from dissectreport.pipeline.preflight import check

        wrong = False
        for finding in check(options, samples):
            typer.echo(finding)
            wrong = wrong or finding.wrong
        if wrong:
            raise typer.Exit(1)


@app.command()
def describe(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or a folder with a config.json.")],
) -> None:
    """Describe a checkpoint in TOML.

    The description is complete if the family is recognised; otherwise it contains what the file shows, and says what
    is missing.
    """
    with reporting():
        from dissectreport.pipeline.describe import describe

        typer.echo(describe(file), nl=False)


# --- share ----------------------------------------------------------------------------------------------------


@app.command()
def serve(
    site: Site = Path("site"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port, or the next free one if it is taken; 0 for any free one.")
    ] = 8000,
    reload: Annotated[bool, typer.Option(help="Reload pages when their files change.", show_default="on")] = True,
) -> None:
    """Show a site in a browser on this machine.

    With the optional dependency dissectreport\\[serve], changes are noticed at once.
    """
    with reporting() as reporter:
        from dissectreport.publish import serve as serving

        serving.serve(site, port, reload, reporter.say)


@app.command()
def publish(
    site: Site = Path("site"),
    remote: Annotated[str, typer.Option(help="Remote of the repository in the current folder.")] = "origin",
    branch: Annotated[str, typer.Option(help="Branch for the site; it contains nothing else.")] = "gh-pages",
    message: Annotated[
        str,
        typer.Option(help="Message of the commit.", show_default="Publish the site, with the version of dissectreport"),
    ] = "",
    history: Annotated[bool, typer.Option(help="Keep the earlier commits of the branch.", show_default="on")] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the branch even if it contains something else.")
    ] = False,
    budget: Annotated[int, typer.Option(min=0, help="Largest size of the site in MB, 0 for no limit.")] = 900,
    fit: Annotated[
        bool, typer.Option("--fit", help="Write the site again with fewer images and pages until it fits.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only check that it is a site and fits; nothing is pushed.")
    ] = False,
    cache: Cache = None,
) -> None:
    """Push a site to a branch for GitHub Pages.

    Only files that `dissectreport` wrote are published.
    """
    with reporting() as reporter:
        from dissectreport.publish import github_pages

        if check:
            models, size = github_pages.check_site(site), github_pages.check_size(site, budget)
            github_pages.intact_files(site)
            typer.echo(f"{site} has {counted(len(models), 'model')}, {size / 1e6:,.1f} MB: it can be published")
            return
        github_pages.check_site(site)
        target = github_pages.target(Path(), remote, branch, replace)
        if fit and budget:
            github_pages.fit(site, budget, cache, reporter)
        size = github_pages.check_size(site, budget)
        github_pages.report_unlisted(site, reporter)
        count = github_pages.publish(site, target, message, history)
        reporter.close()
        typer.echo(f"{counted(count, 'file')}, {size / 1e6:,.1f} MB, pushed to the branch {branch} of {remote}")
        if target.address:
            typer.echo(
                f"the site will be at {target.address} once Settings > Pages of the repository names that branch"
            )


@app.command()
@with_options
def export(
    run: RunOptions,
    single_file: Annotated[
        Path | None, typer.Option(help="HTML file for the whole report, to mail.", metavar="FILE")
    ] = None,
    cap: Annotated[int, typer.Option(min=0, help="Largest size of that file in MB, 0 for no limit.")] = 25,
    dissect_json: Annotated[
        Path | None,
        typer.Option(
            help="File in the format of the original program; images of units are written beside it.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Write a report as one file, or dissect.json.

    dissect.json is the format of the original GAN Dissection program.
    """
    with reporting() as reporter:
        from dissectreport.pipeline import exports
        from dissectreport.pipeline.render import wanted

        if single_file is None and dissect_json is None:
            raise BadOption("nothing to write: give --single-file report.html, or --dissect-json old/dissect.json")
        which = wanted(run)
        if single_file:
            size = exports.export_single_file(run.model, single_file, run.rule, run.cache, reporter, which, cap)
            reporter.close()
            typer.echo(f"{size / 1e6:,.1f} MB in {single_file}")
        if dissect_json:
            count = exports.export_dissect_json(run.model, dissect_json, run.rule, run.cache, which)
            typer.echo(f"{counted(count, 'file')} in {dissect_json.parent}")


@app.command("import")
def import_results(
    file: Annotated[Path, typer.Argument(help="A dissect.json of the original program, in its folder.")],
    name: Annotated[str, typer.Option(help="Name for the model.", show_default="the name of the folder")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace other results of that name, and files that are in the way.")
    ] = False,
    out: Out = Path("site"),
) -> None:
    """Add a dissect.json to a site.

    The file holds results of the original GAN Dissection program: units, labels and IoU.
    """
    with reporting() as reporter:
        from dissectreport import files
        from dissectreport.pipeline.exports import import_dissect_json

        files.check_writable(out)
        written = import_dissect_json(file, out, name, replace, reporter)
        _print(printing.written_lines(written, reporter.elapsed))


@app.command()
def preference(
    files: Annotated[
        list[Path], typer.Argument(help="Files exported from the page preference.html, one for each person.")
    ],
) -> None:
    """Summarise blind preferences for a repair.

    On preference.html, people chose the better of two images without knowing which was repaired.
    """
    with reporting():
        from dissectreport.review import preferences

        _print(preferences.lines([preferences.read_choices(path) for path in files]))


# --- cache ----------------------------------------------------------------------------------------------------


@cache_app.command("list")
def cache_list(cache: Cache = None) -> None:
    """List the measured runs and their size."""
    with reporting():
        from dissectreport.pipeline import cache_tools

        _print(printing.cache_lines(cache_tools.content(cache)))


@cache_app.command("verify")
def cache_verify(cache: Cache = None) -> None:
    """Read every file and name damaged ones.

    Damaged files are measured again by the next run.
    """
    with reporting():
        from dissectreport.pipeline import cache_tools

        damaged = cache_tools.damaged(cache)
        for path in damaged:
            typer.echo(f"damaged: {path}")
        typer.echo(f"{len(damaged)} damaged" if damaged else "all files can be read")
        if damaged:
            raise typer.Exit(1)


@cache_app.command("clear")
def cache_clear(
    model: Annotated[
        str, typer.Argument(help="Remove only what belongs to this model.", show_default="everything")
    ] = "",
    older_than: Annotated[
        str,
        typer.Option(
            help="Remove only what was last measured longer ago than this, such as 30d or 12h.", metavar="TIME"
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Remove the oldest runs until at most this many MB are left.", metavar="MB"),
    ] = None,
    cache: Cache = None,
) -> None:
    """Remove measurements."""
    with reporting():
        from dissectreport.pipeline import cache_tools
        from dissectreport.pipeline.schedule import seconds_of

        age = seconds_of(older_than) if older_than else None
        freed = cache_tools.clear(cache, model, age, None if limit is None else limit * 1_000_000)
        typer.echo(f"{freed / 1e6:,.1f} MB removed")


def main() -> None:
    """Run the program."""
    prepare_streams()
    app()


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _units(words: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in comma_separated(words))
    except ValueError:
        raise BadOption(f"--units are numbers separated by commas, not {words!r}") from None


def _repair_command(options: Options, edits: Path) -> str:
    weights = ["--weights", options.weights] if options.weights else []
    return shlex.join(["dissectreport", "repair", options.model, *weights, "--edits", str(edits)])
