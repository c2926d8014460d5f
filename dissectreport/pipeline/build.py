"""Building a site: measure a model, then write its pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport.pipeline.machine import cores
from dissectreport.pipeline.measure import MEASURING, run_stages, start_run
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare, without_unreadable_images
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.running import running
from dissectreport.pipeline.stages import PageStage
from dissectreport.report.common.site_options import PLAIN, SITE_LIMIT, SiteSettings

if TYPE_CHECKING:
    from dissectreport.report.site.writing import Written


def build(
    options: Options,
    out: Path,
    reporter: Reporter | None = None,
    site_limit: int = SITE_LIMIT,
    settings: SiteSettings = PLAIN,
) -> Written:
    """Measure a model and write its site at `out`."""
    with running(options, reporter) as session:
        job = without_unreadable_images(prepare(options), session.reporter)
        # With an accelerator there is one worker; pages are still rendered by several processes, started when needed.
        with session.workers(job) as workers, session.processes(options.workers or cores()) as others:
            pages = PageStage(out, site_limit, settings, workers if workers.number > 1 and not options.ray else others)
            written = run_stages(start_run(job, workers, session.reporter), (*MEASURING, pages)).written
    assert written is not None, "the last stage writes the site"
    return written
