"""A peer's best settings on this machine, found by trying them on a smaller job of the same kind.

How many rows at a time and which dtype is fastest differs from machine to machine; a ratio against
a peer at a setting that does not suit the machine would flatter us.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import _paired
from bench._paired import Payload

HERE = Path(__file__).parent
DTYPES: Sequence[Payload] = (
    {"dtype": "float32"},
    {"dtype": "float32", "matmul": "medium"},
    {"dtype": "bfloat16"},
)


def best(name: str, small: Payload, folder: Path, micros: Sequence[int]) -> Payload:
    """Return the fastest settings of the peer: the dtype at one row at a time, then the rows.

    Args:
        name: of the peer's function.
        small: the job to try with.
        folder: where files may lie.
        micros: rows at a time; they must divide the job's batch.
    """
    tried: dict[str, float] = {}

    def rate(settings: Payload) -> float:
        key = said(settings)
        if key not in tried:
            file = folder / "sweep.json"
            file.write_text(json.dumps({**small, **settings}))
            argv = [_paired.peers_python(), str(HERE / "_peers.py"), name, str(file)]
            tried[key] = _paired.run(argv).value
            print(f"  {name}, peer at {key}: {tried[key]:.4g}", flush=True)
        return tried[key]

    first = {"micro": micros[0]}
    dtype = max(DTYPES, key=lambda settings: rate({**first, **settings}))
    return max(({"micro": micro, **dtype} for micro in micros), key=rate)


def said(settings: Payload) -> str:
    """Say settings in a few words.

    >>> said({"micro": 2, "dtype": "float32", "matmul": "medium"})
    '2 at a time, float32, matmul medium'
    """
    parts = [f"{settings['micro']} at a time", settings["dtype"]]
    if "matmul" in settings:
        parts.append(f"matmul {settings['matmul']}")
    return ", ".join(parts)


def sides(name: str, job: Payload, folder: Path, peer: Payload) -> tuple[list[str], list[str]]:
    """Return both commands: ours with what suits this machine, the peer's with its settings."""
    ours_file, peer_file = folder / "ours.json", folder / "peer.json"
    ours_file.write_text(json.dumps(job))
    peer_file.write_text(json.dumps({**job, **peer}))
    ours = [sys.executable, str(HERE / "_ours.py"), name, str(ours_file)]
    return ours, [_paired.peers_python(), str(HERE / "_peers.py"), name, str(peer_file)]


def ours(name: str, job: Payload, file: Path) -> list[str]:
    """Return the command of our side for a job that is written to that file."""
    file.write_text(json.dumps(job))
    return [sys.executable, str(HERE / "_ours.py"), name, str(file)]


def losses_agree(ours: Payload, peer: Payload, close: float) -> Payload:
    """Compare the losses step by step; of several epochs the first, whose order is the same."""
    n = min(len(ours["answers"]), len(peer["answers"]), ours.get("compared", sys.maxsize))
    gaps = [abs(a - b) for a, b in zip(ours["answers"][:n], peer["answers"][:n], strict=True)]
    return {
        "losses": f"{n} steps, largest difference {max(gaps):.4f} nats",
        "first_and_last": f"ours {ours['answers'][0]:.4f} to {ours['answers'][n - 1]:.4f}, "
        f"peer {peer['answers'][0]:.4f} to {peer['answers'][n - 1]:.4f}",
        "agree": max(gaps) <= close,
    }


def job_of(name: str, folder: Path, **more: Any) -> Payload:
    """Return a job of `_jobs.write` in a folder of its own."""
    from bench import _jobs

    place = folder / "-".join([name, *(f"{key}{value}" for key, value in more.items())])
    place.mkdir()
    return json.loads(_jobs.write(name, place, **more).read_text())
