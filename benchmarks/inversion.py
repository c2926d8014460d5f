"""How near `invert` comes to samples of the embedded generator, whose latents exist, and what it takes.

Each of six samples of `scenes_pgan` is inverted alone with the default steps, as `invert` does it for one photo. A
sample is rounded to bytes, and its latent is not known. Times are processor seconds of one thread.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from common import write
from torch import Tensor

from dissectreport.pipeline.invert import SEED, residual_layers
from dissectreport.worker.inversion import InversionSteps, invert, label_agreement, signal_to_noise
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.pictures import as_bytes

SAMPLES = 6
SAMPLE_SEED = 5
"""Of the samples that are inverted; latents begin at samples of another seed."""


def main() -> None:
    """Invert the samples, and write the results."""
    torch.set_num_threads(1)
    models = Source("scenes_pgan", "scenes").models()
    photos = as_photos(models)
    rows = [inverted(models, f"sample {number}", photo[None]) for number, photo in enumerate(photos)]
    write("inversion", [*rows, summary(rows)])


def as_photos(models: Models) -> Tensor:
    """(n, 3, h, w) samples in [-1, 1] as a PNG file has them."""
    with torch.no_grad():
        pixels = as_bytes(models.images(models.latents(SAMPLE_SEED, 0, SAMPLES), 0))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def inverted(models: Models, name: str, photo: Tensor) -> dict[str, Any]:
    """How near one image comes, with the latent alone and with residuals."""
    steps = InversionSteps()
    started = time.process_time()
    found = invert(models, photo, residual_layers(models.generator), steps, SEED, lambda *_: None)
    seconds = time.process_time() - started
    return {
        "sample": name,
        "steps": f"{steps.latent} + {steps.residual}",
        "PSNR, latent": float(signal_to_noise(found.from_latents, photo)),
        "PSNR": float(signal_to_noise(found.images, photo)),
        "label agreement, latent": float(label_agreement(models, found.from_latents, photo)),
        "label agreement": float(label_agreement(models, found.images, photo)),
        "largest residual": max(float(share) for shares in found.shares.values() for share in shares),
        "seconds": seconds,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst of each column."""
    low = ("PSNR, latent", "PSNR", "label agreement, latent", "label agreement")
    least = {column: min(row[column] for row in rows) for column in low}
    most = {column: max(row[column] for row in rows) for column in ("largest residual", "seconds")}
    return {"sample": "worst", "steps": rows[0]["steps"], **least, **most}


if __name__ == "__main__":
    main()
