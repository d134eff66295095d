"""DPO on pairs that never contradict each other runs away from its reference; IPO stays.

In the enumerable world every pair is labelled by the higher reward, without chance. DPO's loss then
has no lowest point: each gap wants to be infinite, whatever beta is. IPO's best policy is known:
reference(y) exp(p(y) / beta) / Z, where p(y) is how often y wins against the reference's answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from togi.gallery.enumerable import World, divergence, pairs, train_dpo
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.stats import Estimate, bootstrap_mean
from togi.step import StepSettings, Work

Curve = list[tuple[int, float, float]]
"""(step, KL, mean gap) as `train_dpo` returns them."""

LOSSES = {"DPO": "sigmoid", "IPO": "ipo_sum"}
JUDGINGS = 24
LR = 1e-3


class Settings(StepSettings):
    """How long, and in how many worlds."""

    worlds: int = Field(default=8, ge=2)
    "Worlds of other rewards, reference policies and pairs."
    beta: float = Field(default=0.5, gt=0)
    "Strength of the tie to the reference."
    pairs: int = Field(default=2048, ge=64)
    "Pairs in one epoch."
    epochs: int = Field(default=48, ge=8)
    "Passes over the pairs."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train by both losses in every world, and write what was found."""
    curves: dict[str, list[Curve]] = {name: [] for name in LOSSES}
    known: list[float] = []
    for seed in range(settings.worlds):
        world = World(tokens=3, length=2, seed=work.seed * settings.worlds + seed)
        reference = world.log_probabilities(world.policy())
        known.append(divergence(ipo_optimum(reference, world.rewards, settings.beta), reference))
        drawn = pairs(world, reference, 2 * settings.pairs, seed=seed, sure=True)
        chosen = drawn[: settings.pairs]
        every = max(1, settings.epochs * len(chosen) // 64 // JUDGINGS)
        for name, loss in LOSSES.items():
            curve = train_dpo(
                world, world.policy(), work.folder / f"world-{seed}" / loss, chosen,
                beta=settings.beta, loss=loss, epochs=settings.epochs, schedule="constant", lr=LR,
                judge_every=every, seed=seed,
            )  # fmt: skip
            curves[name].append(curve)
            work.say(f"world {seed}, {name}: KL {curve[-1][1]:.3g} nats")
    return finding(curves, known, settings).write(work.folder)


def ipo_optimum(
    reference: NDArray[np.float64], rewards: NDArray[np.float64], beta: float
) -> NDArray[np.float64]:
    """Return the log-probabilities of IPO's best policy where the higher reward always wins.

    Source: Azar et al. 2023, equation 10 with a Psi that is the identity.

    >>> np.exp(ipo_optimum(np.log([0.5, 0.5]), np.array([1.0, 0.0]), 0.5)).round(4).tolist()
    [0.7311, 0.2689]
    """
    shares = np.exp(reference)
    wins = (np.sign(rewards[:, None] - rewards[None, :]) * shares).sum(1) / 2
    raised = reference + wins / beta
    return raised - np.logaddexp.reduce(raised)


def finding(curves: dict[str, list[Curve]], known: list[float], settings: Settings) -> Finding:
    """Return what the curves of the divergence say of the claim.

    Args:
        curves: by name of the loss, for each world, (step, KL, gap) in nats.
        known: for each world, the KL of IPO's best policy.
    """
    ends = {name: _over_worlds([_mean(c, len(c), 1) for c in of]) for name, of in curves.items()}
    gaps = {name: _over_worlds([_mean(c, len(c), 2) for c in of]) for name, of in curves.items()}
    growth = {name: _over_worlds([_growth(c) for c in of]) for name, of in curves.items()}
    off = _over_worlds(
        [_mean(c, len(c), 1) / best - 1 for c, best in zip(curves["IPO"], known, strict=True)]
    )
    return Finding(
        name="dpo_separable",
        holds=_holds(growth["DPO"], growth["IPO"], off),
        measured=(
            f"In {settings.epochs} epochs DPO drives better and worse answers {told(gaps['DPO'])}"
            f" nats apart, {_percent(growth['DPO'])} of it in the second half of the training; IPO"
            f" {told(gaps['IPO'])} nats, {_percent(growth['IPO'])} in the second half, and it ends"
            f" {_percent(off)} from the divergence of its known optimum."
        ),
        estimates={
            "gap of DPO's log-ratios at the end, nats": gaps["DPO"],
            "gap of IPO's log-ratios at the end, nats": gaps["IPO"],
            "share of DPO's gap that its second half adds": growth["DPO"],
            "share of IPO's gap that its second half adds": growth["IPO"],
            "KL of DPO at the end, nats": ends["DPO"],
            "KL of IPO at the end, nats": ends["IPO"],
            "IPO's KL against its optimum's, share": off,
        },
        plots=[
            _plot("How far better and worse answers are driven apart", "gap, nats", 2, curves),
            _plot("How far from the reference", "KL, nats", 1, curves, known=known),
        ],
        notes=[
            f"{settings.worlds} worlds of 9 answers, beta {settings.beta:g}, constant learning"
            " rate. What DPO reaches depends on how long it is trained, not on beta alone: where"
            " pairs never contradict, stop early or take cdpo or ipo.",
            "The divergence of DPO ends at the surprise of the best answer, because more cannot be"
            " lost; the gap goes on.",
        ],
    )


def _over_worlds(values: list[float]) -> Estimate:
    return bootstrap_mean(values, method="studentised")


def _growth(curve: Curve) -> float:
    """Return which share of the last gap was added in the second half of the training."""
    return 1 - _mean(curve, len(curve) // 2 + 1, 2) / _mean(curve, len(curve), 2)


def _mean(curve: Curve, end: int, place: int) -> float:
    """Return the mean of the three judgings before `end`: single ones shake with the last pairs."""
    return float(np.mean([one[place] for one in curve[max(0, end - 3) : end]]))


def _holds(dpo: Estimate, ipo: Estimate, off: Estimate) -> Holds:
    """DPO's gap still grows by a tenth and more, IPO's does not, and IPO is where it belongs."""
    near = max(abs(off.low), abs(off.high)) < 0.2
    if dpo.low > 0.1 and ipo.high < 0.1 and near:
        return "holds"
    if dpo.high < 0.1 or ipo.low > 0.1 or off.low > 0.2 or off.high < -0.2:
        return "does not hold here"
    return "cannot tell"


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:.2g} % ({100 * found.low:.2g} to {100 * found.high:.2g})"


def _plot(
    title: str, y: str, place: int, curves: dict[str, list[Curve]], known: list[float] | None = None
) -> Plot:
    series: dict[str, Any] = {}
    for name, of in curves.items():
        series[name] = [
            (float(at[0][0]), _over_worlds([one[place] for one in at]))
            for at in zip(*of, strict=True)
        ]
    if known is not None:
        steps = (curves["IPO"][0][0][0], curves["IPO"][0][-1][0])
        series["IPO's known optimum"] = [(float(s), float(np.mean(known))) for s in steps]
    return Plot(title=title, x="step", y=y, series=series)
