"""Mixtures: the stream by step alone, its shares, epochs without repeats, weights, rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.cli import main
from togi.data.doremi_steps import DoremiSettings, MixtureSettings, run_doremi, run_mixture
from togi.data.mixture import (
    BLOCK,
    Mixture,
    matched,
    normalised,
    overworked,
    plan,
    read_weights,
)
from togi.data.mixture_rows import draw_rows
from togi.errors import DataError, RecipeError, UsageError
from togi.rows.read import read_rows
from togi.rows.types import Document
from togi.step import Work

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "data" / "doremi"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published data are not beside the repository"
)
DOMAINS = [0] * 50 + [1] * 7 + [2] * 20


def domains_drawn(mixture, steps):
    return [np.bincount(np.array(DOMAINS)[mixture.rows(s)], minlength=3) for s in range(steps)]


# --- the stream -----------------------------------------------------------------------------------


def test_a_step_s_rows_follow_from_its_number_alone():
    straight = Mixture(DOMAINS, [1, 1, 2], batch=5, seed=0)
    lines = [straight.rows(step) for step in range(BLOCK + 40)]
    for step in (BLOCK + 30, 3, BLOCK, BLOCK - 1):  # in no order, by a sampler made anew
        assert Mixture(DOMAINS, [1, 1, 2], batch=5, seed=0).rows(step) == lines[step]
        assert straight.rows(step) == lines[step]
    assert Mixture(DOMAINS, [1, 1, 2], batch=5, seed=1).rows(0) != lines[0]


def test_no_row_comes_twice_before_all_of_its_domain_have_come():
    mixture = Mixture(DOMAINS, [0.2, 0.5, 0.3], batch=6, seed=2)
    seen = [row for step in range(BLOCK // 4) for row in mixture.rows(step)]
    for domain, size in ((0, 50), (1, 7), (2, 20)):
        mine = [row for row in seen if DOMAINS[row] == domain]
        for start in range(0, len(mine) - size, size):
            assert len(set(mine[start : start + size])) == size


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.01),
    st.integers(1, 20),
    st.integers(0, 1000),
)
def test_a_stratified_step_has_each_domain_s_share_to_within_one_row(weights, batch, seed):
    mixture = Mixture(DOMAINS, weights, batch=batch, seed=seed)
    wanted = normalised(weights) * batch
    for counts in domains_drawn(mixture, 5):
        assert counts.sum() == batch
        assert np.all(np.abs(counts - wanted) < 1 + 1e-9)
        assert not counts[normalised(weights) == 0].any()


@pytest.mark.parametrize("stratified", [True, False])
def test_in_the_long_run_the_shares_are_the_weights(stratified):
    weights = np.array([0.55, 0.05, 0.4])
    mixture = Mixture(DOMAINS, weights, batch=7, seed=4, stratified=stratified)
    counts = np.array(domains_drawn(mixture, 900))
    n = counts.sum()
    assert np.abs(counts.sum(axis=0) / n - weights).max() < 4 * np.sqrt(0.25 / n)
    spread = counts.var(axis=0)
    if stratified:
        assert spread.max() <= 0.25 + 1e-9  # up or down by one
    else:
        assert spread == pytest.approx(7 * weights * (1 - weights), rel=0.2)


def test_what_makes_no_mixture_is_refused():
    with pytest.raises(UsageError, match="make no mixture"):
        Mixture(DOMAINS, [1, -1, 1], batch=2, seed=0)
    with pytest.raises(UsageError, match="make no mixture"):
        Mixture(DOMAINS, [0, 0, 0], batch=2, seed=0)
    with pytest.raises(UsageError, match="batch is out of range"):
        Mixture(DOMAINS, [1, 1, 1], batch=0, seed=0)
    with pytest.raises(DataError, match=r"a weight and no rows"):
        Mixture([0, 0], [1, 1], batch=2, seed=0)


# --- weights in files -----------------------------------------------------------------------------


@published
def test_the_authors_own_files_are_read():
    paper = read_weights(PUBLISHED / "pile_doremi_280M_256kvocab_paper.json")
    base = read_weights(PUBLISHED / "pile_baseline_256kvocab.json")
    assert paper["Pile-CC"] == pytest.approx(0.6057, abs=1e-4)
    assert base["Pile-CC"] == pytest.approx(0.1121, abs=1e-4)
    assert sorted(paper) == sorted(base)
    assert sum(paper.values()) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"train_domain_weights": {"a": "much"}}'])
def test_a_file_without_weights_is_refused(tmp_path, text):
    file = tmp_path / "w.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"cannot be read|no domain weights"):
        read_weights(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_weights(tmp_path / "none.json")


def test_names_of_weights_and_rows_must_agree():
    assert matched({"b": 1.0, "a": 2.0}, ["a", "b"], "x") == [2.0, 1.0]
    with pytest.raises(DataError, match=r"without rows: c; without a weight: b"):
        matched({"c": 1.0, "a": 2.0}, ["a", "b"], "x")


def test_a_budget_says_tokens_and_epochs():
    shares = plan({"web": 3.0, "law": 1.0}, {"web": 1000.0, "law": 10.0}, 400)
    assert [(s.tokens, s.epochs) for s in shares] == [(300.0, 0.3), (100.0, 10.0)]
    assert "law (10.0)" in overworked(shares)[0]
    assert overworked(shares[:1]) == []


# --- rows -----------------------------------------------------------------------------------------


def documents(name, n, length):
    return [Document(id=f"{name}{i}", text="x" * length, metadata={"set": name}) for i in range(n)]


def test_weights_are_shares_of_the_text_or_of_the_rows():
    rows = {"long": documents("l", 40, 300), "short": documents("s", 400, 100)}
    weights, n = {"long": 0.5, "short": 0.5}, 256
    by_text = draw_rows(rows, weights, n, lambda row: row.text, seed=0)
    by_rows = draw_rows(rows, weights, n, lambda row: row.text, seed=0, by_text=False)
    assert [one["rows"] for one in by_text.told["domains"]] == [64, 192]
    assert [one["rows"] for one in by_rows.told["domains"]] == [128, 128]
    assert by_text.told["domains"][0]["share_of_text"] == pytest.approx(0.5)
    fewer = draw_rows(rows, weights, 100, lambda row: row.text, seed=0)
    assert [r.id for r in fewer.rows] == [r.id for r in by_text.rows[:100]]


def test_a_row_that_comes_again_says_so():
    rows = {"a": documents("a", 2, 5), "b": documents("b", 50, 5)}
    found = draw_rows(rows, {"a": 0.5, "b": 0.5}, 20, lambda row: row.text, seed=0)
    ids = [row.id for row in found.rows]
    assert len(set(ids)) == 20
    assert "a0~2" in ids
    assert found.rows[0].metadata["domain"] in ("a", "b")
    assert sum(row.id.startswith("a") for row in found.rows) == 9
    assert "a (4.5)" in found.told["warnings"][0]


def work(folder, **inputs):
    folder.mkdir(exist_ok=True)
    return Work(folder=folder, seed=0, name=folder.name, model="none", inputs=inputs,
                say=lambda line: None)  # fmt: skip


def pool(folder):
    lines = []
    draw = np.random.default_rng(0)
    for name, letters in (("one", "z "), ("two", "0123456789"), ("three", "abc")):
        for i in range(8):
            text = "".join(draw.choice(list(letters), 60))
            lines.append(json.dumps({"id": f"{name}{i}", "text": text, "set": name}))
    file = folder / "pool.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


SMALL = {"steps": 3, "batch": 6, "context": 16, "width": 16, "layers": 1, "heads": 2}


def test_from_rows_to_weights_to_rows(tmp_path):
    rows = {"rows": str(pool(tmp_path))}
    asked = DoremiSettings(rows="pool", by="set", seeds=2, compare=2, budget=1e5, **SMALL)
    place = work(tmp_path / "doremi", pool=rows)
    out = run_doremi(asked, place)
    weights = json.loads((place.folder / "weights.json").read_text())
    assert sum(weights["train_domain_weights"].values()) == pytest.approx(1)
    told = json.loads((place.folder / "doremi.json").read_text())
    assert [one["domain"] for one in told["domains"]] == ["one", "three", "two"]
    assert told["trial"]["seeds"] == 2
    assert list(told["trial"]["gains"]) == ["doremi over uniform", "doremi over proportional"]
    assert any("repeated more than 4 times" in line for line in out["notes"])
    trajectory = (place.folder / "trajectory.csv").read_text().splitlines()
    assert len(trajectory) == 1 + 2 * 3 * 3
    second = work(tmp_path / "mix", pool=rows, doremi={"weights": place.folder / "weights.json"})
    mixed = run_mixture(MixtureSettings(rows="pool", by="set", weights="doremi", n=30), second)
    assert mixed["n"] == len(list(read_rows(str(second.folder / "rows.jsonl")))) == 30


def test_domains_to_leave_out_must_be_there_and_settings_must_agree(tmp_path):
    rows = {"rows": str(pool(tmp_path))}
    shares = {"one": 1.0, "two": 2.0}
    asked = {"rows": "pool", "by": "set", "shares": shares, "n": 6}
    out = run_mixture(
        MixtureSettings(**asked, leave_out=["three"]), work(tmp_path / "a", pool=rows)
    )
    assert out["n"] == 6
    with pytest.raises(RecipeError, match="no domain 'four'"):
        run_mixture(MixtureSettings(**asked, leave_out=["four"]), work(tmp_path / "b", pool=rows))
    with pytest.raises(DataError, match="without a weight: three"):
        run_mixture(MixtureSettings(**asked), work(tmp_path / "c", pool=rows))
    with pytest.raises(UsageError, match="either 'domains' or 'rows'"):
        MixtureSettings(shares=shares, n=1)
    with pytest.raises(UsageError, match="one of 'weights', 'file' and 'shares'"):
        MixtureSettings(rows="pool", n=1)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the program in this process: exit code, output, errors."""

    def togi(*words):
        monkeypatch.setattr(sys, "argv", ["togi", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return togi


def test_the_command_finds_weights_says_them_and_makes_a_page(call, tmp_path):
    file, run = str(pool(tmp_path)), tmp_path / "run"
    words = [f"{key}={value}" for key, value in SMALL.items()]
    code, out, err = call(
        "data", "doremi", file, "by=set", *words, "--compare", "2", "--out", str(run)
    )
    assert (code, err) == (0, "")
    assert "Held-out bits per byte, 2 seeds" in out
    assert "doremi over proportional" in out
    page = (run / "report.html").read_text()
    assert "Weights of domains" in page
    assert "Each domain&#39;s held-out bits per byte" in page
    assert "The way of the first proxy&#39;s weights" in page


def test_the_command_refuses_what_is_no_set_of_sources(call, tmp_path):
    file = str(pool(tmp_path))
    for words, told in (
        ((), "either one source"),
        ((file, "--domain", f"a={file}"), "either one source"),
        (("--domain", "a"), "NAME=SOURCE"),
        (("--domain", f"a={file}", "steps=1", "--out", str(tmp_path / "r")), "two domains"),
    ):
        code, _, err = call("data", "doremi", *words)
        assert code != 0
        assert told in err
