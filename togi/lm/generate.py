"""Generation: each distinct prompt is read once, its keys and values shared by all its samples.

Prompts go through the token tree, so beginnings that several prompts share are computed once.
Then all samples advance together, one token a step: a sample attends to its prompt's keys, which
stand once for all of its siblings, and to its own. Finished samples leave the batch.

A draw inverts the distribution's cumulative sum at one uniform number that depends only on the
seed, the prompt, the number of the sample and the step. What else stands in the batch can change
an answer only where rounding in the model moves a boundary past that number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from togi.lm import attention
from togi.lm.base import Generated, Sampling
from togi.lm.decode import DecodeState, Prefix
from togi.lm.forward import device_of, hidden_states, prefix_of
from togi.lm.tree import build, packs
from togi.stats.rng import stream

PROMPT_TOKENS = 2048
"New tokens of one forward pass when reading prompts."
CACHE_BYTES = 2 << 30
"Keys and values held at a time; more samples than fit are drawn in turn."


@dataclass(slots=True)
class _Row:
    """One sample on its way."""

    prompt: int
    draw: int
    uniforms: np.ndarray
    room: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str | None = None
    finish: str = "length"


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    stop_ids: frozenset[int],
    *,
    longest: int = 1 << 30,
) -> list[list[Generated]]:
    """Draw `sampling.n` answers for each prompt of token ids, in the order asked.

    An answer that fills the model's `longest` positions ends there, as with `max_tokens`.
    """
    distinct = list(dict.fromkeys(prompts))
    # Prompts of like length stand together: they share a batch with little room wasted.
    distinct.sort(key=len)
    answers: dict[tuple[int, ...], list[Generated]] = {}
    for batch in _batches(model, distinct, sampling):
        drawn = _draw(model, tokenizer, batch, sampling, stop_ids, longest)
        answers.update(zip(batch, drawn, strict=True))
    return [answers[p] for p in prompts]


def _batches(
    model: Any, prompts: list[tuple[int, ...]], sampling: Sampling
) -> list[list[tuple[int, ...]]]:
    """Split prompts so that keys and values of a batch stay within `CACHE_BYTES`."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize
    batches: list[list[tuple[int, ...]]] = [[]]
    for prompt in prompts:
        many = len(batches[-1]) + 1
        need = many * (len(prompt) + sampling.n * sampling.max_tokens) * token
        if batches[-1] and need > CACHE_BYTES:
            batches.append([])
        batches[-1].append(prompt)
    return [b for b in batches if b]


@torch.no_grad()
def _draw(
    model: Any,
    tokenizer: Any,
    prompts: list[tuple[int, ...]],
    sampling: Sampling,
    stop_ids: frozenset[int],
    longest: int,
) -> list[list[Generated]]:
    last, prefix = _read(model, prompts)
    rows = [
        _Row(p, d, _uniforms(ids, d, sampling), min(sampling.max_tokens, longest + 1 - len(ids)))
        for p, ids in enumerate(prompts)
        for d in range(sampling.n)
    ]
    state = DecodeState(prefix, [r.prompt for r in rows], sampling.max_tokens)
    hidden = last[torch.tensor([r.prompt for r in rows])]
    live = list(rows)
    while live:
        _advance(model, live, hidden, sampling)
        going = [i for i, r in enumerate(live) if not _done(r, tokenizer, sampling, stop_ids)]
        if len(going) < len(live):
            live = [live[i] for i in going]
            state.keep(going)
        if live:
            ids = torch.tensor([[r.ids[-1] for r in live]], device=last.device)
            hidden = _step(model, ids, state)
    return [[_finished(r, tokenizer) for r in rows if r.prompt == p] for p in range(len(prompts))]


def _uniforms(ids: tuple[int, ...], draw: int, sampling: Sampling) -> np.ndarray:
    key = hashlib.blake2b(np.asarray(ids, dtype=np.int64).tobytes(), digest_size=8).hexdigest()
    return stream(sampling.seed, "generate", key, draw).random(sampling.max_tokens)


def _read(model: Any, prompts: list[tuple[int, ...]]) -> tuple[Tensor, Prefix]:
    """Read the prompts; return each one's last hidden state and all keys and values."""
    device = device_of(model)
    ids, soft = prefix_of(model)
    prompts = [(*ids, *prompt) for prompt in prompts]
    hidden: list[Tensor | None] = [None] * len(prompts)
    caches: list[dict[int, tuple[Tensor, Tensor]]] = [{} for _ in prompts]
    for pack, _ in packs(prompts, PROMPT_TOKENS, carry=False):
        tree = build([prompts[i] for i in pack], ids)
        packed = attention.pack(tree, device, stem=soft, keep=True)
        states = hidden_states(model, packed)
        for place, index in enumerate(pack):
            nodes = torch.from_numpy(tree.nodes(place)).to(device)
            hidden[index] = states[nodes[-1] - tree.stem]
            caches[index] = {
                layer: (k.index_select(1, nodes), v.index_select(1, nodes))
                for layer, (k, v) in packed.kept.items()
            }
    return torch.stack([h for h in hidden if h is not None]), Prefix.join(caches)


def _step(model: Any, ids: Tensor, state: DecodeState) -> Tensor:
    out = model.base_model(
        input_ids=ids, position_ids=state.positions()[None], tree=state, use_cache=False
    )
    state.steps += 1
    return out.last_hidden_state[0]


def _advance(model: Any, rows: list[_Row], hidden: Tensor, sampling: Sampling) -> None:
    """Append one token to each row."""
    logits = model.get_output_embeddings()(hidden).float()
    norm = logits.logsumexp(-1)
    step = len(rows[0].ids)
    uniforms = torch.tensor([r.uniforms[step] for r in rows], device=logits.device)
    chosen = choose(logits, uniforms, sampling)
    logprobs = logits.gather(1, chosen[:, None])[:, 0] - norm
    for row, token, logprob in zip(rows, chosen.tolist(), logprobs.tolist(), strict=True):
        row.ids.append(token)
        row.logprobs.append(logprob)


def choose(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """Choose one token a row by inverting the cumulative distribution.

    Args:
        logits: [rows, vocabulary] in float32.
        uniforms: [rows] in [0, 1).

    Temperature comes first, then top-k, then top-p on what is left, as in most libraries.

    >>> logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]]))
    >>> [choose(logits, torch.tensor([u]), Sampling()).item() for u in (0.1, 0.6, 0.9)]
    [0, 1, 2]
    >>> choose(logits, torch.tensor([0.1]), Sampling(top_k=1)).item()
    1
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scaled = logits / sampling.temperature
    if sampling.top_k or sampling.top_p < 1:
        return _choose_filtered(scaled, uniforms, sampling)
    weights = (scaled - scaled.amax(-1, keepdim=True)).exp_().cumsum(-1, dtype=torch.float64)
    return _invert(weights, uniforms)


def _choose_filtered(scaled: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    wanted = sampling.top_k or scaled.shape[-1]
    top, index = scaled.topk(min(wanted, scaled.shape[-1]), dim=-1)
    weights = top.softmax(-1)
    before = weights.cumsum(-1) - weights
    weights = weights.masked_fill(before >= sampling.top_p, 0.0)  # the first always stays
    place = _invert(weights.cumsum(-1, dtype=torch.float64), uniforms)
    return index.gather(1, place[:, None])[:, 0]


def _invert(cumulative: Tensor, uniforms: Tensor) -> Tensor:
    target = uniforms.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    place = torch.searchsorted(cumulative, target, right=True)[:, 0]
    return place.clamp_(max=cumulative.shape[-1] - 1)


def _done(row: _Row, tokenizer: Any, sampling: Sampling, stop_ids: frozenset[int]) -> bool:
    if row.ids[-1] in stop_ids:
        row.finish = "stop"
        return True
    if sampling.stop:
        longest = max(len(s) for s in sampling.stop)
        tail = tokenizer.decode(row.ids[-(longest + 8) :], skip_special_tokens=True)
        if any(s in tail for s in sampling.stop):
            whole = tokenizer.decode(row.ids, skip_special_tokens=True)
            cuts = [whole.find(s) for s in sampling.stop if s in whole]
            row.text, row.finish = whole[: min(cuts)], "stop"
            return True
    return len(row.ids) >= row.room


def _finished(row: _Row, tokenizer: Any) -> Generated:
    text = tokenizer.decode(row.ids, skip_special_tokens=True) if row.text is None else row.text
    finish = "stop" if row.finish == "stop" else "length"
    return Generated(text, tuple(row.ids), np.asarray(row.logprobs, dtype=np.float32), finish)
