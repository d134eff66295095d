"""Count the n-grams of corpora: streamed, in memory of fixed size, with exact final counts.

One hash table counts documents and occurrences of both corpora. Where the distinct n-grams
outgrow it, a count-min sketch that was kept beside it (Cormode & Muthukrishnan 2005, updated
conservatively) tells which n-grams can be frequent; a second reading counts just these. The
sketch never undercounts, so that all n-grams from the stated number of documents on are counted,
and exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from togi.data.kernels.table import DOCUMENTS, FIRST, FRESH, OCCURRENCES, ORDERS
from togi.data.ngram_tally import LARGEST, Tally
from togi.data.ngram_words import Wording, is_content
from togi.errors import DataError, UsageError

Texts: TypeAlias = Iterable[str]
"""A corpus; it is gone through two or three times."""

BLOCK = 1 << 19  # characters of texts that go to the kernels at once
SHOWN_WHOLE = 200  # characters of a text that an example shows as it is
AROUND = 8  # words before and behind an n-gram in an example of a longer one


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large two corpora are.

    Attributes:
        documents: of each corpus, words or none.
        in_documents: int64[8, 2], by order: the n-grams of each document counted once.
        occurrences: int64[8, 2], by order: all n-grams.
    """

    documents: tuple[int, int]
    in_documents: np.ndarray
    occurrences: np.ndarray


@dataclass(frozen=True, slots=True)
class Counted:
    """n-grams of two corpora with their counts, in no particular order.

    Attributes:
        names: the words of each, joined by single spaces; none where only keys were asked for.
        orders: int64[m], words of each.
        documents: int64[m, 2], documents of each corpus that hold it.
        occurrences: int64[m, 2], times that it stands in each corpus.
        sizes: of the corpora.
        least: every n-gram in at least so many documents of both together is here.
        examples: a short document that holds each, or the words around it in a longer one.
        keys: uint64[m], the n-grams' hashes, ascending, where they were counted here.
    """

    names: list[str]
    orders: np.ndarray
    documents: np.ndarray
    occurrences: np.ndarray
    sizes: Sizes
    least: int = 1
    examples: list[str] | None = None
    keys: np.ndarray | None = None


def count_ngrams(
    corpora: Sequence[Texts],
    wording: Wording | None = None,
    *,
    orders: tuple[int, int] = (1, 3),
    least: int = 1,
    places: int = LARGEST,
    named: bool = True,
) -> Counted:
    """Count the n-grams of one corpus or two.

    Args:
        corpora: one or two corpora of texts, each of which can be gone through again.
        wording: how texts become words.
        orders: shortest and longest n-gram, in words: 1 to 7.
        least: leave out n-grams in fewer documents than that, both corpora together.
        places: places of the table, a power of two; each takes 32 bytes.
        named: without names, which take another reading, counts can only be found by their keys.

    Returns:
        The counts. `least` of it is larger than asked for where that was needed to stay within
        the table.

    Raises:
        UsageError: for orders that are not in range.
        DataError: a corpus without documents, or that changed between two readings.

    >>> found = count_ngrams([["a b", "b a b"], ["b"]], orders=(1, 2))
    >>> [(name, docs) for name, docs in zip(found.names, found.documents.tolist()) if " " in name]
    [('a b', [2, 0]), ('b a', [1, 0])]
    """
    if not 1 <= orders[0] <= orders[1] < ORDERS:
        raise UsageError(
            "these n-gram orders are out of range",
            found=f"{orders[0]} to {orders[1]}",
            expected=f"1 to {ORDERS - 1}, the shortest first",
        )
    wording = wording or Wording()
    tally = _read(Tally(wording, orders, places=places), corpora)
    bound = 0
    while tally.full:
        bound = max(tally.bearable() if not bound else 2 * bound, least)
        again = Tally(wording, orders, places=places, sketch=tally.sketch, least=bound)
        tally = _read(again, corpora)
    keys, rows = tally.taken()
    least = max(least, bound)
    kept = rows[:, DOCUMENTS : DOCUMENTS + 2].sum(axis=1, dtype=np.int64) >= least
    keys, rows = keys[kept], rows[kept].astype(np.int64)
    first = rows[:, FIRST : FIRST + 2]
    names, examples = _named(tally, keys, first, corpora) if named else ([], [])
    totals = tally.totals.reshape(2, 2, ORDERS)
    sizes = Sizes((tally.documents[0], tally.documents[1]), totals[:, 1].T, totals[:, 0].T)
    return Counted(
        names=names,
        orders=(keys & np.uint64(ORDERS - 1)).astype(np.int64),
        documents=rows[:, DOCUMENTS : DOCUMENTS + 2],
        occurrences=rows[:, OCCURRENCES : OCCURRENCES + 2],
        sizes=sizes,
        least=least,
        examples=examples,
        keys=keys,
    )


def frequent(counted: Counted, least: int, content_only: bool = False) -> Counted:
    """Return the n-grams in at least so many documents of both corpora together.

    Args:
        counted: the counts.
        least: of documents; below ten or so no test can find anything.
        content_only: leave out n-grams that begin or end with an English function word.
    """
    kept = counted.documents.sum(axis=1) >= least
    if content_only:
        kept &= np.array([is_content(name.split(" ")) for name in counted.names], bool)
    places = np.flatnonzero(kept)
    examples, keys = counted.examples, counted.keys
    return Counted(
        names=[counted.names[place] for place in places],
        orders=counted.orders[places],
        documents=counted.documents[places],
        occurrences=counted.occurrences[places],
        sizes=counted.sizes,
        least=max(least, counted.least),
        examples=[examples[place] for place in places] if examples is not None else None,
        keys=keys[places] if keys is not None else None,
    )


def _read(tally: Tally, corpora: Sequence[Texts]) -> Tally:
    for group, texts in enumerate(corpora):
        for block in _blocks(texts):
            tally.add(block, group)
        if not tally.documents[group]:
            raise DataError("there is no document", where=f"corpus {group + 1}")
    return tally


def _blocks(texts: Texts) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text) + 1
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _named(
    tally: Tally, keys: np.ndarray, first: np.ndarray, corpora: Sequence[Texts]
) -> tuple[list[str], list[str]]:
    """Read the first document of each n-gram again, for its words and a piece around them.

    The first document is that of the last corpus that holds it.
    """
    group = np.where(first[:, len(corpora) - 1] > 0, len(corpora) - 1, 0)
    number = first[np.arange(len(first)), group]
    names: dict[int, str] = {}
    pieces: dict[int, str] = {}
    for which, texts in enumerate(corpora):
        wanted = set(number[group == which].tolist())
        last = max(wanted, default=0)
        for place, text in enumerate(texts, 1):
            if place > last:
                break
            if place in wanted:
                _take_names(tally, text, keys, names, pieces)
    missing = [key for key in keys.tolist() if key not in names]
    if missing:
        raise DataError(
            "a corpus changed while it was read",
            where="counting n-grams",
            found=f"{len(missing)} n-grams that were not there again",
            hint="run the same command again",
        )
    return [names[key] for key in keys.tolist()], [pieces[key] for key in keys.tolist()]


def _take_names(
    tally: Tally, text: str, keys: np.ndarray, names: dict[int, str], pieces: dict[int, str]
) -> None:
    """Note the words, and a piece of the text around them, of its n-grams that are wanted."""
    found = tally.keys([text])[0] & ~np.uint64(FRESH)
    places = np.searchsorted(keys, found)
    wanted = np.flatnonzero(keys[np.minimum(places, len(keys) - 1)] == found)
    shortest, longest = tally.orders
    words = tally.wording.words(text)
    sizes = np.clip(np.arange(len(words)) + 1, shortest - 1, longest) - shortest + 1
    starts = np.cumsum(sizes) - sizes  # where the n-grams that end at each word begin
    ends = np.searchsorted(starts, wanted, side="right") - 1
    begins = ends + 1 - (shortest + wanted - starts[ends])
    whole = " ".join(text.split()) if len(text) <= SHOWN_WHOLE else ""
    for begin, end, key in zip(begins.tolist(), ends.tolist(), found[wanted].tolist(), strict=True):
        if key not in names:
            names[key] = " ".join(words[begin : end + 1])
            pieces[key] = whole or " ".join(words[max(0, begin - AROUND) : end + 1 + AROUND])
