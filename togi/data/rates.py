"""Rates by group, such as a conference's acceptance: with Wilson intervals, and how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from togi.errors import DataError, nearest
from togi.stats import Estimate, benjamini_hochberg, wilson
from togi.stats.fisher import fisher_log_p
from togi.stats.shares import share_differences, share_ratios

ALL = "all"


class Rate(NamedTuple):
    """How many of how many."""

    hits: int
    n: int


class Change(NamedTuple):
    """One group's rate in two sets: both rates, second minus first, second over first, p and q."""

    first: Estimate
    second: Estimate
    difference: Estimate
    ratio: Estimate
    p: float
    q: float


def compare_rates(
    first: Mapping[str, Rate], second: Mapping[str, Rate], *, level: float = 0.95
) -> dict[str, Change]:
    """Compare the rates of the groups that both sets have.

    Args:
        first: group -> how many of how many; an acceptance rate has accepted of submitted.
        second: the same of the second set.
        level: of the intervals: Wilson's of a rate, Newcombe's of a difference, Donner and Zou's
            of a ratio.

    Returns:
        Group -> change. p is of Fisher's exact test, q corrects it for the number of groups
        (Benjamini & Hochberg). The counts of a difference are those of both sets together.

    Raises:
        DataError: more hits than members, or an empty group.

    The deck's 3,218 of 12,345 submissions to NeurIPS 2023, against some 2,671 of 10,411 in 2022:

    >>> found = compare_rates({"all": Rate(2671, 10411)}, {"all": Rate(3218, 12345)})["all"]
    >>> [round(100 * x, 2) for x in (found.second.mean, found.second.low, found.second.high)]
    [26.07, 25.3, 26.85]
    >>> round(100 * found.difference.mean, 2), round(found.p, 2)
    (0.41, 0.48)
    """
    groups = [group for group in first if group in second]
    for group in groups:
        checked(first[group], group)
        checked(second[group], group)
    found = {group: _change(first[group], second[group], level) for group in groups}
    q = benjamini_hochberg([one.p for one in found.values()]).tolist() if found else []
    return {
        group: one._replace(q=value) for (group, one), value in zip(found.items(), q, strict=True)
    }


def checked(rate: Rate, group: str) -> None:
    """Refuse what is no rate.

    Raises:
        DataError: more hits than members, or no member.
    """
    if not 0 <= rate.hits <= rate.n or not rate.n:
        raise DataError(
            "this is no rate",
            where=f"group '{group}'",
            found=f"{rate.hits} of {rate.n}",
            expected="how many of how many, at least 1",
        )


def _change(first: Rate, second: Rate, level: float) -> Change:
    counts = ([first.hits], first.n, [second.hits], second.n)
    n = first.n + second.n
    gap, ratio = share_differences(*counts, level), share_ratios(*counts, level)
    p = float(np.exp(fisher_log_p(*counts))[0])
    return Change(
        wilson(first.hits, first.n, level),
        wilson(second.hits, second.n, level),
        gap.at(0, n, level),
        ratio.at(0, n, level),
        p,
        p,
    )


def count_rates(
    metadata: Iterable[Mapping[str, Any]], key: str, value: str, by: str = ""
) -> dict[str, Rate]:
    """Count, over rows' metadata, in how many `key` has that value, of all and by group.

    Args:
        metadata: of each row.
        key: such as status.
        value: such as Accept; compared as text, whatever the case.
        by: a further key whose values are the groups, such as track.

    Raises:
        DataError: a row lacks one of the keys.

    >>> rows = [{"status": "Accept", "track": "main"}, {"status": "Reject", "track": "main"}]
    >>> count_rates(rows, "status", "accept", "track")
    {'all': Rate(hits=1, n=2), 'main': Rate(hits=1, n=2)}
    """
    counts: dict[str, list[int]] = {}
    for number, row in enumerate(metadata, 1):
        groups = [ALL, *([_cell(row, by, number)] if by else [])]
        hit = _cell(row, key, number).casefold() == value.casefold()
        for group in groups:
            pair = counts.setdefault(group, [0, 0])
            pair[0] += hit
            pair[1] += 1
    return {group: Rate(*pair) for group, pair in counts.items()}


def _cell(row: Mapping[str, Any], key: str, number: int) -> str:
    if key not in row:
        raise DataError(
            f"the row has no metadata '{key}'",
            where=f"row {number}",
            found=", ".join(map(str, row)) or "no metadata",
            hint=nearest(key, map(str, row)) if row else "",
        )
    return str(row[key])
