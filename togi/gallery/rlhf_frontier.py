"""PPO, DPO and best-of-n against the known frontier of reward and divergence; over-optimisation.

In the enumerable world the highest reward that any policy can have at a given divergence is known,
so each method's shortfall is a number, not a matter of which curve looks higher. The same two
methods then learn a small real task, where nothing is known but what is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from togi.gallery.enumerable import (
    World,
    divergence,
    expected,
    optimum,
    pairs,
    train_dpo,
    train_ppo,
)
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import known
from togi.stats import Estimate, bootstrap_mean
from togi.stats.rng import stream
from togi.step import StepRef, StepSettings, Work

BETAS = (1.0, 0.5, 0.25, 0.125)
DRAWN = (1, 2, 4, 8, 16, 32, 64)
GRID = np.geomspace(8, 0.04, 24)
Vector = NDArray[np.float64]


class Settings(StepSettings):
    """What the entry reads, and in how many worlds it plays."""

    changes: StepRef | None = None
    "An `evaluate.changes` step of models tuned by PPO and DPO on the reward `sentence`."
    worlds: int = Field(default=5, ge=2)
    "Worlds of other rewards and reference policies."
    rounds: int = Field(default=40, ge=1)
    "PPO's rounds of 128 answers."
    pairs: int = Field(default=3000, ge=64)
    "DPO's pairs, labelled by chance as Bradley and Terry say."


class Policy(NamedTuple):
    """One policy in one world: how far from the reference, its reward, what it could have had."""

    kl: float
    reward: float
    best: float


class Played(NamedTuple):
    """What one world gave: policies by method and beta, best of n, and the wrong reward's course.

    `wrong` are policies of PPO on a reward with errors, by falling beta, told by the true reward;
    `wrong_optimum` is the same for the known best policies of the wrong reward.
    """

    ppo: list[Policy]
    dpo: list[Policy]
    best_of: list[Policy]
    wrong: list[Policy]
    wrong_optimum: list[Policy]


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Play the worlds, read what the real task gave, and write what was found."""
    played = []
    for number in range(settings.worlds):
        work.say(f"world {number + 1} of {settings.worlds}")
        played.append(play(number, settings, work))
    real = None
    if settings.changes is not None:
        real = read_real(Path(work.input(settings.changes, "changes")).parent)
    return finding(played, real).write(work.folder)


def play(number: int, settings: Settings, work: Work) -> Played:
    """Train both methods at every beta in one world, and PPO on a reward with errors."""
    world = World(tokens=3, length=3, seed=work.seed * settings.worlds + number)
    reference, rewards = world.log_probabilities(world.policy()), world.rewards
    chosen = pairs(world, reference, settings.pairs, seed=number)
    noise = stream(number, "errors of the reward").standard_normal(len(rewards))
    proxy = rewards + noise

    def at(policy: Vector) -> Policy:
        kl = divergence(policy, reference)
        return Policy(kl, expected(policy, rewards), frontier(reference, rewards, kl))

    def trained(name: str, beta: float, table: Vector | None = None) -> Policy:
        model, folder = world.policy(), work.folder / f"world-{number}" / f"{name}-{beta:g}"
        if name == "dpo":
            train_dpo(world, model, folder, chosen, beta=beta, seed=number)
        else:
            train_ppo(
                world, model, folder, beta=beta, rounds=settings.rounds, table=table, seed=number
            )
        return at(world.log_probabilities(model))

    return Played(
        ppo=[trained("ppo", beta) for beta in BETAS],
        dpo=[trained("dpo", beta) for beta in BETAS],
        best_of=[at(best_of(reference, rewards, n)) for n in DRAWN],
        wrong=[trained("ppo-wrong", beta, proxy) for beta in BETAS],
        wrong_optimum=[at(optimum(reference, proxy, beta)[0]) for beta in GRID],
    )


def best_of(reference: Vector, rewards: Vector, n: int) -> Vector:
    """Return the log-probabilities of the best of n draws from the reference.

    >>> np.exp(best_of(np.log([0.5, 0.5]), np.array([0.0, 1.0]), 2)).round(4).tolist()
    [0.25, 0.75]
    """
    order = np.argsort(rewards)
    below = np.concatenate([[0.0], np.cumsum(np.exp(reference)[order])])
    found = np.empty_like(reference)
    found[order] = np.log(np.maximum(np.diff((below / below[-1]) ** n), 1e-300))
    return found


def frontier(reference: Vector, rewards: Vector, kl: float) -> float:
    """Return the highest expected reward of any policy that is `kl` nats from the reference.

    >>> round(frontier(np.log([0.5, 0.5]), np.array([1.0, 0.0]), np.log(2)), 3)
    1.0
    """
    low, high = 1e-3, 1e3
    for _ in range(60):
        beta = (low * high) ** 0.5
        further = divergence(optimum(reference, rewards, beta)[0], reference) > kl
        low, high = (beta, high) if further else (low, beta)
    return expected(optimum(reference, rewards, (low * high) ** 0.5)[0], rewards)


class Real(NamedTuple):
    """What the small real task gave: by model, divergence in nats an answer, and reward."""

    kl: dict[str, Estimate]
    reward: dict[str, Estimate]


def read_real(folder: Path) -> Real:
    """Read what an `evaluate.changes` step measured, and reward the answers it kept."""
    import orjson

    from togi.align.rewards import Answer, sentence

    told = orjson.loads((folder / "changes.json").read_bytes())
    lines = map(orjson.loads, (folder / "samples.jsonl").read_bytes().splitlines())
    rewards: dict[str, list[tuple[float, str]]] = {}
    for line in lines:
        if line["task"] == "answers":
            answer = Answer(
                id=line["id"], prompt="", text=line["answer"], ids=(), start=0, metadata={}
            )
            rewards.setdefault(line["model"], []).append((sentence(answer), line["cluster"]))
    return Real(
        kl={name: known(one["kl_answer"]) for name, one in told["kl"].items()},
        reward={
            name: bootstrap_mean([r for r, _ in of], clusters=[c for _, c in of])
            for name, of in rewards.items()
        },
    )


def finding(played: list[Played], real: Real | None) -> Finding:
    """Return what the worlds and the real task say of the claim."""
    lost = {
        name: _over([[p.best - p.reward for p in of] for of in policies])
        for name, policies in (
            ("PPO", [one.ppo for one in played]),
            ("DPO", [one.dpo for one in played]),
            ("best of n", [one.best_of[1:] for one in played]),
        )
    }
    gain = _over(
        [[(a.best - a.reward) - (b.best - b.reward) for a, b in zip(one.ppo, one.dpo, strict=True)]
         for one in played]
    )  # fmt: skip
    fall = _over([[max(p.reward for p in one.wrong) - one.wrong[-1].reward] for one in played])
    estimates = {f"reward below the frontier, {name}": found for name, found in lost.items()}
    estimates["PPO's shortfall minus DPO's"] = gain
    estimates["true reward lost to the wrong one, from its peak"] = fall
    more = "" if real is None else _real_words(real)
    if real is not None:
        for name in real.kl:
            estimates[f"real task, KL of {name}, nats an answer"] = real.kl[name]
        for name in real.reward:
            estimates[f"real task, reward of {name}"] = real.reward[name]
    return Finding(
        name="rlhf_frontier",
        holds=_holds(gain),
        measured=(
            f"Where the frontier is known, PPO ends {told(lost['PPO'])} of reward below it, DPO"
            f" {told(lost['DPO'])}, best of n {told(lost['best of n'])}; PPO on a reward with"
            f" errors loses {told(fall)} of true reward from its peak.{more}"
        ),
        estimates=estimates,
        plots=[_frontier_plot(played[0]), _wrong_plot(played), *_real_plots(real)],
        notes=[
            "The paper's comparison is of one PPO and one DPO on sentiment; here each is trained at"
            f" beta {', '.join(f'{beta:g}' for beta in BETAS)} in {len(played)} worlds of 27"
            " answers. PPO sees the true reward of fresh answers, DPO a fixed set of pairs"
            " labelled by chance, so DPO's shortfall is what its finite labels cost.",
            "The divergence of the best of n is below log n - (n - 1) / n, its value where answers"
            " are endless.",
        ],
        values={"betas": list(BETAS), "n": list(DRAWN)},
    )


def _over(values: list[list[float]]) -> Estimate:
    """Return the mean over all, whole worlds resampled."""
    flat = [value for one in values for value in one]
    worlds = [number for number, one in enumerate(values) for _ in one]
    return bootstrap_mean(flat, clusters=worlds, method="studentised")


def _holds(gain: Estimate) -> Holds:
    """DPO's frontier is the better one where PPO's shortfall is surely larger."""
    if gain.low > 0:
        return "holds"
    return "does not hold here" if gain.high < 0 else "cannot tell"


def _real_words(real: Real) -> str:
    said = [f"{name} {told(real.reward[name])} at {told(real.kl[name])} nats" for name in real.kl]
    base = next(name for name in real.reward if name not in real.kl)
    return f" On the real task the reward rises from {told(real.reward[base])}: {'; '.join(said)}."


def _frontier_plot(one: Played) -> Plot:
    course = sorted(
        (p.kl, p.best) for of in (one.ppo, one.dpo, one.best_of, one.wrong_optimum) for p in of
    )
    farthest = 1.1 * max(p.kl for p in (*one.ppo, *one.dpo))
    series: dict[str, Any] = {"frontier": [(kl, best) for kl, best in course if kl <= farthest]}
    for name, of in (("PPO", one.ppo), ("DPO", one.dpo), ("best of n", one.best_of)):
        series[name] = [(p.kl, p.reward) for p in of if p.kl <= farthest]
    return Plot(
        title="Reward against divergence, one world", x="KL, nats", y="expected reward",
        series=series,
    )  # fmt: skip


def _wrong_plot(played: list[Played]) -> Plot:
    def mean(of: list[list[Policy]], part: str) -> list[Any]:
        return [
            (float(np.mean([p.kl for p in at])), _over([[getattr(p, part)] for p in at]))
            for at in zip(*of, strict=True)
        ]

    return Plot(
        title="A reward with errors is over-optimised", x="KL, nats", y="true reward",
        series={
            "best policy of the wrong reward": mean([o.wrong_optimum for o in played], "reward"),
            "PPO on the wrong reward": mean([o.wrong for o in played], "reward"),
            "the most that could be had": mean([o.wrong_optimum for o in played], "best"),
        },
    )  # fmt: skip


def _real_plots(real: Real | None) -> list[Plot]:
    if real is None:
        return []
    series: dict[str, Any] = {name: [(real.kl[name].mean, real.reward[name])] for name in real.kl}
    base = next(name for name in real.reward if name not in real.kl)
    return [
        Plot(
            title="The real task", x="KL, nats an answer", y="reward", kind="scatter",
            series={base: [(0.0, real.reward[base])], **series},
        )
    ]  # fmt: skip
