"""The loss at theta + eps z and at theta - eps z, in one pass through a model that stays as it is.

Both evaluations stand side by side in one token tree. While they run, each layer that holds
trained weights is a `Twin`: it computes its first rows with W + eps z and its last rows with
W - eps z, from a copy of its own weights that lives only as long as the product. LoRA layers share
the product with the frozen base among both signs. Where a loss looks at more of the model than its
scores, the signs are evaluated one after the other by the same means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from togi.align.lora_layer import LoraLinear, Low, lora_layers
from togi.align.mezo_noise import Noise
from togi.align.mezo_rows import Shift, copies, embedded, headed
from togi.lm import attention
from togi.lm.forward import AnswerScores, Request, behind, device_of, hidden_states, prefix_of
from togi.lm.tree import build, twice
from togi.train.objective import Objective
from togi.train.packing import pack


@dataclass(frozen=True, slots=True)
class Both:
    """The loss on both sides, what was measured (means of both sides), and a repeated one."""

    plus: float
    minus: float
    measures: dict[str, float]
    passes: int
    again: float | None = None


def evaluate(
    model: Any, objective: Objective[Any], items: Sequence[Any], noise: Noise, eps: float,
    micro_tokens: int, *, twice: bool = False,
) -> Both:  # fmt: skip
    """Return the mean loss of the items on both sides of the weights.

    Args:
        twice: evaluate the first micro-batch's loss once more, to see whether it is the same.
    """
    packed = getattr(objective, "scores_only", False)
    total = sum(objective.weight(item) for item in items)
    sums, found, passes = [0.0, 0.0], {}, 0
    drift: float | None = None
    parts = pack([objective.cost(item) for item in items], max(1, micro_tokens // (1 + packed)))
    for part in parts:
        micro = [items[i] for i in part]
        sides = _sides(model, objective, micro, noise, eps, packed)
        if twice and drift is None:
            repeated = _sides(model, objective, micro, noise, eps, packed)
            drift = repeated[0][0] - sides[0][0]
        for place, (loss, measured) in enumerate(sides):
            sums[place] += loss
            for name, (value, weight) in measured.items():
                before, counted = found.get(name, (0.0, 0.0))
                found[name] = (before + value, counted + weight)
        passes += 1 if packed else 2
    measures = {name: v / w if w else float("nan") for name, (v, w) in found.items()}
    again = None if drift is None else (sums[0] + drift) / total
    return Both(sums[0] / total, sums[1] / total, measures, passes, again)


def _sides(
    model: Any, objective: Objective[Any], items: Sequence[Any], noise: Noise, eps: float,
    packed: bool,
) -> list[tuple[float, dict[str, tuple[float, float]]]]:  # fmt: skip
    views: list[Any]
    if packed:
        shared = _Pair(model, noise, eps)
        views = [_Half(shared, side) for side in (0, 1)]
        results = [objective.loss(view, items) for view in views]
    else:
        results = []
        for sign in (1, -1):
            with shifted(model, noise, eps, (sign,)):
                results.append(objective.loss(model, items))
    return [(float(loss), measured) for loss, measured in results]


class _Pair:
    """Scores of both sides, computed together when the first side asks."""

    def __init__(self, model: Any, noise: Noise, eps: float) -> None:
        self.model, self.noise, self.eps = model, noise, eps
        self.known: dict[tuple[Request, ...], tuple[AnswerScores, AnswerScores]] = {}

    def scores(self, requests: Sequence[Request], side: int) -> AnswerScores:
        key = tuple(requests)
        if key not in self.known:
            self.known[key] = both_scores(self.model, requests, self.noise, self.eps)
        return self.known[key][side]


class _Half:
    """Stands in for the model on one side; see `togi.lm.forward.answer_scores`."""

    def __init__(self, pair: _Pair, side: int) -> None:
        self._pair, self._side = pair, side

    def answer_scores(self, requests: Sequence[Request]) -> AnswerScores:
        """Return this side's scores."""
        return self._pair.scores(requests, self._side)


def both_scores(
    model: Any, requests: Sequence[Request], noise: Noise, eps: float
) -> tuple[AnswerScores, AnswerScores]:
    """Score requests at theta + eps z and at theta - eps z, both in one tree."""
    shift = Shift(noise, eps, (1, -1), _names(model))
    device = device_of(model)
    with shifted(model, noise, eps, (1, -1)):
        ids, stem = prefix_of(model)
        asked = [behind(ids, request) for request in requests]
        one = build([request.ids[:-1] for request in asked], ids)
        packed = attention.pack(twice(one), device, stem=stem)
        hidden = hidden_states(model, packed)
    nodes = torch.cat(
        [torch.from_numpy(one.nodes(i, r.start - 1) - one.stem) for i, r in enumerate(asked)]
    ).to(device)
    lengths = [len(r.ids) - r.start for r in requests]
    targets = torch.tensor([t for r in requests for t in r.ids[r.start :]], device=device)
    owner = torch.repeat_interleave(
        torch.arange(len(requests)), torch.tensor(lengths)
    ).to(device)  # fmt: skip
    rows = [hidden[nodes], hidden[nodes + len(one)]]
    scored = headed(model, rows, targets, shift)
    return tuple(AnswerScores(s, owner, r) for s, r in zip(scored, rows, strict=True))  # type: ignore[return-value]


def _names(model: nn.Module) -> dict[int, str]:
    return {id(w): name for name, w in model.named_parameters() if w.requires_grad}


class Twin(nn.Module):
    """Stands where a layer with trained weights stood, and perturbs them by its rows' sign."""

    def __init__(self, inner: nn.Module, shift: Shift) -> None:
        super().__init__()
        self.inner, self.shift = inner, shift
        self.train(inner.training)

    def __getattr__(self, name: str) -> Any:
        """Return what the inner layer has; with one sign, a trained weight as it is moved."""
        if name == "inner":
            return super().__getattr__(name)
        found = getattr(self.inner, name)
        if len(self.shift.signs) == 1 and id(found) in self.shift.names:
            return next(self.shift.parts(found))
        return found

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Run the inner layer on each part of the rows with its own weights."""
        inner, shift = self.inner, self.shift
        if isinstance(inner, nn.Embedding):
            return embedded(inner, x, shift)
        rows = 1 if x.ndim > 1 and x.shape[0] == 1 else 0
        own = [w for w in inner.parameters(recurse=False) if id(w) in shift.names]
        moved = [shift.parts(weight) for weight in own]
        found = []
        for part in x.chunk(len(shift.signs), dim=rows):
            kept = [weight.data for weight in own]
            try:
                for weight, copies in zip(own, moved, strict=True):
                    weight.data = next(copies)
                found.append(inner(part, *args, **kwargs))
            finally:
                for weight, data in zip(own, kept, strict=True):
                    weight.data = data
        return found[0] if len(found) == 1 else torch.cat(found, dim=rows)


@contextmanager
def shifted(model: Any, noise: Noise, eps: float, signs: tuple[int, ...]) -> Iterator[None]:
    """Let the model answer with perturbed weights inside the block; its own stay untouched.

    With two signs, the first half of all rows is computed with the first.
    """
    shift = Shift(noise, eps, signs, _names(model))
    with ExitStack() as undo:
        for layer in lora_layers(model).values():
            _shift_lora(layer, shift, undo)
        prefix = getattr(model, "soft_prefix", None)
        if prefix is not None and any(id(w) in shift.names for w in prefix.parameters()):
            undo.enter_context(prefix.shifted(list(copies(prefix.weight, shift))))
        for path, module in list(model.named_modules()):
            own = [w for w in module.parameters(recurse=False) if id(w) in shift.names]
            if path and own and not isinstance(module, LoraLinear) and module is not prefix:
                _substitute(model, path, Twin(module, shift), undo)
        yield


def _shift_lora(layer: LoraLinear, shift: Shift, undo: ExitStack) -> None:
    if id(layer.lora_A) not in shift.names:
        return
    sides = []
    pairs = zip(copies(layer.lora_A, shift), copies(layer.lora_B, shift), strict=True)
    lengths = (
        [None] * len(shift.signs)
        if layer.lora_magnitude is None
        else list(copies(layer.lora_magnitude, shift))
    )
    for (a, b), length in zip(pairs, lengths, strict=True):
        sides.append(Low(a.to(layer.dtype), b.to(layer.dtype), layer.scale, length))
    before = layer.twin
    layer.twin = (sides[0], sides[-1])
    undo.callback(setattr, layer, "twin", before)


def _substitute(model: nn.Module, path: str, module: nn.Module, undo: ExitStack) -> None:
    parent, _, name = path.rpartition(".")
    holder = model.get_submodule(parent)
    before = getattr(holder, name)
    setattr(holder, name, module)
    undo.callback(setattr, holder, name, before)
