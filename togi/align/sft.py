"""Supervised fine-tuning: raise the probability of the answers' tokens, the prompt given.

Loss: the sum of -log p(answer token) over a step's answers, divided once by their number, so
that a step is the same however it is split (the fault of many trainers: transformers#34191).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from togi.errors import DataError
from togi.lm.forward import Request, answer_scores
from togi.rows.types import (
    Document,
    Dropped,
    Example,
    Feedback,
    Preference,
    Prompt,
    Ranking,
    Row,
)

if TYPE_CHECKING:
    from togi.rows.chat import Renderer


@dataclass(frozen=True, slots=True)
class SftItem:
    """One rendered row: all token ids, and the first one that carries loss."""

    id: str
    request: Request

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that carry loss."""
        return len(self.request.ids) - self.request.start


class Sft:
    """The SFT objective for `togi.train.loop.train`."""

    name = "sft"
    scores_only = True

    def weight(self, item: SftItem) -> float:
        """Return the item's trained tokens."""
        return item.trained_tokens

    def cost(self, item: SftItem) -> int:
        """Return the tokens put through the model; the last one is only predicted."""
        return len(item.request.ids) - 1

    def loss(
        self, model: Any, items: Sequence[SftItem]
    ) -> tuple[torch.Tensor, dict[str, tuple[float, float]]]:
        """Return the summed negative log-likelihood in nats, and token accuracy."""
        scores = answer_scores(model, [item.request for item in items]).tokens
        n = float(len(scores.greedy))
        return -scores.logprobs.sum(), {"token_accuracy": (float(scores.greedy.sum()), n)}


def sft_items(rows: Iterable[Row], renderer: Renderer) -> tuple[list[SftItem], Counter[str]]:
    """Render rows for SFT, and count by reason those that were left out.

    Of pairs and rankings the best answer is learnt, of thumbs those that are up. A `Document` is
    trained on as plain text from its second token on.

    Raises:
        DataError: for a row of another kind.
    """
    items: list[SftItem] = []
    dropped: Counter[str] = Counter()
    parts: list[tuple[str, Prompt, str]] = []
    for row in rows:
        if isinstance(row, Feedback) and not row.desirable:
            dropped["a thumb down"] += 1
        else:
            parts.append(_parts(row))
    for (row_id, _, _), rendered in zip(parts, renderer.examples(parts), strict=True):
        if isinstance(rendered, Dropped):
            dropped[rendered.reason] += 1
            continue
        items.append(SftItem(row_id, as_request(rendered.prompt_ids, rendered.answer_ids)))
    return items, dropped


def _parts(row: Row) -> tuple[str, Prompt, str]:
    if isinstance(row, Document):
        return row.id, "", row.text
    if isinstance(row, Example | Feedback):
        return row.id, row.prompt, row.response
    if isinstance(row, Preference):
        return row.id, row.prompt, row.chosen
    if isinstance(row, Ranking):
        return row.id, row.prompt, row.responses[0]
    raise DataError(
        "SFT learns from responses",
        where=f"row {row.id}",
        found=type(row).__name__.lower(),
        expected="prompts with responses, pairs, rankings, thumbs, or documents",
    )


def as_request(prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Request:
    """Join a rendered row; without a prompt the first token is given and not scored."""
    return Request((*prompt_ids, *answer_ids), max(1, len(prompt_ids)))
