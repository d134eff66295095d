"""Things to be described; names chosen for togi, public domain (CC0-1.0)."""

from __future__ import annotations

from typing import NamedTuple


class Group(NamedTuple):
    """Things of one kind: who knows them best, and their names."""

    expert: str
    names: tuple[str, ...]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


THINGS: dict[str, Group] = {
    "birds": Group(
        "ornithologist",
        _names("barn owl, kingfisher, flamingo, penguin, peacock, woodpecker, pelican, swallow"),
    ),
    "vehicles": Group(
        "car mechanic",
        _names("pickup truck, convertible, minivan, sports car, motorcycle, bus, tractor, hearse"),
    ),
    "instruments": Group(
        "musician",
        _names("violin, trumpet, harp, drum, flute, piano, accordion, banjo"),
    ),
    "tools": Group(
        "carpenter",
        _names("hammer, saw, chisel, drill, screwdriver, plane, tape measure, clamp"),
    ),
    "dishes": Group(
        "cook",
        _names("pancake, omelette, lasagna, sushi, apple pie, tomato soup, burger, salad"),
    ),
}
"""Kind of thing -> its expert and its things."""
