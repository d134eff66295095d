"""Reward models: one number for an answer, learnt from rankings of answers to the same prompt.

The number is read off the last hidden state of the answer's last token by a trained row of
weights. Stiennon et al. 2020 and Ouyang et al. 2022 (InstructGPT, eq. 1): all pairs of a prompt's
K answers enter one loss together, since K answers learnt from as C(K, 2) separate pairs over-fit.
The K answers stand after one prompt in the token tree, so the prompt is read once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from togi.errors import DataError, UsageError, nearest
from togi.lm.forward import last_states
from togi.lm.tree import packs
from togi.rows.types import Dropped, Preference, Ranking

if TYPE_CHECKING:
    from togi.rows.chat import Renderer

HEAD = "score"
"""Name of the head on the model, as transformers' sequence classifiers have it."""


def bradley_terry(rewards: Tensor, margin: float = 0.0) -> Tensor:
    """Return the mean over all pairs of -log sigma(r_i - r_j - margin), r best first.

    >>> round(bradley_terry(torch.tensor([0.0, 0.0, 0.0])).item(), 6)  # ln 2
    0.693147
    """
    better, worse = torch.triu_indices(len(rewards), len(rewards), offset=1)
    return -logsigmoid(rewards[better] - rewards[worse] - margin).mean()


def plackett_luce(rewards: Tensor, margin: float = 0.0) -> Tensor:
    """Return -log of the ranking's probability over its K - 1 choices, r best first.

    The best of all is chosen first, then the best of the rest (Plackett 1975). For two answers
    it is Bradley and Terry's loss.

    >>> one = torch.tensor([1.0, 0.0])
    >>> torch.allclose(plackett_luce(one), bradley_terry(one))
    True
    """
    if margin:
        raise UsageError("a margin belongs to pairs", where="reward.loss", found="plackett_luce")
    rest = rewards.flip(0).logcumsumexp(0).flip(0)
    return (rest - rewards)[:-1].sum() / (len(rewards) - 1)


def best_of(rewards: Tensor, margin: float = 0.0) -> Tensor:
    """Return -log of the chance that the first is chosen among all (Ziegler et al. 2019, eq. 1).

    >>> round(best_of(torch.zeros(4)).item(), 6)  # ln 4
    1.386294
    """
    if margin:
        raise UsageError("a margin belongs to pairs", where="reward.loss", found="best_of")
    return rewards.logsumexp(0) - rewards[0]


LOSSES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "bradley_terry": bradley_terry,
    "plackett_luce": plackett_luce,
    "best_of": best_of,
}


class ScoreHead(nn.Module):
    """A trained row of weights [1, width] that reads a reward off a hidden state, in float32.

    Drawn with standard deviation 1 / sqrt(width + 1), as Ziegler et al. 2019 do.
    """

    def __init__(self, width: int, *, device: torch.device, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        start = torch.randn(1, width, generator=draw) / math.sqrt(width + 1)
        self.weight = nn.Parameter(start.to(device))

    def forward(self, states: Tensor) -> Tensor:
        """Map states [n, width] to rewards [n]."""
        wide = torch.promote_types(states.dtype, torch.float32)
        return states.to(wide) @ self.weight[0].to(wide)


def add_head(model: Any, *, seed: int = 0, name: str = HEAD, zero: bool = False) -> ScoreHead:
    """Put a head on the model under that name (`zero` starts it at zero) and return it."""
    width = model.config.get_text_config().hidden_size
    head = ScoreHead(width, device=next(model.parameters()).device, seed=seed)
    if model.dtype == torch.float64:
        head = head.double()
    if zero:
        nn.init.zeros_(head.weight)
    setattr(model, name, head)
    return head


def put_head(model: Any, name: str, weight: Tensor, *, trainable: bool = False) -> None:
    """Put a saved head on the model.

    Raises:
        DataError: it is one of another model.
    """
    head = add_head(model, name=name)
    if weight.shape != head.weight.shape:
        raise DataError(
            "the head does not fit", where=name, found=str(tuple(weight.shape)),
            expected=str(tuple(head.weight.shape)),
        )  # fmt: skip
    with torch.no_grad():
        head.weight.copy_(weight)
    head.requires_grad_(trainable)


@dataclass(frozen=True, slots=True)
class RankItem:
    """A prompt's answers, best first, as token ids that begin with the prompt's `start` ids."""

    id: str
    answers: tuple[tuple[int, ...], ...]
    start: int
    margin: float = 0.0


class Reward:
    """The reward objective for `togi.train.loop.train`; a prompt weighs 1.

    Args:
        loss: a key of `LOSSES`.
        centre: pulls rewards towards zero by this times the mean of (r_i + r_j)^2 over pairs,
            which leaves the loss's one free constant nowhere to drift.
    """

    name = "reward"

    def __init__(self, *, loss: str = "bradley_terry", centre: float = 0.0) -> None:
        if loss not in LOSSES:
            raise UsageError(
                "unknown loss", where="reward.loss", found=loss, expected=nearest(loss, LOSSES)
            )
        if not 0 <= centre < math.inf:
            raise UsageError("centre must be at least 0", where="reward.centre", found=str(centre))
        self.loss_name, self._loss, self.centre = loss, LOSSES[loss], centre

    def weight(self, item: RankItem) -> float:
        """Return 1: each prompt counts the same, however many answers it has."""
        return 1.0

    def cost(self, item: RankItem) -> int:
        """Return the tokens put through the model: the prompt once, all answers."""
        return sum(map(len, item.answers)) - item.start * (len(item.answers) - 1)

    def loss(
        self, model: Any, items: Sequence[RankItem]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return the summed loss of the prompts; accuracy and margin are means over pairs."""
        states = last_states(model, [answer for item in items for answer in item.answers])
        rewards = getattr(model, HEAD)(states)
        total, right, gaps, pairs = rewards.new_zeros(()), 0.0, 0.0, 0
        parts = rewards.split([len(item.answers) for item in items])
        for item, mine in zip(items, parts, strict=True):
            total = total + self._loss(mine, item.margin)
            better, worse = torch.triu_indices(len(mine), len(mine), offset=1)
            if self.centre:
                total = total + self.centre * (mine[better] + mine[worse]).square().mean()
            gap = (mine[better] - mine[worse]).detach()
            right += float((gap > 0).sum() + 0.5 * (gap == 0).sum())
            gaps, pairs = gaps + float(gap.sum()), pairs + len(gap)
        measures = {
            "rewards/accuracies": (right, float(pairs)),
            "rewards/margins": (gaps, float(pairs)),
            "rewards/mean": (float(rewards.detach().sum()), float(len(rewards))),
        }
        return total, measures


def rank_items(
    rows: Iterable[Ranking | Preference], renderer: Renderer
) -> tuple[list[RankItem], Counter[str]]:
    """Render rankings and pairs, and count by reason those that were left out.

    A pair may bring a number `margin` in its metadata, by which the better answer shall lead.

    Raises:
        DataError: for a row of another kind, or a margin that is not a number.
    """
    items: list[RankItem] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        answers = _answers(row)
        if len(answers) < 2:
            dropped["fewer than two answers to rank"] += 1
            continue
        if len(set(answers)) < len(answers):
            dropped["two answers are equal"] += 1
            continue
        sides = list(renderer.examples((row.id, row.prompt, answer) for answer in answers))
        lost = next((side for side in sides if isinstance(side, Dropped)), None)
        if lost is not None:
            dropped[lost.reason] += 1
            continue
        ids = tuple((*s.prompt_ids, *s.answer_ids) for s in sides if not isinstance(s, Dropped))
        start = min(len(s.prompt_ids) for s in sides if not isinstance(s, Dropped))
        items.append(RankItem(row.id, ids, start, _margin(row)))
    return items, dropped


def _answers(row: Ranking | Preference) -> tuple[str, ...]:
    if isinstance(row, Ranking):
        return row.responses
    if isinstance(row, Preference):
        return (row.chosen, row.rejected)
    raise DataError(
        "a reward model learns from ranked answers",
        where=f"row {row.id}",
        found=type(row).__name__.lower(),
        expected="prompt and responses, best first; or prompt, chosen, rejected",
        hint="for thumbs `use: align.kto`, for single answers `use: align.sft`",
    )


def _margin(row: Ranking | Preference) -> float:
    value = row.metadata.get("margin", 0.0) if isinstance(row, Preference) else 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(
            "the margin is not a number", where=f"row {row.id}", found=repr(value),
            expected="by how much the better answer leads",
        )  # fmt: skip
    return float(value)


@torch.no_grad()
def score_all(
    model: Any, sequences: Sequence[tuple[int, ...]], *, budget: int = 2048,
    head: ScoreHead | None = None,
) -> Tensor:  # fmt: skip
    """Return the reward [n] of each sequence of prompt and answer, `budget` tokens at a time.

    The model's own head reads it, or the one that is given.
    """
    head = getattr(model, HEAD) if head is None else head
    found = torch.empty(len(sequences), dtype=torch.float32)
    for pack, _ in packs(sequences, budget, carry=False):
        states = last_states(model, [sequences[i] for i in pack])
        found[torch.tensor(pack)] = head(states).float().cpu()
    return found
