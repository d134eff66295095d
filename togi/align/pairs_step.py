"""`align.pairs`: the model answers, and its answers become preference pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from togi.align.settings import PairsSettings
from togi.errors import DataError, UsageError
from togi.step import Work

__all__ = ["PairsSettings", "run_pairs"]

RANKED = 4
"""Answers to each prompt where a reward ranks them."""


def run_pairs(settings: PairsSettings, work: Work) -> dict[str, Any]:
    """Draw the model's answers and pair them; outputs `rows` and `n`."""
    from togi.align.methods import counted
    from togi.align.opening import start_of
    from togi.align.tuned import open_tuned
    from togi.lm.base import Sampling
    from togi.rows.write import write_rows
    from togi.stats.rng import derive

    ranked = bool(settings.reward) or settings.reward_model is not None
    n = settings.n or (RANKED if ranked else 1)
    if ranked and n < 2:
        raise UsageError("a best and a worst answer need two", where="n", found=str(n))
    rows = _rows(settings, work, ranked=ranked)
    start = start_of(work, settings.start)
    model = open_tuned(
        start.model, adapter=start.adapter, dtype=settings.dtype, offline=work.offline, say=work.say
    )
    sampling = Sampling(
        n=n, max_tokens=settings.max_tokens, temperature=settings.temperature,
        top_p=settings.top_p, seed=derive(work.seed, work.name) >> 1,
    )  # fmt: skip
    work.say(f"drawing {n} answers to each of {len(rows)} prompts")
    pairs, dropped = _pairs(settings, work, model, rows, sampling, ranked=ranked)
    if not pairs:
        raise DataError("no pair is left", where=work.name, found=counted(Counter(dropped)))
    count = write_rows(work.folder / "rows.jsonl", pairs)
    kind = "best against worst of the model's own" if ranked else "real response against its own"
    about = {
        "understood": f"{count} pairs: {kind}",
        "n": count,
        "dropped": dict(dropped),
        "examples": [{"id": p.id, "chosen": p.chosen, "rejected": p.rejected} for p in pairs[:3]],
    }
    (work.folder / "rows.json").write_text(json.dumps(about, indent=1, ensure_ascii=False))
    return {"rows": "rows.jsonl", "n": count}


def _rows(settings: PairsSettings, work: Work, *, ranked: bool) -> list[Any]:
    """Return the rows that can be used, a random part of them where there is a limit."""
    from togi.align.methods import rows_of
    from togi.rows.types import Example
    from togi.stats.rng import stream

    rows = [row for row in rows_of(work, settings.rows) if ranked or isinstance(row, Example)]
    if not rows:
        wanted = "with a prompt" if ranked else "with prompt and response"
        raise DataError(f"there are no rows {wanted}", where=settings.rows)
    if settings.limit is None or len(rows) <= settings.limit:
        return rows
    chosen = stream(work.seed, work.name).choice(len(rows), settings.limit, replace=False)
    return [rows[i] for i in sorted(chosen.tolist())]


def _pairs(
    settings: PairsSettings, work: Work, model: Any, rows: Sequence[Any], sampling: Any, *,
    ranked: bool,
) -> tuple[list[Any], Counter[str]]:  # fmt: skip
    from togi.align.pairs import make_pairs, ranked_pairs

    if not ranked:
        return make_pairs(model, rows, sampling, unfinished=settings.unfinished)
    from togi.align.opening import start_of
    from togi.align.ppo_setup import named_reward, one_reward
    from togi.align.rewards import checked
    from togi.rows.texts import prompt_of

    one_reward(settings, work)
    if settings.reward_model is not None:
        from togi.align.scoring import open_reward

        start = start_of(work, settings.reward_model)
        source: Any = open_reward(
            start, name=f"step {settings.reward_model}", dtype=settings.dtype,
            offline=work.offline, say=work.say,
        )  # fmt: skip
    else:
        source = named_reward(settings, work)
    asked = [(row.id, prompt_of(row), dict(row.metadata)) for row in rows]

    def score(answers: Sequence[Any]) -> list[float]:
        return checked(source, answers, source(None, answers))

    try:
        return ranked_pairs(model, asked, sampling, score, unfinished=settings.unfinished)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
