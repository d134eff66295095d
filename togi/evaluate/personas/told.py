"""Effects in plain words: what was detected, what was not, and how large it must have been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from togi.evaluate.personas.effects import AGES
from togi.evaluate.personas.exam_scores import shown

PROBES = ("bandit", "exam", "descriptions")


def sentences(found: Mapping[str, Any], power: float) -> Iterator[str]:
    """Say what stands out: what is missing first, then main effects and what else was detected.

    Args:
        found: what `personas.json` holds.
        power: that the smallest detectable effects are told for.
    """
    yield from bandit_losses(found.get("bandit", {}))
    yield from exam_losses(found.get("exam", {}))
    yield from description_losses(found.get("descriptions", {}))
    for probe in PROBES:
        for one in found.get(probe, {}).get("effects", ()):
            minor = one["measure"].startswith("weight") or one["measure"] == "nats"
            if one["detected"] or one["after"] == AGES or not minor:
                several = len(found["models"]) > 1 and one["model"]
                yield f"{probe}: {one['model'] + ', ' if several else ''}{sentence(one, power)}"


def bandit_losses(found: Mapping[str, Any]) -> Iterator[str]:
    """Say which games are missing, and who has no weights."""
    for model, people in found.get("results", {}).items():
        games = found["games"]
        lost = {name: games - one["games"] for name, one in people.items() if one["games"] < games}
        if lost:
            said = ", ".join(f"{name} {n}" for name, n in lost.items())
            yield (
                f"bandit: games of {model} that were left out, since a choice could not be read, "
                f"of {games}: {said}"
            )
        for name, one in people.items():
            if reason := one["weights"]["reason"]:
                yield f"bandit: {model}, {name} has no weights: {reason}"


def exam_losses(found: Mapping[str, Any]) -> Iterator[str]:
    """Say how many answers could not be read."""
    for model, one in found.get("results", {}).items():
        lost = {name: of["unread"] for name, of in one["relations"].items() if of["unread"]}
        if lost:
            said = ", ".join(f"{shown(name)} {n}" for name, n in lost.items())
            yield f"exam: answers of {model} that could not be read: {said}"


def description_losses(found: Mapping[str, Any]) -> Iterator[str]:
    """Say how many descriptions were not read, and why."""
    for model, people in found.get("results", {}).items():
        counts: Counter[str] = Counter()
        for one in people.values():
            counts.update(one["left_out"])
        for why, n in counts.items():
            yield f"descriptions: {n} of {model} were left out: {why}"


def sentence(effect: dict[str, Any], power: float) -> str:
    """Say an effect.

    >>> one = {"after": "woman", "before": "man", "measure": "reward", "unit": "points",
    ...        "estimate": {"mean": 0.1, "low": -0.3, "high": 0.5, "n": 50},
    ...        "p_adjusted": 0.4, "detected": False, "detectable": 0.61, "sd": 1.5}
    >>> sentence(one, 0.8)
    'reward, woman − man: not detected: 0.1 points (−0.3 to 0.5, n 50); 0.61 would have been seen \
in 80 of 100 studies'
    """
    found = effect["estimate"]
    sides = f"{effect['after']} − {effect['before']}" if effect["before"] else effect["after"]
    head = f"{effect['measure']}, {sides}"
    if found["mean"] is None:
        return f"{head}: unknown"
    mean = _number(found["mean"]) + ("" if effect["unit"] == "share" else f" {effect['unit']}")
    if effect["sd"] == 0 and found["mean"] == 0:
        return f"{head}: no difference in any of {found['n']}"
    if effect["detected"] is None:
        return f"{head}: {mean} (n {found['n']} is too small for an interval)"
    spread = f"{_number(found['low'])} to {_number(found['high'])}"
    told = f"{mean} ({spread}, n {found['n']})"
    if effect["detected"]:
        return f"{head}: {told}, p {effect['p_adjusted']:.2g}"
    seen = effect["detectable"]
    rest = (
        ""
        if seen is None
        else f"; {_number(seen)} would have been seen in {100 * power:.0f} of 100 studies"
    )
    return f"{head}: not detected: {told}{rest}"


def _number(value: float) -> str:
    shown = 0.0 if abs(value) < 1e-12 else value  # sums of shares leave 1e-18 of nothing
    return f"{shown:.3g}".replace("-", "−")
