"""How far a scorer of texts can be trusted: its agreement with released scores, by tenths."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import as_dict, as_list
from togi.report.numbers import finite
from togi.report.tables import Table, table

TESTED = ("web, held out", "written by models, never seen", "both")
COLUMNS = ("pearson", "spearman", "auc", "accuracy", "mean_error", "bias")


def calibrations(scorers: dict[str, Any]) -> list[Table]:
    """Return a scorer's two tables: agreement on each set of texts, and its score by tenths.

    A remote scorer tells nothing of itself and has none.
    """
    known = [(name, as_dict(about)) for name, about in scorers.items()]
    found = [draw(name, about) for name, about in known for draw in (_agreement, _tenths)]
    return [one for one in found if one.rows]


def _agreement(name: str, about: dict[str, Any]) -> Table:
    rows = []
    for tested in TESTED:
        found = as_dict(about.get(tested))
        if found:
            values = (_value(found.get(column)) for column in COLUMNS)
            rows.append((tested, show.number(found.get("n")), *values))
    head = ("texts", "n", "r", "rank r", "AUC", "accuracy", "mean error", "bias")
    return table(f"{name} against {about.get('target') or 'its target'}", head, rows)


def _value(value: Any) -> str:
    """Return a value in three digits, "–" where it is not defined, as an AUC of one class.

    >>> _value(0.12345), _value(None)
    ('0.123', '–')
    """
    return "–" if finite(value) is None else show.number(value, 3)


def _tenths(name: str, about: dict[str, Any]) -> Table:
    kept = [row for row in as_list(about.get("calibration")) if isinstance(row, list)]
    rows = [
        (f"{number}", *(show.number(v, places) for v, places in zip(row, (0, 3, 3), strict=False)))
        for number, row in enumerate(kept, 1)
    ]
    head = ("band of scores", "n", "mean score", "mean released score")
    return table(f"{name}: calibration on texts that it has not seen", head, rows)
