"""Log-probabilities of answers through a token tree: the one path that judging and training use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from togi.errors import SurroundingsError
from togi.lm import attention
from togi.lm.head import TokenScores, token_logprobs
from togi.lm.tree import TokenTree, build, packs, shared_length

SHORTEST_STEM = 32
"A shared beginning of fewer tokens is cheaper to compute again than to carry along."


@dataclass(frozen=True, slots=True)
class Request:
    """Score `ids[start:]`, each token given all of the ids before it; `start` is at least 1."""

    ids: tuple[int, ...]
    start: int


@dataclass(slots=True)
class AnswerScores:
    """Scores of several requests, laid end to end; `owner[i]` is the request of token i."""

    tokens: TokenScores
    owner: Tensor

    def sums(self, n: int) -> Tensor:
        """Return the summed log-probability of each of `n` requests, differentiable."""
        zeros = self.tokens.logprobs.new_zeros(n)
        return zeros.index_add(0, self.owner, self.tokens.logprobs)


def hidden_states(model: Any, packed: attention.PackedTree) -> Tensor:
    """Return the last hidden states [T, width] of a packed tree's new nodes."""
    tree = packed.tree
    device = next(model.parameters()).device
    out = model.base_model(
        input_ids=torch.from_numpy(tree.tokens).to(device)[None],
        position_ids=torch.from_numpy(tree.positions).to(device)[None],
        tree=packed,
        use_cache=False,
    )
    if not packed.calls:
        raise SurroundingsError(
            "the model does not use transformers' attention registry, so togi cannot pack for it",
            where=type(model).__name__,
            hint="serve it behind an OpenAI-compatible endpoint and judge that",
        )
    return out.last_hidden_state[0]


def answer_scores(
    model: Any, requests: Sequence[Request], *, dense: bool | None = None
) -> AnswerScores:
    """Score all requests in one packed tree; gradients flow where the model is being trained.

    The last token of a request is only predicted, never read, so it is not put through the model.
    """
    tree = build([r.ids[:-1] for r in requests])
    packed = attention.pack(tree, next(model.parameters()).device, dense=dense)
    return _score(model, tree, packed, requests)


def stream_scores(
    model: Any, requests: Sequence[Request], *, budget: int
) -> Iterator[tuple[list[int], AnswerScores]]:
    """Score many requests without gradients, `budget` new tokens at a time.

    A beginning that one pack shares with the next is computed once: its keys and values are
    carried over. Yields the requests' indices, and their scores in that order.
    """
    device = next(model.parameters()).device
    sequences = [r.ids[:-1] for r in requests]
    planned = list(packs(sequences, budget, carry=True))
    stems = [_stem_length(requests, pack, shared) for pack, shared in planned]
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    for number, (pack, _) in enumerate(planned):
        stem = sequences[pack[0]][: stems[number]]
        tree = build([sequences[i] for i in pack], stem, order=range(len(pack)))
        following = stems[number + 1] if number + 1 < len(stems) else 0
        packed = attention.pack(tree, device, stem=kept, keep=following > 0)
        with torch.no_grad():
            scores = _score(model, tree, packed, [requests[i] for i in pack])
        if following:
            last = torch.from_numpy(tree.nodes(len(pack) - 1, end=following)).to(device)
            kept = {
                layer: (k.index_select(1, last), v.index_select(1, last))
                for layer, (k, v) in packed.kept.items()
            }
        yield pack, scores


def _stem_length(requests: Sequence[Request], pack: list[int], shared: int) -> int:
    """Shorten a stem so that each token before a wanted one is computed in the pack itself."""
    if shared < SHORTEST_STEM:
        return 0
    import numpy as np

    stem = np.asarray(requests[pack[0]].ids[:shared])
    for index in pack:
        request = requests[index]
        limit = request.start - 1
        if limit < len(stem) and shared_length(stem, np.asarray(request.ids[:-1])) > limit:
            stem = stem[:limit]
    return len(stem) if len(stem) >= SHORTEST_STEM else 0


def _score(
    model: Any, tree: TokenTree, packed: attention.PackedTree, requests: Sequence[Request]
) -> AnswerScores:
    import numpy as np

    hidden = hidden_states(model, packed)
    nodes = [tree.nodes(i, r.start - 1) - tree.stem for i, r in enumerate(requests)]
    targets = np.concatenate([np.asarray(r.ids[r.start :], dtype=np.int64) for r in requests])
    owner = np.repeat(np.arange(len(requests)), [len(n) for n in nodes])
    device = hidden.device
    rows = hidden[torch.from_numpy(np.concatenate(nodes)).to(device)]
    head = model.get_output_embeddings()
    scores = token_logprobs(
        rows, head.weight, torch.from_numpy(targets).to(device), getattr(head, "bias", None)
    )
    return AnswerScores(scores, torch.from_numpy(owner).to(device))
