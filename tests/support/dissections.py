"""A made-up dissection with drawn pictures: all that a report can show, without a measurement."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.assemble import ablated_images
from dissectreport.analysis.dissection.match_curves import CUT_OFFS
from dissectreport.analysis.interventions.shown_images import alone_table
from dissectreport.analysis.real_images import reality
from dissectreport.analysis.results import interventions
from dissectreport.analysis.results.dissection import (
    Curves,
    Dissection,
    Examples,
    Layer,
    Lookup,
    Pictures,
    Provenance,
    Trust,
    TrustSource,
)
from dissectreport.analysis.results.formulas import FormulaCounts
from dissectreport.analysis.results.interventions import (
    Ablated,
    ConceptPictures,
    Heat,
    Inserted,
    Interventions,
    RandomControl,
    UnitStrip,
)
from dissectreport.stats.areas import Areas
from dissectreport.vocabulary import Concept, Vocabulary
from tests.support.pictures import GRID, LISTED, NAMES, SHOWN, draw, pooled, ranks


def activations(rng: np.random.Generator, present: NDArray[np.bool_], units: int, side: int) -> NDArray[np.float32]:
    """(n, units, side, side): most units follow a concept, some a place, some nothing, one a neighbour."""
    n, concepts = present.shape[:2]
    noise = rng.normal(0, 1, (n, units, side, side)).astype(np.float32)
    follows = rng.permutation(np.resize(np.arange(1, concepts), units))
    strength = rng.choice([0.0, 0.6, 1.5, 3.0], units, p=[0.15, 0.15, 0.35, 0.35])
    soft = np.stack([pooled(present[:, c], side) for c in range(concepts)], 1)
    maps = noise * 0.45 + strength[None, :, None, None] * soft[:, follows]
    maps[:, 2] = noise[:, 2] * 0.2 + np.linspace(1.5, -1, side)[None, :, None]
    maps[:, 3], maps[:, 4] = 0, maps[:, 5]
    return np.asarray(maps, np.float32)


def intervals(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with iou, null and their relatives completed."""
    width = rng.uniform(0.008, 0.05, len(table))
    table["iou_low"], table["iou_high"] = (table["iou"] - width).clip(0), (table["iou"] + width).clip(upper=1)
    table["corrected_iou"] = (table["iou"] - table["chance_level"]) / (1 - table["chance_level"])
    table["corrected_iou_low"], table["corrected_iou_high"] = (
        table["corrected_iou"] - width,
        table["corrected_iou"] + width,
    )
    lift = (table["iou"] / table["chance_level"]).where(table["chance_level"] > 0.004)
    table["lift"], table["lift_low"], table["lift_high"] = lift, lift * 0.92, lift * 1.09
    return table


def make_layer(
    rng: np.random.Generator,
    name: str,
    units: int,
    side: int,
    shown: NDArray[np.int64],
    present: NDArray[np.bool_],
) -> Layer:
    """One layer whose numbers really are those of its maps over the drawn pictures."""
    maps = activations(rng, present, units, side)
    n, concepts = present.shape[:2]
    flat = maps.transpose(1, 0, 2, 3).reshape(units, -1)
    wide = np.repeat(np.repeat(maps, GRID // side, 2), GRID // side, 3).transpose(1, 0, 2, 3)
    on_fractions = np.geomspace(0.4, 0.004, 18)
    thresholds = np.quantile(flat, 1 - on_fractions, axis=1).T.astype(np.float32)
    masks = present.transpose(1, 0, 2, 3).reshape(concepts, -1).astype(np.float32)
    often = present.sum(0, dtype=np.float32).reshape(concepts, -1)
    iou, chance_level = np.zeros((2, units, concepts, len(on_fractions)))
    for t in range(len(on_fractions)):
        on = wide > thresholds[:, t, None, None, None]
        both = on.reshape(units, -1).astype(np.float32) @ masks.T
        pair = (on.sum(1, dtype=np.float32).reshape(units, -1) @ often.T - both) / (n - 1)
        total = on.sum((1, 2, 3))[:, None] + masks.sum(1)
        iou[:, :, t], chance_level[:, :, t] = both / (total - both), pair / (total - pair)
    corrected_iou = (iou - chance_level) / (1 - chance_level)
    corrected_iou[:, 0] = -1
    at = corrected_iou.max(1).argmax(1)
    every = np.arange(units)
    ranked = np.argsort(-corrected_iou.max(2), axis=1, kind="stable")[:, :12]
    best = corrected_iou.argmax(2)

    def rows(pick: NDArray[np.int64]) -> pd.DataFrame:
        unit = np.repeat(every, pick.shape[1])
        concept = pick.reshape(-1)
        t = best[unit, concept]
        return intervals(
            rng,
            pd.DataFrame(
                {
                    "unit": unit,
                    "concept": [LISTED[c][0] for c in concept],
                    "category": [LISTED[c][1] for c in concept],
                    "threshold": thresholds[unit, t],
                    "on_fraction": on_fractions[t],
                    "selection_score": corrected_iou[unit, concept, t],
                    "iou": iou[unit, concept, t],
                    "chance_level": chance_level[unit, concept, t],
                    **parts(iou[unit, concept, t], chance_level[unit, concept, t]),
                }
            ),
        )

    pairs = rows(ranked)
    pairs["tested"] = True
    table = rows(ranked[:, :1])
    good = table["corrected_iou"] >= 0.1
    table["p"] = np.where(good, 1e-4, 0.4)
    table["q"] = np.where(good, 3e-4, 0.6)
    table["interpretable"] = table["beats_chance"] = good
    table["attainable"], table["position_only"] = 0.93, table["chance_level"] * 1.3
    table["runner_up"] = [LISTED[c][0] for c in ranked[:, 1]]
    table["runner_up_corrected_iou"] = corrected_iou[every, ranked[:, 1], best[every, ranked[:, 1]]]
    table["stability"] = rng.uniform(0.4, 1, units).round(2)
    table["f1"] = 2 * table["iou"] / (1 + table["iou"])
    table["average_precision"], table["correlation"] = table["f1"] * 0.95, table["f1"] * 0.9
    table["unit_state"] = ""
    if units > 5:
        table.loc[3, "unit_state"], table.loc[4, "unit_state"] = "dead", "duplicate of 5"
        figures = [
            "iou",
            "chance_level",
            "corrected_iou",
            "lift",
            "p",
            "q",
            "threshold",
            "on_fraction",
            "attainable",
            "position_only",
            "iou_areas",
            "iou_image_level",
            *(f"{part}_images{end}" for part in ("between", "within") for end in ("", "_low", "_high")),
        ]
        figures += [f"{f}_{end}" for f in ("iou", "corrected_iou", "lift") for end in ("low", "high")]
        table.loc[3, [*figures, "runner_up_corrected_iou", "stability"]] = np.nan
        table.loc[3, ["concept", "category", "runner_up", "kind"]] = ""
        table.loc[3, ["interpretable", "beats_chance"]] = False
    table = with_formulas(table)
    labels = []
    for category in NAMES:
        group = np.array([c for c in range(1, concepts) if LISTED[c][1] == category])
        labels.append(rows(group[corrected_iou[:, group].max(2).argmax(1)][:, None]))
    labels_table = pd.concat(labels).sort_values(["unit", "category"], kind="stable").reset_index(drop=True)
    named = table["concept"].to_numpy()[labels_table["unit"]]
    labels_table["is_unit_label"] = labels_table["concept"].to_numpy() == named
    del at
    labels_table["interpretable"] = labels_table["corrected_iou"] >= 0.1
    return Layer(
        name=name,
        units=units,
        height=side,
        width=side,
        table=table,
        labels=labels_table[labels_table["corrected_iou"] > 0.03].reset_index(drop=True),
        pairs=pairs[(pairs["corrected_iou"] > -0.5) & (pairs["unit"] != 3)].reset_index(drop=True),
        controls=make_controls(table, labels_table),
        curves=make_curves(ranked[:, :4], thresholds, np.tile(on_fractions, (units, 1)), iou, chance_level),
        histogram=np.stack([np.histogram(row, 60, (float(flat.min()), float(flat.max())))[0] for row in flat]),
        edges=np.tile(np.linspace(flat.min(), flat.max(), 61, dtype=np.float32), (units, 1)),
        correlated=make_correlated(flat),
        examples=make_examples(rng, maps, shown),
        lookup=Lookup(shown[:6], ranks(maps[:6])),
        by_rotation=tuple(int(table["interpretable"].sum() * share) for share in (0.3, 0.4, 0.4, 0.4, 0.5)),
        own_units=make_own_units(pairs),
        match_curves=make_match_curves(table, labels_table),
        by_concept=make_counts(labels_table),
        formulas=FormulaCounts(int(table["formula_better"].sum()), 0, int(good.sum()), 0),
    )


def with_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a formula of every third unit, of which every second one is better than the label."""
    there = (table["unit"] % 3 == 1) & (table["concept"] != "")
    better = there & (table["unit"] % 2 == 1)
    match = table["corrected_iou"] + np.where(better, 0.06, 0.004)
    figures = {
        "formula_threshold": table["threshold"],
        "formula_iou": table["iou"] + 0.06,
        "formula_iou_low": table["iou"] + 0.04,
        "formula_iou_high": table["iou"] + 0.08,
        "formula_chance_level": table["chance_level"],
        "formula_corrected_iou": match,
        "formula_gain": match - table["corrected_iou"],
        "formula_gain_low": match - table["corrected_iou"] - 0.02,
        "formula_gain_high": match - table["corrected_iou"] + 0.02,
        "formula_q": pd.Series(np.where(better, 0.001, 0.7)),
    }
    words = table["concept"] + " AND NOT " + table["runner_up"]
    return table.assign(
        formula=words.where(there, ""),
        formula_better=better,
        **{name: values.where(there) for name, values in figures.items()},
    )


def parts(iou: NDArray[np.float64], chance_level: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """What IoUs are made of: half of what is beyond chance lies within images where the IoU is large, else a tenth."""
    beyond = iou - chance_level
    within = beyond * np.where(iou > 0.3, 0.5, 0.1)
    between = beyond - within
    figures = {"iou_areas": chance_level * 0.6, "iou_image_level": chance_level + between}
    for name, part in (("between_images", between), ("within_images", within)):
        figures |= {name: part, f"{name}_low": part - 0.02, f"{name}_high": part + 0.02}
    kind = np.where(np.maximum(within, between) < 0.02, "place", np.where(within >= between, "object", "scene"))
    return {**figures, "kind": kind.astype(object)}


def make_match_curves(table: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Units at or above each cut-off, and fewer of each control."""
    parts = []
    for control, share in (("measured", 1.0), ("random_directions", 0.8), ("untrained", 0.3), ("chance", 0.05)):
        for category in ("", *NAMES):
            values = (table if not category else labels[labels["category"] == category])["corrected_iou"].to_numpy()
            units = (share * values[:, None] >= CUT_OFFS).sum(0).astype(float)
            band = {
                "units_low": (units - 1).clip(0),
                "units_high": np.where(units > 0, units + 1, 0).clip(0, len(table)),
            }
            figures = {"cut_off": CUT_OFFS, "units": units, **band, "layer_units": len(table)}
            parts.append(pd.DataFrame({"control": control, "category": category, **figures}))
    return pd.concat(parts, ignore_index=True)


def make_own_units(pairs: pd.DataFrame) -> pd.DataFrame:
    """The best unit of each concept against directions that match it half as well."""
    best = pairs.sort_values("selection_score", ascending=False, kind="stable").drop_duplicates("concept")
    match = best["corrected_iou"].to_numpy()
    own = match > 0.3
    figures = {
        **{name: best[name].to_numpy() for name in ("concept", "category", "unit", "corrected_iou")},
        "best_direction": match / 2,
        "best_direction_least": match / 3,
        "best_direction_most": match / 1.5,
        "difference": match / 2,
        "difference_low": match / 4,
        "difference_high": match / 1.5,
        "p": np.where(own, 0.001, 0.4),
        "q": np.where(own, 0.004, 0.6),
        "own_unit": own,
    }
    return pd.DataFrame(figures)


def make_curves(leading: Any, thresholds: Any, on_fractions: Any, iou: Any, chance_level: Any) -> Curves:
    """The curves of the leading concepts, with a band around the first."""
    ious, nulls = (np.take_along_axis(a, leading[:, :, None], 1) for a in (iou, chance_level))
    first = ious[:, 0]
    return Curves(leading, thresholds, on_fractions, ious, nulls, (first - 0.03).clip(0), (first + 0.03).clip(max=1))


def make_correlated(flat: NDArray[np.float32]) -> pd.DataFrame:
    """The 8 most correlated other units of each unit."""
    spread = flat + np.random.default_rng(9).normal(0, 1e-6, flat.shape)
    matrix = np.asarray(np.nan_to_num(np.corrcoef(spread)))
    np.fill_diagonal(matrix, -2)
    first = np.argsort(-matrix, 1, kind="stable")[:, : min(8, len(flat) - 1)]
    unit = np.repeat(np.arange(len(flat)), first.shape[1])
    other = first.reshape(-1)
    return pd.DataFrame({"unit": unit, "other_unit": other, "correlation": matrix[unit, other]})


def make_examples(rng: np.random.Generator, maps: NDArray[np.float32], shown: NDArray[np.int64]) -> Examples:
    """Eight top, four middle and four random images of each unit."""
    n, units = maps.shape[:2]
    kind = np.array(["top"] * 8 + ["middle"] * 4 + ["random"] * 4)
    peaks = maps.max((2, 3))
    order = np.argsort(-peaks, 0, kind="stable").T
    chosen = np.concatenate([order[:, :8], order[:, n // 2 - 2 : n // 2 + 2], rng.integers(0, n, (units, 4))], 1)
    every = np.arange(units)[:, None]
    return Examples(kind, shown[chosen], peaks[chosen, every], maps[chosen, every].astype(np.float16))


def make_controls(table: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Counts of interpretable units, by overall label and by the label within each category, beside three controls."""
    good, within = table[table["interpretable"]], labels[labels["interpretable"]]
    rows = []
    for control, share in (("measured", 1.0), ("random_directions", 0.4), ("untrained", 0.08), ("chance", 0.02)):
        for category in ("", *NAMES):
            part = good if not category else within[within["category"] == category]
            units = int(len(part) * share)
            concepts = int(np.ceil(part["concept"].nunique() * share)) if units else 0
            row = (control, category, units, max(0, units - 2), units + 2, len(table), concepts)
            mean = table["corrected_iou"].mean() if (control, category) == ("measured", "") else np.nan
            rows.append((*row, max(0, concepts - 1), concepts + 1, mean, mean - 0.02, mean + 0.02))
    names = ("control", "category", "units", "units_low", "units_high", "layer_units", "concepts")
    means = ("mean_corrected_iou", "mean_corrected_iou_low", "mean_corrected_iou_high")
    return pd.DataFrame(rows, columns=[*names, "concepts_low", "concepts_high", *means])


def make_counts(labels: pd.DataFrame) -> pd.DataFrame:
    """Interpretable units by concept, in the layer itself and under three controls."""
    found = labels[labels["interpretable"]].groupby(["category", "concept"], sort=False)["unit"].count()
    rows = []
    for control, share in (("measured", 1.0), ("random_directions", 0.4), ("untrained", 0.08), ("chance", 0.02)):
        for (category, concept), number in zip(found.index.to_list(), found, strict=True):
            units = int(number * share)
            high = units + 1 if control == "measured" else units
            if high:
                rows.append((control, category, concept, units, max(0, units - 1), high))
    return pd.DataFrame(rows, columns=["control", "category", "concept", "units", "units_low", "units_high"])


def example_dissection(
    seed: int = 0, units: int = 12, layers: int = 2, name: str = "planted", size: int = 64, side: int = 8
) -> Dissection:
    """A plausible dissection of `layers` layers of `units` units; the same arguments, the same value."""
    made: Dissection = pickle.loads(_example(seed, units, layers, name, size, side))
    return made


@lru_cache(maxsize=64)
def _example(seed: int, units: int, layers: int, name: str, size: int, side: int) -> bytes:
    """The same as bytes, of which every test takes a value of its own."""
    rng = np.random.default_rng(seed)
    drawn = [draw(rng, size) for _ in range(SHOWN)]
    pixels = np.stack([image for image, _ in drawn])
    found = np.stack([labels for _, labels in drawn])
    small = found[:, :, :: size // GRID, :: size // GRID]
    present = np.stack([(small == number).any(1) for number in range(len(LISTED))], 1)
    numbers = np.sort(rng.choice(2000, SHOWN, replace=False))
    area = present.mean((0, 2, 3))
    occurs = [c for c in range(1, len(LISTED)) if area[c] > 0]
    concepts = pd.DataFrame(
        {
            "concept": [LISTED[c][0] for c in occurs],
            "category": [LISTED[c][1] for c in occurs],
            "pixels": present.sum((0, 2, 3))[occurs],
            "images": present.any((2, 3)).sum(0)[occurs],
            "area": area[occurs],
            "area_low": area[occurs] * 0.9,
            "area_high": area[occurs] * 1.1,
            "position_only": area[occurs] ** 0.5 * 0.6,
            "tested": True,
            "counts_as": [LISTED[c][0] for c in occurs],
            "segmenter_iou": np.where(np.arange(len(occurs)) % 5 == 4, np.nan, 0.9),
        },
        index=pd.Index(occurs, name="number"),
    )
    confidence = np.clip(0.99 - rng.random((4, GRID, GRID)) * 0.3, 0, 1).astype(np.float16)
    made = Dissection(
        model=name,
        provenance=make_provenance(name, seed, size),
        vocabulary=pd.DataFrame(LISTED, columns=["concept", "category"]),
        concepts=concepts,
        layers=tuple(
            make_layer(rng, f"layer{k + 1}", units, min(GRID, side * 2**k), numbers, present) for k in range(layers)
        ),
        pictures=Pictures(numbers, pixels),
        trust=(
            Trust(TrustSource.TRAINING_LIKE, pixels[:4], small[:4], confidence),
            Trust(TrustSource.GENERATED, pixels[4:8], small[4:8], confidence[::-1] ** 3),
        ),
        notes=("A made-up dissection with drawn pictures; no network was measured.",),
    )
    return pickle.dumps(made)


def make_provenance(name: str, seed: int, size: int) -> Provenance:
    """Plausible facts about a run."""
    return Provenance(
        model=name,
        rule="corrected",
        seed=seed,
        samples=10_000,
        selection=5_000,
        held_out=5_000,
        pilot=1_000,
        grid=64,
        groups=20,
        generator={
            "name": name,
            "identity": "drawn-shapes-1",
            "sha256": "9f2c" * 16,
            "family": "drawn shapes",
            "image_size": [size, size],
            "latent_shape": [64],
            "card": {"images": 186_000, "licence": "CC0"},
        },
        segmenter={"name": "exact", "identity": "exact-masks-1", "card": {"mean_iou": 0.96}},
        versions={"dissectreport": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
        devices=("cpu",),
        command=f"dissectreport build {name} --seed {seed}",
        thresholds={"corrected_iou": 0.04, "q": 0.05},
    )


REMOVED = {"tree": ("tree", "crown"), "door": ("door",), "sky": ("sun", "hill")}
"""What a picture lacks when the units of a concept are off."""
COUNTS = (0, 1, 2, 4, 8, 12, 20, 30)


def with_interventions(made: Dissection, seed: int = 5, shown: int = 4) -> Dissection:
    """The same with a plausible account of what the units of its last layer cause."""
    rng = np.random.default_rng(seed)
    layer, size = made.layers[-1], made.pictures.pixels.shape[1]
    most = [n for n in COUNTS if n <= layer.units]
    sizes = sorted({min(10, layer.units), min(20, layer.units)})
    strength = {"tree": 0.86, "door": 0.64, "sky": 0.12}
    tables: dict[str, list[pd.DataFrame]] = {}

    def add(name: str, concept: str, **columns: Any) -> None:
        tables.setdefault(name, []).append(pd.DataFrame({"concept": concept, **columns}))

    for concept, strongest in strength.items():
        row = made.concepts[made.concepts["concept"] == concept].iloc[0]
        best = "greedy" if concept == "tree" else "gradient"
        add(
            "concepts",
            concept,
            category=[row.category],
            area=[row.area],
            images=[4000],
            best_ranking=[best],
            context_p=[0.001],
            mask_loss_start=[0.61],
            mask_loss_end=[0.19],
        )
        effects = made_effects(rng, layer.units, strongest)
        add("effects", concept, **effects)
        measured = int(effects["measured_effect"].notna().sum())
        add(
            "agreement",
            concept,
            units=[measured],
            spearman=[0.81],
            spearman_low=[0.7],
            images=[24],
            spearman_high=[0.88],
            noise_ceiling=[0.93],
            noise_ceiling_low=[0.71],
            noise_ceiling_high=[0.98],
        )
        for at, order in enumerate((*interventions.RANKING_METHODS, "random")):
            units = np.array(most)
            top = 0.05 if order == "random" else strongest * (1 - 0.09 * at)
            removed = top * (1 - np.exp(-units / 6.0))
            width = np.where(units > 0, 0.03, 0.0)
            add(
                "curves",
                concept,
                ranking=order,
                units=units,
                removed=removed,
                removed_low=removed - width,
                removed_high=removed + width,
            )
            if order == "random":
                continue
            chosen = rng.permutation(layer.units)[:30]
            weight = np.linspace(1, 0.1, len(chosen)) if order == "learned_mask" else np.nan
            add("rankings", concept, ranking=order, rank=np.arange(1, len(chosen) + 1), unit=chosen, weight=weight)
            at_sizes = top * (1 - np.exp(-np.array(sizes) / 6.0))
            add(
                "removal",
                concept,
                ranking=order,
                units=sizes,
                removed=at_sizes,
                removed_low=at_sizes - 0.03,
                removed_high=at_sizes + 0.03,
                random=0.04,
                random_low=-0.01,
                random_high=0.09,
                difference=at_sizes - 0.04,
                difference_low=at_sizes - 0.08,
                difference_high=at_sizes,
                random_images=12,
                random_activation=0.97,
                random_rank_distance=0.031,
            )
        others = made.concepts
        change = rng.normal(0, 0.15, len(others)).round(3)
        change[others["concept"] == concept] = -strongest
        add(
            "side_effects",
            concept,
            ranking=best,
            units=sizes[-1],
            other_concept=others["concept"].to_numpy(),
            category=others["category"].to_numpy(),
            before=others["area"].to_numpy(),
            after=others["area"].to_numpy() * (1 + change),
            change=change,
            change_low=change - 0.05,
            change_high=change + 0.05,
        )
        edits = {"zero": strongest, "mean": strongest * 0.9, "resampled": strongest * 0.8, "ace": 1.4 * strongest}
        ends = [("", 0.0), ("_low", -0.05), ("_high", 0.05)]
        columns = {name if name == "ace" else f"removed_{name}": value for name, value in edits.items()}
        add(
            "variants",
            concept,
            units=[sizes[-1]],
            images=[40],
            **{f"{name}{end}": [value + reach] for name, value in columns.items() for end, reach in ends},
            confidence_lost_before=[0.91],
            confidence_lost_after=[0.62 if concept == "door" else 0.87],
            confidence_before=[0.93],
            confidence_after=[0.9],
            segmenter_fails=[concept == "door"],
        )
        contexts = ("grass", "house", "sky", "hill", "")
        gains = np.array([61.0, 44.5, 3.2, 20.0, -1.5])
        add(
            "context",
            concept,
            context_concept=contexts,
            insertions=[32, 32, 31, 32, 30],
            gain=gains,
            gain_low=gains - 4,
            gain_high=gains + 4,
            random_insertions=16,
            random_gain=1.1,
            random_gain_low=-0.4,
            random_gain_high=2.6,
        )
    joined = {name: pd.concat(found, ignore_index=True) for name, found in tables.items()}
    pictures = {
        concept: made_pictures(seed + i, concept, layer.units, size, shown) for i, concept in enumerate(strength)
    }
    unit_pictures = {unit: made_ablated(seed + unit, "tree", (unit,), size, 2) for unit in (0, 1)}
    strips = made_strips(layer.units, size)
    found = Interventions(
        layer=layer.name,
        samples=4_096,
        selection=1_024,
        random_sets=20,
        random_images=12,
        block=64.0,
        settings={"seed": 1, "held_out_seed": 4, "learned_mask": {"steps": 300, "rate": 0.1}},
        unit_pictures=unit_pictures,
        strips=strips,
        alone=alone_table(strips),
        pictures=pictures,
        notes=("The concept door occurs in few images.",),
        **joined,
    )
    return replace(made, interventions=found, trust=(*made.trust, *ablated_images(found)))


def made_effects(rng: np.random.Generator, units: int, strongest: float) -> dict[str, Any]:
    """Effects of all units by rank; the weaker half was not ablated one by one."""
    estimate = np.sort(rng.normal(0, strongest / 12, units) + (rng.random(units) < 0.3) * strongest / 5)[::-1]
    measured_effect = pd.Series(estimate * rng.uniform(0.6, 1.2, units))
    measured_effect[units // 2 :] = np.nan
    return {
        "unit": rng.permutation(units),
        "rank": np.arange(1, units + 1),
        "estimate": estimate,
        "corrected_iou": rng.uniform(-0.05, 0.3, units),
        "measured_effect": measured_effect,
        "measured_effect_low": measured_effect - 0.02,
        "measured_effect_high": measured_effect + 0.02,
    }


def made_ablated(seed: int, concept: str, units: tuple[int, ...], size: int, shown: int) -> Ablated:
    """Pictures with and without a concept."""
    numbers = np.arange(shown) + seed * 10
    both = [[draw(np.random.default_rng(n), size, without) for n in numbers] for without in ((), REMOVED[concept])]
    step = size // GRID
    before, after = (np.stack([pixels for pixels, _ in side]) for side in both)
    labels_before, labels_after = (np.stack([labels for _, labels in side])[:, :, ::step, ::step] for side in both)
    confidence = np.full((shown, GRID, GRID), 0.8, np.float16)
    return Ablated(units, numbers, before, after, labels_before, labels_after, confidence)


def made_pictures(seed: int, concept: str, units: int, size: int, shown: int) -> ConceptPictures:
    """What is shown of one concept."""
    ablated = made_ablated(seed, concept, tuple(range(min(20, units))), size, shown)
    places = np.array([(0.5, 0.125 * (i + 1), 0.25, 0.25) for i in range(shown)], np.float32)
    grown = "crown" if concept == "tree" else concept
    after = [
        draw(np.random.default_rng(n), size, more=(grown, left + width / 2, top + height / 2))[0]
        for n, (top, left, height, width) in zip(ablated.samples, places.tolist(), strict=True)
    ]
    contexts = tuple(np.resize(("grass", "house", "sky", ""), shown).tolist())
    gains = np.resize([180, 90, -3, 0], shown)
    inserted = Inserted(ablated.units, ablated.samples, places, contexts, gains, ablated.before, np.stack(after))
    rise = np.linspace(-12, 30, 8, dtype=np.float32)
    maps = np.stack([np.add.outer(rise, np.roll(rise, i)) for i in range(min(3, shown))])
    activations = np.stack([np.add.outer(rise, -rise) for _ in range(shown)])
    control = RandomControl(tuple(range(units - 2, units)), ablated.before[:, ::-1], 0, activations)
    return ConceptPictures(ablated, inserted, Heat(ablated.samples[: len(maps)], maps), control)


def made_strips(units: int, size: int, shown: int = 8) -> dict[int, UnitStrip]:
    """Every unit ablated alone: the first ones remove some of the tree, the others nothing."""
    ablated = made_ablated(7, "tree", (0,), size, shown)
    before, removes = np.linspace(200, 900, shown).astype(np.int64), np.linspace(0.4, 0, units)
    return {
        unit: UnitStrip(
            concept="tree",
            samples=ablated.samples,
            before=ablated.before,
            after=ablated.after if removes[unit] > 0.2 else ablated.before,
            pixels_before=before,
            pixels_after=(before * (1 - removes[unit] * np.linspace(0.5, 1.5, shown))).astype(np.int64),
        )
        for unit in range(units)
    }


def with_real_images(made: Dissection, seed: int = 7) -> Dissection:
    """The same beside real images, of which some concepts are generated less, one not at all, and one is not real."""
    rng = np.random.default_rng(seed)
    numbers = made.concepts.index.to_numpy()
    area = made.concepts["area"].to_numpy()
    often = np.where(np.arange(len(numbers)) == 4, 0.03, 0.8)
    scale = np.resize([1.0, 0.25, 1.0, 0.6, 1.0, 2.1, 0.93], len(numbers))

    def images(n: int, mean: NDArray[np.float64]) -> Areas:
        share = rng.gamma(2, mean / 2 / often, (n, len(mean))) * (rng.random((n, len(mean))) < often)
        return Areas(np.arange(n), numbers, (share.clip(max=1) * GRID**2).round().astype(np.int64), GRID**2)

    real, generated = images(600, area), images(900, area * scale)
    there = np.arange(len(numbers)) != 6
    left_out = Areas(generated.samples, numbers[there], generated.pixels[:, there], GRID**2)
    return replace(made, reality=reality(real, left_out, Vocabulary(tuple(Concept(*concept) for concept in LISTED))))
