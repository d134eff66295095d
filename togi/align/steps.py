"""The recipe's alignment steps: one run for all methods.

What is trained is `opening.py`'s matter, who updates `train.optimizers`' and `mezo.py`'s, towards
what `methods.py`'s; here the three meet the one training loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.align.opening import GRADIENTS, open_trained, save_trained
from togi.align.settings import (
    DpoSettings,
    KtoSettings,
    LoraSettings,
    MetricSettings,
    PpoStepSettings,
    RewardSettings,
    SftSettings,
    TrainSettings,
)
from togi.step import Work

__all__ = [
    "DpoSettings",
    "KtoSettings",
    "LoraSettings",
    "MetricSettings",
    "PpoStepSettings",
    "RewardSettings",
    "SftSettings",
    "TrainSettings",
    "forecast",
    "run_train",
]

EPS = {"full": 1e-3, "lora": 1e-2, "qlora": 1e-2, "prefix": 1e-1}
"""How far MeZO perturbs what is trained (Malladi et al. 2023, table 16, and their scripts)."""
RATES: dict[str, dict[str, float]] = {
    "full": {"sft": 2e-5, "reward": 1e-5, "": 5e-6},
    "lora": {"sft": 2e-4, "reward": 1e-4, "": 5e-5},
    "qlora": {"sft": 2e-4, "reward": 1e-4, "": 5e-5},
    "prefix": {"sft": 1e-2, "reward": 1e-2, "": 3e-3},
}
"""AdamW's highest rate by what is trained and towards what; "" for all other methods."""
MEZO_RATES = {"full": 1e-6, "lora": 1e-4, "qlora": 1e-4, "prefix": 1e-2}


def rate_of(settings: TrainSettings, method: str) -> float:
    """Return the learning rate: the one given, or the one that suits the three axes."""
    if settings.lr is not None:
        return settings.lr
    if settings.optimizer == "mezo":
        return MEZO_RATES[settings.train]
    rates = RATES[settings.train]
    return rates.get(method, rates[""])


def run_train(settings: TrainSettings, work: Work) -> dict[str, Any]:
    """Train by any method; outputs `adapter` or `model`, and the run's figures."""
    from togi.align.alarms import alarms
    from togi.align.methods import need, prepare
    from togi.train.loop import train

    model = open_trained(settings, work)
    ready = prepare(settings, work, model, measure=False)
    need(ready.items, ready.dropped, work, "train on")
    items, module = ready.items, model.model
    if settings.cache_trunk:
        from togi.align.trunk import with_trunk

        with_trunk(module, ready.objective, items, work.folder, say=work.say)
    try:
        summary = train(
            module, ready.objective, items, config_of(settings, work, ready.objective.name),
            work.folder, updater=_updater(settings, work, ready.objective.name),
            judge=_judge(settings, work, model), say=work.say,
            notes={"dropped": dict(ready.dropped), **axes(settings), **ready.notes},
        )  # fmt: skip
    finally:
        close = getattr(ready.objective, "close", None)
        if close is not None:
            close()
    notes = alarms(work.folder / "metrics.jsonl", ready.objective.name)
    for note in notes:
        work.say(note)
    saved = save_trained(settings, work, model)
    if isinstance(settings, RewardSettings):
        _scale(work.folder / next(iter(saved.values())), module, items)
    return {
        **saved,
        "steps": summary.steps,
        "rows": summary.rows,
        "seconds": round(summary.seconds, 2),
        "final_loss": summary.final_loss,
        "notes": notes,
    }


def axes(settings: TrainSettings) -> dict[str, str]:
    """Return the two axes beside the method, for the report's figures."""
    return {"trained": settings.train, "optimizer": settings.optimizer}


def _scale(folder: Path, module: Any, items: Sequence[Any]) -> None:
    """Keep the rewards' mean and deviation on the rows, by which they are scaled in use."""
    from togi.align.reward import score_all
    from togi.align.scoring import write_scale

    write_scale(folder, score_all(module, [answer for item in items for answer in item.answers]))


def forecast(settings: TrainSettings, work: Work) -> dict[str, float]:
    """Measure two steps without changing a weight; returns what the whole step will cost.

    Keys: rows, dropped, steps, tokens, tokens_mean and tokens_max of a row, tokens_per_s,
    seconds of all steps, memory_mb of the process at its peak.
    """
    from togi.align.methods import need, prepare
    from togi.train.forecast import forecast as measured

    model = open_trained(settings, work)
    ready = prepare(settings, work, model, measure=True)
    need(ready.items, ready.dropped, work, "train on")
    objective, items = ready.objective, ready.items
    costs = [objective.cost(item) for item in items]
    found = measured(
        model.model, objective, items, config_of(settings, work, objective.name), work.folder,
        updater=_updater(settings, work, objective.name),
    )  # fmt: skip
    return {
        "rows": len(items),
        "dropped": sum(ready.dropped.values()),
        "steps": found.steps,
        "tokens": found.tokens,
        "tokens_mean": sum(costs) / len(costs),
        "tokens_max": max(costs),
        "tokens_per_s": found.tokens / found.seconds,
        "seconds": found.seconds,
        "memory_mb": found.memory_mb,
    }


def config_of(settings: TrainSettings, work: Work, method: str) -> Any:
    """Return the loop's configuration."""
    from togi.stats.rng import derive
    from togi.train.config import TrainConfig

    judged = settings.judge_rows is not None and settings.judge_every > 0
    return TrainConfig(
        steps=settings.steps,
        epochs=settings.epochs,
        batch=settings.batch,
        micro_tokens=settings.micro_tokens,
        lr=rate_of(settings, method),
        schedule=settings.schedule,
        warmup=settings.warmup,
        clip=settings.clip,
        weight_decay=settings.weight_decay,
        optimizer=settings.optimizer if settings.optimizer in GRADIENTS else "adamw",
        seed=derive(work.seed, "train") >> 1,
        save_every=settings.save_every,
        judge_every=settings.judge_every if judged else 0,
        judge_seconds=settings.judge_seconds,
        best="loss" if judged and settings.keep_best else None,
    )


def _updater(settings: TrainSettings, work: Work, method: str) -> Any:
    """Return what makes the updater; None for the gradient's."""
    if settings.optimizer != "mezo":
        return None
    from togi.align.mezo import Mezo, MezoUpdater

    mezo = settings.mezo
    eps = EPS[settings.train] if mezo.eps is None else mezo.eps
    own = Mezo(eps=eps, draw=mezo.draw, directions=mezo.directions)
    config = config_of(settings, work, method)

    def make(module: Any, folder: Path) -> Any:
        return MezoUpdater(module, folder, config=config, settings=own)

    return make


def _judge(settings: TrainSettings, work: Work, model: Any) -> Any:
    """Return a judge of held-out loss in nats a token, or None."""
    if settings.judge_rows is None or not settings.judge_every:
        return None
    from togi.align.methods import need, renderer_of, rows_of
    from togi.align.sft import sft_items
    from togi.lm.forward import stream_scores

    rows = rows_of(work, settings.judge_rows)
    items, dropped = sft_items(rows, renderer_of(model, settings))
    need(items, dropped, work, "judge by")
    requests = [item.request for item in items[: settings.judge_limit]]

    def judge(module: Any, step: int) -> Mapping[str, float]:
        total, count = 0.0, 0
        for _, scores in stream_scores(module, requests, budget=settings.micro_tokens):
            total -= float(scores.tokens.logprobs.sum())
            count += len(scores.tokens.logprobs)
        return {"loss": total / count}

    return judge
