"""`evaluate.changes`: what tuning has changed, so that methods can be compared on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from togi.errors import RecipeError, UsageError, nearest
from togi.evaluate.settings import ModelSettings, SamplingSettings, ShortModel, TaskSettings
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.evaluate.tasks import Task

GUARDS: tuple[Literal["general_text", "choices"], ...] = ("general_text", "choices")


class ChangesSettings(StepSettings):
    """Find what tuned models have changed against their base: divergence, lengths, cost."""

    models: dict[str, ShortModel] = Field(min_length=2)
    "Display name: `base`, a training step, a model's address; the base first."
    rows: StepRef
    "The step whose prompts all models answer."
    limit: int | None = Field(default=32, ge=1)
    "Answer at most so many prompts, drawn by the recipe's seed."
    cluster: str = ""
    "Metadata key of prompts that belong together, such as module."
    max_tokens: int = Field(default=128, ge=1)
    "Longest answer; the divergence is that of answers up to this length."
    draws: int = Field(default=1, ge=1)
    "Answers to each prompt; more make the divergence surer."
    guards: tuple[Literal["general_text", "choices"], ...] = GUARDS
    "Guard suites that show what was forgotten; an endpoint must serve log-probabilities for them."
    guard_limit: int | None = Field(default=120, ge=1)
    "Ask at most so many samples of each guard."
    training: dict[str, list[StepRef]] = Field(default={})
    "Model: trainings that count as its cost; by default its own and those it started from."
    scores: StepRef | None = None
    "A judging of the same models, whose measure is drawn against the cost."
    primary: str = ""
    "That measure, as task or task.measure; without a judging it is the rows' own responses."
    chunk: int = Field(default=64, ge=1)
    "Samples between two syncs to the disk; changes no score."

    @model_validator(mode="after")
    def _fits(self) -> ChangesSettings:
        for name in self.training:
            if name not in self.models:
                raise UsageError(
                    f"no model is called '{name}'",
                    where="training",
                    expected=nearest(name, self.models),
                )
        if (self.scores is None) != (not self.primary):
            raise UsageError("give both 'scores' and 'primary', or neither")
        return self


def run_changes(settings: ChangesSettings, work: Work) -> dict[str, Any]:
    """Answer, score and compare; outputs `changes` and `samples`.

    All that is asked is built before the first model is opened, so a fault in it shows at once.
    """
    from togi.evaluate.changes import ANSWERS, changes
    from togi.evaluate.costs import cost_of
    from togi.evaluate.quality import judged_quality
    from togi.evaluate.steps import answer_task_of, opener

    notes: list[str] = []
    more: dict[str, Any] = {
        "costs": {name: cost_of(trainings(name, settings, work)) for name in _tuned(settings)}
    }
    if settings.scores:
        folder = Path(work.input(settings.scores, "scores")).parent
        more["quality"] = judged_quality(folder, settings.primary, list(settings.models))
    drawn = SamplingSettings(max_tokens=settings.max_tokens, n=settings.draws, temperature=1.0)
    answers = answer_task_of(
        ANSWERS, settings.rows, drawn, work, notes, limit=settings.limit, cluster=settings.cluster
    )
    judged = _judged(settings, work, answers, notes)
    for note in notes:
        work.say(note)
    changes(
        {name: opener(model, work) for name, model in settings.models.items()},
        answers,
        judged,
        work.folder,
        more=more,
        chunk=settings.chunk,
        seed=work.seed,
        say=work.say,
    )
    return {"changes": "changes.json", "samples": "samples.jsonl", "notes": notes}


def _tuned(settings: ChangesSettings) -> list[str]:
    return list(settings.models)[1:]


def _judged(settings: ChangesSettings, work: Work, answers: Task, notes: list[str]) -> list[Task]:
    """Return the guards, and the rows' own responses where they are there and wanted."""
    from togi.evaluate.asking import target_text
    from togi.evaluate.changes import RESPONSES
    from togi.evaluate.steps import build_task
    from togi.evaluate.tasks import Task
    from togi.lm.open import ENDPOINT

    served = [
        name
        for name, model in settings.models.items()
        if (model.model or work.model).startswith(ENDPOINT)
    ]
    if served and settings.guards and "guards" not in settings.model_fields_set:
        raise UsageError(
            "guards need log-probabilities, which an endpoint may not serve",
            where=f"model '{served[0]}'",
            hint="`guards: []` leaves them out; name them where the server does serve them",
        )
    tasks = [
        build_task(TaskSettings(name=name, guard=name, limit=settings.guard_limit), work, notes)
        for name in settings.guards
    ]
    own = tuple(sample for sample in answers.samples if target_text(sample))
    if settings.scores or served or not own:
        return tasks
    responses = Task(name=RESPONSES, kind="bits_per_byte", samples=own, cluster=answers.cluster)
    return [responses, *tasks]


def trainings(name: str, settings: ChangesSettings, work: Work) -> list[Path]:
    """Return the folders of the trainings that count as a model's cost.

    Raises:
        RecipeError: a step that is named for it has neither an adapter nor a model.
    """
    from togi.evaluate.costs import chain_of

    if name in settings.training:
        return [_folder(ref, work) for ref in settings.training[name]]
    model: ModelSettings = settings.models[name]
    return chain_of(_folder(model.adapter, work)) if model.adapter else []


def _folder(ref: str, work: Work) -> Path:
    """Return the folder of a training step."""
    step, _, named = ref.partition(".")
    outputs = work.inputs.get(step, {})
    for output in (named,) if named else ("adapter", "model"):
        if output in outputs:
            return Path(outputs[output]).parent
    raise RecipeError(
        f"step '{step}' is no training: it has neither an adapter nor a model",
        where=f"step '{work.name}'",
        found=", ".join(outputs) or "no outputs",
    )
