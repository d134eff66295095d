"""Keeping the frozen trunk below adapters for a method's rows: `cache_trunk: true`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from togi.errors import UsageError
from togi.lm.forward import Request
from togi.lm.trunk import FrozenTrunk


def with_trunk(
    model: Any, objective: Any, items: Sequence[Any], folder: Path, *, say: Callable[[str], None]
) -> None:
    """Read the trunk of all items once and let the model start from there.

    Raises:
        UsageError: the lowest layer is trained, answers are new each time, or the family's layers
            cannot be split.
    """
    first = lowest_trained(model)
    sequences = [s for item in items for s in sequences_of(item)]
    if not sequences:
        raise UsageError(
            "there is nothing to keep: the answers are new each time", where="cache_trunk",
            found=objective.name, hint="leave cache_trunk out",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    trunk = FrozenTrunk(model, first, folder / "trunk.bin")
    count = trunk.read(model, sequences)
    size = trunk.file.stat().st_size / 1e6
    say(f"trunk: layers 0 to {first - 1} read once, {count:,} tokens, {size:,.0f} MB on disk")
    model.trunk = trunk


def lowest_trained(model: Any) -> int:
    """Return the number of the lowest layer that has a trained weight.

    Raises:
        UsageError: it is the first layer, or a trained weight lies in no layer below the head.
    """
    numbers = []
    for name, weight in model.named_parameters():
        match = re.search(r"\.(\d+)\.", name)
        if weight.requires_grad and match is not None:
            numbers.append(int(match[1]))
    first = min(numbers, default=0)
    if first == 0:
        raise UsageError(
            "the lowest layer is trained, so there is no frozen trunk", where="cache_trunk",
            hint="train the upper layers only, such as lora.layers: -10",
        )  # fmt: skip
    return first


def sequences_of(item: Any) -> Iterator[tuple[int, ...]]:
    """Yield the token ids that an item puts through the model."""
    for one in dataclasses.fields(item):
        value = getattr(item, one.name)
        if isinstance(value, Request):
            yield value.ids[:-1]
        elif one.name == "answers":
            yield from value
