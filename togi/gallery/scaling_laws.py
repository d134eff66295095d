"""Chinchilla's claim refitted: parameters and tokens in equal proportion, about 20 tokens each.

The runs are the 245 that Besiroglu et al. 2024 (arXiv 2404.10102) read off the paper's figure 4.
Without `source` the refits that come with togi speak; with it they are made anew from the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from togi.data.law_numbers import estimate
from togi.data.scaling import exponents, optimum
from togi.data.scaling_optimal import Fitted, split
from togi.data.scaling_presets import EXACT, PRINTED, fitted_of, kept, record
from togi.data.scaling_runs import read_runs
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.stats.estimate import Estimate
from togi.step import StepSettings, Work

BUDGET = 5.76e23  # what Gopher cost, and Chinchilla after it
EQUAL, NEAR = 0.5, 0.1  # equal proportion: the exponent within a tenth of one half


class Settings(StepSettings):
    """What the entry reads."""

    source: str = ""
    """The public table `svg_extracted_data.csv` of the replication's repository
    (epoch-research/analyzing-chinchilla on GitHub); empty takes the refits that come with togi."""


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Refit the law and write what was found."""
    if settings.source:
        entry = record(read_runs(settings.source, drop_highest=5), seed=work.seed)
    else:
        entry = kept()
    return finding(entry, refitted=bool(settings.source)).write(work.folder)


def finding(entry: dict[str, Any], *, refitted: bool = False) -> Finding:
    """Return what a record of the refits says of the claim."""
    found = fitted_of(entry)
    power = estimate(float(exponents(found.theta)), exponents(found.draws), found.n)
    best = split(found, BUDGET)
    alpha = estimate(float(found.theta[3]), found.draws[:, 3], found.n)
    beta = estimate(float(found.theta[4]), found.draws[:, 4], found.n)
    ratios = {name: _ratio(theta, BUDGET) for name, theta in PRINTED.items()}
    printed = " and ".join(f"{value:.0f} {name}" for name, value in ratios.items())
    profile, lost = entry["isoflop_exponent"], entry["lost"][EXACT]
    return Finding(
        name="scaling_laws",
        holds=_holds(power),
        measured=(
            f"Refitted to {found.n} public runs, the best number of parameters grows as compute to"
            f" the power {told(power)}, IsoFLOP profiles say {profile['mean']:.3g}"
            f" ({profile['low']:.3g} to {profile['high']:.3g}); at 5.76e23 FLOPs that is"
            f" {told(best.ratio)} tokens for each parameter."
        ),
        estimates={
            "exponent of parameters in compute": power,
            "α": alpha,
            "β": beta,
            "E, nats": estimate(float(np.exp(found.theta[2])), np.exp(found.draws[:, 2]), found.n),
        },
        plots=[_over_compute(found), _region(found)],
        notes=[
            f"The constants of the paper's third approach ask for other tokens a parameter"
            f" ({printed}) than its other two approaches; those in its source lose {lost:.0f} in"
            " twice the log-likelihood against the refit (5 degrees of freedom, p about 1e-16).",
            "5.76e23 FLOPs lie 1.6 decades beyond the dearest run: the interval also covers the"
            " law with α = β; the rule of 20 is inside, and so are 10 and 30.",
            "The losses were read off a figure, where colours quantise them; the five highest are"
            " left out.",
            ""
            if refitted
            else "From the refits that come with togi; --set source=FILE makes them anew.",
        ],
        values={"budget": BUDGET, "printed_ratios": ratios, "lost": entry["lost"]},
    )


def _holds(power: Estimate) -> Holds:
    """Equal proportion holds where the whole interval is near one half."""
    if power.low > EQUAL - NEAR and power.high < EQUAL + NEAR:
        return "holds"
    outside = power.high < EQUAL - NEAR or power.low > EQUAL + NEAR
    return "does not hold here" if outside else "cannot tell"


def _ratio(theta: np.ndarray, flops: float) -> float:
    n, d = optimum(theta, flops)
    return float(d / n)


def _over_compute(found: Fitted) -> Plot:
    work = [float(flops) for flops in np.geomspace(1e19, 1e25, 13)]
    series: dict[str, Any] = {"refit": [(flops, split(found, flops).ratio) for flops in work]}
    for name, theta in PRINTED.items():
        series[name] = [(flops, _ratio(theta, flops)) for flops in work]
    return Plot(
        title="Best tokens for each parameter", x="training FLOPs", y="tokens a parameter",
        series=series, log_x=True, log_y=True,
    )  # fmt: skip


def _region(found: Fitted) -> Plot:
    series: dict[str, Any] = {
        "refits to resamples": [(float(a), float(b)) for a, b in found.draws[:, 3:]],
        "refit": [(float(found.theta[3]), float(found.theta[4]))],
    }
    for name, theta in PRINTED.items():
        series[name] = [(float(theta[3]), float(theta[4]))]
    return Plot(
        title="Where the exponents may lie", x="α, of parameters", y="β, of tokens",
        series=series, kind="scatter",
    )  # fmt: skip
