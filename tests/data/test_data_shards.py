"""Selection over shards: the same answer for any cut, form, engine and stop; nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_toys import POOL, SOME, TARGET, picked_by, texts, write

from togi.data.dsir import hash_bucket, select, select_files
from togi.data.options import Options
from togi.data.shards import indexing
from togi.data.shards import select as selecting
from togi.data.shards.diagnose import by_length, copies
from togi.data.shards.threshold import BITS, Digits, find, histogram, ordered
from togi.errors import DataError, UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole():
    """The selection in memory, which all others must equal."""
    return select(POOL, TARGET, 150, **SOME)


# --- the k largest ---------------------------------------------------------------------------


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=60), st.data())
@settings(max_examples=200, deadline=None)
def test_the_k_largest_are_found_digit_by_digit(values: list[float], data) -> None:
    keys = ordered(np.array(values))
    k = data.draw(st.integers(1, len(values)))
    digits, equal = find(k, lambda known: histogram(keys, known))
    leading = digits.leading(keys)
    above = int((leading > digits.prefix).sum())
    assert above + equal == k
    assert int((leading == digits.prefix).sum()) >= equal
    least = np.sort(keys)[::-1][k - 1]
    assert (leading[keys > least] >= digits.prefix).all()
    assert (leading[keys < least] <= digits.prefix).all()


def test_a_histogram_by_hand() -> None:
    keys = ordered(np.array([1.0, 2.0, -1.0]))
    counts = histogram(keys, Digits())
    assert (counts.sum(), len(counts)) == (3, 1 << BITS)
    assert counts[0x3FF0 | 0x8000] == counts[0x4000 | 0x8000] == counts[0xBFF0 ^ 0xFFFF] == 1


# --- one answer ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"shard": 3000}, {"shard": 3000, "reread": True},
                                     {"shard": 900, "workers": 3}, {"workers": 2}])  # fmt: skip
def test_any_cut_gives_what_memory_gives(tmp_path: Path, whole, options) -> None:
    raw = [write(tmp_path, "a.jsonl", POOL[:333]), write(tmp_path, "b.jsonl.zst", POOL[333:700]),
           write(tmp_path, "c.jsonl.gz", POOL[700:])]  # fmt: skip
    chosen, found = picked_by(tmp_path, raw, **options)
    assert np.array_equal(chosen.indices, whole.indices)
    assert np.array_equal(chosen.log_weights, whole.log_weights)
    assert [json.loads(line)["text"] for line in found] == [POOL[i] for i in whole.indices]
    for key in ("kl_reduction", "lengths", "filtered", "rising", "falling", "k", "n_raw"):
        assert chosen.report[key] == whole.report[key], key
    exact = whole.report["effective_sample_size"]
    assert chosen.report["effective_sample_size"] == pytest.approx(exact, rel=1e-12)


def test_sums_of_weights_do_not_depend_on_the_cut(tmp_path: Path) -> None:
    raw = write(tmp_path, "a.jsonl", POOL)
    sizes = [picked_by(tmp_path, [raw], shard=s)[0].report["effective_sample_size"]
             for s in (0, 700, 5000)]  # fmt: skip
    assert sizes[0] == sizes[1] == sizes[2]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.zst", "a.parquet", "a.csv", "a.ndjson"])
def test_every_form_gives_the_same_documents(tmp_path: Path, whole, name: str) -> None:
    chosen, found = picked_by(tmp_path, [write(tmp_path, name, POOL)], shard=2000)
    assert np.array_equal(chosen.indices, whole.indices)
    wanted = [POOL[i] for i in whole.indices]
    got = [line.decode() if ".txt" in name else json.loads(line)["text"] for line in found]
    assert got == wanted


def test_folders_and_patterns_are_their_files_by_name(tmp_path: Path, whole) -> None:
    for number in range(9):
        write(tmp_path / "pool", f"{number}.jsonl", POOL[number * 100 : number * 100 + 100])
    (tmp_path / "pool" / "readme.md").write_text("not a document")
    for source in (tmp_path / "pool", tmp_path / "pool" / "[0-9].jsonl"):
        chosen, _ = picked_by(tmp_path, [source])
        assert np.array_equal(chosen.indices, whole.indices)


def test_ties_go_to_the_earlier_document_over_shards(tmp_path: Path) -> None:
    raw = write(tmp_path, "a.jsonl", ["same words here"] * 90 + ["other"] * 10)
    options = {"top_k": True, "min_tokens": 1, "shard": 400}
    target = write(tmp_path, "t.jsonl", ["same words here"])
    chosen = select_files([raw], [target], 37, tmp_path / "o.jsonl", **options)
    assert chosen.indices.tolist() == list(range(37))


@pytest.mark.parametrize("k", [0, 1, 899, 900, 5000])
def test_none_all_and_more_than_there_are(tmp_path: Path, k: int) -> None:
    raw = write(tmp_path, "a.jsonl", POOL)
    chosen, found = picked_by(tmp_path, [raw], k=k, shard=4000, min_tokens=0)
    assert len(found) == len(chosen.indices) == min(k, 900)
    assert np.array_equal(
        chosen.indices, select(POOL, TARGET, k, min_tokens=0, smoothing=1.0).indices
    )
    assert any("were wanted" in note for note in chosen.notes) == (k > 900)


def test_several_targets_fill_their_quotas_as_in_memory(tmp_path: Path) -> None:
    from togi.data.index import index_texts
    from togi.data.selection import choose

    raw = write(tmp_path, "a.jsonl", POOL)
    each = [texts(30, seed=2, domains=("cooking",)), texts(30, seed=3, domains=("code",))]
    files = [write(tmp_path, f"t{n}.jsonl", some) for n, some in enumerate(each)]
    options = {"separate_targets": True, "proportions": (0.25, 0.75), **SOME}
    split = select_files([raw], files, 200, tmp_path / "o.jsonl", shard=2500, **options)
    own = Options(**options)
    with index_texts(POOL, own.features, spill=tmp_path) as pool:
        wanted = [index_texts(some, own.features) for some in each]
        there = choose(pool, wanted, 200, own, lambda places: [POOL[i] for i in places])
    assert np.array_equal(split.indices, there.indices)
    assert np.array_equal(split.log_weights, there.log_weights)
    assert split.report["kl_reduction"] == there.report["kl_reduction"]


# --- features --------------------------------------------------------------------------------


def test_character_ngrams_are_those_of_the_text_with_single_spaces() -> None:
    from togi.data.features import Features
    from togi.data.featuriser import Featuriser

    worker = Featuriser(Features(of="characters", order=3, buckets=1 << 20))
    same = worker.texts(["Déjà   vu,\n\nall", "déjà vu, all"])
    half = len(same.indices) // 2
    assert np.array_equal(same.indices[:half], same.indices[half:])
    tokens = worker.last_tokens()
    assert tokens.joint.join(tokens.words[: int(tokens.sizes[0])]) == "déjà vu, all"
    assert same.ngrams.tolist() == [12 + 11 + 10] * 2
    assert same.words.tolist() == [4, 4]
    one = worker.texts(["ab", "ba", "a", "b"])
    assert len(set(one.indices.tolist())) == 4  # a, b, ab, ba


def test_characters_choose_by_letters(tmp_path: Path) -> None:
    pool = ["abababab ababab", "zyzyzyzy zyzy", "babababa"] * 20
    chosen = select(pool, ["ababa babab"], 20, of="characters", order=4, min_tokens=1, top_k=True)
    assert {pool[i][0] for i in chosen.indices} <= {"a", "b"}
    assert any(len(one["ngram"]) > 1 for one in chosen.report["rising"])


def test_features_by_a_function_are_hashed_each(tmp_path: Path) -> None:
    def endings(text: str) -> list[str]:
        return [word[-2:] for word in text.split()]

    chosen = select(POOL, TARGET, 100, of=endings, **SOME)
    counts = np.zeros(10_000)
    for text in TARGET:
        for feature in endings(text):
            counts[hash_bucket(feature)] += 1
    assert np.allclose(chosen.fits[0].target, (counts + 1) / (counts + 1).sum())
    path = tmp_path / "mine.py"
    path.write_text("def endings(text):\n    return [w[-2:] for w in text.split()]\n")
    raw = write(tmp_path, "a.jsonl", POOL)
    from_file, _ = picked_by(tmp_path, [raw], k=100, of=f"{path}:endings", shard=3000)
    assert np.array_equal(from_file.indices, chosen.indices)
    assert from_file.report["options"]["of"].startswith("mine.py:endings:")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return 1 / 0", "the function of features failed"),
        ("return [1]", "returned something else than strings"),
        ("return 'ab'", "returned something else than strings"),
        ("return None", "the function of features failed"),
    ],
)
def test_a_function_of_features_that_fails_is_told(tmp_path: Path, body, problem) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def f(text):\n    {body}\n")
    with pytest.raises(DataError, match=problem):
        select(["a b"], ["a"], 1, of=f"{path}:f", min_tokens=1)


@pytest.mark.parametrize(("of", "problem"), [
    ("wrods", "did you mean 'words'"), ("no.py:f", "no such file"), ("x", "there are no features"),
])  # fmt: skip
def test_features_that_there_are_not_are_refused(of: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        Options(of=of).features  # noqa: B018
    assert problem in str(caught.value)
    with pytest.raises(UsageError, match="words only"):
        Options(of="characters", hash="exact").features  # noqa: B018


# --- stops -----------------------------------------------------------------------------------

CHILD = """
import sys, time
from pathlib import Path
from togi.data.dsir import select_files
from togi.data.shards import {module} as stage
task, count = stage.{task}, 0

def slow(job):
    global count
    count += 1
    if count > 4:
        Path(sys.argv[2]).touch()
        time.sleep(60)
    return task(job)

import togi.data.shards.select as driver
driver.{task} = slow
folder = Path(sys.argv[1])
select_files([folder / "a.jsonl"], [folder / "target.jsonl"], 150, folder / "out.jsonl",
             shard=3000, workers=1, min_tokens=8, smoothing=1.0)
"""


@pytest.mark.parametrize(("module", "task"), [
    ("indexing", "index_shard"), ("weighing", "weigh_shard"), ("writing", "write_shard"),
])  # fmt: skip
def test_killed_and_resumed_equals_straight(tmp_path, whole, monkeypatch, module, task) -> None:
    raw = write(tmp_path, "a.jsonl", POOL)
    write(tmp_path, "target.jsonl", TARGET)
    flag = tmp_path / "reached"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(module=module, task=task), str(tmp_path), str(flag)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while not flag.exists():
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert not (tmp_path / "out.jsonl").exists()
    fresh = []
    original = getattr(sys.modules[f"togi.data.shards.{module}"], task)

    def counted(job):
        found = original(job)
        fresh.append(getattr(found, "fresh", True))
        return found

    monkeypatch.setattr(selecting, task, counted)
    chosen, found = picked_by(tmp_path, [raw], shard=3000, workers=1)
    assert np.array_equal(chosen.indices, whole.indices)
    assert [json.loads(line)["text"] for line in found] == [POOL[i] for i in whole.indices]
    if module == "indexing":
        assert fresh.count(False) >= 3  # the target's and the pool's first ones were kept
    assert not list(tmp_path.glob(".out.work"))


def test_a_kept_index_serves_other_targets_without_reading(tmp_path, monkeypatch) -> None:
    raw = write(tmp_path, "a.jsonl", POOL)
    index = tmp_path / "index"
    picked_by(tmp_path, [raw], shard=3000, index=index)
    read = []
    blocks = indexing.blocks
    monkeypatch.setattr(indexing, "blocks", lambda s, r: read.append(s.source.path) or blocks(s, r))
    other = write(tmp_path, "other.jsonl", texts(40, seed=9, domains=("code",)))
    again = select_files([raw], [other], 80, tmp_path / "o.jsonl", shard=3000, index=index, **SOME)
    assert set(read) == {str(other)}
    fresh = select_files([raw], [other], 80, tmp_path / "p.jsonl", **SOME)
    assert np.array_equal(again.indices, fresh.indices)
    write(tmp_path, "a.jsonl", POOL[::-1])
    turned = select_files([raw], [other], 80, tmp_path / "o.jsonl", shard=3000, index=index, **SOME)
    assert not np.array_equal(turned.indices, again.indices)  # another file is another index


# --- what is told ----------------------------------------------------------------------------


def test_copies_sources_and_lengths_are_told(tmp_path: Path) -> None:
    pool = [*POOL[:300], *POOL[:100], TARGET[0]]
    raw = [write(tmp_path, "a.jsonl", pool[:200]), write(tmp_path, "b.jsonl", pool[200:])]
    chosen, _ = picked_by(tmp_path, raw, k=401, min_tokens=0)
    told = chosen.report
    unique = len({text.lower() for text in pool})
    assert told["duplicates"] == {
        "share": 1.0,
        "pool": {"looked_at": 401, "copies": 401 - unique},
        "picked": {"looked_at": 401, "copies": 401 - unique},
        "in_target": sum(text in set(TARGET) for text in pool),
    }
    assert [(one["pool"], one["picked"]) for one in told["sources"]] == [(201, 201), (200, 200)]
    assert sum(band["pool"] for band in told["length_bands"]) == 401
    assert any("copies of another" in note for note in told["notes"])
    card = (tmp_path / "out.card.md").read_text()
    assert card.startswith("# Data card: 401 documents chosen by DSIR")
    assert "b.jsonl" in card


def test_a_sample_by_hashes_holds_all_copies_of_a_document(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(selecting, "SAMPLED", 64)
    pool = POOL[:450] * 2
    chosen, _ = picked_by(tmp_path, [write(tmp_path, "a.jsonl", pool)], k=10, min_tokens=0)
    found = chosen.report["duplicates"]
    assert found["share"] == 1 / 16
    assert 10 < found["pool"]["looked_at"] < 130
    assert found["pool"]["copies"] >= found["pool"]["looked_at"] / 2


def test_copies_and_bands_by_hand() -> None:
    assert copies(np.array([], np.uint64)) == {"looked_at": 0, "copies": 0}
    bands = by_length(dict.fromkeys(range(1, 21), 10), {20: 3})
    assert len(bands) == 10
    assert all(band["pool"] == 20 for band in bands)
    assert bands[-1] == {"least": 19, "most": 20, "pool": 20, "picked": 3}
    assert by_length({}, {}) == []
