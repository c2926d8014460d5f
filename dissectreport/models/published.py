"""The published models in catalogue.toml: downloaded at first use, or read from a file that the user gives.

Most are Progressive GANs; DCGANs, a CycleGAN and a classifier come in packages of the Python package index.

church = published.church_pgan()                        # what the entry point church_pgan calls
church = published.church_pgan(weights=Path("mine.pth"))  # nothing is downloaded
vintage = published.vintage_cyclegan(images=Path("photos"))  # a network that redraws photographs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.catalogue import WEIGHTS_OPTION, CatalogueEntry, read_catalogue
from dissectreport.checkpoints.downloads import RemoteFile
from dissectreport.checkpoints.state_dicts import channels_last, select_tensors
from dissectreport.checkpoints.weight_files import Checkpoint, read_checkpoint
from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.classifier import ClassifierModel
from dissectreport.models.families import base, cyclegan, dcgan, efficientnet_lite
from dissectreport.models.families.base import DEFAULT_SAMPLING, NetworkTensors
from dissectreport.models.image_folder import open_folder, printable
from dissectreport.models.image_model import RedrawingModel
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.models.outputs import OutputFormat
from dissectreport.models.proggan_variants import AnyGenerator, from_state_dict, new
from dissectreport.models.published_classifiers import published_classifier

DCGAN_KIND, CYCLEGAN_KIND, CLASSIFIER_KIND = "dcgan", "cyclegan", "efficientnet_lite"
TITLES = {
    DCGAN_KIND: dcgan.DCGAN.title,
    CYCLEGAN_KIND: cyclegan.CycleGAN.title,
    CLASSIFIER_KIND: efficientnet_lite.EfficientNetLite.title,
}
"""Families, by kind; the others are Progressive GANs."""
CATALOGUE = Path(__file__).with_name("catalogue.toml")
ALTERNATIVE = (
    f"or give any file with {WEIGHTS_OPTION} FILE; meanwhile `dissectreport build scenes_pgan` needs no download"
)


Published = NetworkGenerator | RedrawingModel | ClassifierModel


def __getattr__(name: str) -> Callable[..., Published]:
    """The loader of the model `name` of the catalogue."""
    entry = read_catalogue(CATALOGUE).get(name)
    if entry is None or entry.packaged is not None:
        raise AttributeError(f"no model {name!r} to download in {CATALOGUE}")
    return partial(load, entry)


def load(
    entry: CatalogueEntry,
    weights: Path | str | None = None,
    images: Path | None = None,
    validation: Path | None = None,
) -> Published:
    """The network of a catalogue entry, with published weights or with those of a file.

    A network that redraws or classifies photographs needs a folder of `images`, and a classifier may have another one
    for `validation`; a BadOption if it has none, or another network has some.
    """
    _check_folders(entry, images, validation)
    checkpoint, provenance = _from_file(entry, Path(weights)) if weights else _published(entry)
    made = _reading(entry, checkpoint, images, validation) if images else _drawing(entry, checkpoint, bool(weights))
    facts = {
        **_facts(entry, not weights or provenance["verified"]),
        "sha256": checkpoint.sha256,
        "weights": provenance,
    }
    return replace(made, facts=facts)


def _check_folders(entry: CatalogueEntry, images: Path | None, validation: Path | None) -> None:
    """Raise a BadOption for a folder of photographs that is missing, or that the network does not read."""
    does = {CYCLEGAN_KIND: "redraws", CLASSIFIER_KIND: "classifies"}.get(entry.extra["kind"])
    if does and images is None:
        raise BadOption(f"{entry.name} {does} photographs; name a folder of them with --images FOLDER")
    if images is not None and not does:
        raise BadOption(f"{entry.name} generates images of its own; leave out --images {images}")
    if validation is not None and does != "classifies":
        raise BadOption(f"{entry.name} is not a classifier; leave out --validation {validation}")


def _reading(
    entry: CatalogueEntry, checkpoint: Checkpoint, images: Path, validation: Path | None
) -> RedrawingModel | ClassifierModel:
    """The network in a checkpoint that reads the photographs of a folder."""
    if entry.extra["kind"] == CLASSIFIER_KIND:
        return published_classifier(entry, checkpoint, images, validation)
    return _redrawing(entry, checkpoint, images)


def _drawing(entry: CatalogueEntry, checkpoint: Checkpoint, given: bool) -> NetworkGenerator:
    """The generator in a checkpoint; that the images of a given file have another size is said."""
    make = _dcgan if entry.extra["kind"] == DCGAN_KIND else _progressive
    made = make(entry, checkpoint)
    resolution = made.image_size[0]
    if given and resolution != entry.extra.get("resolution", resolution):
        reporting.say(
            f"{checkpoint.path} makes images of {resolution} x {resolution} pixels; "
            f"those of {entry.name} have {entry.extra['resolution']}"
        )
    return made


def _redrawing(entry: CatalogueEntry, checkpoint: Checkpoint, images: Path) -> RedrawingModel:
    """The network in a checkpoint that redraws the photographs of a folder."""
    tensors = select_tensors(checkpoint.content, entry.extra.get("part", ""))
    made = channels_last(cyclegan.from_tensors(NetworkTensors(tensors), DEFAULT_SAMPLING))
    folder = open_folder(images, (made.resolution, made.resolution))
    return RedrawingModel(
        name=f"{entry.name} ({printable(folder.path.name)})",
        module=made,
        folder=folder,
        layers=made.unit_layers,
        default_layers=made.default_layers,
        reinitialise=lambda seed: base.untrained(made, seed),
        output=OutputFormat(certain=True),
    )


def _progressive(entry: CatalogueEntry, checkpoint: Checkpoint) -> NetworkGenerator:
    """The Progressive GAN in a checkpoint."""
    network = channels_last(from_state_dict(checkpoint.content, entry.extra["kind"]))
    return NetworkGenerator(
        name=entry.name,
        module=network,
        latent_shape=(network.latent_size,),
        image_size=(network.resolution, network.resolution),
        layers=network.layers,
        default_layers=_default(network, entry.extra["layers"]),
        reinitialise=lambda seed: untrained(network, seed),
    )


def _dcgan(entry: CatalogueEntry, checkpoint: Checkpoint) -> NetworkGenerator:
    """The DCGAN in a checkpoint. The number of its classes is in the catalogue, because shapes do not show it."""
    tensors = select_tensors(checkpoint.content, entry.extra.get("part", ""))
    settings = {dcgan.CLASSES: entry.extra.get("classes", 0)}
    network = channels_last(dcgan.from_tensors(NetworkTensors(tensors, settings=settings), DEFAULT_SAMPLING))
    return NetworkGenerator(
        name=entry.name,
        module=network,
        image_size=(network.resolution, network.resolution),
        layers=network.unit_layers,
        default_layers=network.default_layers,
        reinitialise=lambda seed: base.untrained(network, seed),
        inputs=network.inputs(),
        output=OutputFormat(certain=True),
    )


def untrained(network: AnyGenerator, seed: int) -> AnyGenerator:
    """A network of the same kind and sizes with random weights."""
    control = new(getattr(network, "kind", "progressive"), network.sizes)
    control.initialise(seed)
    return channels_last(control.eval())


def _default(network: AnyGenerator, names: list[str]) -> tuple[str, ...]:
    """The layers of `names` in the network; if none, the second block at 8x8, or the last block before it."""
    return tuple(name for name in names if name in network.layers) or network.layers[:4][-1:]


def _facts(entry: CatalogueEntry, published: bool) -> dict[str, Any]:
    """The facts for the report. For a file that was not published as this model, dataset and paper are unknown."""
    family = TITLES.get(entry.extra["kind"], "Progressive GAN")
    facts = {"family": family} | {key: value for key, value in entry.extra.items() if key == "segmenter"}
    if not published:
        return {**facts, "licence": "that of the given file"}
    licence = f"{entry.licence}; {entry.licence_note}" if entry.licence_note else entry.licence
    return {**facts, "dataset": entry.extra["dataset"], "paper": entry.extra["paper"], "licence": licence}


def _published(entry: CatalogueEntry) -> tuple[Checkpoint, Mapping[str, Any]]:
    """The published checkpoint, downloaded if it is not here, and its provenance."""
    if not entry.origins:
        raise WeightsError(f"{entry.name} has no weights of its own; give a file with {WEIGHTS_OPTION} FILE")
    origin = entry.download(ALTERNATIVE)
    (file,), (path,) = origin.files, origin.paths()
    remedy = f"remove it, and the next run downloads it again, or give a file with {WEIGHTS_OPTION} FILE"
    return read_checkpoint(path, file.sha256, remedy), _provenance(path, origin.publisher, file)


def _from_file(entry: CatalogueEntry, path: Path) -> tuple[Checkpoint, Mapping[str, Any]]:
    """The checkpoint that the user gives, and its provenance; if it is not the published file, a message says so."""
    checkpoint = read_checkpoint(path, remedy=f"give another {WEIGHTS_OPTION} FILE")
    published = [file for origin in entry.origins for file in origin.files if file.sha256]
    for file in published:
        if checkpoint.sha256.startswith(file.sha256):
            return checkpoint, _provenance(path, "a file of the user's", file)
    if published:
        reporting.say(
            f"{path} is not the {published[0].name} that was published as {entry.name} "
            f"(SHA-256 {checkpoint.sha256[:12]}…, not {published[0].sha256[:12]}…); it is used as it is"
        )
    return checkpoint, _provenance(path, "a file of the user's", None)


def _provenance(path: Path, source: str, file: RemoteFile | None) -> Mapping[str, Any]:
    """For the report: the file's name, its source, and whether its checksum is the published one."""
    if file is None:
        checksum = "not that of a published file"
    elif not file.sha256:
        checksum = "none was published"
    else:
        checksum = "as published" if len(file.sha256) == 64 else f"its first {len(file.sha256)} digits are as published"
    return {"file": path.name, "from": source, "checksum": checksum, "verified": file is not None and bool(file.sha256)}
