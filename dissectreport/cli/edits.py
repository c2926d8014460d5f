"""Commands that edit a model's units, and make images with the edits."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dissectreport.cli import printing
from dissectreport.cli.arguments import SETTINGS, Offline
from dissectreport.cli.parameters import Only, comma_separated, with_options
from dissectreport.cli.session import reporting
from dissectreport.errors import BadOption, counted
from dissectreport.pipeline.options import Options


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
        printing.show(printing.edit_lines(result))
        if out:
            save_pictures(result, out)
            typer.echo(f"images: {out}")


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
        typer.Option(
            help="Layer in which artifact units are searched for.",
            show_default="that of the marked units, otherwise the middle one",
        ),
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
        printing.show(printing.artifact_lines(artifacts))
        if repair is not None:
            save_edits(repair, edits)
            typer.echo(f"edits: {edits}; `{_repair_command(options, edits)}` makes repaired images")
        elif edits.exists():
            typer.echo(f"{edits} belongs to an earlier run and was not changed")
        if marked is not None:
            beside = edits.with_name(f"{edits.stem}-marked{edits.suffix}")
            save_edits(marked, beside)
            typer.echo(f"edits of the marked units: {beside}")


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
        printing.show(printing.inverted_lines(found, out))


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


def _units(words: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in comma_separated(words))
    except ValueError:
        raise BadOption(f"--units are numbers separated by commas, not {words!r}") from None


def _repair_command(options: Options, edits: Path) -> str:
    weights = ["--weights", options.weights] if options.weights else []
    return shlex.join(["dissectreport", "repair", options.model, *weights, "--edits", str(edits)])
