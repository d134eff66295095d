"""DoReMi from domains to weights: the reference, its losses, the proxies, the rounds.

Each training is the one loop's, in a folder of its own, so a search that was stopped goes on
where it stood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from togi.data.domains import Domains
from togi.data.doremi import Clip, DoReMi, Floats, Loss
from togi.data.mixture import Mixture, normalised
from togi.data.mixture_trial import held_out_bits, train_on
from togi.data.proxy import Shape, new_proxy
from togi.data.reference_losses import with_losses
from togi.errors import DataError
from togi.stats import Estimate, bootstrap_mean, derive
from togi.train.config import TrainConfig
from togi.train.metrics import read_metrics

SETTLED = 1e-3
"""Rounds end when no weight moves by more than this (the paper's)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search is told.

    Attributes:
        training: of reference and proxies, for a seed.
        eta, smoothing, clip, loss: as `DoReMi` takes them.
        rounds: at most so many; each takes the last one's weights for its reference.
        seeds: proxies a round, whose weights are averaged.
    """

    shape: Shape
    training: Callable[[int], TrainConfig]
    eta: float = 1.0
    smoothing: float = 1e-3
    clip: Clip = "token"
    loss: Loss = "domains"
    rounds: int = 1
    seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round found.

    Attributes:
        reference: [domains] the weights that its reference was trained by.
        weights: [seeds, domains] each proxy's mean weights.
        reference_bits: [domains] held-out bits per byte of the reference.
        proxy_bits: [seeds, domains] of the proxies.
        excess: [seeds, domains] the mean excess of the last tenth of the steps, in nats a token.
        logs: the proxies' metrics.jsonl.
    """

    reference: Floats
    weights: Floats
    reference_bits: Floats
    proxy_bits: Floats
    excess: Floats
    logs: Sequence[Path] = field(default_factory=tuple)

    @property
    def average(self) -> Floats:
        """The weights, [domains], the mean over proxies."""
        return normalised(self.weights.mean(axis=0))

    @property
    def change(self) -> float:
        """The greatest change of a weight against the reference's."""
        return float(np.max(np.abs(self.average - normalised(self.reference))))

    def weight(self, number: int) -> Estimate:
        """Return a domain's weight; the interval is over proxies, unknown with one."""
        found = bootstrap_mean(self.weights[:, number].tolist())
        low, high = (float(np.clip(end, 0, 1)) for end in (found.low, found.high))
        return replace(found, low=low, high=high)


def search(
    domains: Domains,
    reference: Sequence[float] | Floats,
    asked: Search,
    *,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> list[Round]:
    """Return the rounds of a search; the last one's `average` is its answer.

    Args:
        reference: [domains] the weights that the first reference is trained by.

    Raises:
        DataError: a reference weight of 0, whose domain the reference would never see.
        Stopped: after Ctrl-C, with all that was done kept in the folder.
    """
    weights = normalised(reference)
    if (weights == 0).any():
        lost = [name for name, w in zip(domains.names, weights, strict=True) if w == 0]
        raise DataError("the reference would never see a domain", where="reference weights",
                        found=", ".join(lost), expected="more than 0")  # fmt: skip
    rounds: list[Round] = []
    for number in range(asked.rounds):
        place = folder / f"round-{number + 1}"
        done = _round(domains, weights, asked, seed=derive(seed, number), folder=place, say=say)
        rounds.append(done)
        weights = done.average
        if done.change < SETTLED:
            say(f"round {number + 1}: no weight moved by {SETTLED:g}, so it is the last")
            break
    return rounds


def _round(
    domains: Domains,
    reference: Floats,
    asked: Search,
    *,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> Round:
    k = len(domains.names)
    config = asked.training(derive(seed, "reference") >> 1)
    model = new_proxy(asked.shape, seed=config.seed)
    say("reference: trained on " + _said(domains.names, reference))
    train_on(model, domains, reference, config, folder / "reference", say)
    say(f"reference: the losses of {sum(domains.tokens):,} tokens, computed once and kept")
    known = replace(
        domains,
        train=tuple(with_losses(model, domains.train, folder, budget=config.micro_tokens)),
    )
    proxies = []
    for number in range(asked.seeds):
        own = asked.training(derive(seed, "proxy", number) >> 1)
        proxies.append(_proxy(known, asked, own, folder / f"proxy-{number + 1}", say))
    budget = config.micro_tokens
    return Round(
        reference=reference,
        weights=np.array([weights for weights, _, _ in proxies]),
        reference_bits=held_out_bits(model, domains.held_out, k, budget=budget),
        proxy_bits=np.array(
            [held_out_bits(proxy, domains.held_out, k, budget=budget) for _, proxy, _ in proxies]
        ),
        excess=np.array([_last_excess(log, domains.names) for _, _, log in proxies]),
        logs=tuple(log for _, _, log in proxies),
    )


def _proxy(
    domains: Domains, asked: Search, config: TrainConfig, folder: Path, say: Callable[[str], None]
) -> tuple[Floats, Any, Path]:
    """Train one proxy; returns its mean weights, the model, and its log."""
    from togi.train.loop import train

    objective = DoReMi(
        domains.names, eta=asked.eta, smoothing=asked.smoothing, clip=asked.clip, loss=asked.loss,
        micro_tokens=config.micro_tokens,
    )  # fmt: skip
    model = new_proxy(asked.shape, seed=config.seed)
    uniform = np.ones(len(domains.names))
    sampler = Mixture(domains.domain_of, uniform, batch=config.batch, seed=config.seed)
    train(model, objective, domains.train, config, folder, sampler=sampler, say=say)
    say("weights: " + _said(domains.names, objective.average))
    return objective.average, model, folder / "metrics.jsonl"


def _last_excess(log: Path, names: Sequence[str]) -> list[float]:
    lines = read_metrics(log)
    last = lines[-max(1, len(lines) // 10) :]
    seen = [[line[f"excess/{n}"] for line in last if f"excess/{n}" in line] for n in names]
    return [float(np.mean(values)) if values else float("nan") for values in seen]


def _said(names: Sequence[str], weights: Floats) -> str:
    return ", ".join(f"{name} {w:.3f}" for name, w in zip(names, weights, strict=True))
