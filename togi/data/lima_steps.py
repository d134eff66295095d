"""The recipe's step `data.lima`: about a thousand rows, curated from a forum or any source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from togi.data.lima import LEAST_SCORE, PUBLISHED, RULES, Limits
from togi.errors import UsageError, nearest
from togi.rows.types import Dropped, Example, Row
from togi.stats.rng import derive
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.data.candidates import Options
    from togi.data.dumps.reading import Reading
    from togi.data.forum import Kind


LEAST_NEAR = 0.1  # below it the index would propose nearly every pair


class LimaSettings(StepSettings):
    """Pick about a thousand rows as LIMA did: by rules, balanced, diverse, none twice."""

    source: str = ""
    "A Stack Exchange dump, wikiHow, Reddit or task files, or any source of prompts and responses."
    rows: StepRef | None = None
    "An earlier step's rows, instead of a source."
    kind: Literal["auto", "stack_exchange", "wikihow", "reddit", "natural_instructions", "rows"] = (
        "auto"
    )
    "What the source is; by default its files tell."
    k: int = Field(default=1000, ge=1)
    "How many rows to pick."
    rules: dict[str, bool] = Field(default={})
    """Rules to switch on or off: score, length, prompt, response, removed, title_alone, title_only,
    first_person, other_answers. Each kind of source has the published ones."""
    min_score: float | None = None
    "Least score of an answer; 10 for Stack Exchange, none for others."
    score_percentile: float | None = Field(default=None, ge=0, le=100)
    "Least score as a percentile of the answer's site (or topic), instead of `min_score`."
    score: str = Field(default="score", min_length=1)
    "The metadata key of rows that holds their score."
    min_characters: int = Field(default=1200, ge=0)
    "The rule `length`: fewest characters of an answer, after cleaning."
    max_characters: int = Field(default=4096, ge=1)
    "The rule `length`: most characters of an answer, after cleaning."
    max_body: int = Field(default=0, ge=0)
    "The rule `title_only`: most characters of a question's body."
    language: Literal["en", "de"] = "en"
    "Whose words the rules first_person and other_answers look for."
    prompt: Literal["random", "title", "body", "both"] = "random"
    "What is asked where a question has a title and a body."
    topic: str = ""
    "The metadata key to balance by; by default the site (the first tag of one site) or category."
    temperature: float = Field(default=3.0, gt=0)
    "Shares of topics go with size^(1/temperature): 1 is proportional, more is more even."
    groups: dict[str, list[str]] = Field(default={})
    "Groups of topics that get equal parts, as LIMA's STEM and other sites."
    within: Literal["facility_location", "k_center", "score", "random"] = "facility_location"
    "How to pick within a topic: similar to all others, farthest apart, best scores, or by chance."
    diversity_of: Literal["both", "prompt", "response"] = "both"
    "The text whose n-grams tell rows apart."
    embeddings: str = ""
    "A .npy or .safetensors file with a vector for each row of the source, instead of n-grams."
    candidates: int = Field(default=10, ge=0)
    "Rows that are looked at for each one to pick, best scores first; 0 looks at all."
    near: float = Field(default=0.7, ge=0, le=1)
    "Jaccard similarity from which on two rows are near-duplicates; 0 keeps them."
    shingle: int = Field(default=5, ge=1)
    "Words in a row that are compared for it."
    against: list[StepRef] = Field(default=[])
    "Steps whose rows must not stand in the pick, equal or nearly."
    max_tokens: int | None = Field(default=None, ge=2)
    "Longest row, prompt and answer, in tokens of the recipe's model."
    site: str = ""
    "The dump's site, such as cooking.stackexchange.com, where its path does not say it."
    on_bad: Literal["error", "skip"] = "error"
    "Stop at the first post or row that cannot be read, or count it and go on."

    @model_validator(mode="after")
    def _sensible(self) -> LimaSettings:
        if bool(self.source) == (self.rows is not None):
            raise UsageError("give either 'source' or 'rows'")
        if self.rows is not None and self.kind not in ("auto", "rows"):
            raise UsageError(f"rows of an earlier step are not of the kind '{self.kind}'")
        for name in self.rules:
            if name not in RULES:
                raise UsageError(f"no rule '{name}'", hint=nearest(name, RULES))
        if self.min_score is not None and self.score_percentile is not None:
            raise UsageError("give either 'min_score' or 'score_percentile'")
        if self.min_characters > self.max_characters:
            raise UsageError("min_characters is more than max_characters")
        if self.near and self.near < LEAST_NEAR:
            raise UsageError(
                f"near must be 0 or at least {LEAST_NEAR}", found=str(self.near), expected="0.7"
            )
        return self


def run_lima(settings: LimaSettings, work: Work) -> dict[str, Any]:
    """Curate rows; outputs `rows`, `curation`, `dropped`, `messages`, `alpaca` and `n`."""
    from togi.data.curate import curate
    from togi.data.forum import kind_of, open_source
    from togi.data.lima_report import report
    from togi.data.spool import DroppedFile, Spool

    source = settings.source or str(work.input(settings.rows or "", "rows"))
    kind: Kind = "rows"
    if settings.rows is None:
        kind = kind_of(source) if settings.kind == "auto" else settings.kind
    options = _options(settings, kind, derive(work.seed, work.name))
    opened = open_source(
        source,
        kind,
        _reading(settings, kind, options, work.folder),
        topic=settings.topic,
        score_key=settings.score,
        offline=work.offline,
    )
    work.say(f"{opened.name}: {kind.replace('_', ' ')}; rules: {', '.join(options.rules)}")
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(work.folder, options.seed))
        dropped = stack.enter_context(DroppedFile(work.folder / "dropped.jsonl"))
        held_out = _held_out(settings, work)
        fits = _fits(settings, work)
        found = curate(
            opened, options, spool, dropped, held_out=held_out, too_long=fits, say=work.say
        )
        rows = opened.attributed(list(spool.rows(found.picked.places)))
        told = report(found, rows, spool, opened, options)
    told["seed"] = work.seed  # of which the step's own was derived by its name
    _leave(work.folder, rows, told)
    work.say(f"{found.total} read, {sum(found.picked.sizes)} eligible, {len(rows)} picked")
    for note in found.notes:
        work.say(f"{work.name}: {note}")
    return {
        "rows": "rows.jsonl",
        "curation": "curation.json",
        "dropped": "dropped.jsonl",
        "messages": "messages.jsonl",
        "alpaca": "alpaca.json",
        "n": len(rows),
        "notes": found.notes,
    }


def _leave(folder: Path, rows: Sequence[Example], told: dict[str, Any]) -> None:
    """Write the rows in each shape, and `curation.json` with the files' hashes."""
    from togi.data.lima_report import as_alpaca, as_messages, sha256
    from togi.rows.write import write_rows

    def write(name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8", errors="replace")

    write_rows(folder / "rows.jsonl", rows)
    lines = [json.dumps(as_messages(row), ensure_ascii=False) + "\n" for row in rows]
    write("messages.jsonl", "".join(lines))
    alpaca = [as_alpaca(row) for row in rows]
    write("alpaca.json", json.dumps(alpaca, indent=1, ensure_ascii=False) + "\n")
    told["hashes"] = {name: sha256(folder / name) for name in ("rows.jsonl", "dropped.jsonl")}
    write("curation.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def rules_of(kind: Kind, switched: dict[str, bool], asks_for_score: bool) -> tuple[str, ...]:
    """Return the rules that hold: the kind's published ones, some switched on or off.

    >>> rules_of("wikihow", {"length": True, "response": False}, asks_for_score=False)
    ('length', 'prompt')
    """
    holds = {name: name in PUBLISHED[kind] for name in RULES}
    if asks_for_score:
        holds["score"] = True
    holds |= switched
    return tuple(name for name in RULES if holds[name])


def _options(settings: LimaSettings, kind: Kind, seed: int) -> Options:
    from togi.data.candidates import Options

    asks = settings.min_score is not None or settings.score_percentile is not None
    if settings.rules.get("score") and not asks and kind not in LEAST_SCORE:
        raise UsageError("the rule 'score' needs 'min_score' or 'score_percentile'")
    if settings.embeddings and kind != "rows":
        raise UsageError(
            "embeddings need rows in a known order",
            found=kind,
            hint="curate with a large k, embed its rows.jsonl, and curate these rows again",
        )
    return Options(
        k=settings.k,
        rules=rules_of(kind, settings.rules, asks),
        tau=settings.temperature,
        within=settings.within,
        candidates=settings.candidates,
        near=settings.near,
        words=settings.shingle,
        side=settings.diversity_of,
        groups=settings.groups,
        embeddings=Path(settings.embeddings).expanduser() if settings.embeddings else None,
        seed=seed,
    )


def _reading(settings: LimaSettings, kind: Kind, options: Options, folder: Path) -> Reading:
    from togi.data.dumps.reading import Reading

    percentile = settings.score_percentile
    least = LEAST_SCORE.get(kind) if settings.min_score is None else settings.min_score
    limits = Limits(
        score=least if "score" in options.rules and percentile is None else None,
        percentile=percentile if "score" in options.rules else None,
        least=settings.min_characters,
        most=settings.max_characters,
        body=settings.max_body,
        language=settings.language,
    )
    return Reading(
        rules=frozenset(options.rules),
        limits=limits,
        asking=settings.prompt,
        seed=options.seed,
        on_bad=settings.on_bad,
        spill=folder,
        site=settings.site,
    )


def _held_out(settings: LimaSettings, work: Work) -> list[Row]:
    from togi.rows.read import read_rows

    return [row for ref in settings.against for row in read_rows(work.input(ref, "rows"))]


def _fits(
    settings: LimaSettings, work: Work
) -> Callable[[Sequence[Example]], Iterable[str]] | None:
    """Return what says of rows why they are too long in tokens; None where nobody asks."""
    if settings.max_tokens is None:
        return None
    from transformers import AutoTokenizer

    from togi.lm.catalogue import resolve
    from togi.rows.chat import Renderer

    folder = resolve(work.model, offline=work.offline, say=work.say)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    renderer = Renderer(tokenizer, max_tokens=settings.max_tokens, end_plain=True)

    def too_long(rows: Sequence[Example]) -> list[str]:
        found = renderer.examples((row.id, row.prompt, row.response) for row in rows)
        return [one.reason if isinstance(one, Dropped) else "" for one in found]

    return too_long
