"""The verdict: accept, reject or cannot tell, from paired differences and a stated rule.

Each gate asks one question, "is the gain above this bar?": the primary's bar is the gain that
is required (0: any), a guard's is minus the loss that is tolerated (its margin). One corrected
two-sided interval answers it three ways: wholly above the bar, wholly below, or neither.

Multiplicity: each gate has a two-sided p-value against its own bar (its interval, inverted),
Holm's step-down method runs over all gates, and a gate's interval is shown at the level which
Holm tested it at. The chance that any gate is called on the wrong side is at most 1 − level,
so both a wrong accept and a wrong reject are at most that likely. (Accepting alone would need
no correction, since it wants all gates at once; that each guard's "held" may be quoted does.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from togi.errors import UsageError
from togi.stats.arrays import check_level
from togi.stats.gate import Finding, Gate, find
from togi.stats.multiple import holm

Verdict: TypeAlias = Literal["accept", "reject", "cannot tell"]
Correction: TypeAlias = Literal["holm", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict and why.

    Attributes:
        decision: "accept", "reject" or "cannot tell".
        sentence: one plain sentence.
        reasons: one sentence per gate, and one per gate that lost pairs.
        primary: what the primary gate found.
        guards: what each guard found, in the order given.
        collect_more: how many more samples would likely settle the verdict: 0 if settled, None
            if that cannot be known.
        level: confidence of all the statements together.
        correction: "holm" or "none".
    """

    decision: Verdict
    sentence: str
    reasons: tuple[str, ...]
    primary: Finding
    guards: tuple[Finding, ...]
    collect_more: int | None
    level: float
    correction: Correction

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, NaN as None."""
        return {
            "decision": self.decision,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "primary": self.primary.as_dict(),
            "guards": [finding.as_dict() for finding in self.guards],
            "collect_more": self.collect_more,
            "rule": {"level": self.level, "correction": self.correction},
        }


def _alphas(p: Sequence[float], alpha: float, correction: Correction) -> list[float]:
    """Return the α at which Holm tests each: α/m, α/(m−1), …, up to the first that fails."""
    if correction == "none":
        return [alpha] * len(p)
    if correction != "holm":
        raise UsageError(
            f"unknown correction '{correction}'", where="decide", expected="holm or none"
        )
    out, step, failed = [0.0] * len(p), len(p), False
    for place in sorted(range(len(p)), key=lambda at: p[at]):
        out[place] = alpha / step
        failed = failed or p[place] > out[place]
        step -= 0 if failed else 1
    return out


def _findings(
    gates: Sequence[Gate], alpha: float, correction: Correction, power: float
) -> list[Finding]:
    """Put all gates' questions together, corrected for their number."""
    p = [gate.p_value for gate in gates]
    counted = [1.0 if math.isnan(value) else value for value in p]  # an unknown gate counts too
    adjusted = holm(counted).tolist() if correction == "holm" else counted
    alphas = _alphas(counted, alpha, correction)
    return [
        find(gate, at, raw, raw if math.isnan(raw) else corrected, power)
        for gate, at, raw, corrected in zip(gates, alphas, p, adjusted, strict=True)
    ]


def _settle(findings: Sequence[Finding]) -> int | None:
    """Return how many more samples would likely settle the verdict as it leans.

    One gate below its bar is enough to reject, all must be above to accept: the cheapest of
    those that lean below, or the dearest of those that lean above.
    """
    open_ = [finding for finding in findings if finding.status == "unclear"]
    below = [f for f in open_ if f.gate.gain(f.estimate.mean) < f.gate.at_least]
    costs = [f.collect_more for f in below if f.collect_more is not None]
    if costs:
        return min(costs)
    needs = [f.collect_more for f in open_]
    known = [need for need in needs if need is not None]
    return max(known) if known and len(known) == len(needs) else None


def decide(
    primary: Gate,
    guards: Sequence[Gate] = (),
    *,
    level: float = 0.95,
    correction: Correction = "holm",
    power: float = 0.8,
) -> Decision:
    """Return accept, reject or cannot tell, with reasons.

    - accept: the primary's corrected interval lies wholly above its bar, and each guard's above
      minus its margin.
    - reject: the primary's lies wholly below its bar (it is worse, or shown to be less than
      required), or some guard's wholly below minus its margin.
    - cannot tell: neither; `collect_more` says how many more samples would likely tell.

    Args:
        primary: what must improve.
        guards: what must not be lost, from `guard`.
        level: of all statements together.
        correction: "holm" over all gates, or "none".
        power: the chance that `collect_more` samples settle it, if the estimates are true.

    Raises:
        UsageError: a level outside (0, 1) or an unknown correction.

    >>> from togi.stats.paired import paired_difference
    >>> bits = paired_difference([0.9, 1.0, 1.1, 0.8, 1.0, 0.7], [1.4, 1.6, 1.5, 1.5, 1.6, 1.3])
    >>> decide(Gate(name="bits per byte", paired=bits, higher_is_better=False)).decision
    'accept'
    """
    alpha = 1 - check_level(level)
    findings = _findings([primary, *guards], alpha, correction, power)
    statuses = {finding.status for finding in findings}
    decision: Verdict = "cannot tell" if "unclear" in statuses else "accept"
    if statuses & {"not improved", "regressed"}:
        decision = "reject"
    more = _settle(findings) if decision == "cannot tell" else 0
    lost = [
        f"{f.gate.name}: {f.gate.paired.dropped} of {f.gate.paired.n + f.gate.paired.dropped} "
        "pairs were left out because a score is unknown"
        for f in findings
        if f.gate.paired.dropped
    ]
    return Decision(
        decision=decision,
        sentence=_sentence(decision, findings, more),
        reasons=(*(finding.sentence() for finding in findings), *lost),
        primary=findings[0],
        guards=tuple(findings[1:]),
        collect_more=more,
        level=level,
        correction=correction,
    )


def _sentence(decision: Verdict, findings: Sequence[Finding], more: int | None) -> str:
    """Say the verdict in one sentence, with the gates that made it."""
    if decision == "accept":
        held = len(findings) - 1
        tail = f", and {'the guard' if held == 1 else f'all {held} guards'} held" if held else ""
        return f"Accept: {findings[0].sentence()}{tail}."
    wanted = ("unclear",) if decision == "cannot tell" else ("not improved", "regressed")
    why = " · ".join(f.sentence() for f in findings if f.status in wanted)
    if decision == "reject":
        return f"Reject: {why}."
    advice = "how many more samples would tell is unknown"
    if more is not None:
        advice = f"about {more:,} more samples would likely tell"
    return f"Cannot tell: {why}; {advice}."
