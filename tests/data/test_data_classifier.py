"""The classifier as a filter: its optimum by hand, honest scores, picks, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from shard_toys import texts

from togi.data.classifier import best, fit_logistic, judge, matrix, noisy
from togi.data.classifier_step import ClassifierSettings, run_classifier
from togi.errors import DataError
from togi.rows.read import read_rows
from togi.rows.types import Document
from togi.rows.write import write_rows
from togi.step import Work


def test_features_by_hand() -> None:
    found, words = matrix(["a a b", ""])  # a: 2, aa, ab and b: 1
    squares = np.sort(found[[0]].data.astype(float) ** 2)
    assert np.allclose(squares, np.array([1, 1, 1, 4]) / 7)
    assert (found.shape, found[[1]].nnz, words.tolist()) == ((2, 1 << 17), 0, [3, 0])


@pytest.mark.parametrize("times", [(1, 1), (1, 5)])  # the classes weigh the same
def test_the_optimum_of_two_texts_by_hand(times: tuple[int, int]) -> None:
    """By symmetry w = (t, -t), b = 0, where 1 / (1 + exp(t)) = 2 l2 t: t is 1.1776 for l2 = 0.1."""
    y = np.repeat([True, False], times)
    w = fit_logistic(sparse.csr_matrix(np.eye(2)[np.where(y, 0, 1)]), y, 0.1)
    t = 1.1776
    assert 1 / (1 + math.exp(t)) == pytest.approx(0.2 * t, abs=1e-4)
    assert w == pytest.approx([t, -t, 0], abs=1e-3)


def test_the_optimum_is_one_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    x, y = sparse.csr_matrix(rng.random((40, 6))), rng.random(40) < 0.3
    w = fit_logistic(x, y, 0.01)

    def loss(w: np.ndarray) -> float:
        z = np.where(y, 1, -1) * (x @ w[:-1] + w[-1])
        each = np.log1p(np.exp(-z))
        return (each[y].mean() + each[~y].mean()) / 2 + 0.005 * float(w[:-1] @ w[:-1])

    for direction in np.eye(7):
        assert min(loss(w + 0.05 * direction), loss(w - 0.05 * direction)) > loss(w)


def test_no_text_is_scored_by_what_learnt_it() -> None:
    """Two classes that are the same in law: who learns by heart would tell them apart."""
    judged = judge(texts(150, 1), texts(150, 2), seed=1)
    assert abs(judged.auc - 0.5) < 0.14  # four standard errors
    apart = judge(texts(90, 1, ("law",)), texts(90, 2, ("cooking",)), seed=1)
    assert apart.auc > 0.98


def test_the_same_seed_gives_the_same_scores() -> None:
    pool, target = texts(60), texts(30, 1, ("code",))
    first, again, other = (judge(pool, target, seed=s).scores for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_noisy_threshold_passes_the_share_that_its_law_says() -> None:
    keys = noisy(np.zeros(40_000), 9.0, seed=0)  # a score of a half: P(X > 1/2) = 1.5^-9
    share, n = 1.5**-9, 40_000
    assert abs((keys > 0).mean() - share) < 4 * math.sqrt(share * (1 - share) / n)


def test_the_best_of_equal_keys_are_the_earlier_ones() -> None:
    assert best(np.array([2.0, 1.0, 2.0, 2.0]), 2).tolist() == [0, 2]
    assert best(np.zeros(3), 9).tolist() == [0, 1, 2]
    assert best(np.zeros(3), 0).tolist() == []


@pytest.mark.parametrize(("pool", "target"), [(3, 9), (9, 3)])
def test_too_few_texts_are_refused(pool: int, target: int) -> None:
    with pytest.raises(DataError, match="too small to learn from"):
        judge(texts(pool), texts(target), seed=0)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    pool, target = texts(200), texts(50, 1, ("cooking",))
    inputs = {}
    for name, some in (("pool", pool), ("target", target)):
        write_rows(
            tmp_path / f"{name}.jsonl", [Document(id=str(n), text=t) for n, t in enumerate(some)]
        )
        inputs[name] = {"rows": str(tmp_path / f"{name}.jsonl")}
    folder = tmp_path / "step"
    folder.mkdir()
    return Work(folder=folder, seed=1, name="pick", model="none", inputs=inputs)


@pytest.mark.parametrize("noise", [None, 9.0])
def test_the_step_picks_rows_like_the_target(work: Work, noise: float | None) -> None:
    settings = ClassifierSettings(rows="pool", target="target", k=30, min_tokens=8, noise=noise)
    assert run_classifier(settings, work)["n"] == 30
    rows = list(read_rows(work.folder / "rows.jsonl", kind="native"))
    assert [int(row.id) for row in rows] == sorted(int(row.id) for row in rows)
    good = sum("soup" in row.text or "the" in row.text or "salt" in row.text for row in rows)
    assert good >= 25
    told = json.loads((work.folder / "selection.json").read_text())
    assert told["auc"] > 0.75  # two thirds of the pool are of another kind
    dropped = (work.folder / "dropped.jsonl").read_text().splitlines()
    assert len(dropped) == told["filtered"] > 0
    assert json.loads(dropped[0])["reason"] == "fewer than 8 words"


def test_more_than_there_are_is_said(work: Work) -> None:
    settings = ClassifierSettings(rows="pool", target="target", k=999, min_tokens=8)
    assert run_classifier(settings, work)["n"] < 200
    told = json.loads((work.folder / "selection.json").read_text())
    assert "999 rows were wanted" in told["notes"][1]
