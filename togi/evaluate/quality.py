"""The measure that is drawn against the cost: each tuned model's difference from the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.errors import UsageError, nearest
from togi.evaluate.columns import columns
from togi.evaluate.scores import differences, read_scores


def quality_of(
    tasks: Mapping[str, Mapping[str, Any]], differences: Sequence[Mapping[str, Any]], primary: str
) -> dict[str, Any]:
    """Return the measure that is drawn against the cost, with each model's difference in it.

    Args:
        tasks: task name -> `task_facts`.
        differences: of tuned models from the base, as `scores.json` holds them.
        primary: the task, or task.measure.

    Raises:
        UsageError: no such task or measure.
    """
    task = primary if primary in tasks else primary.rpartition(".")[0]
    if task not in tasks:
        raise UsageError(f"no task is called {primary!r}", expected=nearest(primary, tasks))
    measures = tasks[task]["measures"]
    name = tasks[task]["primary_measure"] if task == primary else primary[len(task) + 1 :]
    if name not in measures:
        raise UsageError(
            f"the task has no measure {name!r}",
            where=f"task '{task}'",
            expected=nearest(name, measures),
        )
    return {
        "task": task,
        "measure": name,
        "unit": measures[name]["unit"],
        "higher_is_better": measures[name]["higher_is_better"],
        "differences": {
            entry["after"]: entry["estimate"]
            for entry in differences
            if (entry["task"], entry["measure"]) == (task, name)
        },
    }


def judged_quality(folder: Path, primary: str, models: Sequence[str]) -> dict[str, Any]:
    """Return the quality of a judging that is done already, under the same display names.

    Args:
        folder: where its `scores.json` lies.
        primary: the task, or task.measure.
        models: the base first.

    Raises:
        UsageError: it has no such task, measure or model, or the measure is not compared.
        DataError: there is no finished judging.
    """
    old, lines = read_scores(folder)
    for name in models:
        if name not in old["models"]:
            raise UsageError(
                f"the judging has no model {name!r}", expected=nearest(name, old["models"])
            )
    pairs = [(name, models[0]) for name in models[1:]]
    found = differences(old["tasks"], pairs, columns(lines), seed=old["seed"])
    told = quality_of(old["tasks"], found, primary)
    if not told["differences"]:
        raise UsageError("this measure is not compared between models", where=primary)
    return told
