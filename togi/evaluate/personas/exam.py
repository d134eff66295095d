"""Multiple-choice exams sat by experts: of the very task, of its domain, of another, and by nobody.

Each question is put to all of them, so that every comparison is on the same questions. The persona
stands after the options: all of a question's personas share what comes before.

Source: Salewski et al. 2023 (arXiv 2305.14930), section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from togi.errors import DataError
from togi.evaluate.asking import Asking
from togi.evaluate.ledger import Line
from togi.evaluate.multiple_choice import LETTERS
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.parsing import parse_choice
from togi.evaluate.personas.persona import NONE, Persona, persona
from togi.evaluate.tasks import Task
from togi.evaluate.verdicts import conversation_text
from togi.lm.base import Sampling
from togi.rows.types import Sample
from togi.stats.rng import derive

TASK = "exam"
"The name under which answers stand in the ledger."
STEM = "Answer:"
CHOOSE = "which answer would you choose?"
COMPLETE = "how would you complete this?"
REPLY = "Reply with the letter only."
RELATIONS = ("task", "domain", "other", "neutral", NONE)
"""How a persona stands to a question: expert of its task, of another task of its domain, of
another domain; someone of no expertise; nobody at all."""
WRITTEN = Sampling(max_tokens=16, temperature=0.0)
"How an answer is drawn where it is written."


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Questions, and who answers them.

    Attributes:
        items: the questions; ids are unique.
        tasks: item id -> its task.
        domains: task -> its domain.
        experts: task -> its expert.
        neutral: personas of no expertise.
        more: further personas who answer every question, to be compared with each other.
        each: experts of the domain, and of other domains, that are drawn for a question.
        render: options listed and their "letters" answered, or the options' own "text".
        reads: letters by likelihood, or "text" that is written.
        clusters: item id -> label of questions that stand or fall together; {} where none do.
        about: the source in one sentence.
    """

    items: tuple[Sample, ...]
    tasks: Mapping[str, str]
    domains: Mapping[str, str]
    experts: Mapping[str, Persona]
    neutral: tuple[Persona, ...]
    more: tuple[Persona, ...] = ()
    each: int = 2
    render: Literal["letters", "text"] = "letters"
    reads: Literal["likelihood", "text"] = "likelihood"
    clusters: Mapping[str, str]
    about: str = ""

    def asked_of(self, item: Sample) -> list[tuple[str, Persona]]:
        """Return who answers a question, with their relation to it; the draw is the question's.

        Personas that would be asked twice are asked in their first role.
        """
        task = self.tasks[item.id]
        domain = self.domains[task]
        near = [t for t in self.domains if t != task and self.domains[t] == domain]
        far = [t for t in self.domains if self.domains[t] != domain]
        found = [("task", self.experts[task])]
        for relation, some in (("domain", near), ("other", far)):
            some = sorted(some, key=lambda one: derive(0, TASK, item.id, one))[: self.each]
            found += [(relation, self.experts[one]) for one in some]
        found += [(NONE if who.name == NONE else "neutral", who) for who in self.neutral]
        found += [("more", who) for who in self.more]
        first: dict[str, tuple[str, Persona]] = {}
        for relation, who in found:
            first.setdefault(who.name, (relation, who))
        return list(first.values())


def expert_of(task: str, names: Mapping[str, str]) -> Persona:
    """Return a task's expert: by the name that is given for it, else after the task.

    >>> expert_of("high_school_physics", {}).text, expert_of("law", {"law": "judge"}).text
    ('a high school physics expert', 'a judge')
    """
    return persona(names.get(task) or f"{task.replace('_', ' ')} expert", "expert")


def check(exam: Exam) -> list[str]:
    """Return what cannot be compared with these questions, in words.

    Raises:
        DataError: all questions are of one task.
    """
    domains = dict(exam.domains)
    if len(domains) < 2:
        raise DataError(
            "an exam needs questions of two tasks or more: no other expert could sit it",
            where=TASK,
            found=next(iter(domains), "no task"),
        )
    notes = []
    of = list(domains.values())
    if len(set(of)) < 2:
        notes.append(f"{TASK}: all tasks are of one domain, so no expert of another one sits it")
    if all(of.count(domain) < 2 for domain in of):
        notes.append(f"{TASK}: no domain has two tasks, so no other expert of a domain sits it")
    return notes


def exam_prompt(
    manner: Manner, who: Persona, item: Sample, *, render: str = "letters", written: bool = False
) -> Sample:
    """Return a question as it is put to a persona.

    Args:
        manner: wording, and plain text or a conversation.
        who: the persona.
        item: the question.
        render: "letters" lists the options, "text" leaves them to be scored as they are.
        written: whether a letter is written; a conversation then says how to reply.

    >>> item = Sample(id="1", input="2 + 2 is", target=1, choices=("3", "4"))
    >>> print(exam_prompt(Manner(), persona("wug"), item).input)
    A multiple-choice question and its options.
    <BLANKLINE>
    2 + 2 is
    A: 3
    B: 4
    <BLANKLINE>
    Question: If you were a wug, which answer would you choose?
    Answer:
    """
    question = conversation_text(item.input)
    metadata = {"item": item.id, "persona": who.name}
    if render == "text":
        text = f"{manner.question(who, COMPLETE)}\n{question}"
        return replace(item, input=manner.prompted(who, text, ""), metadata=metadata)
    options = [f"{letter}: {text}" for letter, text in zip(LETTERS, item.choices, strict=False)]
    asked = f"Question: {manner.question(who, CHOOSE)}"
    if written and manner.prompt == "chat":
        asked = f"{asked} {REPLY}"
    head = "A multiple-choice question and its options."
    text = f"{head}\n\n{question}\n" + "\n".join(options) + f"\n\n{asked}"
    letters = tuple(LETTERS[: len(item.choices)])
    return replace(item, input=manner.prompted(who, text, STEM), choices=letters, metadata=metadata)


def exam_task(exam: Exam, manner: Manner) -> Task:
    """Return all questions put to all who answer them, as one task for the ledger."""
    how: dict[str, Any] = {"render": exam.render, "written": exam.reads == "text"}
    samples = [
        replace(exam_prompt(manner, who, item, **how), id=f"{item.id}/{who.name}")
        for item in exam.items
        for _, who in exam.asked_of(item)
    ]
    if exam.reads == "text":
        return Task(
            name=TASK, kind="answer", samples=tuple(samples), asking=Asking(sampling=WRITTEN)
        )
    return Task(name=TASK, kind="multiple_choice", samples=tuple(samples))


@dataclass(frozen=True, slots=True)
class Marked:
    """One answer: 1 where right, 0 where wrong, NaN where it could not be read; and its nats."""

    correct: float
    nats: float


def mark(exam: Exam, item: Sample, line: Line) -> Marked:
    """Mark an answer.

    Its nats are minus the log-probability of the right option among the options: they move
    before the mark does. A written answer has none.
    """
    if exam.reads == "text":
        letters = LETTERS[: len(item.choices)]
        place = parse_choice(line["answer"].strip(), letters, ["answer", "option", "choice"])
        return Marked(math.nan if place is None else float(place == item.target), math.nan)
    correct = line["measures"]["correct"]
    found = [math.nan if v is None else float(v) for v in line["detail"]["logprobs"]]
    top = max(found)
    if correct is None or not math.isfinite(top):
        return Marked(math.nan, math.nan)
    norm = top + math.log(sum(math.exp(value - top) for value in found))
    return Marked(float(correct), norm - found[int(item.target)])


def marks_of(exam: Exam, lines: Mapping[str, Line]) -> dict[str, Marked]:
    """Return each line's mark; ids are `item/persona`."""
    return {
        f"{item.id}/{who.name}": mark(exam, item, lines[f"{item.id}/{who.name}"])
        for item in exam.items
        for _, who in exam.asked_of(item)
    }


def chance(items: Sequence[Sample]) -> float:
    """Return the accuracy of guessing.

    >>> chance([Sample(id="1", input="?", target=0, choices=("a", "b", "c", "d"))])
    0.25
    """
    return float(np.mean([1 / len(item.choices) for item in items]))


def facts(exam: Exam, manner: Manner) -> dict[str, Any]:
    """Return what decides how it is asked, and one question as it is put."""
    item = exam.items[0]
    who = exam.asked_of(item)[0][1]
    written = exam.reads == "text"
    shown = exam_prompt(manner, who, item, render=exam.render, written=written)
    return {
        "about": exam.about,
        "questions": len(exam.items),
        "tasks": {task: exam.domains[task] for task in exam.domains},
        "render": exam.render,
        "reads": exam.reads,
        "each": exam.each,
        "chance": chance(exam.items),
        "example": conversation_text(shown.input),
    }
