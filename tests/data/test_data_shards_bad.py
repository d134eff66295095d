"""Selection over shards of bad input, and its memory: nothing lost in silence, nothing grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shard_toys import DOMAINS, POOL, TARGET, lines, picked_by, write

from togi.data.dsir import select_files
from togi.errors import DataError, SurroundingsError, UsageError

ROOT = Path(__file__).parents[2]


def test_a_line_beyond_all_bounds_is_passed_over_or_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("togi.data.shards.reading.MAX_LINE", 5000)
    long = json.dumps({"text": "word " * 4000}).encode() + b"\n"
    data = lines(POOL[:50]) + long + lines(POOL[50:100])
    raw = tmp_path / "a.jsonl"
    raw.write_bytes(data)
    for size in (0, 700):
        monkeypatch.setattr("togi.data.shards.reading.blocks.__defaults__", (512,))
        with pytest.raises(DataError) as caught:
            picked_by(tmp_path, [raw], shard=size)
        assert (caught.value.problem, caught.value.where) == (
            "longer than 64 MiB", f"{raw} line 51")  # fmt: skip
        chosen, _ = picked_by(tmp_path, [raw], shard=size, on_bad="skip", min_tokens=0)
        assert (chosen.report["n_raw"], chosen.report["dropped"]) == (
            100,
            {"longer than 64 MiB": 1},
        )


def test_bad_lines_anywhere_are_told_by_their_number_in_the_file(tmp_path: Path) -> None:
    raw = tmp_path / "a.jsonl"
    raw.write_bytes(lines(POOL[:700]) + b'{"text": "\xff"}\n\n' + lines(POOL[700:]))
    for size in (0, 2000):
        with pytest.raises(DataError) as caught:
            picked_by(tmp_path, [raw], shard=size, workers=2)
        assert caught.value.where == f"{raw} line 701"
        assert caught.value.problem == "not UTF-8"
        chosen, _ = picked_by(tmp_path, [raw], shard=size, on_bad="skip")
        assert chosen.report["dropped"] == {"not UTF-8": 1, "blank line": 1}


def test_a_file_that_is_cut_off_or_unreadable_in_the_middle(tmp_path: Path) -> None:
    good = [write(tmp_path, f"{n}.jsonl.gz", POOL[n * 100 : n * 100 + 100]) for n in range(3)]
    good[1].write_bytes(good[1].read_bytes()[:-400])
    with pytest.raises(DataError, match="reading stopped in the middle") as caught:
        picked_by(tmp_path, good)
    assert caught.value.where == str(good[1])
    chosen, _ = picked_by(tmp_path, good, on_bad="skip", k=10, min_tokens=0)
    assert 200 <= chosen.report["n_raw"] < 300
    assert chosen.report["damaged"][0][0] == str(good[1])
    assert any("could not be read to its end" in note for note in chosen.notes)
    lost = tmp_path / "lost.jsonl"
    lost.mkdir()
    (lost / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="Parquet file cannot be read"):
        picked_by(tmp_path, [good[0], lost])
    chosen, _ = picked_by(tmp_path, [good[0], lost], on_bad="skip", k=10, min_tokens=0)
    assert chosen.report["unreadable"][0][0] == str(lost / "x.parquet")
    assert chosen.report["n_raw"] == 100


def test_empty_documents_small_targets_and_equal_sides(tmp_path: Path) -> None:
    raw = write(tmp_path, "a.jsonl", ["", " ", *POOL[:50]])
    chosen, _ = picked_by(tmp_path, [raw], k=10)
    assert chosen.report["filtered"] >= 2
    assert chosen.report["k"] == 10
    tiny = write(tmp_path, "tiny.jsonl", ["soup"])
    told = select_files([raw], [tiny], 5, tmp_path / "o.jsonl", min_tokens=1).report
    assert (told["n_target"], told["k"]) == (1, 5)
    same = select_files([raw], [raw], 10, tmp_path / "o.jsonl", min_tokens=1)
    assert np.allclose(same.log_weights, 0)
    assert same.report["effective_sample_size"] == pytest.approx(50)
    assert same.report["duplicates"]["in_target"] == 10


def test_broken_rows_of_tables_are_counted_and_kept_with_their_place(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    texts_ = pyarrow.array([b"soup soup", b"\xff\xfe", None, b"salt"]).view(pyarrow.string())
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": texts_}), path)
    with pytest.raises(DataError, match="not UTF-8") as caught:
        picked_by(tmp_path, [path])
    assert caught.value.where == f"{path} row 2"
    chosen, found = picked_by(tmp_path, [path], k=9, on_bad="skip", min_tokens=1)
    assert chosen.report["dropped"] == {"not UTF-8": 1, "'text' is null": 1}
    assert [json.loads(line)["text"] for line in found] == ["soup soup", "salt"]
    kept = [json.loads(line) for line in (tmp_path / "out.dropped.jsonl").read_text().splitlines()]
    assert [(one["at"], one["reason"]) for one in kept] == [(1, "not UTF-8"), (2, "'text' is null")]


def test_rows_lost_on_the_way_to_lines_are_told_and_kept(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("id,text\n" + "".join(f"{n},{t}\n" for n, t in enumerate(POOL[:40])) + "x,\n")
    with pytest.raises(DataError, match="'text' is empty"):
        picked_by(tmp_path, [table])
    chosen, _ = picked_by(tmp_path, [table], k=5, on_bad="skip")
    assert chosen.report["dropped"] == {"'text' is empty": 1}
    kept = [json.loads(line) for line in (tmp_path / "out.dropped.jsonl").read_text().splitlines()]
    assert [(one["source"], one["id"]) for one in kept] == [(str(table), "a.csv:42")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"engine": "rya"}, "there is no engine 'rya'"),
        ({"shard": -1}, "less than no bytes"),
        ({"on_bad": "ignore"}, "on_bad cannot be 'ignore'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, change, problem) -> None:
    with pytest.raises(UsageError, match=problem):
        picked_by(tmp_path, [write(tmp_path, "a.jsonl", POOL[:9])], **change)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("absent.jsonl", "no such file"),
        ("*.zzz", "no file matches"),
        ("folder", "no file of documents"),
    ],
)
def test_sources_that_are_not_there_are_told(tmp_path: Path, name, problem) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=problem):
        picked_by(tmp_path, [tmp_path / name])


def test_a_file_named_twice_and_a_column_that_is_not_there(tmp_path: Path) -> None:
    raw = write(tmp_path, "a.jsonl", POOL[:9])
    with pytest.raises(UsageError, match="named twice"):
        picked_by(tmp_path, [raw, raw])
    table = write(tmp_path, "a.parquet", POOL[:9])
    with pytest.raises(DataError) as caught:
        picked_by(tmp_path, [table], field="txet", target_field="text")
    assert "did you mean 'text'" in caught.value.hint
    with pytest.raises(DataError, match="holds no text"):
        picked_by(tmp_path, [table], field="n", target_field="text", min_tokens=2, k=1, shard=10**6)


def test_ray_that_is_missing_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SurroundingsError) as caught:
        picked_by(tmp_path, [write(tmp_path, "a.jsonl", POOL[:9])], engine="ray")
    assert "pip install 'togi[ray]'" in caught.value.hint


# --- memory ----------------------------------------------------------------------------------

PEAK = """
import sys
from pathlib import Path
from togi.data.dsir import select_files
folder = Path(sys.argv[1])
from togi.data.options import Options
from togi.data.shards.select import How, select_shards
from togi.data.shards.sources import Wanted
how = How(work=folder / "work", workers=2, shard=2_000_000)
wanted = Wanted(how)
select_shards(wanted.pool([folder / "a.jsonl"]), [wanted.target([folder / "t.jsonl"])], 500,
              Options(min_tokens=1, smoothing=1.0), how)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory on Linux only")
def test_memory_does_not_grow_with_the_pool(tmp_path: Path) -> None:
    peaks = []
    for size in (6, 60):
        folder = tmp_path / str(size)
        block = lines([" ".join(DOMAINS["law"] * 20)] * 1000)
        write(folder, "t.jsonl", TARGET)
        with (folder / "a.jsonl").open("wb") as file:
            for _ in range(size):
                file.write(block)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]) / 1e3)
    assert peaks[1] < peaks[0] + 15  # ten times the documents, 54 MB more of text
    assert peaks[1] < 160
