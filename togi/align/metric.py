"""Any measure as an objective for MeZO: accuracy among choices, exact match, F1, or a function.

The loss is minus the measure. It has no gradient, and MeZO needs none: it only compares the
measure at two perturbed sets of weights (Malladi et al. 2023, §3.3).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from togi.align.rewards import plain
from togi.align.rollout import Draw
from togi.align.user_function import UserFunction
from togi.errors import DataError, UsageError, nearest
from togi.lm.forward import Request, answer_scores
from togi.rows.types import Dropped, Example, Prompt, Sample

if TYPE_CHECKING:
    from togi.rows.chat import Renderer

ACCURACY = "accuracy"


def words(text: str) -> list[str]:
    """Return a text's words in lower case, without marks and articles, as SQuAD's F1 does.

    >>> words("The cat's hat.")
    ['cat', 's', 'hat']
    """
    return [w for w in re.findall(r"\w+", text.lower()) if w not in ("a", "an", "the")]


def f1(response: str, target: str) -> float:
    """Return the harmonic mean of precision and recall of words (Rajpurkar et al. 2016).

    >>> round(f1("the black cat", "a cat"), 4), f1("", "cat")
    (0.6667, 0.0)
    """
    ours, theirs = words(response), words(target)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    if not shared:
        return float(ours == theirs)
    precision, recall = shared / len(ours), shared / len(theirs)
    return 2 * precision * recall / (precision + recall)


def exact(response: str, target: str) -> float:
    """Return 1 where both have the same words, else 0.

    >>> exact("Paris.", "paris"), exact("Rome", "Paris")
    (1.0, 0.0)
    """
    return float(words(response) == words(target))


TEXT_METRICS: dict[str, Callable[[str, str], float]] = {"exact": exact, "f1": f1}


@dataclass(frozen=True, slots=True)
class MetricItem:
    """A question: its prompt's ids and target; or its choices as requests, and the right one."""

    id: str
    prompt: Prompt
    ids: tuple[int, ...]
    target: str
    choices: tuple[Request, ...] = ()
    right: int = 0
    metadata: Any = None


class Metric:
    """Minus a measure as the objective; an item weighs 1.

    Args:
        metric: accuracy, a key of `TEXT_METRICS`, or a user's `file.py:function`.
        draw: answers prompts; not needed for accuracy.
        seconds: time limit of one call of a function.
    """

    name = "metric"
    gradient_hint = "a measure has no gradient: set optimizer: mezo"

    def __init__(self, metric: str, *, draw: Draw | None = None, seconds: float = 30.0) -> None:
        known = (ACCURACY, *TEXT_METRICS)
        own = ".py:" in metric
        if metric not in known and not own:
            raise UsageError(
                "no such measure", where="metric", found=metric, expected=nearest(metric, known),
                hint="or file.py:function",
            )  # fmt: skip
        self.metric, self._draw = metric, draw
        self._function = UserFunction(metric, seconds=seconds) if own else None

    @property
    def chooses(self) -> bool:
        """Whether answers are chosen among choices and none is drawn."""
        return self.metric == ACCURACY

    def weight(self, item: MetricItem) -> float:
        """Return 1: each question counts the same."""
        return 1.0

    def cost(self, item: MetricItem) -> int:
        """Return the tokens that are read."""
        return len(item.ids) + sum(len(c.ids) - c.start for c in item.choices)

    def loss(
        self, model: Any, items: Sequence[MetricItem]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return minus the summed measure."""
        found = self._chosen(model, items) if self.chooses else self._answered(model, items)
        total = torch.tensor(-sum(found), dtype=torch.float64)
        return total, {"metric": (sum(found), float(len(found)))}

    def _chosen(self, model: Any, items: Sequence[MetricItem]) -> list[float]:
        requests = [choice for item in items for choice in item.choices]
        sums = answer_scores(model, requests).sums(len(requests)).detach()
        parts = sums.split([len(item.choices) for item in items])
        return [
            float(int(part.argmax()) == item.right) for part, item in zip(parts, items, strict=True)
        ]

    def _answered(self, model: Any, items: Sequence[MetricItem]) -> list[float]:
        if self._draw is None:
            raise UsageError("this measure looks at drawn answers", where=self.metric)
        drawn = self._draw(model, [item.ids for item in items], n=1, seed=0)
        texts = [replies[0].text for replies in drawn]
        if self._function is None:
            function = TEXT_METRICS[self.metric]
            return [function(text, item.target) for text, item in zip(texts, items, strict=True)]
        rows = [
            {
                "id": item.id, "prompt": plain(item.prompt), "response": text,
                "row": {"target": item.target, **dict(item.metadata or {})},
            }
            for text, item in zip(texts, items, strict=True)
        ]  # fmt: skip
        return self._function(rows)

    def close(self) -> None:
        """End the process of a user's function."""
        if self._function is not None:
            self._function.close()


def metric_items(
    rows: Iterable[Example | Sample], renderer: Renderer, *, choose: bool
) -> tuple[list[MetricItem], Counter[str]]:
    """Render questions, and count by reason those that were left out.

    Raises:
        DataError: for a row of another kind, or one without choices where they are needed.
    """
    items: list[MetricItem] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        prompt, answers, right = _asked(row, choose)
        sides = list(renderer.examples((row.id, prompt, answer) for answer in answers))
        lost = next((side for side in sides if isinstance(side, Dropped)), None)
        if lost is not None:
            dropped[lost.reason] += 1
            continue
        ids = renderer.prompt_ids(prompt)
        choices = tuple(
            Request((*s.prompt_ids, *s.answer_ids), max(1, len(s.prompt_ids)))
            for s in sides
            if not isinstance(s, Dropped)
        )
        kept = choices if choose else ()
        items.append(
            MetricItem(row.id, prompt, ids, answers[right], kept, right, dict(row.metadata))
        )
    return items, dropped


def _asked(row: Any, choose: bool) -> tuple[Prompt, tuple[str, ...], int]:
    if isinstance(row, Example) and not choose:
        return row.prompt, (row.response,), 0
    if isinstance(row, Sample) and isinstance(row.target, int):
        if choose:
            return row.input, row.choices, row.target
        return row.input, (row.choices[row.target],), 0
    if isinstance(row, Sample) and not choose:
        return row.input, (str(row.target),), 0
    raise DataError(
        "accuracy needs choices" if choose else "a measure needs questions with their answers",
        where=f"row {row.id}",
        found=type(row).__name__.lower(),
        expected="question, choices, answer" if choose else "prompt and response",
    )
