"""The published models that zoo.toml names: downloaded at first use, or read from a file that the user gives.

church = zoo.church_pgan()                              # what the entry point church_pgan calls
church = zoo.church_pgan(weights=Path("mine.pth"))      # nothing is downloaded
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dissectreport.checkpoints import telling
from dissectreport.checkpoints.catalogue import OWN_FILE, Entry, entries
from dissectreport.checkpoints.downloads import Remote
from dissectreport.checkpoints.files import Checkpoint, read_checkpoint
from dissectreport.errors import WeightsError
from dissectreport.models.proggan import as_processors_like
from dissectreport.models.proggan_variants import AnyGenerator, from_state_dict, new
from dissectreport.models.wrap import NetworkGenerator

CATALOGUE = Path(__file__).with_name("zoo.toml")
MEANWHILE = f"or give any file with {OWN_FILE} FILE; meanwhile `dissectreport build scenes_pgan` needs no download"


def __getattr__(name: str) -> Callable[..., NetworkGenerator]:
    """The loader of the model that the catalogue calls `name`."""
    entry = entries(CATALOGUE).get(name)
    if entry is None or entry.packaged is not None:
        raise AttributeError(f"no model {name!r} to download in {CATALOGUE}")
    return partial(load, entry)


def load(entry: Entry, weights: Path | str | None = None) -> NetworkGenerator:
    """The Progressive GAN of an entry, with published weights or with those of a file."""
    checkpoint, told = _given(entry, Path(weights)) if weights else _published(entry)
    network = as_processors_like(from_state_dict(checkpoint.content, entry.more["kind"]))
    resolution = network.resolution
    if weights and resolution != entry.more.get("resolution", resolution):
        telling.say(
            f"{weights} draws {resolution} x {resolution} pixels, not the {entry.more['resolution']} of {entry.name}"
        )
    return NetworkGenerator(
        name=entry.name,
        module=network,
        latent_shape=(network.latent_size,),
        image_size=(resolution, resolution),
        layers=network.layers,
        default_layers=_default(network, entry.more["layers"]),
        remade=lambda seed: untrained(network, seed),
        facts={**_facts(entry, not weights or told["verified"]), "sha256": checkpoint.sha256, "weights": told},
    )


def untrained(network: AnyGenerator, seed: int) -> AnyGenerator:
    """A network of the same kind and sizes with random weights."""
    made = new(getattr(network, "kind", "progressive"), network.sizes)
    made.initialise(seed)
    return as_processors_like(made.eval())


def _default(network: AnyGenerator, wanted: list[str]) -> tuple[str, ...]:
    """The wanted layers that the network has; if it has none, the second block at 8x8 or the last before it."""
    return tuple(name for name in wanted if name in network.layers) or network.layers[:4][-1:]


def _facts(entry: Entry, published: bool) -> dict[str, Any]:
    """What the report tells of the model; of another file than the published one, less."""
    told = {"family": "Progressive GAN"} | {key: value for key, value in entry.more.items() if key == "segmenter"}
    if not published:
        return {**told, "licence": "that of the given file"}
    licence = f"{entry.licence}; {entry.licence_note}" if entry.licence_note else entry.licence
    return {**told, "dataset": entry.more["dataset"], "paper": entry.more["paper"], "licence": licence}


def _published(entry: Entry) -> tuple[Checkpoint, Mapping[str, Any]]:
    """What is published as this model, downloaded if it is not here, and what is told of it."""
    if not entry.origins:
        raise WeightsError(f"{entry.name} has no weights of its own; give a file with {OWN_FILE} FILE")
    origin = entry.bring(MEANWHILE)
    (file,), (path,) = origin.files, origin.paths()
    cure = f"remove it, and the next run downloads it again, or give a file with {OWN_FILE} FILE"
    return read_checkpoint(path, file.sha256, cure), _told(path, origin.who, file)


def _given(entry: Entry, path: Path) -> tuple[Checkpoint, Mapping[str, Any]]:
    """What the user gives as this model; that it is not what was published is said, not refused."""
    checkpoint = read_checkpoint(path, cure=f"give another {OWN_FILE} FILE")
    known = [file for origin in entry.origins for file in origin.files if file.sha256]
    for file in known:
        if checkpoint.sha256.startswith(file.sha256):
            return checkpoint, _told(path, "a file of the user's", file)
    if known:
        telling.say(
            f"{path} is not the {known[0].name} that was published as {entry.name} "
            f"(SHA-256 {checkpoint.sha256[:12]}…, not {known[0].sha256[:12]}…); it is taken as it is"
        )
    return checkpoint, _told(path, "a file of the user's", None)


def _told(path: Path, who: str, file: Remote | None) -> Mapping[str, Any]:
    """What the report tells of the file: its name, where it is from, and how far its checksum could be verified."""
    if file is None:
        checksum = "not that of a published file"
    elif not file.sha256:
        checksum = "nobody published it"
    else:
        checksum = "as published" if len(file.sha256) == 64 else f"its first {len(file.sha256)} digits are as published"
    return {"file": path.name, "from": who, "checksum": checksum, "verified": file is not None and bool(file.sha256)}
