"""Tiny steps that a run can be tested with, also from another process."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from togi.errors import DataError
from togi.recipe import StepKind, load_recipe
from togi.step import StepRef, StepSettings, Work

CALLS: list[str] = []


class MakeSettings(StepSettings):
    n: int = 3
    source: str = ""
    limit: int | None = None


class SumSettings(StepSettings):
    rows: StepRef
    fault: str = ""


class SlowSettings(StepSettings):
    rows: StepRef
    seconds: float = 0.05
    steps: int = 3


class DecideSettings(StepSettings):
    total: StepRef
    least: int = 0


def run_make(settings: MakeSettings, work: Work) -> dict[str, Any]:
    CALLS.append(work.name)
    numbers = range(settings.n)
    if settings.source:
        numbers = [int(line) for line in Path(settings.source).read_text().split()]
    lines = [json.dumps({"id": str(n), "value": n}) for n in list(numbers)[: settings.limit]]
    (work.folder / "rows.jsonl").write_text("\n".join(lines))
    return {"rows": "rows.jsonl", "n": len(lines)}


def run_sum(settings: SumSettings, work: Work) -> dict[str, Any]:
    CALLS.append(work.name)
    faults: dict[str, BaseException] = {
        "data": DataError("no good row", where="rows.jsonl line 2"),
        "disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.bin"),
        "memory": MemoryError(),
        "stop": KeyboardInterrupt(),
        "ours": KeyError("a mistake of ours"),
    }
    if settings.fault:
        (work.folder / "part.txt").write_text("half")
        raise faults[settings.fault]
    rows = Path(work.input(settings.rows, "rows")).read_text().splitlines()
    total = sum(json.loads(line)["value"] for line in rows) + work.seed
    work.say(f"the sum is {total}")
    return {"total": total, "nothing": float("nan"), "notes": ["summed"]}


def run_slow(settings: SlowSettings, work: Work) -> dict[str, Any]:
    """Count in a file, one line a step, going on from what is there."""
    path = work.folder / "count.txt"
    done = len(path.read_text().split()) if path.exists() else 0
    for number in range(done, settings.steps):
        with path.open("a") as file:
            file.write(f"{number}\n")
        work.say(f"step {number}")
        time.sleep(settings.seconds)
    return {"count": "count.txt"}


def run_decide(settings: DecideSettings, work: Work) -> dict[str, Any]:
    CALLS.append(work.name)
    good = work.input(settings.total, "total") >= settings.least
    verdict = {"decision": "accept" if good else "reject", "sentence": "Told.", "reasons": []}
    (work.folder / "verdict.json").write_text(json.dumps(verdict))
    return {"decision": verdict["decision"]}


KINDS = {
    "toy.make": StepKind("run_toys", "MakeSettings", "run_make", outputs=("rows", "n")),
    "toy.sum": StepKind("run_toys", "SumSettings", "run_sum", model=True),
    "toy.slow": StepKind("run_toys", "SlowSettings", "run_slow"),
    "evaluate.verdict": StepKind("run_toys", "DecideSettings", "run_decide"),
}

if __name__ == "__main__":
    from togi.commands.entry import guarded
    from togi.run import run

    guarded(
        lambda: run(load_recipe(Path(sys.argv[1]), KINDS), Path(sys.argv[2]), kinds=KINDS),
        debug=False,
    )
