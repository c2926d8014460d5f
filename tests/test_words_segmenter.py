"""Words as concepts: each is found by itself, where its score is above its threshold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dissectreport import plugins
from dissectreport.errors import BadOption, WeightsError
from dissectreport.segmenters import words
from dissectreport.segmenters.words import (
    AT_ONCE,
    MAX_WORDS,
    PROMPT,
    Word,
    WordSegmenter,
    above_threshold,
    load,
    parse_words,
)
from dissectreport.worker.concept_masks import Masks
from tests.support.tiny_checkpoints import pictures, save

SIZE = (48, 40)
NAMES = ("dome", "tower", "tree", "red door", "sky", "grass")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("clipseg", tmp_path_factory.mktemp("clipseg"))


@pytest.fixture(scope="module")
def found(folder: Path) -> WordSegmenter:
    return load(f"{folder}:{','.join(NAMES)}")


def theirs(found: WordSegmenter, images: torch.Tensor, name: str) -> torch.Tensor:
    """(n, h, w) what CLIPSeg's own forward gives for one word."""
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(found.network.config._name_or_path)([PROMPT.format(name)] * len(images))
    with torch.no_grad():
        logits = found.network(
            input_ids=torch.tensor(tokens["input_ids"]),
            attention_mask=torch.tensor(tokens["attention_mask"]),
            pixel_values=found.preprocess(images),
        ).logits
    small = torch.nn.functional.interpolate(logits[:, None], SIZE, mode="bilinear", antialias=True)
    return small[:, 0].sigmoid()


# --- what is asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("tree", "", (Word("tree"),)),
        ("dome, red  door ,tree", "", (Word("dome"), Word("red door"), Word("tree"))),
        ("dome@0.3,tree", "", (Word("dome", 0.3), Word("tree", 0.5))),
        ("owner/name:dome,tree", "owner/name", (Word("dome"), Word("tree"))),
        ("owner/name@v2:dome@0.9", "owner/name@v2", (Word("dome", 0.9),)),
        ("./folder:dome", "./folder", (Word("dome"),)),
    ],
)
def test_words_are_separated_by_commas_and_a_checkpoint_ends_with_a_colon(
    text: str, place: str, found: tuple[Word, ...]
) -> None:
    assert parse_words(text) == (place, found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dome,,tree", "contain an empty word"),
        ("dome,", "contain an empty word"),
        ("owner/name:", "contain an empty word"),
        (":dome", "no checkpoint before the colon"),
        ("dome,tree,dome", "contain 'dome' twice"),
        ("dome,@0.3", "contain an empty word"),
        ("dome@1", "of 'dome' is not between 0 and 1"),
        ("dome@-0.1", "of 'dome' is not between 0 and 1"),
        ("dome@high", "of 'dome' is not between 0 and 1"),
        ("dome@nan", "of 'dome' is not between 0 and 1"),
        (",".join(f"word {number}" for number in range(MAX_WORDS + 1)), "33 words are too many"),
    ],
)
def test_a_list_that_cannot_work_gives_one_line(text: str, message: str) -> None:
    with pytest.raises(BadOption, match=message) as refused:
        parse_words(text)
    assert "\n" not in str(refused.value)


def test_without_words_the_error_shows_how_to_give_some() -> None:
    for name in ("words", "words:"):
        with pytest.raises(BadOption, match="--segmenter words:dome,tower,tree"):
            plugins.segmenter(name)


def test_a_phrase_longer_than_the_network_reads_is_refused(folder: Path) -> None:
    with pytest.raises(BadOption, match=r"is too long: 9\d tokens, but the network reads 60"):
        load(f"{folder}:{'x' * 80}")


def test_a_checkpoint_that_reads_no_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match="of segformer does not find words; choose a CLIPSeg checkpoint, such as CIDAS/clipseg"
    ):
        load(f"{save('segformer', tmp_path)}:tree")


# --- what is found ---------------------------------------------------------------------------------------------


def test_scores_are_those_of_the_networks_own_forward_with_every_word_by_itself(found: WordSegmenter) -> None:
    images = pictures(2, *SIZE)
    scores = found.scores(images, range(len(NAMES)))
    for place, name in enumerate(NAMES):
        assert torch.allclose(scores[:, place], theirs(found, images, name), atol=1e-5), name
    assert torch.allclose(scores[:, [4, 1]], found.scores(images, (4, 1)), atol=1e-6)


def test_words_decoded_in_parts_are_as_words_decoded_together(
    found: WordSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(3, *SIZE)
    together = found.scores(images, range(len(NAMES)))
    assert len(images) * len(NAMES) <= AT_ONCE
    monkeypatch.setattr(words, "AT_ONCE", 4)
    assert torch.allclose(found.scores(images, range(len(NAMES))), together, atol=1e-6)


def test_up_to_four_words_each_pixel_shows_all_that_are_above_their_thresholds(folder: Path) -> None:
    few = load(f"{folder}:dome,tower@0.4,tree@0.6")
    images = pictures(2, *SIZE)
    labels = few(images)
    assert labels.shape == (2, 3, *SIZE)
    assert labels.dtype == torch.int64
    for place, threshold in enumerate((0.5, 0.4, 0.6)):
        there = few.scores(images, (place,))[:, 0] > threshold
        assert torch.equal((labels == place + 1).any(dim=1), there)
        assert 0 < float(there.float().mean()) < 1


def test_a_word_alone_shows_where_it_shows_beside_others(folder: Path) -> None:
    images = pictures(2, *SIZE)
    alone, beside = load(f"{folder}:tower"), load(f"{folder}:dome,tower,tree")
    assert torch.equal((alone(images) == 1).any(dim=1), (beside(images) == 2).any(dim=1))


def test_of_more_than_four_words_a_pixel_shows_the_best_and_the_best_of_them_first() -> None:
    random = torch.rand(3, 7, 5, 6, generator=torch.Generator().manual_seed(0))
    thresholds = [0.5, 0.1, 0.2, 0.5, 0.9, 0.05, 0.3]
    labels = above_threshold(random, thresholds)
    assert labels.shape == (3, 4, 5, 6)
    for image in range(3):
        for row in range(5):
            for column in range(6):
                scores = random[image, :, row, column].tolist()
                above = [place for place in range(7) if scores[place] > torch.tensor(thresholds[place])]
                best = sorted(above, key=lambda place: -scores[place])[:4]
                seen = labels[image, :, row, column].tolist()
                assert seen == [place + 1 for place in best[:1] + sorted(best[1:], reverse=True)] + [0] * (
                    4 - len(best)
                )


def test_where_no_word_is_above_its_threshold_there_is_nothing() -> None:
    assert above_threshold(torch.full((1, 2, 3, 3), 0.5), (0.5, 0.6)).eq(0).all()


def test_a_pixel_with_two_words_counts_for_both() -> None:
    scores = torch.tensor([[[[0.9, 0.9]], [[0.8, 0.1]], [[0.1, 0.1]]]])
    masks = Masks.of(above_threshold(scores, (0.5, 0.5, 0.5)), 4)
    assert masks.concepts.tolist() == [1, 2]
    assert masks.by_image.tolist() == [[2, 1]]


def test_large_images_get_labels_at_128_pixels(found: WordSegmenter) -> None:
    assert found(pictures(1, 256, 192)).shape == (1, 4, 128, 96)


# --- gradients, confidence, features ---------------------------------------------------------------------------


def test_probabilities_are_the_scores_of_the_concepts_asked_for_and_have_gradients(found: WordSegmenter) -> None:
    images = pictures(2, *SIZE).requires_grad_()
    shares = found.probabilities(images, (3, 0, 1))
    assert torch.equal(shares[:, [0, 2]], found.scores(images, (2, 0)))
    assert (shares[:, 1] == 0).all()
    (gradient,) = torch.autograd.grad(shares[:, 0].sum(), images)
    assert float(gradient.abs().sum()) > 0
    assert (found.probabilities(images, (0, 0)) == 0).all()
    assert found.probabilities(images, (0,)).shape == (2, 1, *SIZE)


def test_confidence_is_high_where_one_word_is_likely_or_all_are_unlikely(found: WordSegmenter) -> None:
    images = pictures(2, *SIZE)
    best = found.scores(images, range(len(NAMES))).amax(dim=1)
    sure = found.confidence(images)
    assert torch.allclose(sure, (best - 0.5).abs() + 0.5)
    assert sure.shape == (2, *SIZE)


def test_features_describe_whole_images_with_gradients(found: WordSegmenter) -> None:
    images = pictures(2, *SIZE).requires_grad_()
    features = found.features(images)
    assert features.shape == (2, 16)
    assert not torch.allclose(features[0], features[1])
    assert float(torch.autograd.grad(features.sum(), images)[0].abs().sum()) > 0


def test_half_precision_arithmetic_works(found: WordSegmenter) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        labels = found(pictures(1, *SIZE))
    assert (labels == found(pictures(1, *SIZE))).float().mean() > 0.8


# --- names and identity ----------------------------------------------------------------------------------------


def test_words_are_concepts_of_the_category_word_in_the_order_given(found: WordSegmenter) -> None:
    assert [concept.name for concept in found.vocabulary.concepts[1:]] == list(NAMES)
    assert found.vocabulary.categories == ("word",)


def test_the_identity_changes_with_words_and_thresholds(folder: Path) -> None:
    identities = [load(f"{folder}:{text}").identity for text in ("dome", "tower", "dome@0.4", "dome@0.5")]
    assert len(set(identities)) == 3
    assert identities[0] == identities[3]


def test_it_is_found_by_its_name_and_an_argument(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    found = plugins.segmenter(f"words:./{folder.name}:dome,red door@0.4")
    assert found.name == f"words:./{folder.name}:dome,red door@0.4"
    assert found.to(torch.device("cpu")).identity == found.identity
