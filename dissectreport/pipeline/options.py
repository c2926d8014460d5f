"""The options of a run, declared once and in groups: the command line makes its parameters from them.

    Options("scenes_pgan", layers=("layer4",), quick=True)

`Options` is all of its groups at once, so that a step can ask for the group that it needs, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from dissectreport import files
from dissectreport.run.addresses import with_settings
from dissectreport.run.plan import Plan
from dissectreport.run.precision import Precision
from dissectreport.run.rules import RuleName


@dataclass(frozen=True)
class Help:
    """How an option appears on the command line; a field without it does not appear."""

    text: str
    flag: str = ""
    """'' for the field's name, with a --no- form where it is a switch that is on by default."""
    default: str | bool = True
    """Words for the default, or whether it is shown."""
    metavar: str | None = None
    least: int | None = None
    argument: bool = False
    """Whether it is given by position."""
    complete: str = ""
    """The kind of completion in a shell: models, segmenters, features, layers, rules or budgets."""


NO_SETTINGS = {"psi": None, "cutoff": None, "label": (), "noise": "", "images": None, "directions": ()}
"""The options that are settings of a model, as they are after they became a part of its name."""


@dataclass(frozen=True)
class NetworkOptions:
    """The networks: a generator and a segmenter."""

    panel: ClassVar[str] = "What is measured"

    model: Annotated[
        str,
        Help(
            "A name from `dissectreport models`, a checkpoint of a known family, a .toml file that describes a model, "
            "or ./file.py:function.",
            argument=True,
            complete="models",
        ),
    ]
    weights: Annotated[
        str, Help("A file with the model's weights, instead of a download.", default=False, metavar="FILE")
    ] = ""
    segmenter: Annotated[
        str,
        Help(
            "A segmenter from `dissectreport models`, or several joined by +.",
            default="the one that the model names",
            complete="segmenters",
        ),
    ] = ""
    psi: Annotated[float | None, Help("Truncation of a checkpoint's latents, from 0 to 1.", default="1: none")] = None
    cutoff: Annotated[
        int | None, Help("Number of layers of a StyleGAN checkpoint that --psi truncates.", default="all", least=0)
    ] = None
    label: Annotated[
        tuple[str, ...], Help("Classes that a checkpoint generates, separated by commas.", default="all")
    ] = ()
    noise: Annotated[
        str, Help("Noise of a StyleGAN2 checkpoint: const (its fixed pattern) or none.", default="const")
    ] = ""
    images: Annotated[
        Path | None, Help("Folder of photographs for an autoencoder or a classifier.", default="none")
    ] = None
    validation: Annotated[
        Path | None,
        Help("Folder of photographs on which a classifier is measured.", default="half of --images"),
    ] = None

    directions: Annotated[
        tuple[str, ...],
        Help(
            "Files with directions or sparse features of layers, separated by commas; each becomes a layer.",
            default="none",
            metavar="LAYER=FILE",
        ),
    ] = ()

    def __post_init__(self) -> None:
        # Settings are a part of the model's name: with others it is another model.
        settings = self.psi, self.cutoff, self.label, self.noise, self.images, self.directions, self.validation
        object.__setattr__(self, "model", with_settings(self.model, *settings))
        for name, value in NO_SETTINGS.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class MeasureOptions(NetworkOptions):
    """What is measured, and on which images."""

    layers: Annotated[
        tuple[str, ...],
        Help("Layers to measure, separated by commas.", default="those that the model names", complete="layers"),
    ] = ()
    samples: Annotated[
        int | None,
        Help("Images to generate; more can be added later.", default="1,248, or all if the model has fewer"),
    ] = None
    quick: Annotated[
        bool, Help("A coarse first look in a few minutes: 192 images, three layers, a small budget.", "--quick")
    ] = False
    rule: Annotated[
        str, Help("Rule by which units are matched with concepts: corrected, iclr2019 or pnas2020.", complete="rules")
    ] = RuleName.CORRECTED
    seed: Annotated[int, Help("Seed of the images.")] = 1
    grid: Annotated[
        int, Help("Side of the grid on which activations and masks are compared.", default="that of the rule")
    ] = 0
    controls: Annotated[bool, Help("Measure the controls too: random directions and an untrained generator.")] = True
    budget: Annotated[
        str,
        Help(
            "Effort for interventions and artifact units: quick, default, full or paper (hours).",
            default="full on an accelerator, default otherwise",
            complete="budgets",
        ),
    ] = ""
    reference: Annotated[
        Path | None,
        Help(
            "A folder of real images, to compare the generated ones with.",
            default="the model's own, if it has any",
            metavar="FOLDER",
        ),
    ] = None
    words: Annotated[
        Path | None,
        Help("A file with one word per line; CLIP chooses a word for each unit.", default="none", metavar="FILE"),
    ] = None
    words_network: Annotated[
        str,
        Help("The CLIP network for --words: a folder, or owner/name on the Hugging Face hub.", default="that of clip"),
    ] = ""
    pilot: int = Plan.pilot
    """Images from which thresholds are computed."""
    command: str = ""
    """The command that a page gives to repeat the run; '' to derive it from the options."""


@dataclass(frozen=True)
class InterventionOptions:
    """Options of interventions."""

    panel: ClassVar[str] = "Interventions"

    interventions: Annotated[bool, Help("Ablate and insert units, and measure their causal effects.")] = True
    intervention_layer: Annotated[
        str, Help("Layer whose units are edited.", default="the middle one", complete="layers")
    ] = ""
    intervention_samples: Annotated[
        int, Help("Images behind each causal effect, at least 128.", default="by the budget")
    ] = 0
    concepts: Annotated[
        tuple[str, ...], Help("Concepts to study, separated by commas.", default="the most frequent ones")
    ] = ()
    constant: Annotated[
        str,
        Help(
            "Activation of inserted units: quantile (a high quantile), or mean (the mean where the concept is).",
            default="by the budget",
        ),
    ] = ""


@dataclass(frozen=True)
class ClassOptions:
    """Options of a classifier."""

    panel: ClassVar[str] = "Classifiers"

    classes: Annotated[
        tuple[str, ...], Help("Classes to study, separated by commas.", default="those with most images")
    ] = ()
    class_layer: Annotated[
        str, Help("Layer whose units are ablated.", default="the last one that is measured", complete="layers")
    ] = ""


@dataclass(frozen=True)
class ArtifactOptions:
    """Options of the search for artifact units."""

    panel: ClassVar[str] = "Artifact units"

    artifacts: Annotated[bool, Help("Find artifact units, and measure image quality without them.")] = True
    artifact_layer: Annotated[
        str,
        Help(
            "Layer in which artifact units are searched for.",
            default="that of the marked units, otherwise that of the interventions",
            complete="layers",
        ),
    ] = ""
    artifact_samples: Annotated[
        int, Help("Images on which image quality is measured, at least 100.", default="by the budget")
    ] = 0
    artifact_units: Annotated[
        Path | None,
        Help(
            'Units that you marked as artifacts, to score them too: a file from a review page, or {"layer": '
            '"layer6", "units": [3]}.',
            default=False,
            metavar="FILE",
        ),
    ] = None
    features: Annotated[
        str,
        Help(
            "Feature network for KID and FID.",
            default="that of an embedded segmenter, otherwise inception if it is installed, otherwise the segmenter's",
            complete="features",
        ),
    ] = ""


@dataclass(frozen=True)
class PaintOptions:
    """Options of the Paint page."""

    panel: ClassVar[str] = "Paint"

    paint: Annotated[
        bool | None,
        Help(
            "Export the network, for a page on which one paints with units.",
            "--paint/--no-paint",
            default="on for embedded models, where dissectreport[paint] is installed; off with --quick",
        ),
    ] = None
    photos: Annotated[
        tuple[str, ...],
        Help(
            "Photos to paint on: files that `dissectreport invert` wrote, separated by commas.",
            "--photo",
            metavar="FILE,...",
        ),
    ] = ()


@dataclass(frozen=True)
class MachineOptions:
    """Where and how the run computes."""

    panel: ClassVar[str] = "Machine"

    device: Annotated[str, Help("Device to compute on: auto, cpu, cuda or mps.")] = "auto"
    workers: Annotated[int, Help("Parallel processes.", default="one per core on a CPU, one on an accelerator")] = 0
    ray: Annotated[
        str,
        Help(
            "Ray cluster to measure on: its address, auto for that of this machine, local to start one. Needs "
            "dissectreport\\[cluster].",
            default="none",
            metavar="ADDRESS",
        ),
    ] = ""
    precision: Annotated[
        str,
        Help("Arithmetic of interventions: auto, float32 or bfloat16 (auto uses bfloat16 only if labels agree)."),
    ] = Precision.AUTO
    timeout: Annotated[
        int,
        Help(
            "Seconds that a network may take for a batch; if one takes longer, the run ends.",
            default="no limit",
            least=0,
        ),
    ] = 0
    time_limit: Annotated[
        str,
        Help(
            "Time after which the run stops, as 45m, 2h or 1:30:00; the same command continues it.",
            default="none",
            metavar="TIME",
        ),
    ] = ""
    profile: Annotated[
        Path | None,
        Help("File for a table of where the time went, stage by stage.", default=False, metavar="FILE"),
    ] = None
    mixed_devices: Annotated[bool, Help("Merge images that were measured on different devices.", "--mixed-devices")] = (
        False
    )
    cache: Annotated[
        Path, Help("Folder that keeps the measurements.", default="the platform's cache folder", metavar="FOLDER")
    ] = field(default_factory=files.default_folder)


@dataclass(frozen=True)
class Options(MachineOptions, PaintOptions, ArtifactOptions, ClassOptions, InterventionOptions, MeasureOptions):
    """All options of a run; only `model` must be given."""


@dataclass(frozen=True)
class SiteOptions:
    """Where a site is written, and how large it may be."""

    panel: ClassVar[str] = "Site"

    out: Annotated[Path, Help("Folder in which the site is written.", metavar="FOLDER")] = Path("site")
    site_limit: Annotated[
        int, Help("Largest size of the model's pages in MB, 0 for no limit; GitHub Pages takes 1,000.", least=0)
    ] = 1000
    fit: Annotated[bool, Help("Leave out images and unit pages, step by step, until the limit is met.", "--fit")] = (
        False
    )
    base_url: Annotated[
        str,
        Help(
            "Address where the site will be published, for share cards, canonical links, a sitemap; none removes it.",
            default="the one that the site has already",
            metavar="URL",
        ),
    ] = ""
    replace: Annotated[
        bool,
        Help("Write into a folder that holds other files too, and replace those that are in the way.", "--replace"),
    ] = False


@dataclass(frozen=True)
class RunOptions:
    """Which of the measured runs of a model is shown: the newest that fits."""

    panel: ClassVar[str] = "Which run"

    model: Annotated[str, Help("A model that was measured.", argument=True, complete="models")]
    rule: Annotated[str, Help("A run by this rule: corrected, iclr2019 or pnas2020.", complete="rules")] = (
        RuleName.CORRECTED
    )
    samples: Annotated[int, Help("A run with this many images.", default="any")] = 0
    layers: Annotated[tuple[str, ...], Help("A run of exactly these layers.", default="any", complete="layers")] = ()
    segmenter: Annotated[str, Help("A run with this segmenter.", default="any", complete="segmenters")] = ""
    seed: Annotated[int | None, Help("A run with this seed.", default="any")] = None
    grid: Annotated[int, Help("A run on this grid.", default="any")] = 0
    cache: Annotated[
        Path, Help("Folder that keeps the measurements.", default="the platform's cache folder", metavar="FOLDER")
    ] = field(default_factory=files.default_folder)
