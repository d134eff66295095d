"""The recipe's evaluate steps: `evaluate.judge` and `evaluate.verdict`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from togi.errors import DataError
from togi.evaluate.opening import opener, paid_notes, tuned_parts
from togi.evaluate.settings import (
    JudgeSettings,
    ModelSettings,
    SamplingSettings,
    TaskSettings,
    VerdictSettings,
)
from togi.step import Work

if TYPE_CHECKING:
    from togi.evaluate.asking import Asking
    from togi.evaluate.tasks import Task
    from togi.lm.base import Sampling
    from togi.rows.types import Row, Sample

__all__ = [
    "JudgeSettings",
    "ModelSettings",
    "SamplingSettings",
    "TaskSettings",
    "VerdictSettings",
    "answer_task_of",
    "build_task",
    "opener",
    "run_judge",
    "run_verdict",
    "tuned_parts",
]


def run_judge(settings: JudgeSettings, work: Work) -> dict[str, Any]:
    """Judge the models; outputs `scores` and `samples`.

    All tasks are built before the first model is opened, so a fault in the rows shows at once.
    """
    from togi.evaluate.judge import judge

    notes: list[str] = []
    tasks = [build_task(task, work, notes) for task in settings.tasks]
    for note in notes:
        work.say(note)
    scores = judge(
        {name: opener(model, work) for name, model in settings.models.items()},
        tasks,
        work.folder,
        comparisons=settings.pairs(),
        unlike=settings.unlike,
        series=settings.series,
        chunk=settings.chunk,
        seed=work.seed,
        say=work.say,
    )
    told = [*_apart(scores["unlike"]["pairs"]), *paid_notes(settings.models, work)]
    for note in told:
        work.say(note)
    return {"scores": "scores.json", "samples": "samples.jsonl", "notes": [*notes, *told]}


def _apart(pairs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say of each pair of unlike models whether it was compared, and in what the two differ.

    >>> _apart([{"after": "a", "before": "b", "differs": {"dtype": ["float32", "bfloat16"]},
    ...          "compared": False}])
    ['a and b were not compared: they differ in dtype: float32 and bfloat16 (unlike: [dtype])']
    """
    from togi.evaluate.unlike import sentence, told

    return [
        sentence(one["after"], one["before"], one["differs"])
        if one["compared"]
        else f"{one['after']} and {one['before']} were not compared: they differ in "
        f"{told(one['differs'])} (unlike: [{', '.join(one['differs'])}])"
        for one in pairs
    ]


def run_verdict(settings: VerdictSettings, work: Work) -> dict[str, Any]:
    """Apply the rule; outputs `verdict` and the plain `decision`."""
    from togi.evaluate.verdict import Judged, Rule, verdict, write_verdict

    def folder(ref: str) -> Path:
        return Path(work.input(ref, "scores")).parent

    before = folder(settings.before) if settings.before else None
    judged = Judged(folder(settings.scores), before, settings.unlike)
    rule = Rule(
        baseline=settings.baseline,
        candidate=settings.candidate,
        primary=settings.primary,
        at_least=settings.at_least,
        guards=settings.guards,
        alpha=settings.alpha,
        power=settings.power,
        also=settings.also,
    )
    told = verdict(judged, rule)
    write_verdict(work.folder / "verdict.json", told)
    notes = [told["sentence"], *(entry["sentence"] for entry in told["also"])]
    for note in notes:
        work.say(note)
    return {"verdict": "verdict.json", "decision": told["decision"], "notes": notes}


def build_task(settings: TaskSettings, work: Work, notes: list[str]) -> Task:
    """Return the task of some settings; rows that cannot be judged are counted in the notes.

    Raises:
        DataError: no row can be judged, or there are fewer than the solved examples need.
    """
    from togi.evaluate.guards import GUARD_CLUSTERS, GUARDS, guard_rows
    from togi.evaluate.samples import choose
    from togi.evaluate.tasks import Task
    from togi.rows.read import read_rows

    name, guard = settings.name, settings.guard
    kind = settings.kind or GUARDS[guard or ""]
    asking = _asking(settings, work)
    if guard:
        rows: Iterable[Row] = guard_rows(guard)
    else:
        rows = read_rows(work.input(str(settings.rows), "rows"), offline=work.offline)
    samples = _fit(name, rows, kind, asking, notes, least=settings.shots + 1)
    shots, judged = choose(
        samples, shots=settings.shots, limit=settings.limit, seed=work.seed, name=name
    )
    own = GUARD_CLUSTERS.get(guard or "", "")
    cluster = own if settings.cluster is None else settings.cluster
    return Task(name=name, kind=kind, samples=judged, asking=asking, shots=shots, cluster=cluster)


def answer_task_of(
    name: str,
    rows: str,
    sampling: SamplingSettings,
    work: Work,
    notes: list[str],
    *,
    limit: int | None,
    cluster: str,
) -> Task:
    """Return the task in which models answer the prompts of some rows; see `build_task`."""
    from togi.evaluate.asking import Asking
    from togi.evaluate.samples import choose
    from togi.evaluate.tasks import Task
    from togi.rows.read import read_rows

    asking = Asking(sampling=_sampling(sampling, name, work))
    found = read_rows(work.input(rows, "rows"), offline=work.offline)
    samples = _fit(name, found, "answer", asking, notes, least=1)
    _, asked = choose(samples, shots=0, limit=limit, seed=work.seed, name=name)
    return Task(name=name, kind="answer", samples=asked, asking=asking, cluster=cluster)


def _fit(
    name: str, rows: Iterable[Row], kind: str, asking: Asking, notes: list[str], *, least: int
) -> list[Sample]:
    """Return the samples that can be judged; the others are counted in the notes."""
    from togi.evaluate.samples import fit_samples

    samples, dropped = fit_samples(rows, kind, asking)
    if dropped:
        reasons = ", ".join(f"{why} ({n})" for why, n in Counter(d.reason for d in dropped).items())
        notes.append(f"task {name}: {len(dropped)} rows left out: {reasons}")
    if len(samples) < least:
        raise DataError(
            "too few rows can be judged",
            where=f"task '{name}'",
            found=f"{len(samples)} rows, of which {least - 1} are shown as examples",
            hint=notes[-1] if dropped else "",
        )
    return samples


def _asking(settings: TaskSettings, work: Work) -> Asking:
    from togi.evaluate.asking import Asking
    from togi.evaluate.code import passes_of
    from togi.evaluate.functions import with_function
    from togi.evaluate.sandbox import Limits

    asking = Asking(
        render=settings.render,
        context_words=settings.context_words,
        check=settings.check,
        sampling=_sampling(settings.sampling, settings.name, work),
        parse=settings.parse,
        likelihood=settings.likelihood,
        passes=passes_of(settings.passes),
        limits=Limits(**settings.limits.model_dump()),
    )
    return with_function(asking, settings.function) if settings.function else asking


def _sampling(settings: SamplingSettings, name: str, work: Work) -> Sampling:
    from togi.lm.base import Sampling
    from togi.stats import derive

    drawn = settings.model_dump()
    if drawn["seed"] is None:  # greedy answers depend on no seed: their template stays the same
        drawn["seed"] = derive(work.seed, "judge", name) >> 1 if drawn["temperature"] else 0
    return Sampling(**drawn)
