"""`evaluate.rank`: several models of finished judgings, by win rate and Bradley–Terry strength."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from togi.errors import UsageError
from togi.evaluate.unlike import check_allowed
from togi.step import StepRef, StepSettings, Work


class RankSettings(StepSettings):
    """Rank the models of finished judgings on the samples that they share.

    On each sample the better number wins. A model's win rate is its mean over the other models,
    and so it changes with the set of models; Bradley–Terry strengths do so less.
    """

    source: list[str] = Field(default=[])
    "Folders of finished runs, or of their judging steps."
    judged: list[StepRef] = Field(default=[])
    "Earlier evaluate.judge steps of this recipe."
    tasks: list[str] = Field(default=[])
    "Task, or task.measure; the primary measures of all common tasks where none is named."
    unlike: list[str] = Field(default=[])
    "In what the models may differ on purpose: backend, dtype, shots, … The report states it."
    shared: bool = False
    "Where some were asked more samples than others: compare on those that all were asked."
    draws: int = Field(default=4000, ge=100)
    "Resamples for the intervals."

    @model_validator(mode="after")
    def _something(self) -> RankSettings:
        if not self.source and not self.judged:
            raise UsageError("name finished runs in 'source', or earlier steps in 'judged'")
        check_allowed(self.unlike)
        return self


def run_rank(settings: RankSettings, work: Work) -> dict[str, Any]:
    """Rank the models; outputs `rank` and the plain `best`."""
    from togi.evaluate.field import gather, judgings_of
    from togi.evaluate.judge import pretty
    from togi.evaluate.rank import rank, sentences
    from togi.train.files import write_text

    folders = [place for text in settings.source for place in judgings_of(Path(text).expanduser())]
    folders += [Path(work.input(ref, "scores")).parent for ref in settings.judged]
    field = gather(folders, unlike=settings.unlike, shared=settings.shared)
    found = rank(field, settings.tasks, draws=settings.draws, seed=work.seed)
    write_text(work.folder / "rank.json", pretty(found))
    notes = [*sentences(found), *found["notes"]]
    for note in notes:
        work.say(note)
    return {"rank": "rank.json", "best": found["all"]["places"][0]["model"], "notes": notes}
