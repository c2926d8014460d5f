"""What real images show beside generated ones: the figures against slow oracles, and the pass that counts them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dissectreport
from dissectreport.analysis.common.student import quantile
from dissectreport.analysis.real_images import reality
from dissectreport.analysis.results.real_images import COLUMNS, Reality
from dissectreport.cache.reader import packed_stats, read_stats, shard_name
from dissectreport.cache.store import Store
from dissectreport.pipeline.render import load_dissection
from dissectreport.run.plan import Plan
from dissectreport.run.shards import Shard, shards
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import merge_all
from dissectreport.vocabulary import Vocabulary
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.real_images import make_real_areas
from tests.support.reporters import RecordingReporter

GRID = 64 * 64
VOCABULARY = Vocabulary.of(object=("sky", "tree", "fence", "dome", "bird"))


def areas(seed: int, means: dict[int, float], images: int = 400, often: float = 1.0) -> Areas:
    """Images that show concept c with a mean share of means[c] of their pixels, in a share `often` of them."""
    rng = np.random.default_rng(seed)
    concepts = np.array(sorted(means), np.int64)
    there = rng.random((images, len(concepts))) < often
    share = (
        rng.gamma(2, np.array([means[c] for c in concepts]) / 2 / often, (images, len(concepts))).clip(max=1) * there
    )
    return Areas(np.arange(images), concepts, (share * GRID).round().astype(np.int64), GRID)


@pytest.fixture(scope="module")
def found() -> Reality:
    real = areas(11, {1: 0.4, 2: 0.1, 3: 0.05, 4: 0.02})
    generated = areas(2, {1: 0.4, 2: 0.2, 3: 0.01, 5: 0.03}, images=800)
    return reality(real, generated, VOCABULARY)


def test_every_column_is_explained(found: Reality) -> None:
    assert set(found.table) - {"concept", "category"} == set(COLUMNS)


def test_what_is_left_out_most_comes_first(found: Reality) -> None:
    assert found.table["concept"].tolist() == ["dome", "fence", "sky", "tree", "bird"]
    assert found.table["verdict"].tolist() == ["less", "less", "", "more", "more"]
    assert (found.real, found.generated) == (400, 800)


def test_a_concept_that_a_side_lacks_has_a_ratio_without_ends(found: Reality) -> None:
    rows = found.table.set_index("concept")
    assert rows.loc["dome", "ratio"] == 0 and np.isinf(rows.loc["bird", "ratio"])
    assert rows.loc[["dome", "bird"], ["ratio_low", "ratio_high"]].isna().all(axis=None)
    assert rows.loc["dome", "difference_high"] < 0


def test_what_no_image_of_a_side_shows_may_be_in_others(found: Reality) -> None:
    row = found.table.set_index("concept").loc["bird"]
    assert row["real"] == row["real_low"] == 0
    shown = row["generated"] / row["in_generated"]
    assert row["real_high"] == pytest.approx(-np.log(0.025) / 400 * shown)


def test_the_interval_of_a_difference_is_that_of_two_independent_means() -> None:
    real, generated = areas(3, {2: 0.1}), areas(4, {2: 0.13}, images=500)
    row = reality(real, generated, VOCABULARY).table.iloc[0]
    errors, means = [], []
    for side in (real, generated):
        share = side.pixels[:, 0] / GRID
        groups = [share[np.arange(len(share)) % 20 != g].mean() for g in range(20)]
        errors.append(np.sqrt(19 / 20 * np.sum((np.array(groups) - np.mean(groups)) ** 2)))
        means.append(share.mean())
    reach = quantile(0.975, 19) * np.hypot(*errors)
    assert row["difference"] == pytest.approx(means[1] - means[0], rel=1e-12)
    assert row["difference_high"] - row["difference"] == pytest.approx(reach, rel=1e-9)
    relative = quantile(0.975, 19) * np.hypot(errors[0] / means[0], errors[1] / means[1])
    assert np.log(row["ratio_high"] / row["ratio"]) == pytest.approx(relative, rel=0.02)  # to first order


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = []
    for seed in range(100):
        real, generated = areas(seed, {2: 0.1}, often=0.3), areas(1000 + seed, {2: 0.1}, images=200, often=0.3)
        row = reality(real, generated, VOCABULARY).table.iloc[0]
        held.append((row["difference_low"] <= 0 <= row["difference_high"], row["ratio_low"] <= 1 <= row["ratio_high"]))
    assert np.mean(held, axis=0).min() >= 0.9 and np.mean(held, axis=0).max() <= 0.99


def test_of_equal_sides_hardly_any_concept_is_said_to_be_left_out() -> None:
    names = Vocabulary.of(object=tuple(f"c{i}" for i in range(1, 41)))
    means = {i: 0.01 * i / 20 for i in range(1, 41)}
    verdicts = [
        (reality(areas(s, means), areas(s + 500, means), names).table["verdict"] != "").any() for s in range(20)
    ]
    assert np.mean(verdicts) <= 0.15


def test_a_rare_concept_is_shown_but_not_tested() -> None:
    real = areas(5, {1: 0.4, 4: 0.02})
    rare = np.where(np.arange(400)[:, None] < 19, real.pixels, real.pixels * [1, 0])
    table = reality(replace(real, pixels=rare), areas(6, {1: 0.4}), VOCABULARY).table
    assert table["concept"].tolist() == ["sky", "dome"]
    assert not table["compared"].iloc[1] and table["verdict"].iloc[1] == ""


def test_with_one_image_nothing_is_claimed_and_nothing_fails() -> None:
    one = areas(7, {1: 0.4}, images=1)
    table = reality(one, one, VOCABULARY).table
    assert table["difference"].tolist() == [0] and table["difference_low"].isna().all()
    assert table["verdict"].tolist() == [""]


PLAN = Plan("planted", "planted", "corrected", 1, 64)


def counted(source: Source, images: int, size: int) -> list[Areas]:
    work = make_real_areas(source, PLAN, images)
    return [work(shard)["areas"] for shard in shards(images, size)]


def test_parts_of_the_generators_own_real_images_add_up() -> None:
    source = Source("planted", "planted")
    whole, parts = counted(source, 24, 24), counted(source, 24, 9)
    assert (merge_all(parts).pixels == whole[0].pixels).all()
    labels = Models(source).labels(Models(source).first_real_images(24))
    sky = int(whole[0].concepts[0])
    assert whole[0].share()[:, 0] == pytest.approx((labels == sky).any(1).float().mean((1, 2)).numpy(), abs=0.02)


def test_broken_images_of_a_folder_are_left_out_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in range(7):
        Image.fromarray(rng.integers(0, 255, (80, 70, 3), np.uint8)).save(folder / f"{name}.png")
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:200])
    source = Source("planted", "planted", reference=str(folder))
    found = merge_all(counted(source, 7, 3))
    place = int(np.random.RandomState(0).permutation(7).tolist().index(3))
    assert found.samples.tolist() == [i for i in range(7) if i != place]
    store = Store.open(tmp_path / "cache", {"kind": "real areas"})
    for shard, part in zip(shards(7, 3), counted(source, 7, 3), strict=True):
        store.save(shard_name(shard), packed_stats(part))
    again = merge_all(stat for _, stat in read_stats(store, shards(7, 3), Areas))
    assert (again.pixels == found.pixels).all() and (again.concepts == found.concepts).all()


def test_a_part_without_a_readable_image_counts_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    found = make_real_areas(Source("planted", "planted", reference=str(tmp_path)), PLAN, 1)(Shard(0, 0, 1))["areas"]
    assert len(found.samples) == 0


SMALL: dict[str, Any] = {
    "layers": ("features",),
    "samples": 16,
    "pilot": 16,
    "workers": 1,
    "device": "cpu",
    "interventions": False,
    "artifacts": False,
    "controls": False,
}


def test_a_run_compares_with_the_generators_own_real_images_and_a_folder_with_its(cache: Path, tmp_path: Path) -> None:
    heard = RecordingReporter()
    dissectreport.measure(dissectreport.Options("planted", cache=cache, **SMALL), heard)
    own = load_dissection("planted", cache=cache).reality
    assert own is not None and (own.real, own.generated) == (16, 16)
    assert not any("real images" in line for line in heard.lines)
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(photos / f"{number}.png")
    dissectreport.measure(dissectreport.Options("planted", cache=cache, reference=photos, **SMALL), RecordingReporter())
    given = load_dissection("planted", cache=cache).reality
    assert given is not None and (given.real, given.generated) == (5, 16)


def test_a_generator_without_real_images_is_reported(cache: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import replace\nfrom dissectreport.models import planted\nfrom dissectreport.models."
        "network_generator import no_training_like_images\ndef load():\n"
        "    return replace(planted.load(), training_like=no_training_like_images)\n"
    )
    heard = RecordingReporter()
    dissectreport.measure(dissectreport.Options(f"{mine}:load", segmenter="planted", cache=cache, **SMALL), heard)
    assert any(line.startswith("no comparison with real images: planted has none of its own") for line in heard.lines)
    assert load_dissection(f"{mine}:load", cache=cache).reality is None
