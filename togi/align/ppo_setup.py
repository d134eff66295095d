"""What PPO is put together from: prompts, a source of rewards, and a frozen reference."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from togi.align.opening import start_of
from togi.align.ppo import PpoItem
from togi.align.rewards import QUESTION, FunctionReward, JudgeReward, RewardSource, SimpleReward
from togi.align.settings import PairsSettings, PpoStepSettings
from togi.errors import UsageError
from togi.rows.texts import prompt_of
from togi.rows.types import Prompt
from togi.step import Work

REFERENCE = "reference"


def ppo_items(rows: Iterable[Any], renderer: Any) -> tuple[list[PpoItem], Counter[str]]:
    """Take the prompts of any rows, each once; count those left out by reason."""
    items: list[PpoItem] = []
    dropped: Counter[str] = Counter()
    seen: set[Prompt] = set()
    for row in rows:
        prompt = prompt_of(row)
        if prompt in seen:
            dropped["prompt stands twice"] += 1
            continue
        seen.add(prompt)
        ids = renderer.prompt_ids(prompt)
        if not ids:
            dropped["empty prompt"] += 1
        elif len(ids) > renderer.max_tokens:
            dropped["longer than max_tokens"] += 1
        else:
            items.append(PpoItem(row.id, prompt, ids, dict(row.metadata)))
    return items, dropped


def reward_for(settings: PpoStepSettings, work: Work, model: Any) -> RewardSource:
    """Open the source of rewards that the settings name.

    Raises:
        UsageError: none or two are named.
    """
    one_reward(settings, work)
    if settings.reward_model is not None:
        return _model_reward(settings, work, model)
    return named_reward(settings, work)


def one_reward(settings: PpoStepSettings | PairsSettings, work: Work) -> None:
    """Refuse settings that name no source of rewards, or two."""
    if bool(settings.reward) == (settings.reward_model is not None):
        raise UsageError(
            "give one of reward and reward_model", where=f"step '{work.name}'",
            found="both" if settings.reward else "neither",
        )  # fmt: skip


def named_reward(settings: PpoStepSettings | PairsSettings, work: Work) -> RewardSource:
    """Open a function, an endpoint or a simple reward."""
    if ".py:" in settings.reward:
        return FunctionReward(settings.reward, seconds=settings.reward_seconds)
    from togi.lm.open import ENDPOINT

    if settings.reward.startswith(ENDPOINT):
        from togi.lm.cache import ReplyCache
        from togi.lm.catalogue import cache_folder
        from togi.lm.open import open_model

        cache = ReplyCache(cache_folder() / "replies.sqlite")
        judge = open_model(settings.reward, offline=work.offline, cache=cache, say=work.say)
        return JudgeReward(judge, question=settings.question or QUESTION)
    return SimpleReward(settings.reward)


def _model_reward(settings: PpoStepSettings, work: Work, model: Any) -> RewardSource:
    """Put the reward model on the policy's trunk where both are adapters on one base."""
    from togi.align.scoring import TrunkReward, open_reward, read_scale
    from togi.align.tuned import kind_of, packing_of

    ref = str(settings.reward_model)
    start, own = start_of(work, ref), start_of(work, settings.start)
    nf4 = settings.nf4.model_dump(include={"blocksize", "double"})
    packed = nf4 if settings.train == "qlora" else {}  # another packing is another base
    shared = (
        settings.train in ("lora", "qlora")
        and start.adapter is not None
        and start.model == own.model
        and kind_of(start.adapter) == "LORA"
        and packing_of(start.adapter) == packed
    )
    if shared and start.adapter is not None:
        work.say(f"reward model '{ref}' shares the policy's base")
        scale = read_scale(start.adapter)
        return TrunkReward(model.model, start.adapter, name=f"step {ref}", scale=scale)
    return open_reward(
        start, name=f"step {ref}", dtype=settings.dtype, offline=work.offline, say=work.say
    )


def reference_for(
    settings: PpoStepSettings, model: Any
) -> Callable[[Any], AbstractContextManager[Any]]:
    """Return the frozen reference: a side adapter, or a copy where all weights are trained."""
    if settings.train in ("lora", "qlora"):
        from togi.align.adapters import keep_side, using

        keep_side(model.model, REFERENCE)

        @contextmanager
        def aside(policy: Any) -> Iterator[Any]:
            with using(policy, REFERENCE):
                yield policy

        return aside
    frozen = copy.deepcopy(model.model).requires_grad_(False).eval()

    @contextmanager
    def copied(policy: Any) -> Iterator[Any]:
        yield frozen

    return copied
