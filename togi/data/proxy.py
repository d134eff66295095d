"""A small language model from scratch, and how text becomes its pieces: what mixtures are tried on.

Bytes are the tokens by default, so that no tokenizer favours a domain and a loss in nats is one in
bits per byte at once; `tokens="model"` takes the recipe's tokenizer instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from togi.errors import UsageError

if TYPE_CHECKING:
    from togi.lm.forward import AnswerScores, Request

BYTES = 256
"""The number of byte values, and the id that begins each piece."""

MOST_LOGITS = 1 << 24
"""Logits that are kept for the backward pass (64 MB); more are computed again instead."""

Encode = Callable[[str], tuple[list[int], list[int]]]
"""(text) -> its token ids, and how many bytes of the text each stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A proxy's size; `context` is the longest piece in tokens."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    context: int = 128
    vocabulary: int = BYTES + 1

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise UsageError(
                "the heads do not divide the width into even parts", where="proxy.width",
                found=f"{self.width} over {self.heads} heads",
                expected=f"a multiple of {2 * self.heads}",
            )  # fmt: skip


def new_proxy(shape: Shape, *, seed: int) -> Any:
    """Return a Llama of that shape with random weights; the same seed gives the same ones.

    Its pieces share no beginnings, so it scores them as one plain batch instead of a token tree:
    it has an `answer_scores` of its own, which `togi.lm.forward.answer_scores` asks.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width,
        intermediate_size=8 * round(shape.width / 3), num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context + 1, tie_word_embeddings=True,
        initializer_range=min(0.08, shape.width**-0.5), bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).float()
    model.answer_scores = partial(batch_scores, model)  # type: ignore[assignment]
    return model


def batch_scores(model: Any, requests: Sequence[Request]) -> AnswerScores:
    """Score requests as one batch, the shorter ones filled up at their end.

    The same numbers as `togi.lm.forward.answer_scores` has by its token tree.
    """
    import torch

    from togi.lm.forward import AnswerScores
    from togi.lm.head import TokenScores, token_logprobs

    lengths = [len(request.ids) - 1 for request in requests]
    ids = torch.zeros(len(requests), max(lengths), dtype=torch.int64)
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    for row, request in enumerate(requests):
        ids[row, : lengths[row]] = torch.tensor(request.ids[:-1])
        wanted[row, request.start - 1 : lengths[row]] = True
    targets = torch.tensor([i for request in requests for i in request.ids[request.start :]])
    device = next(model.parameters()).device
    ids, wanted, targets = (one.to(device) for one in (ids, wanted, targets))
    states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[wanted]
    owner = wanted.nonzero()[:, 0]
    weight = model.get_output_embeddings().weight
    if len(targets) * len(weight) > MOST_LOGITS:
        return AnswerScores(token_logprobs(states, weight, targets), owner, states)
    logits = torch.nn.functional.linear(states, weight)
    nats = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    return AnswerScores(TokenScores(-nats, logits.detach().argmax(1) == targets), owner, states)


def by_bytes(text: str) -> tuple[list[int], list[int]]:
    """Encode a text as its UTF-8 bytes.

    >>> by_bytes("né")
    ([110, 195, 169], [1, 1, 1])
    """
    ids = list(text.encode("utf-8", errors="replace"))
    return ids, [1] * len(ids)


def by_tokenizer(tokenizer: Any) -> Encode:
    """Return what encodes with a fast tokenizer; a token has the bytes up to the next one's."""

    def encode(text: str) -> tuple[list[int], list[int]]:
        told = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        begins = [0, *(start for start, _ in told["offset_mapping"][1:]), len(text)]
        sizes = [len(text[a:b].encode("utf-8", errors="replace")) for a, b in pairwise(begins)]
        return list(told["input_ids"]), sizes[: len(told["input_ids"])]

    return encode


def pieces(
    texts: Iterable[str], encode: Encode, *, first: int, context: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Lay texts end to end, `first` around each, and cut them into pieces of equal length.

    Yields the ids, of which all but the first are to be predicted (`context` of them, fewer in the
    last piece), and the bytes of text among these. A mixture of pieces is so one of tokens.

    >>> list(pieces(["abc", "d"], by_bytes, first=BYTES, context=3))
    [((256, 97, 98, 99), 3), ((99, 256, 100, 256), 1)]
    """
    ids, sizes = [first], [0]
    for text in texts:
        own, own_sizes = encode(text)
        ids += [*own, first]
        sizes += [*own_sizes, 0]
    for start in range(0, len(ids) - 1, context):
        end = start + context + 1
        yield tuple(ids[start:end]), sum(sizes[start + 1 : end])
