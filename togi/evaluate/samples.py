"""From rows to the samples of a task, with a counted reason for each row that is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from togi.evaluate.asking import Asking
from togi.evaluate.kinds import TASK_KINDS
from togi.rows.types import Document, Dropped, Example, Preference, Ranking, Row, Sample
from togi.stats import stream


def to_sample(row: Row, kind: str) -> Sample | Dropped:
    """Return the question that a row asks under a kind of task.

    A document is its own target; an example's target is its response. Under multiple choice the
    better of two or more answers is the right choice, otherwise it is the target. A thumb up or
    down is a question only where the model shall answer by itself.

    >>> to_sample(Example(id="1", prompt="2 + 2 =", response=" 4"), "bits_per_byte").target
    ' 4'
    >>> to_sample(Preference(id="1", prompt="?", chosen="a", rejected="b"), "multiple_choice")
    Sample(id='1', input='?', target=0, choices=('a', 'b'), metadata={})
    """
    if isinstance(row, Sample):
        return row
    if isinstance(row, Document):
        return Sample(id=row.id, input="", target=row.text, metadata=row.metadata)
    if isinstance(row, Example):
        return Sample(id=row.id, input=row.prompt, target=row.response, metadata=row.metadata)
    if isinstance(row, Preference | Ranking):
        two = isinstance(row, Preference)
        answers = (row.chosen, row.rejected) if two else tuple(row.responses)
        if kind == "multiple_choice":
            return Sample(
                id=row.id, input=row.prompt, target=0, choices=answers, metadata=row.metadata
            )
        return Sample(id=row.id, input=row.prompt, target=answers[0], metadata=row.metadata)
    if kind == "answer":
        return Sample(id=row.id, input=row.prompt, target="", metadata=row.metadata)
    return Dropped(row.id, f"a row of {type(row).__name__} asks nothing", row)


def fit_samples(
    rows: Iterable[Row], kind: str, asking: Asking
) -> tuple[list[Sample], list[Dropped]]:
    """Return the samples that can be judged in this way, and the rows that cannot.

    A row whose id has occurred already is left out too.
    """
    kept: dict[str, Sample] = {}
    dropped: list[Dropped] = []
    for row in rows:
        sample = to_sample(row, kind)
        if isinstance(sample, Dropped):
            dropped.append(sample)
        elif reason := TASK_KINDS[kind].unfit(asking, sample):
            dropped.append(Dropped(sample.id, reason, row))
        elif sample.id in kept:
            dropped.append(Dropped(sample.id, "its id has occurred before", row))
        else:
            kept[sample.id] = sample
    return list(kept.values()), dropped


def choose(
    samples: Sequence[Sample], *, shots: int, limit: int | None, seed: int, name: str
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Return the solved examples and the samples to judge, drawn by the seed, in their order.

    The examples are taken first, so that they are the same whatever the limit; no sample is
    both.
    """
    order = [int(i) for i in stream(seed, "judge", name).permutation(len(samples))]
    shown, rest = order[:shots], order[shots:]
    judged = sorted(rest if limit is None else rest[:limit])
    return tuple(samples[i] for i in shown), tuple(samples[i] for i in judged)
