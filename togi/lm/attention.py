"""Attention over a token tree, as one function in transformers' public registry.

A model loaded with ``attn_implementation="togi_tree"`` calls `tree_attention` in every layer and
hands it the `PackedTree` that was passed to the model's forward. On a CPU the tree is a list of
blocks, each a few dense products without work for masked pairs; elsewhere it is one masked
product. Both are exact, forward and backward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from togi.errors import SurroundingsError
from togi.lm.decode import DecodeState
from togi.lm.tree import TokenTree

NAME = "togi_tree"


@dataclass(slots=True)
class PackedBlock:
    """A tree's block as the products want it: row ranges and what is hidden."""

    start: int
    end: int
    keys: tuple[tuple[int, int], ...]
    hidden: Tensor | None  # [rows, keys] bool, True where NOT seen


@dataclass(slots=True)
class PackedTree:
    """A `TokenTree` on a device, with the keys and values that came before or are to be kept.

    Attributes:
        stem: per layer the keys and values of the stem's nodes, each [heads_kv, stem, width].
        keep: whether the forward pass leaves `kept` behind, per layer keys and values of all
            nodes, stem included.
        calls: layers that have attended; zero after a forward pass means that the model family
            does not use the registry.
    """

    tree: TokenTree
    blocks: list[PackedBlock]
    dense: Tensor | None
    stem: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    keep: bool = False
    kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    calls: int = 0

    @property
    def depth(self) -> int:
        """Tokens on the longest path."""
        return int(self.tree.positions.max(initial=0)) + 1


def pack(
    tree: TokenTree,
    device: torch.device,
    *,
    stem: dict[int, tuple[Tensor, Tensor]] | None = None,
    keep: bool = False,
    dense: bool | None = None,
) -> PackedTree:
    """Prepare a tree for a forward pass; `dense` forces the single masked product."""
    if device.type != "cpu" if dense is None else dense:
        mask = torch.from_numpy(tree.dense_mask()).to(device)
        return PackedTree(tree, [], mask, stem or {}, keep)
    blocks = [
        PackedBlock(
            b.start,
            b.end,
            tuple((s.start, s.end) for s in b.keys),
            None if b.mask is None else torch.from_numpy(~b.mask),
        )
        for b in tree.blocks()
    ]
    return PackedTree(tree, blocks, None, stem or {}, keep)


def _gather(rows: Tensor, spans: tuple[tuple[int, int], ...]) -> Tensor:
    if len(spans) == 1:
        return rows[:, spans[0][0] : spans[0][1]]
    return torch.cat([rows[:, a:b] for a, b in spans], dim=1)


def _weights(q: Tensor, k: Tensor, block: PackedBlock) -> Tensor:
    """Return softmax weights [heads_kv, group * rows, keys] of scaled queries, in their dtype.

    torch's softmax sums in float32 inside; one fused pass over the scores is what counts here.
    """
    scores = torch.bmm(q, k.transpose(1, 2))
    if block.hidden is not None:
        n, m = block.hidden.shape
        scores.view(len(scores), -1, n, m).masked_fill_(block.hidden, float("-inf"))
    return torch.softmax(scores, dim=-1)


class _BlockAttention(torch.autograd.Function):
    """Attention by blocks; the backward pass computes the weights again instead of keeping them.

    Shapes: q [heads, T, d]; k, v [heads_kv, stem + T, d]; out [heads, T, d].
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, packed: PackedTree, scale: float
    ) -> Tensor:
        heads, _, width = q.shape
        kv, group = len(k), heads // len(k)
        out = torch.empty_like(q)
        scaled = q * scale
        for block in packed.blocks:
            n, rows = block.end - block.start, slice(block.start, block.end)
            qb = scaled[:, rows].reshape(kv, group * n, width)
            weights = _weights(qb, _gather(k, block.keys), block)
            out[:, rows] = torch.bmm(weights, _gather(v, block.keys)).view(heads, n, width)
        ctx.packed, ctx.scale = packed, scale
        ctx.save_for_backward(scaled, k, v)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        scaled, k, v = ctx.saved_tensors
        heads, _, width = scaled.shape
        kv, group = len(k), heads // len(k)
        # Keys that many branches share collect many small gradients: sum them in a wide type.
        wide = torch.promote_types(k.dtype, torch.float32)
        dq = torch.empty_like(scaled)
        dk, dv = torch.zeros_like(k, dtype=wide), torch.zeros_like(v, dtype=wide)
        for block in ctx.packed.blocks:
            n, rows = block.end - block.start, slice(block.start, block.end)
            qb = scaled[:, rows].reshape(kv, group * n, width)
            gb = grad[:, rows].reshape(kv, group * n, width)
            kb, vb = _gather(k, block.keys), _gather(v, block.keys)
            weights = _weights(qb, kb, block)
            dvb = torch.bmm(weights.transpose(1, 2), gb)
            dw = torch.bmm(gb, vb.transpose(1, 2))
            ds = torch.ops.aten._softmax_backward_data(dw, weights, -1, weights.dtype)
            dq[:, rows] = torch.bmm(ds, kb).view(heads, n, width)
            dkb = torch.bmm(ds.transpose(1, 2), qb)
            at = 0
            for a, b in block.keys:
                dk[:, a:b] += dkb[:, at : at + b - a]
                dv[:, a:b] += dvb[:, at : at + b - a]
                at += b - a
        return dq.mul_(ctx.scale), dk.to(k.dtype), dv.to(v.dtype), None, None


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    group = len(q) // len(k)
    k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    return torch.nn.functional.scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=mask, scale=scale
    )[0]


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree: PackedTree | DecodeState | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend over a packed tree, or one decoding step; transformers calls it in every layer.

    Args:
        query: [1, heads, T, d]; key and value: [1, heads_kv, T, d].
        tree: the packed tree, or the decoding state, that was given to the model's forward.

    Returns:
        [1, T, heads, d], and no weights.

    Raises:
        SurroundingsError: the model wants something of attention that a tree does not offer yet.
    """
    if tree is None:
        raise SurroundingsError(
            "the model does not hand on to its attention what its forward is given, so togi "
            "cannot pack for it",
            where=type(module).__name__,
            hint="serve it behind an OpenAI-compatible endpoint and judge that",
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = int(getattr(module, "layer_idx", 0))
    depth = tree.depth
    uneven = value.shape[-1] != query.shape[-1]
    _refuse_unsupported(module, depth, dropout, attention_mask, uneven, kwargs)
    if isinstance(tree, DecodeState):
        return tree.attend(layer, query[0], key[0], value[0], scale)[None], None
    k, v = key[0], value[0]
    if tree.tree.stem:
        before_k, before_v = tree.stem[layer]
        k, v = torch.cat([before_k, k], 1), torch.cat([before_v, v], 1)
    if tree.keep:
        tree.kept[layer] = (k, v)
    tree.calls += 1
    if tree.dense is not None:
        out = _dense(query[0], k, v, tree.dense, scale)
    else:
        out = _BlockAttention.apply(query[0], k, v, tree, scale)
    return out.transpose(0, 1)[None], None


def _refuse_unsupported(
    module: torch.nn.Module,
    depth: int,
    dropout: float,
    mask: Tensor | None,
    uneven: bool,
    kwargs: dict[str, Any],
) -> None:
    # Families whose mask alone knows of a window do not hand it on, but their config tells.
    config = getattr(module, "config", None)
    window = kwargs.get("sliding_window", getattr(config, "sliding_window", None))
    chunk = getattr(config, "attention_chunk_size", None)
    faults = {
        "attention dropout while training": bool(dropout) and module.training,
        "an attention mask of its own": mask is not None,
        f"a sliding window of {window} over {depth} tokens": window is not None and depth > window,
        f"attention in chunks of {chunk} over {depth} tokens": chunk is not None and depth > chunk,
        "values of another width than keys": uneven,
        "soft-capped attention scores": kwargs.get("softcap") is not None,
        "attention sinks": kwargs.get("s_aux") is not None,
    }
    for what, present in faults.items():
        if present:
            raise SurroundingsError(
                f"the model uses {what}, which the token tree does not support",
                where=type(module).__name__,
                hint="choose another model, shorter texts, or serve it and judge the endpoint",
            )


def register() -> None:
    """Make the tree known to transformers under the name `togi_tree`; safe to call again."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, tree_attention)
