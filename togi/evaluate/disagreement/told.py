"""What `raters.json` says of groups: axes and groups with intervals, p-values and q-values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.errors import DataError
from togi.evaluate.disagreement.grasp import portrait
from togi.evaluate.disagreement.groups import LEAST_RATERS, AxisTest, GroupTest, axis_test
from togi.evaluate.disagreement.membership import Pool
from togi.evaluate.disagreement.soft import plurality
from togi.evaluate.disagreement.table import Ratings
from togi.stats import Estimate, benjamini_hochberg, derive, stream

ABOUT = (
    "Whole raters are permuted between groups. Three families are corrected apart by Benjamini "
    "and Hochberg's method: the axes' explained shares, the groups' labels, and the groups' GAI. "
    "Intervals resample raters and items at once."
)
LEAST_VOTES = 3
"An item counts as split between groups where each of them has so many ratings of it."
SPLIT_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Permuting:
    """How groups are tested.

    Attributes:
        positive: the label whose shares are compared; None compares all of them.
        least: groups with fewer raters are only listed.
        permutations: of whole raters.
        draws: bootstrap resamples.
        seed: of both.
    """

    positive: int | None = None
    least: int = LEAST_RATERS
    permutations: int = 20_000
    draws: int = 2000
    seed: int = 0


def groups_told(
    ratings: Ratings,
    axes: dict[str, Sequence[str]],
    how: Permuting,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Test every axis and describe every group that is large enough.

    Args:
        ratings: with raters.
        axes: axis -> each rater's group, "" where unknown.
        how: numbers of draws and least sizes.
        say: told where an axis cannot be tested.
    """
    found: list[dict[str, Any]] = []
    notes: list[str] = []
    for axis, of in axes.items():
        try:
            test = axis_test(
                ratings, axis, of, rng=stream(how.seed, "permute", axis), label=how.positive,
                least=how.least, draws=how.permutations,
            )  # fmt: skip
        except DataError as error:  # an axis of one group; the others are worth telling
            notes.append(f"{axis}: {error.problem}")
            say(f"{axis}: {error.problem}; left out")
            continue
        found.append(_axis(ratings, of, test, how))
    rows = [group for axis in found for group in axis["groups"]]
    for entries, p, q in (
        (found, "p", "q"),
        (rows, "labels_p", "labels_q"),
        (rows, "gai_p", "gai_q"),
    ):
        corrected(entries, p, q)
    return {"about": ABOUT, "axes": found, "notes": notes, "permutations": how.permutations}


def corrected(entries: Sequence[dict[str, Any]], p: str, q: str) -> None:
    """Fill in the q-values of a family, in place; an unknown p has an unknown q.

    >>> rows = [{"p": 0.01}, {"p": None}, {"p": 0.04}]
    >>> corrected(rows, "p", "q")
    >>> [row["q"] for row in rows]
    [0.02, None, 0.04]
    """
    values = [math.nan if entry[p] is None else entry[p] for entry in entries]
    adjusted = benjamini_hochberg(values).tolist() if values else []
    for entry, value in zip(entries, adjusted, strict=True):
        entry[q] = None if math.isnan(value) else value


def _axis(ratings: Ratings, of: Sequence[str], test: AxisTest, how: Permuting) -> dict[str, Any]:
    known = np.array([bool(group) for group in of])
    pool, names = Pool(ratings.only(known)), np.array([group for group in of if group])
    mean, low, high = test.by_chance
    split, chance = split_items(ratings, of, [g.group for g in test.groups], seed=how.seed)
    return {
        "axis": test.axis,
        "explained": _plain(test.explained),
        "by_chance": {"mean": mean, "low": low, "high": high},
        "beyond_chance": _plain(test.beyond_chance),
        "p": _plain(test.p),
        "dsi": _plain(test.dsi),
        "split_items": split,
        "split_by_chance": chance,
        "unknown": test.unknown,
        "small": test.small,
        "groups": [
            _group(test.axis, group, pool, names == group.group, ratings.labels, how)
            for group in test.groups
        ],
    }


def _group(
    axis: str, test: GroupTest, pool: Pool, member: Any, labels: Sequence[str], how: Permuting
) -> dict[str, Any]:
    seed = derive(how.seed, "portrait", axis, test.group)
    found = portrait(pool, member, draws=how.draws, seed=seed)
    single = {
        name: getattr(found, name).as_dict()
        for name in ("irr", "xrr", "plurality", "negentropy", "cross_negentropy", "voting")
    }
    return {
        "axis": axis,
        "group": test.group,
        "raters": test.raters,
        "shares": _by_label(labels, found.shares),
        "differences": _by_label(labels, found.differences),
        "apart": test.apart,
        "labels_p": _plain(test.p_apart),
        "labels_q": None,
        **single,
        "gai": None if test.reason else found.gai.as_dict(),
        "gai_p": _plain(test.p_gai),
        "gai_q": None,
        "reason": test.reason,
    }


def _by_label(labels: Sequence[str], found: Sequence[Estimate]) -> dict[str, Any]:
    return {label: one.as_dict() for label, one in zip(labels, found, strict=True)}


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def leading(ratings: Ratings, of: Sequence[str], names: Sequence[str]) -> Any:
    """Return (groups, items): each group's leading label, −1 for a tie or too few ratings."""
    codes = np.array([names.index(group) if group in names else -1 for group in of])
    mine = codes[ratings.rater]
    counts = np.zeros((len(names), *ratings.counts.shape), dtype=np.int64)
    known = mine >= 0
    np.add.at(counts, (mine[known], ratings.item[known], ratings.label[known]), 1)
    best = np.stack([plurality(counts[group]) for group in range(len(names))])
    clear = (best.max(axis=2) == 1) & (counts.sum(axis=2) >= LEAST_VOTES)
    return np.where(clear, best.argmax(axis=2), -1)


def split_flags(first: Any) -> Any:
    """Return (items,): whether two groups' leading labels differ; −1 takes no side.

    >>> split_flags(np.array([[0, 1, -1], [1, 1, 0]])).tolist()
    [True, False, False]
    """
    high = first.max(axis=0)
    low = np.where(first < 0, np.iinfo(np.int64).max, first).min(axis=0)
    return (high >= 0) & (low < high)


def split_items(
    ratings: Ratings, of: Sequence[str], names: Sequence[str], *, seed: int = 0
) -> tuple[float | None, float | None]:
    """Return the share of items on which groups' leading labels differ, and what chance gives.

    Small groups differ by chance alone, so the share under permuted raters stands beside it.
    """
    if len(names) < 2:
        return None, None
    rng, order = stream(seed, "split"), np.array(of, dtype=object)
    share = float(split_flags(leading(ratings, of, names)).mean())
    known = np.flatnonzero([bool(group) for group in of])
    total = 0.0
    for _ in range(SPLIT_DRAWS):
        mixed = order.copy()
        mixed[known] = order[rng.permutation(known)]
        total += float(split_flags(leading(ratings, list(mixed), names)).mean())
    return share, total / SPLIT_DRAWS
