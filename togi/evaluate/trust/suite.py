"""From sides and settings to tasks: what is asked of every model, built before any is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from togi.errors import DataError, UsageError, nearest
from togi.evaluate.asking import Asking
from togi.evaluate.tasks import Task
from togi.evaluate.trust.material import Material, material_of
from togi.evaluate.trust.scorer import scorer_of
from togi.evaluate.trust.side import Scenario, Setup, Side
from togi.evaluate.trust.sides import SIDES, TRUST_KINDS
from togi.evaluate.trust.talks import Turns, turned
from togi.rows.types import Sample
from togi.stats import derive

CONDITIONS = ("benign", "adversarial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall be asked.

    Attributes:
        sides: names of sides.
        data: "mini", "hub", or a folder of the published data.
        limit: at most so many independent units of each scenario.
        draws: answers to each prompt where they are drawn; the side's own number where None.
        max_tokens: longest answer where they are drawn; the side's own where None.
        conditions: which of benign and adversarial scenarios are asked.
        system: benign, adversarial, or a side's own name of a system prompt, to its text.
        turns: where the system's text goes.
        scorer: who scores a text's toxicity.
        published: ask, read and score as the published code does, faults included.
        personal: write real people's data down as they are, and not as hashes.
        seed: of draws and of the limit's choice.
        offline: no network may be used.
    """

    sides: Sequence[str] = tuple(SIDES)
    data: str = "mini"
    limit: int | None = None
    draws: int | None = None
    max_tokens: int | None = None
    conditions: Sequence[str] = CONDITIONS
    system: Mapping[str, str] = field(default_factory=dict[str, str])
    turns: Turns = "system"
    scorer: str = "local"
    published: bool = False
    personal: bool = False
    seed: int = 0
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One side as it will be asked.

    Attributes:
        side: the side.
        scenarios: all of its scenarios' names, asked or not.
        tasks: those that are asked.
        about: scenario -> what it is, and under what condition.
    """

    side: Side
    scenarios: tuple[str, ...]
    tasks: tuple[Task, ...]
    about: Mapping[str, Mapping[str, str]]

    @property
    def prompts(self) -> int:
        """How many prompts are asked."""
        return sum(len(task.samples) for task in self.tasks)

    @property
    def answers(self) -> int:
        """How many answers are drawn."""
        return sum(len(task.samples) * task.asking.sampling.n for task in self.tasks)

    @property
    def tokens(self) -> int:
        """How many tokens the answers have at most."""
        sizes = ((task.asking.sampling, len(task.samples)) for task in self.tasks)
        return sum(sampling.n * sampling.max_tokens * n for sampling, n in sizes)


def plan(wanted: Wanted) -> dict[str, Planned]:
    """Build what is asked of every model, side by side.

    Raises:
        UsageError: no such side, or no such folder.
        DataError: published files that are missing or damaged, or nothing left to ask.
        SurroundingsError: the hub cannot be reached.
    """
    for name in wanted.sides:
        if name not in SIDES:
            raise UsageError(
                f"no side of trust is called '{name}'", expected=nearest(name, list(SIDES))
            )
    if not wanted.sides:
        raise UsageError("no side is named", where="sides", expected=", ".join(SIDES))
    material = material_of(wanted.data, offline=wanted.offline)
    return {name: _planned(name, wanted, material) for name in dict.fromkeys(wanted.sides)}


def _planned(name: str, wanted: Wanted, material: Material | None) -> Planned:
    side = SIDES[name]
    setup = Setup(
        material=material, published=wanted.published, system=wanted.system, seed=wanted.seed
    )
    every = side.mini(setup) if material is None else side.full(setup, material)
    asked = [one for one in every if one.condition in ("", *wanted.conditions)]
    if not asked:
        raise DataError(
            "nothing is left to ask",
            where=f"side '{name}'",
            found=f"conditions {', '.join(wanted.conditions) or 'none'}",
            expected=", ".join(sorted({one.condition for one in every})),
        )
    return Planned(
        side=side,
        scenarios=tuple(one.name for one in every),
        tasks=tuple(_task(name, scenario, wanted) for scenario in asked),
        about={one.name: {"about": one.about, "condition": one.condition} for one in every},
    )


def _task(side: str, scenario: Scenario, wanted: Wanted) -> Task:
    uses = TRUST_KINDS[scenario.kind].uses
    sampling = replace(scenario.sampling, seed=0)
    if sampling.temperature:  # greedy answers have no seed, no number and a length of their own
        sampling = replace(
            sampling,
            n=wanted.draws or sampling.n,
            max_tokens=wanted.max_tokens or sampling.max_tokens,
            seed=derive(wanted.seed, "trust", side, scenario.name) >> 1,
        )
    asking = Asking(
        sampling=sampling,
        scorer=scorer_of(wanted.scorer).identity if "scorer" in uses else "",
        published=wanted.published if "published" in uses else False,
        personal=wanted.personal if "personal" in uses else False,
    )
    kept = limited(side, scenario, wanted.limit, wanted.seed)
    samples = tuple(replace(one, input=turned(one.input, wanted.turns)) for one in kept)
    return Task(
        name=f"{side}/{scenario.name}",
        kind=scenario.kind,
        samples=samples,
        asking=asking,
        cluster=scenario.cluster,
    )


def unit_of(sample: Sample, cluster: str) -> str:
    """Return the independent unit of a sample: its cluster, or itself."""
    return str(sample.metadata[cluster]) if cluster else sample.id


def limited(side: str, scenario: Scenario, limit: int | None, seed: int) -> Iterable[Sample]:
    """Return the samples of at most so many units, in their order.

    The choice depends on the unit alone, so scenarios that ask about the same units keep the
    same ones.
    """
    if limit is None:
        return scenario.samples
    units = {unit_of(one, scenario.cluster) for one in scenario.samples}
    chosen = set(sorted(units, key=lambda unit: derive(seed, "trust", side, unit))[:limit])
    return [one for one in scenario.samples if unit_of(one, scenario.cluster) in chosen]
