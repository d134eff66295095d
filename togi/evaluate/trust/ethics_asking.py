"""What the side of machine ethics asks: at once, after examples, and under pressure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from togi.errors import DataError
from togi.evaluate.trust.ethics_files import Item
from togi.evaluate.trust.ethics_wording import ACTIVITIES, Wording
from togi.evaluate.trust.side import Condition, Scenario, Setup
from togi.evaluate.trust.talks import Demo, classified
from togi.lm.base import Sampling
from togi.rows.types import Sample
from togi.stats import derive, stream

IMMORAL = 200
"""Wrong acts that are asked again under each line and with each sentence."""
LISTS = 8
"""Lists of solved examples, one of which each item gets; an engine reads each list once."""
GREEDY = Sampling(temperature=0.0, max_tokens=16)
DRAWN = Sampling(n=4, max_tokens=6, temperature=0.5)
"""The mini suite draws: a small model's greedy answer is often the same to everything."""


class Asked(NamedTuple):
    """How a set is answered, and how many solved examples come first."""

    options: tuple[str, ...]
    shots: int
    bad: int | None = None
    "The option that says an act is wrong."


SETS = {
    "commonsense": Asked(("not wrong", "wrong"), 32, 1),
    "commonsense_long": Asked(("not wrong", "wrong"), 8, 1),
    "virtue": Asked(("no", "yes"), 32),
    "justice": Asked(("unreasonable", "reasonable"), 32),
    "deontology": Asked(("unreasonable", "reasonable"), 32),
    "jiminy": Asked(("good", "bad", "neutral"), 3, 1),
    "conditional": Asked(("no", "yes"), 0, 1),
}
JUDGED = tuple(SETS)[:-1]
"""Sets whose accuracy is told, at once and after examples."""


def wrong_acts(name: str, items: Sequence[Item]) -> list[Item]:
    """Return the first wrong acts of a set: those that are asked again under pressure."""
    wrong = [item for item in items if item.label == SETS[name].bad]
    return wrong if name == "conditional" else wrong[:IMMORAL]


def _about(item: Item, bad: int | None, pressed: bool) -> dict[str, int]:
    """Return what tells the counts of wrong acts apart; of those alone that are asked again."""
    if bad is None or (item.label == bad and not pressed):
        return {}
    return {"bad": bad}


class Maker(NamedTuple):
    """What all scenarios of a suite have in common."""

    words: Mapping[str, Wording]
    setup: Setup
    sampling: Sampling
    lists: int

    def scenario(
        self,
        name: str,
        items: Sequence[Item],
        about: str,
        *,
        shown: Sequence[Sequence[Demo]] = (),
        line: str = "",
        after: str = "",
    ) -> Scenario:
        """Return the questions of a set, after examples, under a line or with a sentence."""
        if not items:
            raise DataError("nothing is left to ask", where=f"the set of '{name}'")
        kind, words = name.partition("/")[0], self.words[name.partition("/")[0]]
        asked, space = SETS[kind], "" if self.setup.published else " "
        condition: Condition = "adversarial" if line or after else "benign"
        system = self.setup.system.get("adversarial" if line else "benign", "")
        pressed = set(items if line or after else wrong_acts(kind, items))
        task = words.task + (space + line if line else "")
        rows: list[tuple[int, Sample]] = []
        for number, item in enumerate(items, 1):
            place = derive(0, "ethics", "list", item.unit) % len(shown) if shown else 0
            if self.setup.published and shown:
                place = number - 1
            text = item.text + (space + after if after else "")
            sample = Sample(
                id=f"{number:04}",
                input=classified(
                    task, words.ask.format(text, item.more), shown[place] if shown else (),
                    system=system,
                ),
                target=item.label,
                choices=asked.options,
                metadata={"unit": item.unit, **_about(item, asked.bad, item in pressed)},
            )  # fmt: skip
            rows.append((place, sample))
        return Scenario(
            name=name,
            kind="trust.moral",
            samples=tuple(sample for _, sample in sorted(rows, key=lambda row: row[0])),
            sampling=self.sampling,
            condition=condition,
            about=about,
            cluster="unit",
        )

    def judged(self, name: str, items: Sequence[Item], train: Sequence[Item]) -> list[Scenario]:
        """Return a set's questions at once, and after solved examples."""
        shots = SETS[name].shots if self.setup.material else 8
        many = len(items) if self.setup.published else self.lists
        shown = self.examples(name, train, min(shots, SETS[name].shots), many)
        return [
            self.scenario(f"{name}/zero_shot", items, "judged at once"),
            self.scenario(
                f"{name}/few_shot", items, f"judged after {len(shown[0])} examples", shown=shown
            ),
        ]

    def examples(
        self, name: str, train: Sequence[Item], shots: int, lists: int
    ) -> list[list[Demo]]:
        """Draw lists of solved examples.

        Raises:
            DataError: there are too few of them.
        """
        if len(train) < shots:
            raise DataError(
                "too few solved examples",
                where=f"the set '{name}'",
                found=f"{len(train)}",
                expected=f"{shots}",
            )
        words, options = self.words[name], SETS[name].options
        found: list[list[Demo]] = []
        for number in range(lists):
            rng = stream(self.setup.seed, "trust", "ethics", name, number)
            drawn = [train[i] for i in rng.choice(len(train), shots, replace=False)]
            show = words.show if self.setup.published and words.show else words.ask
            found.append([(show.format(one.text, one.more), options[one.label]) for one in drawn])
        return found

    def pressed(self, name: str, items: Sequence[Item]) -> list[Scenario]:
        """Return a set's wrong acts under each line, and with each sentence."""
        words = self.words[name]
        wrong = wrong_acts(name, items)
        lines = {f"{name}/jailbreak_{n}": text for n, text in enumerate(words.jailbreaks, 1)}
        return [
            *(
                self.scenario(one, wrong, f"wrong acts under “{line}”", line=line)
                for one, text in lines.items()
                for line in [self.setup.system.get(one.partition("/")[2], text)]
            ),
            *(
                self.scenario(
                    f"{name}/evasive_{n}", wrong, f"wrong acts, and then “{text}”", after=text
                )
                for n, text in enumerate(words.evasions, 1)
            ),
        ]

    def conditional(self, items: Sequence[Item]) -> list[Scenario]:
        """Return bad deeds by who is harmed and how much."""
        cells = sorted({item.more for item in items})
        return [
            self.scenario(
                f"conditional/{cell}", [one for one in items if one.more == cell],
                f"deeds that harm {who if who == 'others' else 'oneself'}, grade {grade} of 3",
            )
            for cell in cells
            for who, _, grade in [cell.partition("/")]
        ]  # fmt: skip

    def rated(self, pairs: Sequence[tuple[str, str]]) -> list[Scenario]:
        """Return single activities to rate, at once and after five rated ones; pairs are units."""
        words = self.words["utilitarianism"]
        examples = [(words.ask.format(text), str(value)) for text, value in ACTIVITIES]
        return [
            Scenario(
                name=f"utilitarianism/{name}",
                kind="trust.rating",
                samples=tuple(
                    Sample(
                        id=f"{number:04}-{which}",
                        input=classified(words.task, words.ask.format(text), shown,
                                         system=self.setup.system.get("benign", "")),
                        target=which,
                        metadata={"unit": f"pair-{number:04}"},
                    )
                    for number, pair in enumerate(pairs, 1)
                    for which, text in zip(("better", "worse"), pair, strict=True)
                ),
                sampling=self.sampling,
                condition="benign",
                about="activities that are rated from 1 to 10",
                cluster="unit",
            )
            for name, shown in (("zero_shot", ()), ("few_shot", examples))
        ]  # fmt: skip
