"""Reports in other forms: one file to mail, and the dissect.json of the reference program, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport import files
from dissectreport.cache import records
from dissectreport.cache.records import ANY, Wanted
from dissectreport.pipeline.render import assembled
from dissectreport.pipeline.reporter import Reporter, usual_reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.report.common.site_options import CAP
from dissectreport.run.rules import RuleName

if TYPE_CHECKING:
    from dissectreport.report.site.writing import Written


def export_single_file(
    model: str,
    out: Path,
    rule: str = RuleName.CORRECTED,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    wanted: Wanted = ANY,
    cap: int = CAP,
) -> int:
    """Write the report of a measured model as one HTML file of at most `cap` megabytes (0: any); returns its bytes."""
    from dissectreport.report.export.single_file import single_file
    from dissectreport.report.site.writing import write_if_changed

    reporter = reporter or usual_reporter()
    folder = cache or files.default_folder()
    dissection = assembled(records.load(folder, model, rule, wanted), folder)
    content, left_out = single_file(
        dissection, cap, lambda done, total: reporter.progress(Task.PAGES, done, total, "units")
    )
    if left_out:
        reporter.say(f"to stay within {cap} MB it leaves out {left_out}")
    write_if_changed(out, content)
    return len(content)


def export_dissect_json(
    model: str, out: Path, rule: str = RuleName.CORRECTED, cache: Path | None = None, wanted: Wanted = ANY
) -> int:
    """Write a measured model as the reference's dissect.json, with images of its units; returns the files."""
    from dissectreport.report.export.dissect_json import dissect_json, old_pictures
    from dissectreport.report.site.writing import write_if_changed

    folder = cache or files.default_folder()
    dissection = assembled(records.load(folder, model, rule, wanted), folder)
    pictures = old_pictures(dissection)
    for name, content in pictures.items():
        write_if_changed(out.parent / name, content)
    write_if_changed(out, dissect_json(dissection, pictures))
    return len(pictures) + 1


def import_dissect_json(
    path: Path, out: Path, name: str = "", replace: bool = False, reporter: Reporter | None = None
) -> Written:
    """Write pages for a dissect.json of the reference, and the images in its folder, into the site at `out`.

    Other results that were imported under the same name, and files of others, are replaced only if `replace` is set.
    """
    from dissectreport.report.export.dissect_json import read_dissect_json
    from dissectreport.report.export.imported import write_imported

    say = (reporter or usual_reporter()).say
    return write_imported(read_dissect_json(path), path.resolve().parent, out, name, replace, say)
