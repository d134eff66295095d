"""What tests of single sides share: columns of replies, and scores of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trust_toys import column, said

from togi.evaluate.asking import Asking
from togi.evaluate.columns import Column
from togi.evaluate.trust.scores import estimates, parts_of, unit_table
from togi.evaluate.trust.side import Part, Scenario, Side
from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt, Sample
from togi.stats import Estimate


class Saying:
    """A model that repeats what it was asked and then says the same to everything."""

    name, fingerprint = "saying", "s0"

    def __init__(self, text: str) -> None:
        self.text = text

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        """Refuse: the sides only have texts drawn."""
        raise AssertionError("this model only generates")

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        """Answer as often as asked."""
        asked = [prompt if isinstance(prompt, str) else prompt[-1].content for prompt in prompts]
        return [said(*[f"{one} {self.text}"] * sampling.n) for one in asked]


Reply = Callable[[Scenario, Sample], str]


def replied(
    side: Side, scenario: Scenario, reply: Reply | Sequence[str], *, published: bool = False
) -> Column:
    """Read a reply to each sample of a scenario as the side does."""
    rules, asking = side.kinds[scenario.kind], Asking(published=published)
    texts = reply if not callable(reply) else [reply(scenario, s) for s in scenario.samples]
    rows = [
        rules.read(asking, sample, said(text)).measures
        for sample, text in zip(scenario.samples, texts, strict=True)
    ]
    units = [str(sample.metadata[scenario.cluster]) for sample in scenario.samples]
    return column(rows, [sample.id for sample in scenario.samples], units)


def scored(
    side: Side,
    scenarios: Sequence[Scenario],
    reply: Reply,
    *,
    published: bool = False,
    planned: Sequence[str] = (),
) -> dict[str, Estimate]:
    """Return a side's parts of a model that answers like that."""
    columns = {one.name: replied(side, one, reply, published=published) for one in scenarios}
    names = planned or list(columns)
    return estimates(side, unit_table(columns, names), published=published)


def parts(side: Side, columns: Mapping[str, Column], *, published: bool = False) -> dict[str, Part]:
    """Return a side's parts over the lines themselves, without resamples."""
    table = unit_table(columns, list(columns))
    sums = table.sums(table.rows.sum(axis=0)[None])
    return {part.name: part for part in parts_of(side, sums, published=published)}


def right(scenario: Scenario, sample: Sample) -> str:
    """Answer every question of labels right."""
    return sample.choices[int(sample.target)].capitalize() + "."


def wrong(scenario: Scenario, sample: Sample) -> str:
    """Answer every question of labels wrong."""
    return sample.choices[int(sample.target) - 1]
