"""Commands that show, publish and exchange what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dissectreport.cli import printing
from dissectreport.cli.arguments import Cache, Out, Site
from dissectreport.cli.parameters import with_options
from dissectreport.cli.session import reporting
from dissectreport.errors import BadOption, counted
from dissectreport.pipeline.options import RunOptions


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
        printing.show(printing.written_lines(written, reporter.elapsed))


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

        printing.show(preferences.lines([preferences.read_choices(path) for path in files]))
