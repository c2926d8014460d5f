"""Building a site: measure a model, then write its pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport.pipeline.machine import cores
from dissectreport.pipeline.measure import MEASURING, begun, run_stages
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare, without_unreadable_images
from dissectreport.pipeline.reporter import Reporter, Silent
from dissectreport.pipeline.stages import Pages
from dissectreport.report.common.site_options import PLAIN, SITE_LIMIT, Drawing
from dissectreport.run.engine import Workers

if TYPE_CHECKING:
    from dissectreport.report.site.writing import Written


def build(
    options: Options,
    out: Path,
    reporter: Reporter | None = None,
    site_limit: int = SITE_LIMIT,
    drawing: Drawing = PLAIN,
) -> Written:
    """Measure a model and write its site at `out`."""
    reporter = reporter or Silent()
    job = without_unreadable_images(prepare(options), reporter)
    # Where an accelerator has one worker, several processes render all the same; they start when first needed.
    with Workers(job.workers) as workers, Workers(options.workers or cores()) as others:
        pages = Pages(out, site_limit, drawing, workers if workers.number > 1 else others)
        written = run_stages(begun(job, workers, reporter), (*MEASURING, pages)).written
    assert written is not None, "the last stage writes the site"
    return written
