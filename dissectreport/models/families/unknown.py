"""Files of no known family: what they are instead, or which family is nearest and what differs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dissectreport.checkpoints.model_files import ModelFile
from dissectreport.checkpoints.names import first_of, shown
from dissectreport.checkpoints.parts import Place, contents, is_optimizer, other_kind
from dissectreport.models.families import cyclegan, dcgan, image_classifier
from dissectreport.models.families.registry import FAMILIES, RELATIVES, STRANGERS, Family
from dissectreport.models.families.tables import TensorTable, tables_of

SMALL = 5
"""Tables with fewer tensors are no network."""
NEAR = 0.3
"""Share of names that must fit a family for it to be called near."""


def not_recognised(file: ModelFile, part: str = "", family: str = "") -> str:
    """Why no network of a known family was found: what the file is instead, or which family is nearest."""
    tables = list(tables_of(file))
    parts = ", ".join(shown(table.part) or "tensors without a part" for table in tables) or "no tensors"
    if part and not any(table.part == part for table in tables):
        return f"there is no part {part!r} with tensors in {file.path}; it has {parts}"
    stranger = _stranger(file, tables)
    if stranger:
        describe = ", or describe it as a network that reads images" if "discriminator" in stranger else ""
        return f"{file.path} {stranger}; give the file of the generator{describe}"
    if not tables:
        return f"{file.path} has no tensors; {contents(file.content)}"
    if family:
        return f"{file.path} has no tensors of {FAMILIES[family].title}: {_nearest(tables)}"
    advice = f"`dissectreport describe {file.path} > mine.toml` writes a description to complete"
    relative = _relative(tables)
    if relative:
        return f"{file.path} is {relative}; {advice} with the file of its code"
    return f"{file.path} is of no known family: {_nearest(tables)}; {advice}"


def _relative(tables: Sequence[TensorTable]) -> str:
    """What is near a family but computed otherwise, and what differs; '' for anything else."""
    names = [name for table in tables for name in table.tensors]
    for title, (end, differs) in RELATIVES.items():
        if any(name.endswith(end) for name in names):
            return f"{title}, which is computed otherwise than other StyleGAN2: {differs}"
    return ""


def _stranger(file: ModelFile, tables: Sequence[TensorTable]) -> str:
    """What the file is, if all that it has is known and draws nothing."""
    if is_optimizer(file.content) or (not tables and any(map(_has_optimizer, file.content.values()))):
        return "is the state of an optimizer"
    titles = [_discriminator(table) for table in tables if len(table.tensors) >= SMALL]
    return f"is {titles[0]}, not a generator" if titles and all(titles) else ""


def _has_optimizer(value: object) -> bool:
    """Whether an entry of a file is the state of an optimizer, or a list of such states."""
    return is_optimizer(value) or (isinstance(value, list | tuple) and any(map(is_optimizer, value)))


def _discriminator(table: TensorTable) -> str:
    """Which discriminator the tensors belong to; '' for none."""
    if dcgan.is_discriminator(table.tensors):
        return "a discriminator of a DCGAN"
    if cyclegan.is_discriminator(table.tensors):
        return "a discriminator of a CycleGAN"
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
    normed = next((name.removesuffix("_orig") for name in names if name.endswith("weight_orig")), "")
    if normed:
        name = shown(normed)
        return f"{name}_orig has no fitting {name}_u and {name}_v, so its spectral norm is unknown"
    if reason := dcgan.why_not(dcgan.with_usual_names(table.tensors)):
        return f"the nearest is {dcgan.DCGAN.title}, but {reason}"
    family, unknown = nearest(names)
    fitting, where = len(names) - len(unknown), f" of {shown(table.part)}" if table.part else ""
    kind = f" (class {shown(table.kind)})" if table.kind else ""
    reads = other_kind(table.tensors)
    marked = any(name.endswith(family.marks) for name in names)
    if family.name == "resnet" and marked and not unknown:
        return f"the nearest is {family.title}, but {image_classifier.SCORES}{where} is missing, so it gives no scores"
    if fitting < NEAR * len(names) or (marked and not unknown):
        return f"the names of its tensors{where}{kind} are {first_of(names)}{reads and f', {reads}'}"
    if not unknown:
        return f"the nearest is {family.title}, but {' or '.join(family.marks)}{where}{kind} is missing"
    return (
        f"the nearest is {family.title}, which has {fitting} of the {len(names)} names{where}{kind}, but not "
        f"{first_of(unknown)}"
    )
