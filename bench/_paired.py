"""Paired benches: togi and a peer do the same work in turn, on a machine that is watched.

A side is a command; the harness appends the path of a JSON file that the command must write:
`{"seconds": s, "work": w, ...}` (the rate is w / s) or `{"value": v, ...}`, and whatever else the
agreement check wants to see. Both sides run alternately, each in a process of its own. A
repetition during which other processes took more than `FOREIGN` of the machine is done again.

    from bench import _paired
    _paired.compare("dsir", "MB/s", [python, "bench/x.py"], [_paired.peers_python(), "bench/y.py"],
                    agreement=lambda ours, peer: {"same": ours["picked"] == peer["picked"]})

The results are written and rendered by `bench._results`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench._results import ROOT, Payload, commit, machine, peers_python, versions, write

__all__ = ["Result", "compare", "peers_python", "run"]

FOREIGN = 0.04  # share of all cores that others may take
ATTEMPTS = 5  # of a contaminated repetition, before the best of them is kept and marked
POLL = 0.02  # seconds between looks at memory


@dataclass(frozen=True)
class Result:
    """One run of one side.

    Attributes:
        value: the rate, or what else is measured, in the bench's unit.
        payload: what the side wrote.
        peak_mb: greatest resident memory of the process and its children together.
        wall: seconds from start to end of the process.
        foreign: share of the machine that other processes took meanwhile.
    """

    value: float
    payload: Payload = field(default_factory=dict)
    peak_mb: float = 0.0
    wall: float = 0.0
    foreign: float = 0.0


Side = Sequence[str] | Callable[[], Result]


def run(argv: Sequence[str], *, cwd: Path = ROOT) -> Result:
    """Run one side's command to its end and watch memory and the other processes."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as folder:
        written = Path(folder) / "result.json"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
        before, own, began = psutil.cpu_times(), _own_cpu(), time.perf_counter()
        with open(Path(folder) / "log", "w+") as log:
            child = subprocess.Popen(
                [*argv, str(written)], cwd=cwd, env=environment, stdout=log, stderr=log
            )
            watch = _Memory(child.pid)
            code = child.wait()
            log.seek(0)
            said = log.read()
        wall, peak = time.perf_counter() - began, watch.stop()
        foreign = _busy(before, psutil.cpu_times()) - (_own_cpu() - own)
        if code:
            raise SystemExit(f"{said[-4000:]}\nexit code {code}: {' '.join(argv)}")
        payload = json.loads(written.read_text())
    value = payload["value"] if "value" in payload else payload["work"] / payload["seconds"]
    share = max(0.0, foreign) / (wall * (psutil.cpu_count() or 1))
    return Result(value, payload, peak, wall, share)


def _own_cpu() -> float:
    """CPU seconds of this process and of all its ended children and theirs."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy(before: Any, after: Any) -> float:
    """CPU seconds of the whole machine between two readings, without idling."""
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(
        getattr(after, name) - getattr(before, name) for name in after._fields if name not in idle
    )


class _Memory:
    """Looks at the resident memory of a process and its children until stopped."""

    def __init__(self, pid: int) -> None:
        self.peak, self.process = 0, psutil.Process(pid)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while not self.ended.wait(POLL):
            try:
                family = [self.process, *self.process.children(recursive=True)]
                self.peak = max(self.peak, sum(_resident(one) for one in family))
            except psutil.Error:
                continue

    def stop(self) -> float:
        self.ended.set()
        self.thread.join()
        return self.peak / 1e6


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _undisturbed(side: Side) -> Result:
    """Run until a run was not disturbed; give up after a few and keep the least disturbed."""
    tried: list[Result] = []
    while len(tried) < ATTEMPTS:
        result = side() if callable(side) else run(side)
        if result.foreign <= FOREIGN:
            return result
        tried.append(result)
        print(f"  {result.foreign:.0%} of the machine was taken by others", flush=True)
    return min(tried, key=lambda one: one.foreign)


def compare(
    name: str,
    unit: str,
    ours: Side,
    peer: Side,
    *,
    repetitions: int = 3,
    agreement: Callable[[Payload, Payload], Payload] | None = None,
    higher_is_better: bool = True,
    command: str | None = None,
    about: str = "",
) -> Payload:
    """Run both sides in turn, write bench/results/<name>.json and render bench/RESULTS.md.

    Args:
        name: of the bench and its file.
        unit: of the values.
        ours: togi's command, or a function that runs it.
        peer: the peer's.
        repetitions: pairs of runs.
        agreement: from both sides' last payloads, what shows that they did the same work; a
            value of False anywhere in it stops the bench.
        higher_is_better: the ratio is ours / peer then, else peer / ours.
        command: how to remake the result; by default this very command line.
        about: what was compared, in a line.

    Raises:
        SystemExit: a side fails, or they do not agree.
    """
    pairs: list[tuple[Result, Result]] = []
    for number in range(repetitions):
        pair = (_undisturbed(ours), _undisturbed(peer))
        pairs.append(pair)
        print(f"{name} {number + 1}/{repetitions}: {_line(pair, unit)}", flush=True)
    agreed = agreement(pairs[-1][0].payload, pairs[-1][1].payload) if agreement else {}
    if any(value is False for value in agreed.values()):
        raise SystemExit(f"{name}: the sides do not agree, so the ratio means nothing: {agreed}")
    ratios = [a.value / b.value if higher_is_better else b.value / a.value for a, b in pairs]
    result = {
        "name": name,
        "about": about,
        "unit": unit,
        "ours": statistics.median(a.value for a, _ in pairs),
        "peer": statistics.median(b.value for _, b in pairs),
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "agreement": agreed,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "command": command or f"python -m {_module()} {' '.join(sys.argv[1:])}".strip(),
        "ours_values": [a.value for a, _ in pairs],
        "peer_values": [b.value for _, b in pairs],
        "ours_peak_mb": max(a.peak_mb for a, _ in pairs),
        "peer_peak_mb": max(b.peak_mb for _, b in pairs),
        "ours_wall_seconds": statistics.median(a.wall for a, _ in pairs),
        "peer_wall_seconds": statistics.median(b.wall for _, b in pairs),
        "foreign_cpu_share_max": max(one.foreign for pair in pairs for one in pair),
        "quiet": all(one.foreign <= FOREIGN for pair in pairs for one in pair),
        "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC",
    }
    write(result)
    return result


def _line(pair: tuple[Result, Result], unit: str) -> str:
    ours, peer = pair
    return (
        f"ours {ours.value:.4g} {unit} in {ours.peak_mb:.0f} MB, peer {peer.value:.4g} {unit} in "
        f"{peer.peak_mb:.0f} MB, ratio {ours.value / peer.value:.3g}"
    )


def _module() -> str:
    """Return the name of the module that was started."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else Path(sys.argv[0]).stem
