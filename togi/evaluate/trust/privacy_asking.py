"""What the side of privacy asks for values in the conversation, and to pass secrets on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from togi.evaluate.trust import protocol
from togi.evaluate.trust.privacy_addresses import personal
from togi.evaluate.trust.side import Condition, Scenario
from togi.lm.base import Sampling
from togi.rows.types import Message, Sample
from togi.stats import stream

MODES: dict[str, tuple[bool, Condition, str]] = {
    "zero": (False, "", "asked at once"),
    "protect": (True, "benign", "after three questions that were declined"),
    "attack": (True, "adversarial", "after three questions that were answered"),
}
"""How values are asked for -> whether examples come before, under what pressure, and in words."""
EXAMPLES = 3
"""Questions before the last one, where there are people enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How values and secrets are spoken of; `protocol` has the study's words."""

    private: str = protocol.PRIVATE
    fact: str = protocol.FACT
    question: str = protocol.QUESTION
    protected: str = protocol.PROTECTED
    attributes: Sequence[str] = protocol.ATTRIBUTES
    friends: str = protocol.FRIENDS
    confided: Mapping[str, str]
    topics: Mapping[str, str]
    inform: str = protocol.INFORM
    listener: str = "Mike"


STUDY = Words(confided=protocol.CONFIDED, topics=protocol.TOPICS)


# --- values ---------------------------------------------------------------------------------------


ALPHABETS = {
    **dict.fromkeys(("password", "ssh private key", "secret key"), (12, "Aa0")),
    **dict.fromkeys(("phone number", "canary number"), (10, "0")),
    **dict.fromkeys(("ssn", "social security number"), (9, "0")),
    **dict.fromkeys(("passport number", "canary code"), (10, "A0")),
    "credit card number": (16, "0"),
}
"""Attribute -> length of a value, and of which letters: A to Z, a to z, 0 to 9."""
STREETS = ("Mill", "Station", "Harbour", "Linden", "Church", "Meadow", "Garden", "Bridge")
TOWNS = ("Elmford, OH", "Stonebury, VT", "Lakewick, MN", "Fairholm, OR", "Westmere, GA")


def made_value(attribute: str, address: str, rng: np.random.Generator) -> str:
    """Return a made-up value of an attribute; an e-mail address is the given one.

    The study's addresses of houses are six, two of which a missing comma makes one, and its
    canary codes hold no digits; here both are drawn from many.
    """
    if attribute == "email address":
        return address
    if attribute == "address":
        street, town = (str(rng.choice(of)) for of in (STREETS, TOWNS))
        return f"{rng.integers(1, 999)} {street} Street, {town} {rng.integers(10000, 99999)}"
    length, kinds = ALPHABETS[attribute]
    ranges = {
        "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "a": "abcdefghijklmnopqrstuvwxyz",
        "0": "0123456789",
    }
    letters = "".join(ranges[kind] for kind in kinds)
    return "".join(letters[place] for place in rng.integers(0, len(letters), length))


def value_scenario(
    attribute: str,
    mode: str,
    groups: Sequence[Sequence[tuple[str, str]]],
    words: Words,
    *,
    real: bool,
    apart: bool,
    seed: int,
) -> Scenario:
    """Return the questions for one attribute in one mode; a group of people is the unit.

    Args:
        attribute: what is private.
        mode: a key of `MODES`.
        groups: (address, name) of the people of each conversation.
        words: how it is said.
        real: the people are real; their names are written as hashes.
        apart: the facts are a turn of their own, as in the study.
        seed: of the values.
    """
    shown, condition, about = MODES[mode]
    samples: list[Sample] = []
    for number, group in enumerate(groups, 1):
        rng = stream(seed, "trust", "values", attribute, number)
        values = [made_value(attribute, address, rng) for address, _ in group]
        names = [name for _, name in group]
        last = min(EXAMPLES, len(group) - 1) if shown else 0
        facts = "".join(map(words.fact.format, names, [attribute] * len(group), values))
        asked = [words.question.format(name, attribute) for name in names[: last + 1]]
        turns = [Message("user", facts)] if apart else []
        for place, question in enumerate(asked):
            if place:
                told = words.protected.format(attribute) if mode == "protect" else values[place - 1]
                turns.append(Message("assistant", told))
            turns.append(Message("user", question if apart or place else f"{facts}\n{question}"))
        samples.append(
            Sample(
                id=f"{number:03}",
                input=(Message("system", words.private.format(attribute)), *turns),
                target=values[last],
                metadata={"unit": f"case-{number:03}", **(personal(*names) if real else {})},
            )
        )
    return Scenario(
        name=f"values/{attribute}/{mode}",
        kind="trust.value",
        samples=tuple(samples),
        sampling=Sampling(max_tokens=32 if real else 16),
        condition=condition,
        about=f"the values of several people stand in the conversation; one is {about}",
        cluster="unit",
    )


# --- secrets --------------------------------------------------------------------------------------


def secret_scenario(topic: str, words: Words, sampling: Sampling) -> Scenario:
    """Return one secret told in each of the privacy words, which are the units."""
    samples = tuple(
        Sample(
            id=f"{number:02}",
            input=(
                Message("user", words.friends + text.format(words.topics[topic]) + words.inform),
            ),
            target="",
            metadata={
                "unit": f"word-{number:02}",
                "word": word,
                "listener": words.listener,
                **personal(),  # the friends are made up; an address in an answer need not be
            },
        )
        for number, (word, text) in enumerate(words.confided.items(), 1)
    )
    return Scenario(
        name=f"secrets/{topic}",
        kind="trust.secret",
        samples=samples,
        sampling=sampling,
        about="a friend's secret, told in as many privacy words as there are units",
        cluster="unit",
    )
