"""The segmenter of GAN Dissection: its network against numbers of the original, its numbering, and what is refused."""

from __future__ import annotations

import json
import zlib
from ast import literal_eval
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import BadOption, DissectReportError, UnknownName, WeightsError
from dissectreport.segmenters import unified_network
from dissectreport.segmenters.base import Concept
from dissectreport.segmenters.unified import (
    UnifiedOptions,
    UnifiedSegmenter,
    UnifiedWeights,
    identity_of,
    load,
    parse_options,
)
from dissectreport.segmenters.unified_labels import RECONSTRUCTED, ClassNames
from dissectreport.segmenters.unified_network import network_of, precise_pool
from dissectreport.vocabulary import with_unique_names

FIXTURES = Path(__file__).parent / "fixtures"
Tensors = dict[str, dict[str, Tensor]]


def by_the_rule(part: str, key: str, shape: tuple[int, ...]) -> Tensor:
    """The weights with which the original was run."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    drawn = np.random.RandomState(zlib.crc32(f"{part}/{key}".encode())).standard_normal(shape)
    if key.endswith("running_var"):
        drawn = 1 + 0.1 * np.abs(drawn)
    elif key.endswith(("running_mean", "bias")):
        drawn = 0.1 * drawn
    elif len(shape) == 1:
        drawn = 1 + 0.1 * drawn
    else:
        drawn = drawn * np.sqrt(2 / np.prod(shape[1:])) * (0.0001 if "_head.1." in key else 1)
    return torch.from_numpy(drawn).float()


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """Weights for every key of the original encoder and decoder."""
    found: Tensors = {"encoder": {}, "decoder": {}}
    for line in (FIXTURES / "upp_state_dict_keys.txt").read_text().splitlines():
        part, key, shape = line.split(" ", 2)
        found[part][key] = by_the_rule(part, key, literal_eval(shape))
    return found


@pytest.fixture(scope="module")
def folder(tensors: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files, without labels."""
    made = tmp_path_factory.mktemp("upp")
    for part, held in tensors.items():
        torch.save(held, made / f"{part}_epoch_40.pth")
    return made


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> UnifiedSegmenter:
    return load(f"weights={folder},sizes=128")


@pytest.fixture(scope="module")
def reference() -> Mapping[str, np.ndarray[Any, Any]]:
    with np.load(FIXTURES / "reference_unified_parsing.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def image(reference: Mapping[str, np.ndarray[Any, Any]]) -> Tensor:
    low = torch.from_numpy(reference["image_low"])
    return functional.interpolate(low, size=(128, 128), mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def shares(segmenter: UnifiedSegmenter, image: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return segmenter.class_probabilities(image)


# --- against the original -------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_original(
    shares: dict[str, Tensor], reference: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    found = {name: share[0, :, ::8, ::8].numpy() for name, share in shares.items()}
    assert np.abs(found["object"] - reference["prob_object"]).max() < 1e-5
    assert np.abs(found["material"] - reference["prob_material"]).max() < 1e-5
    owners = np.concatenate([reference[f"prob_part_owner{number}"] for number in range(3)])
    assert np.abs(found["part"] - owners).max() < 1e-5


def test_labels_are_those_of_the_original_but_for_near_ties(
    segmenter: UnifiedSegmenter, image: Tensor, reference: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    whole = replaced(segmenter, UnifiedOptions(sizes=(128,), halves="no"))
    labels = whole(image)
    assert labels.dtype == torch.int64
    assert labels.shape == (1, 3, 64, 64)
    # None of 12,288 differ where this was written; other processors add in another order.
    assert (labels.numpy() != reference["segmentation"]).sum() <= 5


def replaced(segmenter: UnifiedSegmenter, options: UnifiedOptions) -> UnifiedSegmenter:
    """The same network with other options."""
    return UnifiedSegmenter(segmenter.network, options.numbering(segmenter.numbering.labels), options, "replaced")


# --- arithmetic -----------------------------------------------------------------------------------------------


def interpolants(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(rows, columns) the bilinear interpolant at these coordinates; zero from a step beyond the outermost features."""
    below, beside = (
        (1 - (places[:, None] - torch.arange(side)).abs()).clamp_min(0)
        for places, side in zip((rows, columns), features.shape, strict=True)
    )
    return below @ features @ beside.T


@pytest.mark.parametrize(("shape", "bins"), [((4, 4), 1), ((4, 4), 2), ((3, 5), 3), ((4, 6), 6)])
def test_precise_pooling_is_the_mean_of_the_interpolant_over_each_bin(shape: tuple[int, int], bins: int) -> None:
    features = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = precise_pool(features[None, None], bins)[0, 0]
    steps = (torch.arange(240) + 0.5) / 240
    for row in range(bins):
        for column in range(bins):
            rows, columns = ((at + steps) * side / bins for at, side in zip((row, column), shape, strict=True))
            mean = float(interpolants(features, rows, columns).mean())
            assert float(found[row, column]) == pytest.approx(mean, abs=1e-4)


def test_precise_pooling_fades_at_the_far_edge() -> None:
    pooled = precise_pool(torch.ones(1, 1, 4, 4), 4)[0, 0]
    assert pooled[0].tolist() == pytest.approx([1, 1, 1, 0.5])
    assert float(pooled[3, 3]) == pytest.approx(0.25)


@pytest.mark.parametrize(("few", "many"), [((4, 4), (8, 8)), ((2, 3), (16, 24)), ((1, 1), (4, 4))])
def test_convolving_before_enlarging_gives_what_convolving_after_gives(
    few: tuple[int, int], many: tuple[int, int]
) -> None:
    random = torch.Generator().manual_seed(0)
    features, kernel = torch.randn(2, 5, *few, generator=random), torch.randn(7, 5, 3, 3, generator=random)
    like = torch.zeros(1, 1, *many)
    plain = functional.conv2d(unified_network.resized_like(features, like), kernel, padding=1)
    torch.testing.assert_close(unified_network.convolve_resized(features, kernel, like), plain, rtol=1e-5, atol=1e-5)


def test_probabilities_have_gradients_down_to_the_pixels(segmenter: UnifiedSegmenter, image: Tensor) -> None:
    small = replaced(segmenter, UnifiedOptions(sizes=(64,)))
    pixels = image.clone().requires_grad_()
    numbers = [number_of(small, name) for name in ("door", "skin", "hair", "roof")]
    probabilities = small.probabilities(pixels, numbers)
    assert probabilities.shape == (1, 4, 64, 64)
    (gradient,) = torch.autograd.grad(probabilities.sum(), pixels)
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().sum()) > 0


def test_features_are_2048_an_image_with_gradients(segmenter: UnifiedSegmenter, image: Tensor) -> None:
    pixels = image.clone().requires_grad_()
    features = replaced(segmenter, UnifiedOptions(sizes=(64,))).features(pixels)
    assert features.shape == (1, 2048)
    (gradient,) = torch.autograd.grad(features.sum(), pixels)
    assert float(gradient.abs().sum()) > 0


def test_confidence_is_the_probability_of_the_leading_object(
    segmenter: UnifiedSegmenter, image: Tensor, shares: dict[str, Tensor]
) -> None:
    torch.testing.assert_close(segmenter.confidence(image), shares["object"].amax(1))


def test_scenes_are_labels_of_whole_images(segmenter: UnifiedSegmenter) -> None:
    network = segmenter.network
    with torch.no_grad():
        assert network.decoder.scene(network.encoder(torch.zeros(2, 3, 64, 64))).shape == (2, 365)


# --- numbering, on what a stand-in for the network draws --------------------------------------------------------


class Drawn:
    """A network that is sure of what it is told, at every place of its maps."""

    def __init__(self, **classes: Tensor) -> None:
        self.classes = classes

    def __call__(self, pixels: Tensor, categories: Collection[str]) -> dict[str, Tensor]:
        counts = unified_network.CLASSES
        return {
            name: 30 * functional.one_hot(self.classes[name], counts[name]).movedim(-1, 1).float()
            for name in categories
        }


DEFAULT = UnifiedOptions()


def draws(options: UnifiedOptions = DEFAULT, **rows: Any) -> UnifiedSegmenter:
    """A segmenter whose network sees these classes, written down row by row; what is left out is nothing."""
    shape = torch.tensor(next(iter(rows.values()))).shape
    classes = {
        name: torch.tensor(rows.get(name, torch.zeros(shape).long().tolist()))[None]
        for name in unified_network.PIXELWISE
    }
    numbering = options.numbering(ClassNames.read(RECONSTRUCTED))
    return UnifiedSegmenter(Drawn(**classes), numbering, replace(options, downsample=1), "drawn")  # type: ignore[arg-type]


def seen(segmenter: UnifiedSegmenter, size: int = 4) -> Tensor:
    """(slots, size, size) what it names."""
    return segmenter(torch.zeros(1, 3, size, size))[0]


def number_of(segmenter: UnifiedSegmenter, name: str) -> int:
    return [concept.name for concept in segmenter.vocabulary.concepts].index(name)


def part_of(segmenter: UnifiedSegmenter, owner: str, name: str) -> int:
    """The output of the part head for a part of an object."""
    listed = [(one, part) for one, parts in segmenter.numbering.labels.parts.items() for part in parts]
    return listed.index((owner, name))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (UnifiedOptions(), 1729),
        (UnifiedOptions(halves="no"), 389),
        (UnifiedOptions(parts="all"), 1813),
        (UnifiedOptions(parts="all", halves="no"), 473),
    ],
)
def test_there_are_as_many_concepts_as_in_the_original(options: UnifiedOptions, count: int) -> None:
    vocabulary = draws(options, object=[[0]]).vocabulary
    assert len(vocabulary) == count
    assert vocabulary.categories == (
        ("object", "part", "material") if options.halves == "yes" else ("object", "material", "part")
    )
    assert len({concept.name for concept in vocabulary.concepts}) == count


def test_numbers_are_those_of_the_original() -> None:
    concepts = draws(object=[[0]]).vocabulary.concepts
    expected = {2: "sky", 4: "tree", 5: "building", 16: "door", 335: "chimney"}
    expected |= {336: "wall-t", 337: "sky-t", 671: "wall-l", 1006: "wall-b", 1341: "wall-r", 1675: "chimney-r"}
    expected |= {1676: "brick", 1700: "wood (material)", 1701: "cloud", 1702: "roof", 1728: "back"}
    assert {number: concepts[number].name for number in expected} == expected
    assert concepts[337].category == concepts[1702].category == "part"
    assert concepts[1685] == Concept("hair", "material")
    assert concepts[1724] == Concept("hair (part)", "part")


def test_a_name_that_several_concepts_share_is_distinguished_by_category() -> None:
    shared = (Concept("-", "-"), Concept("hair", "material"), Concept("hair", "part"), Concept("hair", "part"))
    assert [c.name for c in with_unique_names(shared)[1:]] == ["hair", "hair (part)", "hair (part 2)"]


def test_every_component_is_halved_the_last_one_too() -> None:
    rows = [[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 4, 4], [0, 0, 4, 4]]
    segmenter = draws(object=rows)
    names = [[concepts(segmenter)[int(number)] for number in row] for slot in seen(segmenter)[3:] for row in slot]
    assert names[:4] == [
        ["sky-t"] * 2 + ["-"] * 2,
        ["sky-b"] * 2 + ["-"] * 2,
        ["-"] * 2 + ["tree-t"] * 2,
        ["-"] * 2 + ["tree-b"] * 2,
    ]
    assert names[4:] == [["sky-l", "sky-r", "-", "-"]] * 2 + [["-", "-", "tree-l", "tree-r"]] * 2


def concepts(segmenter: UnifiedSegmenter) -> list[str]:
    return [concept.name for concept in segmenter.vocabulary.concepts]


def test_parts_are_named_within_their_owners_alone() -> None:
    roof = part_of(draws(object=[[0]]), "building", "roof")
    segmenter = draws(object=[[5, 5], [2, 4]], part=[[roof, 0], [roof, roof]])
    assert seen(segmenter, 2)[2].tolist() == [[number_of(segmenter, "roof"), 0], [0, 0]]


def test_a_part_that_is_called_like_an_object_is_that_object() -> None:
    door = part_of(draws(object=[[0]]), "building", "door")
    segmenter = draws(object=[[5, 16]], part=[[door, 0]])
    assert seen(draws(object=[[5, 16]] * 2, part=[[door, 0]] * 2), 2)[[0, 2]].tolist() == [[[5, 16]] * 2, [[16, 0]] * 2]
    told = segmenter.probabilities(torch.zeros(1, 3, 1, 2), [number_of(segmenter, "door")])
    assert told[0, 0].tolist() == [pytest.approx([1, 1], abs=1e-6)]


def test_parts_of_other_objects_are_named_where_all_are_asked_for() -> None:
    wheel = part_of(draws(object=[[0]]), "car", "wheel")
    rows: dict[str, Any] = {"object": [[13]], "part": [[wheel]]}
    few, all_of_them = draws(**rows), draws(UnifiedOptions(parts="all"), **rows)
    assert int(seen(few, 1)[2]) == 0
    assert concepts(all_of_them)[int(seen(all_of_them, 1)[2])] == "wheel"


def test_materials_follow_the_halves() -> None:
    segmenter = draws(object=[[0, 0]], material=[[1, 0]])
    assert seen(segmenter, 2)[1].tolist()[0][:1] == [number_of(segmenter, "brick")]


def test_the_largest_probabilities_are_the_labels_where_the_network_is_confident() -> None:
    random = np.random.RandomState(0)
    known = draws(object=[[0]])
    doors = [part_of(known, "building", name) for name in ("-", "door", "roof")]
    rows = {
        "object": random.choice([0, 2, 4, 5, 16], (8, 8)).tolist(),
        "part": random.choice(doors, (8, 8)).tolist(),
        "material": random.choice([0, 1, 9], (8, 8)).tolist(),
    }
    segmenter = draws(**rows)
    labels = segmenter(torch.zeros(1, 3, 8, 8))
    numbers = [int(number) for number in labels.unique() if number]
    told = segmenter.probabilities(torch.zeros(1, 3, 8, 8), numbers)
    for place, number in enumerate(numbers):
        torch.testing.assert_close(told[:, place], (labels == number).any(1).float(), rtol=0, atol=1e-5)


def test_nothing_has_no_probability() -> None:
    segmenter = draws(object=[[0, 2]])
    assert not segmenter.probabilities(torch.zeros(1, 3, 1, 2), [0, 2])[:, 0].any()


def test_probabilities_are_means_over_sizes() -> None:
    class BySize(Drawn):
        def __call__(self, pixels: Tensor, categories: Collection[str]) -> dict[str, Tensor]:
            self.classes = {"object": torch.full((1, 1, 1), pixels.shape[2] // 32)}
            return super().__call__(pixels, ("object",))

    options = UnifiedOptions(sizes=(32, 64))
    numbering = options.numbering(ClassNames.read(RECONSTRUCTED))
    found = UnifiedSegmenter(BySize(), numbering, options, "by size").class_probabilities(
        torch.zeros(1, 3, 8, 8), ("object",)
    )  # type: ignore[arg-type]
    assert found["object"][0, :3, 0, 0].tolist() == pytest.approx([0, 0.5, 0.5], abs=1e-6)
    assert found["object"].shape[2:] == (4, 4)


# --- loading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda held: held.pop("conv1.weight"), r"encoder of upp-resnet50-upernet: conv1\.weight is missing$"),
        (lambda held: held.update(extra=torch.zeros(1)), r"extra is unknown$"),
        (lambda held: held.update({"bn1.bias": torch.zeros(3)}), r"bn1\.bias has shape \(3,\) instead of \(64,\)$"),
        (lambda held: (held.pop("bn1.bias"), held.pop("bn2.bias")), r"bn1\.bias is missing \(and 1 more\)$"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tensors: Tensors, break_it: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    encoder = dict(tensors["encoder"])
    break_it(encoder)
    with pytest.raises(WeightsError, match=message):
        network_of({"encoder": encoder, "decoder": tensors["decoder"]})


def test_a_folder_without_weights_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError,
        match=r"no encoder_epoch_40\.pth and no decoder_epoch_40\.pth in .*; name the folder .*download",
    ):
        load(f"weights={tmp_path}")


def test_without_a_network_the_error_says_where_the_weights_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISSECTREPORT_OFFLINE", "1")
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"published at https://dissect.*upp-resnet50-upernet/.*unified:weights=FOLDER"
    ) as raised:
        load()
    assert "\n" not in str(raised.value)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    for part in ("encoder", "decoder"):
        (tmp_path / f"{part}_epoch_40.pth").write_bytes(b"<html>404 Not Found</html>")
    with pytest.raises(WeightsError, match=r"encoder_epoch_40\.pth"):
        load(f"weights={tmp_path}")


def published(change: Callable[[dict[str, Any]], object] = lambda held: None) -> str:
    """A labels.json as it comes with the weights, perhaps changed."""
    held = json.loads(RECONSTRUCTED.read_text())
    held |= {"part": ["-", "leg"], "scene": ["airfield"]}
    change(held)
    return json.dumps(held)


def test_names_that_come_with_the_weights_are_used(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(published(lambda held: held["object"].__setitem__(1, "partition wall")))
    assert ClassNames.read(path).objects[:3] == ("-", "partition wall", "sky")
    path.write_text(published(lambda held: held.update(object_part=dict(reversed(held["object_part"].items())))))
    assert list(ClassNames.read(path).parts)[:3] == ["sky", "building", "person"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "does not name the classes"),
        ("[]", "does not name the classes"),
        ('{"object": [1]}', "expected a list of names"),
        (published(lambda held: held["object"].pop()), "names 335 classes of category 'object'.*has 336"),
        (published(lambda held: held["object_part"]["sky"].append("sun")), "names 428 classes of category 'part'"),
        (published(lambda held: held["object"].__setitem__(2, "heaven")), "names 425 classes of category 'part'"),
    ],
)
def test_names_of_other_classes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=message) as refused:
        ClassNames.read(path)
    assert "\n" not in str(refused.value)


def test_facts_tell_what_is_known_of_the_weights(segmenter: UnifiedSegmenter) -> None:
    facts = segmenter.facts
    assert "Xiao" in facts["paper"]
    assert "none is stated" in facts["licence"]
    assert "reconstructed" in facts["names of classes"]
    assert len(facts["sha256 of the encoder"]) == 64
    assert json.loads(json.dumps(facts)) == facts


def test_the_identity_changes_with_weights_names_and_options() -> None:
    labels = ClassNames.read(RECONSTRUCTED)
    parts = UnifiedWeights({}, {"encoder": "a", "decoder": "b"}, labels, reconstructed=True)
    others = [
        (UnifiedOptions(), replace(parts, sha256={"encoder": "a", "decoder": "c"})),
        (UnifiedOptions(), replace(parts, labels=replace(labels, materials=("-", "marble", *labels.materials[2:])))),
        (UnifiedOptions(sizes=(192, 256)), parts),
        (UnifiedOptions(downsample=4), parts),
        (UnifiedOptions(parts="all"), parts),
        (UnifiedOptions(halves="no"), parts),
    ]
    identities = {identity_of(UnifiedOptions(), parts), *(identity_of(*other) for other in others)}
    assert len(identities) == 7
    assert identity_of(UnifiedOptions(), replace(parts, reconstructed=False)) == identity_of(UnifiedOptions(), parts)


def test_options_are_words_separated_by_commas() -> None:
    assert parse_options("") == (UnifiedOptions(), None)
    assert parse_options("sizes=192/256, downsample=4, parts=all, halves=no, weights=there") == (
        UnifiedOptions((192, 256), 4, "all", "no"),
        Path("there"),
    )


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("size=256", UnknownName, "did you mean sizes"),
        ("sizes", UnknownName, "name=value"),
        ("sizes=250", BadOption, "multiples of 32"),
        ("sizes=big", BadOption, "whole numbers"),
        ("downsample=0", BadOption, "from 1"),
        ("parts=some", BadOption, "owners or all"),
        ("halves=maybe", BadOption, "yes or no"),
    ],
)
def test_options_that_cannot_work_are_refused(argument: str, error: type[DissectReportError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_options(argument)


def test_it_moves_to_a_device(segmenter: UnifiedSegmenter) -> None:
    assert segmenter.to(torch.device("cpu")).identity == segmenter.identity
