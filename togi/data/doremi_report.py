"""What a search for domain weights tells: the file `doremi.json`, which the report shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from togi.data.domains import Domains
from togi.data.doremi_search import SETTLED, Round
from togi.train.metrics import read_metrics

DRAWN = 100  # points of a drawn line
ONE_HOT = 0.9
"""A weight above it is the sign of steps too large or batches too small."""


def about(domains: Domains, rounds: Sequence[Round], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values for JSON; unknown numbers are None."""
    last = rounds[-1]
    return {
        "settings": dict(settings),
        "domains": [_domain(domains, last, number) for number in range(len(domains.names))],
        "rounds": [
            {
                "change": done.change,
                "weights": dict(zip(domains.names, done.average.tolist(), strict=True)),
            }
            for done in rounds
        ],
        "path": _path(last, domains.names),
        "warnings": warnings(domains.names, rounds),
    }


def _domain(domains: Domains, last: Round, number: int) -> dict[str, Any]:
    before, after = float(last.reference[number]), float(last.average[number])
    return {
        "domain": domains.names[number],
        "tokens": domains.tokens[number],
        "reference_weight": before,
        "weight": last.weight(number).as_dict(),
        "ratio": after / before,
        "excess": _plain(float(np.mean(last.excess[:, number]))),
        "reference_bits": _plain(float(last.reference_bits[number])),
        "proxy_bits": _plain(float(np.mean(last.proxy_bits[:, number]))),
    }


def _path(last: Round, names: Sequence[str]) -> dict[str, list[list[float]]]:
    """Return the way of the first proxy's weights: domain -> [step, weight]."""
    lines = [line for line in read_metrics(last.logs[0]) if "alpha_entropy" in line]
    some = lines[:: max(1, len(lines) // DRAWN)]
    return {name: [[line["step"], line[f"alpha/{name}"]] for line in some] for name in names}


def warnings(names: Sequence[str], rounds: Sequence[Round]) -> list[str]:
    """Return what a user should know before the weights are used."""
    last, found = rounds[-1], []
    top = int(np.argmax(last.average))
    if last.average[top] > ONE_HOT:
        found.append(
            f"nearly all weight lies on '{names[top]}' ({last.average[top]:.2f}): lower eta (try "
            "0.1), or take larger batches or more steps"
        )
    if len(rounds) > 1 and last.change >= SETTLED:
        found.append(f"the weights still moved by {last.change:.3f} in the last round")
    if len(last.weights) == 1:
        found.append("one proxy tells no interval of the weights: `seeds: 3` does")
    return found


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
