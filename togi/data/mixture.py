"""Mixtures of domains: the stream of rows that weights ask for, and what they cost in epochs.

The stream is a function of the seed and the step alone, so a run that was stopped goes on with the
very rows it would have taken; nothing of it is saved. Weights are kept as DoReMi's authors keep
them, `{"train_domain_weights": {name: weight}}`, so that their trainers and others read them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError
from togi.stats.rng import stream

KEY = "train_domain_weights"
MANY_EPOCHS = 4.0
"""Beyond so many epochs a repeated token is clearly worth less than a new one."""
BLOCK = 512  # steps that are drawn at a time
NAMED = 8  # domains that an error lists


class Mixture:
    """A sampler for `togi.train.loop.train`: each step's rows, drawn by the domains' weights.

    Within a domain the rows come in a drawn order, epoch by epoch, so that none comes twice before
    all have come. By default a step is stratified: a domain of weight w has w * batch rows of it,
    rounded up or down by chance so that the mean is exact, and at uniform weights a batch of k
    rows or more holds all of k domains.

    Args:
        domain_of: [rows] the number of each row's domain, below len(weights).
        weights: [domains] not negative; normalised here.
        batch: rows in a step.
        seed: of the stream.
        stratified: False draws each row's domain independently, as the official code does.

    Raises:
        UsageError: a batch below 1, or weights that are negative, not finite or all zero.
        DataError: a domain with a weight and no row.

    >>> mixture = Mixture([0, 0, 0, 1], [0.5, 0.5], batch=4, seed=0)
    >>> [sorted(mixture.rows(step)) for step in range(2)]  # domain 1 has one row
    [[0, 2, 3, 3], [1, 2, 3, 3]]
    """

    def __init__(
        self,
        domain_of: Sequence[int] | NDArray[np.int64],
        weights: Sequence[float] | NDArray[np.float64],
        *,
        batch: int,
        seed: int,
        stratified: bool = True,
    ) -> None:
        if batch < 1:
            raise UsageError("batch is out of range", where="mixture", found=str(batch),
                             expected="at least 1")  # fmt: skip
        self.weights = normalised(weights)
        self.batch, self.seed, self.stratified = batch, seed, stratified
        domains = np.asarray(domain_of, dtype=np.int64)
        self._members = [np.flatnonzero(domains == d) for d in range(len(self.weights))]
        for number, members in enumerate(self._members):
            if self.weights[number] > 0 and not len(members):
                raise DataError("a domain has a weight and no rows", where="mixture",
                                found=f"domain {number}")  # fmt: skip
        self._ends = np.cumsum(self.weights)
        self._ends[np.flatnonzero(self.weights)[-1] :] = 1.0  # whatever the rounding of the sum
        self._before: list[NDArray[np.int64]] = [np.zeros(len(self.weights), dtype=np.int64)]
        self._orders: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self._block: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def binding(self) -> dict[str, Any]:
        """Return what a resumed run must have the same."""
        weights = [float(weight) for weight in self.weights]
        return {"mixture": weights, "mixture_seed": self.seed, "stratified": self.stratified}

    def rows(self, step: int) -> list[int]:
        """Return the rows of a step (from 0)."""
        number, place = divmod(step, BLOCK)
        while len(self._before) <= number:  # a resumed run counts what was drawn before
            drawn = self._drawn(len(self._before) - 1)
            count = np.bincount(drawn.ravel(), minlength=len(self.weights))
            self._before.append(self._before[-1] + count)
        if self._block[0] != number:
            self._block = (number, self._drawn(number))
        block = self._block[1]
        earlier = np.bincount(block[:place].ravel(), minlength=len(self.weights))
        taken = self._before[number] + earlier
        found = []
        for domain in block[place].tolist():
            found.append(self._row(domain, int(taken[domain])))
            taken[domain] += 1
        return found

    def _drawn(self, block: int) -> NDArray[np.int64]:
        """Return the domains of a block of steps, [BLOCK, batch]."""
        draws = stream(self.seed, "mixture", block).random((BLOCK, self.batch + 1))
        if not self.stratified:
            return np.searchsorted(self._ends, draws[:, 1:], side="right")
        points = (draws[:, :1] + np.arange(self.batch)) / self.batch
        domains = np.searchsorted(self._ends, points, side="right")
        return np.take_along_axis(domains, np.argsort(draws[:, 1:], axis=1), axis=1)

    def _row(self, domain: int, place: int) -> int:
        """Return the row that is the domain's number `place` of the whole stream."""
        members = self._members[domain]
        epoch, position = divmod(place, len(members))
        kept = self._orders.get(domain)
        if kept is None or kept[0] != epoch:
            order = stream(self.seed, "mixture order", domain, epoch).permutation(members)
            kept = self._orders[domain] = (epoch, order)
        return int(kept[1][position])


def normalised(weights: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights that sum to 1.

    Raises:
        UsageError: none at all, negative, not finite, or all zero.

    >>> normalised([1, 3]).tolist()
    [0.25, 0.75]
    """
    found = np.asarray(weights, dtype=np.float64)
    if not found.size or not np.isfinite(found).all() or (found < 0).any() or found.sum() <= 0:
        raise UsageError(
            "the domains' weights make no mixture", where="mixture", found=str(found.tolist()),
            expected="numbers of at least 0, one of them more",
        )  # fmt: skip
    return found / found.sum()


@dataclass(frozen=True, slots=True)
class Share:
    """What a domain gives to a budget: its weight, the tokens drawn of it, and how many epochs."""

    domain: str
    weight: float
    tokens: float
    epochs: float


def plan(
    weights: Mapping[str, float], available: Mapping[str, float], budget: float
) -> list[Share]:
    """Return the tokens and epochs of each domain for a budget of tokens.

    >>> plan({"web": 3, "law": 1}, {"web": 1000, "law": 50}, budget=400)[1]
    Share(domain='law', weight=0.25, tokens=100.0, epochs=2.0)
    """
    total = sum(weights.values())
    shares = []
    for name, weight in weights.items():
        tokens = budget * weight / total
        epochs = tokens / available[name] if available[name] else (math.inf if tokens else 0.0)
        shares.append(Share(name, weight / total, tokens, epochs))
    return shares


def overworked(shares: Sequence[Share]) -> list[str]:
    """Return a sentence on the domains that a budget repeats more than four times, if any.

    >>> overworked([Share("law", 0.5, 60.0, 6.0), Share("web", 0.5, 60.0, 0.1)])[0][:34]
    'repeated more than 4 times: law (6'
    """
    many = [f"{one.domain} ({one.epochs:.1f})" for one in shares if one.epochs > MANY_EPOCHS]
    if not many:
        return []
    return [
        f"repeated more than {MANY_EPOCHS:g} times: {', '.join(many)}; from there on a token is "
        "worth clearly less than a new one (togi data repeated)"
    ]


def read_weights(path: Path) -> dict[str, float]:
    """Read domain weights as DoReMi's authors keep them, or a plain object of names and weights.

    Raises:
        DataError: no such file, no JSON, or values that are not weights.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("the weights cannot be read", where=str(path), found=str(error)) from error
    inner = found.get(KEY, found) if isinstance(found, dict) else None
    numbers = isinstance(inner, dict) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in inner.values()
    )
    if not inner or not numbers:
        raise DataError(
            "no domain weights in this file", where=str(path), found=str(found)[:80],
            expected=f'{{"{KEY}": {{"web": 0.7, "law": 0.3}}}}',
        )  # fmt: skip
    return {str(name): float(weight) for name, weight in inner.items()}


def matched(weights: Mapping[str, float], domains: Sequence[str], where: str) -> list[float]:
    """Return the weights in the order of the domains, which must be the same ones.

    Raises:
        DataError: names of one side that the other has not.
    """
    unknown = [name for name in weights if name not in domains]
    lacking = [name for name in domains if name not in weights]
    if unknown or lacking:
        said = [
            f"{what}: {', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''}"
            for what, names in (("without rows", unknown), ("without a weight", lacking))
            if names
        ]
        raise DataError(
            "weights and rows name different domains", where=where, found="; ".join(said),
            expected="a weight for each domain of the rows, 0 to leave it out",
        )  # fmt: skip
    return [weights[name] for name in domains]
