"""A task: samples and how a model is judged on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from togi.errors import DataError, UsageError, nearest
from togi.evaluate.asking import Answer, Asking, Measure, Question, TaskKind, plain_prompt
from togi.evaluate.checks import CHECKS
from togi.evaluate.kinds import TASK_KINDS
from togi.lm.base import LanguageModel, Scored
from togi.lm.drawn import score_ids
from togi.parse.named import parser_of
from togi.rows.types import Sample

DEFAULT = Asking()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Samples and how a model is judged on them; checked when built.

    Attributes:
        name: as it stands in the files; unique within one judging.
        kind: a key of `TASK_KINDS`.
        samples: what is asked; ids are unique.
        asking: the settings that the kind uses.
        shots: solved samples shown before each question, the same for all.
        cluster: metadata key of samples that stand or fall together; "" where they are
            independent.

    Raises:
        UsageError: no such kind, or a setting that the kind does not use.
        DataError: no samples, an id twice, a sample that cannot be judged or has no cluster.

    >>> task = Task(name="sums", kind="bits_per_byte",
    ...             samples=(Sample(id="1", input="2 + 2 =", target=" 4"),))
    >>> task.measures[0].name
    'bits_per_byte'
    """

    name: str
    kind: str
    samples: tuple[Sample, ...]
    asking: Asking = DEFAULT
    shots: tuple[Sample, ...] = ()
    cluster: str = ""

    def __post_init__(self) -> None:
        where = f"task '{self.name}'"
        if self.kind not in TASK_KINDS:
            raise UsageError(
                f"no kind of task is called {self.kind!r}",
                where=where,
                expected=nearest(self.kind, TASK_KINDS),
            )
        _check_asking(where, self.kind, self.asking)
        if not self.samples:
            raise DataError("there is no sample to judge", where=where)
        seen: set[str] = set()
        for sample in (*self.shots, *self.samples):
            if sample.id in seen:
                raise DataError(f"two samples have the id {sample.id!r}", where=where)
            seen.add(sample.id)
            if reason := self.rules.unfit(self.asking, sample):
                raise DataError(f"sample {sample.id!r} cannot be judged: {reason}", where=where)
        for sample in self.samples:
            if self.cluster and sample.metadata.get(self.cluster) is None:
                raise DataError(
                    f"sample {sample.id!r} has no cluster",
                    where=where,
                    found=", ".join(sample.metadata) or "no metadata",
                    expected=f"metadata '{self.cluster}'",
                )

    @property
    def rules(self) -> TaskKind:
        """How the task's kind asks and reads."""
        return TASK_KINDS[self.kind]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The task's measures, the primary one first."""
        return self.rules.measures(self.asking)

    @property
    def template(self) -> dict[str, Any]:
        """All that decides how a sample is asked and read; only equal templates are compared."""
        used = {name: getattr(self.asking, name) for name in self.rules.uses}
        for name in used.keys() & {"sampling", "limits"}:
            used[name] = asdict(used[name])
        shots = [sample_digest(shot) for shot in self.shots]
        return {"kind": self.kind, "version": self.rules.version, **used, "shots": shots}

    @property
    def template_hash(self) -> str:
        """A digest of the template, 16 hexadecimal characters."""
        return digest(self.template)

    def cluster_of(self, sample: Sample) -> str:
        """Return the sample's cluster label, "" where the task has no clusters."""
        return str(sample.metadata[self.cluster]) if self.cluster else ""


def _check_asking(where: str, kind: str, asking: Asking) -> None:
    uses = TASK_KINDS[kind].uses
    for setting in fields(Asking):
        if setting.name not in uses and getattr(asking, setting.name) != setting.default:
            raise UsageError(
                f"'{setting.name}' means nothing to {kind}",
                where=where,
                expected=", ".join(uses) or "no such setting",
            )
    if "parse" in uses and asking.parse:
        parser_of(asking.parse)
    if "check" in uses and asking.check not in CHECKS:
        raise UsageError(
            f"no check is called {asking.check!r}",
            where=where,
            expected=nearest(asking.check, CHECKS),
        )


def ask(model: LanguageModel, task: Task, samples: Sequence[Sample]) -> list[Answer]:
    """Ask a model some of a task's samples, all in one request to its engine.

    Returns:
        One answer for each sample, in their order; an answer does not depend on the others.
    """
    questions = [task.rules.ask(task.asking, task.shots, sample) for sample in samples]
    scored = iter(_score(model, questions))
    replies: list[list[Any]] = [
        [next(scored) for _ in question.continuations or question.ids] for question in questions
    ]
    if "sampling" in task.rules.uses:
        drawn = model.generate([question.prompt for question in questions], task.asking.sampling)
        replies = [[*ours, *beside] for ours, beside in zip(drawn, replies, strict=True)]
    if task.rules.grade is not None:
        return task.rules.grade(task.asking, samples, replies)
    pairs = zip(samples, replies, strict=True)
    return [task.rules.read(task.asking, sample, found) for sample, found in pairs]


def _score(model: LanguageModel, questions: Sequence[Question]) -> list[Scored]:
    """Score what follows the questions, all of them texts or all of them token ids."""
    if any(question.ids for question in questions):
        given = [(q.prompt, ids) for q in questions for ids in q.ids]
        return score_ids(model, [prompt for prompt, _ in given], [ids for _, ids in given])
    pairs = [(q.prompt, text) for q in questions for text in q.continuations]
    if not pairs:
        return []
    return model.score([prompt for prompt, _ in pairs], [text for _, text in pairs])


def digest(value: Any) -> str:
    """Return 16 hexadecimal characters that change with the value.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def sample_digest(sample: Sample) -> str:
    """Return a digest of what is asked and expected, so that an edited sample is asked again."""
    return digest([plain_prompt(sample.input), sample.target, sample.choices])
