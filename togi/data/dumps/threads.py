"""Questions and their answers joined by numbers alone: 16 bytes a question, 28 an answer.

A dump is read once for ids, scores and places; only the threads that are wanted are read again,
with their texts. So memory does not depend on how long the posts are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

Ints: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


class Thread(NamedTuple):
    """Where a question and its top answer stand, the answer's key and its score."""

    question: int
    answer: int
    key: int
    score: int


class Lost(NamedTuple):
    """An answer that is in no thread, and the rule by which it is not."""

    key: int
    rule: str


class Threads:
    """What is known of all posts before any text is kept."""

    def __init__(self) -> None:
        self.questions, self.asked_at = array("q"), array("q")
        self.answers, self.parents, self.answered_at = array("q"), array("q"), array("q")
        self.scores = array("i")

    def ask(self, key: int, place: int) -> None:
        """Note a question."""
        self.questions.append(key)
        self.asked_at.append(place)

    def answer(self, key: int, parent: int, score: int, place: int) -> None:
        """Note an answer to the question `parent`."""
        self.answers.append(key)
        self.parents.append(parent)
        self.scores.append(score)
        self.answered_at.append(place)

    def counts(self) -> dict[float, int]:
        """Return how many answers have each score."""
        values, counts = np.unique(np.asarray(self.scores), return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    def joined(self, floor: float) -> Iterator[Thread | Lost]:
        """Yield each question's best answer in the questions' order, and what is lost before them.

        An answer is lost for its score if that is below the floor, as one of its question's lesser
        answers ("top_answer"), or because its question is not there ("question"). Of equal scores
        the older answer (the smaller key) is the best.
        """
        columns = (self.answers, self.parents, self.scores, self.answered_at)
        keys, parents, scores, places = (np.asarray(column) for column in columns)
        low = scores < floor
        yield from (Lost(key, "score") for key in keys[low].tolist())
        keep = np.flatnonzero(~low)
        keep = keep[np.lexsort((keys[keep], -scores[keep].astype(np.int64), parents[keep]))]
        first = np.ones(len(keep), dtype=bool)
        first[1:] = parents[keep][1:] != parents[keep][:-1]
        yield from (Lost(key, "top_answer") for key in keys[keep[~first]].tolist())
        top = keep[first]
        asked_at, found = self._questions_of(parents[top])
        yield from (Lost(key, "question") for key in keys[top[~found]].tolist())
        top, asked_at = top[found], asked_at[found]
        order = np.argsort(asked_at, kind="stable")
        for asked, best in zip(asked_at[order].tolist(), top[order].tolist(), strict=True):
            yield Thread(asked, int(places[best]), int(keys[best]), int(scores[best]))

    def _questions_of(self, parents: Ints) -> tuple[Ints, np.ndarray]:
        """Return where these questions stand, and whether they do."""
        questions, asked_at = np.asarray(self.questions), np.asarray(self.asked_at)
        if not len(questions):
            return np.zeros(len(parents), dtype=np.int64), np.zeros(len(parents), dtype=bool)
        order = np.argsort(questions, kind="stable")
        spots = np.searchsorted(questions, parents, sorter=order)
        spots = order[np.minimum(spots, len(order) - 1)]
        return asked_at[spots], questions[spots] == parents
