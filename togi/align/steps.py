"""The recipe's alignment steps: `align.sft`, `align.pairs` and `align.dpo`."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.align.settings import (
    DpoSettings,
    LoraSettings,
    PairsSettings,
    SftSettings,
    TrainSettings,
)
from togi.errors import DataError
from togi.step import Work

__all__ = [
    "DpoSettings",
    "LoraSettings",
    "PairsSettings",
    "SftSettings",
    "TrainSettings",
    "forecast",
    "run_dpo",
    "run_pairs",
    "run_sft",
]


def run_sft(settings: SftSettings, work: Work) -> dict[str, Any]:
    """Tune an adapter on responses; outputs `adapter` and the run's figures."""
    from togi.align.sft import Sft, sft_items

    model = _open(settings, work)
    items, dropped = sft_items(_rows(work, settings.rows), _renderer(model, settings))
    return _train(settings, work, model, Sft(), items, dropped)


def run_dpo(settings: DpoSettings, work: Work) -> dict[str, Any]:
    """Tune an adapter on pairs; outputs `adapter` and the run's figures."""
    from togi.align.dpo import Dpo, dpo_items, with_reference

    model = _open(settings, work)
    items, dropped = dpo_items(_rows(work, settings.rows), _renderer(model, settings))
    _need(items, dropped, work)
    work.say(f"reference: scoring {len(items)} pairs once")
    items = with_reference(model.model, items, work.folder, model.fingerprint)
    objective = Dpo(beta=settings.beta, loss=settings.loss)
    return _train(settings, work, model, objective, items, dropped)


def run_pairs(settings: PairsSettings, work: Work) -> dict[str, Any]:
    """Sample the model's own answers and pair them; outputs `rows`."""
    import json

    from togi.align.pairs import make_pairs
    from togi.align.tuned import open_tuned
    from togi.lm.base import Sampling
    from togi.rows.types import Example
    from togi.rows.write import write_rows
    from togi.stats.rng import derive, stream

    rows = [row for row in _rows(work, settings.rows) if isinstance(row, Example)]
    if not rows:
        raise DataError("there are no rows with prompt and response", where=settings.rows)
    if settings.limit is not None and len(rows) > settings.limit:
        chosen = stream(work.seed, work.name).choice(len(rows), settings.limit, replace=False)
        rows = [rows[i] for i in sorted(chosen.tolist())]
    adapter = Path(work.input(settings.start, "adapter")) if settings.start else None
    model = open_tuned(
        work.model, adapter=adapter, dtype=settings.dtype, offline=work.offline, say=work.say
    )
    sampling = Sampling(
        n=settings.n,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=derive(work.seed, work.name) >> 1,
    )
    work.say(f"sampling {settings.n} answers to each of {len(rows)} prompts")
    pairs, dropped = make_pairs(model, rows, sampling, unfinished=settings.unfinished)
    if not pairs:
        raise DataError("no pair is left", where=work.name, found=dict_text(dropped))
    n = write_rows(work.folder / "rows.jsonl", pairs)
    about = {
        "understood": f"{n} pairs: real response against the model's own",
        "n": n,
        "dropped": dict(dropped),
        "examples": [{"id": p.id, "chosen": p.chosen, "rejected": p.rejected} for p in pairs[:3]],
    }
    (work.folder / "rows.json").write_text(json.dumps(about, indent=1, ensure_ascii=False))
    return {"rows": "rows.jsonl", "n": n}


def forecast(settings: TrainSettings, work: Work) -> dict[str, float]:
    """Measure two steps without changing a weight; returns what the whole step will cost.

    Keys: rows, dropped, steps, tokens, tokens_mean and tokens_max of a row, tokens_per_s,
    seconds of all steps, memory_mb of the process at its peak.
    """
    from togi.train.forecast import forecast as measured

    model = _open(settings, work)
    objective, items, dropped = _unreferenced(settings, work, _renderer(model, settings))
    _need(items, dropped, work)
    costs = [objective.cost(item) for item in items]
    found = measured(model.model, objective, items, _config(settings, work))
    return {
        "rows": len(items),
        "dropped": sum(dropped.values()),
        "steps": found.steps,
        "tokens": found.tokens,
        "tokens_mean": sum(costs) / len(costs),
        "tokens_max": max(costs),
        "tokens_per_s": found.tokens / found.seconds,
        "seconds": found.seconds,
        "memory_mb": found.memory_mb,
    }


def _unreferenced(
    settings: TrainSettings, work: Work, renderer: Any
) -> tuple[Any, list[Any], Counter[str]]:
    """Return objective and items; DPO's reference counts as zero, which costs the same."""
    from dataclasses import replace

    from togi.align.dpo import Dpo, dpo_items
    from togi.align.sft import Sft, sft_items

    rows = _rows(work, settings.rows)
    if not isinstance(settings, DpoSettings):
        return Sft(), *sft_items(rows, renderer)
    pairs, dropped = dpo_items(rows, renderer)
    zero = [replace(item, reference_chosen=0.0, reference_rejected=0.0) for item in pairs]
    return Dpo(beta=settings.beta), zero, dropped


def _train(
    settings: TrainSettings,
    work: Work,
    model: Any,
    objective: Any,
    items: Sequence[Any],
    dropped: Counter[str],
) -> dict[str, Any]:
    from togi.align.lora import save_adapter
    from togi.train.loop import train

    _need(items, dropped, work)
    summary = train(
        model.model,
        objective,
        items,
        _config(settings, work),
        work.folder,
        judge=_judge(settings, work, model),
        say=work.say,
        notes={"dropped": dict(dropped)},
    )
    save_adapter(model.model, work.folder / "adapter", str(model.name))
    return {
        "adapter": "adapter",
        "steps": summary.steps,
        "rows": summary.rows,
        "seconds": round(summary.seconds, 2),
        "final_loss": summary.final_loss,
    }


def _config(settings: TrainSettings, work: Work) -> Any:
    from togi.stats.rng import derive
    from togi.train.config import TrainConfig

    judged = settings.judge_rows is not None and settings.judge_every > 0
    return TrainConfig(
        steps=settings.steps,
        epochs=settings.epochs,
        batch=settings.batch,
        micro_tokens=settings.micro_tokens,
        lr=settings.lr,
        schedule=settings.schedule,
        warmup=settings.warmup,
        clip=settings.clip,
        weight_decay=settings.weight_decay,
        seed=derive(work.seed, "train") >> 1,
        save_every=settings.save_every,
        judge_every=settings.judge_every if judged else 0,
        judge_seconds=settings.judge_seconds,
        best="loss" if judged and settings.keep_best else None,
    )


def _open(settings: TrainSettings, work: Work) -> Any:
    """Open the model with the adapter to train, and put the frozen weights out of reach."""
    from togi.align.lora import Lora, add_lora
    from togi.align.tuned import open_local
    from togi.stats.rng import derive

    start = work.input(settings.start, "adapter") if settings.start else None
    model = open_local(
        work.model,
        adapter=None if start is None else Path(start),
        dtype=settings.dtype,
        offline=work.offline,
        say=work.say,
    )
    if start is None:
        lora = settings.lora
        targets = lora.targets if isinstance(lora.targets, str) else tuple(lora.targets)
        add_lora(
            model.model,
            Lora(**{**lora.model_dump(), "targets": targets}),
            seed=derive(work.seed, "lora") >> 1,
        )
    return model


def _renderer(model: Any, settings: TrainSettings) -> Any:
    from togi.rows.chat import Renderer

    longest = min(settings.max_tokens, model.longest)
    return Renderer(model.tokenizer, max_tokens=longest, too_long=settings.too_long, end_plain=True)


def _rows(work: Work, ref: str) -> Iterator[Any]:
    from togi.rows.read import read_rows

    return iter(read_rows(work.input(ref, "rows"), offline=work.offline))


def _judge(settings: TrainSettings, work: Work, model: Any) -> Any:
    """Return a judge of held-out loss in nats a token, or None."""
    if settings.judge_rows is None or not settings.judge_every:
        return None
    from togi.align.sft import sft_items
    from togi.lm.forward import stream_scores

    items, dropped = sft_items(_rows(work, settings.judge_rows), _renderer(model, settings))
    _need(items, dropped, work, purpose="judge by")
    requests = [item.request for item in items[: settings.judge_limit]]

    def judge(module: Any, step: int) -> Mapping[str, float]:
        total, count = 0.0, 0
        for _, scores in stream_scores(module, requests, budget=settings.micro_tokens):
            total -= float(scores.tokens.logprobs.sum())
            count += len(scores.tokens.logprobs)
        return {"loss": total / count}

    return judge


def _need(
    items: Sequence[Any], dropped: Counter[str], work: Work, purpose: str = "train on"
) -> None:
    if not items:
        raise DataError(
            f"no row is left to {purpose}",
            where=work.name,
            found=dict_text(dropped) or "an empty data set",
            hint="raise max_tokens, or look at the rows that were dropped",
        )
    if dropped:
        with contextlib.suppress(OSError):
            work.say(f"rows to {purpose}, left out: {dict_text(dropped)}")


def dict_text(counts: Mapping[str, int]) -> str:
    """Say counts in one line.

    >>> dict_text({"too long": 2})
    '2 too long'
    """
    return ", ".join(f"{n} {reason}" for reason, n in counts.items())
