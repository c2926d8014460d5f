"""What makes two models hard to compare: different rules, images, segmenters, vocabularies or training variants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dissectreport.analysis.comparison.pairs import LayerPair, ModelPair
from dissectreport.analysis.comparison.profiles import Profile
from dissectreport.report.compare.wording import conjoined, listed
from dissectreport.report.html.numbers import count
from dissectreport.vocabulary import Concept

Names = tuple[str, str]


def model_warnings(pair: ModelPair, names: Names) -> tuple[str, ...]:
    """Whatever differs in how two models were measured or trained, a sentence each."""
    return (*_measurement(pair, names), *_quality(pair, names), *_variants(pair, names), *_vocabularies(pair, names))


def layer_warnings(pair: LayerPair, names: Names) -> tuple[str, ...]:
    """That two layers differ in size."""
    sizes = pair.layer.units, pair.other_layer.units
    sizes_by_model = _by_model([f"{count(n)} units" for n in sizes], names)
    words = f"Layers of different size: {sizes_by_model}. Differences between these two are per 100 units."
    return (words,) if pair.scale.per_hundred else ()


def _by_model(values: Sequence[str], names: Names) -> str:
    """'a for one and b for two'."""
    return conjoined([f"{value} for {name}" for value, name in zip(values, names, strict=True)])


def _measurement(pair: ModelPair, names: Names) -> Iterator[str]:
    one, other = pair.one, pair.other
    if one.rule != other.rule:
        yield (
            f"Different rules: {_by_model((one.rule, other.rule), names)}. A unit that one rule calls interpretable,"
            " the other may not."
        )
    if one.held_out != other.held_out:
        images = [f"{count(n)} images" for n in (one.held_out, other.held_out)]
        yield (
            f"Different numbers of images: {_by_model(images, names)}. With more images, weaker matches become"
            " significant, so counts of units are not directly comparable."
        )
    if one.segmenter_identity != other.segmenter_identity:
        segmenters = [profile.segmenter or "unnamed" for profile in (one, other)]
        yield f"Different segmenters: {_by_model(segmenters, names)}. The same concept may be segmented differently."
    if one.grid != other.grid:
        yield (
            f"Grids of different size: {_by_model((str(one.grid), str(other.grid)), names)}. Small objects count for"
            " more on finer grids."
        )


def _quality(pair: ModelPair, names: Names) -> Iterator[str]:
    qualities = pair.one.quality, pair.other.quality
    features = [quality.features for quality in qualities if quality is not None]
    if len(set(features)) > 1:
        yield f"Image quality was measured differently: {_by_model(features, names)}. The values cannot be compared."
    causes = pair.one.causes, pair.other.causes
    layers = [cause.layer for cause in causes if cause is not None]
    if len(set(layers)) > 1:
        yield f"Units were ablated in different layers: {_by_model(layers, names)}."


def variant_parts(variant: str) -> tuple[str, ...]:
    """What a training variant has, as its card lists it between commas."""
    return tuple(filter(None, (part.strip() for part in variant.split(","))))


def _variants(pair: ModelPair, names: Names) -> Iterator[str]:
    one, other = pair.one.training, pair.other.training
    if not one.family or one.family != other.family:
        return
    before, after = variant_parts(one.variant), variant_parts(other.variant)
    gained = [part for part in after if part not in before]
    lost = [part for part in before if part not in after]
    if not gained and not lost:
        return
    parts = [f"{how} {conjoined(some)}" for how, some in (("with", gained), ("without", lost)) if some]
    words = f"Variants of one training: {names[1]} was trained {' and '.join(parts)}, unlike {names[0]}."
    if len(gained) + len(lost) == 1:
        yield f"{words} Each was trained once, so every difference includes chance in training."
    else:
        yield f"{words} These changes are confounded: this pair cannot show which of them makes a difference."


def _vocabularies(pair: ModelPair, names: Names) -> Iterator[str]:
    if not pair.same_vocabulary:
        own = [_own(profile, pair.shared) for profile in (pair.one, pair.other)]
        rest = "".join(f" Only in {name}: {listed(words)}." for name, words in zip(names, own, strict=True) if words)
        if pair.shared:
            yield f"Different vocabularies; only the {count(len(pair.shared))} shared concepts are compared.{rest}"
        else:
            yield f"The vocabularies have no concept in common.{rest}"
    if pair.too_rare:
        yield f"Not compared, because too rare in the images of one of the two: {listed(_names(pair.too_rare))}."


def _own(profile: Profile, shared: Sequence[Concept]) -> list[str]:
    return _names([concept for concept in profile.vocabulary if concept not in set(shared)])


def _names(concepts: Sequence[Concept]) -> list[str]:
    return [concept.name for concept in concepts]
