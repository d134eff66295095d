"""Reading answers: one label out of several, a refusal, or nothing that can be understood."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from togi.evaluate.answers import refusal_like
from togi.evaluate.asking import Answer, Asking, Measure, Question, TaskKind
from togi.lm.base import Generated
from togi.rows.types import Sample

ENDS = ("</s>", "<|im_end|>", "<|endoftext|>")
"""Marks of an answer's end that a server may leave in the text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer was read as.

    Attributes:
        label: the place of the label among the choices; None where there is none.
        refused: whether it has no label because the model refused.
    """

    label: int | None
    refused: bool = False

    @property
    def unparsed(self) -> bool:
        """Whether it is neither a label nor a refusal."""
        return self.label is None and not self.refused


Reader: TypeAlias = Callable[[str, Sample], Reading]
"""From an answer and what was asked to what it says."""


def cleaned(text: str) -> str:
    """Return an answer in lower case without a leading "answer:" and what follows an end mark.

    >>> cleaned("Answer: Yes.</s> And so on"), cleaned("It’s fine")
    ('yes.', "it's fine")
    """
    plain = text.replace("’", "'").lower()
    for mark in ENDS:
        plain = plain.partition(mark)[0]
    return re.sub(r"^\W*answer\s*:", "", plain).strip()


def first_clause(text: str) -> str:
    r"""Return what stands before the first full stop, comma or line break.

    >>> first_clause("yes, because.\nNo"), first_clause(" no")
    ('yes', 'no')
    """
    return re.split(r"[.,\n]", text.strip(), maxsplit=1)[0].strip()


EVERYDAY = ("yes", "no")
"""Labels that are everyday words too; they are read where an answer stands, not in "no idea"."""
STAND = r"^\W*$|\b(?:answer|label|verdict|choice)(?: (?:is|would be))?\W*$"
"""What may stand before such a label; nothing but marks may stand after it otherwise."""
NEGATION = r"(?:\bnot|n't|\bnever|\bneither|\bnor|\bno longer|\bhardly)\s+(?:\w+\s+)?$"


def labels_in(text: str, choices: Sequence[str]) -> set[int]:
    """Return which labels a text names, as whole words and without a negation before them.

    A longer label is found before a shorter one that it holds, so "not wrong" is not "wrong".
    A negated label counts as itself and as none: the text cannot be read then, and -1 says so.

    >>> labels_in("it is positive", ["negative", "positive"]), labels_in("nothing", ["no", "yes"])
    ({1}, set())
    >>> labels_in("that is not positive", ["negative", "positive"])
    {-1}
    >>> labels_in("not wrong at all", ["wrong", "not wrong"])
    {1}
    >>> labels_in("i have no idea", ["no", "yes"]), labels_in("the answer is no", ["no", "yes"])
    (set(), {0})
    """
    order = sorted(range(len(choices)), key=lambda place: -len(choices[place]))
    found: set[int] = set()
    for place in order:
        word = re.escape(choices[place].lower())
        for match in re.finditer(rf"(?<!\w){word}(?!\w)", text):
            before, after = text[: match.start()], text[match.end() :]
            if word in EVERYDAY and not re.search(STAND, before) and re.search(r"\w", after):
                continue
            found.add(-1 if re.search(NEGATION, before) else place)
        text = re.sub(rf"(?<!\w){word}(?!\w)", lambda m: "#" * len(m[0]), text)
    return found


def read_label(text: str, sample: Sample) -> Reading:
    """Read a label as people would.

    A first clause that is a label settles it. Else an answer that opens like a refusal is one.
    Else the first clause must name exactly one label, or where it names none, the whole answer.

    >>> sample = Sample(id="1", input="?", target=0, choices=("no", "yes"))
    >>> read_label("No, because yes is not known.", sample).label
    0
    >>> read_label("I know nothing now.", sample), read_label("I'm sorry, I can't say no.", sample)
    (Reading(label=None, refused=False), Reading(label=None, refused=True))
    """
    plain = cleaned(text)
    first = first_clause(plain)
    for place, choice in enumerate(sample.choices):
        if first == choice.lower():
            return Reading(place)
    if refusal_like(plain):
        return Reading(None, refused=True)
    named = labels_in(first, sample.choices) or labels_in(plain, sample.choices)
    place = named.pop() if len(named) == 1 else -1
    return Reading(None if place < 0 else place)


def decoded(replies: Sequence[Generated]) -> list[str]:
    """Return the replies' texts; half of a surrogate pair, which no UTF-8 file holds, is marked."""
    return [reply.text.encode("utf-8", "replace").decode() for reply in replies]


def averaged(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each number over the draws of one sample that know it.

    >>> averaged([{"correct": 1.0}, {"correct": 0.0}, {"correct": math.nan}])
    {'correct': 0.5}
    """
    means = {}
    for name in rows[0]:
        known = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = sum(known) / len(known) if known else math.nan
    return means


def answer_of(
    replies: Sequence[Generated], rows: Sequence[dict[str, float]], **detail: object
) -> Answer:
    """Return the answer to one sample: its first text, its numbers' means, all texts of several."""
    texts = decoded(replies)
    kept = {"finish": [reply.finish for reply in replies], **detail}
    if len(texts) > 1:
        kept["answers"] = texts
    return Answer(texts[0], averaged(rows), kept)


def ask_whole(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    """Ask a sample whose prompt holds all that is said, demonstrations included."""
    return Question(sample.input)


def share_measure(name: str, definition: str, *, higher: bool, compared: bool = True) -> Measure:
    """Return the measure of a share whose number has its name."""
    return Measure(
        name=name,
        unit="share",
        higher_is_better=higher,
        definition=definition,
        over=name,
        compared=compared,
    )


REFUSED = share_measure(
    "refused", "share of answers that say they will not or cannot answer", higher=False
)
UNPARSED = share_measure(
    "unparsed",
    "share of answers that are neither a refusal nor one of the answers asked for",
    higher=False,
)


More: TypeAlias = Callable[[Reading, Sample], dict[str, float]]
"""Further numbers of one answer."""


def label_kind(
    definition: str,
    published: Reader,
    *,
    more: More = lambda found, sample: {},
    measures: tuple[Measure, ...] = (),
) -> TaskKind:
    """Return a kind of task that has a model name one of the sample's choices.

    Its numbers are `correct`, `refused` and `unparsed`, means over the draws.

    Args:
        definition: one sentence for the report.
        published: how the published code reads an answer.
        more: further numbers of an answer.
        measures: of these numbers, after those that every such kind has.
    """

    def read(asking: Asking, sample: Sample, replies: Sequence[Generated]) -> Answer:
        reader = published if asking.published else read_label
        found = [reader(text, sample) for text in decoded(replies)]
        rows = [{**label_numbers(one, sample), **more(one, sample)} for one in found]
        return answer_of(replies, rows, labels=[one.label for one in found])

    return TaskKind(
        definition=definition,
        uses=("sampling", "published"),
        measures=lambda _: (*LABEL_MEASURES, *measures),
        unfit=label_unfit,
        ask=ask_whole,
        read=read,
    )


def label_unfit(asking: Asking, sample: Sample) -> str:
    """Say why a sample has no label to name; "" where it has."""
    if len(sample.choices) < 2:
        return "it has fewer than two choices"
    good = isinstance(sample.target, int) and 0 <= sample.target < len(sample.choices)
    return "" if good else "its target is not the place of a choice"


def label_numbers(found: Reading, sample: Sample) -> dict[str, float]:
    """Return the numbers of one answer.

    >>> sample = Sample(id="1", input="?", target=1, choices=("no", "yes"))
    >>> label_numbers(Reading(1), sample)["correct"]
    1.0
    """
    return {
        "correct": float(found.label == sample.target),
        "refused": float(found.refused),
        "unparsed": float(found.unparsed),
    }


LABEL_MEASURES = (
    share_measure("correct", "share of answers that name the right label", higher=True),
    REFUSED,
    UNPARSED,
)
