"""`metrics.jsonl`: one line per logged step, each name defined here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from togi.train.files import told

DEFINITIONS = {
    "step": "updates made so far; step 0 is before the first",
    "loss": "the step's summed loss over its summed weight, before the update",
    "lr": "learning rate of the update",
    "grad_norm": "global 2-norm of the gradient before clipping",
    "tokens": "tokens put through the model so far",
    "tokens_per_s": "the step's tokens over its wall-clock seconds",
    "seconds": "wall-clock seconds so far, all sittings together",
    "memory_mb": "memory the process holds now (GPU: the most it held), in 10^6 bytes",
    "judge/": "a measure of the judge that ran inside the training",
    "token_accuracy": "share of the trained tokens that the model would have chosen greedily",
    "rewards/chosen": "mean of beta (log-probability minus the reference's), better answers",
    "rewards/rejected": "the same for the worse answers",
    "rewards/margins": "chosen minus rejected",
    "rewards/accuracies": "share of pairs with a positive margin; a tie counts one half",
    "logps/chosen": "mean log-probability of the whole better answer, in nats",
    "logps/rejected": "the same for the worse answer",
    "nats_a_token": "mean loss of the step's tokens, however the objective weighs them",
    "alpha/": "DoReMi's weight of a domain after the step",
    "excess/": "mean loss of a domain's tokens above the reference's, cut off at 0",
    "excess_unclipped/": "the same, not cut off",
    "alpha_entropy": "entropy of DoReMi's weights, in nats; near 0 nearly all lies on one domain",
}


class MetricsLog:
    """The lines of one run: appended as they come, cut back to a checkpoint on resume."""

    def __init__(self, path: Path, *, after: int | None) -> None:
        """Open the log; lines after step `after` (all, when None) and torn ones are removed."""
        self.path = path
        self.lines = [] if after is None else [m for m in read_metrics(path) if m["step"] <= after]
        with told(path):
            whole = path.with_name(f".{path.name}.{os.getpid()}")
            whole.write_bytes(b"".join(map(_line, self.lines)))
            os.replace(whole, path)
            self._file = path.open("ab")

    def add(self, line: Mapping[str, Any]) -> None:
        """Append one line and hand it to the system, so that a kill cannot lose it."""
        self.lines.append(dict(line))
        with told(self.path):
            self._file.write(_line(line))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def final_loss(self) -> float:
        """Return the mean loss of the last tenth of the logged steps, at least of one."""
        losses = [line["loss"] for line in self.lines if "loss" in line]
        last = losses[-max(1, len(losses) // 10) :]
        return sum(last) / len(last) if last else float("nan")


def _line(line: Mapping[str, Any]) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the whole lines of a log; a torn last line (killed while writing) is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            break
    return found
