"""The recipe's data steps: `data.dsir` picks rows like the target, `data.random` is its control."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from togi.data.render import Renderer
from togi.rows.types import Dropped, Row
from togi.stats.rng import derive
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.data.selection import Selection


class RandomSettings(StepSettings):
    """Pick k rows at random among those long enough: the control of every other way to pick."""

    rows: StepRef
    "The pool: an earlier step's rows."
    target: StepRef | None = None
    "Rows of the kind that is wanted; only to tell how near the pick comes to them."
    k: int = Field(ge=0)
    "How many rows to pick; more than may be picked gives all that may, with a note."
    features: str | None = None
    "The text that is looked at, such as `{response}`; by default the prompt and the answer."
    min_tokens: int = Field(default=100, ge=0)
    "Rows with fewer words in that text are never picked."


class DsirSettings(RandomSettings):
    """Pick k rows whose hashed n-grams are like the target's (importance resampling)."""

    target: StepRef  # type: ignore[assignment]
    "Rows of the kind that is wanted: an earlier step's rows."
    hash: Literal["fast", "exact"] = "fast"
    "`exact` is the reference package's SHA-256; `fast` splits the same words and hashes quicker."
    words: Literal["regex", "re"] = "regex"
    "Which `\\w` splits words: `regex` (reference with NLTK 3.10 and later) or Python's `re`."
    order: int = Field(default=2, ge=1)
    "Longest n-gram, in words."
    buckets: int = Field(default=10_000, ge=2)
    "Hash buckets."
    smoothing: float = Field(default=0.0, ge=0)
    "Pseudo-count of every target bucket; try 1 for targets of fewer than 100,000 words."
    length_normalise: bool = False
    "Divide log weights by the number of n-grams, so that long rows are not extreme."
    top_k: bool = False
    "Take the k greatest weights instead of sampling by them."


def run_dsir(settings: DsirSettings, work: Work) -> dict[str, Any]:
    """Pick rows by importance resampling; outputs `rows`, `selection` and `dropped`."""
    return _run(settings, work, settings.model_dump(exclude=set(RandomSettings.model_fields)))


def run_random(settings: RandomSettings, work: Work) -> dict[str, Any]:
    """Pick rows at random by the same rules; outputs `rows`, `selection` and `dropped`."""
    return _run(settings, work, None)


def _run(settings: RandomSettings, work: Work, dsir: dict[str, Any] | None) -> dict[str, Any]:
    from togi.data.index import index_texts
    from togi.data.selection import Options, choose
    from togi.rows.read import read_rows
    from togi.rows.write import write_dropped, write_rows

    pool_rows = read_rows(work.input(settings.rows, "rows"))
    render = Renderer(settings.features, work.name)
    options = Options(
        min_tokens=settings.min_tokens,
        seed=derive(work.seed, work.name),
        random=dsir is None,
        **(dsir or {}),
    )
    features, threads = options.features, options.threads
    wanted = []
    if settings.target is not None:
        rows = read_rows(work.input(settings.target, "rows"))
        wanted.append(index_texts(map(render, rows), features, workers=threads))
    with index_texts(map(render, pool_rows), features, workers=threads, spill=work.folder) as pool:
        selection = choose(pool, wanted, settings.k, options, _texts(pool_rows, render))
    selection.report["seed"] = work.seed  # of which the step's own was derived by its name
    write_rows(work.folder / "rows.jsonl", _picked(pool_rows, selection))
    write_dropped(work.folder / "dropped.jsonl", _short(pool_rows, selection, settings.min_tokens))
    text = json.dumps(selection.report, indent=1, ensure_ascii=False, allow_nan=False)
    (work.folder / "selection.json").write_text(text + "\n", encoding="utf-8", errors="replace")
    for note in selection.notes:
        work.say(f"{work.name}: {note}")
    return {
        "rows": "rows.jsonl",
        "selection": "selection.json",
        "dropped": "dropped.jsonl",
        "n": len(selection.indices),
    }


def _texts(rows: Iterable[Row], render: Callable[[Row], str]) -> Callable[[list[int]], list[str]]:
    def texts_of(places: list[int]) -> list[str]:
        wanted = set(places)
        return [render(row) for place, row in enumerate(rows) if place in wanted]

    return texts_of


def _picked(rows: Iterable[Row], selection: Selection) -> Iterator[Row]:
    chosen = set(selection.indices.tolist())
    return (row for place, row in enumerate(rows) if place in chosen)


def _short(rows: Iterable[Row], selection: Selection, least: int) -> Iterator[Dropped]:
    for row, words in zip(rows, selection.words.tolist(), strict=True):
        if words < least:
            yield Dropped(row.id, f"fewer than {least} words")
