"""Commands that run one step: their arguments become a recipe, which is then run as any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.errors import UsageError

CHANGES_PROMPTS = 24
"""Prompts that are answered after a one-off tuning, to see what it has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What `togi data dsir` chooses from and what the choice shall resemble.

    Attributes:
        words: sources, and `key=value` settings.
        targets: sources; without any, the last of the words' is the target.
        field: of the text: then sources are read directly, shard by shard.
        engine: who works, "" for this process.
    """

    words: Sequence[str]
    targets: Sequence[str] = ()
    field: str = ""
    engine: str = ""

    def step(self) -> tuple[dict[str, Any], dict[str, str], list[str]]:
        """Return the step, the sources to read before it, and its settings.

        Raises:
            UsageError: there is no pool or no target.
        """
        sources, settings = sources_and_settings(self.words)
        targets = list(self.targets) or sources[1:][-1:]
        pool = sources if self.targets else sources[:-1]
        if not pool or not targets:
            raise UsageError(
                "a pool and a target are wanted", found=f"{len(sources)} sources",
                expected="togi data dsir RAW TARGET k=1000, or RAW ... --target TARGET k=1000",
            )  # fmt: skip
        step: dict[str, Any] = {"name": "dsir", "use": "data.dsir"}
        if self.engine:
            step["engine"] = self.engine
        if self.field:
            direct = {"field": self.field, "sources": pool, "target_sources": targets}
            return {**step, **direct}, {}, settings
        raw = {f"raw-{n}" if len(pool) > 1 else "raw": one for n, one in enumerate(pool, 1)}
        like = {f"target-{n}" if len(targets) > 1 else "target": one
                for n, one in enumerate(targets, 1)}  # fmt: skip
        return {**step, "rows": list(raw), "target": list(like)}, {**raw, **like}, settings


def sources_and_settings(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell sources from `key=value` settings; what exists as a file is a source.

    >>> sources_and_settings(["pool.jsonl", "k=5"])
    (['pool.jsonl'], ['k=5'])
    """
    settings = [word for word in words if "=" in word and not Path(word).exists()]
    return [word for word in words if word not in settings], settings


def run_dsir(chosen: Chosen, seed: int, flags: RunFlags) -> int:
    """Choose rows of a pool that resemble one target or several; return the exit code."""
    step, sources, settings = chosen.step()
    whole = OneOff(name="dsir", sources=sources, steps=[step], seed=seed)
    return run_in_folder(whole.recipe(settings), flags)


def run_lima(
    source: str,
    against: Sequence[str],
    settings: Sequence[str],
    model: str,
    seed: int,
    flags: RunFlags,
) -> int:
    """Curate rows of `source` that stand in none of the others; return the exit code."""
    others = {f"against-{number}": text for number, text in enumerate(against, 1)}
    step = {"name": "lima", "use": "data.lima", "source": source, "against": list(others)}
    whole = OneOff(name="lima", sources=others, steps=[step], model=model, seed=seed)
    return run_in_folder(whole.recipe(settings), flags)


def run_align(
    method: str, rows: str, settings: Sequence[str], model: str, seed: int, flags: RunFlags,
    *, changes: bool = True,
) -> int:  # fmt: skip
    """Tune on one source of rows, and see what that has changed; return the exit code."""
    steps: list[dict[str, Any]] = [{"name": method, "use": f"align.{method}", "rows": "rows"}]
    if changes and method != "reward":  # a reward model answers nothing
        models = {"base": "base", method: method}
        asked = {"models": models, "rows": "rows", "limit": CHANGES_PROMPTS}
        steps.append({"name": "changes", "use": "evaluate.changes", **asked})
    whole = OneOff(
        name=method, sources={"rows": rows}, steps=steps, own=method, model=model, seed=seed
    )
    return run_in_folder(whole.recipe(settings), flags)


def run_raters(source: str, settings: Sequence[str], seed: int, flags: RunFlags) -> int:
    """Analyse a table of ratings; return the exit code."""
    step = {"name": "raters", "use": "evaluate.raters", "source": source}
    whole = OneOff(name="raters", sources={}, steps=[step], seed=seed)
    return run_in_folder(whole.recipe(settings), flags)


def short_name(spec: str) -> str:
    """Return what a model is called in tables.

    >>> short_name("openai:http://localhost:8000/v1#small"), short_name("runs/a/adapter/")
    ('small', 'adapter')
    """
    return spec.rstrip("/").split("#")[-1].split("/")[-1] or spec
