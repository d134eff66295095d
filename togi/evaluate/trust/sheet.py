"""The sides' scores as one table for a spreadsheet: every score, difference and group a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

HEAD = (
    "kind", "model", "before", "side", "part", "unit", "higher_is_better", "mean", "low", "high",
    "n", "level", "p_value", "p_adjusted", "better", "definition",
)  # fmt: skip
"""Columns of `trust.csv`; what is unknown is left empty."""


def sheet(told: Mapping[str, Any]) -> str:
    r"""Return the rows of `scores.json` as comma-separated text.

    Args:
        told: what `scores.json` holds.

    >>> one = {"mean": 50.0, "low": None, "high": None, "n": 1, "level": 0.95}
    >>> told = {"sides": {"s": {"parts": {"score": {"unit": "points", "definition": "all",
    ...         "higher_is_better": True}}}}, "side_scores": {"m": {"s": {"score": one}}},
    ...         "side_differences": [], "side_groups": {}}
    >>> sheet(told).splitlines()[1]
    'score,m,,s,score,points,True,50.0,,,1,0.95,,,,all'
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEAD)
    for row in _rows(told):
        table.writerow(["" if row.get(key) is None else row[key] for key in HEAD])
    return text.getvalue()


def _rows(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    sides = told["sides"]
    for model, scores in told["side_scores"].items():
        for side, parts in scores.items():
            for part, estimate in parts.items():
                about = sides[side]["parts"][part]
                yield {"kind": "score", "model": model, "side": side, "part": part, **about,
                       **estimate}  # fmt: skip
    for one in told["side_differences"]:
        kept = {key: one[key] for key in HEAD if key in one}
        yield {"kind": "difference", "model": one["after"], **kept, **one["estimate"]}
    for model, scores in told["side_groups"].items():
        for side, groups in scores.items():
            about = sides[side]["groups"]
            for group, estimate in groups.items():
                yield {"kind": "group", "model": model, "side": side, "part": group,
                       "unit": "share", **about, **estimate}  # fmt: skip
