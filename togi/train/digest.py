"""Digests by which a resumed run knows that it is still the same run."""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from togi.errors import UsageError

SAMPLED = 64  # values looked at in each weight: enough to tell two trainings of one model apart


def row_digest(item: Any) -> int:
    """Return a signed 64-bit digest of an item's content: dataclasses, containers, arrays.

    Raises:
        TypeError: for a value whose content cannot be read, which is a programmer's mistake.

    >>> row_digest({"ids": (1, 2)}) == row_digest({"ids": [1, 2]})
    True
    >>> row_digest(("a", "bc")) == row_digest(("ab", "c"))
    False
    """
    digest = hashlib.blake2b(digest_size=8)
    _feed(digest.update, item)
    return int.from_bytes(digest.digest(), "little", signed=True)


def _feed(update: Callable[[bytes], None], value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, np.ndarray | np.generic):
        array_ = np.asarray(value)
        update(f"a{array_.dtype.str}{array_.shape}".encode())
        update(array_.tobytes())
    elif value is None or isinstance(value, str | int | float | bytes):
        text = value if isinstance(value, bytes) else repr(value).encode()
        update(f"{type(value).__name__}{len(text)}:".encode())
        update(text)
    elif is_record(value):
        _feed_pairs(update, ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value)))
    elif isinstance(value, Mapping):
        _feed_pairs(update, sorted(value.items()))
    elif isinstance(value, Sequence):
        _feed_sequence(update, value)
    else:
        raise TypeError(f"no digest for a value of type {type(value).__name__}")


def _feed_pairs(update: Callable[[bytes], None], pairs: Iterable[tuple[Any, Any]]) -> None:
    update(b"{")
    for name, value in pairs:
        _feed(update, name)
        _feed(update, value)
    update(b"}")


def _feed_sequence(update: Callable[[bytes], None], values: Sequence[Any]) -> None:
    update(f"[{len(values)}".encode())
    if values and all(type(value) is int for value in values):
        try:
            update(b"q" + array("q", values).tobytes())  # token ids: one call, not one per token
            return
        except OverflowError:
            pass
    for value in values:
        _feed(update, value)


def model_digest(model: torch.nn.Module, skip: Callable[[str], bool] = lambda name: False) -> str:
    """Return 16 hex digits that tell one set of weights from another, whatever their dtype.

    Reads each parameter's name, shape and 64 values spread over it, rounded to bfloat16 (so that
    the same weights opened in float32 and in bfloat16 agree). `skip` leaves out parameters by
    name, such as the adapter's.
    """
    named = model.named_parameters()
    return digest_of({name: weight_piece(name, w) for name, w in named if not skip(name)})


def weight_piece(name: str, weight: torch.Tensor) -> bytes:
    """Return what `model_digest` reads of one weight: who streams weights keeps only this."""
    flat = weight.detach().reshape(-1)
    few = flat[:: max(1, flat.numel() // SAMPLED)][:SAMPLED]
    values = few.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes()
    return f"{name}{tuple(weight.shape)}".encode() + values


def digest_of(pieces: Mapping[str, bytes]) -> str:
    """Return the digest of a model's pieces, whatever their order."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(pieces):
        digest.update(pieces[name])
    return digest.hexdigest()


def packed_digest(model: torch.nn.Module) -> str:
    """Return a digest of weights that lie in buffers, as four-bit ones do; empty without any.

    Such a layer makes its matrix on demand, by a method `matrix`, from what it holds. An adapter
    that stands before it, and keeps it as `packed`, does not change the digest.

    >>> packed_digest(torch.nn.Linear(2, 2))
    ''
    """
    pieces = {}
    for path, module in model.named_modules():
        if callable(getattr(module, "matrix", None)):
            for name, buffer in module.named_buffers(path.removesuffix(".packed"), recurse=False):
                pieces[name] = weight_piece(name, buffer)
    return digest_of(pieces) if pieces else ""


def is_record(value: Any) -> bool:
    """Whether it is a dataclass's instance."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def objective_words(objective: Any) -> str:
    """Return an objective's name and its plain public attributes.

    >>> from types import SimpleNamespace
    >>> objective_words(SimpleNamespace(name="dpo", beta=0.1, cache={}))
    'dpo beta=0.1'
    """
    slots = [f.name for f in dataclasses.fields(objective)] if is_record(objective) else []
    values = {name: getattr(objective, name) for name in slots or vars(objective)}
    plain = {k: v for k, v in values.items() if isinstance(v, str | int | float | None)}
    shown = (f"{k}={v}" for k, v in sorted(plain.items()) if k != "name" and k[0] != "_")
    return " ".join([objective.name, *shown])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a run is: its settings, its objective, its frozen weights and its rows, in order."""

    settings: dict[str, Any]
    objective: str
    model: str
    rows: tuple[int, ...]

    @classmethod
    def of(
        cls, model: torch.nn.Module, objective: Any, items: Sequence[Any], settings: dict[str, Any]
    ) -> Identity:
        """Read it; an objective's settings are its plain public attributes."""
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        dtypes = sorted({str(weight.dtype).split(".")[-1] for weight in model.parameters()})
        shapes = sorted(f"{n}{tuple(w.shape)}" for n, w in model.named_parameters() if n in trained)
        frozen = model_digest(model, skip=trained.__contains__) + packed_digest(model)
        return cls(
            settings=settings,
            objective=objective_words(objective),
            model=f"{frozen}-{row_digest(shapes) & (1 << 64) - 1:016x} {'/'.join(dtypes)}",
            rows=tuple(row_digest(item) for item in items),
        )

    def changes(self, then: Identity) -> list[str]:
        """Say what differs from an earlier run, in words.

        >>> old = Identity(settings={"lr": 0.1}, objective="sft", model="m", rows=(1, 2))
        >>> Identity(settings={"lr": 0.2}, objective="sft", model="m", rows=(1, 3)).changes(old)
        ['lr was 0.1 and is 0.2', 'row 2 has another content (2 rows)']
        """
        said = [
            f"{name} was {then.settings.get(name)!r} and is {self.settings.get(name)!r}"
            for name in sorted({*self.settings, *then.settings})
            if self.settings.get(name) != then.settings.get(name)
        ]
        if self.objective != then.objective:
            said.append(f"the objective was {then.objective} and is {self.objective}")
        if self.model != then.model:
            said.append(f"the model was {then.model} and is {self.model}")
        if len(self.rows) != len(then.rows):
            said.append(f"there were {len(then.rows)} rows and are {len(self.rows)}")
        elif self.rows != then.rows:
            pairs = enumerate(zip(self.rows, then.rows, strict=True), start=1)
            first = next(number for number, (now, before) in pairs if now != before)
            said.append(f"row {first} has another content ({len(self.rows)} rows)")
        return said

    def require(self, then: Identity, where: str) -> None:
        """Raise `UsageError` unless it is the same run."""
        if changed := self.changes(then):
            raise UsageError(
                "the run that began here was another one, so it cannot continue",
                where=where,
                found="; ".join(changed),
                expected="the same rows, model and settings",
                hint="change them back, or give another folder (or delete this one)",
            )
