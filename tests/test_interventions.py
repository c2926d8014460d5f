"""Edits of a layer, and everything that is concluded from them, on the generator whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dissectreport.analysis.common.rank_correlation import spearman, spearman_interval
from dissectreport.analysis.common.ratios import ratio_interval
from dissectreport.analysis.interventions.random_sets import activation_ranks
from dissectreport.analysis.interventions.removed_area import Removed
from dissectreport.errors import ModelError, SegmenterError
from dissectreport.models.planted import NOISE, ROOF, TRUTH, UNIT, UNITS, load
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.networks import edits
from dissectreport.networks.edits import Edit, inside_patches, run_prefix
from dissectreport.networks.latents import latents
from dissectreport.pipeline.ablation_plan import images_showing, insertion_spots, random_sets, strongest_concepts
from dissectreport.pipeline.random_sets import matched_sets
from dissectreport.records.interventions import as_set
from dissectreport.run.budgets import INTERVENTION_BUDGETS
from dissectreport.run.patches import patch_box, patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import Shard, shards
from dissectreport.segmenters.planted import VOCABULARY, number_of
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import merge_all
from dissectreport.stats.effects import FirstOrder
from dissectreport.stats.paired import Paired
from dissectreport.stats.patch_contexts import PatchContexts
from dissectreport.worker import ablations, edited_pictures, gradients, half_precision, insertions, rankings
from dissectreport.worker.edited_model import EditedModel, pixels_by_image
from dissectreport.worker.loaded_networks import Source
from tests.support.planted_oracle import edited as slowly_edited
from tests.support.planted_oracle import features, has
from tests.support.planted_oracle import inserted as slowly_inserted
from tests.support.tiers import extended

SOURCE = Source("planted", "planted")
OBJECTS = ("grass", "house", "tree", "ball")
QUICK = INTERVENTION_BUDGETS["quick"]
LEARNING = replace(QUICK, learned_mask_samples=12, learned_mask_held_out=6, learned_mask_steps=20)


def key(concepts: tuple[str, ...] = OBJECTS, layer: str = "features", precision: str = "float32") -> InterventionKey:
    numbers = tuple(number_of(name) for name in concepts)
    contexts = tuple(number_of(name) for name in ("sky", "grass", "house", "tree"))
    return InterventionKey("planted", "planted", layer, numbers, contexts, 1, precision)


@pytest.fixture(scope="module")
def model() -> EditedModel:
    return EditedModel(SOURCE.models(), key())


def judged(*sets: tuple[str, ...], count: int = 16) -> Paired:
    units = [as_set(UNIT[name] for name in names) for names in sets]
    return ablations.make_ablations(SOURCE, key(), units)(Shard(0, 0, count))[0]


# --- only the tail runs again ---


@dataclass(frozen=True)
class Bare:
    """A network that takes latents as they are."""

    module: nn.Module

    def __call__(self, z: Tensor) -> Tensor:
        images: Tensor = self.module(z)
        return images


class Shared(nn.Module):
    """One rectifier used before, inside and after the layer, and a part that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.rectify = nn.ReLU()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 1), self.rectify)
        self.twice = nn.Conv2d(4, 4, 1)
        self.layer = nn.Sequential(nn.Conv2d(4, 5, 1), self.rectify)
        self.last = nn.Conv2d(5, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.twice(self.rectify(self.twice(self.first(z.view(len(z), 2, 4, 4)))))
        out: Tensor = self.last(self.rectify(self.layer(x) - 0.1))
        return out


class Counted(nn.Module):
    """Counts how often it runs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.runs = inner, 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        out: Tensor = self.inner(x)
        return out


@pytest.mark.parametrize("layer", ["first", "first.0", "twice", "layer", "layer.0", "last"])
def test_the_rest_of_a_network_with_shared_modules_gives_the_same_images_as_the_whole(layer: str) -> None:
    network, z = Shared(), torch.randn(3, 32)
    at = run_prefix(Bare(network), layer, z)
    if layer == "twice":
        with pytest.raises(ModelError, match="runs more than once"):
            at.images(at.activations)
    else:
        assert torch.allclose(at.images(at.activations), network(z), atol=1e-6), "but for the last bits"
    assert torch.equal(network(z), network(z)), "and the network is as it was"


@pytest.mark.parametrize("number", [1, 4, 7, 8])
def test_the_rest_of_a_progressive_gan_gives_the_same_images_as_the_whole(number: int) -> None:
    network = ProgressiveGenerator((8, 8, 8, 8, 4))
    network.initialise(0)
    z = latents(0, 0, 4, (8,))
    at = run_prefix(Bare(network), f"layer{number}", z)
    assert torch.allclose(at.images(at.activations), network(z), rtol=1e-4, atol=1e-4), "but for the last bits"


def test_what_comes_before_the_layer_does_not_run_again() -> None:
    before, after = Counted(nn.Conv2d(1, 4, 1)), Counted(nn.Conv2d(4, 3, 1))
    network = nn.Sequential(before, nn.Conv2d(4, 4, 1), after)
    at = run_prefix(Bare(network), "1", torch.randn(2, 1, 4, 4))
    for _ in range(3):
        at.images(at.activations)
    assert (before.runs, after.runs) == (1, 3)


def test_units_without_extent_can_be_edited() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 12), nn.Unflatten(1, (3, 2, 2)))
    z = torch.randn(5, 4)
    at = run_prefix(Bare(network), "1", z)
    assert at.activations.shape == (5, 6, 1, 1)
    changed = Edit((2,))(at.activations)
    hidden = network[1](network[0](z)).clone()
    hidden[:, 2] = 0
    assert torch.allclose(at.images(changed), network[3](network[2](hidden)), atol=1e-6)


def test_a_network_is_restored_after_an_error_in_its_rest() -> None:
    network, z = Shared(), torch.randn(2, 32)
    at = run_prefix(Bare(network), "layer", z)
    with pytest.raises(RuntimeError):
        at.images(torch.zeros(2, 7, 4, 4))
    assert not any("forward" in part.__dict__ for part in network.modules())


# --- edits ---


def test_an_edit_never_changes_what_it_is_given() -> None:
    given = torch.randn(2, 4, 8, 8)
    kept = given.clone()
    Edit((1, 3), torch.tensor([5.0, 6.0]))(given)
    Edit((1,), 2.0, inside_patches(torch.tensor([0, 9]), 8, 8))(given)
    assert torch.equal(given, kept)


def test_units_are_set_at_one_position_in_every_image_and_nowhere_else() -> None:
    given = torch.randn(2, 3, 16, 16)
    changed = Edit((0, 2), torch.tensor([5.0, 6.0]), inside_patches(torch.tensor([0, 10]), 16, 16))(given)
    wanted = given.clone()
    wanted[0, [0, 2], :2, :2] = torch.tensor([5.0, 6.0])[:, None, None]
    wanted[1, [0, 2], 2:4, 4:6] = torch.tensor([5.0, 6.0])[:, None, None]
    assert torch.equal(changed, wanted)


def test_edits_are_made_one_after_another() -> None:
    given = torch.randn(1, 3, 4, 4)
    both = edits.edited(given, [Edit((0, 1)), Edit((1,), 3.0)])
    assert both[:, 0].abs().max() == 0
    assert (both[:, 1] == 3).all()
    assert torch.equal(both[:, 2], given[:, 2])


def test_a_patch_is_a_sixty_fourth_of_any_map_or_one_of_its_cells() -> None:
    assert patch_grid(16, 32) == (8, 8)
    assert patch_grid(4, 1) == (4, 1)
    for side in (4, 8, 16, 32):
        rows, columns = patch_grid(side, side)
        inside = inside_patches(torch.arange(rows * columns), side, side)
        assert (inside.sum(0) == 1).all(), "places cover the map, and do not overlap"
        top, left, height, width = patch_box(columns + 1, side, side)
        rows_inside = inside[columns + 1, 0].any(1).nonzero().flatten()
        assert rows_inside[0] == round(top * side)
        assert len(rows_inside) == round(height * side)
        assert round(left * side) == round(width * side)


def test_a_pixel_counts_once_for_a_concept_that_stands_in_two_slots() -> None:
    labels = torch.from_numpy(np.random.RandomState(0).randint(0, 4, (3, 3, 5, 6)))
    found = pixels_by_image(labels, 4)
    wanted = [[int((image == c).any(0).sum()) if c else 0 for c in range(4)] for image in labels.numpy()]
    assert found.tolist() == wanted


# --- effects on the planted generator are the planted ones ---


@pytest.mark.parametrize("name", ["ball", "grass", "window"])
def test_ablating_the_unit_that_paints_a_concept_removes_exactly_its_area(name: str) -> None:
    generator = load()
    z = latents(key().held_out_seed, 0, 16, generator.latent_shape)
    with torch.no_grad():
        labels = SOURCE.models().labels(generator(z))
        edited = SOURCE.models().labels(slowly_edited(generator, z, (name,)))
    found, number = judged((name,)), number_of(name)
    assert found.before[number] == has(labels, name).sum() > 0
    assert found.after[0, number] == has(edited, name).sum() == 0


@pytest.mark.parametrize("name", ["ball_mirror", "crown_duplicate", "position_only", "always_on", "dead", *NOISE])
def test_units_that_only_look_as_if_they_drew_something_change_not_a_pixel(name: str) -> None:
    found = judged((name,))
    assert np.array_equal(found.after[0], found.before)


def test_a_concept_that_several_units_draw_together_goes_when_all_but_one_are_off() -> None:
    found, roof = judged(ROOF[:1], ROOF[:2], ROOF[:3], ROOF), number_of("roof")
    assert found.before[roof] == found.after[0, roof] == found.after[1, roof] > 0
    assert found.after[2, roof] == found.after[3, roof] == 0


def test_an_ablated_concept_uncovers_what_is_behind_it_so_side_effects_add_up() -> None:
    found = judged(("ball",))
    objects = [number_of(name) for name in ("sky", "grass", "house", "tree", "ball")]
    gained = (found.after[0] - found.before)[objects]
    blotch = found.images * found.pixels - found.before[objects].sum()
    assert gained[-1] < 0 < gained[0]
    assert 0 <= gained.sum() <= blotch + found.before[objects[-1]]


def test_windows_can_be_inserted_on_walls_and_nowhere_else() -> None:
    generator = load()
    where = key(("window",))
    found_contexts, areas = insertions.make_contexts(SOURCE, where)(Shard(0, 0, 48))
    spots = [(int(n), p, c) for n, row in enumerate(found_contexts.contexts) for p, c in enumerate(row.tolist()) if c]
    spots = [spot for spot in spots if spot[2] in (number_of("house"), number_of("sky"))][::9]
    window = number_of("window")
    plan = insertions.InsertionPlan(
        sets=(insertions.InsertedSet(0, (UNIT["window"],), (1.25,)),),
        random=tuple(insertions.InsertedSet(0, (UNIT[name],), (1.25,)) for name in ("dead", "window")),
        random_each=1,
        spots=tuple(spots),
        before=tuple((int(areas.pixels[sample, window]),) for sample, _, _ in spots),
    )
    work = insertions.make_insertions(SOURCE, where, plan)
    found = merge_all(work(shard) for shard in shards(len(spots), 8))
    assert list(zip(found.samples, found.patches, found.contexts, strict=True)) == spots
    house = found.contexts == number_of("house")
    assert house.sum() >= 10 and (~house).sum() >= 10
    z = latents(where.held_out_seed, 0, 48, generator.latent_shape)
    for row in range(0, len(found.samples), 3):
        sample, place = int(found.samples[row]), int(found.patches[row])
        one = z[sample : sample + 1]
        with torch.no_grad():
            before = SOURCE.models().labels(generator(one))
            after = SOURCE.models().labels(slowly_inserted(generator, one, "window", *divmod(place, 8), 1.25))
        gain = int(has(after, "window").sum()) - int(has(before, "window").sum())
        assert found.own_gains(0)[row] == gain
    own = found.own_gains(0)
    assert own[house].mean() > 10 * max(abs(own[~house].mean()), 0.1)
    rows, gains = found.random_gains(0)
    turn = rows // 8 % 2
    assert (gains[turn == 0] == 0).all() and (gains[turn == 1] == own[rows[turn == 1]]).all(), "sets take turns"


def test_causal_sets_are_ablated_to_other_values_and_inserted_everywhere() -> None:
    generator, number, units = load(), number_of("ball"), (UNIT["grass"], UNIT["ball"])
    trial = ablations.VariantTrial("one", number, units, (0.1, 0.2), (1.5, 0.0), tuple(range(10)), 6)
    found = ablations.make_variants(SOURCE, key())(trial)
    network = generator.module
    with torch.no_grad():
        maps = network.features(latents(key().held_out_seed, 0, 11, generator.latent_shape))
        for column, values in enumerate(((0.1, 0.2), maps[1:], (1.5, 0.0))):
            edited = maps[:10].clone()
            for turn, unit in enumerate(units):
                edited[:, unit] = values[turn] if isinstance(values, tuple) else values[:, unit]
            labels = SOURCE.models().labels(network.canvas(network.mixed(edited)))
            assert found.pixels[:, column].tolist() == has(labels, "ball").sum((1, 2)).tolist()
    assert len(found.lost) == 6 and found.grid == 64 * 64
    areas, ablated = ablations.make_ablations(SOURCE, key(), [units])(Shard(0, 0, 8))[1:]
    gone = areas.pixels[:6, number] - ablated.pixels[:6, 0, OBJECTS.index("ball")]
    assert np.array_equal(found.lost, gone), "the ball's unit is off, so all of it is lost"
    with torch.no_grad():
        sure = 1000 * SOURCE.models().confidence(generator(latents(key().held_out_seed, 0, 6, generator.latent_shape)))
    assert np.array_equal(found.confidence[:, 2], sure.round().sum((1, 2)).int())
    assert (found.confidence[:, 0] <= 1000 * found.lost).all() and (found.confidence[found.lost > 0, :2] > 0).all()


def test_the_context_is_the_concept_at_the_middle_of_the_patch() -> None:
    labels = torch.zeros(1, 2, 64, 64, dtype=torch.int64)
    labels[0, 1, 4::8, 4::8] = 3
    labels[0, 0, 12, 4] = 2
    found = insertions.contexts_at(labels, (3,), (8, 8))
    assert found.tolist() == [[3] * 64]
    assert insertions.contexts_at(labels, (2, 3), (8, 8))[0, 8] == 3
    assert insertions.contexts_at(labels, (2,), (8, 8))[0].tolist() == [0] * 8 + [2] + [0] * 55


# --- first order ---


def test_first_order_effects_are_the_derivative_of_scaling_a_unit(model: EditedModel) -> None:
    at = model.open(3, 0, 4)
    concepts = [number_of(name) for name in OBJECTS]
    found = gradients.first_order(model, at, at.activations, concepts)
    for unit in (UNIT["ball"], UNIT["crown"], UNIT["roof1"], UNIT["ball_mirror"]):
        scale = torch.ones(1, requires_grad=True)
        maps = at.activations.clone()
        scaled = torch.cat([maps[:, :unit], maps[:, unit : unit + 1] * scale, maps[:, unit + 1 :]], 1)
        shares = model.probabilities(model.images(at, scaled), concepts)
        for row in range(len(concepts)):
            (slope,) = torch.autograd.grad(shares[:, row].sum(), scale, retain_graph=True)
            assert found.effect[row, unit] == pytest.approx(float(slope), abs=1e-3, rel=1e-4)


def test_units_without_outgoing_weight_have_no_first_order_effect(model: EditedModel) -> None:
    at = model.open(3, 0, 8)
    found = gradients.first_order(model, at, at.activations, [number_of(name) for name in OBJECTS])
    for name in ("ball_mirror", "crown_duplicate", "position_only", "always_on", "dead", *NOISE):
        assert np.abs(found.effect[:, UNIT[name]]).max() < 1e-5, name  # of thousands of pixels


def test_the_unit_that_draws_a_concept_leads_its_first_order_ranking(model: EditedModel) -> None:
    at = model.open(3, 0, 16)
    found = gradients.first_order(model, at, at.activations, [number_of("grass"), number_of("ball")])
    assert found.effect.argmax(1).tolist() == [UNIT["grass"], UNIT["ball"]]


def test_a_network_without_bfloat16_has_no_agreement_of_labels_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_floats(images: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("no such arithmetic")
        return whole(images)

    source = Source("scenes_pgan", "scenes")
    models = source.models()
    whole = models.generator.module.forward
    models.generator.module.forward = only_floats  # type: ignore[method-assign]
    monkeypatch.setattr(Source, "models", lambda source: models)
    assert half_precision.half_agrees(source, replace(key(), layer="layer4")) == 0


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda: torch.ones(2, 5, 5), r"probabilities of shape \(2, 5, 5\) for 2 images and 1 concepts; it must"),
        (lambda: 1 / 0, "segmenter 'planted' failed at its probabilities: ZeroDivisionError"),
        (lambda: [1], "returned a list as probabilities"),
    ],
)
def test_probabilities_of_anybodys_segmenter_are_checked(answer: Callable[[], object], line: str) -> None:
    model = EditedModel(SOURCE.models(), key())
    object.__setattr__(model.networks.segmenter, "probabilities", lambda images, concepts: answer())
    with pytest.raises(SegmenterError, match=line):
        model.probabilities(torch.zeros(2, 3, 32, 32), (1,))


def test_a_layer_that_no_gradient_reaches_is_refused_in_one_line() -> None:
    class Cut:
        name, vocabulary = "cut", VOCABULARY

        def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
            return torch.zeros(len(images), len(concepts), 4, 4)

    models = SOURCE.models()
    models.__dict__["segmenter"] = Cut()
    model = EditedModel(models, key())
    at = model.open(3, 0, 2)
    with pytest.raises(ModelError, match="gradient of 'ball' does not reach layer 'features'"):
        gradients.first_order(model, at, at.activations, [number_of("ball")])


# --- orders ---


@cache
def inputs(concept: str) -> rankings.RankingInputs:
    """What the orders of one concept are made from, over a few choosing latents."""
    where = replace(key(), concepts=(number_of(concept),))
    presence, patches = gradients.make_search(SOURCE, where)(Shard(0, 0, 96))
    first = gradients.make_gradients(SOURCE, where)(Shard(0, 0, 32))
    share, patch = patches.share[:, 0], patches.patch[:, 0]
    order = np.argsort(-share, kind="stable")
    present = order[share[order] > 0]
    # By agreement the mirror leads, and the four units of the roof, none of which looks like one, are nowhere.
    start = np.random.RandomState(5).rand(len(UNITS)) / 2
    start[UNIT["ball_mirror"]] = 1
    start[[UNIT[name] for name in ROOF]] = 0.1
    return rankings.RankingInputs(
        0,
        start,
        presence.concept_means()[0],
        present,
        patch[present],
        np.bincount(patch[present], minlength=64).astype(float),
        np.argsort(-first.effect[0], kind="stable"),
    )


@pytest.mark.parametrize("concept", ["roof", extended("ball")])
def test_the_learned_mask_finds_the_planted_causal_set_among_units_that_only_correlate(
    model: EditedModel, concept: str
) -> None:
    budget = replace(
        QUICK,
        learned_mask_tries=96,
        learned_mask_samples=24,
        learned_mask_held_out=8,
        learned_mask_steps=60,
        learned_mask_trial_steps=12,
    )
    causes = {UNIT[name] for name in (ROOF if concept == "roof" else ("ball",))}
    found = rankings.learn_mask(model, budget, inputs(concept), number_of(concept))
    leading = set(np.argsort(-found.weights)[: len(causes)].tolist())
    assert leading == causes
    assert found.is_usable and found.end_loss < found.start_loss - 0.1
    assert found.weights[UNIT["ball_mirror"]] < found.weights[list(causes)].min()


def test_the_learned_mask_has_improved_when_the_default_budget_ends(model: EditedModel) -> None:
    budget = replace(INTERVENTION_BUDGETS["default"], search=96, learned_mask_samples=24, learned_mask_held_out=8)
    found = rankings.learn_mask(model, budget, inputs("roof"), number_of("roof"))
    assert found.is_usable
    assert set(np.argsort(-found.weights)[:4].tolist()) == {UNIT[name] for name in ROOF}


def test_greedy_takes_the_units_that_draw_a_concept_together_first(model: EditedModel) -> None:
    budget = replace(QUICK, greedy_units=4, greedy_images=8)
    order = rankings.greedy(model, budget, inputs("roof"), number_of("roof"))
    assert sorted(order.tolist()) == list(range(len(UNITS)))
    assert len({UNIT[name] for name in ROOF} & set(order[:4].tolist())) >= 3, "one may stay: it draws nothing alone"


def test_candidates_where_the_concept_is_already_gain_nothing(model: EditedModel) -> None:
    one = inputs("ball")
    places, gains = rankings.candidates(model, replace(QUICK, learned_mask_tries=40), one, number_of("ball"))
    assert places[:, 0].tolist() == list(range(40)), "one place in each image"
    assert (gains > 0).any()
    for (sample, place), gain in zip(places, gains, strict=True):
        at = rankings.open_samples(model, [int(sample)])
        labels = model.labels(model.images(at, at.activations))
        row, column = divmod(int(place), 8)
        if has(labels, "ball")[0, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8].any():
            assert gain == 0


def test_images_are_used_for_training_or_validation_and_never_both() -> None:
    one = (np.array([3, 5, 3, 9, 11, 12]), np.arange(6))
    two = (np.array([5, 9, 20, 21]), np.arange(4))
    learning, keeping = rankings.split([one, two], 0.5)
    assert not {*learning[0][0], *learning[1][0]} & {*keeping[0][0], *keeping[1][0]}
    assert len(learning[0][0]) + len(keeping[0][0]) == 6
    assert all(len(kind[0]) for kind in (*learning, *keeping))


@given(st.integers(0, 40), st.integers(2, 40), st.integers(2, 40), st.sampled_from([0.2, 1 / 3, 0.5]))
def test_some_images_of_every_kind_are_kept_for_validation(seed: int, ours: int, theirs: int, share: float) -> None:
    random = np.random.RandomState(seed)
    kinds = [(random.permutation(60)[:n], np.arange(n)) for n in (ours, theirs)]
    learning, keeping = rankings.split(kinds, share)
    for (samples, _), (learned, _), (kept, _) in zip(kinds, learning, keeping, strict=True):
        assert sorted([*learned, *kept]) == sorted(samples)
        assert len(kept) >= max(1, round(share * len(samples)))
    assert not {*learning[0][0], *learning[1][0]} & {*keeping[0][0], *keeping[1][0]}


def test_the_mask_is_learned_from_few_images_and_left_where_it_starts_with_fewer(model: EditedModel) -> None:
    one = inputs("ball")
    few = replace(one, present=one.present[:12], patches=one.patches[:12])
    budget = replace(QUICK, learned_mask_samples=40, learned_mask_held_out=20, penalties=(0.005, 0.05))
    found = rankings.learn_mask(model, budget, few, number_of("ball"))
    assert np.isfinite([found.start_loss, found.end_loss]).all() and found.penalty in budget.penalties
    none = replace(one, present=one.present[:1], patches=one.patches[:1])
    found = rankings.learn_mask(model, QUICK, none, number_of("ball"))
    assert np.isnan([found.penalty, found.end_loss]).all() and np.array_equal(found.weights, one.start)
    assert not found.is_usable


def test_an_optimisation_that_diverges_says_so(model: EditedModel) -> None:
    broken = replace(inputs("ball"), constant=np.full(len(UNITS), np.nan))
    with pytest.raises(ModelError, match="diverged"):
        rankings.learn_mask(model, replace(LEARNING, learned_mask_trial_steps=3), broken, number_of("ball"))


# --- random sets, intervals ---


def test_random_sets_differ_hold_no_leading_unit_and_match_them_one_by_one() -> None:
    mean_activation = np.random.RandomState(0).gamma(2, 1, 128)
    rank = activation_ranks(mean_activation)
    for size in (4, 10, 20):
        leading = as_set(np.argsort(-mean_activation)[10 : 10 + 3 * size : 3])
        sets = matched_sets(mean_activation, leading, 20)
        assert len(set(sets)) == 20
        assert {len(units) for units in sets} == {size}
        assert not {unit for units in sets for unit in units} & set(leading)
        apart = [np.abs(np.sort(rank[list(units)]) - np.sort(rank[list(leading)])).mean() for units in sets]
        assert np.mean(apart) < 6, "of 128 ranks"


def test_the_random_sets_of_each_concept_match_the_leading_units_of_its_best_ranking() -> None:
    mean_activation = np.linspace(0.01, 1, 100)
    orders = {"gradient": np.stack([np.arange(100), np.arange(100)[::-1]]), "IoU": np.stack([np.arange(100)[::-1]] * 2)}
    budget = replace(QUICK, sizes=(10,), random_sizes=(10,), random_sets=20)
    found = random_sets(budget, orders, ("gradient", "IoU"), mean_activation)
    weak, strong = (np.array(sets) for sets in found[10])
    assert weak.shape == strong.shape == (20, 10)
    assert weak.min() > 9 and weak.max() < 40
    assert strong.max() < 90 and strong.min() > 60


def test_removed_shares_are_one_minus_ratios_of_pixels_and_their_intervals_those_of_ratios() -> None:
    random = np.random.RandomState(0)
    before, after = random.randint(50, 200, (16, 3)), random.randint(0, 100, (16, 2, 3))
    parts = [(Shard(n, 8 * n, 8), Paired(8, 100, before[n], after[n])) for n in range(16)]
    found = Removed.by_shard([(2,), (0, 1)], parts)[(1, 0)]
    ratio, low, high = ratio_interval(after[:, 1], before)
    assert np.allclose(found.value, 1 - after[:, 1].sum(0) / before.sum(0)) and np.allclose(found.value, 1 - ratio)
    assert np.allclose(found.low, 1 - high) and np.allclose(found.high, 1 - low)
    areas = Areas(np.arange(16), np.array([0, 5, 7]), before, 100)
    by_image = Removed.by_image([(2,), (0, 1)], areas, AblatedAreas(np.arange(16), after[:, :, [2, 1]]), (7, 5))
    assert np.allclose(by_image[(0, 1)].value, found.value[[2, 1]])
    assert by_image.rows(slice(1, None, 2)).before.tolist() == before[1::2, [2, 1]].tolist()


def test_rank_correlations_equal_known_values() -> None:
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 40])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([2.0, 1, 4, 3])) == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert np.isnan(spearman(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])))
    low, high = spearman_interval(0.9, 32)
    assert 0.77 < low < 0.9 < high < 0.97


def test_a_layer_with_few_living_units_has_no_random_sets_that_are_nearly_all_of_it() -> None:
    mean_activation = np.array([0.0, 0, 1, 1, 1, 1])
    assert matched_sets(mean_activation, (2, 3), 10) == ((4, 5),), "there are no more"
    assert matched_sets(mean_activation, (2, 3, 4), 10) == ()


def test_random_sets_are_ablated_on_images_that_show_their_concept() -> None:
    areas = Areas(np.arange(6), np.array([0, 4]), np.array([[9, 0], [9, 3], [9, 0], [9, 1], [9, 2], [9, 0]]), 100)
    assert images_showing(areas, 4, 2) == (1, 3)
    assert images_showing(areas, 4, 9) == (1, 3, 4)
    assert images_showing(replace(areas, pixels=areas.pixels * [1, 0]), 4, 2) == (0, 1)


def test_what_random_sets_leave_of_a_concept_is_what_ablating_each_of_them_leaves() -> None:
    number, sets = number_of("ball"), ((UNIT["ball"],), (UNIT["grass"],), (UNIT["dead"],))
    trial = ablations.RandomTrial("one", number, sets, (1, 4, 6))
    found = ablations.make_random_ablations(SOURCE, key())(trial)
    assert found.samples.tolist() == [1, 4, 6]
    areas, ablated = ablations.make_ablations(SOURCE, key(), sets)(Shard(0, 0, 16))[1:]
    assert np.array_equal(found.pixels, ablated.pixels[[1, 4, 6], :, OBJECTS.index("ball")])
    assert np.array_equal(found.pixels[:, 2], areas.pixels[[1, 4, 6], number])
    assert found.pixels[:, 0].sum() == 0 < found.pixels[:, 2].sum()


def test_each_unit_of_a_strip_is_ablated_alone_in_the_same_images() -> None:
    number, units, samples = number_of("ball"), (UNIT["ball"], UNIT["dead"]), (1, 4, 6)
    group = edited_pictures.StripGroup("one", number, units, samples)
    strips = edited_pictures.make_unit_strips(SOURCE, key())(group)
    areas, ablated = ablations.make_ablations(SOURCE, key(), [(unit,) for unit in units])(Shard(0, 0, 16))[1:]
    assert strips.samples.tolist() == [1, 4, 6] and strips.units == units
    assert np.array_equal(strips.pixels_before, areas.pixels[[1, 4, 6], number])
    assert np.array_equal(strips.pixels_after.T, ablated.pixels[[1, 4, 6], :, OBJECTS.index("ball")])
    assert strips.pixels_after[0].sum() == 0 < strips.pixels_before.sum()
    assert np.array_equal(strips.after[1], strips.before)
    assert (strips.after[0] != strips.before).any()


def test_images_of_strips_are_made_smaller_and_never_larger() -> None:
    assert edited_pictures.small(torch.zeros(2, 3, 64, 48)).shape == (2, 64, 48, 3)
    large = edited_pictures.small(torch.full((1, 3, 128, 384), 1.0))
    assert large.shape == (1, 32, 96, 3) and (large == 255).all()


def test_units_are_shown_on_the_concept_that_they_change_most() -> None:
    first = FirstOrder(np.array([[3.0, 0, 1], [1, -9, 0]]), np.array([1.0, 2]))
    assert strongest_concepts(first).tolist() == [0, 1, 0]


def test_every_context_with_enough_images_gets_as_many_insertions_each_in_another_image() -> None:
    contexts = np.zeros((40, 64), np.int64)
    contexts[:, :5], contexts[:35, 7], contexts[:29, 60:] = 1, 2, 3
    found = PatchContexts(np.arange(100, 140), contexts)
    spots = insertion_spots(found, (1, 2, 3), 32)
    assert list(spots) == sorted(spots)
    by_context = {c: [spot for spot in spots if spot[2] == c] for c in (1, 2, 3)}
    assert [len(by_context[c]) for c in (1, 2, 3)] == [32, 32, 0], "the third is in fewer than 30 images"
    assert all(len({sample for sample, _, _ in rows}) == len(rows) for rows in by_context.values())
    assert all(contexts[sample - 100, patch] == c for sample, patch, c in spots)
    assert len({patch for _, patch, _ in by_context[1]}) == 5


def test_random_sets_of_all_concepts_take_turns() -> None:
    sets = tuple(insertions.InsertedSet(n % 3, (n,), (1.0,)) for n in range(6))
    plan = insertions.InsertionPlan((), sets, 2, (), ())
    assert [[one.units[0] for one in plan.random_sets(batch)] for batch in range(4)] == [[0, 1], [2, 3], [4, 5], [0, 1]]
    assert replace(plan, random=()).random_sets(5) == []


def test_the_planted_answers_are_those_of_the_layer_that_is_edited() -> None:
    assert TRUTH.layer == key().layer
    assert features(load(), latents(0, 0, 1, load().latent_shape)).shape[1] == len(UNITS)
