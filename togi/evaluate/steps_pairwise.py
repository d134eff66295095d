"""`evaluate.pairwise`: two or more models answer, judges say which answer is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from togi.errors import UsageError, nearest
from togi.evaluate.settings import ModelSettings, SamplingSettings, ShortModel, short_form
from togi.evaluate.verdicts import CRITERION
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.evaluate.pairwise import Judge


class PairJudgeSettings(ModelSettings):
    """Who compares: a rule, or a language model."""

    rule: str = ""
    "A rule instead of a model: shorter, longer, ended, matches, a check, or file.py:function."
    reads: Literal["auto", "likelihood", "text"] = "auto"
    "Score the verdict's letters, or read a written verdict; auto writes for an endpoint only."
    prompt: Literal["chat", "plain"] = "chat"
    "Ask in a conversation, or in plain text (base models; scores of an endpoint)."
    max_tokens: int = Field(default=16, ge=1)
    "Longest written verdict, in tokens."

    @model_validator(mode="after")
    def _one_kind(self) -> PairJudgeSettings:
        given = self.model_fields_set - {"rule"}
        if self.rule and given:
            raise UsageError(f"'{min(given)}' means nothing to a rule", where=f"rule '{self.rule}'")
        return self


def _short_judge(value: Any) -> Any:
    """Read the short form of a judge: a rule, or what a model's short form may be.

    >>> _short_judge("shorter"), _short_judge("mine.py:kinder"), _short_judge("owner/name")
    ({'rule': 'shorter'}, {'rule': 'mine.py:kinder'}, {'model': 'owner/name'})
    """
    from togi.evaluate.rules import is_rule

    return {"rule": value} if isinstance(value, str) and is_rule(value) else short_form(value)


ShortJudge = Annotated[
    PairJudgeSettings, BeforeValidator(_short_judge, json_schema_input_type=str | PairJudgeSettings)
]


class PairwiseSettings(StepSettings):
    """Compare models' answers pair by pair; both orders are asked, so that a bias for one shows.

    A judge is only as good as it is: a model of 135M parameters cannot tell which answer is
    better, and its bias for a position says so.
    """

    models: dict[str, ShortModel] = Field(min_length=2)
    "Display name: `base`, a training step, a model's address, or model/adapter/dtype."
    rows: StepRef
    "The step whose prompts are answered."
    judges: dict[str, ShortJudge] = Field(min_length=1)
    "Display name: a rule, file.py:function, a model in short form, or all of its settings."
    limit: int | None = Field(default=None, ge=1)
    "Answer at most so many prompts, drawn by the recipe's seed."
    cluster: str = ""
    "Metadata key of prompts that belong together, such as module."
    criterion: str = Field(default=CRITERION, min_length=1)
    "What a language model is told that better means."
    ties: bool = True
    "Whether a language model may say that neither answer is better."
    sampling: SamplingSettings = SamplingSettings()
    "How answers are drawn, one for each prompt."
    comparisons: list[tuple[str, str]] | None = None
    "Pairs [after, before] to compare; each two models where not given."
    chunk: int = Field(default=64, ge=1)
    "Prompts between two syncs to the disk; changes no verdict."

    @model_validator(mode="after")
    def _fits(self) -> PairwiseSettings:
        known = list(self.models)
        for name in (name for pair in self.comparisons or [] for name in pair):
            if name not in known:
                raise UsageError(f"no model is called '{name}'", expected=nearest(name, known))
        if self.sampling.n != 1:
            raise UsageError(
                "one answer is compared for each prompt",
                where="sampling.n",
                found=str(self.sampling.n),
                hint="judge more prompts instead",
            )
        return self


def run_pairwise(settings: PairwiseSettings, work: Work) -> dict[str, Any]:
    """Have models answer and judges compare; outputs `scores` and `samples`."""
    from togi.evaluate.pairwise import compare
    from togi.evaluate.pairwise_scores import ANSWERS
    from togi.evaluate.steps import answer_task_of, opener, paid_notes

    judges = {name: judge_of(one, settings, work) for name, one in settings.judges.items()}
    notes: list[str] = []
    answers = answer_task_of(
        ANSWERS,
        settings.rows,
        settings.sampling,
        work,
        notes,
        limit=settings.limit,
        cluster=settings.cluster,
    )
    for note in notes:
        work.say(note)
    scores = compare(
        {name: opener(model, work) for name, model in settings.models.items()},
        judges,
        answers,
        work.folder,
        comparisons=settings.comparisons,
        chunk=settings.chunk,
        seed=work.seed,
        say=work.say,
    )
    notes += warnings(scores["results"])
    served = {**settings.models, **{n: j for n, j in settings.judges.items() if not j.rule}}
    notes += paid_notes(served, work)
    return {"scores": "scores.json", "samples": "samples.jsonl", "notes": notes}


def judge_of(settings: PairJudgeSettings, whole: PairwiseSettings, work: Work) -> Judge:
    """Return the judge that some settings name.

    Raises:
        UsageError: there is no such rule.
    """
    from togi.evaluate.pairwise import LanguageJudge
    from togi.evaluate.rules import rule_of
    from togi.evaluate.steps import opener
    from togi.lm.open import ENDPOINT

    if settings.rule:
        return rule_of(settings.rule)
    reads = settings.reads
    if reads == "auto":
        served = (settings.model or work.model).startswith(ENDPOINT)
        reads = "text" if served else "likelihood"
    return LanguageJudge(
        model=opener(settings, work),
        reads=reads,
        criterion=whole.criterion,
        ties=whole.ties,
        chat=settings.prompt == "chat",
        max_tokens=settings.max_tokens,
    )


def warnings(results: list[dict[str, Any]]) -> list[str]:
    """Say which verdicts depend more on the order than on the answers.

    >>> warnings([{"judge": "j", "after": "a", "before": "b", "n": 10,
    ...            "inconsistent": {"mean": 0.9}}])
    ['j turned its verdict on a and b round with the order on 90 % of 10 prompts: it says little']
    """
    return [
        f"{one['judge']} turned its verdict on {one['after']} and {one['before']} round with the "
        f"order on {100 * one['inconsistent']['mean']:.0f} % of {one['n']} prompts: "
        "it says little"
        for one in results
        if (one["inconsistent"]["mean"] or 0.0) > 0.5
    ]
