"""What tuning has changed: divergence from the base, lengths, refusals, abilities, cost.

All models answer the same prompts with the same seeds, at temperature 1; the base scores what
the tuned models have drawn. So methods can be compared on one page, whatever they optimise.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from togi.errors import DataError, UsageError
from togi.evaluate.answers import REFUSALS, likelihood_sample
from togi.evaluate.columns import LEVEL
from togi.evaluate.drift import Divergence, divergence, unknown_divergence
from togi.evaluate.judge import CHUNK, Model, Opener, answer_all, keys_of, pretty
from togi.evaluate.ledger import Ledger, Line, read_lines
from togi.evaluate.quality import quality_of
from togi.evaluate.scores import score, task_facts
from togi.evaluate.tasks import Task
from togi.stats import Estimate
from togi.train.files import write_text

ANSWERS = "answers"
"The task that all models answer."

RESPONSES = "responses"
"The task in which they are judged on the rows' own responses."

DEFINITIONS = {
    "kl_answer": "KL divergence from the base in nats an answer: mean, over the tuned model's own "
    "answers, of its log-probability minus the base's; 0 is no change",
    "kl_token": "the same over all tokens",
    "kl_answer_k3": "the same divergence by an estimator that is never negative (k3), an answer",
    "kl_token_k3": "the same divergence by an estimator that is never negative (k3), a token",
    "tokens": "tokens that its trainings put through the model",
    "seconds": "wall-clock time of its trainings",
    "memory_mb": "the most memory that its trainings logged",
    "trained_parameters": "numbers that its last training could change",
}
"""Name -> what it is, for the report."""


def changes(
    models: Mapping[str, Model],
    answers: Task,
    judged: Sequence[Task],
    folder: Path,
    *,
    more: Mapping[str, Any] | None = None,
    chunk: int = CHUNK,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Find what the tuned models have changed against the base; write `changes.json`.

    Args:
        models: display name -> a model, or an `Opener`; the first is the base.
        answers: a task of the kind "answer" named `ANSWERS`, drawn at temperature 1 from the
            whole distribution.
        judged: further tasks on which all are judged, such as guards.
        folder: where the files lie; answers found there are used.
        more: what else `changes.json` shall hold, such as costs.
        chunk: samples asked in one request; it changes no score.
        seed: of the bootstrap.
        say: prints one line.

    Returns:
        What `changes.json` holds.

    Raises:
        UsageError: fewer than two models, or answers not drawn from the model's distribution.
        DataError: a damaged line.
        SurroundingsError: the disk is full or an endpoint fails; what was answered is kept.
    """
    names, tasks = list(models), [answers, *judged]
    _check(names, answers)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "samples.jsonl", say)
    facts: dict[str, dict[str, str]] = {}
    drawn: dict[str, Task] = {}
    keys: list[list[str]] = []
    for name in [*names[1:], names[0]]:  # the base last: it scores what the others have drawn
        source = opened_once(models[name])
        facts[name] = answer_all(name, source, tasks, ledger, chunk)
        mark = facts[name]["fingerprint"]
        scored: list[Task] = []
        if name == names[0]:
            scored = [drawn[n] for n in drawn if not why_unknown(facts[n], facts[name])]
        elif facts[name]["vocabulary"]:
            said = [ledger.lines[key] for key in keys_of(name, mark, answers)]
            scored = [likelihood_task(name, answers, said)]
            drawn[name] = scored[0]
        if scored:
            answer_all(name, source, scored, ledger, chunk)
        keys += [keys_of(name, mark, task) for task in (*tasks, *scored)]
        del source
        gc.collect()  # models hold cycles; without this two of them would be in memory
    lines = ledger.keep(chain.from_iterable(keys))
    described = {task.name: task_facts(task, list(facts.values())) for task in tasks}
    unknown = {name: why_unknown(facts[name], facts[names[0]]) for name in names[1:]}
    told = changed(described, names, lines, unknown, seed=seed)
    whole = {**told, "asked": _asked(answers), **(more or {}), "judged": facts}
    write_text(folder / "changes.json", pretty(whole))
    return whole


def _check(names: Sequence[str], answers: Task) -> None:
    if len(names) < 2:
        raise UsageError("a base and at least one tuned model are needed", where="changes")
    sampling = answers.asking.sampling
    whole = replace(sampling, temperature=1.0, top_p=1.0, top_k=0, stop=())
    if answers.kind != "answer" or answers.name != ANSWERS or sampling != whole:
        raise UsageError(
            "the divergence is that of answers drawn from the model's own distribution",
            where="changes",
            expected="temperature 1, no top_p, no top_k, no stop texts",
        )


def opened_once(source: Model) -> Model:
    """Return the same model, opened on the first need and then kept, until it is let go."""
    if not isinstance(source, Opener):
        return source
    return Opener(source.identity, functools.cache(source.open))


def likelihood_of(name: str) -> str:
    """Return the name of the task in which a model's answers are scored.

    >>> likelihood_of("sft")
    'likelihood of what sft says'
    """
    return f"likelihood of what {name} says"


def likelihood_task(name: str, answers: Task, lines: Sequence[Line]) -> Task:
    """Return the question how probable the answers are that a model has drawn."""
    samples = zip(answers.samples, lines, strict=True)
    return Task(
        name=likelihood_of(name),
        kind="likelihood",
        samples=tuple(likelihood_sample(one, line["detail"]["ids"]) for one, line in samples),
        cluster=answers.cluster,
    )


def why_unknown(tuned: Mapping[str, str], base: Mapping[str, str]) -> str:
    """Say why the divergence between two models cannot be known; "" where it can.

    >>> why_unknown({"vocabulary": "a"}, {"vocabulary": "b"})
    'the two models have different vocabularies'
    """
    if not tuned["vocabulary"]:
        return "its tokens are not known, as it is served by an endpoint"
    if not base["vocabulary"]:
        return "the base is served by an endpoint, which scores no given tokens"
    same = tuned["vocabulary"] == base["vocabulary"]
    return "" if same else "the two models have different vocabularies"


def _asked(answers: Task) -> dict[str, Any]:
    sampling = answers.asking.sampling
    return {
        "prompts": len(answers.samples),
        "answers to each": sampling.n,
        "max_tokens": sampling.max_tokens,
        "cluster": answers.cluster,
    }


def changed(
    tasks: Mapping[str, Mapping[str, Any]],
    models: Sequence[str],
    lines: Sequence[Line],
    unknown: Mapping[str, str],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the judged part of `changes.json` from the lines.

    Args:
        tasks: task name -> `task_facts`, the answers among them.
        models: their order, the base first.
        lines: of `samples.jsonl`.
        unknown: tuned model -> why its divergence is not known, "" where it is.
        seed: of the bootstrap.
    """
    base, pairs = models[0], [(name, models[0]) for name in models[1:]]
    judged = [line for line in lines if line["task"] in tasks]
    scores = score(tasks, models, pairs, judged, seed=seed)
    for entry in scores["differences"]:
        if entry["task"] == ANSWERS:  # longer or shorter is not better or worse
            entry.update(better=None, higher_is_better=None)
    kl = {}
    for name in models[1:]:
        task = [line for line in lines if line["task"] == likelihood_of(name)]
        sides = [[line for line in task if line["model"] == side] for side in (name, base)]
        known = not unknown[name] and sides[0] and sides[1]
        found = divergence(*sides, level=LEVEL, seed=seed) if known else unknown_divergence(LEVEL)
        kl[name] = {
            **{f"kl_{part}": value.as_dict() for part, value in _parts(found).items()},
            "unknown": unknown[name],
        }
    own = quality_of(tasks, scores["differences"], RESPONSES) if RESPONSES in tasks else None
    return {
        "kind": "changes",
        "base": base,
        **scores,
        "kl": kl,
        "quality": own,
        "definitions": DEFINITIONS,
        "refusal_openings": list(REFUSALS),
    }


def _parts(found: Divergence) -> dict[str, Estimate]:
    return {field.name: getattr(found, field.name) for field in fields(found)}


def rescore(folder: Path) -> dict[str, Any]:
    """Compute the judged part of a finished `changes.json` again from its lines.

    Raises:
        DataError: there is none in the folder.
    """
    path = folder / "changes.json"
    if not path.exists():
        raise DataError("nothing was compared here", where=str(folder), expected=path.name)
    old = orjson.loads(path.read_bytes())
    unknown = {name: found["unknown"] for name, found in old["kl"].items()}
    lines = read_lines(folder / "samples.jsonl")[0]
    return changed(old["tasks"], old["models"], lines, unknown, seed=old["seed"])
