"""Clean hands: no row twice in a pool, nothing of the held-out rows in it, whole groups held out.

Overlap by shared runs of words follows Brown et al. 2020 (appendix C): 13 words in a row that
also stand in held-out text. As there, runs that many held-out rows share (a licence, an
instruction) are no sign of leakage and are left out of the comparison.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, nearest
from togi.rows.types import Document, Dropped, Example, Feedback, Preference, Prompt, Ranking, Row
from togi.stats.rng import stream

RUN = 13  # words
LEAST = 20  # characters of a text whose equality means something; "yes" does not
COMMON = 0.05  # share of held-out rows from which on a run of words is common to them
WORDS = re.compile(r"\w+")
FENCE = re.compile(r"(`{3,})[^\n`]*\n(.*?)\n\1", re.DOTALL)
FACTOR = np.uint64(0x9E3779B97F4A7C15)

R = TypeVar("R", bound=Row)


def _question(prompt: Prompt) -> str:
    """Return what a prompt asks about: its fenced code where there is some, else its last turn."""
    text = prompt if isinstance(prompt, str) else prompt[-1].content if prompt else ""
    fenced = FENCE.findall(text)
    return "\n".join(code for _, code in fenced) if fenced else text


def parts(row: Row) -> tuple[str, ...]:
    r"""Return the texts by which a row is compared: its question first, then its answers.

    >>> from togi.rows.types import Message
    >>> ask = Message("user", "What does it do?\n```python\ndef f(): pass\n```")
    >>> parts(Example(id="a", prompt=(ask,), response="Nothing."))
    ('def f(): pass', 'Nothing.')
    """
    if isinstance(row, Document):
        return (row.text,)
    if isinstance(row, Example | Feedback):
        return (_question(row.prompt), row.response)
    if isinstance(row, Preference):
        return (_question(row.prompt), row.chosen, row.rejected)
    if isinstance(row, Ranking):
        return (_question(row.prompt), *row.responses)
    target = row.target if isinstance(row.target, str) else row.choices[row.target]
    return (_question(row.input), target, *row.choices)


def normalised(text: str) -> str:
    r"""Return a text in lower case with single spaces.

    >>> normalised("Return\n   X. ")
    'return x.'
    """
    return " ".join(text.lower().split())


def _digest(*texts: str) -> bytes:
    joined = "\x1f".join(normalised(text) for text in texts)
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=12).digest()


class _Runs:
    """Hashes of runs of words: each word has a 64-bit number, a run is their polynomial."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.numbers: dict[str, int] = {}

    def _number(self, word: str) -> int:
        known = self.numbers.get(word)
        if known is None:
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8)
            known = self.numbers[word] = int.from_bytes(digest.digest(), "little")
        return known

    def of(self, text: str) -> NDArray[np.uint64]:
        """Return the hash of each run in a text, in order."""
        words = WORDS.findall(text.lower())
        count = len(words) - self.length + 1
        if count < 1:
            return np.empty(0, np.uint64)
        numbers = np.fromiter(map(self._number, words), np.uint64, len(words))
        hashes = np.zeros(count, np.uint64)
        for i in range(self.length):
            hashes *= FACTOR
            hashes += numbers[i : i + count]
        return hashes


class HeldOut:
    """What must not stand in the pool: an index of the held-out rows.

    Args:
        rows: the held-out rows.
        run: so many equal words in a row are an overlap.
        least: a question or answer of fewer characters is not compared as a whole.
        common: a run in more than this share of the rows (and more than one) is not compared.
    """

    def __init__(
        self, rows: Iterable[Row], *, run: int = RUN, least: int = LEAST, common: float = COMMON
    ) -> None:
        self.least, self.runs = least, _Runs(run)
        self.questions: set[bytes] = set()
        self.answers: set[bytes] = set()
        counts: Counter[int] = Counter()
        total = 0
        for row in rows:
            total += 1
            question, *answers = parts(row)
            self.questions.update(self._whole([question]))
            self.answers.update(self._whole(answers))
            found: set[int] = set()
            for text in (question, *answers):
                found.update(self.runs.of(text).tolist())
            counts.update(found)
        most = max(1.0, common * total)
        self.seen = frozenset(value for value, count in counts.items() if count <= most)

    def _whole(self, texts: Iterable[str]) -> list[bytes]:
        return [_digest(text) for text in texts if len(normalised(text)) >= self.least]

    def overlap(self, row: Row) -> str:
        """Return why a row overlaps with the held-out rows, "" if it does not."""
        question, *answers = parts(row)
        if not self.questions.isdisjoint(self._whole([question])):
            return "its question or source stands in held-out rows"
        if not self.answers.isdisjoint(self._whole(answers)):
            return "its answer stands in held-out rows"
        for text in (question, *answers):
            if not self.seen.isdisjoint(self.runs.of(text).tolist()):
                return f"shares {self.runs.length} words in a row with held-out rows"
        return ""


def exact_duplicates(rows: Iterable[R]) -> tuple[list[R], list[Dropped]]:
    """Keep the first of rows whose texts are the same but for case and white space.

    >>> rows = [Document(id="a", text="Hello  world"), Document(id="b", text="hello world")]
    >>> kept, dropped = exact_duplicates(rows)
    >>> [row.id for row in kept], [(d.id, d.reason) for d in dropped]
    (['a'], [('b', 'duplicate of another row')])
    """
    seen: set[bytes] = set()
    kept: list[R] = []
    dropped: list[Dropped] = []
    for row in rows:
        digest = _digest(*parts(row))
        if digest in seen:
            dropped.append(Dropped(row.id, "duplicate of another row"))
        else:
            seen.add(digest)
            kept.append(row)
    return kept, dropped


def clean_pool(
    pool: Iterable[R],
    held_out: Iterable[Row],
    *,
    run: int = RUN,
    least: int = LEAST,
    common: float = COMMON,
) -> tuple[list[R], list[Dropped]]:
    """Drop from a pool its duplicates and whatever overlaps with held-out rows.

    Args:
        pool: rows to choose from.
        held_out: rows to judge on; none means that only duplicates are dropped.
        run: so many equal words in a row are an overlap (Brown et al. 2020: 13).
        least: a question or answer of fewer characters is not compared as a whole.
        common: a run of words in more than this share of the held-out rows is not compared.

    Returns:
        The rows that stay, in the pool's order, and those dropped with their reasons.
    """
    kept: list[R] = []
    unique, dropped = exact_duplicates(pool)
    index = HeldOut(held_out, run=run, least=least, common=common)
    for row in unique:
        reason = index.overlap(row)
        if reason:
            dropped.append(Dropped(row.id, reason))
        else:
            kept.append(row)
    return kept, dropped


def _group_of(row: Row, by: str | Callable[[Row], Hashable]) -> Hashable:
    if callable(by):
        return by(row)
    if by not in row.metadata:
        raise DataError(
            f"the row has no metadata '{by}' to group by",
            where=row.id,
            found=", ".join(row.metadata) or "no metadata",
            hint=nearest(by, row.metadata) if row.metadata else "",
        )
    return str(row.metadata[by])


def split_by_group(
    rows: Sequence[R],
    by: str | Callable[[Row], Hashable],
    *,
    fraction: float = 0.1,
    seed: int = 0,
    names: Collection[Hashable] = (),
) -> tuple[list[R], list[R]]:
    """Hold whole groups out, so that no module or document is on both sides.

    Args:
        rows: the rows to split.
        by: a metadata key, or a function from a row to its group.
        fraction: share of the rows to hold out, in (0, 1). Groups are drawn in random order and
            taken while they fit; the first is taken even if it alone is more than the share.
        seed: of the draw; the same rows and seed give the same split.
        names: hold out just these groups, instead of a fraction.

    Returns:
        The rows that are kept and those held out, both in the order given.

    Raises:
        DataError: a row lacks the key, a name is no group, or one side would be empty.
    """
    groups = [_group_of(row, by) for row in rows]
    sizes = Counter(groups)
    if names:
        for name in names:
            if name not in sizes:
                raise DataError(
                    f"no group is named '{name}'", hint=nearest(str(name), map(str, sizes))
                )
        chosen = set(names)
    else:
        chosen = _drawn(sizes, fraction, seed)
    kept = [row for row, group in zip(rows, groups, strict=True) if group not in chosen]
    held = [row for row, group in zip(rows, groups, strict=True) if group in chosen]
    if not kept or not held:
        raise DataError(
            "the split leaves one side empty",
            found=f"{len(rows)} rows in {len(sizes)} groups",
            expected="at least two groups",
            hint="split by a finer key",
        )
    return kept, held


def _drawn(sizes: Counter[Hashable], fraction: float, seed: int) -> set[Hashable]:
    """Draw groups until their rows come to the fraction."""
    if not 0 < fraction < 1:
        raise DataError(f"fraction must lie in (0, 1), got {fraction}")
    target = fraction * sizes.total()
    order = sorted(sizes, key=repr)
    stream(seed, "split").shuffle(order)
    chosen: set[Hashable] = set()
    held = 0
    for group in order:
        if not chosen or held + sizes[group] <= target:
            chosen.add(group)
            held += sizes[group]
    return chosen
