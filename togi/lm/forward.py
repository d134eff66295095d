"""Log-probabilities of answers through a token tree: the one path that judging and training use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
    """Scores of several requests, laid end to end; `owner[i]` is the request of token i.

    `states` [n, width] are the last hidden states from which the tokens were predicted.
    """

    tokens: TokenScores
    owner: Tensor
    states: Tensor

    def sums(self, n: int) -> Tensor:
        """Return the summed log-probability of each of `n` requests, differentiable."""
        zeros = self.tokens.logprobs.new_zeros(n)
        return zeros.index_add(0, self.owner, self.tokens.logprobs)


class SoftPrefix(Protocol):
    """Keys and values that stand before every text, as prefix tuning trains them.

    A model that has one holds it as its attribute `soft_prefix`. `ids` are as many numbers below
    zero as there are positions; no token has such an id, so they only mark the place in a tree.
    """

    ids: tuple[int, ...]

    def stem(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Return keys and values a layer, each [heads_kv, positions, width]."""
        ...


def prefix_of(model: Any) -> tuple[tuple[int, ...], dict[int, tuple[Tensor, Tensor]]]:
    """Return the ids and the stem of a model's soft prefix; empty where it has none."""
    prefix: SoftPrefix | None = getattr(model, "soft_prefix", None)
    return ((), {}) if prefix is None else (prefix.ids, prefix.stem())


def hidden_states(model: Any, packed: attention.PackedTree, lower: Tensor | None = None) -> Tensor:
    """Return the last hidden states [T, width] of a packed tree's new nodes.

    `lower` [T, width] is what enters the model's layers in the place of embedded tokens.
    """
    tree, device = packed.tree, device_of(model)
    asked = {"input_ids": torch.from_numpy(tree.tokens).to(device)[None]}
    if lower is not None:
        asked = {"inputs_embeds": lower.to(device)[None]}
    out = model.base_model(
        **asked,
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


def tree_states(
    model: Any, tree: TokenTree, packed: attention.PackedTree, sequences: Sequence[tuple[int, ...]]
) -> Tensor:
    """Return the last hidden states of a tree made of these sequences.

    Where the model's attribute `trunk` (a `togi.lm.trunk.FrozenTrunk`) knows them all, only the
    layers above it run.
    """
    trunk = getattr(model, "trunk", None)
    lower = None if trunk is None else trunk.states(tree, sequences)
    if lower is None:
        return hidden_states(model, packed)
    with trunk.upper(model):
        return hidden_states(model, packed, lower)


def answer_scores(
    model: Any, requests: Sequence[Request], *, dense: bool | None = None, temperature: float = 1.0
) -> AnswerScores:
    """Score all requests in one packed tree; gradients flow where the model is being trained.

    The last token of a request is only predicted, never read, so it is not put through the model.
    What stands in for a model may bring its own method `answer_scores(requests)`.

    Args:
        temperature: divides the logits, as sampling at that temperature does.
    """
    own = getattr(model, "answer_scores", None)
    if own is not None:
        return own(requests)
    ids, stem = prefix_of(model)
    requests = [behind(ids, request) for request in requests]
    sequences = [r.ids[:-1] for r in requests]
    tree = build(sequences, ids)
    packed = attention.pack(tree, device_of(model), stem=stem, dense=dense)
    hidden = tree_states(model, tree, packed, sequences)
    return _score(model, tree, hidden, requests, temperature)


def behind(ids: tuple[int, ...], request: Request) -> Request:
    """Return a request with a soft prefix's ids before it.

    >>> behind((-1, -2), Request((5, 6), 1))
    Request(ids=(-1, -2, 5, 6), start=3)
    """
    return Request((*ids, *request.ids), request.start + len(ids)) if ids else request


def last_states(model: Any, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return the last hidden state [n, width] of each sequence, all of its tokens read.

    Sequences with a common beginning, such as several answers to one prompt, share it.
    """
    ids, stem = prefix_of(model)
    whole = [(*ids, *sequence) for sequence in sequences]
    tree, device = build(whole, ids), device_of(model)
    hidden = tree_states(model, tree, attention.pack(tree, device, stem=stem), whole)
    ends = [int(tree.nodes(i)[-1]) - tree.stem for i in range(len(sequences))]
    return hidden[torch.tensor(ends, device=device)]


def device_of(model: Any) -> torch.device:
    """Return where a model's weights lie."""
    return next(model.parameters()).device


def stream_scores(
    model: Any, requests: Sequence[Request], *, budget: int, temperature: float = 1.0
) -> Iterator[tuple[list[int], AnswerScores]]:
    """Score many requests without gradients, `budget` new tokens at a time.

    A beginning that one pack shares with the next is computed once: its keys and values are
    carried over. Yields the requests' indices, and their scores in that order.
    """
    device = device_of(model)
    with torch.no_grad():
        ids, soft = prefix_of(model)
    requests = [behind(ids, request) for request in requests]
    sequences = [r.ids[:-1] for r in requests]
    planned = list(packs(sequences, budget, carry=True))
    stems = [max(len(ids), _stem_length(requests, pack, shared)) for pack, shared in planned]
    kept = soft
    for number, (pack, _) in enumerate(planned):
        stem = sequences[pack[0]][: stems[number]]
        tree = build([sequences[i] for i in pack], stem, order=range(len(pack)))
        following = stems[number + 1] if number + 1 < len(stems) else 0
        carried = following > len(ids)
        packed = attention.pack(tree, device, stem=kept, keep=carried)
        with torch.no_grad():
            hidden = hidden_states(model, packed)
            scores = _score(model, tree, hidden, [requests[i] for i in pack], temperature)
        kept = soft
        if carried:
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
    model: Any,
    tree: TokenTree,
    hidden: Tensor,
    requests: Sequence[Request],
    temperature: float,
) -> AnswerScores:
    import numpy as np

    nodes = [tree.nodes(i, r.start - 1) - tree.stem for i, r in enumerate(requests)]
    targets = np.concatenate([np.asarray(r.ids[r.start :], dtype=np.int64) for r in requests])
    owner = np.repeat(np.arange(len(requests)), [len(n) for n in nodes])
    device = hidden.device
    rows = hidden[torch.from_numpy(np.concatenate(nodes)).to(device)]
    head = model.get_output_embeddings()
    asked, bias = rows, getattr(head, "bias", None)
    if temperature != 1:  # the logits are linear in both
        asked, bias = rows / temperature, None if bias is None else bias / temperature
    scores = token_logprobs(asked, head.weight, torch.from_numpy(targets).to(device), bias)
    return AnswerScores(scores, torch.from_numpy(owner).to(device), rows)
