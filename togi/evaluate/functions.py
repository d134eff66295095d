"""A user's own Python function as a task: it is given the answer and the row, and returns a score.

The function lies in a file of the user's, `file.py:function`, and is called with as many of
(response, prompt, row) as it takes; `row` holds id, target, choices and metadata. It runs in a
process of its own, with the user's rights: it is the user's code, not a model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from togi.align.user_function import UserFunction, parse
from togi.errors import DataError, UsageError
from togi.evaluate.asking import Answer, Asking, Measure, TaskKind, parted, target_text
from togi.evaluate.matching import clean, generate_ask
from togi.evaluate.verdicts import conversation_text
from togi.rows.types import Sample
from togi.stats.edits import similarity

AGAIN = "mend the function and run the same command again; what was answered is kept"


def with_function(asking: Asking, spec: str) -> Asking:
    """Name the user's function, with a digest of its file: an edited one is asked anew.

    Raises:
        UsageError: not of the form `file.py:function`, or no such file.
    """
    from togi.lm.manifest import sha256_of

    path, _ = parse(spec)
    return replace(asking, function=spec, function_digest=sha256_of(path)[:16])


def _unfit(asking: Asking, sample: Sample) -> str:
    if not asking.function:
        raise UsageError(
            "the task names no function", where="function", expected="file.py:function"
        )
    return "" if sample.input else "it has no prompt"


def _row(sample: Sample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "target": sample.target,
        "choices": list(sample.choices),
        "metadata": dict(sample.metadata),
    }


def _grade(asking: Asking, samples: Sequence[Sample], replies: Sequence[Any]) -> list[Answer]:
    found = []
    with UserFunction(asking.function) as function:
        for sample, one in zip(samples, replies, strict=True):
            drawn, _ = parted(one)
            texts = [clean(reply.text) for reply in drawn]
            prompt, row = conversation_text(sample.input), _row(sample)
            calls = [
                {"id": sample.id, "response": text, "prompt": prompt, "row": row} for text in texts
            ]
            try:
                scores = function(calls)
            except DataError as error:
                error.hint = AGAIN
                raise
            target = target_text(sample)
            near = [similarity(text, target) for text in texts] if target else [np.nan]
            numbers = {"score": float(np.mean(scores)), "similarity": float(np.mean(near))}
            detail: dict[str, Any] = {"finish": [reply.finish for reply in drawn]}
            if len(texts) > 1:
                detail |= {"answers": texts, "scores": scores}
            found.append(Answer(texts[0], numbers, detail))
    return found


def _together(asking: Asking, sample: Sample, replies: Any) -> Answer:
    return _grade(asking, [sample], [replies])[0]


def _measures(asking: Asking) -> tuple[Measure, ...]:
    name = asking.function.rpartition("/")[2] or "the user's function"
    return (
        Measure(
            name="score",
            unit="score",
            higher_is_better=True,
            definition=f"mean of what {name} returns",
            over="score",
            partner="similarity",
        ),
        Measure(
            name="similarity",
            unit="share",
            higher_is_better=True,
            definition="1 minus the edit distance of answer and target, in words, digits and "
            "marks, over the longer one's length; unknown without a target",
            over="similarity",
            span=1.0,
        ),
    )


FUNCTION = TaskKind(
    definition="what a function of the user's own says of the model's answers",
    uses=("sampling", "function", "function_digest"),
    measures=_measures,
    unfit=_unfit,
    ask=generate_ask,
    read=_together,
    grade=_grade,
)
