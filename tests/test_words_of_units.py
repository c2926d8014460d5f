"""Words for units: CLIP-Dissect's formula and its test against loops, planted vectors, and CLIP in miniature."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import torch
from scipy import stats

from dissectreport.analysis import words as of_units
from dissectreport.analysis.results.words import COLUMNS, SEARCH_COLUMNS
from dissectreport.analysis.words import (
    MOST_UNITS,
    _delong,
    areas_under_curve,
    auc_with_interval,
    cosines,
    most,
    random_words,
    units_of_words,
    word_columns,
)
from dissectreport.errors import BadOption, WeightsError
from dissectreport.pipeline.words import FEWEST, read_words
from dissectreport.records.words import WordVectors
from dissectreport.report.common.words import UnitWord
from dissectreport.stats.areas import Areas
from dissectreport.stats.peaks import Peaks
from tests.support.damage import unnoticed_in_cache
from tests.support.tiny_checkpoints import VOCABULARY, lively, pictures, save_tokenizer, transformers

WORDS = tuple(f"word{number}" for number in range(80))
IMAGES, SHARD, SIZE = 400, 10, 24
LIKED = (3, 17, 42)
"""The words that the first units follow; the last unit follows none."""


def planted(seed=0):
    """Vectors of images and words, and peaks of units that are active where an image is like their word."""
    random = np.random.default_rng(seed)
    texts = random.standard_normal((len(WORDS), SIZE)).astype(np.float32)
    images = random.standard_normal((IMAGES, SIZE)).astype(np.float32)
    follows = cosines(images, texts)[:, list(LIKED)]
    noise = random.standard_normal((IMAGES, len(LIKED) + 1))
    activity = np.concatenate([follows * 10, np.zeros((IMAGES, 1))], 1) + 0.3 * noise
    samples = np.arange(IMAGES)
    vectors = WordVectors(samples, images, WORDS, texts, "planted")
    areas = Areas(samples, np.array([5]), (follows[:, :1] * 1000 + 1000).round().astype(np.int64), 4096)
    return vectors, Peaks(samples, activity.astype(np.float32)), areas


def test_units_get_the_words_they_follow_and_a_unit_of_noise_none():
    vectors, peaks, areas = planted()
    columns = word_columns(vectors, peaks, areas, np.array([5, 0, 0, 0]), SHARD)
    assert columns is not None
    assert list(columns) == list(COLUMNS)
    assert columns["word"].tolist()[:3] == [WORDS[word] for word in LIKED]
    assert columns["word_better"].tolist() == [True, True, True, False]
    assert (columns["word_auc"][:3] > 0.9).all()
    assert columns["label_auc"][0] == pytest.approx(columns["word_auc"][0], abs=0.02)
    assert columns["label_auc"][1:].isna().all()


def test_words_are_chosen_on_one_half_and_scored_on_the_other():
    vectors, peaks, areas = planted()
    label = np.array([5, 0, 0, 0])
    first = word_columns(vectors, peaks, areas, label, SHARD)
    held_out = vectors.samples // SHARD % 2 == 1
    changed = peaks.peaks.copy()
    changed[held_out] = np.random.default_rng(1).permutation(changed[held_out])
    second = word_columns(vectors, Peaks(peaks.samples, changed), areas, label, SHARD)
    assert first is not None and second is not None
    assert first["word"].tolist() == second["word"].tolist()
    assert not second["word_better"].any()


def test_every_word_finds_the_units_that_it_predicts():
    vectors, peaks, _ = planted()
    found = units_of_words(vectors, peaks, SHARD)
    assert list(found) == list(SEARCH_COLUMNS)
    for unit, word in enumerate(LIKED):
        rows = found[found["word"] == WORDS[word]]
        assert rows.iloc[0]["unit"] == unit
        assert rows.iloc[0]["word_auc"] > 0.9
    assert (found["word_auc"] > found["random_words_auc"]).all()
    assert (found.groupby("word").size() <= MOST_UNITS).all()
    # A unit of noise is rarely better for a word than for all of fifty random ones.
    assert (found["unit"] == len(LIKED)).sum() <= 5


def test_units_of_words_are_those_of_single_words_whatever_the_number_at_a_time(monkeypatch):
    vectors, peaks, _ = planted()
    whole = units_of_words(vectors, peaks, SHARD)
    monkeypatch.setattr(of_units, "TOGETHER", 7)
    assert units_of_words(vectors, peaks, SHARD).equals(whole)
    held_out = vectors.samples // SHARD % 2 == 1
    similarity, activity = cosines(vectors.images, vectors.texts)[held_out], peaks.peaks[held_out].astype(float)
    rivals = random_words(len(WORDS))
    for row in whole.itertuples():
        word = WORDS.index(row.word)
        others = [areas_under_curve(activity, most(similarity[:, [r]]))[row.unit, 0] for r in rivals if r != word]
        assert row.random_words_auc == pytest.approx(max(others))
        own = areas_under_curve(activity, most(similarity[:, [word]]))[row.unit, 0]
        assert row.word_auc == pytest.approx(own)


def test_with_few_images_no_word_finds_a_unit():
    vectors, peaks, _ = planted()
    few = WordVectors(vectors.samples[:80], vectors.images[:80], WORDS, vectors.texts, "planted")
    assert len(units_of_words(few, peaks, SHARD)) == 0


def scores_by_hand(activity, similarity):
    """The formula, image by image and word by word."""
    images, words = similarity.shape
    shares = [[math.exp(10 * similarity[i, w]) for w in range(words)] for i in range(images)]
    shares = [[value / sum(row) for value in row] for row in shares]
    fits = []
    for unit in range(activity.shape[1]):
        ranked = sorted(range(images), key=lambda i: -activity[i, unit])[:100]
        weight = [0.998 - rank / 100 * (0.998 - 0.97) for rank in range(len(ranked))]
        fits.append(
            [
                sum(math.log(1 + p * (shares[i][w] - 1) + 1e-7) for p, i in zip(weight, ranked, strict=True))
                for w in range(words)
            ]
        )
    fit = np.array(fits)
    return fit - np.log(np.exp(fit).mean(0))


def test_scores_are_those_of_the_formula():
    random = np.random.default_rng(2)
    activity, similarity = random.random((120, 3)), random.uniform(-0.3, 0.3, (120, 7))
    assert np.allclose(of_units.word_scores(activity, similarity), scores_by_hand(activity, similarity))


def test_areas_under_the_curve_are_shares_of_pairs_and_have_the_errors_of_delong():
    random = np.random.default_rng(3)
    activity, chosen = random.integers(0, 6, (60, 2)).astype(float), random.random((60, 2)) < 0.3
    auc, low, high = auc_with_interval(activity, chosen)
    every = areas_under_curve(activity, chosen)
    for unit in range(2):
        inside, outside = activity[chosen[:, unit], unit], activity[~chosen[:, unit], unit]
        wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
        assert auc[unit] == pytest.approx(wins.mean())
        assert every[unit, unit] == pytest.approx(wins.mean())
        variance = wins.mean(1).var(ddof=1) / len(inside) + wins.mean(0).var(ddof=1) / len(outside)
        assert _delong(activity[:, unit], chosen[:, unit]).error == pytest.approx(math.sqrt(variance))
        assert low[unit] < auc[unit] < high[unit]


@pytest.mark.parametrize(("similar", "apart"), [(5, 0), (5, 2), (10, 1), (20, 2), (20, 3)])
def test_intervals_of_areas_under_the_curve_hold_the_truth(similar, apart):
    chosen = np.arange(10 * similar) < similar
    activity = np.random.default_rng(4).normal(0, 1, (10 * similar, 400)) + apart * chosen[:, None]
    truth = stats.norm.cdf(apart / math.sqrt(2))
    _, low, high = auc_with_interval(activity, np.repeat(chosen[:, None], 400, 1))
    assert np.mean((low <= truth) & (truth <= high)) >= 0.9


def test_an_area_of_one_has_an_interval():
    chosen = np.arange(50)[:, None] < 5
    auc, low, high = auc_with_interval(np.where(chosen, 2.0, 1.0), chosen)
    assert auc == high == 1 and low[0] == pytest.approx(0.025**0.2)
    auc, low, high = auc_with_interval(np.where(chosen, 1.0, 2.0), chosen)
    assert auc == low == 0 and high[0] == pytest.approx(1 - 0.025**0.2)


def test_a_tenth_has_the_largest_values_and_random_words_are_fifty_different_ones():
    chosen = most(np.arange(40.0)[:, None])
    assert np.flatnonzero(chosen[:, 0]).tolist() == [36, 37, 38, 39]
    assert len(set(random_words(80).tolist())) == 50


def test_with_fewer_than_five_similar_images_nothing_is_said():
    vectors, peaks, areas = planted()
    few = WordVectors(vectors.samples[:80], vectors.images[:80], WORDS, vectors.texts, "planted")
    assert word_columns(few, peaks, areas, np.zeros(4, np.int64), SHARD) is None


def test_vectors_come_back_from_arrays():
    vectors = planted()[0]
    again = WordVectors.from_arrays(vectors.arrays())
    assert again.words == vectors.words and again.network == "planted"
    assert np.array_equal(again.images, vectors.images)


def test_pages_show_a_word_only_where_it_is_better_than_random_ones():
    vectors, peaks, areas = planted()
    columns = word_columns(vectors, peaks, areas, np.array([5, 0, 0, 0]), SHARD)
    assert columns is not None
    rows = list(columns.itertuples())
    shown = UnitWord.of(rows[0])
    assert shown is not None and shown.word == WORDS[LIKED[0]] and shown.auc > shown.random
    assert UnitWord.of(rows[3]) is None
    assert UnitWord.of(object()) is None


# --- CLIP in miniature ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 1, "pad_token_id": VOCABULARY - 1}
    text = {**sizes, "vocab_size": VOCABULARY, "max_position_embeddings": 40, **ends}
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    lively(lambda: transformers.CLIPModel(config)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32},'
        ' "crop_size": {"height": 32, "width": 32}}'
    )
    save_tokenizer(folder)
    return folder


def test_vectors_have_the_cosines_of_the_networks_own_forward(folder):
    from dissectreport.features.words import word_network

    network = word_network(str(folder))
    pixels = ((pictures(3, 32, 32) + 1) * 127.5).round().byte().movedim(1, 3).numpy()
    words = ["tree", "red door", "a"]
    tokens = network.tokenizer(words, padding=True, return_tensors="pt")
    inputs = network.preprocess(torch.from_numpy(pixels).movedim(3, 1).float() / 127.5 - 1)
    with torch.no_grad():
        theirs = network.network(
            pixel_values=inputs, input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
    wanted = (theirs.image_embeds @ theirs.text_embeds.T).numpy()
    assert np.allclose(cosines(network.images(pixels), network.texts(words)), wanted, atol=1e-5)
    assert wanted.std() > 0.01


def test_words_of_any_number_are_read_in_parts(folder):
    from dissectreport.features.words import word_network

    network = word_network(str(folder))
    words = [f"w{number}" for number in range(20)]
    assert np.allclose(network.texts(words)[17:19], network.texts(words[17:19]), atol=1e-5)
    assert network.identity == word_network(str(folder)).identity


def test_a_network_without_words_is_refused(tmp_path):
    from dissectreport.features.words import word_network
    from tests.support.tiny_checkpoints import save

    with pytest.raises(WeightsError, match="is a segformer, which knows no words"):
        word_network(str(save("segformer", tmp_path)))


def test_a_network_without_words_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    from dissectreport.pipeline import measure
    from dissectreport.pipeline.options import Options
    from tests.support.tiny_checkpoints import save

    monkeypatch.setattr(measure, "measured_costs", lambda *_: pytest.fail("the run has begun"))
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    network = str(save("segformer", tmp_path / "network"))
    options = Options("planted", words=tmp_path / "words.txt", words_network=network, cache=tmp_path / "cache")
    with pytest.raises(WeightsError, match="is a segformer, which knows no words"):
        measure.measure(options)


def test_a_network_is_checked_without_reading_its_weights(folder, tmp_path, monkeypatch):
    from dissectreport.features import words

    monkeypatch.setattr(words, "load_network", lambda *_: pytest.fail("the weights were read"))
    words.check_word_network(str(folder))
    shutil.copytree(folder, tmp_path / "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(WeightsError, match=r"cannot be loaded: OSError: it has no file of weights \(model.safetensors"):
        words.check_word_network(str(tmp_path / "empty"))


@pytest.mark.slow
def test_a_build_with_words_says_what_it_compared(folder, tmp_path):
    from dissectreport.pipeline.build import build
    from dissectreport.pipeline.options import Options

    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    options = Options(
        "planted",
        layers=("features",),
        samples=240,
        pilot=96,
        workers=1,
        controls=False,
        interventions=False,
        artifacts=False,
        words=tmp_path / "words.txt",
        words_network=str(folder),
        cache=tmp_path / "cache",
    )
    build(options, tmp_path / "site")
    page = next((tmp_path / "site").rglob("methods.html")).read_text()
    assert "the 80 words of a list" in page
    table = next((tmp_path / "site").rglob("*-units.csv")).read_text()
    assert "random_words_auc" in table
    index = next((tmp_path / "site").rglob("planted/search.js")).read_text()
    assert '"vocabulary":{"word0":' in index

    unnoticed, tried = unnoticed_in_cache(tmp_path / "cache")
    assert unnoticed == [] and tried > 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [("tree\nsky\ntree", f"2 different words; give {FEWEST} to"), ("\xff", "cannot be read"), (None, "cannot be read")],
)
def test_a_list_that_cannot_be_tested_is_refused(tmp_path, text, message):
    path = tmp_path / "words.txt"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadOption, match=message):
        read_words(path)


def test_a_list_has_one_word_a_line(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\ufeff# nouns\n\n" + "\n".join([*WORDS, " red   door ", "word1"]))
    assert read_words(path) == (*WORDS, "red door")
