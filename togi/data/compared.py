"""A comparison as plain values: for `compare.json`, for a spreadsheet, and in one sentence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from togi.data.ngrams import Contrast, ranked
from togi.data.rates import ALL, Change, Rate, checked, compare_rates, count_rates
from togi.stats import wilson

if TYPE_CHECKING:
    from togi.data.compare import CompareSettings, Corpus

Names = tuple[str, str]
LONGER = 1.25  # times as many words a document, from where on lengths are worth a note
NESTED = 50  # n-grams of one trend that are named; the table names the trend of each


def plain(value: float) -> float | None:
    """Return a finite number, None for any other."""
    return float(value) if math.isfinite(value) else None


def sentence(found: Contrast, names: Names) -> str:
    """Say how many n-grams rose and fell."""
    rose, fell = found.found()
    folded = ""
    if rose + fell:
        up, down = (
            len(set(found.trend[found.significant & side].tolist()))
            for side in (found.rose, ~found.rose)
        )
        folded = f" With nested ones folded, {up:,} trends upwards and {down:,} downwards."
    return (
        f"Of {len(found.names):,} n-grams in at least {found.counted.least} documents, {rose:,} "
        f"rose and {fell:,} fell from {names[0]} to {names[1]} beyond chance (exact tests, "
        f"false discovery rate {100 * found.error:g} %).{folded}"
    )


def told(
    found: Contrast, names: Names, *, rank: Literal["z", "difference", "ratio"], top: int
) -> dict[str, Any]:
    """Return what `compare.json` says of the n-grams.

    Of each trend only the n-gram that stands for it is listed, the others by name within it;
    whatever is significant beyond the `top` ones is in the table of all.
    """
    members = found.members()
    up, down = found.rose & found.agrees, ~found.rose & found.agrees
    rising = [i for i in ranked(found, rank).tolist() if i in members and up[i]]
    fell_most = ranked(found, rank, falling=True).tolist()
    falling = [i for i in fell_most if i in members and down[i]]
    sizes = found.counted.sizes
    rose, fell = found.found()
    return {
        "sentence": sentence(found, names),
        "names": list(names),
        "documents": list(sizes.documents),
        "ngrams": {
            "documents": [int(n) for n in sizes.in_documents.sum(axis=0)],
            "occurrences": [int(n) for n in sizes.occurrences.sum(axis=0)],
        },
        "unit": found.unit,
        "test": "conditional binomial, exact" if found.rates else "Fisher's exact",
        "tested": len(found.names),
        "least": found.counted.least,
        "trends": len(members),
        "rose": rose,
        "fell": fell,
        "error": found.error,
        "level": found.level,
        "rms_z": plain(found.rms_z),
        "rank": rank,
        "rising": [_entry(found, place, members[place]) for place in rising[:top]],
        "falling": [_entry(found, place, members[place]) for place in falling[:top]],
        "notes": _notes(found, names),
    }


def _notes(found: Contrast, names: Names) -> list[str]:
    notes: list[str] = []
    counted = found.counted
    if not found.names:
        notes.append(
            f"No n-gram stands in {counted.least} documents of {names[0]} and {names[1]} together:"
            " there is too little text to tell anything; a smaller `least` tests rarer ones."
        )
    elif (counted.documents[:, 0] == counted.documents[:, 1]).all():
        notes.append(f"{names[0]} and {names[1]} hold the same n-grams equally often.")
    notes += _length_noted(found, names)
    if found.rms_z > 2:
        notes.append(
            f"z has a root mean square of {found.rms_z:.1f}, far above the 1 of chance alone: the "
            "two differ as a whole (in source, length or make-up), not in a few n-grams."
        )
    return notes


def _length_noted(found: Contrast, names: Names) -> list[str]:
    """Say where shares of documents differ because the documents' lengths do."""
    sizes, shortest = found.counted.sizes, int(found.counted.orders.min(initial=7))
    words = [
        occurrences / documents + shortest - 1
        for occurrences, documents in zip(
            sizes.occurrences[shortest].tolist(), sizes.documents, strict=True
        )
    ]
    if found.rates or not found.names or max(words) < LONGER * min(words):
        return []
    against = int((~found.agrees & (found.q <= found.error)).sum())
    return [
        f"Documents of {names[0]} have {words[0]:.0f} words and those of {names[1]} {words[1]:.0f}:"
        " the longer ones hold more of everything; `per_length: true` compares rates instead."
        f" {against:,} n-grams whose share of documents moved one way and whose share of n-grams"
        " the other are left out."
    ]


def _entry(found: Contrast, place: int, members: Sequence[int]) -> dict[str, Any]:
    counted = found.counted
    sizes = counted.sizes.documents
    documents = counted.documents[place].tolist()
    entry: dict[str, Any] = {
        "ngram": found.names[place],
        "documents": documents,
        "shares": [n / size for n, size in zip(documents, sizes, strict=True)],
        "occurrences": counted.occurrences[place].tolist(),
        "difference": found.difference.at(place, sum(sizes), found.level).as_dict(),
        "ratio": found.ratio.at(place, sum(sizes), found.level).as_dict(),
        "log_odds": found.odds.at(place, sum(sizes), found.level).as_dict(),
        "z": float(found.log_odds.z[place]),
        "p": float(found.p[place]),
        "q": float(found.q[place]),
        "significant": bool(found.significant[place]),
        "with": [found.names[other] for other in members[:NESTED]],
    }
    if counted.examples is not None:
        entry["example"] = counted.examples[place]
    return entry


def ngram_rows(found: Contrast, names: Names) -> Iterator[list[Any]]:
    """Yield the table of all tested n-grams, its head first, those that rose most on top.

    An n-gram begins with a letter, a digit or an underscore, so that no spreadsheet takes it for
    a formula; the two names are guarded against that.
    """
    a, b = (f"'{name}" if name[:1] in "=+-@\t\r" else name for name in names)
    yield [
        "ngram", "words", f"documents {a}", f"documents {b}", f"occurrences {a}",
        f"occurrences {b}", "difference", "difference low", "difference high", "ratio",
        "ratio low", "ratio high", "log odds", "log odds sd", "z", "p", "q", "significant", "trend",
    ]  # fmt: skip
    counted = found.counted
    for place in ranked(found).tolist():
        columns = (*found.difference, *found.ratio, found.log_odds.value, found.log_odds.sd)
        numbers = [*(column[place] for column in columns), found.log_odds.z[place]]
        yield [
            found.names[place],
            int(counted.orders[place]),
            *counted.documents[place].tolist(),
            *counted.occurrences[place].tolist(),
            *(f"{number:.6g}" for number in numbers),
            f"{found.p[place]:.4g}",
            f"{found.q[place]:.4g}",
            "yes" if found.significant[place] else "no",
            found.names[int(found.trend[place])],
        ]


def rates_told(
    settings: CompareSettings, corpora: Sequence[Corpus], names: Names
) -> list[dict[str, Any]]:
    """Return the rates by group that the settings ask for, and those given as plain numbers."""
    level = settings.level
    entries: list[dict[str, Any]] = []
    if settings.rate:
        key, _, value = settings.rate.partition("=")
        first, second = (
            count_rates((row.metadata for row, _ in corpus.rows()), key, value, settings.by)
            for corpus in corpora
        )
        changes = compare_rates(first, second, level=level)
        entries += [_change(group, names, change) for group, change in changes.items()]
        for rates, other, name in ((first, second, names[0]), (second, first, names[1])):
            lone = {group: rate for group, rate in rates.items() if group not in other}
            entries += [_lone(group, name, rate, level) for group, rate in lone.items()]
    known = [(name, Rate(*pair)) for name, pair in settings.counts.items()]
    for (before, one), (after, two) in itertools.pairwise(known):
        change = compare_rates({ALL: one}, {ALL: two}, level=level)[ALL]
        entries.append(_change("", (before, after), change))
    if len(known) == 1:
        entries.append(_lone("", *known[0], level))
    return entries


def _change(group: str, names: Names, change: Change) -> dict[str, Any]:
    return {
        "group": group,
        "names": list(names),
        "rates": [change.first.as_dict(), change.second.as_dict()],
        "difference": change.difference.as_dict(),
        "ratio": change.ratio.as_dict(),
        "p": change.p,
        "q": change.q,
    }


def _lone(group: str, name: str, rate: Rate, level: float) -> dict[str, Any]:
    """Return the rate of a group that the other side lacks."""
    checked(rate, group or name)
    rates = [wilson(rate.hits, rate.n, level).as_dict()]
    return {"group": group, "names": [name], "rates": rates}
