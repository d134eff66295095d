"""What a judging found, as the gallery's entries read it: scores and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from togi.errors import DataError
from togi.evaluate.scores import read_scores
from togi.stats.estimate import Estimate


class Judged:
    """The `scores.json` of one judging.

    Args:
        folder: where it lies.

    Raises:
        DataError: it is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._told = read_scores(folder)[0]
        self._where = str(folder / "scores.json")

    def score(self, model: str, task: str, measure: str = "") -> Estimate:
        """Return a model's score; by default in the task's primary measure."""
        measure = measure or str(self._told["tasks"][task]["primary_measure"])
        return known(self._told["scores"][model][task][measure])

    def difference(self, after: str, before: str, task: str, measure: str = "") -> Estimate:
        """Return after minus before, paired on the samples.

        Raises:
            DataError: the two were not compared.
        """
        measure = measure or str(self._told["tasks"][task]["primary_measure"])
        wanted = {"after": after, "before": before, "task": task, "measure": measure}
        for entry in self._told["differences"]:
            if all(entry[key] == value for key, value in wanted.items()):
                return known(entry["estimate"])
        raise DataError(
            f"{after} and {before} were not compared", where=self._where,
            found=f"no difference in {task}.{measure}", hint="add the pair to `comparisons`",
        )  # fmt: skip


def known(told: Mapping[str, Any]) -> Estimate:
    """Return an estimate that a file holds; null is unknown.

    >>> known({"mean": 0.5, "low": None, "high": None, "n": 1, "level": 0.95})
    Estimate(mean=0.5, low=nan, high=nan, n=1, level=0.95)
    """
    mean, low, high = (
        math.nan if told[key] is None else float(told[key]) for key in ("mean", "low", "high")
    )
    return Estimate(mean, low, high, int(told["n"]), float(told["level"]))


def negated(found: Estimate) -> Estimate:
    """Return the estimate of the opposite difference."""
    return Estimate(-found.mean, -found.high, -found.low, found.n, found.level)
