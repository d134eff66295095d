"""Towards what a model is trained: for each method its objective and its items.

One function a method, listed in `METHODS` by the class of its settings. Each reads the rows,
renders them, fills in what is computed once (a reference's log-probabilities), and says what a
user should know before the first step.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from togi.align import settings as said
from togi.errors import DataError, UsageError
from togi.step import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the loop trains on, how many rows were left out, and what stands in train.json."""

    objective: Any
    items: Sequence[Any]
    dropped: Counter[str]
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


Method = Callable[[Any, Work, Any, bool], Prepared]
"""(settings, work, open model, whether only to measure) -> what is trained on."""


def prepare(settings: said.TrainSettings, work: Work, model: Any, *, measure: bool) -> Prepared:
    """Make a method's objective and items.

    Args:
        measure: leave out what costs time and changes no cost, such as a reference's
            log-probabilities: for a forecast.
    """
    return METHODS[type(settings)](settings, work, model, measure)


def rows_of(work: Work, ref: str) -> Iterator[Any]:
    """Read the rows that an earlier step left."""
    from togi.rows.read import read_rows

    return iter(read_rows(work.input(ref, "rows"), offline=work.offline))


def renderer_of(model: Any, settings: said.TrainSettings, *, room: int = 0) -> Any:
    """Return what turns rows into ids; `room` tokens are kept free for an answer to come."""
    from togi.rows.chat import Renderer

    longest = min(settings.max_tokens, model.longest - room)
    return Renderer(model.tokenizer, max_tokens=longest, too_long=settings.too_long, end_plain=True)


def _sft(settings: said.SftSettings, work: Work, model: Any, measure: bool) -> Prepared:
    from togi.align.sft import Sft, sft_items

    rows = rows_of(work, settings.rows)
    items, dropped = sft_items(rows, renderer_of(model, settings))
    return Prepared(objective=Sft(), items=items, dropped=dropped)


def _dpo(settings: said.DpoSettings, work: Work, model: Any, measure: bool) -> Prepared:
    from dataclasses import replace

    from togi.align.dpo import Dpo, dpo_items, with_reference
    from togi.align.pair_lint import lint
    from togi.rows.types import Preference

    objective = Dpo(
        beta=settings.beta, loss=settings.loss, noise=settings.noise, margin=settings.margin,
        chosen_weight=settings.chosen_weight,
    )  # fmt: skip
    rows = list(rows_of(work, settings.rows))
    items, dropped = dpo_items(rows, renderer_of(model, settings))
    notes: dict[str, Any] = {}
    if measure:
        items = [replace(i, reference_chosen=0.0, reference_rejected=0.0) for i in items]
        return Prepared(objective=objective, items=items, dropped=dropped)
    report = lint([row for row in rows if isinstance(row, Preference)])
    (work.folder / "pairs.json").write_text(json.dumps(report.as_dict(), indent=1) + "\n")
    for sentence in report.sentences():
        work.say(sentence)
    notes["pairs"] = report.sentences()
    if objective.needs_reference and items:
        work.say(f"reference: {len(items)} pairs, scored once and kept")
        with _referenced(settings, work, model) as (module, name):
            items = with_reference(module, items, references(), name)
    return Prepared(objective=objective, items=items, dropped=dropped, notes=notes)


def _kto(settings: said.KtoSettings, work: Work, model: Any, measure: bool) -> Prepared:
    from dataclasses import replace

    from togi.align.kto import Kto, balanced_weights, kto_items, with_references

    if settings.batch < 2:
        raise UsageError(
            "KTO's reference point is a mean over the rows of a step", where="batch",
            found=str(settings.batch), expected="at least 2", hint="8 or more make it steadier",
        )  # fmt: skip
    rows = rows_of(work, settings.rows)
    items, dropped = kto_items(rows, renderer_of(model, settings), seed=work.seed)
    up = sum(item.desirable for item in items)
    weights = (1.0, 1.0)
    if settings.weights != "auto":
        weights = settings.weights
    elif items:
        weights = balanced_weights(up, len(items) - up)
    objective = Kto(
        beta=settings.beta, loss=settings.loss, desirable_weight=weights[0],
        undesirable_weight=weights[1], point_rows=settings.point_rows,
        micro_tokens=settings.micro_tokens,
    )  # fmt: skip
    notes = {"desirable": up, "undesirable": len(items) - up, "weights": list(weights)}
    if measure:
        items = [replace(i, reference=0.0, other_reference=0.0) for i in items]
    elif items:
        work.say(
            f"{up} good and {len(items) - up} bad answers, weighed {weights[0]:.3g} and "
            f"{weights[1]:.3g}; their reference is scored once and kept"
        )
        with _referenced(settings, work, model) as (module, name):
            items = with_references(module, items, references(), name)
    return Prepared(objective=objective, items=items, dropped=dropped, notes=notes)


def references() -> Path:
    """Return where references' log-probabilities are kept, for this run and the next."""
    from togi.lm.catalogue import cache_folder

    return cache_folder() / "references"


@contextmanager
def _referenced(
    settings: said.DpoSettings | said.KtoSettings, work: Work, model: Any
) -> Iterator[tuple[Any, str]]:
    """Yield the module as it is the reference, and a name for its numbers."""
    if settings.reference == "start":
        yield model.model, model.fingerprint
        return
    from togi.align.adapters import BASE, using
    from togi.align.lora import lora_layers

    if not lora_layers(model.model):
        raise UsageError(
            "the base can only be the reference where an adapter is trained on it",
            where="reference", found=f"train: {settings.train}", expected="reference: start",
        )  # fmt: skip
    with using(model.model, BASE):
        yield model.model, f"{model.fingerprint}:base"


def _reward(settings: said.RewardSettings, work: Work, model: Any, measure: bool) -> Prepared:
    from togi.align.reward import HEAD, Reward, add_head, rank_items
    from togi.stats.rng import derive

    if not hasattr(model.model, HEAD):
        add_head(model.model, seed=derive(work.seed, "reward head") >> 1)
    getattr(model.model, HEAD).requires_grad_(True)
    rows = rows_of(work, settings.rows)
    items, dropped = rank_items(rows, renderer_of(model, settings))
    objective = Reward(loss=settings.loss, centre=settings.centre)
    return Prepared(objective=objective, items=items, dropped=dropped)


def _ppo(settings: said.PpoStepSettings, work: Work, model: Any, measure: bool) -> Prepared:
    from togi.align.ppo import VALUE_HEAD, Ppo, PpoSettings
    from togi.align.ppo_setup import ppo_items, reference_for, reward_for
    from togi.align.reward import add_head
    from togi.align.rollout import Draw, RolloutLog, Round
    from togi.lm.base import Sampling
    from togi.stats.rng import derive

    renderer = renderer_of(model, settings, room=settings.answer_tokens)
    items, dropped = ppo_items(rows_of(work, settings.rows), renderer)
    add_head(model.model, name=VALUE_HEAD, zero=True)
    sampling = Sampling(max_tokens=settings.answer_tokens, temperature=settings.temperature)
    ends = model.stop_ids | model.turn_ends([item.prompt for item in items[:1]])
    plan = Round(
        draw=Draw(model.tokenizer, sampling, ends, longest=model.longest),
        reward=reward_for(settings, work, model),
        reference=reference_for(settings, model),
        answers=settings.answers,
        missing_end=settings.missing_end,
        micro_tokens=settings.micro_tokens,
        value=VALUE_HEAD,
    )
    own = PpoSettings(
        beta=settings.beta,
        target=settings.target,
        divergence=settings.divergence,
        passes=settings.passes,
        minibatches=settings.minibatches,
        clip=settings.ratio_clip,
        value_weight=settings.value_weight,
        gamma=settings.gamma,
        lam=settings.lam,
    )
    log = None if measure else RolloutLog(work.folder / "rollouts.jsonl")
    objective = Ppo(own, plan, seed=derive(work.seed, "ppo") >> 1, log=log)
    return Prepared(objective=objective, items=items, dropped=dropped)


def _metric(settings: said.MetricSettings, work: Work, model: Any, measure: bool) -> Prepared:
    from togi.align.metric import Metric, metric_items
    from togi.align.rollout import Draw
    from togi.lm.base import Sampling

    if settings.optimizer != "mezo":
        raise UsageError(
            "a measure has no gradient to follow", where="optimizer", found=settings.optimizer,
            expected="mezo",
        )  # fmt: skip
    chooses = settings.metric == "accuracy"
    renderer = renderer_of(model, settings, room=0 if chooses else settings.answer_tokens)
    items, dropped = metric_items(rows_of(work, settings.rows), renderer, choose=chooses)
    sampling = Sampling(max_tokens=settings.answer_tokens, temperature=0.0)
    ends = model.stop_ids | model.turn_ends([item.prompt for item in items[:1]])
    draw = Draw(model.tokenizer, sampling, ends, longest=model.longest)
    objective = Metric(settings.metric, draw=draw, seconds=settings.metric_seconds)
    return Prepared(objective=objective, items=items, dropped=dropped)


METHODS: dict[type, Method] = {
    said.SftSettings: _sft,
    said.DpoSettings: _dpo,
    said.KtoSettings: _kto,
    said.RewardSettings: _reward,
    said.PpoStepSettings: _ppo,
    said.MetricSettings: _metric,
}


def need(items: Sequence[Any], dropped: Counter[str], work: Work, purpose: str) -> None:
    """Refuse an empty data set, and say what was left out of another.

    Raises:
        DataError: no row is left.
    """
    if not items:
        raise DataError(
            f"no row is left to {purpose}",
            where=work.name,
            found=counted(dropped) or "an empty data set",
            hint="raise max_tokens, or look at the rows that were dropped",
        )
    if dropped:
        work.say(f"rows to {purpose}, left out: {counted(dropped)}")


def counted(counts: Counter[str]) -> str:
    """Say counts in one line.

    >>> counted(Counter({"too long": 2}))
    '2 too long'
    """
    return ", ".join(f"{n} {reason}" for reason, n in counts.items())
