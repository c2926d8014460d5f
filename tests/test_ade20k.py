"""Networks of transformers as segmenters: labels are those of its own post-processing, and so are probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dissectreport import plugins
from dissectreport.errors import UnknownName
from dissectreport.segmenters import ade20k
from dissectreport.segmenters.ade20k import HubSegmenter, class_names, clean, load, numbered
from dissectreport.segmenters.base import Concept
from tests.support.tiny_checkpoints import ADE, BUILT, pictures, save, segformer, transformers

KINDS = [kind for kind in BUILT if kind != "clipseg"]
MASKS = [kind for kind in KINDS if kind.endswith("former") and kind != "segformer"]
SIZE = (48, 40)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HubSegmenter]:
    """A segmenter of every kind, from a folder."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {kind: load(str(save(kind, root / kind))) for kind in KINDS}


each_kind = pytest.mark.parametrize("kind", KINDS)


def theirs(found: HubSegmenter, images: torch.Tensor, **wanted: Any) -> Any:
    """What transformers gives for prepared images."""
    told = {} if found.tokens is None else {"task_inputs": found.tokens.expand(len(images), -1)}
    with torch.no_grad():
        return found.network(pixel_values=found.preprocess(images), **told, **wanted)


# --- labels ----------------------------------------------------------------------------------------------------


@each_kind
def test_labels_are_those_of_the_librarys_own_post_processing(loaded: dict[str, HubSegmenter], kind: str) -> None:
    found, images = loaded[kind], pictures(2, *SIZE)
    processed = found.preprocess.processor.post_process_semantic_segmentation(theirs(found, images), [SIZE] * 2)
    labels = found(images)
    assert labels.shape == (2, 1, *SIZE)
    assert labels.dtype == torch.int64
    assert torch.equal(torch.tensor(found.concepts)[torch.stack(list(processed))], labels[:, 0])
    assert len(labels.unique()) > 1, "a network that says one thing everywhere would pass any test"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mobilevit"])
def test_labels_equal_those_of_the_processor_on_files(loaded: dict[str, HubSegmenter], kind: str) -> None:
    found, images = loaded[kind], pictures(2, 64, 64)
    files = list(((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    told = {"task_inputs": ["semantic"] * 2} if kind == "oneformer" else {}
    given = found.preprocess.processor(images=files, return_tensors="pt", **told)["pixel_values"]
    tokens = {} if found.tokens is None else {"task_inputs": found.tokens.expand(2, -1)}
    with torch.no_grad():
        output = found.network(pixel_values=given, **tokens)
    processed = found.preprocess.processor.post_process_semantic_segmentation(output, [(64, 64)] * 2)
    assert torch.equal(torch.tensor(found.concepts)[torch.stack(list(processed))], found(images)[:, 0])


def test_large_images_get_labels_at_256_pixels_and_all_batches_the_same(loaded: dict[str, HubSegmenter]) -> None:
    images = pictures(5, 32, 512)
    labels = loaded["segformer"](images)
    assert labels.shape == (5, 1, 16, 256)
    assert torch.equal(torch.cat([loaded["segformer"](images[:4]), loaded["segformer"](images[4:])]), labels)


# --- probabilities ---------------------------------------------------------------------------------------------


@each_kind
def test_probabilities_add_up_to_one_and_the_largest_is_the_label(loaded: dict[str, HubSegmenter], kind: str) -> None:
    found, images = loaded[kind], pictures(2, *SIZE)
    shares = found.probabilities(images, range(len(found.vocabulary)))
    assert torch.allclose(shares.sum(dim=1), torch.ones(2, *SIZE), atol=1e-5)
    assert (shares.argmax(dim=1) == found(images)[:, 0]).float().mean() > 0.999
    assert torch.allclose(found.confidence(images), shares.amax(dim=1), atol=1e-5)


@pytest.mark.parametrize("kind", MASKS)
def test_what_masks_say_is_added_up_over_queries(loaded: dict[str, HubSegmenter], kind: str) -> None:
    found, images = loaded[kind], pictures(1, 64, 64)
    output = theirs(found, images)
    masks = output.masks_queries_logits[0]
    if kind == "mask2former":
        masks = torch.nn.functional.interpolate(masks[None], (384, 384), mode="bilinear")[0]
    classes = output.class_queries_logits[0].softmax(-1)
    slow = torch.zeros(len(ADE), *masks.shape[1:])
    for query in range(len(classes)):
        for number in range(len(ADE)):
            slow[number] += classes[query, number] * masks[query].sigmoid()
    slow = torch.nn.functional.interpolate(slow[None], (64, 64), mode="bilinear")[0]
    slow = slow / slow.sum(0)
    wanted = [number for number in found.concepts if number]
    assert torch.allclose(found.probabilities(images, wanted)[0].detach(), slow, atol=1e-5)


@each_kind
def test_probabilities_and_features_have_gradients_down_to_the_pixels(
    loaded: dict[str, HubSegmenter], kind: str
) -> None:
    images = pictures(2, *SIZE).requires_grad_()
    for found in (loaded[kind].probabilities(images, (2, 1)), loaded[kind].features(images)):
        (gradient,) = torch.autograd.grad(found[:, 0].sum(), images)
        assert float(gradient.abs().sum()) > 0
        assert gradient.isfinite().all()


@each_kind
def test_probabilities_are_returned_only_for_the_concepts_asked_for_and_in_that_order(
    loaded: dict[str, HubSegmenter], kind: str
) -> None:
    found, images = loaded[kind], pictures(1, *SIZE)
    every = found.probabilities(images, range(len(found.vocabulary)))
    assert torch.equal(found.probabilities(images, (3, 0, 1)), every[:, [3, 0, 1]])


@each_kind
def test_features_describe_whole_images(loaded: dict[str, HubSegmenter], kind: str) -> None:
    found = loaded[kind].features(pictures(3, *SIZE))
    assert found.ndim == 2
    assert len(found) == 3
    assert not torch.allclose(found[0], found[1])


@each_kind
def test_half_precision_arithmetic_works(loaded: dict[str, HubSegmenter], kind: str) -> None:
    images = pictures(1, *SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        labels, shares = loaded[kind](images), loaded[kind].probabilities(images, (1,))
    assert labels.dtype == torch.int64
    assert (labels == loaded[kind](images)).float().mean() > 0.7
    assert shares.isfinite().all()


# --- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("windowpane;window", "windowpane"),
        ("door, double door", "door"),
        (" bed ", "bed"),
        ("chest  of drawers", "chest of drawers"),
        ("sky-other-merged", "sky"),
        ("tree-merged", "tree"),
        ("door-stuff", "door"),
        ("wall-brick", "wall-brick"),
        ("traffic light", "traffic light"),
        *((name, "") for name in ("background", "Background", "other", "VOID", "unlabeled", "-", "", " ")),
        ("other vehicle", "other vehicle"),
    ],
)
def test_the_first_synonym_is_the_name_and_nothing_has_none(name: str, cleaned: str) -> None:
    assert clean(name) == cleaned


def test_classes_become_concepts_in_order_and_nothing_becomes_0() -> None:
    vocabulary, numbers = numbered(("background", "wall", "tree;plant", "void"))
    assert [concept.name for concept in vocabulary.concepts] == ["-", "wall", "tree"]
    assert vocabulary.concepts[1] == Concept("wall", "object")
    assert numbers == (0, 1, 2, 0)


def test_two_classes_with_one_first_synonym_keep_all_of_them_and_two_of_one_name_are_one() -> None:
    vocabulary, numbers = numbered(("screen;silver screen", "screen, crt", "sky", "sky"))
    assert [concept.name for concept in vocabulary.concepts[1:]] == ["screen or silver screen", "screen or crt", "sky"]
    assert numbers == (1, 2, 3, 3)


def test_where_labels_were_shifted_but_names_were_not_names_are_shifted_too() -> None:
    assert class_names({0: "background", 1: "wall", 2: "sky"}, shifted=True) == ["wall", "sky", "-"]
    assert class_names({0: "background", 1: "wall", 2: "sky"}, shifted=False) == ["background", "wall", "sky"]
    assert class_names({1: "sky", 0: "wall"}, shifted=True) == ["wall", "sky"]


@pytest.mark.parametrize(("reduced", "numbers"), [(True, (1, 2, 0)), (False, (0, 1, 2))])
def test_the_processor_says_whether_labels_were_shifted(
    tmp_path: Path, reduced: bool, numbers: tuple[int, ...]
) -> None:
    names = {"id2label": {0: "background", 1: "wall", 2: "sky"}, "label2id": {"background": 0, "wall": 1, "sky": 2}}
    save("segformer", tmp_path, segformer(**names))
    settings = {"image_processor_type": "SegformerImageProcessor", "do_reduce_labels": reduced}
    transformers.SegformerImageProcessor(size=64, **settings).save_pretrained(tmp_path)
    assert load(str(tmp_path)).concepts == numbers


def test_an_ambiguous_class_of_a_checkpoint_keeps_its_synonyms(loaded: dict[str, HubSegmenter]) -> None:
    names = [concept.name for concept in loaded["segformer"].vocabulary.concepts]
    assert names == ["-", "wall", "building", "sky", "tree", "door or double door", "door or screen door"]


# --- identity and place ----------------------------------------------------------------------------------------


def test_the_identity_changes_with_weights_names_and_images_but_not_with_the_folder(
    loaded: dict[str, HubSegmenter], tmp_path: Path
) -> None:
    first = loaded["segformer"].identity
    assert load(str(save("segformer", tmp_path / "again"))).identity == first
    network = load(str(tmp_path / "again")).network
    with torch.no_grad():
        network.decode_head.classifier.bias[0] += 1e-3
    save("segformer", tmp_path / "other", network)
    assert load(str(tmp_path / "other")).identity != first
    place = save("segformer", tmp_path / "small")
    (place / "preprocessor_config.json").write_text('{"image_processor_type": "SegformerImageProcessor", "size": 64}')
    assert load(str(place)).identity == first
    (place / "preprocessor_config.json").write_text(
        '{"image_processor_type": "SegformerImageProcessor", "size": 64, "image_mean": [0.5, 0.5, 0.5]}'
    )
    assert load(str(place)).identity != first


def test_it_is_found_by_its_name_and_an_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("segformer", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    found = plugins.segmenter("ade20k:./mine")
    assert found.name == "ade20k:./mine"
    assert found.to(torch.device("cpu")).identity == found.identity
    with pytest.raises(UnknownName, match="there is no folder"):
        plugins.segmenter("ade20k:./others")


def test_what_is_loaded_by_default_is_a_segformer_of_the_hub() -> None:
    assert ade20k.DEFAULT == "nvidia/segformer-b0-finetuned-ade-512-512"
