"""The names that a page has shown, gathered while it is made, so that each can be defined."""

from __future__ import annotations

from dataclasses import dataclass

from togi.report.tables import Ids, Link
from togi.report.words import look_up, unit

UNKNOWN = "no definition known"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of the glossary."""

    id: str
    name: str
    definition: str
    healthy: str
    action: str
    unit: str


class Names:
    """Gives out links to a glossary that holds exactly the names that were asked for.

    >>> names = Names(Ids())
    >>> names("grad_norm").href, [entry.name for entry in names.entries()]
    ('#word-grad-norm', ['grad_norm'])
    >>> names("glorp") and names.entries()[0].definition
    'no definition known'
    """

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self._seen: dict[str, tuple[str, str]] = {}

    def __call__(self, name: str, definition: str = "") -> Link:
        """Return a link to the name's entry; `definition` is the run's own and goes first."""
        place, known = self._seen.get(name, ("", ""))
        place = place or self.ids("word", name)
        self._seen[name] = (place, known or definition)
        return Link(name, f"#{place}")

    def entries(self) -> list[Entry]:
        """Return the entries of all names seen, in alphabetical order."""
        return [
            self._entry(name, *self._seen[name])
            for name in sorted(self._seen, key=lambda name: name.casefold())
        ]

    def _entry(self, name: str, place: str, own: str) -> Entry:
        word = look_up(name)
        definition = own or (word.definition if word else UNKNOWN)
        healthy, action = (word.healthy, word.action) if word else ("", "")
        return Entry(place, name, definition, healthy, action, unit(name))
