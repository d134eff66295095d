"""Judged by the vote or by everybody: it holds where people divide, and not where all agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from togi.errors import DataError
from togi.evaluate.disagreement.table import Ratings
from togi.gallery.text_classifier import features, learn, out_of_fold, softmax
from togi.gallery.vote_or_distribution import (
    NAME,
    SHARES,
    VOTE,
    Settings,
    agreement,
    finding,
    run,
)
from togi.step import Work

WORDS = ("calm", "odd", "sharp", "harsh")


def crowd(shares: tuple[float, ...], items: int = 160, raters: int = 12, seed: int = 0) -> Ratings:
    """Items whose one telling word decides how many raters say yes."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(shares), items)
    yes = rng.binomial(raters, np.asarray(shares)[kinds])
    texts = tuple(f"{WORDS[kind]} words number {n % 7}" for n, kind in enumerate(kinds))
    return Ratings(
        items=tuple(map(str, range(items))), labels=("no", "yes"),
        counts=np.stack([raters - yes, yes], axis=1), texts=texts,
    )  # fmt: skip


QUICK = Settings(splits=10, folds=4)


def test_it_holds_where_items_divide_people():
    found = finding(crowd((0.1, 0.62, 0.75, 0.9)), QUICK)
    assert found.holds == "holds"
    vote, shares = list(found.estimates.values())[:2]
    assert vote.low <= 0 <= vote.high
    assert shares.high < 0
    nearer = found.estimates[f"above people, nats a rating, {SHARES}"]
    farther = found.estimates[f"above people, nats a rating, {VOTE}"]
    assert nearer.mean < farther.mean
    worse = found.estimates[f"accuracy by the vote on contested items minus others, {SHARES}"]
    assert worse.high < 0  # judged by the vote, contested items look like the model's errors


def test_where_all_agree_both_are_the_same_model():
    found = finding(crowd((0.0, 1.0, 0.0, 1.0)), QUICK)
    assert found.holds != "holds"
    assert list(found.estimates.values())[1].mean == pytest.approx(0, abs=1e-9)
    assert found.values["contested"] == 0
    assert np.isnan(list(found.estimates.values())[2].mean)  # no contested item: unknown, not zero


def test_the_only_minimum_is_found():
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(30, 4)), rng.dirichlet([1, 1, 1], 30)
    x[:, -1] = 1
    w = learn(x, target, 0.01)
    decay = np.array([[0.01], [0.01], [0.01], [0.0]])
    slope = x.T @ (softmax(x @ w) - target) / 30 + decay * w
    assert np.abs(slope).max() < 1e-4


def test_no_item_is_predicted_by_a_model_that_saw_it():
    x = np.hstack([np.eye(6), np.ones((6, 1))])
    target = np.tile([0.5, 0.5], (6, 1))
    fold = np.arange(6) % 3
    other = target.copy()
    other[0] = (1.0, 0.0)
    plain, changed = (out_of_fold(x, t, fold, 0.01) for t in (target, other))
    assert np.array_equal(plain[fold == 0], changed[fold == 0])
    assert not np.array_equal(plain[fold != 0], changed[fold != 0])


def test_a_tied_vote_gives_each_label_its_part():
    votes = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    q = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    assert agreement(q, votes).tolist() == [0.5, 0.0]


def test_features_are_of_words_and_neighbours_and_never_fail():
    one, two = features(["Bad, bad dog", "\ud800 ☃ 123"])
    assert one[-1] == two[-1] == 1.0
    assert np.linalg.norm(one[:-1]) == pytest.approx(1.0)
    assert not np.array_equal(features(["a b"]), features(["b a"]))
    assert features([""])[0, :-1].sum() == 0


def test_too_few_or_no_texts_are_told():
    few = crowd((0.5, 0.6), items=20)
    with pytest.raises(DataError, match=r"too few items can be learnt from.*20 with a text"):
        finding(few, QUICK)
    whole = crowd((0.5, 0.6))
    bare = Ratings(items=whole.items, labels=whole.labels, counts=whole.counts)
    with pytest.raises(DataError, match=r"columns\.text=NAME"):
        finding(bare, QUICK)


def test_the_seed_decides():
    ratings = crowd((0.1, 0.62, 0.75, 0.9))
    small = Settings(splits=5, folds=3, limit=80)
    one, two = (finding(ratings, small, seed=3) for _ in range(2))
    assert one.estimates == two.estimates
    assert one.estimates != finding(ratings, small, seed=4).estimates


def test_the_step_writes_its_finding_from_any_table(tmp_path: Path):
    ratings = crowd((0.1, 0.62, 0.75, 0.9), items=60)
    path = tmp_path / "tweets.csv"
    lines = ["id,no,yes,text"]
    lines += [
        f"{item},{no},{yes},{text}"
        for item, (no, yes), text in zip(
            ratings.items, ratings.counts.tolist(), ratings.texts, strict=True
        )
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "work").mkdir()
    work = Work(folder=tmp_path / "work", seed=0, name=NAME, model="none", say=lambda _: None)
    columns = {"counts": ["no", "yes"], "item": "id", "text": "text"}
    run(Settings(source=str(path), columns=columns, splits=5, folds=3), work)
    told = json.loads((work.folder / "finding.json").read_text())
    assert "By the majority vote" in told["measured"]
