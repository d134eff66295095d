"""Older personas explore and exploit better: how reward and weights of a bandit move with age."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from togi.errors import DataError
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import known
from togi.stats.estimate import Estimate
from togi.step import StepRef, StepSettings, Work

NAME = "personas_explore"
BEST = 10 / math.sqrt(math.pi)
"Points a choice that knowing the better machine brings over a coin: 5.64."
AGES = "10 years of age"
WEIGHTS = {"V": "exploitation", "RU": "directed exploration", "V/TU": "random exploration"}
NONE = "none"


class Settings(StepSettings):
    """What the entry reads, and when a change counts as none."""

    personas: StepRef
    "The games of personas with ages, and of no persona."
    small: float = Field(default=0.05, gt=0, lt=1)
    "A change in ten years that is smaller counts as none: a share of what can be won, 5.64 points."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Read the games and write what was found; outputs `finding`."""
    path = Path(work.input(settings.personas, "personas"))
    return finding(orjson.loads(path.read_bytes()), small=settings.small).write(work.folder)


def finding(found: Mapping[str, Any], *, small: float = 0.05) -> Finding:
    """Return what the first model's games say of the claim.

    Args:
        found: what `personas.json` holds.
        small: share of what can be won that counts as no change.

    Raises:
        DataError: there are no games, or no two ages.
    """
    bandit = found.get("bandit") or {}
    model = next(iter(bandit.get("results") or {}), "")
    effects = {
        (one["measure"], one["after"], one["before"]): one
        for one in bandit.get("effects") or ()
        if one["model"] == model
    }
    if ("reward", AGES, "") not in effects:
        raise DataError(
            "personas of two ages or more must have played", where=NAME, found=model or "no games"
        )
    reward = effects["reward", AGES, ""]
    moved = {label: effects[f"weight of {name}", AGES, ""] for name, label in WEIGHTS.items()}
    called = (found["models"].get(model) or {}).get("name") or model
    shares = {name: known(one["best"]) for name, one in bandit["results"][model].items()}
    return Finding(
        name=NAME,
        holds=_holds(reward, moved, small * BEST),
        measured=_measured(reward, moved, shares, found["asked"]["power"]),
        estimates={
            "10 years: reward, points": known(reward["estimate"]),
            **{
                f"10 years: weight of {name}": known(moved[label]["estimate"])
                for name, label in WEIGHTS.items()
            },
            **{f"best share, {name}": one for name, one in shares.items()},
        },
        plots=_plots(bandit, model, effects),
        notes=[
            f"The paper has models of 13 billion parameters and more; this one is {called}. A"
            f" change within {small * BEST:.2g} points a choice in ten years, {100 * small:g} % of"
            " what knowing the better machine brings, counts as none.",
            "All personas play the same games with the same luck. A change counts as detected where"
            " its p-value, corrected for all that was asked, is at most"
            f" {found['asked']['alpha']:g} and its interval leaves zero out.",
        ],
        values={"detected": {"reward": reward["detected"], **_detected(moved)}},
    )


def _detected(moved: Mapping[str, Mapping[str, Any]]) -> dict[str, bool | None]:
    return {label: one["detected"] for label, one in moved.items()}


def _holds(reward: Mapping[str, Any], moved: Mapping[str, Mapping[str, Any]], none: float) -> Holds:
    """More reward, and less exploration or more exploitation; a change within `none` is none."""
    change = known(reward["estimate"])
    ways = [("exploitation", 1), ("directed exploration", -1), ("random exploration", -1)]
    along = any(
        moved[label]["detected"] and way * moved[label]["estimate"]["mean"] > 0
        for label, way in ways
    )
    if reward["detected"] and change.mean > 0 and along:
        return "holds"
    if (reward["detected"] and change.mean < 0) or (-none < change.low and change.high < none):
        return "does not hold here"
    return "cannot tell"


def _measured(
    reward: Mapping[str, Any],
    moved: Mapping[str, Mapping[str, Any]],
    shares: Mapping[str, Estimate],
    power: float,
) -> str:
    parts = [
        f"Ten years of age change the reward by {told(known(reward['estimate']), 2)} points a"
        f" choice: {_said(reward, power)}."
    ]
    weights = "; ".join(
        f"{label} by {told(known(one['estimate']), 2)}, {_said(one, power)}"
        for label, one in moved.items()
    )
    parts.append(f"The weights change: {weights}.")
    name = NONE if NONE in shares else next(iter(shares))
    who = "Without a persona" if name == NONE else f"As a {name}"
    coin = ", as by a coin" if shares[name].low <= 0.5 <= shares[name].high else ""
    parts.append(f"{who} the better machine is chosen in {told(shares[name], 2)} of choices{coin}.")
    return " ".join(parts)


def _said(effect: Mapping[str, Any], power: float) -> str:
    """Say whether a change was detected.

    >>> _said({"detected": False, "detectable": 0.31}, 0.8)
    'not detected (0.31 would have been seen in 80 of 100)'
    """
    if effect["detected"]:
        return "detected"
    seen = effect["detectable"]
    rest = "" if seen is None else f" ({seen:.2g} would have been seen in {100 * power:.0f} of 100)"
    return f"not detected{rest}"


def _plots(bandit: Mapping[str, Any], model: str, effects: Mapping[Any, Any]) -> list[Plot]:
    """Draw reward over no persona by age, and the weights by age."""
    aged = sorted((who["age"], who["name"]) for who in bandit["people"] if who["age"] is not None)
    results = bandit["results"][model]
    gains = [
        (float(age), known(effects["reward", name, NONE]["estimate"]))
        for age, name in aged
        if ("reward", name, NONE) in effects
    ]
    shares = [(float(age), known(results[name]["best"])) for age, name in aged]
    title, y, points = (
        ("Reward by age", "points a choice over no persona", gains)
        if gains
        else ("The better machine by age", "share of choices", shares)
    )
    x = "age of the persona, years"
    first = Plot(title=title, x=x, y=y, series={"persona": points}, kind="scatter")
    series = {
        label: [
            (float(age), known(results[person]["weights"]["estimates"][name]))
            for age, person in aged
        ]
        for name, label in WEIGHTS.items()
    }
    weights = Plot(title="Weights by age", x=x, y="probit weight", series=series, kind="scatter")
    return [first, weights]
