"""Lines as columns: one model's estimate, two models' paired difference, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.evaluate.asking import Measure
from togi.evaluate.ledger import Line
from togi.stats import (
    Estimate,
    Paired,
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
    paired_ratio_difference,
    wilson,
)

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Column:
    """One model's lines of one task, in the order of the ids.

    Attributes:
        ids: sorted sample ids.
        templates: the template hashes that occur.
        clusters: label of each sample, or None where the task has no clusters.
        numbers: name -> (rows,) what the lines' `measures` hold, NaN where undefined.
        samples: digest of what each line asks and expects; "" where a line does not tell it.
    """

    ids: tuple[str, ...]
    templates: tuple[str, ...]
    clusters: list[str] | None
    numbers: dict[str, NDArray[np.float64]]
    samples: tuple[str, ...] = ()


def column(lines: Sequence[Line]) -> Column:
    """Put the lines of one model and task into columns.

    Raises:
        DataError: a sample occurs twice, or lines hold different numbers.
    """
    ordered = sorted(lines, key=lambda line: line["id"])
    ids = tuple(line["id"] for line in ordered)
    where = f"samples.jsonl, task '{ordered[0]['task']}', model '{ordered[0]['model']}'"
    if len(set(ids)) < len(ids):
        twice = next(a for a, b in pairwise(ids) if a == b)
        raise DataError(f"sample {twice!r} was answered twice", where=where)
    names = ordered[0]["measures"].keys()
    if any(line["measures"].keys() != names for line in ordered):
        raise DataError("the lines hold different measures", where=where)
    numbers = {
        name: np.array(
            [math.nan if (v := line["measures"][name]) is None else v for line in ordered],
            dtype=np.float64,
        )
        for name in names
    }
    labels = [line["cluster"] for line in ordered]
    templates = tuple(sorted({line["template"] for line in ordered}))
    samples = tuple(str(line.get("sample", "")) for line in ordered)
    return Column(ids, templates, labels if any(labels) else None, numbers, samples)


def columns(lines: Sequence[Line]) -> dict[tuple[str, str], Column]:
    """Return (model, task) -> column."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["model"], line["task"]), []).append(line)
    return {pair: column(group) for pair, group in groups.items()}


def estimate(measure: Measure, found: Column, *, seed: int = 0) -> Estimate:
    """Estimate one measure of one model on one task.

    A ratio of sums gets the bootstrap of that ratio; independent answers that are right or wrong
    get Wilson's interval; all else gets the bootstrap of the mean. Clusters are resampled whole.
    A power of e has the powers of the ends as its interval.

    >>> score = Measure(name="a", unit="share", higher_is_better=True, definition="", over="a")
    >>> estimate(score, Column(("1", "2"), ("t",), None, {"a": np.array([1.0, 0.0])})).mean
    0.5
    """
    plain = _estimate(measure, found, seed)
    if not measure.exponent:
        return plain
    with np.errstate(over="ignore"):  # a text without white space is one word of very many nats
        mean, low, high = np.exp([plain.mean, plain.low, plain.high]).tolist()
    return replace(plain, mean=mean, low=low, high=high)


def _estimate(measure: Measure, found: Column, seed: int) -> Estimate:
    values = found.numbers[measure.over]
    if measure.per:
        return bootstrap_ratio(
            values * measure.scale,
            found.numbers[measure.per],
            clusters=found.clusters,
            level=LEVEL,
            seed=seed,
        )
    known = values[~np.isnan(values)]
    if found.clusters is None and len(known) and np.isin(known, (0.0, 1.0)).all():
        return wilson(float(known.sum()), len(known), LEVEL)
    return bootstrap_mean(values * measure.scale, clusters=found.clusters, level=LEVEL, seed=seed)


def check_pair(
    task: str, after: Column, before: Column, names: tuple[str, str], *, alike: bool = True
) -> None:
    """Refuse to compare unlike with unlike.

    Args:
        task: its name, for the error.
        after: the one model's lines.
        before: the other's.
        names: of the two.
        alike: False where the user has allowed that they were asked in different ways.

    Raises:
        DataError: the two were asked in different ways, or different samples.
    """
    where = f"task '{task}', {names[0]} against {names[1]}"
    if alike and (after.templates != before.templates or len(after.templates) != 1):
        raise DataError(
            "the two were asked in different ways and cannot be compared",
            where=where,
            found=f"templates {', '.join(after.templates)} and {', '.join(before.templates)}",
            expected="one and the same template",
            hint="judge both models again with one task",
        )
    if after.ids != before.ids:
        only = [sorted(set(a.ids) - set(b.ids)) for a, b in ((after, before), (before, after))]
        raise DataError(
            "the two were asked different samples and cannot be paired",
            where=where,
            found=f"{len(only[0])} samples only of {names[0]} ({', '.join(only[0][:3])}), "
            f"{len(only[1])} only of {names[1]} ({', '.join(only[1][:3])})",
            expected="the same sample ids",
            hint="judge both models again with one task",
        )
    told = zip(after.ids, after.samples, before.samples, strict=False)
    edited = [name for name, one, two in told if one and two and one != two]
    if edited:
        raise DataError(
            "the two were asked different samples under the same ids and cannot be paired",
            where=where,
            found=f"{len(edited)} of {len(after.ids)} ({', '.join(edited[:3])})",
            expected="the same prompts, answers and choices",
            hint="the rows were edited in between: judge both models again",
        )


def paired(measure: Measure, after: Column, before: Column, *, seed: int = 0) -> Paired:
    """Return the paired difference of one measure; the columns have passed `check_pair`.

    Raises:
        DataError: the denominators of the two differ.
    """
    one, two = after.numbers[measure.over], before.numbers[measure.over]
    kept = {"clusters": after.clusters, "level": LEVEL, "seed": seed}
    if not measure.per:
        return paired_difference(one * measure.scale, two * measure.scale, **kept)
    size = after.numbers[measure.per]
    if not np.array_equal(size, before.numbers[measure.per], equal_nan=True):
        raise DataError(f"the samples' {measure.per} differ between the two models")
    return paired_ratio_difference(one * measure.scale, two * measure.scale, size, **kept)
