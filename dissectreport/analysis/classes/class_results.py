"""The tables of a classifier's classes, from the predictions with and without units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.classes.accuracy import Figure, Rates, Scored, ends
from dissectreport.analysis.classes.attacked_units import attack_table
from dissectreport.analysis.classes.halves import studied_classes, truth_of
from dissectreport.analysis.common.student import joint_reach
from dissectreport.analysis.results.classes import AblatedUnits, Classes, ShownAttack, ShownImage
from dissectreport.records.classes import ClassExamples, ClassPlan, ClassRecord
from dissectreport.records.interventions import Units
from dissectreport.records.reader import Reader
from dissectreport.run.attacks import Attack, largest_norm
from dissectreport.run.shards import BATCH, SHARD
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.predictions import Attacks, ClassScores, Predictions

NO_FIGURE = Figure(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class _Measured:
    """The measurements of a classifier, read."""

    record: ClassRecord
    scores: ClassScores
    plan: ClassPlan
    sets: Predictions

    @cached_property
    def truth(self) -> Ints:
        """(n,) the class of every image."""
        return truth_of(self.scores)

    @cached_property
    def held_out(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(n,) whether each image scores."""
        return np.isin(self.scores.samples, self.plan.held_out)

    @cached_property
    def scored(self) -> Scored:
        """The held-out images."""
        return Scored(self.truth[self.held_out])

    @cached_property
    def before(self) -> Ints:
        """(n,) predictions of the held-out images without any edit."""
        return np.asarray(self.scores.logits[self.held_out].argmax(1), np.int64)

    @cached_property
    def places(self) -> dict[Units, int]:
        """The column of each set of units."""
        return {units: at for at, units in enumerate(self.plan.sets())}

    def rates(self, number: int, sets: Sequence[Units]) -> Rates:
        """The measures of a class without any edit, and with each set ablated."""
        columns = [self.before, *(self.sets.predicted[:, self.places[units]] for units in sets)]
        return self.scored.rates(np.stack(columns, 1), number)


def class_results(record: ClassRecord, reader: Reader) -> Classes:
    """The classes of a classifier that was measured."""
    plan = reader.read(record.plan, ClassPlan)
    images = len(plan.selection) + len(plan.held_out)
    scores = reader.total(record.scores, images, SHARD, ClassScores)
    sets = reader.total(record.sets, len(plan.held_out), SHARD, Predictions)
    examples = reader.read(record.examples, ClassExamples)
    attacks = reader.total(record.attacks, record.attacked, BATCH, Attacks) if record.attacked else None
    measured = _Measured(record, scores, plan, sets)
    numbers = plan.studied.tolist()
    return Classes(
        layer=record.key.layer,
        units=plan.order.shape[1],
        names=record.classes,
        studied=tuple(record.classes[number] for number in numbers),
        most_images=set(numbers) == set(studied_classes(measured.truth, ~measured.held_out, len(numbers)).tolist()),
        labelled=record.labelled,
        closed_form=record.closed_form,
        validation=record.validation,
        balanced=record.balanced,
        tested=len(plan.tested),
        checked=len(plan.checked),
        images=len(measured.truth),
        held_out=len(plan.held_out),
        accuracy=float((scores.logits.argmax(1) == measured.truth).mean()),
        leading=record.budget.leading,
        random_sets=record.budget.random_sets,
        sizes=plan.sizes,
        largest_norm=largest_norm(examples.images[0].size) if len(examples.images) else np.nan,
        steps=record.budget.steps,
        classes=pd.DataFrame([_class_row(measured, number) for number in numbers]),
        curves=pd.DataFrame([row for place in range(len(numbers)) for row in _curve_rows(measured, place)]),
        class_units=pd.concat([_unit_rows(measured, number) for number in numbers], ignore_index=True),
        attacks=pd.DataFrame() if attacks is None else attack_table(attacks, plan, record.budget.leading),
        shown=_shown(measured, examples),
        shown_attacks=() if attacks is None else _shown_attacks(record, attacks, examples),
        settings={**asdict(record.key), **asdict(record.budget)},
    )


def _named(name: str, figure: Figure) -> dict[str, float]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def _class_row(measured: _Measured, number: int) -> dict[str, Any]:
    rates = measured.rates(number, [])
    return {
        "class": measured.record.classes[number],
        "class_number": number,
        "class_images": int((measured.truth[measured.held_out] == number).sum()),
        "selection_images": int((measured.truth[~measured.held_out] == number).sum()),
        **_named("balanced_accuracy", rates.accuracy_of(0)),
        "recall": float(rates.recall[0]),
        "false_positives": float(rates.false_positives[0]),
        "estimate_correlation": _estimate_correlation(measured.plan, number),
    }


def _estimate_correlation(plan: ClassPlan, number: int) -> float:
    """Rank correlation of estimated and measured losses of certainty, over units that no estimate has chosen."""
    pair = (plan.estimate[number][plan.checked], plan.certainty[number][plan.checked])
    if np.isnan(pair).any() or min(len(np.unique(values)) for values in pair) < 2:
        return np.nan
    estimated, lost = (pd.Series(values).rank() for values in pair)
    return float(estimated.corr(lost))


def _curve_rows(measured: _Measured, place: int) -> Iterator[dict[str, Any]]:
    """The rows of one of the studied classes."""
    plan, number = measured.plan, int(measured.plan.studied[place])
    for size in plan.sizes:
        random = plan.random[size][place]
        chosen = {
            AblatedUnits.LEADING: plan.leading(number, size),
            AblatedUnits.LEAST: plan.least(number, size),
            AblatedUnits.OTHERS: plan.others(number, size),
        }
        rates = measured.rates(number, [*chosen.values(), *random])
        for at, kind in enumerate(chosen, 1):
            difference = (
                _random_difference(rates, at, 1 + len(chosen)) if kind == AblatedUnits.LEADING and random else NO_FIGURE
            )
            yield {
                "class": measured.record.classes[number],
                "ablated": str(kind),
                "ablated_units": size,
                **_named("balanced_accuracy", rates.accuracy_of(at)),
                **_named("accuracy_change", rates.change(at)),
                **_named("random_difference", difference),
                "recall": float(rates.recall[at]),
                "false_positives": float(rates.false_positives[at]),
            }
        if random:
            yield _random_row(measured, number, size, rates, 1 + len(chosen))


def _random_row(measured: _Measured, number: int, size: int, rates: Rates, first: int) -> dict[str, Any]:
    """The mean over random sets, whose rates begin at column `first`, and the range of the sets."""
    own = rates.balanced_accuracy
    sets = own[first:]
    mean = rates.replicated[:, first:].mean(1)
    change = Figure(float(sets.mean() - own[0]), *ends(mean - rates.replicated[:, 0]))
    return {
        "class": measured.record.classes[number],
        "ablated": str(AblatedUnits.RANDOM),
        "ablated_units": size,
        **_named("balanced_accuracy", Figure(float(sets.mean()), float(sets.min()), float(sets.max()))),
        **_named("accuracy_change", change),
        **_named("random_difference", NO_FIGURE),
        "recall": float(rates.recall[first:].mean()),
        "false_positives": float(rates.false_positives[first:].mean()),
    }


def _random_difference(rates: Rates, at: int, first: int) -> Figure:
    """How much more accuracy changes than with random sets, with the prediction interval of one more random set."""
    own = rates.balanced_accuracy
    sets = own[first:]
    value = float(own[at] - sets.mean())
    if len(sets) < 2:
        return Figure(value, np.nan, np.nan)
    replicates: Floats = rates.replicated[:, at] - rates.replicated[:, first:].mean(1)
    of_sets = float(sets.var(ddof=1)) * (1 + 1 / len(sets))
    of_images = float(replicates.var(ddof=1)) * rates.own / max(1, rates.own - 1)
    reach = joint_reach(of_sets, len(sets) - 1, of_images, max(1, min(rates.own, rates.others) - 1))
    return Figure(value, value - reach, value + reach)


def _unit_rows(measured: _Measured, number: int) -> pd.DataFrame:
    """The units of one class, those that matter most first."""
    plan = measured.plan
    order = plan.order[number]
    named = order[: plan.named].tolist()
    rates = measured.rates(number, [(unit,) for unit in named])
    lost = [rates.change(0, at) for at in range(1, 1 + len(named))]
    figures = [*lost, *[NO_FIGURE] * (len(order) - len(named))]
    drop, ranks = plan.importance[number][order], np.arange(1, len(order) + 1)
    return pd.DataFrame(
        {
            "class": measured.record.classes[number],
            "unit": order,
            "class_rank": ranks,
            "accuracy_lost": drop,
            "certainty_lost": plan.certainty[number][order],
            "estimated_loss": plan.estimate[number][order],
            "held_out_lost": [figure.value for figure in figures],
            "held_out_lost_low": [figure.low for figure in figures],
            "held_out_lost_high": [figure.high for figure in figures],
            "matters": (ranks <= measured.record.budget.leading) & (drop > 0),
        }
    )


def _shown(measured: _Measured, examples: ClassExamples) -> dict[str, tuple[ShownImage, ...]]:
    names, row = measured.record.classes, dict(zip(measured.scores.samples.tolist(), range(10**9), strict=False))
    predicted = measured.scores.logits.argmax(1)
    shown: dict[str, tuple[ShownImage, ...]] = {names[number]: () for number in measured.plan.studied.tolist()}
    for sample, image in zip(examples.samples.tolist(), examples.images, strict=True):
        label = names[int(measured.truth[row[sample]])]
        shown[label] = (*shown[label], ShownImage(sample, image, label, names[int(predicted[row[sample]])]))
    return shown


def _shown_attacks(record: ClassRecord, attacks: Attacks, examples: ClassExamples) -> tuple[ShownAttack, ...]:
    names, mode = record.classes, list(Attack).index(Attack.TARGETED)
    rows = {sample: at for at, sample in enumerate(attacks.samples.tolist())}
    return tuple(
        ShownAttack(
            sample=sample,
            before=before,
            after=after,
            source=names[int(attacks.source[rows[sample]])],
            target=names[int(attacks.target[rows[sample]])],
            predicted=names[int(attacks.predicted[rows[sample], mode])],
        )
        for sample, before, after in zip(examples.attacked.tolist(), examples.before, examples.after, strict=True)
    )
