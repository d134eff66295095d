"""What a side of trust is: scenarios, how answers are read, and how its score is put together.

A side is one file and pure: it builds scenarios (samples, and how they are asked), it brings the
kinds of task that read the answers, and it puts its score together from sums over the lines. The
suite asks, the ledger keeps, `scores` computes; so a side never sees a model.

Each line of a side must hold the numbers `refused` and `unparsed`. A line's unit, which is what
intervals resample, is its cluster, or its id where the scenario names no cluster; scenarios of a
side that ask about the same thing give it the same id or cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from togi.evaluate.asking import GREEDY, TaskKind
from togi.evaluate.trust.material import Material
from togi.evaluate.trust.sums import Sums
from togi.lm.base import Sampling
from togi.rows.types import Sample
from togi.stats.arrays import Floats

Condition: TypeAlias = Literal["benign", "adversarial", ""]
"""Under what pressure a scenario puts the model; "" where a side knows no such difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Samples of a side that are asked in one way and scored together.

    Attributes:
        name: unique within the side; its task is called side/name.
        kind: a key of the side's `kinds`.
        samples: what is asked, in an order that keeps shared beginnings together.
        sampling: how answers are drawn; its seed is filled in.
        condition: under what pressure.
        about: one sentence for the report.
        cluster: metadata key of samples that stand or fall together; "" for none.
    """

    name: str
    kind: str
    samples: tuple[Sample, ...]
    sampling: Sampling = GREEDY
    condition: Condition = ""
    about: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One value of a side, over the lines or over resamples of them.

    Attributes:
        name: as it stands in the files.
        values: (draws,) the value; NaN where it is not defined.
        definition: one sentence for the report.
        of: the scenarios that it is made of; () for all.
        unit: "points" from 0 to 100, or "share" from 0 to 1, or a share's "difference".
        higher_is_better: the direction of good.
        bounds: of its interval, where the resamples' percentiles would not cover.
    """

    name: str
    values: Floats
    definition: str
    of: tuple[str, ...] = ()
    unit: Literal["points", "share", "difference"] = "share"
    higher_is_better: bool = True
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a side builds its scenarios from.

    Attributes:
        material: the published files; None for the mini suite.
        published: ask and read exactly as the published code does, with its known faults.
        system: condition -> the system's text, where the user gives another one.
        seed: of whatever a side draws.
    """

    material: Material | None = None
    published: bool = False
    system: Mapping[str, str] = field(default_factory=dict[str, str])
    seed: int = 0


def _same(text: str) -> str:
    return text


def _always(name: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the eight.

    Attributes:
        title: as people say it.
        about: what the score says, in one sentence.
        source: the paper's section.
        warning: what a reader must expect of its samples.
        mini: builds the scenarios of the mini suite.
        full: builds those of the published data.
        aggregate: from sums, and whether as published, to parts; the score comes first.
        kinds: the kinds of task that its scenarios name.
        counts: whether a scenario enters the score and the two rates, by its name; others stand
            beside it.
        faults: what the published code does wrong, and what is done here instead.
        redact: takes personal data out of a text before it is quoted.
        group_of: the group of people that a unit is about; None where units are about none.
        grouped: the number that is told of each group, a share of which less is better.
        about_groups: what that number is, in one sentence.
    """

    title: str
    about: str
    source: str
    warning: str
    mini: Callable[[Setup], list[Scenario]]
    full: Callable[[Setup, Material], list[Scenario]]
    aggregate: Callable[[Sums, bool], list[Part]]
    kinds: Mapping[str, TaskKind]
    counts: Callable[[str], bool] = _always
    faults: tuple[str, ...] = ()
    redact: Callable[[str], str] = _same
    group_of: Callable[[str], str] | None = None
    grouped: str = ""
    about_groups: str = ""
