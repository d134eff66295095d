"""A world so small that the best policy is known: every answer can be listed.

Answers are `length` tokens out of `tokens`, so there are tokens ** length of them. With a reward
for each and a reference policy, the policy that maximises E[r] - beta KL(policy || reference) is
pi*(y) = reference(y) exp(r(y) / beta) / Z, and the maximum is beta log Z. Whatever method claims
to reach it can be held against it, by the very code that trains large models.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.stats.rng import stream

START = 0
"""The token that every text begins with; it may stand in answers too."""


@dataclass(frozen=True)
class World:
    """The answers and their rewards.

    >>> world = World(tokens=2, length=2, seed=0)
    >>> world.answers
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """

    tokens: int = 4
    length: int = 3
    seed: int = 0

    @cached_property
    def answers(self) -> list[tuple[int, ...]]:
        """All answers, in lexicographic order."""
        return list(itertools.product(range(self.tokens), repeat=self.length))

    @cached_property
    def rewards(self) -> NDArray[np.float64]:
        """A reward for each answer, standard normal."""
        return stream(self.seed, "enumerable").standard_normal(len(self.answers))

    def policy(self, *, width: int = 32, spread: float = 0.3) -> Any:
        """Return a small random transformer over this world's tokens.

        Its positions are learnt ones: by rotary positions alone, a text of one repeated token
        has the same state everywhere, and then not every policy can be told.
        """
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel

        from togi.lm import attention

        attention.register()
        shape: dict[str, Any] = {"attn_implementation": attention.NAME}
        config = GPT2Config(
            vocab_size=self.tokens, n_positions=16, n_embd=width, n_layer=2, n_head=2,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=spread,
            tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
            **shape,
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return GPT2LMHeadModel(config).eval()

    def log_probabilities(self, model: Any) -> NDArray[np.float64]:
        """Return the log-probability of every answer [answers]; they sum to 1."""
        from togi.align.reference import reference_sums
        from togi.lm.forward import Request

        requests = [Request((START, *answer), 1) for answer in self.answers]
        return reference_sums(model, requests)


def optimum(
    reference: NDArray[np.float64], rewards: NDArray[np.float64], beta: float
) -> tuple[NDArray[np.float64], float]:
    """Return the log-probabilities of the best policy, and the objective's maximum beta log Z.

    >>> best, value = optimum(np.log([0.5, 0.5]), np.array([1.0, 0.0]), beta=1.0)
    >>> np.exp(best).round(4).tolist(), round(value, 4)  # e/(1+e), log((1+e)/2)
    ([0.7311, 0.2689], 0.6201)
    """
    raised = reference + rewards / beta
    log_z = np.logaddexp.reduce(raised)
    return raised - log_z, float(beta * log_z)


def divergence(policy: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return KL(policy || reference) of two log-probability vectors, in nats."""
    return float(np.sum(np.exp(policy) * (policy - reference)))


def expected(policy: NDArray[np.float64], rewards: NDArray[np.float64]) -> float:
    """Return the expected reward of a policy."""
    return float(np.sum(np.exp(policy) * rewards))


class WorldReward:
    """The world's rewards as PPO asks for them."""

    def __init__(self, world: World, table: NDArray[np.float64] | None = None) -> None:
        self.name = f"world {world.tokens}^{world.length} seed {world.seed}"
        rewards = world.rewards if table is None else table
        self._table = dict(zip(world.answers, rewards.tolist(), strict=True))

    def __call__(self, model: Any, answers: Sequence[Any]) -> list[float]:
        """Return each answer's reward."""
        return [self._table[tuple(answer.ids[answer.start :])] for answer in answers]


class _Letters:
    """A tokenizer that only has to show ids."""

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        """Return the ids as text."""
        return " ".join(map(str, ids))


def train_ppo(  # noqa: PLR0913 - most of them by name only
    world: World, model: Any, folder: Path, *, beta: float, rounds: int, answers: int = 128,
    lr: float = 3e-3, table: NDArray[np.float64] | None = None, seed: int = 0, **settings: Any,
) -> None:  # fmt: skip
    """Train a policy by PPO on the world's rewards (or on those of another table)."""
    from togi.align.ppo import VALUE_HEAD, Ppo, PpoItem, PpoSettings
    from togi.align.reward import add_head
    from togi.align.rollout import Draw, Round
    from togi.lm.base import Sampling
    from togi.train.config import TrainConfig
    from togi.train.loop import train

    frozen = copy.deepcopy(model).requires_grad_(False)

    @contextmanager
    def reference(policy: Any) -> Iterator[Any]:
        yield frozen

    model.requires_grad_(True)
    add_head(model, name=VALUE_HEAD, zero=True)
    sampling = Sampling(max_tokens=world.length, temperature=1.0)
    plan = Round(
        draw=Draw(_Letters(), sampling, frozenset(), longest=16),
        reward=WorldReward(world, table),
        reference=reference,
        answers=answers,
    )
    own = {"passes": 2, "minibatches": 2, "lam": 1.0, **settings}
    objective = Ppo(PpoSettings(beta=beta, **own), plan, seed=seed)
    config = TrainConfig(
        steps=rounds, batch=1, lr=lr, schedule="linear", warmup=0, save_every=0,
        micro_tokens=4096, seed=seed,
    )  # fmt: skip
    train(model, objective, [PpoItem("start", "", (START,))], config, folder, say=_unsaid)
    delattr(model, VALUE_HEAD)


def pairs(
    world: World, reference: NDArray[np.float64], n: int, *, seed: int, sure: bool = False
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Draw pairs of answers from the reference, the better one (by chance, as rewards say) first.

    Labels follow Bradley and Terry: the first wins with probability sigma(r_1 - r_2). Where
    `sure`, the higher reward always wins.
    """
    draw, shares = stream(seed, "pairs"), np.exp(reference)
    first, second = draw.choice(len(reference), (2, n), p=shares / shares.sum())
    keep = first != second
    first, second = first[keep], second[keep]
    gap = world.rewards[first] - world.rewards[second]
    won = gap > 0 if sure else draw.random(len(gap)) < 1 / (1 + np.exp(-gap))
    better, worse = np.where(won, first, second), np.where(won, second, first)
    return [(world.answers[a], world.answers[b]) for a, b in zip(better, worse, strict=True)]


def train_dpo(  # noqa: PLR0913 - most of them by name only
    world: World, model: Any, folder: Path, chosen: Sequence[tuple[tuple[int, ...], ...]], *,
    beta: float, loss: str = "sigmoid", epochs: float = 3, batch: int = 64, lr: float = 3e-3,
    schedule: str = "linear", judge_every: int = 0, seed: int = 0,
) -> list[tuple[int, float, float]]:  # fmt: skip
    """Train a policy on pairs (better, worse), by any loss of the DPO family.

    Returns:
        of every `judge_every`-th step its number, KL(policy || reference), and the mean gap of
        the pairs' log-ratios, both in nats.
    """
    from togi.align.dpo import Dpo, DpoItem
    from togi.align.reference import reference_sums
    from togi.lm.forward import Request
    from togi.train.config import TrainConfig
    from togi.train.loop import train
    from togi.train.metrics import read_metrics

    model.requires_grad_(True)
    known = dict(
        zip(
            world.answers,
            reference_sums(model, [Request((START, *a), 1) for a in world.answers]).tolist(),
            strict=True,
        )
    )
    items = [
        DpoItem(str(i), Request((START, *a), 1), Request((START, *b), 1), known[a], known[b])
        for i, (a, b) in enumerate(chosen)
    ]
    config = TrainConfig(
        epochs=epochs, batch=batch, lr=lr, schedule=schedule, warmup=0, save_every=0,
        judge_every=judge_every, micro_tokens=4096, seed=seed,
    )  # fmt: skip
    start = np.array([known[answer] for answer in world.answers])

    place = {answer: number for number, answer in enumerate(world.answers)}
    better, worse = ([place[pair[side]] for pair in chosen] for side in (0, 1))

    def judge(policy: Any, step: int) -> dict[str, float]:
        now = world.log_probabilities(policy)
        ratios = now - start
        return {"kl": divergence(now, start), "gap": float((ratios[better] - ratios[worse]).mean())}

    train(model, Dpo(beta=beta, loss=loss), items, config, folder, judge=judge, say=_unsaid)
    lines = read_metrics(folder / "metrics.jsonl")
    judged = [line for line in lines if "judge/kl" in line]
    return [(line["step"], line["judge/kl"], line["judge/gap"]) for line in judged]


def _unsaid(text: str) -> None:
    """Say nothing: many small trainings would drown what matters."""
