"""Pairwise judging: models answer the same prompts, judges say which of two answers is better.

Each model answers each prompt once, whatever it is compared with; each judge sees each pair in
both orders, so that its bias for a place is measured and cancels. Answers and verdicts are lines
of one `samples.jsonl`; everything said of them is computed from the lines.

Sources: Zhou et al. 2023 (LIMA, section 4: win, tie, lose with intervals, judges' agreement);
Zheng et al. 2023 (MT-bench, section 3.3: a judge's bias for a position).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Literal, TypeAlias

from togi.errors import UsageError, nearest
from togi.evaluate.asking import Answer, Asking, target_text
from togi.evaluate.judge import CHUNK, Model, answer_all, ask_missing, keys_of, pretty
from togi.evaluate.ledger import Ledger, Line
from togi.evaluate.pairwise_scores import ANSWERS, pairwise_scores, shown
from togi.evaluate.rules import Pair, Rule
from togi.evaluate.tasks import Task, digest
from togi.evaluate.verdicts import CRITERION, conversation_text, letters, verdict_prompt
from togi.lm.base import Sampling
from togi.rows.types import Sample
from togi.train.files import write_text

FINISHES = "togi: how the answers ended"
"The metadata key under which a rule's pair carries it."


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageJudge:
    """A language model as a judge.

    Attributes:
        model: the model, or how it is opened.
        reads: "likelihood" scores the verdict's letters; "text" has it write and reads that.
        criterion: what better means.
        ties: whether it may say that neither is better.
        chat: asked in a conversation; else in plain text.
        max_tokens: longest written verdict.
    """

    model: Model
    reads: Literal["likelihood", "text"] = "likelihood"
    criterion: str = CRITERION
    ties: bool = True
    chat: bool = True
    max_tokens: int = 16


Judge: TypeAlias = LanguageJudge | Rule


def every_pair(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return each pair of models once, the later one first.

    >>> every_pair(["base", "sft", "dpo"])
    [('sft', 'base'), ('dpo', 'base'), ('dpo', 'sft')]
    """
    return [(two, one) for one, two in combinations(names, 2)]


def both_orders(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each pair as it is and turned round: (shown first, shown second).

    >>> both_orders([("sft", "base")])
    [('sft', 'base'), ('base', 'sft')]
    """
    return [names for after, before in pairs for names in ((after, before), (before, after))]


def compare(
    models: Mapping[str, Model],
    judges: Mapping[str, Judge],
    answers: Task,
    folder: Path,
    *,
    comparisons: Sequence[tuple[str, str]] | None = None,
    chunk: int = CHUNK,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Have models answer and judges compare; write `samples.jsonl` and `scores.json`.

    Args:
        models: display name -> a model, or an `Opener`; the first is the one that strengths are
            relative to.
        judges: display name -> who compares.
        answers: a task of the kind "answer" named `ANSWERS`: the prompts and how answers are
            drawn, one for each prompt.
        folder: where the files lie; answers and verdicts found there are used.
        comparisons: (after, before) pairs of models; each pair once where None.
        chunk: samples asked in one request; it changes no verdict.
        seed: of the bootstrap.
        say: prints one line.

    Returns:
        What `scores.json` holds.

    Raises:
        UsageError: fewer than two models, no judge, a comparison of unknown models or of one
            with itself.
        DataError: a damaged line, or a user's rule that fails.
        SurroundingsError: the disk is full or an endpoint fails; what was answered is kept.
    """
    pairs = every_pair(list(models)) if comparisons is None else list(comparisons)
    _check(list(models), list(judges), pairs, answers)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "samples.jsonl", say)
    facts = {n: answer_all(n, model, [answers], ledger, chunk) for n, model in models.items()}
    own = {name: keys_of(name, facts[name]["fingerprint"], answers) for name in models}
    drawn = {name: [ledger.lines[key] for key in keys] for name, keys in own.items()}
    keys = [*own.values()]
    told: dict[str, dict[str, str]] = {}
    for name, judge in judges.items():
        tasks = [
            verdict_task(judge, answers, names, (drawn[names[0]], drawn[names[1]]))
            for names in both_orders(pairs)
        ]
        told[name] = _verdicts(name, judge, tasks, answers, ledger, chunk)
        keys += [keys_of(name, told[name]["fingerprint"], task) for task in tasks]
    lines = ledger.keep(chain.from_iterable(keys))
    asked = asked_facts(list(models), judges, pairs, answers)
    scores = {**pairwise_scores(asked, lines, seed=seed), "judged": facts, "judging": told}
    write_text(folder / "scores.json", pretty(scores))
    return scores


def _check(
    models: Sequence[str],
    judges: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    answers: Task,
) -> None:
    if len(models) < 2 or not judges or not pairs:
        raise UsageError("at least two models and one judge are needed", where="pairwise")
    if answers.kind != "answer" or answers.name != ANSWERS or answers.asking.sampling.n != 1:
        raise UsageError(
            "one answer is compared for each prompt",
            where="pairwise",
            found=f"{answers.asking.sampling.n} draws of the task '{answers.name}'",
            hint="leave sampling.n at 1 and judge more prompts",
        )
    for after, before in pairs:
        for name in (after, before):
            if name not in models:
                raise UsageError(
                    f"a comparison names the model {name!r}",
                    where="pairwise",
                    expected=nearest(name, models),
                )
        if after == before:
            raise UsageError("a model is compared with itself", where="pairwise", found=after)
    names = [shown(*names) for names in both_orders(pairs)]
    if len(set(names)) < len(names):
        raise UsageError("a pair of models is compared twice", where="pairwise")


def verdict_task(
    judge: Judge, answers: Task, names: tuple[str, str], drawn: tuple[list[Line], list[Line]]
) -> Task:
    """Return what a judge is asked about one pair of models in one order.

    Args:
        judge: who is asked.
        answers: the prompts.
        names: the model whose answer is shown first, and the other.
        drawn: the lines of their answers, in the order of the prompts.
    """
    ask = _rule_sample if isinstance(judge, Rule) else partial(_verdict_sample, judge)
    rows = zip(answers.samples, *drawn, strict=True)
    asking = Asking()
    if isinstance(judge, Rule):
        kind = "verdict_by_rule"
    elif judge.reads == "likelihood":
        kind = "verdict_by_likelihood"
    else:
        kind = "verdict_by_text"
        asking = Asking(sampling=Sampling(temperature=0.0, max_tokens=judge.max_tokens))
    return Task(
        name=shown(*names),
        kind=kind,
        samples=tuple(ask(sample, (one, two)) for sample, one, two in rows),
        asking=asking,
        cluster=answers.cluster,
    )


def _verdict_sample(judge: LanguageJudge, sample: Sample, lines: tuple[Line, Line]) -> Sample:
    prompt = verdict_prompt(
        sample.input,
        (lines[0]["answer"], lines[1]["answer"]),
        criterion=judge.criterion,
        ties=judge.ties,
        chat=judge.chat,
    )
    return replace(sample, input=prompt, target="", choices=letters(judge.ties))


def _rule_sample(sample: Sample, lines: tuple[Line, Line]) -> Sample:
    finishes = [line["detail"]["finish"][0] for line in lines]
    return replace(
        sample,
        target=target_text(sample),
        choices=(lines[0]["answer"], lines[1]["answer"]),
        metadata={**sample.metadata, FINISHES: finishes},
    )


def apply_rule(rule: Rule, task: Task, samples: Sequence[Sample]) -> list[Answer]:
    """Return a rule's verdicts on pairs, in their order."""
    pairs = (
        Pair(
            id=sample.id,
            prompt=conversation_text(sample.input),
            first=sample.choices[0],
            second=sample.choices[1],
            target=target_text(sample),
            finishes=(sample.metadata[FINISHES][0], sample.metadata[FINISHES][1]),
        )
        for sample in samples
    )
    credits = [rule.credit(pair) for pair in pairs]
    return [
        task.rules.read(task.asking, sample, (credit,))
        for sample, credit in zip(samples, credits, strict=True)
    ]


def _verdicts(
    name: str, judge: Judge, tasks: Sequence[Task], answers: Task, ledger: Ledger, chunk: int
) -> dict[str, str]:
    """Have one judge say what is missing; return what is known of it."""
    if isinstance(judge, LanguageJudge):
        return answer_all(name, judge.model, tasks, ledger, chunk)
    # How an answer ended is not seen in its text, but follows from how it was drawn.
    mark = digest([judge.fingerprint, answers.template_hash])
    for task in tasks:
        ask_missing(name, mark, task, ledger, chunk, partial(apply_rule, judge, task))
    return {"name": judge.name, "fingerprint": mark, "backend": "rule"}


def asked_facts(
    models: Sequence[str],
    judges: Mapping[str, Judge],
    pairs: Sequence[tuple[str, str]],
    answers: Task,
) -> dict[str, Any]:
    """Return what `scores.json` says of the question, enough to compute its scores again."""
    sampling = answers.template["sampling"]
    return {
        "models": list(models),
        "comparisons": [list(pair) for pair in pairs],
        "judges": {name: _judge_facts(judge) for name, judge in judges.items()},
        "prompts": len(answers.samples),
        "cluster": answers.cluster,
        "sampling": {**sampling, "stop": list(sampling["stop"])},
    }


def _judge_facts(judge: Judge) -> dict[str, Any]:
    if isinstance(judge, Rule):
        return {"reads": "rule", "rule": judge.name, "definition": judge.definition}
    told = {"reads": judge.reads, "definition": judge.criterion, "ties": judge.ties}
    return {**told, "asked in": "a conversation" if judge.chat else "plain text"}
