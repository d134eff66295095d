"""The benches of data: what they make is what they say, and a side runs to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bench_is_found(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def side(folder: Path, name: str, *words: str) -> dict:
    """Run one side as the harness does."""
    out = folder / "found.json"
    script = str(ROOT / "bench" / f"{name}.py")
    subprocess.run(
        [sys.executable, script, "--side", *words, str(out)], check=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return json.loads(out.read_text())


def test_a_large_pool_is_the_small_one_with_noise_and_loses_nothing(tmp_path: Path) -> None:
    from bench.dsir import make_data, small
    from bench.dsir_large import make_large

    raw, _ = make_data(tmp_path, 1)
    small(tmp_path, raw).rename(tmp_path / "few.jsonl")
    large = tmp_path / "large.jsonl"
    assert make_large(raw, large, 3) == 3
    before, after = raw.read_bytes().splitlines(), large.read_bytes().splitlines()
    assert len(after) == 3 * len(before)
    records = [[json.loads(line) for line in lines] for lines in (before, after)]
    assert [one["id"] for one in records[1]] == [one["id"] for one in records[0]] * 3
    assert len({one["text"] for one in records[1]}) > 0.95 * len(after)  # some are very short
    pairs = zip(records[0][0]["text"], records[1][0]["text"], strict=True)
    changed = sum(a != b for a, b in pairs) / len(records[0][0]["text"])
    assert 0 < changed < 0.02
    found = [side(tmp_path, "dsir_large", str(path), "1", "threads") for path in (raw, large)]
    assert [one["documents"] for one in found] == [len(before), len(after)]
    assert found[1]["k"] == int(large.stat().st_size / 1e6 * 24)


def test_near_documents_that_were_planted_are_found_and_no_others(tmp_path: Path) -> None:
    from bench.near_duplicates import make_data

    path, near = make_data(tmp_path, 1500)
    assert 40 < len(near) < 120
    few = tmp_path / "few.jsonl"
    few.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:50]))
    found = side(tmp_path, "near_duplicates", "ours", str(path), str(few))
    assert found["work"] == 1500
    assert set(found["dropped"]) <= near
    assert len(found["dropped"]) >= 0.97 * len(near)
