"""Loading the networks that options name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissectreport.errors import BadOption, ModelError
from dissectreport.pipeline.options import ArtifactOptions, NetworkOptions, Options
from dissectreport.pipeline.provenance import identity

if TYPE_CHECKING:
    from dissectreport.features.base import FeatureNetwork
    from dissectreport.models.base import Generator
    from dissectreport.models.image_folder import ImageFolder
    from dissectreport.segmenters.base import Segmenter


@dataclass(frozen=True)
class Networks:
    """The networks that a run measures."""

    generator: Generator
    segmenter: Segmenter
    segmenter_name: str
    """The name under which workers load the segmenter."""
    reference: ImageFolder | None
    """Real images; None where no folder was given."""
    features: str = ""
    """The feature network by name; '' for the segmenter's own features."""
    second: str = ""
    """The feature network in which artifact units are scored again, by name; '' for none."""

    def identities(self, model: str) -> tuple[str, str]:
        """The identities of the generator and of the segmenter."""
        return identity(self.generator, model), identity(self.segmenter, self.segmenter_name)


def resolve_networks(options: Options) -> Networks:
    """The generator, the segmenter and the real images that the options name."""
    from dissectreport import plugins
    from dissectreport.models.image_folder import open_folder

    generator = plugins.generator(options.model, options.weights)
    name = options.segmenter or str(generator.facts.get("segmenter", ""))
    if not name:
        raise BadOption(
            f"{options.model} names no segmenter of its own; choose one with --segmenter (colour needs no weights)"
        )
    segmenter = plugins.segmenter(name)
    folder = options.reference or getattr(generator, "reference", None)
    reference = None if folder is None else open_folder(folder, generator.image_size)
    features = feature_name(options, segmenter)
    second = second_feature_name(features, segmenter)
    return Networks(generator, segmenter, name, reference, features, second)


def load_generator(options: NetworkOptions) -> Generator:
    """The generator alone, which must make images of its own."""
    from dissectreport import plugins
    from dissectreport.models.base import makes_images

    generator = plugins.generator(options.model, options.weights)
    if not makes_images(generator):
        raise ModelError(f"{generator.name} reads images and makes none, so there is nothing to repair")
    return generator


def feature_name(options: ArtifactOptions, segmenter: Segmenter) -> str:
    """The feature network by name; '' for the segmenter's own features.

    Those lead where the segmenter is embedded, as its models are. Elsewhere figures should compare with published ones:
    InceptionV3, if its weights are here; nothing is downloaded without a request.
    """
    from dissectreport import plugins

    if options.features:
        return options.features
    embedded = [plugin.name for plugin in plugins.list_plugins(plugins.SEGMENTERS) if plugin.state == "embedded"]
    if segmenter.name in embedded and hasattr(segmenter, "features"):
        return ""
    return INCEPTION if has_inception() else ""


def second_feature_name(features: str, segmenter: Segmenter) -> str:
    """The feature network in which artifact units are scored again, by name; '' for none.

    If the features of an embedded segmenter select units, it is a network of the same drawings, trained without
    concepts. If another network's features do, it is InceptionV3 if its weights are here, otherwise the segmenter's own
    features, which then were not used for any choice. If those of another segmenter do, there is none: InceptionV3
    would be the first.
    """
    from dissectreport.features.base import OWN_FEATURES

    if not features:
        return SECOND if segmenter.name in DRAWN else ""
    if features != INCEPTION and has_inception():
        return INCEPTION
    return OWN_FEATURES if hasattr(segmenter, "features") else ""


def has_inception() -> bool:
    """Whether the weights of InceptionV3 are on this machine."""
    from dissectreport import plugins

    states = {plugin.name: plugin.state for plugin in plugins.list_plugins(plugins.FEATURES)}
    return states.get(INCEPTION) == "installed"


INCEPTION = "inception"
SECOND = "drawings"
DRAWN = ("scenes", "rooms")
"""Segmenters of the drawings on which the second network was trained."""


def feature_network(networks: Networks) -> FeatureNetwork:
    """The network in whose features images are compared; FeaturesError if there is none."""
    from dissectreport import plugins
    from dissectreport.features.base import SegmenterFeatures

    if networks.features:
        return plugins.features(networks.features)
    return SegmenterFeatures.of(networks.segmenter, networks.generator.image_size)


def second_feature_network(networks: Networks) -> FeatureNetwork | None:
    """The network in whose features artifact units are scored again; None for none."""
    from dissectreport import plugins
    from dissectreport.features.base import OWN_FEATURES, SegmenterFeatures

    if networks.second == OWN_FEATURES:
        return SegmenterFeatures.of(networks.segmenter, networks.generator.image_size)
    return plugins.features(networks.second) if networks.second else None


def middle(layers: tuple[str, ...]) -> str:
    """The middle one of some layers, the earlier of two."""
    return layers[(len(layers) - 1) // 2]
