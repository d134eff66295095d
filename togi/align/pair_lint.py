"""Looking over preference pairs before they are learnt from: what would teach the wrong thing.

Each finding is counted and shown with an example: pairs that stand twice, that contradict each
other, whose answers are equal or empty, that repeat the prompt. Length bias is told with its
interval: a model that learns from longer-is-better learns to be long.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from togi.rows.hygiene import normalised
from togi.rows.types import Preference, Prompt
from togi.stats.estimate import Estimate

REPEATED = 40
"Letters of a prompt's last turn that an answer must begin with to count as repeating it."
BIASED = 0.6
"A share of longer better answers that lies wholly above this is called a bias."


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """What was found in pairs.

    Attributes:
        n: pairs looked at.
        counts: finding -> number of pairs.
        examples: finding -> ids of the first pairs concerned.
        longer: share of pairs whose better answer has more letters; equal lengths count half.
        ratio: geometric mean of the answers' lengths, better over worse.
        flips: share of wrong labels that contradictory judgements of one pair suggest; NaN
            where no pair was judged twice.
    """

    n: int
    counts: dict[str, int]
    examples: dict[str, list[str]]
    longer: Estimate
    ratio: float
    flips: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for `pairs.json`."""
        plain = {"n": self.n, "counts": self.counts, "examples": self.examples}
        flips = None if math.isnan(self.flips) else self.flips
        ratio = None if math.isnan(self.ratio) else self.ratio
        return {**plain, "longer": self.longer.as_dict(), "length_ratio": ratio, "flips": flips}

    def sentences(self) -> list[str]:
        """Return what a user should be told, nothing where all is well."""
        said = [f"{n} pairs: {what}" for what, n in self.counts.items() if n]
        share, known = self.longer, self.longer.known
        if known and (share.low > BIASED or share.high < 1 - BIASED):
            which = "longer" if share.mean > 0.5 else "shorter"
            mean = share.mean if share.mean > 0.5 else 1 - share.mean
            said.append(
                f"the better answer is the {which} one in {mean:.0%} of the pairs (lengths differ "
                f"{self.ratio:.2f} times): a loss by mean over tokens (sigmoid_mean, ipo_mean, "
                "simpo) does not learn length"
            )
        if self.flips > 0:
            said.append(
                f"contradictions suggest that {self.flips:.0%} of the labels are wrong: consider "
                f"loss: cdpo or robust with noise: {self.flips:.2f}"
            )
        return said


def lint(pairs: Sequence[Preference]) -> PairReport:
    """Look pairs over.

    >>> pairs = [Preference(id="1", prompt="p", chosen="a", rejected="b"),
    ...          Preference(id="2", prompt="p", chosen="b", rejected="a")]
    >>> report = lint(pairs)
    >>> report.counts["contradict another pair"], report.flips
    (2, 0.5)
    """
    from togi.stats.proportion import wilson

    found: dict[str, list[str]] = {name: [] for name in FINDINGS}
    judged: dict[tuple[Any, ...], Counter[bool]] = defaultdict(Counter)
    keys = [_key(pair) for pair in pairs]
    for key, better_first in keys:
        judged[key][better_first] += 1
    seen: set[tuple[Any, ...]] = set()
    longer, logs = 0.0, []
    for pair, (key, better_first) in zip(pairs, keys, strict=True):
        for name in _faults(pair):
            found[name].append(pair.id)
        if (key, better_first) in seen:
            found["stand twice"].append(pair.id)
        seen.add((key, better_first))
        if len(judged[key]) > 1:
            found["contradict another pair"].append(pair.id)
        a, b = len(pair.chosen), len(pair.rejected)
        longer += (a > b) + 0.5 * (a == b)
        if a and b:
            logs.append(math.log(a / b))
    nan = float("nan")
    return PairReport(
        n=len(pairs),
        counts={name: len(ids) for name, ids in found.items()},
        examples={name: ids[:3] for name, ids in found.items() if ids},
        longer=wilson(longer, len(pairs), 0.95) if pairs else Estimate(nan, nan, nan, 0),
        ratio=math.exp(sum(logs) / len(logs)) if logs else nan,
        flips=flip_rate(judged.values()),
    )


FINDINGS = (
    "stand twice",
    "contradict another pair",
    "have equal answers",
    "have an empty answer",
    "repeat the prompt in an answer",
)


def _key(pair: Preference) -> tuple[tuple[Any, ...], bool]:
    """Return a pair whatever its order, and whether the first in that order is the better one."""
    answers = sorted([pair.chosen, pair.rejected])
    return (pair.prompt, *answers), pair.chosen == answers[0]


def _faults(pair: Preference) -> list[str]:
    faults = []
    if normalised(pair.chosen) == normalised(pair.rejected):
        faults.append("have equal answers")
    if not pair.chosen.strip() or not pair.rejected.strip():
        faults.append("have an empty answer")
    asked = normalised(_last(pair.prompt))[:REPEATED]
    if len(asked) == REPEATED and any(
        normalised(answer).startswith(asked) for answer in (pair.chosen, pair.rejected)
    ):
        faults.append("repeat the prompt in an answer")
    return faults


def _last(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1].content if prompt else ""


def flip_rate(judged: Any) -> float:
    """Estimate the share of wrong labels from pairs that were judged several times.

    Two judgements of one pair disagree with probability 2 e (1 - e) where each is wrong with
    probability e, independently. Solved for e; NaN where no pair was judged twice.

    >>> round(flip_rate([Counter({True: 2}), Counter({True: 1, False: 1})]), 4)  # .5 disagree
    0.5
    """
    same = split = 0.0
    for counts in judged:
        n, up = sum(counts.values()), counts[True]
        if n > 1:
            disagree = 2 * up * (n - up) / (n * (n - 1))
            split, same = split + disagree, same + 1 - disagree
    if not same + split:
        return float("nan")
    share = min(0.5, split / (same + split))
    return (1 - math.sqrt(1 - 2 * share)) / 2
