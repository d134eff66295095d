"""Selection from end to end: what is picked, that it is told, and that nothing else changes it."""

from __future__ import annotations

import errno
import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from togi.data import blocks, dsir, index
from togi.data.dsir import select, select_files
from togi.data.shards import kept, reading, report, writing
from togi.data.shards.select import select_shards
from togi.errors import DataError, SurroundingsError, UsageError

COOKING = [
    "stir",
    "the",
    "soup",
    "with",
    "salt",
    "and",
    "butter",
    "then",
    "bake",
    "bread",
    "until",
    "golden",
]
LAW = [
    "the",
    "court",
    "held",
    "that",
    "the",
    "party",
    "shall",
    "pay",
    "damages",
    "under",
    "the",
    "contract",
]
CODE = ["def", "return", "self", "import", "class", "for", "in", "range", "if", "else", "none"]


def document(draw: random.Random, words: list[str], length: int = 40) -> str:
    return " ".join(draw.choices(words, k=length))


@pytest.fixture
def mixture() -> tuple[list[str], list[str], list[str]]:
    """A pool of three domains in equal parts, its labels, and a target: 80 % cooking, 20 % law."""
    draw = random.Random(0)
    domains = {"cooking": COOKING, "law": LAW, "code": CODE}
    labels = [draw.choice(list(domains)) for _ in range(1500)]
    target = [document(draw, COOKING) for _ in range(80)] + [document(draw, LAW) for _ in range(20)]
    return [document(draw, domains[label]) for label in labels], labels, target


@pytest.fixture
def files(tmp_path: Path, mixture) -> tuple[Path, Path]:
    pool, _, target = mixture
    raw, wanted = tmp_path / "raw.jsonl", tmp_path / "target.jsonl"
    raw.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(pool)))
    wanted.write_text("".join(json.dumps({"text": t}) + "\n" for t in target))
    return raw, wanted


def test_sampling_comes_nearer_to_the_target_than_chance_and_than_the_greatest_weights() -> None:
    """Documents of four independent words: importance resampling has the target as its limit."""
    vocabulary, target = list("abcdef"), np.array([0.3, 0.25, 0.15, 0.1, 0.1, 0.1])
    draw = np.random.default_rng(0)
    pool = [" ".join(draw.choice(vocabulary, 4)) for _ in range(20_000)]
    wanted = [" ".join(draw.choice(vocabulary, 4, p=target)) for _ in range(5_000)]
    options = {"min_tokens": 1, "order": 1}
    sampled = select(pool, wanted, 1500, **options)
    chance = select(pool, wanted, 1500, random=True, **options)
    greatest = select(pool, wanted, 1500, top_k=True, **options)
    words = [word for i in sampled.indices for word in pool[i].split()]
    shares = np.array([words.count(letter) for letter in vocabulary]) / len(words)
    assert np.abs(shares - target).max() < 0.025
    assert abs(chance.report["kl_reduction"]) < 0.01 < sampled.report["kl_reduction"]
    assert greatest.report["kl_reduction"] < sampled.report["kl_reduction"]
    assert chance.report["method"] == "random"


def test_foreign_domains_are_left_out(mixture) -> None:
    pool, labels, target = mixture
    picked = select(pool, target, 300, min_tokens=1, smoothing=1.0)
    domains = [labels[i] for i in picked.indices]
    assert domains.count("code") == 0
    assert domains.count("cooking") > domains.count("law")


def test_log_weights_are_the_sum_over_ngrams(mixture) -> None:
    pool, _, target = mixture
    chosen = select(pool, target, 10, min_tokens=1, hash="exact")
    raw = np.array([dsir.ngram_counts(text) for text in pool[:50]])
    expected = dsir.weights(raw, chosen.fits[0].log_ratio)
    assert np.allclose(chosen.log_weights[:50], expected, rtol=1e-12)
    counts = sum(dsir.ngram_counts(text) for text in target)
    assert np.array_equal(chosen.fits[0].target, counts / counts.sum())


def test_length_normalised_weights_are_means(mixture) -> None:
    pool, _, target = mixture
    plain = select(pool, target, 10, min_tokens=1)
    mean = select(pool, target, 10, min_tokens=1, length_normalise=True)
    assert np.allclose(mean.log_weights * (2 * plain.words - 1), plain.log_weights)


def test_selecting_all_or_none_works(mixture) -> None:
    pool, _, target = mixture
    assert select(pool, target, 0, min_tokens=1).indices.tolist() == []
    everything = select(pool, target, len(pool), min_tokens=1)
    assert everything.indices.tolist() == list(range(len(pool)))
    assert everything.report["kl_reduction"] == pytest.approx(0)


def test_more_than_may_be_picked_gives_all_that_may_and_says_so() -> None:
    pool = ["one two", "one two three four", "one two three"]
    chosen = select(pool, ["one"], 3, min_tokens=3)
    assert chosen.indices.tolist() == [1, 2]
    assert chosen.report["filtered"] == 1
    assert "only 2 of 3 have at least 3 words" in chosen.notes[0]


def test_short_texts_by_default_vanish_and_that_is_said(mixture) -> None:
    pool, _, target = mixture
    chosen = select(pool, target, 5)
    assert len(chosen.indices) == 0
    assert "at least 100 words" in chosen.notes[0]


def test_the_seed_decides_and_the_threads_do_not(mixture) -> None:
    pool, _, target = mixture
    options = {"min_tokens": 1, "length_normalise": True}
    picks = [
        select(pool, target, 99, seed=s, workers=w, **options) for s, w in ((1, 1), (1, 3), (2, 1))
    ]
    assert np.array_equal(picks[0].indices, picks[1].indices)
    assert picks[0].report == picks[1].report
    assert not np.array_equal(picks[0].indices, picks[2].indices)


def run(files, out: Path, k: int = 200, **options) -> dsir.Selection:
    raw, target = files
    return select_files([raw], [target], k, out, **{"min_tokens": 1, **options})


def test_picked_lines_are_the_raw_bytes_in_input_order(files, tmp_path: Path) -> None:
    out = tmp_path / "picked.jsonl"
    chosen = run(files, out)
    lines = files[0].read_bytes().splitlines(keepends=True)
    assert out.read_bytes() == b"".join(lines[i] for i in chosen.indices)
    assert len(chosen.indices) == 200


def test_lines_keep_their_endings_and_a_last_one_gets_its_newline(tmp_path: Path) -> None:
    raw = tmp_path / "raw.jsonl"
    raw.write_bytes(b'{"text": "a b"}\r\n\n {"text":"c d"} \n{"text": "\\u0065 f"}')
    run((raw, raw), tmp_path / "out.jsonl", k=3)
    expected = b'{"text": "a b"}\r\n {"text":"c d"} \n{"text": "\\u0065 f"}\n'
    assert (tmp_path / "out.jsonl").read_bytes() == expected


@pytest.mark.parametrize("hash", ["fast", "exact"])
def test_workers_blocks_and_files_change_nothing(files, tmp_path, monkeypatch, hash) -> None:
    whole = run(files, tmp_path / "whole.jsonl", workers=1, hash=hash)
    monkeypatch.setattr(reading.blocks, "__defaults__", (1000,))
    monkeypatch.setattr(kept, "NGRAMS_AT_A_TIME", 500)
    monkeypatch.setattr(kept, "DOCUMENTS_AT_A_TIME", 70)
    lines = files[0].read_bytes().splitlines(keepends=True)
    parts = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"]
    parts[0].write_bytes(b"".join(lines[:700]))
    parts[1].write_bytes(gzip.compress(b"".join(lines[700:])))
    options = {"min_tokens": 1, "workers": 3, "hash": hash, "shard": 5000}
    split = select_files(parts, [files[1]], 200, tmp_path / "split.jsonl", **options)
    assert np.array_equal(whole.log_weights, split.log_weights)
    picked = {Path(one["source"]).name: one["picked"] for one in split.report["sources"]}
    assert picked == {
        "a.jsonl": int((whole.indices < 700).sum()),
        "b.jsonl.gz": int((whole.indices >= 700).sum()),
    }
    assert {**whole.report, "sources": 0} == {**split.report, "sources": 0}
    assert (tmp_path / "whole.jsonl").read_bytes() == (tmp_path / "split.jsonl").read_bytes()


def test_files_and_texts_give_the_same(files, mixture, tmp_path: Path) -> None:
    pool, _, target = mixture
    from_files = run(files, tmp_path / "out.jsonl", seed=5)
    from_texts = select(pool, target, 200, min_tokens=1, seed=5)
    assert np.array_equal(from_files.indices, from_texts.indices)
    assert from_files.report["rising"] == from_texts.report["rising"]


def test_the_report_and_the_parameters_lie_beside(files, tmp_path: Path) -> None:
    chosen = run(files, tmp_path / "picked.jsonl", smoothing=1.0)
    report = json.loads((tmp_path / "picked.selection.json").read_text())
    assert report == json.loads(json.dumps(chosen.report))
    assert {"method", "n_raw", "n_target", "k", "filtered", "seed", "effective_sample_size",
            "kl_reduction", "rising", "falling", "lengths"} <= set(report)  # fmt: skip
    assert (report["method"], report["n_raw"], report["n_target"], report["k"]) == (
        "dsir", 1500, 100, 200)  # fmt: skip
    assert report["lengths"]["picked"] == {"mean": 40.0, "median": 40.0}
    with np.load(tmp_path / "picked.parameters.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["p"][0], chosen.fits[0].target)
        assert json.loads(kept["options"].tobytes())["smoothing"] == 1.0


def test_rising_and_falling_ngrams_name_what_changed(files, tmp_path: Path) -> None:
    report = run(files, tmp_path / "picked.jsonl", smoothing=1.0).report
    rising = {word for one in report["rising"] for word in one["ngram"].split()}
    falling = {word for one in report["falling"] for word in one["ngram"].split()}
    assert rising <= set(COOKING) | set(LAW)
    assert falling <= set(CODE) | set(LAW)
    assert all(one["picked"] > one["pool"] and one["log_ratio"] > 0 for one in report["rising"])
    assert all(one["picked"] < one["pool"] and one["log_ratio"] < 0 for one in report["falling"])


def test_separate_targets_fill_their_quotas(tmp_path: Path, mixture) -> None:
    pool, labels, _ = mixture
    draw = random.Random(1)
    for name, words in (("raw", None), ("cooking", COOKING), ("law", LAW)):
        texts = pool if words is None else [document(draw, words) for _ in range(50)]
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    raw, cooking, law = (tmp_path / f"{name}.jsonl" for name in ("raw", "cooking", "law"))
    options = {"min_tokens": 1, "separate_targets": True, "proportions": (0.25, 0.75)}
    chosen = select_files([raw], [cooking, law], 101, tmp_path / "out.jsonl", **options)
    domains = [labels[i] for i in chosen.indices]
    assert (domains.count("cooking"), domains.count("law")) == (25, 76)
    assert chosen.log_weights.shape == (1500, 2)
    with pytest.raises(UsageError, match="do not match"):
        select_files([raw], [law], 5, tmp_path / "o", separate_targets=True, proportions=(1, 1))


def test_a_fault_leaves_the_old_output_and_nothing_half_written(
    files, tmp_path, monkeypatch
) -> None:
    out = tmp_path / "picked.jsonl"
    run(files, out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(parts, path: Path) -> None:
        with blocks.whole_file(path) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "gather", fail)
    monkeypatch.setattr(report, "write_report", lambda *_: None)
    with pytest.raises(SurroundingsError, match="disk is full"):
        run(files, out, seed=9)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before


def test_a_full_disk_while_indexing_is_told(files, tmp_path, monkeypatch) -> None:
    class Full:
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr(index, "_temporary", lambda _: Full())
    with pytest.raises(SurroundingsError, match="disk is full"):
        select(["a b"] * 9, ["a"], 1)


def test_a_raw_file_that_changes_meanwhile_is_noticed(files, tmp_path, monkeypatch) -> None:
    def slow(*arguments):
        found = select_shards(*arguments)
        files[0].write_text("{}\n")
        return found

    monkeypatch.setattr("togi.data.shards.select.select_shards", slow)
    with pytest.raises(DataError, match="changed"):
        run(files, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"k": -1}, "negative"),
        ({"on_bad": "ignore"}, "on_bad"),
        ({"buckets": 1}, "buckets"),
        ({"hash": "exat"}, "exat"),
        ({"min_tokens": -3}, "min_tokens"),
        ({"field": "body"}, "no field 'body'"),
    ],
)
def test_wrong_settings_are_told(files, tmp_path, change, problem) -> None:
    with pytest.raises((UsageError, DataError), match=problem):
        run(files, tmp_path / "out.jsonl", **change)


def test_inputs_that_cannot_be_picked_from_are_told(files, tmp_path: Path) -> None:
    raw, target = files
    with pytest.raises(UsageError, match="replace an input"):
        select_files([raw], [target], 1, raw)
    with pytest.raises(UsageError, match="wanted"):
        select_files([raw], [], 1, tmp_path / "o")
    with pytest.raises(DataError, match="no such file"):
        select_files([tmp_path / "x.parquet"], [target], 1, tmp_path / "o")
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="no documents to pick"):
        select_files([tmp_path / "x.zip"], [target], 1, tmp_path / "o")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="raw pool has no words"):
        select_files([tmp_path / "empty.jsonl"], [target], 1, tmp_path / "o")


def test_skipped_lines_are_counted_in_the_report(files, tmp_path: Path) -> None:
    raw = files[0]
    raw.write_text(raw.read_text() + "oops\n{}\n")
    chosen = run(files, tmp_path / "out.jsonl", on_bad="skip", length_normalise=True)
    assert chosen.report["dropped"] == {"not JSON": 1, "no field 'text'": 1}
    assert any("1 not JSON" in note for note in chosen.notes)
