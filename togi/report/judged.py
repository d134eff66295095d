"""What was judged: each model's scores, the paired differences, and the verdict on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from togi.report.files import RunFiles, StepFiles, as_dict, as_list

SAYS = {True: "better", False: "worse", None: "cannot tell"}
"""A difference's `better` in words."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One judging step's `scores.json`."""

    step: StepFiles
    data: dict[str, Any]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return each task's description; tasks that only have scores get an empty one."""
        told = {name: as_dict(task) for name, task in as_dict(self.data.get("tasks")).items()}
        for scores in as_dict(self.data.get("scores")).values():
            for task in as_dict(scores):
                told.setdefault(task, {})
        return told

    @property
    def models(self) -> list[str]:
        """Return the models' names in the recipe's order."""
        scored = list(as_dict(self.data.get("scores")))
        named = [str(name) for name in as_list(self.data.get("models"))]
        return list(dict.fromkeys([*named, *scored]))

    def estimate(self, model: str, task: str, measure: str) -> dict[str, Any]:
        """Return a score as an Estimate's dict; empty where there is none."""
        scores = as_dict(self.data.get("scores"))
        return as_dict(as_dict(as_dict(scores.get(model)).get(task)).get(measure))

    def measures(self, task: str) -> list[str]:
        """Return a task's measures, its primary one first."""
        primary = self.tasks.get(task, {}).get("primary_measure")
        scores = as_dict(self.data.get("scores"))
        found = dict.fromkeys(
            str(name) for model in scores for name in as_dict(as_dict(scores[model]).get(task))
        )
        return sorted(found, key=lambda name: name != primary)

    def differences(self, task: str, measure: str) -> list[dict[str, Any]]:
        """Return the differences of one measure, in the order of the file."""
        every = [d for d in as_list(self.data.get("differences")) if isinstance(d, dict)]
        return [d for d in every if d.get("task") == task and d.get("measure") == measure]

    def primary(self, task: str) -> str:
        """Return the name of a task's primary measure, "" where it is not told."""
        return str(self.tasks.get(task, {}).get("primary_measure") or "")

    def about(self, task: str, measure: str) -> dict[str, Any]:
        """Return what the run says of a measure: unit, definition, direction, how it is computed.

        A task that has no entry for each measure still describes its primary one.
        """
        described = self.tasks.get(task, {})
        told = as_dict(as_dict(described.get("measures")).get(measure))
        if told or measure != self.primary(task):
            return told
        return {key: described.get(key) for key in ("unit", "definition", "higher_is_better")}

    def higher_is_better(self, task: str, measure: str) -> bool | None:
        """Return a measure's direction; None where the run does not tell it.

        Where there is no word of it, it follows from any decided difference.
        """
        told = self.about(task, measure).get("higher_is_better")
        if isinstance(told, bool):
            return told
        for difference in self.differences(task, measure):
            mean = as_dict(difference.get("estimate")).get("mean")
            better = difference.get("better")
            if isinstance(better, bool) and isinstance(mean, int | float) and mean:
                return better == (mean > 0)
        return None


ELSEWHERE = ("pairwise", "trust")
"""Kinds of scores that a part of the page of their own tells of."""


def judged(files: RunFiles) -> list[Judged]:
    """Return the judging steps that have left scores and have no part of their own."""
    read = ((step, files.json(step, "scores.json")) for step in files.steps)
    return [Judged(step, data) for step, data in read if data and data.get("kind") not in ELSEWHERE]


def verdict(files: RunFiles) -> dict[str, Any]:
    """Return the last step's `verdict.json`, else what `run.json` says, else an empty dict."""
    left = (files.json(step, "verdict.json") for step in reversed(files.steps))
    return next((found for found in left if found), as_dict(files.run.get("verdict")))


def direction(higher_is_better: bool | None) -> str:
    """Return a direction in words.

    >>> direction(False), direction(None)
    ('lower is better', 'no direction')
    """
    words = {True: "higher is better", False: "lower is better", None: "no direction"}
    return words[higher_is_better]


def estimate_of(all_judged: list[Judged], model: Any, task: Any, measure: Any) -> dict[str, Any]:
    """Return a model's score from the first judging step that has it."""
    found = (j.estimate(str(model), str(task), str(measure)) for j in all_judged)
    return next((estimate for estimate in found if estimate), {})


def spoken(name: Any) -> str:
    """Return a logged name as one would say it.

    >>> spoken("bits_per_byte")
    'bits per byte'
    """
    return str(name).replace("_", " ")
