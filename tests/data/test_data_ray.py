"""Selection on a local Ray cluster: the answer of this process, whatever becomes of a worker."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from shard_toys import texts, write

from togi.data.dsir import select, select_files
from togi.data.shards import engines
from togi.errors import DataError, SurroundingsError

pytest.importorskip("ray", reason="the package ray is not installed, so its engine is not tested")
pytestmark = pytest.mark.filterwarnings("default")  # of Ray's own

POOL, TARGET = texts(600), texts(40, seed=1, domains=("cooking", "law"))
SOME = {"min_tokens": 8, "smoothing": 1.0}
KILLED = """
import os, signal, time
from pathlib import Path
folder = Path({folder!r})

def words(text):
    (folder / f"{{os.getpid()}}.worker").touch()
    time.sleep(0.002)  # as long as it takes the other worker to be there
    if text == {trip!r}:
        try:
            (folder / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass  # a worker was killed here before
    return text.split()
"""
DEADLY = """
import os, signal

def words(text):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def cluster(monkeypatch):
    """A cluster that is there already, as RAY_ADDRESS names one."""
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_worker_killed_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    import ray

    seen = tmp_path / "seen"
    seen.mkdir()
    mine = tmp_path / "mine.py"
    mine.write_text(KILLED.format(folder=str(seen), trip=POOL[300]))
    raw, target = write(tmp_path, "a.jsonl", POOL), write(tmp_path, "t.jsonl", TARGET)
    chosen = select_files(
        [raw], [target], 100, tmp_path / "out.jsonl", engine="ray", workers=2, shard=8000,
        of=f"{mine}:words", **SOME,
    )  # fmt: skip
    alone = select(POOL, TARGET, 100, of=str.split, **SOME)
    assert np.array_equal(chosen.indices, alone.indices)
    assert np.array_equal(chosen.log_weights, alone.log_weights)
    assert chosen.report["kl_reduction"] == alone.report["kl_reduction"]
    assert (seen / "killed").exists()
    workers = {int(path.stem) for path in seen.glob("*.worker")} - {os.getpid()}
    assert len(workers) >= 3  # two at work, and the one that took the killed one's place
    assert not ray.is_initialized()  # what was started is stopped


def test_faults_come_back_from_workers_as_they_are(tmp_path: Path, cluster, monkeypatch) -> None:
    import ray

    raw, target = write(tmp_path, "a.jsonl", POOL), write(tmp_path, "t.jsonl", TARGET)
    with raw.open("a") as file:
        file.write("{\n")
    with pytest.raises(DataError) as caught:
        select_files([raw], [target], 9, tmp_path / "o.jsonl", engine="ray", shard=8000, **SOME)
    assert caught.value.where == f"{raw} line 601"
    mine = tmp_path / "mine.py"
    mine.write_text(DEADLY)
    monkeypatch.setattr(engines, "RETRIES", 0)
    with pytest.raises(SurroundingsError, match="worker died 1 times") as lost:
        select_files(
            [target], [target], 9, tmp_path / "o.jsonl", engine="ray", of=f"{mine}:words", **SOME
        )
    assert "the same command goes on" in lost.value.hint
    assert ray.is_initialized()  # it was not ours to stop


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    raw = write(tmp_path, "a.jsonl", POOL[:9])
    with pytest.raises(SurroundingsError, match="Ray does not start") as caught:
        select_files([raw], [raw], 3, tmp_path / "o.jsonl", engine="ray", min_tokens=1)
    assert "RAY_ADDRESS" in caught.value.hint
