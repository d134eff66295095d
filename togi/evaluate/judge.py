"""Run models on tasks, sample by sample, so that nothing is asked twice and nothing is lost.

Each answer is one line of `samples.jsonl`, keyed by the model's fingerprint, the way of asking
and the sample itself. Stopping at any moment costs at most the chunk in work; running again asks
only what is missing. `scores.json` is computed from the lines.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from togi.errors import UsageError, nearest
from togi.evaluate.asking import Answer
from togi.evaluate.ledger import Ledger, answer_key, sample_line
from togi.evaluate.scores import score, task_facts
from togi.evaluate.tasks import Task, ask
from togi.evaluate.unlike import check_allowed
from togi.lm.base import LanguageModel
from togi.lm.cache import Cached
from togi.lm.drawn import vocabulary
from togi.rows.types import Sample
from togi.train.files import write_text

CHUNK = 64
"Samples between two syncs to the disk: a second or so of a small model's work."

DRAWN = 256
"Answers between two syncs, where each sample is answered many times."

SAY_EVERY = 10.0
"Seconds between two lines of progress."


@dataclass(frozen=True, slots=True)
class Opener:
    """A model that is opened only when it has something to answer, and closed afterwards.

    Attributes:
        identity: all that decides which model will be opened (spec, adapter's digest, dtype);
            with it a finished judging need not open the model again to know its fingerprint.
        open: opens it.
    """

    identity: str
    open: Callable[[], LanguageModel]


Model: TypeAlias = LanguageModel | Opener


def judge(  # noqa: PLR0913 - most of them by name only
    models: Mapping[str, Model],
    tasks: Sequence[Task],
    folder: Path,
    *,
    comparisons: Sequence[tuple[str, str]] | None = None,
    unlike: Sequence[str] = (),
    series: Sequence[str] = (),
    chunk: int = CHUNK,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Judge models on tasks and write `samples.jsonl` and `scores.json`.

    Models are opened one at a time, and only when an answer of theirs is missing.

    Args:
        models: display name -> a model, or an `Opener`; the first is the baseline.
        tasks: with unique names.
        folder: where the files lie; answers found there are used.
        comparisons: (after, before) pairs whose differences are tested; each model against the
            first where None.
        unlike: in what models may differ and be compared all the same; see
            `togi.evaluate.unlike`.
        series: names of models in order, such as checkpoints; see `togi.evaluate.mirage`.
        chunk: samples asked in one request; it changes no score.
        seed: of the bootstrap.
        say: prints one line.

    Returns:
        What `scores.json` holds.

    Raises:
        UsageError: no models or tasks, a task's name twice, a comparison of unknown models.
        DataError: a damaged line.
        SurroundingsError: the disk is full or an endpoint fails; what was answered is kept.
    """
    check_allowed(unlike)
    names = list(models)
    pairs = [(n, names[0]) for n in names[1:]] if comparisons is None else list(comparisons)
    _check(names, tasks, [*pairs, *zip(series, series, strict=True)], chunk)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "samples.jsonl", say)
    facts = {name: answer_all(name, model, tasks, ledger, chunk) for name, model in models.items()}
    keys = (keys_of(name, facts[name]["fingerprint"], task) for name in names for task in tasks)
    lines = ledger.keep(chain.from_iterable(keys))
    described = {task.name: task_facts(task, list(facts.values())) for task in tasks}
    scores = score(
        described, names, pairs, lines, series=series, seed=seed, judged=facts, unlike=unlike
    )
    scores["judged"] = facts
    write_text(folder / "scores.json", pretty(scores))
    return scores


def _check(
    names: Sequence[str],
    tasks: Sequence[Task],
    pairs: Sequence[tuple[str, str]],
    chunk: int,
) -> None:
    if not names or not tasks:
        raise UsageError("at least one model and one task are needed", where="judge")
    if chunk < 1:
        raise UsageError(f"chunk must be at least 1, got {chunk}", where="judge")
    task_names = [task.name for task in tasks]
    if twice := {name for name in task_names if task_names.count(name) > 1}:
        raise UsageError(f"two tasks are called {min(twice)!r}", where="judge")
    for name in (name for pair in pairs for name in pair):
        if name not in names:
            raise UsageError(
                f"a comparison names the model {name!r}",
                where="judge",
                expected=nearest(name, names),
            )


def pretty(value: Any) -> str:
    """Return JSON that people can read; not-finite numbers become null."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def answer_all(
    name: str, source: Model, tasks: Sequence[Task], ledger: Ledger, chunk: int
) -> dict[str, str]:
    """Have one model answer all that is missing; return what is known of it.

    Args:
        name: what the lines call it.
        source: the model, or how it is opened where an answer is missing.
        tasks: what it is asked.
        ledger: where its answers go.
        chunk: samples asked in one request.
    """
    notes = ledger.path.with_name("models.json")
    known = _remembered(notes, ledger.say)
    if isinstance(source, Opener):
        facts = known.get(source.identity)
        if facts and not any(_missing(name, facts["fingerprint"], t, ledger) for t in tasks):
            ledger.say(f"{name}: all answers are there")
            return facts
    model = source.open() if isinstance(source, Opener) else source
    facts = describe(model)
    if isinstance(source, Opener):
        write_text(notes, pretty({**known, source.identity: facts}))
    for task in tasks:
        ask_missing(name, facts["fingerprint"], task, ledger, chunk, partial(ask, model, task))
    if isinstance(source, Opener):
        del model
        gc.collect()  # models hold cycles; without this two of them would be in memory
    return facts


def describe(model: LanguageModel) -> dict[str, str]:
    """Return what a report says of a model: name, fingerprint, engine, dtype, vocabulary."""
    inner = model.model if isinstance(model, Cached) else model
    dtype = getattr(getattr(inner, "model", None), "dtype", "not told")
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "backend": type(inner).__name__,
        "dtype": str(dtype).removeprefix("torch."),
        "vocabulary": vocabulary(inner),
    }


def _remembered(notes: Path, say: Callable[[str], None]) -> dict[str, dict[str, str]]:
    """Return what is known of models opened before: identity -> facts."""
    try:
        return orjson.loads(notes.read_bytes()) if notes.exists() else {}
    except orjson.JSONDecodeError:
        say(f"{notes.name} is damaged; the models will be opened to know them again")
        return {}


def keys_of(name: str, fingerprint: str, task: Task) -> list[str]:
    """Return the keys of a model's lines on a task, in the order of its samples."""
    return [answer_key(name, fingerprint, task, sample) for sample in task.samples]


def _missing(name: str, fingerprint: str, task: Task, ledger: Ledger) -> list[Sample]:
    """Return the samples that this model has not answered."""
    keys = zip(task.samples, keys_of(name, fingerprint, task), strict=True)
    return [sample for sample, key in keys if key not in ledger]


def ask_missing(
    name: str,
    fingerprint: str,
    task: Task,
    ledger: Ledger,
    chunk: int,
    reply: Callable[[Sequence[Sample]], list[Answer]],
) -> None:
    """Ask one model, or whoever replies, what is missing of one task, chunk by chunk."""
    todo = _missing(name, fingerprint, task, ledger)
    if "sampling" in task.rules.uses:
        chunk = max(1, min(chunk, DRAWN // task.asking.sampling.n))
    began = told = time.monotonic()
    for start in range(0, len(todo), chunk):
        samples = todo[start : start + chunk]
        answers = reply(samples)
        ledger.append(
            sample_line(name, answer_key(name, fingerprint, task, sample), task, sample, answer)
            for sample, answer in zip(samples, answers, strict=True)
        )
        done = start + len(samples)
        if done < len(todo) and time.monotonic() - told > SAY_EVERY:
            told = time.monotonic()
            left = (told - began) / done * (len(todo) - done)
            ledger.say(f"{name} · {task.name}: {done} of {len(todo)}, about {left:.0f} s left")
    there = len(task.samples) - len(todo)
    kept = f" ({there} were there)" if there else ""
    ledger.say(f"{name} · {task.name}: {len(todo)} samples asked{kept}")


def try_task(task: Task, model: LanguageModel, n: int = 5) -> list[dict[str, Any]]:
    """Ask a task's first samples and return their lines; nothing is written."""
    samples = task.samples[:n]
    answers = ask(model, task, samples)
    return [
        sample_line(model.name, "", task, sample, answer)
        for sample, answer in zip(samples, answers, strict=True)
    ]
