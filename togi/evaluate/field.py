"""Models of several finished judgings side by side: paired by sample id, like with like only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from togi.errors import DataError
from togi.evaluate.columns import Column, check_pair, columns
from togi.evaluate.scores import read_scores
from togi.evaluate.unlike import (
    Differs,
    cards_differ,
    check_allowed,
    engines_differ,
    refuse,
    sentence,
)
from togi.report.files import read_json

JUDGE = "evaluate.judge"


@dataclass(slots=True)
class Field:
    """The models and tasks of some judgings, put side by side.

    Attributes:
        models: in the order met.
        tasks: task name -> facts.
        table: (model, task) -> column.
        facts: model -> what is known of it.
        notes: what a reader must know of how they were put together.
        alike: whether all were asked in the same way; False where the user allowed otherwise.
    """

    models: list[str] = field(default_factory=list)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    table: dict[tuple[str, str], Column] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    alike: bool = True


def label_of(folder: Path) -> str:
    """Return what a judging is called: its run's name.

    >>> label_of(Path("runs/mine/steps/judge-0123")), label_of(Path("judged"))
    ('mine', 'judged')
    """
    return folder.parents[1].name if folder.parent.name == "steps" else folder.name


def judgings_of(folder: Path) -> list[Path]:
    """Return the folders of a run's judgings, or the folder itself where it is one.

    Raises:
        DataError: it holds no finished judging.
    """
    if (folder / "scores.json").is_file():
        return [folder]
    listed = read_json(folder / "run.json", [])
    steps = [step for step in listed.get("steps", []) if isinstance(step, dict)]
    places = [folder / str(one.get("folder")) for one in steps if one.get("use") == JUDGE]
    found = [place for place in places if (place / "scores.json").is_file()]
    if not found:
        raise DataError(
            "there is no finished judging here",
            where=str(folder),
            expected="a run's folder such as runs/quickstart, or that of its judging step",
            hint="judge models with `togi evaluate judge` or a recipe",
        )
    return found


def gather(folders: Sequence[Path], *, unlike: Sequence[str] = (), shared: bool = False) -> Field:
    """Put the models of some finished judgings side by side.

    Args:
        folders: of the judgings.
        unlike: in what they may differ on purpose; see `togi.evaluate.unlike`.
        shared: compare on the samples that all were asked, where some were asked more.

    Raises:
        DataError: no finished judging, nothing in common, or unlike things.
    """
    check_allowed(unlike)
    found, cards = Field(), {}
    for folder in folders:
        scores, lines = read_scores(folder)
        if scores.get("kind") == "pairwise":
            raise DataError(
                "a pairwise judging ranks its models itself",
                where=str(folder),
                expected="judgings by evaluate.judge",
                hint="its report shows their win rates and strengths",
            )
        names = _join(found, scores, folder)
        for task, facts in scores["tasks"].items():
            first = found.tasks.setdefault(task, facts)
            for name in names.values():
                cards[name, task] = cards_differ(facts["card"], first["card"])
        for (model, task), column in columns(lines).items():
            found.table.setdefault((names[model], task), column)
    if len(found.models) < 2:
        raise DataError(
            "there is nothing to rank",
            where=", ".join(map(str, folders)),
            found=", ".join(found.models) or "no model",
            expected="two models or more",
        )
    _common_tasks(found)
    for task in found.tasks:
        _check(found, task, cards, unlike)
        found.alike &= not any(cards[model, task] for model in found.models)
        _same_samples(found, task, shared)
    return found


def _join(found: Field, scores: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Add a judging's models; one of the same name is the same if its fingerprint is."""
    names = {}
    for model in scores["models"]:
        facts, name = scores.get("judged", {}).get(model, {}), model
        known = found.facts.get(model)
        if known is not None and known.get("fingerprint") != facts.get("fingerprint"):
            name = f"{model} ({label_of(folder)})"
            found.notes.append(f"{name} is another model than {model}, which was met before.")
        if name not in found.models:
            found.models.append(name)
            found.facts[name] = facts
        names[model] = name
    return names


def _common_tasks(found: Field) -> None:
    """Keep the tasks that all models were judged on; the others are named."""
    missing = {
        task: [model for model in found.models if (model, task) not in found.table]
        for task in found.tasks
    }
    if all(missing.values()):
        told = "; ".join(f"{task} lacks {', '.join(who)}" for task, who in missing.items())
        raise DataError(
            "no task was put to all of the models",
            where="rank",
            found=told,
            hint="judge all of them on one task, such as with one recipe",
        )
    for task, who in missing.items():
        if who:
            found.notes.append(f"{task} is left out: {', '.join(who)} was not judged on it.")
            del found.tasks[task]


def _check(
    found: Field, task: str, cards: Mapping[tuple[str, str], Differs], unlike: Sequence[str]
) -> None:
    """Refuse models that were asked in another way than the first, or by another engine."""
    first = found.models[0]
    for model in found.models[1:]:
        engines = engines_differ(found.facts[model], found.facts[first])
        differs = {**cards[model, task], **engines}
        refuse(differs, unlike, f"task '{task}', {model} against {first}")
        if differs:
            found.notes.append(sentence(model, first, differs, task))


def _same_samples(found: Field, task: str, shared: bool) -> None:
    """Have all models on the same samples, or refuse."""
    first = found.models[0]
    ids = [set(found.table[model, task].ids) for model in found.models]
    common = set.intersection(*ids)
    if any(one != common for one in ids) and shared and common:
        every = len(set.union(*ids))
        found.notes.append(
            f"{task}: {every - len(common)} of {every} samples are left out, since not all models "
            "were asked them."
        )
        for model in found.models:
            found.table[model, task] = _only(found.table[model, task], common)
    for model in found.models[1:]:
        try:
            check_pair(
                task, found.table[model, task], found.table[first, task], (model, first),
                alike=found.alike,
            )  # fmt: skip
        except DataError as error:
            if not shared and common and any(one != common for one in ids):
                error.hint = f"{error.hint}, or compare the {len(common)} in common with --shared"
            raise


def _only(column: Column, ids: set[str]) -> Column:
    """Return the column's rows of these samples."""
    kept = [place for place, one in enumerate(column.ids) if one in ids]
    labels = column.clusters
    return Column(
        tuple(column.ids[place] for place in kept),
        column.templates,
        None if labels is None else [labels[place] for place in kept],
        {name: values[kept] for name, values in column.numbers.items()},
        tuple(column.samples[place] for place in kept),
    )
