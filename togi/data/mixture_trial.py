"""Mixtures put to the test: small models trained on each, judged on held-out text by domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.data.domains import Domains
from togi.data.doremi import DomainItem
from togi.data.mixture import Mixture
from togi.data.proxy import Shape, new_proxy
from togi.data.reference_losses import token_losses
from togi.stats import Estimate, bootstrap_mean, derive, paired_difference
from togi.train.config import TrainConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """Held-out bits per byte [seeds, domains] of the models that each mixture made.

    The seeds are the same for all: beginning weights and the streams' draws.
    """

    names: tuple[str, ...]
    bits: Mapping[str, Floats]

    def domain(self, mixture: str, number: int) -> Estimate:
        """Return a domain's bits per byte."""
        return _mean(self.bits[mixture][:, number])

    def average(self, mixture: str) -> Estimate:
        """Return the mean over domains, each counting the same."""
        return _mean(self.bits[mixture].mean(axis=1))

    def worst(self, mixture: str) -> Estimate:
        """Return the bits per byte of the domain that is worst, in each seed its own."""
        return _mean(self.bits[mixture].max(axis=1))

    def worst_gain(self, mixture: str, rival: str) -> Estimate:
        """Return by how many bits per byte the worst domain is better than under a rival."""
        return _gain(self.bits[mixture].max(axis=1), self.bits[rival].max(axis=1))

    def average_gain(self, mixture: str, rival: str) -> Estimate:
        """Return by how many bits per byte the average is better than under a rival."""
        return _gain(self.bits[mixture].mean(axis=1), self.bits[rival].mean(axis=1))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: each mixture's figures, and its gains over the others."""
        first, *rivals = self.bits
        return {
            "seeds": len(self.bits[first]),
            "mixtures": {
                name: {
                    "worst": self.worst(name).as_dict(),
                    "average": self.average(name).as_dict(),
                    "domains": {
                        domain: self.domain(name, number).as_dict()
                        for number, domain in enumerate(self.names)
                    },
                }
                for name in self.bits
            },
            "gains": {
                f"{first} over {rival}": {
                    "worst": self.worst_gain(first, rival).as_dict(),
                    "average": self.average_gain(first, rival).as_dict(),
                }
                for rival in rivals
            },
        }


def _mean(values: Floats) -> Estimate:
    return bootstrap_mean(values.tolist())


def _gain(mine: Floats, other: Floats) -> Estimate:
    return paired_difference(other.tolist(), mine.tolist()).estimate


def train_on(
    module: Any,
    domains: Domains,
    weights: Sequence[float] | Floats,
    config: TrainConfig,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Train a model in place on a mixture, by the ordinary loss; a stopped training goes on."""
    from togi.align.sft import Sft
    from togi.train.loop import train

    mixture = Mixture(domains.domain_of, weights, batch=config.batch, seed=config.seed)
    train(module, Sft(), domains.train, config, folder, sampler=mixture, say=say)


def held_out_bits(module: Any, items: Sequence[DomainItem], k: int, *, budget: int) -> Floats:
    """Return the bits per byte of each domain's held-out pieces, [k]."""
    losses = token_losses(module, items, budget=budget).astype(np.float64)
    owner = np.repeat([i.domain for i in items], [i.trained_tokens for i in items])
    nats = np.bincount(owner, weights=losses, minlength=k)
    sizes = np.bincount(
        [i.domain for i in items], weights=[float(i.size) for i in items], minlength=k
    )
    with np.errstate(invalid="ignore"):
        return nats / sizes / math.log(2)


def _silent(_: str) -> None:
    """Say nothing of the steps of one training among many."""


def trial(
    domains: Domains,
    mixtures: Mapping[str, Sequence[float] | Floats],
    shape: Shape,
    config: Callable[[int], TrainConfig],
    *,
    seeds: int,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> Trial:
    """Train and judge a model for each mixture and seed; what is done already is not done again.

    Args:
        mixtures: name -> weights of the domains; gains are told of the first one.
        config: of the training, for a seed.
    """
    bits: dict[str, list[Floats]] = {name: [] for name in mixtures}
    for number in range(seeds):
        own = derive(seed, "trial", number) >> 1
        for name, weights in mixtures.items():
            module, training = new_proxy(shape, seed=own), config(own)
            train_on(module, domains, weights, training, folder / f"{name}-{number}", _silent)
            found = held_out_bits(
                module, domains.held_out, len(domains.names), budget=training.micro_tokens
            )
            bits[name].append(found)
            say(
                f"trial, seed {number + 1} of {seeds}: {name}, held-out bits per byte "
                f"{found.mean():.3f}, worst domain {found.max():.3f}"
            )
    return Trial(domains.names, {name: np.array(found) for name, found in bits.items()})
