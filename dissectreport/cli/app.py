"""The command line: parse, call the pipeline, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from dissectreport import files
from dissectreport.errors import DissectReportError, counted

OFFLINE = ("DISSECTREPORT_OFFLINE", "HF_HUB_OFFLINE")
"""What our own downloads heed, and what those of models on the Hugging Face hub do."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="See what the units of an image generator draw, measured against chance, as a static web site.\n\n"
    "Example: dissectreport build scenes_pgan --out site",
)
cache_app = typer.Typer(no_args_is_help=True, help="What was measured before, and what it takes on disk.")
app.add_typer(cache_app, name="cache")


def _version(wanted: bool) -> None:
    if wanted:
        from dissectreport.version import __version__

        typer.echo(f"dissectreport {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    pass


Model = Annotated[
    str, typer.Argument(help="A name from `dissectreport models`, a .toml that describes one, or ./file.py:function.")
]
Weights = Annotated[
    str, typer.Option(help="A file of weights for the model; nothing is downloaded then.", metavar="FILE")
]
Offline = Annotated[bool, typer.Option("--offline", help="Download nothing: what is not here is told of at once.")]
Layers = Annotated[str, typer.Option(help="Layers to read, separated by commas; default: the model's own choice.")]
Samples = Annotated[
    int | None,
    typer.Option(
        help="Images to measure; raising it later reuses what was measured.",
        show_default="1248, or all where there are fewer",
    ),
]
Segmenter = Annotated[
    str, typer.Option(help="Segmenter by name, several joined by +; default: the one that the model names.")
]
RuleName = Annotated[str, typer.Option("--rule", help="corrected, iclr2019 or pnas2020.")]
Seed = Annotated[int, typer.Option(help="Seed of the samples.")]
Grid = Annotated[
    int, typer.Option(help="Side of the grid on which activations and masks are compared; 0: the rule's own.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Workers = Annotated[int, typer.Option(help="Processes at a time; 0: one per core on a CPU.")]
Cache = Annotated[Path | None, typer.Option(help="Where measurements are kept; default: the platform's cache folder.")]
Out = Annotated[Path, typer.Option(help="Where the site is written.")]
SiteLimit = Annotated[
    int, typer.Option(min=0, help="Most megabytes of the model's pages; GitHub Pages takes 1,000. 0: no limit.")
]
Fit = Annotated[bool, typer.Option("--fit", help="Leave out images and unit pages, step by step, to stay within it.")]
BaseUrl = Annotated[
    str,
    typer.Option(
        help="Address under which the site will be published, for share cards, canonical links, sitemap; default: the "
        "one that the site holds already. none: take it away."
    ),
]
Controls = Annotated[bool, typer.Option(help="Measure the untrained and the rotated controls too.")]
Mixed = Annotated[bool, typer.Option(help="Merge samples that were measured on different devices.")]

Interventions = Annotated[bool, typer.Option(help="Turn units off and on too, and measure what they cause.")]
InterventionSamples = Annotated[
    int, typer.Option(help="Images behind every effect, at least 128; 0: the budget's own.", show_default=False)
]
InterventionLayer = Annotated[
    str, typer.Option(help="Layer whose units are turned off and on; default: the middle one of those that are read.")
]
Reference = Annotated[
    Path | None,
    typer.Option(
        help="A folder of real images, which generated ones are compared with; default: the model's own.",
        show_default=False,
    ),
]
Concepts = Annotated[
    str, typer.Option(help="Concepts whose causes are looked for, separated by commas; default: the commonest.")
]
BudgetName = Annotated[
    str, typer.Option("--budget", help="quick, default, full, or paper: the references' sizes, for hours.")
]
Constant = Annotated[
    str, typer.Option(help="Activation to which units are switched on: quantile, or mean (where the concept is).")
]
Precision = Annotated[
    str, typer.Option(help="Arithmetic of interventions: auto, float32 or bfloat16 (auto checks that labels agree).")
]

RunSamples = Annotated[int, typer.Option(help="Of several runs, one with so many samples.", show_default=False)]
RunLayers = Annotated[str, typer.Option(help="Of several runs, one of just these layers.")]
RunSegmenter = Annotated[str, typer.Option(help="Of several runs, one with this segmenter.")]
RunSeed = Annotated[int | None, typer.Option(help="Of several runs, one with this seed.", show_default=False)]
RunGrid = Annotated[int, typer.Option(help="Of several runs, one on this grid.", show_default=False)]


Artifacts = Annotated[bool, typer.Option(help="Look for artifact units, and score images without them.")]
Features = Annotated[
    str,
    typer.Option(
        help="Network in whose features images are compared, by a name from `dissectreport models`; default: that of "
        "an embedded segmenter, else inception where it is installed, else the segmenter's own.",
        show_default=False,
    ),
]
ArtifactSamples = Annotated[
    int, typer.Option(help="Images that a repair is scored on, at least 100; 0: the budget's own.", show_default=False)
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="A coarser site in one or two minutes: fewer images, three layers, a small budget."),
]
ArtifactLayer = Annotated[
    str,
    typer.Option(
        help="Layer in which artifact units are looked for; default: that of the marked units, or of interventions."
    ),
]
ArtifactUnits = Annotated[
    Path | None,
    typer.Option(
        help='Units that you marked, to score too: what a review page exports, or {"layer": "layer6", "units": [3]}.',
        show_default=False,
    ),
]


@app.command()
def build(
    model: Model,
    layers: Layers = "",
    samples: Samples = None,
    quick: Quick = False,
    segmenter: Segmenter = "",
    rule: RuleName = "corrected",
    seed: Seed = 1,
    grid: Grid = 0,
    device: Device = "auto",
    workers: Workers = 0,
    cache: Cache = None,
    out: Out = Path("site"),
    site_limit: SiteLimit = 1000,
    fit: Fit = False,
    base_url: BaseUrl = "",
    controls: Controls = True,
    mixed_devices: Mixed = False,
    interventions: Interventions = True,
    intervention_samples: InterventionSamples = 0,
    intervention_layer: InterventionLayer = "",
    concepts: Concepts = "",
    budget: BudgetName = "",
    constant: Constant = "",
    precision: Precision = "auto",
    artifacts: Artifacts = True,
    artifact_layer: ArtifactLayer = "",
    artifact_samples: ArtifactSamples = 0,
    artifact_units: ArtifactUnits = None,
    features: Features = "",
    weights: Weights = "",
    offline: Offline = False,
    reference: Reference = None,
) -> None:
    """Measure a model and write its site."""
    options = _options(locals())
    with listening(offline) as ear:
        from dissectreport.pipeline import steps

        drawing = steps.drawing(fit, base_url)
        steps.writable(out)
        _written(steps.build(options, out, ear, site_limit, drawing), ear)


@app.command()
def measure(
    model: Model,
    layers: Layers = "",
    samples: Samples = None,
    quick: Quick = False,
    segmenter: Segmenter = "",
    rule: RuleName = "corrected",
    seed: Seed = 1,
    grid: Grid = 0,
    device: Device = "auto",
    workers: Workers = 0,
    cache: Cache = None,
    controls: Controls = True,
    mixed_devices: Mixed = False,
    interventions: Interventions = True,
    intervention_samples: InterventionSamples = 0,
    intervention_layer: InterventionLayer = "",
    concepts: Concepts = "",
    budget: BudgetName = "",
    constant: Constant = "",
    precision: Precision = "auto",
    artifacts: Artifacts = True,
    artifact_layer: ArtifactLayer = "",
    artifact_samples: ArtifactSamples = 0,
    artifact_units: ArtifactUnits = None,
    features: Features = "",
    weights: Weights = "",
    offline: Offline = False,
    reference: Reference = None,
) -> None:
    """Measure a model; nothing is drawn."""
    options = _options(locals())
    with listening(offline) as ear:
        from dissectreport.pipeline import steps

        steps.measure(options, ear)
        ear.say(f"measured; `dissectreport render {model}` draws it")


@app.command()
def render(
    model: Model,
    rule: RuleName = "corrected",
    samples: RunSamples = 0,
    layers: RunLayers = "",
    segmenter: RunSegmenter = "",
    seed: RunSeed = None,
    grid: RunGrid = 0,
    cache: Cache = None,
    out: Out = Path("site"),
    site_limit: SiteLimit = 1000,
    fit: Fit = False,
    base_url: BaseUrl = "",
) -> None:
    """Write the site of a model that was measured (the newest run that fits); needs neither torch nor the model."""
    with listening() as ear:
        from dissectreport.pipeline import steps

        wanted = steps.Wanted(samples, _listed(layers), seed, segmenter, grid)
        drawing = steps.drawing(fit, base_url)
        steps.writable(out)
        _written(steps.render(model, out, rule, cache, ear, wanted, site_limit, drawing, workers=0), ear)


@app.command()
def export(
    model: Model,
    single_file: Annotated[
        Path | None, typer.Option(help="An HTML file for the report, with all that it shows, to mail.")
    ] = None,
    cap: Annotated[int, typer.Option(min=0, help="Most megabytes of that file; 0: no limit.")] = 25,
    dissect_json: Annotated[
        Path | None, typer.Option(help="A dissect.json as the reference writes it; the units' images go beside it.")
    ] = None,
    rule: RuleName = "corrected",
    samples: RunSamples = 0,
    layers: RunLayers = "",
    segmenter: RunSegmenter = "",
    seed: RunSeed = None,
    grid: RunGrid = 0,
    cache: Cache = None,
) -> None:
    """Write a measured model's report as one HTML file, or in the reference's format."""
    with listening() as ear:
        from dissectreport.errors import BadOption
        from dissectreport.pipeline import steps

        if single_file is None and dissect_json is None:
            raise BadOption("say what to write: --single-file report.html, or --dissect-json old/dissect.json")
        wanted = steps.Wanted(samples, _listed(layers), seed, segmenter, grid)
        if single_file:
            size = steps.mail(model, single_file, rule, cache, ear, wanted, cap)
            ear.close()
            typer.echo(f"{size / 1e6:,.1f} MB in {single_file}")
        if dissect_json:
            files = steps.export_old(model, dissect_json, rule, cache, wanted)
            typer.echo(f"{counted(files, 'file')} in {dissect_json.parent}")


@app.command("import")
def import_old(
    file: Annotated[Path, typer.Argument(help="A dissect.json of the reference, in its folder.")],
    name: Annotated[
        str, typer.Option(help="What to call the model; default: the folder's name.", show_default=False)
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Even if other results were imported under that name.")
    ] = False,
    out: Out = Path("site"),
) -> None:
    """Show old results in a site: units, labels, IoU and the images that lie beside the file."""
    with listening() as ear:
        from dissectreport.pipeline import steps

        steps.writable(out)
        _written(steps.import_old(file, out, name, replace), ear)


@app.command()
def serve(
    site: Annotated[Path, typer.Argument(help="The folder of the site.")] = Path("site"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; the next free one where it is taken. 0: any free one.")
    ] = 8000,
    reload: Annotated[bool, typer.Option(help="Show pages anew when their files change.")] = True,
) -> None:
    """Show a site on this machine's own address; the extra dissectreport[serve] notices changes at once."""
    with listening() as ear:
        from dissectreport.publish import serve as serving

        serving.serve(site, port, reload, ear.say)


@app.command()
def publish(
    site: Annotated[Path, typer.Argument(help="The folder of the site.")] = Path("site"),
    remote: Annotated[str, typer.Option(help="Remote of the repository in the current folder.")] = "origin",
    branch: Annotated[str, typer.Option(help="Branch that will hold the site and nothing else.")] = "gh-pages",
    message: Annotated[str, typer.Option(help="Message of the commit.", show_default=False)] = "",
    history: Annotated[bool, typer.Option(help="Keep the branch's commits; --no-history leaves just this one.")] = True,
    replace: Annotated[bool, typer.Option("--replace", help="Even if the branch holds something else.")] = False,
    budget: Annotated[int, typer.Option(min=0, help="Most megabytes of the site; 0: no limit.")] = 900,
    fit: Annotated[
        bool, typer.Option("--fit", help="Draw the site anew with fewer images and pages until it is within it.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether it is a site that fits; nothing is pushed.")
    ] = False,
    cache: Cache = None,
) -> None:
    """Push a site to the branch that GitHub Pages serves; needs the extra dissectreport[publish]."""
    with listening() as ear:
        from dissectreport.publish import github_pages

        if check:
            models = github_pages.check_site(site)
            size = github_pages.check_size(site, budget)
            ear.close()
            typer.echo(
                f"{site} holds {counted(len(models), 'model')} and takes {size / 1e6:,.1f} MB: it can be published"
            )
            return
        github_pages.check_installed()
        github_pages.check_site(site)
        target = github_pages.target(Path(), remote, branch, replace)
        if fit and budget:
            github_pages.fit(site, budget, cache, ear)
        size = github_pages.check_size(site, budget)
        files = github_pages.publish(site, target, message, history)
        ear.close()
        typer.echo(f"{counted(files, 'file')}, {size / 1e6:,.1f} MB, are the branch {branch} of {remote}")
        if target.address:
            typer.echo(f"they will be at {target.address} once the repository's Settings > Pages name that branch")


@app.command()
def compare(
    models: Annotated[
        list[str], typer.Argument(help="Two to six models of the site: folder, address, or what it calls itself.")
    ],
    layers: Annotated[str, typer.Option(help="A layer for all, or one for each, separated by commas.")] = "",
    out: Annotated[Path, typer.Option(help="The site in which the models were drawn.")] = Path("site"),
    to: Annotated[Path | None, typer.Option(help="Where the page goes; default: among those of the site.")] = None,
) -> None:
    """Write a page that compares models of a site: one file, complete without scripts."""
    with listening() as ear:
        from dissectreport.pipeline import steps

        _written(steps.compare(models, out, _listed(layers), to), ear)


@app.command()
def intervene(
    model: Model,
    concept: Annotated[str, typer.Option(help="Concept to print first; without --units its own causal set.")] = "",
    units: Annotated[str, typer.Option(help="Units, separated by commas.")] = "",
    mode: Annotated[str, typer.Option(help="ablate (turn off) or insert (turn on).")] = "ablate",
    at: Annotated[
        str, typer.Option(help="everywhere, or row,column of the 8 x 8 places, like '3,4 3,5'.")
    ] = "everywhere",
    value: Annotated[
        str, typer.Option(help="zero, mean, resample (another image's), quantile (99.5 %) or a number.")
    ] = "",
    layer: InterventionLayer = "",
    samples: Annotated[int, typer.Option(help="Images behind every area, at least 128.")] = 128,
    segmenter: Segmenter = "",
    rule: RuleName = "corrected",
    seed: Seed = 1,
    device: Device = "auto",
    workers: Workers = 0,
    cache: Cache = None,
    precision: Precision = "auto",
    weights: Weights = "",
    offline: Offline = False,
    out: Annotated[Path | None, typer.Option(help="A WebP file for pictures before and after.")] = None,
) -> None:
    """Turn units off or on, and print what became of every concept."""
    with listening(offline) as ear:
        from dissectreport.pipeline import steps
        from dissectreport.pipeline.on_demand import Wish

        options = steps.Options(
            model,
            segmenter=segmenter,
            rule=rule,
            seed=seed,
            device=device,
            workers=workers,
            cache=cache or files.default_folder(),
            precision=precision,
            weights=weights,
        )
        numbers = _numbers(units)
        chosen = layer or steps.middle_layer(options)
        wish = Wish(numbers, chosen, mode, value, at, samples, _listed(concept))
        outcome = steps.intervene(options, wish, ear)
        ear.close()
        for line in steps.outcome_lines(outcome):
            typer.echo(line)
        if out:
            steps.save_pictures(outcome, out)
            typer.echo(f"pictures: {out}")


@app.command("artifacts")
def artifact_units_of(
    model: Model,
    layer: Annotated[str, typer.Option(help="Layer to look in; default: the middle one of those that are read.")] = "",
    reference: Reference = None,
    artifact_samples: ArtifactSamples = 0,
    features: Features = "",
    artifact_units: ArtifactUnits = None,
    budget: BudgetName = "",
    edits: Annotated[Path, typer.Option(help="Where the repair is written.", metavar="FILE")] = Path("edits.json"),
    samples: Samples = None,
    segmenter: Segmenter = "",
    rule: RuleName = "corrected",
    seed: Seed = 1,
    device: Device = "auto",
    workers: Workers = 0,
    cache: Cache = None,
    precision: Precision = "auto",
    weights: Weights = "",
    offline: Offline = False,
) -> None:
    """Find the units that keep images away from real ones, and print what turning them off does to quality.

    The repair is written to --edits, and units of --artifact-units beside it, to edits-marked.json.
    """
    with listening(offline) as ear:
        from dissectreport.pipeline import steps

        options = steps.Options(
            model,
            artifact_layer=layer,
            reference=reference,
            artifact_samples=artifact_samples,
            features=features,
            artifact_units=artifact_units,
            budget=budget,
            samples=samples,
            segmenter=segmenter,
            rule=rule,
            seed=seed,
            device=device,
            workers=workers,
            cache=cache or files.default_folder(),
            precision=precision,
            weights=weights,
        )
        steps.writable(edits.parent)
        found, repair, marked = steps.artifacts(options, ear)
        ear.close()
        for line in steps.artifact_lines(found):
            typer.echo(line)
        if repair is not None:
            steps.save_edits(repair, edits)
            given = ["--weights", weights] if weights else []
            command = shlex.join(["dissectreport", "repair", model, *given, "--edits", str(edits)])
            typer.echo(f"edits: {edits}; `{command}` makes repaired images")
        elif edits.exists():
            typer.echo(f"{edits} is of an earlier run, and was left as it is")
        if marked is not None:
            beside = edits.with_name(f"{edits.stem}-marked{edits.suffix}")
            steps.save_edits(marked, beside)
            typer.echo(f"edits of the marked units: {beside}")


@app.command()
def repair(
    model: Model,
    edits: Annotated[Path, typer.Option(help="A file that `dissectreport artifacts` wrote.", metavar="FILE")],
    samples: Annotated[int, typer.Option(help="Images to make, from the first sample on.")] = 100,
    out: Annotated[Path, typer.Option(help="Folder for the images.")] = Path("images"),
    seed: Seed = 1,
    other_weights: Annotated[
        bool, typer.Option("--other-weights", help="Apply edits that were made for other weights.")
    ] = False,
    device: Device = "auto",
    workers: Workers = 0,
    weights: Weights = "",
    offline: Offline = False,
) -> None:
    """Make images with units turned off as a file of edits says, as PNG files named by their samples."""
    with listening(offline) as ear:
        from dissectreport.pipeline import steps

        options = steps.Options(model, seed=seed, device=device, workers=workers, weights=weights)
        made = steps.repair(options, edits, samples, out, other_weights, ear)
        ear.close()
        typer.echo(f"{counted(made, 'image')} in {out}")


def _numbers(words: str) -> tuple[int, ...]:
    from dissectreport.errors import BadOption

    try:
        return tuple(int(word) for word in _listed(words))
    except ValueError:
        raise BadOption(f"--units are numbers separated by commas, not {words!r}") from None


@app.command()
def layers(
    model: Model,
    everything: Annotated[bool, typer.Option("--all", help="Parts whose units cannot be read, too.")] = False,
    weights: Weights = "",
    offline: Offline = False,
) -> None:
    """List a model's layers with their shapes, units and parameters, to choose --layers from."""
    with listening(offline):
        from dissectreport.pipeline import steps

        for line in steps.layer_lines(model, everything, weights):
            typer.echo(line)


@app.command()
def check(
    model: Model, segmenter: Segmenter = "", device: Device = "auto", weights: Weights = "", offline: Offline = False
) -> None:
    """Run a few samples of a model and its segmenter, and say in plain words what is wrong; 1 if anything is."""
    with listening(offline):
        from dissectreport.pipeline import steps

        wrong = False
        options = steps.Options(model, segmenter=segmenter, device=device, weights=weights)
        for finding in steps.check(options):
            typer.echo(finding)
            wrong = wrong or finding.wrong
        if wrong:
            raise typer.Exit(1)


@app.command()
def models() -> None:
    """List models, segmenters and feature networks that can be named: whether they are here, and their licence."""
    from dissectreport import plugins

    groups = {
        "Models": plugins.list_plugins(plugins.GENERATORS),
        "Segmenters": plugins.list_plugins(plugins.SEGMENTERS),
        "Feature networks (--features)": plugins.list_plugins(plugins.FEATURES),
    }
    every = [one for listed in groups.values() for one in listed]
    name, title, state = (max(len(getattr(one, field)) for one in every) for field in ("name", "title", "state"))
    for heading, listed in groups.items():
        typer.echo(heading)
        for one in listed:
            line = f"  {one.name:{name}}  {one.title:{title}}  {one.state:{state}}  {one.size:>7}  {one.licence}"
            typer.echo(line.rstrip())
        for line in dict.fromkeys(f"  licence {one.licence}: {one.licence_note}" for one in listed if one.licence_note):
            typer.echo(line)
    typer.echo(f"downloads are kept in {plugins.downloads()}; --weights FILE reads any other file")
    typer.echo("Some take an argument, as words:dome,tower; + joins segmenters, as scenes+colour.")


@app.command()
def preference(
    files: Annotated[
        list[Path], typer.Argument(help="Choices that the page preference.html exported, a file a person.")
    ],
) -> None:
    """Add up blind choices between images before and after a repair."""
    with listening():
        from dissectreport.review import preferences

        for line in preferences.lines([preferences.read_choices(path) for path in files]):
            typer.echo(line)


@cache_app.command("list")
def cache_list(cache: Cache = None) -> None:
    """List every run, those of a model and rule from the newest on, and the size of it all."""
    with listening():
        from dissectreport.pipeline import steps

        for line in steps.cache_lines(cache):
            typer.echo(line)


@cache_app.command("verify")
def cache_verify(cache: Cache = None) -> None:
    """Read every file of the cache and name the damaged ones; they are measured again by the next run."""
    with listening():
        from dissectreport.pipeline import steps

        damaged = steps.damaged(cache)
        for path in damaged:
            typer.echo(f"damaged: {path}")
        typer.echo(f"{len(damaged)} damaged" if damaged else "everything can be read")
        if damaged:
            raise typer.Exit(1)


@cache_app.command("clear")
def cache_clear(
    model: Annotated[str, typer.Argument(help="Only what belongs to this model; default: everything.")] = "",
    cache: Cache = None,
) -> None:
    """Remove what was measured."""
    with listening():
        from dissectreport.pipeline import steps

        typer.echo(f"{steps.clear(cache, model) / 1e6:,.1f} MB removed")


def _options(given: dict[str, Any]) -> Any:
    from dissectreport.pipeline import steps

    left = ("out", "site_limit", "offline", "fit", "base_url")
    fields = {name: value for name, value in given.items() if name not in left}
    fields |= {name: _listed(given[name]) for name in ("layers", "concepts")}
    return steps.Options(**fields | {"cache": given["cache"] or files.default_folder()})


def _listed(words: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in words.split(",") if part.strip())


def _written(written: Any, ear: Any) -> None:
    ear.close()
    typer.echo(
        f"{counted(written.files, 'file')}, {written.bytes / 1e6:,.1f} MB, {written.changed} of them new or changed"
    )
    typer.echo(f"open {written.index}")


@contextmanager
def listening(offline: bool = False) -> Iterator[Any]:
    """A listener for a command; errors that a person can act on become one line and exit status 1, Ctrl-C 130."""
    from dissectreport.checkpoints import reporting

    ear = _Ear()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with reporting.reporting_to(ear), _downloads(offline):
            yield ear
    except DissectReportError as error:
        ear.close()
        typer.echo(f"dissectreport: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        ear.close()
        typer.echo("dissectreport: stopped; finished work is kept, the same command continues", err=True)
        raise typer.Exit(130) from None
    finally:
        ear.close()


@contextmanager
def _downloads(offline: bool) -> Iterator[None]:
    """Downloads off while a command runs, in this process and in those that it starts."""
    held = {name: os.environ[name] for name in OFFLINE if name in os.environ}
    if offline:
        os.environ.update(dict.fromkeys(OFFLINE, "1"))
    try:
        yield
    finally:
        for name in OFFLINE:
            os.environ.pop(name, None)
        os.environ.update(held)


class _Ear:
    """Prints lines, and progress bars where somebody is looking."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.tasks: dict[str, Any] = {}

    def say(self, line: str) -> None:
        """One line on the error stream, so that it does not mix with results."""
        typer.echo(line, err=True)

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Move the task's bar; quiet when not a terminal."""
        if not sys.stderr.isatty():
            return
        if self.bar is None:
            self.bar = _bar()
            self.bar.start()
        if task not in self.tasks:
            self.tasks[task] = self.bar.add_task(task, total=total, unit=unit, start=True)
            self.bar.reset(self.tasks[task], completed=done, total=total)
        self.bar.update(self.tasks[task], completed=min(done, total), total=total)

    def close(self) -> None:
        """Take the bars away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar, self.tasks = None, {}


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    class Rate(TextColumn):
        """Units a second."""

        def render(self, task: Any) -> Any:
            from rich.text import Text

            return Text(f"{task.speed:,.1f} {task.fields['unit']}/s" if task.speed else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        Rate(""),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def main() -> None:
    """The program."""
    app()
