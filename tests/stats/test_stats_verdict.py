"""The verdict: each branch of the rule, Holm by hand, words, and how much more to collect."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest

from togi.errors import UsageError
from togi.stats import (
    Estimate,
    Gate,
    Paired,
    decide,
    guard,
    holm,
    non_inferior,
    paired_difference,
    stream,
)
from togi.stats.bounds import student_bounds, unknown_bounds
from togi.stats.gate import find


def made(mean: float, se: float, n: int = 101, dropped: int = 0) -> Paired:
    """A difference with Student's intervals, so that all can be worked out by hand."""
    bounds = partial(student_bounds, value=mean, se=se, df=n - 1)
    estimate = Estimate(mean, *bounds(0.05), n)
    return Paired(estimate, math.nan, "made", n, dropped, se * math.sqrt(n), bounds)


def primary(mean: float, se: float, **kwargs) -> Gate:
    return Gate(name="bits per byte", paired=made(mean, se), higher_is_better=False, **kwargs)


def held(mean: float, se: float, margin: float = 0.02, name: str = "choice") -> Gate:
    return guard(name, made(mean, se), margin=margin, higher_is_better=True)


GOOD = held(0.0, 0.004)  # −.02 is five standard errors away


# ---- the rule, branch by branch


def test_improved_and_held_is_accept():
    found = decide(primary(-0.28, 0.014), [GOOD, held(0.01, 0.005, name="text")])
    assert found.decision == "accept"
    assert found.collect_more == 0
    assert [f.status for f in (found.primary, *found.guards)] == ["improved", "held", "held"]
    assert found.sentence.startswith("Accept: bits per byte: improved, better by 0.28")
    assert "all 2 guards held" in found.sentence


def test_worse_is_reject():
    found = decide(primary(0.05, 0.01), [GOOD])
    assert (found.decision, found.primary.status) == ("reject", "not improved")
    assert "worse by 0.05" in found.sentence


def test_less_than_required_is_reject_though_it_improved():
    gate = primary(-0.05, 0.01)
    assert decide(gate).decision == "accept"
    assert decide(primary(-0.05, 0.01, at_least=0.1)).decision == "reject"
    assert decide(primary(-0.05, 0.01, at_least=0.05)).decision == "cannot tell"
    assert "at least 0.1 is required" in decide(primary(-0.05, 0.01, at_least=0.1)).sentence


def test_one_regressed_guard_is_reject_whatever_improved():
    found = decide(primary(-0.28, 0.014), [GOOD, held(-0.1, 0.01, name="reasoning")])
    assert found.decision == "reject"
    assert [f.status for f in found.guards] == ["held", "regressed"]
    assert "reasoning: regressed" in found.sentence
    assert "choice" not in found.sentence


def test_an_unclear_guard_is_cannot_tell():
    found = decide(primary(-0.28, 0.014), [held(0.0, 0.015)])
    assert (found.decision, found.guards[0].status) == ("cannot tell", "unclear")
    assert found.collect_more is not None
    assert found.collect_more > 0
    assert f"about {found.collect_more:,} more samples" in found.sentence


def test_a_small_loss_within_the_margin_is_held():
    found = decide(primary(-0.28, 0.014), [held(-0.01, 0.002)])
    assert found.decision == "accept"
    assert found.guards[0].estimate.high < 0  # surely lost something, surely less than .02


def test_an_unknown_gate_is_cannot_tell():
    lone = Paired(
        Estimate(0.1, math.nan, math.nan, 1), math.nan, "", 1, 0, math.nan, unknown_bounds
    )
    gate = guard("tiny", lone, margin=0.1, higher_is_better=True)
    found = decide(primary(-0.28, 0.014), [gate])
    assert found.decision == "cannot tell"
    assert found.collect_more is None
    assert "n too small" in found.sentence
    assert "unknown" in found.sentence
    assert math.isnan(found.guards[0].p_adjusted)


def test_the_same_model_is_no_improvement_and_no_loss():
    same = paired_difference([0.5] * 60, [0.5] * 60)
    gate = Gate(name="bits", paired=same, higher_is_better=False)
    keep = guard("choice", same, margin=0.0, higher_is_better=True)
    found = decide(gate, [keep])
    assert (found.primary.status, found.guards[0].status) == ("not improved", "held")
    assert found.decision == "reject"


def test_direction_is_turned_round_once():
    up = Gate(name="x", paired=made(0.3, 0.05), higher_is_better=True)
    down = Gate(name="x", paired=made(-0.3, 0.05), higher_is_better=False)
    one, two = decide(up), decide(down)
    assert one.sentence == two.sentence
    assert one.primary.p_value == pytest.approx(two.primary.p_value)
    assert two.primary.estimate.mean == -0.3  # the estimate itself is not turned


# ---- multiplicity


def test_holm_by_hand():
    # t against the bars: 5, 2.5, 2.1 with 100 df: p = 2.45e-6, .0140, .0382
    gates = [held(-0.02 + 0.025, 0.01, name="b"), held(-0.02 + 0.021, 0.01, name="c")]
    found = decide(primary(-0.05, 0.01), gates)
    p = [f.p_value for f in (found.primary, *found.guards)]
    assert p == pytest.approx([2.45e-6, 0.01404, 0.03824], rel=0.01)
    adjusted = [f.p_adjusted for f in (found.primary, *found.guards)]
    assert adjusted == pytest.approx(holm(p).tolist())
    levels = [1 - f.estimate.level for f in (found.primary, *found.guards)]
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])
    assert found.decision == "accept"


def test_holm_stops_at_the_first_that_fails():
    # alone each of the two (p = .03, .04) would pass at 5 %; of two, .03 > .05 / 2 stops both
    gates = [held(-0.02 + 0.0220, 0.01, name="b"), held(-0.02 + 0.0208, 0.01, name="c")]
    for gate in gates:
        assert decide(primary(-0.5, 0.01), [gate]).guards[0].status == "held"
    found = decide(primary(-0.5, 0.01), gates)
    assert [f.status for f in found.guards] == ["unclear", "unclear"]
    assert [1 - f.estimate.level for f in found.guards] == pytest.approx([0.025, 0.025])
    loose = decide(primary(-0.5, 0.01), gates, correction="none")
    assert loose.decision == "accept"


def test_statuses_adjusted_p_values_and_intervals_tell_the_same():
    rng = stream(0, "agree")
    for _ in range(60):
        gates = [held(m, 0.01, name=str(i)) for i, m in enumerate(rng.normal(-0.01, 0.03, 4))]
        found = decide(primary(float(rng.normal(0, 0.03)), 0.01), gates)
        for finding in (found.primary, *found.guards):
            low, high = sorted(
                finding.gate.gain(x) for x in (finding.estimate.low, finding.estimate.high)
            )
            outside = low > finding.gate.at_least or high < finding.gate.at_least
            assert (finding.status != "unclear") == outside == (finding.p_adjusted <= 0.05)


def test_more_guards_never_turn_cannot_tell_into_accept():
    gates = [held(0.0, 0.0085, name=str(i)) for i in range(6)]
    decisions = [decide(primary(-0.5, 0.01), gates[:k]).decision for k in range(7)]
    assert decisions[0] == "accept"
    first = decisions.index("cannot tell")
    assert set(decisions[first:]) == {"cannot tell"}


# ---- how much more


def test_collect_more_takes_the_dearest_when_it_leans_to_accept():
    gates = [held(0.0, 0.012, name="b"), held(0.0, 0.02, name="c")]
    found = decide(primary(-0.28, 0.014), gates)
    needs = [f.collect_more for f in found.guards]
    assert found.collect_more == max(needs)
    assert needs[0] < needs[1]


def test_collect_more_takes_the_cheapest_loss_when_it_leans_to_reject():
    gates = [held(0.01, 0.02, name="b"), held(-0.035, 0.01, name="c")]
    found = decide(primary(-0.28, 0.014), gates)
    assert found.decision == "cannot tell"
    assert found.collect_more == found.guards[1].collect_more


def test_collect_more_counts_samples_not_clusters():
    rng = stream(1, "clusters")
    gap = np.repeat(rng.normal(0.05, 0.2, 20), 6) + rng.normal(0, 0.01, 120)
    found = paired_difference(gap, np.zeros(120), clusters=np.repeat(np.arange(20), 6))
    finding = find(Gate(name="x", paired=found, higher_is_better=True), 0.05, 1.0, 1.0)
    assert finding.status == "unclear"
    assert finding.collect_more is not None
    assert finding.collect_more % 6 == 0


# ---- words and files


def test_dropped_pairs_are_told():
    gate = Gate(name="bits", paired=made(-0.3, 0.01, n=40, dropped=3), higher_is_better=False)
    assert decide(gate).reasons[-1] == (
        "bits: 3 of 43 pairs were left out because a score is unknown"
    )


def test_a_decision_is_plain_json():
    lone = Paired(
        Estimate(0.1, math.nan, math.nan, 1), math.nan, "", 1, 0, math.nan, unknown_bounds
    )
    gate = guard("tiny", lone, margin=0.1, higher_is_better=True)
    plain = decide(primary(-0.28, 0.014), [GOOD, gate]).as_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again == plain
    assert plain["decision"] == "cannot tell"
    assert plain["guards"][0]["margin"] == 0.02
    assert plain["guards"][1]["estimate"]["low"] is None
    assert plain["primary"]["required"] == 0.0
    assert plain["rule"] == {"level": 0.95, "correction": "holm"}


@pytest.mark.parametrize("margin", [-0.1, math.nan])
def test_a_margin_is_not_negative(margin):
    with pytest.raises(UsageError, match="margin"):
        guard("x", made(0, 1), margin=margin, higher_is_better=True)


def test_unknown_settings_are_refused():
    with pytest.raises(UsageError, match="correction"):
        decide(GOOD, correction="bonferoni")
    with pytest.raises(UsageError, match="level"):
        decide(GOOD, level=95)


# ---- non-inferiority of one guard


def test_non_inferior_by_hand():
    # lower is better, mean +.01, se .005, t(.975, 100) = 1.984: gain −.01992 to −.00008
    paired = made(0.01, 0.005)
    assert non_inferior(paired, 0.03, higher_is_better=False).status == "held"
    assert non_inferior(paired, 0.0199, higher_is_better=False).status == "unclear"
    assert non_inferior(paired, 0.0200, higher_is_better=False).status == "held"
    assert non_inferior(paired, 0.0, higher_is_better=False).status == "regressed"
    assert non_inferior(paired, 0.0, higher_is_better=True).status == "held"


def test_non_inferiority_is_monotone_in_the_margin():
    paired = made(-0.03, 0.01)
    order = {"regressed": 0, "unclear": 1, "held": 2}
    ranks = [order[non_inferior(paired, m, True).status] for m in np.linspace(0, 0.1, 40)]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}
