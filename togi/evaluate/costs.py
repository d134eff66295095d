"""What a tuned model has cost: tokens, seconds, memory and parameters of its trainings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from togi.train.metrics import read_metrics

TOLD = "train.json"
SUMMED = ("tokens", "seconds", "steps")
LAST = ("trained_parameters", "total_parameters", "objective")


def chain_of(folder: Path) -> list[Path]:
    """Return the folders of a training step and of those whose adapters it started from.

    They are told by the steps' own `step.json`; the first training comes first. An adapter that
    was taken from another run leads to the training there, if that is still where it was.
    """
    mark = _json(folder / "step.json")
    source = mark.get("settings", {}).get("source")
    if source and not (folder / TOLD).is_file():
        origin = Path(source).expanduser().parent
        return chain_of(origin) if (origin / TOLD).is_file() else [folder]
    start = str(mark.get("settings", {}).get("start") or "")
    step, _, named = start.partition(".")
    outputs = mark.get("inputs", {}).get(step, {})
    before = outputs.get(named) if named else outputs.get("adapter") or outputs.get("model")
    return [*(chain_of(Path(before).parent) if before else []), folder]


def cost_of(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what some trainings have cost together.

    Tokens, seconds and steps add up; memory is that of the largest; parameters and objective are
    those of the last. What one of them did not tell is None: unknown, not zero.

    Args:
        folders: of training steps, each with `train.json` and `metrics.jsonl`.

    >>> cost_of([])["tokens"] is None
    True
    """
    told = [_json(folder / TOLD) for folder in folders]
    peaks = [_peak(folder) for folder in folders]
    return {
        "trainings": [folder.name.rpartition("-")[0] or folder.name for folder in folders],
        **{name: _sum(one.get(name) for one in told) for name in SUMMED},
        "memory_mb": None if None in peaks or not peaks else max(p for p in peaks if p),
        **{name: told[-1].get(name) if told else None for name in LAST},
    }


def _sum(values: Iterable[Any]) -> float | None:
    known = list(values)
    return sum(known) if known and None not in known else None


def _peak(folder: Path) -> float | None:
    """Return the most memory that a training logged, in megabytes."""
    lines = read_metrics(folder / "metrics.jsonl")
    values = [line["memory_mb"] for line in lines if line.get("memory_mb") is not None]
    return max(values, default=None)


def _json(path: Path) -> dict[str, Any]:
    return orjson.loads(path.read_bytes()) if path.is_file() else {}
