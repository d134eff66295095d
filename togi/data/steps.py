"""The recipe's data steps: `data.dsir` picks rows like the target, `data.random` is its control."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from togi.errors import RecipeError
from togi.stats.rng import derive
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.data.shards.select import Documents, How, Picked
    from togi.data.shards.sources import Wanted

DSIR = ("of", "hash", "words", "order", "buckets", "smoothing", "length_normalise", "top_k")


class RandomSettings(StepSettings):
    """Pick k rows at random among those long enough: the control of every other way to pick."""

    rows: StepRef | list[StepRef] | None = None
    "The pool: an earlier step's rows, or several steps'."
    sources: list[str] = Field(default_factory=list)
    "The pool, read directly and shard by shard: files, folders, patterns, hub:owner/name."
    target: StepRef | list[StepRef] | None = None
    "Rows of the kind that is wanted; only to tell how near the pick comes to them."
    target_sources: list[str] = Field(default_factory=list)
    "The same, read directly; each is a target."
    k: int = Field(ge=0)
    "How many rows to pick; more than may be picked gives all that may, with a note."
    features: str | None = None
    "The text that is looked at, such as `{response}`; by default the prompt and the answer."
    field: str = Field(default="text", min_length=1)
    "Field or column of the text in sources that are read directly."
    target_field: str | None = None
    "The same in target_sources; by default as in the pool."
    min_tokens: int = Field(default=100, ge=0)
    "Rows with fewer words in that text are never picked."
    on_bad: Literal["error", "skip"] = "error"
    "Stop at the first line or file that cannot be used, or count it and go on."
    lines: bool = False
    "Write the picked lines as they stand in their files, a part a shard, not as togi's rows."
    engine: Literal["threads", "ray"] = "threads"
    "Who works: this process, or the Ray cluster that RAY_ADDRESS names; the pick is the same."
    workers: int = Field(default=0, ge=0)
    "Threads, or a local Ray cluster's processes; 0 takes all cores."
    shard_mb: float = Field(default=0, ge=0)
    "Megabytes of a shard; 0 fits them to the pool."
    index: str | None = None
    "Folder where the pool's n-grams stay, so that another target or k reads no text again."
    reread: bool = False
    "Read the texts twice instead of keeping their n-grams, two bytes each, on disk meanwhile."


class DsirSettings(RandomSettings):
    """Pick k rows whose hashed n-grams are like the target's (importance resampling)."""

    target: StepRef | list[StepRef] | None = None
    "Rows of the kind that is wanted: an earlier step's, or several steps', each a target."
    of: str = "words"
    "What n-grams are made of: `words`, `characters`, or your features by `file.py:function`."
    hash: Literal["fast", "exact"] = "fast"
    "`exact` is the reference package's SHA-256; `fast` splits the same words and hashes quicker."
    words: Literal["regex", "re"] = "regex"
    "Which `\\w` splits words: `regex` (reference with NLTK 3.10 and later) or Python's `re`."
    order: int = Field(default=2, ge=1)
    "Longest n-gram, in words or characters."
    buckets: int = Field(default=10_000, ge=2)
    "Hash buckets."
    smoothing: float = Field(default=0.0, ge=0)
    "Pseudo-count of every target bucket; try 1 for targets of fewer than 100,000 words."
    length_normalise: bool = False
    "Divide log weights by the number of n-grams, so that long rows are not extreme."
    top_k: bool = False
    "Take the k greatest weights instead of sampling by them."
    separate_targets: bool = False
    "Fit and fill a quota for each target by itself instead of for all of them together."
    proportions: list[float] = Field(default_factory=list)
    "Quotas of separate targets; by default their shares of the targets' n-grams."


def run_dsir(settings: DsirSettings, work: Work) -> dict[str, Any]:
    """Pick rows by importance resampling; outputs `rows`, `selection`, `card` and `dropped`."""
    own = {name: getattr(settings, name) for name in DSIR}
    several = {
        "separate_targets": settings.separate_targets,
        "proportions": tuple(settings.proportions),
    }
    return _run(settings, work, {**own, **several})


def run_random(settings: RandomSettings, work: Work) -> dict[str, Any]:
    """Pick rows at random by the same rules; outputs `rows`, `selection`, `card` and `dropped`."""
    return _run(settings, work, {"random": True})


def _within(source: str, steps: Path) -> str:
    """Name a file of an earlier step by its place among the steps; others keep their path.

    >>> _within("/runs/a/steps/clean-1/rows.jsonl", Path("/runs/a/steps"))
    'clean-1/rows.jsonl'
    """
    path = Path(source)
    return path.relative_to(steps).as_posix() if path.is_relative_to(steps) else source


def _run(settings: RandomSettings, work: Work, own: dict[str, Any]) -> dict[str, Any]:
    from togi.data.options import Options
    from togi.data.shards.report import report, write_dropped, write_report
    from togi.data.shards.select import How, select_shards
    from togi.data.shards.sources import Wanted

    options = Options(min_tokens=settings.min_tokens, seed=derive(work.seed, work.name), **own)
    how = How(
        work=work.folder / "work", index=Path(settings.index) if settings.index else None,
        engine=settings.engine, workers=settings.workers, shard=int(settings.shard_mb * 1e6),
        on_bad=settings.on_bad, reread=settings.reread,
        shape="lines" if settings.lines else "rows", short=_listed(settings.rows) != [],
        say=lambda line: work.say(f"{work.name}: {line}"),
    )  # fmt: skip
    wanted = Wanted(
        how, field=settings.field, target_field=settings.target_field or settings.field,
        features=settings.features, step=work.name, offline=work.offline,
    )  # fmt: skip
    pool, targets = _pool(settings, work, wanted), _targets(settings, work, wanted)
    picked = select_shards(pool, targets, settings.k, options, how)
    told = report(picked, settings.k, options, wanted.lost)
    told["seed"] = work.seed  # of which the step's own was derived by its name
    for one in told["sources"]:  # a run tells the same wherever its folder lies
        one["source"] = _within(one["source"], work.folder.parent)
    write_report(work.folder, "", told, picked)
    write_dropped(work.folder / "dropped.jsonl", picked, how, least=settings.min_tokens)
    rows = _put(picked, how, work.folder, settings.lines)
    shutil.rmtree(how.work)
    for note in told["notes"]:
        work.say(f"{work.name}: {note}")
    return {
        "rows": rows,
        "selection": "selection.json",
        "card": "card.md",
        "dropped": "dropped.jsonl",
        "n": told["k"],
    }


def _listed(refs: str | list[str] | None) -> list[str]:
    return [refs] if isinstance(refs, str) else refs or []


def _pool(settings: RandomSettings, work: Work, wanted: Wanted) -> Documents:
    if not settings.rows and not settings.sources:
        raise RecipeError(
            "a pool is wanted", where=f"step '{work.name}'", expected="rows or sources"
        )
    rows = wanted.rows([work.input(ref, "rows") for ref in _listed(settings.rows)])
    direct = wanted.pool(settings.sources)
    return replace(direct, sources=[*rows.sources, *direct.sources], reading=rows.reading)


def _targets(settings: RandomSettings, work: Work, wanted: Wanted) -> Sequence[Documents]:
    rows = [wanted.rows([work.input(ref, "rows")]) for ref in _listed(settings.target)]
    return [*rows, *(wanted.target([name]) for name in settings.target_sources)]


def _put(picked: Picked, how: How, folder: Path, lines: bool) -> str:
    """Put what was picked where it belongs, and return its name."""
    from togi.data.shards.writing import gather

    if not lines:
        gather(picked.parts, folder / "rows.jsonl")
        return "rows.jsonl"
    parts = folder / "picked"
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir()
    for part in picked.parts:
        part.replace(parts / part.name)
    return "picked"
