"""A whole study of repeated data, as plain values: fit, valley, forms, worth of epochs, plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from togi.data.law_numbers import clean, told
from togi.data.repeated import (
    C4_LAW,
    ENDLESS,
    PUBLISHED,
    WHOLE,
    Decay,
    repeated_loss,
    worth,
)
from togi.data.repeated_fit import DecayFit, fit_decays, refuse
from togi.data.repeated_forms import compare
from togi.data.repeated_measured import BANDS, FRESH, measured_excess, r_squared, rises
from togi.data.repeated_plan import Known, decays_told, given, known_of, mixture, plan, worths
from togi.data.repeated_presets import Law, ended, preset, whole_draws
from togi.data.scaling import points_of
from togi.data.scaling_checks import refuse as refuse_law
from togi.data.scaling_fit import CHI2, DELTA, Fit, fit
from togi.data.scaling_optimal import DRAWS
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats
from togi.errors import DataError

MOST_FAMILIES = 6
LEAST_FAMILY = 4
LEAST_WHOLE = 12
FEW_GROUPS = 8
CURVE = 41
Together = Literal["params", "unique_tokens", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked.

    Attributes:
        law: "c4", the paper's law of fresh data held fixed, or "whole", all fitted to the runs.
        base: another law of fresh data to hold fixed, such as a scaling study's.
        unique: unique tokens that there are.
        flops: a budget to split.
        params: of a plan to judge, with `tokens`.
        tokens: of that plan, or of a mixture.
        domains: name -> (unique tokens, share) of a mixture.
        together: which runs are resampled together.
        draws: bootstrap resamples.
        level: of the intervals.
        delta: of the Huber loss.
        seed: of the draws.
    """

    law: Law = "c4"
    base: Floats | None = None
    unique: float | None = None
    flops: float | None = None
    params: float | None = None
    tokens: float | None = None
    domains: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    together: Together = "params"
    draws: int = DRAWS
    level: float = 0.95
    delta: float = DELTA
    seed: int = 0


def study(runs: Runs | None, asked: Wanted) -> dict[str, Any]:
    """Fit where there are runs, and answer; what is returned is ready for JSON.

    Raises:
        DataError: the runs tell nothing of repeats.
        UsageError: numbers that make no sense.
    """
    found: dict[str, Any] = {"law": asked.law}
    if runs is None:
        known = preset(asked.law, asked.level)
    else:
        known, found["fit"], curves = _fitted(runs, asked)
        found["curves"] = curves
    found |= {"theta": known.theta, "decay": decays_told(known), "worth": worths(known)}
    found["level"], found["warnings"] = asked.level, []
    if asked.unique and asked.flops:
        found["plan"] = plan(known, asked.flops, asked.unique)
    if asked.unique and asked.params and asked.tokens:
        found["given"] = given(known, asked.params, asked.tokens, asked.unique)
    if asked.domains and asked.tokens:
        found["mixture"] = mixture(known, asked.tokens, asked.domains)
    for part in ("plan", "given"):
        found["warnings"] += found.get(part, {}).pop("warnings", [])
    found["warnings"] += found.get("fit", {}).pop("warnings", [])
    found.setdefault("curves", {})["worth"] = _worth_curve(known)
    found["notes"] = list(runs.notes) if runs is not None else []
    return clean(found)


def groups_of(runs: Runs, together: Together) -> np.ndarray:
    """Return the labels of runs that are resampled together."""
    columns = {"params": runs.params, "unique_tokens": runs.unique}
    return columns.get(together, np.arange(len(runs), dtype=float))


def _fitted(runs: Runs, asked: Wanted) -> tuple[Known, dict[str, Any], dict[str, Any]]:
    refuse(runs)
    base = C4_LAW if asked.base is None else asked.base
    groups = groups_of(runs, asked.together)
    decays = fit_decays(
        runs, base, delta=asked.delta, draws=asked.draws, seed=asked.seed, groups=groups
    )
    known = known_of(base, decays.decay, Decay(*decays.draws.T), n=decays.n, level=asked.level)
    whole = _whole(runs, asked)
    if asked.law == "whole" and whole is not None:
        drawn = whole_draws(runs, whole, asked.draws, asked.seed, groups)
        decay = Decay(*ended(np.exp(whole.theta[5:])).tolist())
        laws, rates = drawn[:, :5], Decay(*drawn[:, 5:].T)
        known = known_of(whole.theta[:5], decay, rates, laws, n=decays.n, level=asked.level)
    forms = compare(
        runs, base, whole, groups=groups, delta=asked.delta, seed=asked.seed, level=asked.level
    )
    told_fit = _fit_told(runs, base, decays, known, asked) | {"forms": forms}
    told_fit["warnings"] += _better(forms, asked.law)
    return known, told_fit, _fit_curves(runs, known, decays, whole)


def _whole(runs: Runs, asked: Wanted) -> Fit | None:
    """Fit all seven parameters where the runs can bear it, for comparison.

    Raises:
        DataError: they cannot, and it was asked for.
    """
    try:
        refuse_law(runs)
        if len(runs) < LEAST_WHOLE:
            raise DataError(
                "too few runs to fit the whole law of repeated data",
                found=f"{len(runs)} runs",
                expected=f"at least {LEAST_WHOLE}: it has seven parameters",
            )
    except DataError:
        if asked.law == "whole":
            raise
        return None
    return fit(points_of(runs), WHOLE, delta=asked.delta)


def _better(forms: list[dict[str, Any]], law: str) -> list[str]:
    """Say where the whole law predicts held-out runs better than the one with a law held fixed."""
    both, last = forms[0], forms[-1]
    high = last["against_both"]["high"]
    if law == "whole" or last["form"] != "whole" or high is None or high >= 0:
        return []
    return [
        f"the law of fresh data that is held fixed misses runs left out by {both['error']:.1%},"
        f" one fitted to these runs by {last['error']:.1%}: set law=whole"
    ]


def _fit_told(
    runs: Runs, base: Floats, decays: DecayFit, known: Known, asked: Wanted
) -> dict[str, Any]:
    def explained(decay: Decay, theta: Floats) -> float:
        predicted = repeated_loss(theta, decay, runs.params, runs.tokens, runs.unique)
        return r_squared(runs, predicted)

    rising = [asdict(rise) for rise in rises(runs)]
    excess = [
        {"from": low, "to": high, "pairs": found.pairs, "ratio": told(found.ratio)}
        for low, high in BANDS
        if (found := measured_excess(runs, low, high, asked.seed)).pairs
    ]
    return {
        "n": len(runs),
        "groups": decays.n,
        "together": asked.together,
        "repeated": int((runs.tokens > FRESH * runs.unique).sum()),
        "objective": decays.objective,
        "r_squared": explained(known.decay, known.theta),
        "r_squared_published": explained(PUBLISHED, base),
        "minima": [
            {"tokens": decay.tokens, "params": decay.params, "objective": value}
            for decay, value in ((decays.decay, decays.objective), *decays.minima)
        ],
        "measured": excess,
        "rising": rising,
        "warnings": [*_few(decays, asked), *_valley(decays), *_rising(rising)],
    }


def _few(decays: DecayFit, asked: Wanted) -> list[str]:
    if decays.n >= FEW_GROUPS:
        return []
    return [
        f"the intervals rest on {decays.n} groups of runs, drawn whole by {asked.together}: too few"
        " to trust; set together=run if runs of one group err independently"
    ]


def _valley(decays: DecayFit) -> list[str]:
    """Say how wide the valley is, where it is."""
    inside = decays.profile[decays.profile[:, 3] <= CHI2, 0]
    if not len(inside):  # the valley is narrower than the grid's steps
        return []
    low, high = float(inside.min()), float(inside.max())
    if high < 10 * low:
        return []
    far = "no decay at all" if high >= ENDLESS else f"{high:.3g}"
    edge = decays.profile[decays.profile[:, 0] >= low, 2]
    rise = float(edge.max() / decays.objective - 1)
    return [
        f"the runs hardly tell R_D*: from {low:.3g} to {far} the fit worsens by at most {rise:.1%}"
        " with this law of fresh data; use the interval, not the number"
    ]


def _rising(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    first = min(found, key=lambda rise: rise["epochs"])
    return [
        f"in {len(found)} families of runs the loss rose again with further epochs, the earliest"
        f" after {first['epochs']:.3g}: no law of this form can show that"
    ]


def _worth_curve(known: Known) -> list[dict[str, Any]]:
    return [
        {"epochs": k, "worth": known.told(worth(k, known.decay.tokens),
                                          worth(k, known.decay_draws.tokens))}
        for k in np.geomspace(1, 100, CURVE)
    ]  # fmt: skip


def _fit_curves(runs: Runs, known: Known, decays: DecayFit, whole: Fit | None) -> dict[str, Any]:
    def law(params: Floats | float, tokens: Floats, unique: Floats | float) -> Floats:
        return repeated_loss(known.theta, known.decay, params, tokens, unique)

    predicted = law(runs.params, runs.tokens, runs.unique)
    families = sorted(_families(runs), key=len, reverse=True)[:MOST_FAMILIES]
    told_each = []
    for family in families:
        part = runs.take(family[np.argsort(runs.tokens[family], kind="stable")])
        params, unique = float(part.params[0]), float(part.unique[0])
        along = np.geomspace(part.tokens.min(), part.tokens.max(), CURVE)
        told_each.append(
            {
                "params": params,
                "unique": unique,
                "runs": np.stack([part.tokens / unique, part.loss], axis=1),
                "law": np.stack([along / unique, law(params, along, unique)], axis=1),
            }
        )
    return {
        "valley": {
            "values": decays.profile,
            "limit": CHI2,
            "published": PUBLISHED.tokens,
            "whole": None if whole is None else float(np.exp(whole.theta[5])),
        },
        "predicted": np.stack([runs.loss, predicted], axis=1),
        "families": told_each,
    }


def _families(runs: Runs) -> list[np.ndarray]:
    """Return places of runs of one size on the same unique tokens, where there are enough."""
    pairs = np.stack([runs.params, runs.unique], axis=1)
    _, member = np.unique(pairs, axis=0, return_inverse=True)
    member = member.ravel()
    found = [np.flatnonzero(member == label) for label in range(int(member.max()) + 1)]
    return [family for family in found if len(family) >= LEAST_FAMILY]
