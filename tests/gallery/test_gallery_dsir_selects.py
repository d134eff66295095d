"""The entry on choosing data: what it finds, when the claim holds, and its recipe."""

from __future__ import annotations

import numpy as np
import pytest

from togi.data.render import Renderer
from togi.gallery.dsir_selects import WAYS, bag_of, finding, reductions_of
from togi.rows.types import Example
from togi.stats import Estimate


class Given:
    """A judging with known differences; bits per byte fall where a tuning gains."""

    def __init__(self, chance: Estimate, filtered: Estimate) -> None:
        self.told = {("dsir", "random"): chance, ("dsir", "classifier"): filtered}

    def difference(self, after: str, before: str, task: str) -> Estimate:
        assert task == "docstrings"
        return self.told.get((after, before), Estimate(-0.2, -0.3, -0.1, 9))


def bits(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 9)


@pytest.mark.parametrize(
    ("chance", "filtered", "holds"),
    [
        (bits(-0.3, -0.1), bits(-0.2, -0.1), "holds"),
        (bits(-0.3, -0.1), bits(-0.2, 0.1), "cannot tell"),
        (bits(-0.3, -0.1), bits(0.1, 0.2), "does not hold here"),
        (bits(0.1, 0.2), bits(-0.2, -0.1), "does not hold here"),
    ],
)
def test_the_claim_holds_where_both_are_surely_beaten(chance, filtered, holds) -> None:
    found = finding(Given(chance, filtered), dict.fromkeys(WAYS, 0.5))  # type: ignore[arg-type]
    assert found.holds == holds
    gain = found.estimates["gain of DSIR over random rows, bits per byte"]
    assert (gain.mean, gain.low, gain.high) == (-chance.mean, -chance.high, -chance.low)
    assert "bits per byte of the held-out target" in found.measured


def test_a_pick_like_the_target_reduces_the_divergence_more() -> None:
    def rows(text: str) -> list[Example]:
        return [Example(id="1", prompt="never seen", response=text)]

    render = Renderer("{response}", "x")
    pool, target = (bag_of(rows(t), render) for t in ("a b c d e f" * 9, "a b a b a b" * 9))
    same = reductions_of(pool, target, {"target": target, "pool": pool})
    assert same["target"] > same["pool"]
    assert np.isclose(bag_of(rows("a b"), render).sum(), 2)  # words only, and of the answer only
