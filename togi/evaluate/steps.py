"""The recipe's evaluate steps: `evaluate.judge` and `evaluate.verdict`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from togi.errors import DataError
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
    from togi.evaluate.judge import Opener
    from togi.evaluate.tasks import Task
    from togi.lm.base import LanguageModel
    from togi.rows.types import Row

__all__ = [
    "JudgeSettings",
    "ModelSettings",
    "SamplingSettings",
    "TaskSettings",
    "VerdictSettings",
    "build_task",
    "opener",
    "run_judge",
    "run_verdict",
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
    judge(
        {name: opener(model, work) for name, model in settings.models.items()},
        tasks,
        work.folder,
        comparisons=settings.pairs(),
        chunk=settings.chunk,
        seed=work.seed,
        say=work.say,
    )
    return {"scores": "scores.json", "samples": "samples.jsonl", "notes": notes}


def run_verdict(settings: VerdictSettings, work: Work) -> dict[str, Any]:
    """Apply the rule; outputs `verdict` and the plain `decision`."""
    from togi.evaluate.verdict import Judged, Rule, verdict, write_verdict

    def folder(ref: str) -> Path:
        return Path(work.input(ref, "scores")).parent

    judged = Judged(folder(settings.scores), folder(settings.before) if settings.before else None)
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
    from togi.evaluate.samples import choose, fit_samples
    from togi.evaluate.tasks import Task
    from togi.rows.read import read_rows

    name, guard = settings.name, settings.guard
    kind = settings.kind or GUARDS[guard or ""]
    asking = _asking(settings, work)
    if guard:
        rows: Iterable[Row] = guard_rows(guard)
    else:
        rows = read_rows(work.input(str(settings.rows), "rows"), offline=work.offline)
    samples, dropped = fit_samples(rows, kind, asking)
    if dropped:
        reasons = ", ".join(f"{why} ({n})" for why, n in Counter(d.reason for d in dropped).items())
        notes.append(f"task {name}: {len(dropped)} rows left out: {reasons}")
    if len(samples) <= settings.shots:
        raise DataError(
            "too few rows can be judged",
            where=f"task '{name}'",
            found=f"{len(samples)} rows, of which {settings.shots} are shown as examples",
            hint=notes[-1] if dropped else "",
        )
    shots, judged = choose(
        samples, shots=settings.shots, limit=settings.limit, seed=work.seed, name=name
    )
    own = GUARD_CLUSTERS.get(guard or "", "")
    cluster = own if settings.cluster is None else settings.cluster
    return Task(name=name, kind=kind, samples=judged, asking=asking, shots=shots, cluster=cluster)


def _asking(settings: TaskSettings, work: Work) -> Asking:
    from togi.evaluate.asking import Asking
    from togi.lm.base import Sampling
    from togi.stats import derive

    drawn = settings.sampling.model_dump()
    if drawn["seed"] is None:  # greedy answers depend on no seed: their template stays the same
        drawn["seed"] = (
            derive(work.seed, "judge", settings.name) >> 1 if drawn["temperature"] else 0
        )
    return Asking(
        render=settings.render,
        context_words=settings.context_words,
        check=settings.check,
        sampling=Sampling(**drawn),
    )


def opener(settings: ModelSettings, work: Work) -> Opener:
    """Return an `Opener` of a model; an endpoint's replies are kept in the user's cache."""
    from togi.evaluate.judge import Opener
    from togi.lm.manifest import sha256_of

    spec = settings.model or work.model
    adapter = Path(work.input(settings.adapter, "adapter")) if settings.adapter else None
    files = sorted(p for p in adapter.iterdir() if p.is_file()) if adapter else []
    identity = " ".join([spec, settings.dtype, *(sha256_of(file) for file in files)])

    def open_it() -> LanguageModel:
        from togi.align.tuned import open_tuned
        from togi.lm.cache import Cached, ReplyCache
        from togi.lm.catalogue import cache_folder
        from togi.lm.open import ENDPOINT

        model = open_tuned(
            spec, adapter=adapter, dtype=settings.dtype, offline=work.offline, say=work.say
        )
        if spec.startswith(ENDPOINT):
            return Cached(model, ReplyCache(cache_folder() / "replies.sqlite"))
        return model

    return Opener(identity, open_it)
