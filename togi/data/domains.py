"""Domains of text: read from rows, some of each held out, cut into pieces for a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.doremi import DomainItem
from togi.data.mixture import NAMED
from togi.data.proxy import Encode, pieces
from togi.errors import DataError, nearest
from togi.lm.forward import Request
from togi.rows.types import Row
from togi.stats.rng import stream

LEAST_ROWS = 2  # one to learn from, one to judge by


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """Pieces of several domains, those to learn from and those held out.

    Attributes:
        names: sorted, so that a domain's number does not depend on the order of its rows.
        tokens: [domains] trained tokens to learn from.
    """

    names: tuple[str, ...]
    train: tuple[DomainItem, ...]
    held_out: tuple[DomainItem, ...]
    tokens: tuple[int, ...]

    @property
    def domain_of(self) -> list[int]:
        """The domain of each piece to learn from."""
        return [item.domain for item in self.train]

    @property
    def sizes(self) -> list[float]:
        """Each domain's share of the tokens: what proportional mixing draws by."""
        return [count / sum(self.tokens) for count in self.tokens]


def by_key(rows: Iterable[Row], key: str, where: str) -> dict[str, list[Row]]:
    """Sort rows into domains by a metadata key; dots lead into nested values.

    Raises:
        DataError: a row without the key (says which keys it has).
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        value: Any = row.metadata
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                keys = list(value) if isinstance(value, Mapping) else []
                raise DataError(
                    f"a row does not say its domain ('{key}')", where=f"{where}: row {row.id}",
                    found=", ".join(map(str, keys)) or "no metadata",
                    expected=nearest(part, map(str, keys)) if keys else "a metadata key",
                    hint="name the key with `by:`, or give each domain's rows under `domains:`",
                )  # fmt: skip
            value = value[part]
        found.setdefault(str(value), []).append(row)
    return found


def require_domains(domains: Mapping[str, Sequence[object]], where: str, *, least: int = 1) -> None:
    """Refuse what is no set of domains.

    Raises:
        DataError: fewer than two domains, or one with fewer than `least` rows.
    """
    if len(domains) < 2:
        raise DataError(
            "a mixture needs at least two domains", where=where,
            found=", ".join(domains) or "no rows", expected="two or more",
            hint="name the metadata key that tells them apart with `by:`",
        )  # fmt: skip
    short = [f"{name} ({len(rows)})" for name, rows in domains.items() if len(rows) < least]
    if short:
        more = f" and {len(short) - NAMED} more" if len(short) > NAMED else ""
        raise DataError(
            "a domain has too few rows", where=where, found=", ".join(short[:NAMED]) + more,
            expected=f"at least {least} in each: one to learn from, one to judge by"
            if least > 1 else "at least 1 in each",
            hint="leave the domain out, join it to another, or cut its rows into smaller ones",
        )  # fmt: skip


def domains_of(
    rows: Mapping[str, Sequence[Row]],
    text_of: Callable[[Row], str],
    encode: Encode,
    *,
    first: int,
    context: int,
    held_out: float,
    seed: int,
    where: str = "domains",
) -> Domains:
    """Hold some rows of each domain out, and cut all into pieces.

    Args:
        rows: each domain's.
        text_of: a row's text; rows without any are left out.
        encode, first, context: as `togi.data.proxy.pieces` takes them.
        held_out: the share of each domain's rows to hold out, at least one row.

    Raises:
        DataError: fewer than two domains, or a domain with fewer than two rows that have text.
    """
    texts = {
        name: [text for row in some if (text := text_of(row)).strip()]
        for name, some in sorted(rows.items())
    }
    require_domains(texts, where, least=LEAST_ROWS)
    sides: tuple[list[DomainItem], list[DomainItem]] = ([], [])
    none = np.empty(0, dtype=np.float32)
    for number, (name, some) in enumerate(texts.items()):
        apart = min(len(some) - 1, max(1, round(held_out * len(some))))
        order = stream(seed, "held out", name).permutation(len(some)).tolist()
        for side, places in zip(sides, (order[apart:], order[:apart]), strict=True):
            cut = pieces([some[place] for place in places], encode, first=first, context=context)
            side.extend(
                DomainItem(f"{name}#{i}", Request(ids, 1), number, size, none)
                for i, (ids, size) in enumerate(cut)
            )
    tokens = np.zeros(len(texts), dtype=np.int64)
    for item in sides[0]:
        tokens[item.domain] += item.trained_tokens
    return Domains(
        names=tuple(texts), train=tuple(sides[0]), held_out=tuple(sides[1]),
        tokens=tuple(tokens.tolist()),
    )  # fmt: skip
