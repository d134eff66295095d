"""What the side of privacy asks for e-mail addresses: after their mail's words, or by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import regex

from togi.errors import DataError
from togi.evaluate.trust import protocol
from togi.evaluate.trust.material import Material, cell
from togi.evaluate.trust.side import Scenario
from togi.lm.base import Sampling
from togi.rows.types import Message, Sample
from togi.stats import derive

FOLDER = "privacy/enron_data"
CONTEXTS = (50, 100, 200)
"""Pieces of mail before an address that a context holds."""
SHOWN = {
    "zero_shot": ("one_shot", 0),
    "known_domain": ("one_shot", 0),
    "one_shot": ("one_shot", 1),
    "one_shot_other": ("one_shot_non_domain", 1),
    "five_shot": ("five_shot", 5),
    "five_shot_other": ("five_shot_non_domain", 5),
}
"""Family -> the file of its people, and how many others' addresses are shown."""


class Person(NamedTuple):
    """Somebody with an address, and others with theirs that are shown before."""

    address: str
    name: str
    others: tuple[tuple[str, str], ...] = ()
    "Address and name of each."


def personal(*texts: str) -> dict[str, list[str]]:
    """Return what a sample must say of itself so that these texts are written as hashes."""
    return {"personal": list(texts)}


def people(material: Material, file: str) -> list[Person]:
    """Return the people of a file of addresses.

    Raises:
        DataError: a file is missing, or somebody has no name.
    """
    names = {address: str(name) for address, name in _pairs(material, "email2name", "name")}
    found: list[Person] = []
    for address, others in _pairs(material, file, "prompt"):
        if address not in names:
            where = f"{FOLDER}/{file}"
            raise DataError("an address has no name", where=where, expected="a row of email2name")
        found.append(Person(address, names[address], tuple((a, n) for a, n in others)))
    return found


def _pairs(material: Material, file: str, key: str) -> Iterator[tuple[str, Any]]:
    """Yield address and value of a file, which is one object or one row a line."""
    lines = f"{FOLDER}/{file}.jsonl"
    if not material.find(lines) and material.find(f"{FOLDER}/{file}.json"):
        yield from material.json(f"{FOLDER}/{file}.json").items()
        return
    for number, row in enumerate(material.rows(lines), 1):
        where = f"{lines} line {number}"
        address = cell(row, "email", where=where)
        if key == "prompt" or key in row:
            yield address, cell(row, key, where=where)
        else:  # the hub keeps names and contexts as [[text]]
            yield address, cell(row, "prompt", where=where)[0][0]


def last_pieces(text: str, many: int) -> str:
    """Return the last pieces of a text: words with the space before them, numbers, marks.

    They are GPT-2's pieces before its vocabulary splits rare words, so that a context is a little
    longer than the study's, which counts GPT-2's tokens.

    >>> last_pieces("Send it to Ann, please", 3)
    ' Ann, please'
    """
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+"
    return "".join(regex.findall(pattern, text)[-many:])


def address_scenario(
    name: str, asked: Sequence[tuple[Person, str]], about: str, *, hide: Sequence[Sequence[str]]
) -> Scenario:
    """Return the scenario of some questions for addresses; the person is the unit."""
    samples = tuple(
        Sample(
            id=f"{number:04}",
            input=(Message("user", text),),
            target=person.address,
            metadata={
                "unit": f"{derive(0, 'person', person.address):016x}",
                **(personal(*hidden) if hidden else {}),
            },
        )
        for number, ((person, text), hidden) in enumerate(zip(asked, hide, strict=True), 1)
    )
    return Scenario(
        name=f"addresses/{name}",
        kind="trust.address",
        samples=samples,
        sampling=Sampling(max_tokens=16),
        about=about,
        cluster="unit",
    )


def asked_by_name(person: Person, family: str, phrasing: tuple[str, str]) -> str:
    """Return the question for a person's address after those of others.

    >>> asked_by_name(Person("a@b.c", "Ann", (("d@b.c", "Dan"),)), "one_shot", ("{}:", "{}: {}; "))
    'Dan: d@b.c; Ann:'
    """
    ask, show = phrasing
    shown = "".join(show.format(name, address) for address, name in person.others)
    many = SHOWN[family][1]
    before = shown if many else ""
    if family == "known_domain":
        before = protocol.KNOWN_DOMAIN.format(person.address.partition("@")[2])
    return before + ask.format(person.name)


def address_scenarios(material: Material, *, published: bool) -> list[Scenario]:
    """Build the study's 27 scenarios on e-mail addresses."""
    names = {address: str(name) for address, name in _pairs(material, "email2name", "name")}
    texts = [
        (Person(address, names.get(address, "")), str(text)[-1024:])
        for address, text in _pairs(material, "context", "context")
    ]
    found = [
        address_scenario(
            f"context/{many}",
            [(person, last_pieces(text, many)) for person, text in texts],
            f"{many} pieces of the mail that stand before the address",
            hide=[[last_pieces(text, many), person.name] for person, text in texts],
        )
        for many in CONTEXTS
    ]
    for family, (file, shown) in SHOWN.items():
        every = people(material, file)
        every = every[: len(every) // 5 * 5] if published else every  # the last batch was dropped
        about = f"asked by name after {shown or 'no'} others; {family.replace('_', ' ')}"
        for letter, phrasing in protocol.ADDRESS.items():
            asked = [(person, asked_by_name(person, family, phrasing)) for person in every]
            hide = [[p.name, *(name for _, name in p.others)] for p in every]
            found.append(address_scenario(f"{family}/{letter}", asked, about, hide=hide))
    return found
