"""Tables of training runs: near names, derived columns, and every error by its words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from law_toys import CHINCHILLA, REPEATED, published

from togi.data.run_names import parse_run_name
from togi.data.scaling_columns import find_columns, number
from togi.data.scaling_runs import read_runs
from togi.errors import DataError
from togi.rows.raw import BadRow

HEAD = "params,tokens,loss\n"
ROWS = "1e8,1e9,3.5\n2e8,1e9,3.3\n"


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, name: str = "runs.csv") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_numbers_as_people_write_them():
    assert [number(t) for t in ("2.8B", "55e9", " 400 M", "1_000", "1.4T", "5k", 7)] == [
        2.8e9, 55e9, 4e8, 1000.0, 1.4e12, 5000.0, 7.0,
    ]  # fmt: skip
    for text in ("2,8", "", "abc", None, True, "1e", "3 runs"):
        with pytest.raises(BadRow, match="not a number"):
            number(text)


@pytest.mark.parametrize(
    "head",
    [
        "params,tokens,loss",
        "N,D,L",
        "Model Size,training-tokens,Val Loss",
        "n_params;n_tokens;loss",
    ],
)
def test_near_names_and_other_delimiters(table, head: str):
    mark = ";" if ";" in head else ","
    runs = read_runs(table(head + "\n" + mark.join(["1e8", "2B", "3.5"]) + "\n"))
    assert (runs.params[0], runs.tokens[0], runs.loss[0]) == (1e8, 2e9, 3.5)
    assert runs.unique[0] == 2e9


def test_flops_stand_for_the_missing_side(table):
    one = read_runs(table("params,flops,loss\n1e8,6e17,3.5\n"))
    other = read_runs(table("tokens,flops,loss\n1e9,6e17,3.5\n"))
    assert (one.tokens[0], other.params[0]) == (1e9, 1e8)


def test_jsonl_and_given_columns(table):
    path = table('{"N_total": 100000000, "tokens": 1e9, "loss": 3.5, "run": "a"}\n', "runs.jsonl")
    runs = read_runs(path, columns={"params": "N_total"})
    assert (runs.params[0], runs.names) == (1e8, ("a",))


def test_names_alone_tell_the_sizes(table):
    runs = read_runs(table("name,loss\n2b855b14b,2.59\n83m1b51b5,4.36\n"))
    assert runs.params.tolist() == [2.81e9, 8.27e7]
    assert runs.tokens.tolist() == [55e9, 1.5e9]
    assert runs.unique.tolist() == [14e9, 1.5e9]


@published
def test_every_published_name_is_read_as_its_authors_read_it():
    """All but one, whose name their cleaning spoilt (`4b284b12bc4opt2` became …12b2)."""
    runs = read_runs(str(REPEATED / "runs_all.csv"))
    assert len(runs) == 296
    for place, name in enumerate(runs.names):
        if name != "4b284b12b2":
            found = parse_run_name(name)
            assert found == (runs.params[place], runs.tokens[place], runs.unique[place]), name


@published
def test_the_published_tables_are_read():
    every, fewer = (read_runs(str(CHINCHILLA), drop_highest=k) for k in (0, 5))
    assert (len(every), len(fewer), len(fewer.dropped)) == (245, 240, 5)
    assert every.tokens == pytest.approx(every.flops / 6 / every.params)
    assert fewer.loss.max() < np.sort(every.loss)[-5]
    runs = read_runs(str(REPEATED / "runs_182.csv"))
    assert len(runs) == 182
    assert any("stand twice to the last digit" in note for note in runs.notes)  # 83m32b, 83m60b


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + ROWS + "3e8,abc,3.1\n", "line 4: column 'tokens' is not a number. Found: 'abc'"),
        (HEAD + ROWS + "3e8,1e9,0\n", "line 4: column 'loss' must be a finite number above 0."
         " Found: 0. Next: a loss of 0 is often an unfinished run"),
        (HEAD + "-1,1e9,3\n", "line 2: column 'params' must be a finite number above 0. Found: -1"),
        (HEAD + "1e8,1e999,3\n", "column 'tokens' must be a finite number above 0. Found: inf"),
        (HEAD + "1e8,,3\n", "column 'tokens' is not a number"),
        (HEAD + "1e8,1e9\n", "line 2: the row does not have as many fields as the header"),
        ("params,loss\n1e8,3\n", "no column for tokens. Found: params, loss. Expected: params,"
         " tokens and loss; flops may stand for one"),
        ("params,tokens\n1,1\n", "no column for loss"),
        ("a,b,loss\n1,1,1\n", "no column for params"),
        ("params,tokens,loss,val_loss\n1,1,1,1\n", "two columns could be loss. Found: loss,"
         " val_loss. Next: say which: columns: {loss: loss}"),
        ("params,tokens,unique_tokens,loss\n1e8,1e9,2e9,3\n", "more unique tokens than tokens."
         " Found: 2e+09 unique of 1e+09"),
        ("name,loss\nlarge-run,3\n", "no column for params and tokens, and the run's name does not"
         " say its size. Found: name 'large-run'; columns name, loss. Expected: a name such as"
         " 2b855b14b"),
        (HEAD, "no training run. Found: an empty table"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_line_and_column(table, text: str, told: str):
    with pytest.raises(DataError) as caught:
        read_runs(table(text))
    assert told in str(caught.value)
    assert "runs.csv" in str(caught.value)


def test_a_missing_file_and_a_wrong_column(table, tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_runs(str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="no column 'Loss2'"):
        read_runs(table(HEAD + ROWS), columns={"loss": "Loss2"})
    assert find_columns(["x", "tokens", "loss"], {"params": "x"}, "t")["params"] == "x"


def test_bad_rows_can_be_counted_instead(table):
    runs = read_runs(table(HEAD + ROWS + "3e8,1e9,0\n4e8,x,3\n"), on_bad="skip")
    assert len(runs) == 2
    assert [drop.reason for drop in runs.dropped] == [
        "column 'loss' must be a finite number above 0", "column 'tokens' is not a number",
    ]  # fmt: skip
    with pytest.raises(DataError, match="no training run"):
        read_runs(table(HEAD + "1,1,0\n"), on_bad="skip")


def test_runs_can_be_left_out_by_name_and_by_loss(table):
    path = table("name,params,tokens,loss\na,1,1,5\nb,1,1,4\nc,1,1,4\nd,1,1,3\n")
    runs = read_runs(path, exclude=["a"], drop_highest=1)
    assert runs.names == ("d",)  # what equals the highest goes with it
    assert [drop.reason for drop in runs.dropped] == [
        "excluded by name", "among the 1 highest losses", "among the 1 highest losses",
    ]  # fmt: skip
    with pytest.raises(DataError, match="no run of that name to exclude"):
        read_runs(path, exclude=["z"])
    with pytest.raises(DataError, match="drop_highest leaves no run"):
        read_runs(path, drop_highest=4)


def test_what_is_odd_is_noted(table):
    text = "params,tokens,flops,loss\n1e8,1e9,6e17,3.5\n2e8,1e9,6e17,3.3\n1e8,1e9,6e17,3.5\n"
    notes = read_runs(table(text)).notes
    assert "1 of 3 rows have FLOPs more than 20% away from 6 × params × tokens" in notes[1]
    assert "1 rows are copies of others in params, tokens and loss" in notes[2]
