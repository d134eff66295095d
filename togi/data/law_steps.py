"""The recipe's steps over training runs: `data.scaling` fits and plans, `data.repeated` repeats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from togi.errors import DataError, RecipeError
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.data.scaling_runs import Runs


class TableSettings(StepSettings):
    """How a table of training runs is read."""

    columns: dict[str, str] = Field(default_factory=dict)
    """togi's name (params, tokens, loss, flops, unique_tokens, name) -> the table's column."""
    on_bad: Literal["error", "skip"] = "error"
    "Stop at the first bad row, or leave it out and go on."
    exclude: list[str] = Field(default_factory=list)
    "Names of runs to leave out."
    drop_highest: int = Field(default=0, ge=0)
    "Leave out so many of the highest losses, as runs that failed or hardly trained."
    draws: int = Field(default=400, ge=100)
    "Bootstrap resamples of the runs, from which the intervals come."
    level: float = Field(default=0.95, gt=0, lt=1)
    "Level of the intervals."
    delta: float = Field(default=1e-3, gt=0)
    "From this residual of ln(loss) on, the fit counts its size and not its square."


class ScalingSettings(TableSettings):
    """Fit scaling laws to finished training runs, and split compute budgets by them."""

    source: str | None = None
    """A table (csv, tsv, jsonl, parquet) with columns params, tokens, loss; flops may stand for
    one. Without it Chinchilla's law answers, as refitted to its public runs."""
    budgets: list[float] = Field(default_factory=list)
    "FLOPs to split; by default the dearest run's, and ten times it."
    isoflop: list[float] = Field(default_factory=list)
    "FLOPs of the IsoFLOP profiles; by default those about which runs gather."
    read: float = Field(default=0.0, ge=0)
    "Tokens that the model will read in use; above 0 the split weighs training and use together."
    next_runs: int = Field(default=3, ge=0, le=20)
    "How many runs to propose for narrowing the last budget's interval."
    next_flops: float | None = Field(default=None, gt=0)
    "What a proposed run may cost; by default as much as the dearest run so far."

    @model_validator(mode="after")
    def _amounts(self) -> ScalingSettings:
        for name in ("budgets", "isoflop"):
            if any(value <= 0 for value in getattr(self, name)):
                raise RecipeError(f"{name} must be FLOPs above 0", found=str(getattr(self, name)))
        if self.source is None and not self.budgets:
            raise RecipeError("nothing to fit and nothing to split", expected="source or budgets")
        return self


class Domain(StepSettings):
    """One source of a mixture."""

    unique_tokens: float = Field(gt=0)
    "Its unique tokens."
    share: float = Field(ge=0, le=1)
    "Its share of the training's tokens."


class RepeatedSettings(TableSettings):
    """What repeated data is worth, and how to split compute when unique tokens are few."""

    source: str | None = None
    "A table of runs with unique_tokens, to refit the law; without one the paper's runs speak."
    law: Literal["c4", "whole"] = "c4"
    "`c4` holds the paper's law of fresh data fixed, `whole` fits it to the same runs."
    base: StepRef | None = None
    "A `data.scaling` step whose law of fresh data is held fixed instead of the paper's."
    unique_tokens: float | None = Field(default=None, gt=0)
    "Unique tokens that there are."
    kept: float = Field(default=1.0, gt=0, le=1)
    "The share of them that filters leave; the plan counts with what is left."
    flops: float | None = Field(default=None, gt=0)
    "A compute budget to split over parameters and epochs."
    params: float | None = Field(default=None, gt=0)
    "Parameters of a plan to judge."
    tokens: float | None = Field(default=None, gt=0)
    "Tokens, repeats included, of that plan or of the mixture."
    domains: dict[str, Domain] = Field(default_factory=dict)
    "Sources of a mixture, each with its unique tokens and its share."
    together: Literal["params", "unique_tokens", "run"] = "params"
    "Runs that are resampled together: of one size, of the same unique tokens, or none."

    @model_validator(mode="after")
    def _asked(self) -> RepeatedSettings:
        if self.source is None and self.unique_tokens is None and not self.domains:
            raise RecipeError(
                "nothing to fit and nothing to plan",
                expected="source, or unique_tokens with flops, or domains with tokens",
            )
        if self.unique_tokens and not (self.flops or (self.params and self.tokens)):
            raise RecipeError(
                "unique_tokens needs a budget or a plan",
                expected="flops, or params and tokens",
            )
        if self.domains and not self.tokens:
            raise RecipeError("domains need the training's tokens", expected="tokens")
        if self.base and self.source is None:
            raise RecipeError("base needs runs to fit the decays to", expected="source")
        if self.base and self.law == "whole":
            raise RecipeError("base holds a law fixed, and law: whole fits one", expected="one")
        return self


def run_scaling(settings: ScalingSettings, work: Work) -> dict[str, Any]:
    """Fit the laws; outputs `scaling` (the file), `n`, and `params` and `tokens` to train next."""
    from togi.data.scaling_study import Question, study

    runs = _read(settings, settings.source, work) if settings.source else None
    asked = Question(
        budgets=settings.budgets,
        isoflop=settings.isoflop,
        read=settings.read,
        draws=settings.draws,
        level=settings.level,
        delta=settings.delta,
        next_runs=settings.next_runs,
        next_flops=settings.next_flops,
        seed=work.seed,
    )
    found = study(runs, asked)
    best = found["budgets"][-1]
    outputs = {name: best[name]["mean"] for name in ("params", "tokens")}
    return _left(work, "scaling", found, 0 if runs is None else len(runs)) | outputs


def run_repeated(settings: RepeatedSettings, work: Work) -> dict[str, Any]:
    """Fit and plan with repeated data; outputs `repeated` (the file) and `n`."""
    from togi.data.repeated_study import Wanted, study

    runs = _read(settings, settings.source, work) if settings.source else None
    unique = settings.unique_tokens
    asked = Wanted(
        law=settings.law,
        base=_base(settings, work),
        unique=unique * settings.kept if unique else None,
        flops=settings.flops,
        params=settings.params,
        tokens=settings.tokens,
        domains={name: (one.unique_tokens, one.share) for name, one in settings.domains.items()},
        together=settings.together,
        draws=settings.draws,
        level=settings.level,
        delta=settings.delta,
        seed=work.seed,
    )
    return _left(work, "repeated", study(runs, asked), 0 if runs is None else len(runs))


def _read(settings: TableSettings, source: str, work: Work) -> Runs:
    from togi.data.scaling_runs import read_runs
    from togi.rows.write import write_dropped

    runs = read_runs(
        source,
        columns=settings.columns,
        on_bad=settings.on_bad,
        drop_highest=settings.drop_highest,
        exclude=settings.exclude,
    )
    if runs.dropped:
        write_dropped(work.folder / "dropped.jsonl", iter(runs.dropped))
    return runs


def _base(settings: RepeatedSettings, work: Work) -> Any:
    """Return the law of an earlier scaling study.

    Raises:
        DataError: it is none that a law of repeats can stand on.
    """
    import numpy as np

    if settings.base is None:
        return None
    path = Path(work.input(settings.base, "scaling"))
    theta = np.array(json.loads(path.read_text(encoding="utf-8"))["law"]["theta"], dtype=float)
    if not (np.isfinite(theta).all() and (theta[3:] > 0).all()):
        raise DataError(
            "the scaling law does not fall with parameters and tokens",
            where=settings.base,
            found=f"α {theta[3]:.3g}, β {theta[4]:.3g}",
        )
    return theta


def _left(work: Work, name: str, found: dict[str, Any], n: int) -> dict[str, Any]:
    """Write the study, say its warnings, and return the step's outputs."""
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    (work.folder / f"{name}.json").write_text(text + "\n", encoding="utf-8", errors="replace")
    for note in found["warnings"]:
        work.say(f"warning: {note}")
    return {name: f"{name}.json", "n": n, "notes": [*found["notes"], *found["warnings"]]}
