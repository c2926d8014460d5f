"""Which family a checkpoint belongs to, by its content: names and shapes of tensors, and settings in the file.

found = find(open_model_file(Path("ffhq.pkl")))
found.family.title                        # "StyleGAN2"
network = open_found(found, Sampling())
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dissectreport.checkpoints.averages import named_averages
from dissectreport.checkpoints.model_files import ModelFile, open_model_file
from dissectreport.checkpoints.names import UNUSED, first_of, shown, unwrapped
from dissectreport.checkpoints.norms import plain_weights
from dissectreport.checkpoints.parts import Place, contents, is_optimizer, other_kind, state_dicts
from dissectreport.checkpoints.plain_data import as_tensor
from dissectreport.checkpoints.state_dicts import channels_last, matches
from dissectreport.checkpoints.stylegan_pickles import PickledNetwork
from dissectreport.checkpoints.weight_files import check_size
from dissectreport.errors import WeightsError
from dissectreport.models import proggan_names, proggan_variants, published
from dissectreport.models.families import (
    autoencoder_kl,
    autoencoder_tiny,
    biggan,
    biggan_ajbrock_deep,
    biggan_deep,
    dcgan,
    fastgan,
    image_classifier,
    stylegan2,
    stylegan2_rosinality,
    stylegan3,
)
from dissectreport.models.families.autoencoder import Autoencoder
from dissectreport.models.families.base import (
    DEFAULT_SAMPLING,
    Make,
    NetworkTensors,
    Sampling,
    evenly,
    untrained,
)
from dissectreport.models.families.image_classifier import ImageClassifier
from dissectreport.models.inputs import Inputs
from dissectreport.models.outputs import OutputFormat

CHANNELS = {1: (0, 0, 0), 3: (), 4: (0, 1, 2)}
"""Which channels are red, green and blue, by the number of channels that a network makes."""
SMALL = 5
"""Tables with fewer tensors are no network."""
NEAR = 0.3
"""Share of names that must fit a family for it to be called near."""
ANYWHERE = Place("", "")
WIDE = re.compile(r"wideresnet\d+_places365", re.IGNORECASE)
"""Names of files with a ResNet whose last resolution has stride 1, which its tensors do not show."""


@dataclass(frozen=True)
class Family:
    """An architecture that is recognised by the names of its tensors."""

    name: str
    """In descriptions."""
    title: str
    """In messages."""
    marks: tuple[str, ...]
    """Ends of names; one of them shows the family, and what stands before it is a prefix."""
    names: re.Pattern[str]
    """All names that its files may have."""
    make: Make | None = None
    """None for Progressive GANs, which have their own module."""
    fits: Callable[[Mapping[str, Tensor]], bool] = bool
    """Whether tensors belong to the family, where the mark alone does not tell it."""
    beside: re.Pattern[str] | None = None
    """Names of tensors that training programs keep beside those of the network."""
    renamed: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """The tensors by the family's own names, where other programs have others."""


STYLEGAN_MAPPING = r"mapping\.(w_avg|(fc\d+|embed)\.(weight|bias))"
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "stylegan3",
            "StyleGAN3",
            (stylegan3.MARK,),
            re.compile(
                STYLEGAN_MAPPING + r"|synthesis\.(input|L\d+_\d+_\d+)\."
                r"(weight|bias|affine\.(weight|bias)|transform|freqs|phases|magnitude_ema|(up|down)_filter)"
            ),
            stylegan3.from_tensors,
        ),
        Family(
            "stylegan2",
            "StyleGAN2",
            (stylegan2.MARK,),
            re.compile(
                STYLEGAN_MAPPING + r"|synthesis\.b\d+\.(const|resample_filter|(conv0|conv1|torgb|skip)\."
                r"(weight|bias|noise_const|noise_strength|resample_filter|affine\.(weight|bias)))"
            ),
            stylegan2.from_tensors,
        ),
        Family(
            "stylegan2-rosinality",
            "StyleGAN2 (rosinality)",
            (stylegan2_rosinality.MARK,),
            re.compile(
                r"input\.input|style\.\d+\.(weight|bias)|noises\.noise_\d+|(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)\."
                r"(bias|conv\.weight|conv\.modulation\.(weight|bias)|noise\.weight|activate\.bias|"
                r"(conv\.blur|upsample)\.kernel)"
            ),
            stylegan2_rosinality.from_tensors,
        ),
        Family(
            "biggan-deep",
            "BigGAN-deep (Hugging Face)",
            (biggan_deep.MARK,),
            re.compile(r"embeddings\.weight|generator\.(gen_z|conv_to_rgb|bn|layers\.\d+)\..*"),
            biggan_deep.from_tensors,
        ),
        Family(
            "biggan",
            "BigGAN (ajbrock)",
            (biggan.MARK, *biggan.OTHER_MARKS),
            re.compile(
                r"shared\.weight|linear\.(weight|bias|u\d|sv\d)|output_layer\.[02]\..*|"
                r"blocks\.\d+\.[01]\.(conv1|conv2|conv_sc|bn1|bn2|gamma|theta|phi|g|o)(\..*)?"
            ),
            biggan.from_tensors,
            biggan.fits,
        ),
        Family(
            "biggan-deep-ajbrock",
            biggan_ajbrock_deep.AjbrockBigGANDeep.title,
            (biggan.MARK, *biggan.OTHER_MARKS),
            re.compile(
                r"shared\.weight|linear\.(weight|bias|u\d|sv\d)|output_layer\.[02]\..*|"
                r"blocks\.\d+\.[01]\.(conv[1-4]|bn[1-4]|gamma|theta|phi|g|o)(\..*)?"
            ),
            biggan_ajbrock_deep.from_tensors,
            biggan_ajbrock_deep.fits,
        ),
        Family(
            "autoencoder-kl",
            autoencoder_kl.AutoencoderKL.title,
            (autoencoder_kl.MARK, autoencoder_kl.OTHER_MARK),
            re.compile(
                r"(encoder|decoder)\.(conv_in|conv_norm_out|norm_out|conv_out|mid_block|mid|(down|up)(_blocks)?)\..*|"
                r"(post_)?quant_conv\.(weight|bias)"
            ),
            autoencoder_kl.from_tensors,
            beside=re.compile(r"(loss|model_ema|model|discriminator)\..*"),
        ),
        Family(
            "autoencoder-tiny",
            autoencoder_tiny.TinyAutoencoder.title,
            autoencoder_tiny.MARKS,
            re.compile(r"(encoder|decoder)\.(layers\.)?\d+\.(weight|bias|skip\.weight|(conv|pool)\.\d\.(weight|bias))"),
            autoencoder_tiny.from_tensors,
        ),
        Family(
            "resnet",
            image_classifier.ResNet.title,
            (image_classifier.RESNET_MARK,),
            re.compile(
                r"conv1\.weight|fc\.(weight|bias)|(layer\d\.\d+\.)?(bn\d|downsample\.1)\."
                r"(weight|bias|running_mean|running_var|num_batches_tracked)|"
                r"layer\d\.\d+\.(conv\d|downsample\.0)\.weight"
            ),
            image_classifier.resnet_from_tensors,
            image_classifier.is_resnet,
        ),
        Family(
            "vgg16",
            image_classifier.VGG16.title,
            (image_classifier.LAST_MARK, image_classifier.CAFFE_MARK),
            re.compile(
                r"features\.\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)|classifier\.[036]\.\w+|"
                r"(features\.conv\d_\d|classifier\.(fc6|fc7|fc8a))\.(weight|bias)"
            ),
            image_classifier.vgg_from_tensors,
            image_classifier.is_vgg,
            renamed=image_classifier.with_names_of_torchvision,
        ),
        Family(
            "alexnet",
            image_classifier.AlexNet.title,
            (image_classifier.LAST_MARK,),
            re.compile(r"features\.\d+\.(weight|bias)|classifier\.[146]\.(weight|bias)"),
            image_classifier.alexnet_from_tensors,
            image_classifier.is_alexnet,
        ),
        Family(
            "dcgan",
            dcgan.DCGAN.title,
            (dcgan.MARK, dcgan.BARE_MARK),
            dcgan.NAME,
            dcgan.from_tensors,
            dcgan.fits,
            renamed=dcgan.with_usual_names,
        ),
        Family(
            "fastgan",
            fastgan.FastGAN.title,
            (fastgan.MARK,),
            fastgan.NAME,
            fastgan.from_tensors,
            fastgan.fits,
            beside=fastgan.SMALLER_IMAGE,
        ),
        Family(
            "progressive gan",
            "Progressive GAN",
            proggan_names.FIRST,
            re.compile(
                r"(layer\d+|features\.\d+|output(_\d+x\d+)?)\.(conv\.weight|wscale\.(b|scale))|lod|"
                r"(\d+x\d+/(Dense|Conv|Conv0_up|Conv0|Conv1)|ToRGB_lod\d+)/(weight|bias)(:0)?"
            ),
        ),
    )
}
"""The families that are recognised, the most specific first, by their names in descriptions."""

STRANGERS: Mapping[str, tuple[str, ...]] = {
    "a discriminator of StyleGAN2 or StyleGAN3": ("b4.out.weight",),
    "a discriminator of rosinality's StyleGAN2": ("final_linear.1.weight",),
    "a discriminator of BigGAN": ("blocks.0.0.conv1.weight", "embed.weight"),
    "a discriminator of FastGAN": ("down_4.main.0.weight", "rf_big.0.weight"),
    "the encoder of a tiny autoencoder": (autoencoder_tiny.ENCODER_ALONE,),
}
"""What is recognised, but draws nothing; by the ends of names."""


class TensorTable(NamedTuple):
    """A table of tensors in a file."""

    part: str
    """Its key, such as a.b; '' for the top."""
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    """With which the network was made, where the file says it."""
    kind: str = ""
    """The class of the network, where the file says it."""
    pickled: PickledNetwork | None = None
    """The network as the file describes it, if it does."""

    def settings_at(self, prefix: str) -> Mapping[str, Any]:
        """With which the network was made whose tensors' names begin with a prefix."""
        return self.settings if self.pickled is None else self.pickled.settings_at(prefix)

    def others(self, prefix: str) -> str:
        """A tensor that shows that a described network is more than its part with a prefix; '' if there is none."""
        if self.pickled is None:
            return ""
        return next(
            (f"{shown(self.kind)} has {shown(name)}" for name in self.tensors if not name.startswith(prefix)), ""
        )


@dataclass(frozen=True)
class Found:
    """A network in a checkpoint, and its family."""

    family: Family
    network: NetworkTensors
    file: ModelFile


@dataclass(frozen=True)
class OpenedNetwork:
    """A network that is ready to be sampled, and what is known about it."""

    module: nn.Module
    inputs: Inputs | None
    """What the network is called with; None where it redraws photographs."""
    output: OutputFormat
    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    resolution: int
    title: str
    line: str
    """The family, size, latent and labels in words."""
    sampling: str
    """How images are drawn, in words."""
    reinitialise: Callable[[int], nn.Module]
    classifies: bool = False
    """Whether it gives photographs a score for every class; then `inputs` is None too."""
    mean: tuple[float, ...] = ()
    """By which photographs are normalised; () for those in [-1, 1]."""
    std: tuple[float, ...] = ()


def find(file: ModelFile, place: Place = ANYWHERE, family: str = "", ignore: Sequence[str] = ()) -> Found:
    """The network in a file that a build reads: an average of weights if there is one.

    With `place` or `family`, only such networks count; tensors whose names match a pattern of `ignore` are left out. A
    WeightsError says what the file is instead.
    """
    candidates = [
        found
        for found in (*_candidates(file, tables_of(file), ignore), *_candidates(file, _joined_parts(file), ignore))
        if (not place.part or found.network.part == place.part)
        and (not place.prefix or found.network.prefix == _with_dot(unwrapped(place.prefix)))
        and (not family or found.family.name == family)
    ]
    if not candidates:
        raise WeightsError(not_recognised(file, place.part, family))
    return min(candidates, key=lambda found: Place(found.network.part, found.network.prefix).rank)


def _with_dot(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith((".", "/")) else f"{prefix}."


def _candidates(file: ModelFile, tables: Iterable[TensorTable], ignore: Sequence[str]) -> Iterator[Found]:
    """Every network of a known family in some tables of a file."""
    for table in tables:
        tensors = _with_other_half(table.tensors, file.path)
        kept = {name: value for name, value in tensors.items() if not matches(name, ignore)}
        for family in FAMILIES.values():
            for prefix in dict.fromkeys(_prefixes(kept, family)):
                own = _own_tensors(kept, family, prefix)
                if family.fits(own):
                    settings = {**table.settings_at(prefix), **_beside(file)}
                    yield Found(family, NetworkTensors(own, table.part, prefix, settings, table.others(prefix)), file)


def _own_tensors(tensors: Mapping[str, Tensor], family: Family, prefix: str) -> Mapping[str, Tensor]:
    """The tensors of a family's network, without those that training programs keep beside it."""
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return family.renamed({name: value for name, value in own.items() if not _is_beside(name, value, family)})


def _is_beside(name: str, value: Tensor, family: Family) -> bool:
    """Whether a tensor is a counter of training, or one that programs of the family keep beside its network."""
    if family.names.fullmatch(name):
        return False
    counts = value.numel() == 1 and ("." not in name or name.rpartition(".")[2] in UNUSED)
    return counts or (family.beside is not None and family.beside.fullmatch(name) is not None)


def _prefixes(tensors: Mapping[str, Tensor], family: Family) -> Iterator[str]:
    for name in tensors:
        for mark in family.marks:
            whole = name.removesuffix(":0")
            prefix = whole.removesuffix(mark)
            # A bare number is a step of a sequence; where that has its usual name, the name is not a prefix.
            bare = mark == dcgan.BARE_MARK and prefix.endswith(dcgan.SEQUENCE)
            if prefix != whole and not bare and (not prefix or prefix.endswith((".", "/"))):
                yield prefix


def _with_other_half(tensors: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
    """The tensors of both halves, where a file has the decoder of a tiny autoencoder alone."""
    if not autoencoder_tiny.is_decoder_alone(tensors):
        return tensors
    other = path.with_name(path.name.replace("decoder", "encoder"))
    tables = list(tables_of(open_model_file(other))) if other != path and other.is_file() else []
    return autoencoder_tiny.joined(tensors, tables[0].tensors if tables else {})


def _beside(file: ModelFile) -> dict[str, Any]:
    """What files say about a network outside of its own table."""
    average = file.content.get(stylegan2_rosinality.AVERAGE)
    config = {biggan_deep.CONFIG: file.config} if file.config else {}
    wide = {image_classifier.LAST_STRIDE: 1} if WIDE.search(file.path.name) else {}
    return {**({stylegan2_rosinality.AVERAGE: average} if isinstance(average, Tensor) else {}), **config, **wide}


def tables_of(file: ModelFile) -> Iterator[TensorTable]:
    """Every table of tensors in a file, except those of optimizers.

    Names have no steps of wrappers, and weights have no norms. An average without names has those of its network.
    """
    for part, network in _pickled(file.content, "", set()):
        yield TensorTable(part, network.tensors, network.settings, network.class_name, network)
    tables = {part: _tensors_in(table) for part, table in state_dicts(file.content).items()}
    for part, tensors in (*named_averages(file.content, tables).items(), *tables.items()):
        check_size(tensors)
        yield TensorTable(part, plain_weights({unwrapped(name): value for name, value in tensors.items()}), {})


def _joined_parts(file: ModelFile) -> Iterator[TensorTable]:
    """All tables of a file as one, for a network whose parts were saved one by one."""
    tables = [table for table in tables_of(file) if table.pickled is None]
    if len(tables) > 1 and all(table.part for table in tables):
        yield TensorTable("", {f"{t.part}.{name}": value for t in tables for name, value in t.tensors.items()}, {})


def _tensors_in(table: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors in a table, by name."""
    tensors = {str(name): as_tensor(value) for name, value in table.items()}
    return {name: value for name, value in tensors.items() if value is not None}


def _pickled(content: Mapping[str, Any], before: str, seen: set[int]) -> Iterator[tuple[str, PickledNetwork]]:
    """The networks that a file describes, with their keys, at any depth; in tables that were not `seen`."""
    seen.add(id(content))
    for key, value in content.items():
        part = f"{before}.{key}" if before else str(key)
        if isinstance(value, PickledNetwork):
            yield part, value
        elif isinstance(value, Mapping) and id(value) not in seen:
            yield from _pickled(value, part, seen)


def open_found(found: Found, sampling: Sampling) -> OpenedNetwork:
    """The network, ready to be sampled; a WeightsError says what does not fit its family."""
    try:
        _check_numbers(found.network)
        if found.family.make is None:
            return _progressive(found, sampling)
        network = found.family.make(found.network, sampling)
        if network.colours not in CHANNELS:
            raise WeightsError(f"it makes {network.colours} channels, not images of 1, 3 or 4")
    except WeightsError as problem:
        raise WeightsError(
            f"{found.file.path} looks like {found.family.title}{_comma(reading_of(found))}, but does not fit: {problem}"
        ) from problem
    classifies = isinstance(network, ImageClassifier)
    return OpenedNetwork(
        module=channels_last(network),
        inputs=None if isinstance(network, Autoencoder | ImageClassifier) else network.inputs(),
        output=OutputFormat(channels=CHANNELS[network.colours], certain=True),
        layers=network.unit_layers,
        default_layers=network.default_layers,
        resolution=network.resolution,
        title=network.title,
        line="; ".join(filter(None, (network.describe(), reading_of(found)))),
        sampling=network.describe_sampling(),
        reinitialise=lambda seed: untrained(network, seed),
        classifies=classifies,
        mean=image_classifier.MEAN if classifies else (),
        std=image_classifier.STD if classifies else (),
    )


def _check_numbers(network: NetworkTensors) -> None:
    """Raise a WeightsError for tensors that no network computes with, and for a network that is a part of another."""
    if network.others:
        raise WeightsError(f"{network.others} besides, so it is the network of a program that derives from this family")
    for name, value in ((shown(name), value) for name, value in network.tensors.items()):
        if value.is_quantized or value.is_meta or value.is_complex() or value.layout != torch.strided:
            raise WeightsError(f"{name} is quantized, sparse, complex or without storage; save it as a plain tensor")
        if not value.is_floating_point() and value.numel() > 1:
            raise WeightsError(f"{name} has whole numbers ({value.dtype}); give the weights before they were quantized")
        if not bool(torch.isfinite(value.float()).all()):
            raise WeightsError(f"{name} has values that are not finite; give a file from before training failed")


def reading_of(found: Found) -> str:
    """Which part of the file is read, such as "reading G_ema"; '' for a file with one network."""
    name = ".".join(filter(None, (found.network.part, found.network.prefix.strip("./"))))
    return f"reading {shown(name)}" if name else ""


def _comma(words: str) -> str:
    return f", {words}" if words else ""


def _progressive(found: Found, sampling: Sampling) -> OpenedNetwork:
    """A Progressive GAN, which has neither truncation nor labels."""
    if sampling != DEFAULT_SAMPLING:
        raise WeightsError("a Progressive GAN has no psi, cutoff, label or noise; leave them out")
    network = channels_last(proggan_variants.from_state_dict(found.network.tensors))
    line = f"Progressive GAN, {network.resolution} px, {network.latent_size} latents, no labels"
    return OpenedNetwork(
        module=network,
        inputs=Inputs.normal((network.latent_size,)),
        output=OutputFormat(),
        layers=network.layers,
        default_layers=evenly(network.layers[3::2] or network.layers[-1:]),
        resolution=network.resolution,
        title=found.family.title,
        line="; ".join(filter(None, (line, reading_of(found)))),
        sampling="no truncation",
        reinitialise=lambda seed: published.untrained(network, seed),
    )


# --- what is not recognised -------------------------------------------------------------------------------------


def not_recognised(file: ModelFile, part: str = "", family: str = "") -> str:
    """Why no network of a known family was found: what the file is instead, or which family is nearest."""
    tables = list(tables_of(file))
    parts = ", ".join(shown(table.part) or "tensors without a part" for table in tables) or "no tensors"
    if part and not any(table.part == part for table in tables):
        return f"there is no part {part!r} with tensors in {file.path}; it has {parts}"
    stranger = _stranger(file, tables)
    if stranger:
        return f"{file.path} {stranger}; give the file of the generator"
    if not tables:
        return f"{file.path} has no tensors; {contents(file.content)}"
    if family:
        return f"{file.path} has no tensors of {FAMILIES[family].title}: {_nearest(tables)}"
    advice = f"`dissectreport describe {file.path} > mine.toml` writes a description to complete"
    return f"{file.path} is of no known family: {_nearest(tables)}; {advice}"


def _stranger(file: ModelFile, tables: Sequence[TensorTable]) -> str:
    """What the file is, if all that it has is known and draws nothing."""
    if is_optimizer(file.content) or (not tables and any(map(is_optimizer, file.content.values()))):
        return "is the state of an optimizer"
    titles = [_discriminator(table) for table in tables if len(table.tensors) >= SMALL]
    return f"is {titles[0]}, not a generator" if titles and all(titles) else ""


def _discriminator(table: TensorTable) -> str:
    """Which discriminator the tensors belong to; '' for none."""
    if dcgan.is_discriminator(table.tensors):
        return "a discriminator of a DCGAN"
    for title, ends in STRANGERS.items():
        if all(any(name.endswith(end) for name in table.tensors) for end in ends):
            return title
    return ""


def main_table(tables: Sequence[TensorTable]) -> TensorTable:
    """The table that most likely is the generator: an average of weights, or the largest."""
    return min(
        tables,
        key=lambda table: (Place(table.part, "").rank, -len(table.tensors)),
    )


def nearest(names: Sequence[str]) -> tuple[Family, list[str]]:
    """The family that fits most of these names, and the names that do not fit it."""
    unknown = {
        family.name: [name for name in names if not re.search(rf"(^|[./])({family.names.pattern})$", name)]
        for family in FAMILIES.values()
    }
    best = min(FAMILIES.values(), key=lambda family: len(unknown[family.name]))
    return best, unknown[best.name]


def _nearest(tables: Sequence[TensorTable]) -> str:
    """Which family is nearest to the main table, and what differs."""
    table = main_table(tables)
    names = list(table.tensors)
    family, unknown = nearest(names)
    fitting, where = len(names) - len(unknown), f" of {shown(table.part)}" if table.part else ""
    kind = f" (class {shown(table.kind)})" if table.kind else ""
    reads = other_kind(table.tensors)
    marked = any(name.endswith(family.marks) for name in names)
    if fitting < NEAR * len(names) or (marked and not unknown):
        return f"the names of its tensors{where}{kind} are {first_of(names)}{_comma(reads)}"
    if not unknown:
        return f"the nearest is {family.title}, but {' or '.join(family.marks)}{where}{kind} is missing"
    return (
        f"the nearest is {family.title}, which has {fitting} of the {len(names)} names{where}{kind}, but not "
        f"{first_of(unknown)}"
    )
