"""A counted funnel: how many rows came to each rule, how many it left out, and for what reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any


class Funnel:
    """Counts what goes in and what each stage takes out.

    Args:
        stages: the stages in the order in which rows meet them.
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self.stages = tuple(stages)
        self.total = 0
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.alone: Counter[str] = Counter()

    def drop(self, stage: str, reason: str) -> None:
        """Count a row that a stage leaves out."""
        self.dropped[stage, reason] += 1

    def reasons(self) -> dict[str, int]:
        """Return how often each reason was given, the most frequent first."""
        counts: Counter[str] = Counter()
        for (_, reason), count in self.dropped.items():
            counts[reason] += count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def table(self) -> list[dict[str, Any]]:
        """Return the stages in order: stage, in, dropped, out, reasons, and alone.

        `alone` counts rows that no other rule would have left out, of those whose text was read.

        >>> funnel = Funnel(["score", "length"])
        >>> funnel.total = 10
        >>> funnel.drop("length", "too short")
        >>> [(stage["stage"], stage["in"], stage["out"]) for stage in funnel.table()]
        [('score', 10, 10), ('length', 10, 9)]
        """
        rows, left = [], self.total
        for stage in self.stages:
            reasons = {why: n for (name, why), n in sorted(self.dropped.items()) if name == stage}
            lost = sum(reasons.values())
            rows.append(
                {
                    "stage": stage,
                    "in": left,
                    "dropped": lost,
                    "out": left - lost,
                    "reasons": reasons,
                    "alone": self.alone[stage],
                }
            )
            left -= lost
        return rows

    def binding(self) -> tuple[str, str, int, bool] | None:
        """Return the stage that keeps most rows out, its commonest reason, how many, and `alone`.

        A rule that alone keeps rows out binds before one whose rows others would drop as well;
        None where nothing was dropped. Rows that are merely not picked do not count.
        """
        lost = self._lost()
        if not lost:
            return None
        counts = self.alone if self.alone.total() else lost
        stage = max(self.stages, key=lambda name: (counts[name], lost[name]))
        return stage, self._reason(stage), counts[stage], bool(self.alone.total())

    def most(self) -> tuple[str, str, int] | None:
        """Return the stage that left most rows out, its commonest reason, and how many."""
        lost = self._lost()
        if not lost:
            return None
        stage = max(self.stages, key=lambda name: lost[name])
        return stage, self._reason(stage), lost[stage]

    def _lost(self) -> Counter[str]:
        lost: Counter[str] = Counter()
        for (stage, _), count in self.dropped.items():
            if stage != "picked":
                lost[stage] += count
        return lost

    def _reason(self, stage: str) -> str:
        reasons = {why: n for (name, why), n in self.dropped.items() if name == stage}
        return max(sorted(reasons), key=lambda why: reasons[why])
