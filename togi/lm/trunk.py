"""The frozen trunk of a model, read once: where training changes only the upper layers.

What enters the lowest trained layer depends on the text alone, so it is computed once for a data
set, kept in a file, and given to the upper layers in each later pass. No peer does this; over
several epochs most of the forward pass falls away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from togi.errors import UsageError
from togi.lm import attention
from togi.lm.tree import TokenTree, build, packs

BUDGET = 2048
"New tokens of one pass while the trunk is read."
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Greatest difference of last hidden states that the split may make; half a unit in bfloat16."""


class _Reached(Exception):
    """Raised inside a forward pass once the trunk's end is reached: the rest is not needed."""


class FrozenTrunk:
    """What enters layer `first` for every token of known sequences, in a file.

    Args:
        model: a causal language model; its layers below `first` never change.
        first: number of the lowest layer that is trained.
        file: where the states are kept while this object lives.

    Raises:
        UsageError: the family's layers cannot be split: the answer would be another.
    """

    def __init__(self, model: Any, first: int, file: Path) -> None:
        self.first, self.file = first, file
        self.layers = decoder_layers(model)
        self.rows: dict[tuple[int, ...], NDArray[np.int64]] = {}
        self._dtype = model.dtype
        self._data: Tensor | None = None
        _check_split(model, self)

    @torch.no_grad()
    def read(self, model: Any, sequences: Sequence[tuple[int, ...]]) -> int:
        """Compute the states of these sequences; returns the number of tokens kept."""
        count, width = 0, model.config.get_text_config().hidden_size
        distinct = list(dict.fromkeys(sequences))
        with self.file.open("wb") as file:
            for pack, _ in packs(distinct, BUDGET, carry=False):
                tree = build([distinct[i] for i in pack])
                states = entering(model, tree, self.layers[self.first])
                file.write(states.cpu().contiguous().view(torch.uint8).numpy().tobytes())
                for place, index in enumerate(pack):
                    self.rows[distinct[index]] = tree.nodes(place) + count
                count += len(tree)
        mapped = np.memmap(self.file, dtype=np.uint8, mode="c")
        self._data = torch.from_numpy(mapped).view(self._dtype).view(count, width)
        return count

    def states(self, tree: TokenTree, sequences: Sequence[tuple[int, ...]]) -> Tensor | None:
        """Return what enters the upper layers [T, width]; None where a sequence is not known."""
        if tree.stem or self._data is None or any(s not in self.rows for s in sequences):
            return None
        rows = np.empty(len(tree), dtype=np.int64)
        for place, sequence in enumerate(sequences):
            rows[tree.nodes(place)] = self.rows[sequence]
        return self._data[torch.from_numpy(rows)]

    @contextmanager
    def upper(self, model: Any) -> Iterator[None]:
        """Let the model consist of its upper layers inside the block."""
        base = model.base_model
        name = next(n for n, child in base.named_children() if child is self.layers)
        setattr(base, name, nn.ModuleList(self.layers[self.first :]))
        try:
            yield
        finally:
            setattr(base, name, self.layers)


def decoder_layers(model: Any) -> nn.ModuleList:
    """Return a model's list of layers.

    Raises:
        UsageError: it has none that is known.
    """
    count = model.config.get_text_config().num_hidden_layers
    for _, child in model.base_model.named_children():
        if isinstance(child, nn.ModuleList) and len(child) == count:
            return child
    raise UsageError(
        "the model's layers are not in one list, so its trunk cannot be kept",
        where=type(model).__name__, hint="leave cache_trunk out",
    )  # fmt: skip


def entering(model: Any, tree: TokenTree, layer: nn.Module) -> Tensor:
    """Return what enters a layer for a tree's tokens [T, width]."""
    found: list[Tensor] = []

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append((args[0] if args else kwargs["hidden_states"])[0])
        raise _Reached

    device = next(model.parameters()).device
    hook = layer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model.base_model(
            input_ids=torch.from_numpy(tree.tokens).to(device)[None],
            position_ids=torch.from_numpy(tree.positions).to(device)[None],
            tree=attention.pack(tree, device),
            use_cache=False,
        )
    except _Reached:
        pass
    finally:
        hook.remove()
    return found[0]


@torch.no_grad()
def _check_split(model: Any, trunk: FrozenTrunk) -> None:
    """Refuse a family that does something to embeddings before or between its layers."""
    from togi.lm.forward import hidden_states

    size = model.config.get_text_config().vocab_size
    tree = build([tuple(i % size for i in (11, 7, 301, 45)), tuple(i % size for i in (11, 7, 9))])
    device = next(model.parameters()).device
    whole = hidden_states(model, attention.pack(tree, device))
    lower = entering(model, tree, trunk.layers[trunk.first])
    with trunk.upper(model):
        split = hidden_states(model, attention.pack(tree, device), lower)
    gap = float((whole.double() - split.double()).abs().max())
    limit = CLOSE.get(model.dtype, 0.5)
    if not gap <= limit:
        raise UsageError(
            "this family's answer changes where its layers are split, so its trunk cannot be kept",
            where=type(model).__name__, found=f"states that differ by {gap:.3g}",
            expected=f"at most {limit:g}", hint="leave cache_trunk out",
        )  # fmt: skip
