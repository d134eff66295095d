"""Settings of the recipe's evaluate steps."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from togi.errors import UsageError, nearest
from togi.evaluate.unlike import check_allowed
from togi.step import StepRef, StepSettings


class SamplingSettings(StepSettings):
    """How answers are drawn; greedy unless told otherwise."""

    max_tokens: int = Field(default=128, ge=1)
    "Longest answer, in tokens."
    temperature: float = Field(default=0.0, ge=0)
    "0 takes the most probable token each time."
    top_p: float = Field(default=1.0, gt=0, le=1)
    "Nucleus of the sampling; 1 switches it off."
    top_k: int = Field(default=0, ge=0)
    "Draw among so many most probable tokens; 0 switches it off."
    stop: tuple[str, ...] = ()
    "Texts that end an answer."
    n: int = Field(default=1, ge=1)
    "Answers to each sample; its measures are their mean."
    seed: int | None = None
    "Seed of the draws; by default derived from the recipe's seed and the task's name."


class EndpointSettings(StepSettings):
    """How a served model is asked, and what that may cost."""

    concurrency: int = Field(default=8, ge=1)
    "Requests under way at once."
    timeout: float = Field(default=120.0, gt=0)
    "Seconds of silence after which a request counts as failed and is tried again."
    attempts: int = Field(default=8, ge=1)
    "Tries of one request, with growing pauses, or as long as the server asks for."
    price_in: float = Field(default=0.0, ge=0)
    "Price of a million tokens that are sent."
    price_out: float = Field(default=0.0, ge=0)
    "Price of a million tokens that are received."
    most: float | None = Field(default=None, ge=0)
    "The most that this run may cost there, all its starts together; nothing begins beyond it."
    extra: dict[str, Any] = Field(default={})
    "More fields for every request's body."

    @model_validator(mode="after")
    def _priced(self) -> EndpointSettings:
        if self.most is not None and not (self.price_in or self.price_out):
            raise UsageError(
                "a cost cap needs prices", where="endpoint.most", hint="give price_in and price_out"
            )
        return self


class ModelSettings(StepSettings):
    """A model to judge: the recipe's own, another one, and an adapter on top."""

    model: str = ""
    "Catalogue name, hub id, folder or openai:URL#name; the recipe's model where empty."
    adapter: StepRef | None = None
    "A training step whose adapter is put on it."
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    "Type of a local model's weights."
    endpoint: EndpointSettings | None = None
    "How a served model is asked: prices and cost cap, time limits, requests at once."


def short_form(value: Any) -> Any:
    """Read the short form: `base`, a step's name, or a model's address (it holds / or :).

    >>> short_form("base"), short_form("sft"), short_form("owner/name")
    ({}, {'adapter': 'sft'}, {'model': 'owner/name'})
    """
    if not isinstance(value, str):
        return value
    if value == "base":
        return {}
    return {"model": value} if set(value) & set("/:\\") else {"adapter": value}


ShortModel = Annotated[
    ModelSettings, BeforeValidator(short_form, json_schema_input_type=str | ModelSettings)
]


class LimitSettings(StepSettings):
    """What generated code may take; more ends it, and it counts as not passed."""

    seconds: float = Field(default=5.0, ge=0.1)
    "By the clock."
    memory_mb: int = Field(default=512, ge=32)
    "Address space of each process."
    processes: int = Field(default=8, ge=2)
    "Processes and threads at once."
    disk_mb: int = Field(default=16, ge=1)
    "Of its folder in memory, and of each file."


class TaskSettings(StepSettings):
    """One task: its samples, how they are asked, and how an answer is scored."""

    name: str = Field(min_length=1)
    "How the files and the report call it."
    kind: (
        Literal[
            "bits_per_byte",
            "text_bits_per_byte",
            "multiple_choice",
            "distribution",
            "generate_and_check",
            "exact_match",
            "choice_by_generation",
            "code",
            "function",
        ]
        | None
    ) = None
    "How it is judged; a guard suite knows its own kind."
    rows: StepRef | None = None
    "The step whose rows are asked."
    guard: Literal["general_text", "choices"] | None = None
    "A guard suite that comes with togi, instead of rows."
    limit: int | None = Field(default=None, ge=1)
    "Ask at most so many samples, drawn by the recipe's seed."
    shots: int = Field(default=0, ge=0)
    "Solved samples shown before each question; they are not judged."
    cluster: str | None = None
    "Metadata key of samples that belong together, such as module; a guard knows its own."
    render: Literal["text", "letters"] = "text"
    "With choices: score the choices' own texts, or list them and score their letters."
    context_words: int = Field(default=8, ge=0)
    "text_bits_per_byte: first words of a text that are given and not scored."
    check: str = ""
    "generate_and_check: the check's name, such as docstring_format."
    sampling: SamplingSettings = SamplingSettings()
    "Kinds that generate: how answers are drawn."
    parse: str = ""
    "exact_match, choice_by_generation: how an answer is read; number, last_line, regex:…"
    likelihood: bool = False
    "exact_match, choice_by_generation, code: score the right answer besides (not by an endpoint)."
    function: str = ""
    "function: your own score, file.py:function of (response, prompt, row)."
    passes: list[Annotated[int, Field(ge=1)]] = Field(default=[1], min_length=1)
    "code: each k of pass@k; sampling.n must be as large."
    limits: LimitSettings = LimitSettings()
    "code: what a program may take in its sandbox."

    @model_validator(mode="after")
    def _one_source(self) -> TaskSettings:
        where = f"task '{self.name}'"
        if (self.rows is None) == (self.guard is None):
            raise UsageError("give either 'rows' or 'guard'", where=where)
        if self.rows is not None and self.kind is None:
            raise UsageError("missing key 'kind'", where=where, expected="how rows are judged")
        return self


class ComparedSettings(StepSettings):
    """Models that answer the same samples, and which of them are compared."""

    models: dict[str, ShortModel] = Field(min_length=1)
    "Display name: `base`, a training step, a model's address, or model/adapter/dtype."
    baseline: str | None = None
    "The model that the others are compared with; the first one by default."
    comparisons: list[tuple[str, str]] = Field(default=[])
    "More pairs to compare, each [after, before]."
    chunk: int = Field(default=64, ge=1)
    "Samples between two syncs to the disk; changes no score."

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = list(self.models)
        named = [name for pair in self.comparisons for name in pair]
        for name in [*named, *([self.baseline] if self.baseline else [])]:
            if name not in known:
                raise UsageError(f"no model is called '{name}'", expected=nearest(name, known))
        return self

    def pairs(self) -> list[tuple[str, str]]:
        """Return the comparisons: every other model with the baseline, then those listed."""
        base = self.baseline or next(iter(self.models))
        every = [(name, base) for name in self.models if name != base]
        return list(dict.fromkeys([*every, *self.comparisons]))


class JudgeSettings(ComparedSettings):
    """Judge models on the same samples; every answer is one line, every score has an interval."""

    tasks: list[TaskSettings] = Field(min_length=1)
    "What they are judged on."
    unlike: list[str] = Field(default=[])
    "In what compared models may differ on purpose: backend, dtype. The report states it."
    series: list[str] = Field(default=[])
    "Models in order of scale or time: jumps that only the measure makes are flagged."

    @model_validator(mode="after")
    def _names(self) -> JudgeSettings:
        for name in self.series:
            if name not in self.models:
                raise UsageError(
                    f"no model is called '{name}'", expected=nearest(name, list(self.models))
                )
        check_allowed(self.unlike)
        names = [task.name for task in self.tasks]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two tasks are called '{name}'")
        return self


class VerdictSettings(StepSettings):
    """Accept, reject or cannot tell, by a rule that is stated before anything is judged."""

    scores: StepRef
    "The judging that holds the candidate."
    before: StepRef | None = None
    "Another judging that holds the baseline; it must have asked the same in the same way."
    unlike: list[str] = Field(default=[])
    "In what the two may differ on purpose: backend, dtype, shots, … The report states it."
    baseline: str
    "The model before, by its display name."
    candidate: str
    "The model after."
    primary: str
    "The task that must improve, or task.measure."
    at_least: float = Field(default=0.0, ge=0)
    "The least improvement that counts, in the measure's units."
    guards: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    "Task (or task.measure): how much of it may be lost, in its units."
    alpha: float = Field(default=0.05, gt=0, lt=1)
    "The chance of any wrong statement, all gates together."
    power: float = Field(default=0.8, gt=0, lt=1)
    "The chance that 'collect n more' settles it."
    also: list[tuple[str, str]] = Field(default=[])
    "Other pairs [after, before] told beside the verdict, on the primary measure."
