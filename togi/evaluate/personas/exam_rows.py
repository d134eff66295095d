"""From rows to an exam: which task each question is of, which domain, and who the experts are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from togi.errors import DataError
from togi.evaluate.asking import Asking
from togi.evaluate.guards.choices import choice_samples
from togi.evaluate.personas.exam import TASK, Exam, expert_of
from togi.evaluate.personas.persona import Persona
from togi.evaluate.personas.subjects import MMLU_DOMAINS, OWN_DOMAINS, OWN_EXPERTS
from togi.evaluate.samples import choose, fit_samples
from togi.rows.types import Row, Sample

TASK_KEYS = ("subject", "task", "category")
"Metadata keys that may name a question's task, tried in this order."
DOMAIN_KEYS = ("domain", "supercategory", "super_category")
ENOUGH = 10
"Tasks from which on an interval is over tasks; with fewer it is over questions."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Who sits an exam, and how its rows are read.

    Attributes:
        neutral: personas of no expertise.
        more: further personas who answer every question.
        each: experts of the domain, and of others, that are drawn for a question.
        render: "letters" or "text"; "auto" is text for togi's own questions.
        reads: letters by "likelihood", or "text" that is written.
        task: metadata key of a question's task; "" looks for one.
        domain: metadata key of its domain; "" looks for one.
        domains: task -> domain, where the rows do not say it.
        experts: task -> its expert, where "(task) expert" is not the word.
        cluster: metadata key of questions that belong together; "" is the task where there are
            ten tasks or more.
        limit: questions at most.
        seed: of the draw of questions.
    """

    neutral: tuple[Persona, ...]
    more: tuple[Persona, ...] = ()
    each: int = 2
    render: Literal["auto", "letters", "text"] = "auto"
    reads: Literal["likelihood", "text"] = "likelihood"
    task: str = ""
    domain: str = ""
    domains: Mapping[str, str] = field(default_factory=dict[str, str])
    experts: Mapping[str, str] = field(default_factory=dict[str, str])
    cluster: str = ""
    limit: int | None = None
    seed: int = 0


def own_exam(sitting: Sitting) -> Exam:
    """Return togi's own questions as an exam: seven tasks in three domains, no file needed.

    >>> exam = own_exam(Sitting(neutral=(), limit=9))
    >>> len(exam.items), exam.render, exam.domains["grammar"]
    (9, 'text', 'words')
    """
    items = drawn(choice_samples(), sitting)
    tasks = {item.id: str(item.metadata["category"]) for item in items}
    of = {task: OWN_DOMAINS[task] for task in OWN_DOMAINS if task in tasks.values()}
    return Exam(
        items=items,
        tasks=tasks,
        domains=of,
        experts={task: expert_of(task, {**OWN_EXPERTS, **sitting.experts}) for task in of},
        neutral=sitting.neutral,
        more=sitting.more,
        each=sitting.each,
        render=_render(sitting, "text"),
        reads=sitting.reads,
        clusters={item.id: str(item.metadata["template"]) for item in items},
        about="togi's own sentences to complete; questions of one pattern are one unit",
    )


def exam_of_rows(rows: Iterable[Row], sitting: Sitting, notes: list[str]) -> Exam:
    """Return an exam of multiple-choice rows, such as MMLU's.

    Args:
        rows: whatever was read; those that are no multiple choice are counted in the notes.
        sitting: who sits it, and where tasks and domains stand.
        notes: takes what was left out.

    Raises:
        DataError: no row can be asked, or a row's task or a task's domain is not known.
    """
    samples, dropped = fit_samples(rows, "multiple_choice", Asking())
    if dropped:
        reasons = ", ".join(f"{why} ({n})" for why, n in Counter(d.reason for d in dropped).items())
        notes.append(f"{TASK}: {len(dropped)} rows left out: {reasons}")
    if not samples:
        raise DataError(
            "no row can be asked as multiple choice",
            where=TASK,
            hint=notes[-1] if dropped else "the rows are empty",
        )
    key = _key(samples, sitting.task, TASK_KEYS, "task")
    items = drawn(samples, sitting)
    tasks = {item.id: str(item.metadata[key]) for item in items}
    of = _domains(items, tasks, sitting)
    return Exam(
        items=items,
        tasks=tasks,
        domains=of,
        experts={task: expert_of(task, sitting.experts) for task in of},
        neutral=sitting.neutral,
        more=sitting.more,
        each=sitting.each,
        render=_render(sitting, "letters"),
        reads=sitting.reads,
        clusters=_clusters(items, tasks, sitting),
        about=f"{len(samples)} questions; tasks by '{key}'",
    )


def drawn(samples: Sequence[Sample], sitting: Sitting) -> tuple[Sample, ...]:
    """Return the questions that are asked, drawn by the seed, in their order."""
    return choose(samples, shots=0, limit=sitting.limit, seed=sitting.seed, name=TASK)[1]


def _render(sitting: Sitting, auto: Literal["letters", "text"]) -> Literal["letters", "text"]:
    """Return how options are put; what is written is always a letter."""
    if sitting.reads == "text":
        return "letters"
    return auto if sitting.render == "auto" else sitting.render


def _key(samples: Sequence[Sample], wanted: str, known: Sequence[str], what: str) -> str:
    """Return the metadata key that all samples have.

    Raises:
        DataError: none of the known ones, or the wanted one is missing in some row.
    """
    names = [wanted] if wanted else known
    for name in names:
        if all(sample.metadata.get(name) not in (None, "") for sample in samples):
            return name
    without = next(s for s in samples if s.metadata.get(names[0]) in (None, ""))
    raise DataError(
        f"the rows do not say which {what} a question is of",
        where=f"{TASK}, row '{without.id}'",
        found=", ".join(without.metadata) or "no further columns",
        expected=f"a column {' or '.join(names)}",
        hint=f"name another column with `exam.{what}`",
    )


def _domains(items: Sequence[Sample], tasks: Mapping[str, str], sitting: Sitting) -> dict[str, str]:
    """Return each task's domain: as told, else the rows' own, else MMLU's."""
    found: dict[str, str] = {}
    key = sitting.domain
    if key:
        _key(items, key, (), "domain")
    for item in items:
        task = tasks[item.id]
        own: Any = next(
            (
                item.metadata[name]
                for name in ([key] if key else DOMAIN_KEYS)
                if name in item.metadata
            ),
            None,
        )
        domain = sitting.domains.get(task) or own or MMLU_DOMAINS.get(task)
        if not domain:
            raise DataError(
                f"no domain is known of the task '{task}'",
                where=f"{TASK}, row '{item.id}'",
                expected=f"a column {' or '.join(DOMAIN_KEYS)}, or a subject of MMLU",
                hint=f"give `exam.domain: COLUMN` or `exam.domains: {{{task}: …}}`",
            )
        if found.setdefault(task, str(domain)) != str(domain):
            raise DataError(
                f"the task '{task}' is of two domains",
                where=f"{TASK}, row '{item.id}'",
                found=f"{found[task]} and {domain}",
            )
    return found


def _clusters(
    items: Sequence[Sample], tasks: Mapping[str, str], sitting: Sitting
) -> dict[str, str]:
    """Return each question's unit: as told, else its task where there are enough of them."""
    if sitting.cluster:
        _key(items, sitting.cluster, (), "cluster")
        return {item.id: str(item.metadata[sitting.cluster]) for item in items}
    return dict(tasks) if len(set(tasks.values())) >= ENOUGH else {}
