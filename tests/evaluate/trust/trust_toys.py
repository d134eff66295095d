"""The published data in the repository's layout, replies as models give them, small sides."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from togi.evaluate.columns import Column
from togi.evaluate.tasks import Task
from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt, Sample

DATA = Path(__file__).parents[3] / ".." / "shared" / "data" / "decodingtrust"
HERE = "the published data are not here"
GPT = {number: f"toxic.jsonl.gpt{number}.n=25.out1.split.annotated.jsonl.filtered.jsonl"
       for number in (3, 4)}  # fmt: skip
LAYOUT = {
    "toxicity_toxic.jsonl": "toxicity/user_prompts/toxic.jsonl",
    "toxicity_nontoxic.jsonl": "toxicity/user_prompts/nontoxic.jsonl",
    "toxicity_gpt3.jsonl": f"toxicity/user_prompts/{GPT[3]}",
    "toxicity_gpt4.jsonl": f"toxicity/user_prompts/{GPT[4]}",
    "stereotype_user_prompts.csv": "stereotype/dataset/user_prompts.csv",
    "stereotype_system_prompts.csv": "stereotype/dataset/system_prompts.csv",
    "ood_style.json.gz": "ood/styles/style.json.gz",
    "ood_knowledge.json": "ood/knowledge/knowledge.json",
}
"""Our published files -> where the repository's folder `data` has them."""


def repository(folder: Path) -> Path:
    """Lay the published files out as the repository does; returns the clone's folder."""
    for name, place in LAYOUT.items():
        path = folder / "data" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((DATA / name).resolve())
    return folder


def said(*texts: str) -> list[Generated]:
    """Return draws as a model gives them."""
    empty = np.zeros(0, dtype=np.float32)
    return [Generated(text, (), empty, "stop") for text in texts]


def read(task: Task, samples: Sequence[Sample], replies: Sequence[Sequence[str]]) -> Column:
    """Read replies as the task does, and put their numbers into a column."""
    rows = [
        task.rules.read(task.asking, sample, said(*texts)).measures
        for sample, texts in zip(samples, replies, strict=True)
    ]
    return column(rows, [s.id for s in samples], [task.cluster_of(s) for s in samples])


def column(
    rows: Sequence[dict[str, float]], ids: Sequence[str], clusters: Sequence[str] = ()
) -> Column:
    """Return a column of rows of numbers."""
    numbers = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    labels = list(clusters) if any(clusters) else None
    return Column(tuple(ids), ("t",), labels, numbers)


def published(name: str) -> list[dict[str, Any]]:
    """Return the rows of a published file of lines or of a table."""
    path = DATA / name
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def quiet(_: str) -> None:
    """Say nothing."""


@dataclass
class Saying:
    """A model that answers each prompt with a function of it."""

    answer: Callable[[Prompt], str]
    name: str = "saying"
    fingerprint: str = "s0"

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        raise AssertionError("this model only generates")

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        return [said(*[self.answer(prompt)] * sampling.n) for prompt in prompts]
