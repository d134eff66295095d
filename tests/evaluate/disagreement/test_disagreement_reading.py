"""The table's reader: what is found, what is refused and in which words, and any bytes at all."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rater_toys import synthetic_dices

from togi.errors import DataError, TogiError, UsageError
from togi.evaluate.disagreement.columns import find
from togi.evaluate.disagreement.loaders import Reading, load
from togi.evaluate.disagreement.reading import read_table
from togi.evaluate.disagreement.table import Ratings, checked, from_triples

GOOD = "item,rater,label\na,r1,yes\na,r2,no\nb,r1,yes\nb,r2,yes\n"


def written(folder: Path, text: str, name: str = "t.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def lines(folder: Path, rows: list[dict], name: str = "t.jsonl") -> str:
    return written(folder, "".join(json.dumps(row) + "\n" for row in rows), name)


def test_a_plain_table(tmp_path: Path):
    found, columns = read_table(written(tmp_path, GOOD))
    assert (found.items, found.raters, found.labels) == (("a", "b"), ("r1", "r2"), ("no", "yes"))
    assert found.counts.tolist() == [[1, 1], [0, 2]]
    assert found.complete
    assert columns.told() == "item item; rater rater; label label"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("unit_id,worker,rating", ("unit_id", "worker", "rating")),
        ("_unit_id,_worker_id,judgment", ("_unit_id", "_worker_id", "judgment")),
        ("Item ID,Annotator,Answer", ("Item ID", "Annotator", "Answer")),
        ("conversation_id,judge,vote,text", ("conversation_id", "judge", "vote")),
    ],
)
def test_near_names_are_found(header, expected):
    found = find(header.split(","), {}, "t")
    assert (found.item, found.rater, found.label) == expected


def test_formats_give_the_same_table(tmp_path: Path):
    rows = [{"item": i, "rater": 7 + r, "label": (i + r) % 3} for i in range(4) for r in range(3)]
    text = "item\trater\tlabel\n" + "".join(
        f"{r['item']}\t{r['rater']}\t{r['label']}\n" for r in rows
    )
    sources = [
        lines(tmp_path, rows),
        written(tmp_path, json.dumps(rows), "t.json"),
        written(tmp_path, text, "t.tsv"),
    ]
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    tables = [read_table(source)[0] for source in [*sources, str(tmp_path / "t.parquet")]]
    for table in tables[1:]:
        assert (table.items, table.raters, table.labels) == (
            tables[0].items, tables[0].raters, tables[0].labels,
        )  # fmt: skip
        assert table.counts.tolist() == tables[0].counts.tolist()


def test_groups_are_columns_that_never_change_within_a_rater(tmp_path: Path):
    rows = [
        {"item": f"i{i}", "rater": f"r{r}", "label": "yx"[i * r % 2], "sex": "fm"[r % 2],
         "topic": f"t{i % 2}", "seconds": i * r, "wave": "one", "note": "z" * 100}
        for i in range(4) for r in range(6)
    ]  # fmt: skip
    found, _ = read_table(lines(tmp_path, rows))
    assert found.groups == {"sex": ("f", "m", "f", "m", "f", "m")}
    named, _ = read_table(lines(tmp_path, rows), columns={"groups": ["sex", "wave"]})
    assert list(named.groups) == ["sex", "wave"]
    none, _ = read_table(lines(tmp_path, rows), columns={"groups": []})
    assert none.groups == {}


def test_missing_groups_are_counted_and_single_ratings_tell_no_groups(tmp_path: Path):
    rows = [
        {"item": f"i{i}", "rater": f"r{r}", "label": "xy"[(i + r) % 2], "sex": ["f", None, "m"][r]}
        for i in range(3) for r in range(3)
    ]  # fmt: skip
    found, _ = read_table(lines(tmp_path, rows))
    assert found.groups == {"sex": ("f", "", "m")}
    assert "1 of 3 raters have no sex; they are left out of it" in found.notes
    alone = [{"item": "i", "rater": f"r{r}", "label": "xy"[r % 2], "sex": "f"} for r in range(4)]
    found, _ = read_table(lines(tmp_path, alone))
    assert found.groups == {}
    assert "name the groups with columns.groups" in found.notes[-1]


def test_empty_labels_are_missing_ratings_not_labels(tmp_path: Path):
    rows = [
        {"item": "a", "rater": "1", "label": "x"}, {"item": "a", "rater": "2", "label": None},
        {"item": "a", "rater": "3", "label": " "}, {"item": "a", "rater": "4", "label": "y"},
        {"item": "b", "rater": "1", "label": "nan"}, {"item": "b", "rater": "2", "label": "Y"},
    ]  # fmt: skip
    found, _ = read_table(lines(tmp_path, rows))
    assert found.n == 4
    assert "2 rows left out: no label: a missing rating" in found.notes
    assert any("'nan' counts as a label" in note for note in found.notes)
    assert any("differ only in capitals: y, Y" in note or "Y, y" in note for note in found.notes)


def test_numbers_are_labels_in_their_order(tmp_path: Path):
    text = "item,rater,label\na,1,10\na,2,9.0\nb,1,9\nb,2,2\n"
    found, _ = read_table(written(tmp_path, text))
    assert found.labels == ("2", "9", "10")
    fine = "item,rater,label\na,1,0.5\na,2,0.75\nb,1,0.5\nb,2,2\n"
    found, _ = read_table(written(tmp_path, fine), numeric=True)
    assert found.labels == ("0.5", "0.75", "2")
    numbers = found.numbers()
    assert numbers is not None
    assert numbers.tolist() == [0.5, 0.75, 2]
    assert read_table(written(tmp_path, GOOD))[0].numbers() is None


def test_given_labels_keep_their_order_and_may_be_unused(tmp_path: Path):
    found, _ = read_table(written(tmp_path, GOOD), labels=["yes", "maybe", "no"])
    assert found.labels == ("yes", "maybe", "no")
    assert found.counts[0].tolist() == [1, 0, 1]


def test_anonymous_ratings_and_counts(tmp_path: Path):
    found, _ = read_table(written(tmp_path, "item,label\na,x\na,y\na,y\n"), columns={"rater": None})
    assert (found.counts.tolist(), found.raters) == ([[1, 2]], ())
    text = "name,yes,no,comment\na,2,1,first\nb,0,3,second\n"
    found, _ = read_table(
        written(tmp_path, text), columns={"counts": ["no", "yes"], "item": "name"}
    )
    assert (found.items, found.labels) == (("a", "b"), ("no", "yes"))
    assert found.counts.tolist() == [[1, 2], [3, 0]]
    assert found.texts == ("first", "second")


# --- refusals, each by its words ----------------------------------------------------------------

REFUSED = {
    "a rater twice": (
        "item,rater,label\na,1,x\nb,1,y\na,1,y\n", {},
        r"t.csv line 4: a rater rates an item twice. Found: rater 1, item a: y; before that "
        r"t.csv line 2: x.*on_bad: skip",
    ),
    "two profiles": (
        "item,rater,label,sex\na,1,x,f\nb,1,y,m\na,2,x,f\n", {"columns": {"groups": ["sex"]}},
        r"t.csv line 3: rater '1' has two profiles. Found: sex m; in t.csv line 2 f",
    ),
    "fractions": (
        "item,rater,label\na,1,1\na,2,0.73\n", {},
        r"t.csv line 3: 'label' is a number with a fraction, no category. Found: 0.73.*"
        r"level: interval",
    ),
    "no number": (
        "item,rater,label\na,1,1\na,2,low\n", {"numeric": True},
        r"line 3: 'label' is no number. Found: 'low'.*level: ordinal",
    ),
    "one rater": ("item,rater,label\na,1,x\nb,1,y\n", {}, r"there is only one rater. Found: 1"),
    "one label": (
        "item,rater,label\na,1,x\na,2,x\n", {},
        r"all ratings are the same label. Found: x.*0/0.*`labels:`",
    ),
    "one rating each": (
        "item,rater,label\na,1,x\nb,2,y\n", {}, r"no item has two ratings. Found: 2 items",
    ),
    "an unknown label": (
        GOOD, {"labels": ["yes", "No"]},
        r"line 3: 'label' holds a label that `labels` does not name. Found: 'no'. "
        r"Expected: yes, No",
    ),
    "no rater column": (
        "item,label\na,x\na,y\n", {},
        r"no column for the rater was found. Found: 'item, label'.*columns.rater=null",
    ),
    "no item column": ("who,rater,label\na,1,x\n", {}, r"no column for the item was found"),
    "a wrong column": (
        GOOD, {"columns": {"label": "lable"}},
        r"no column 'lable' for the label. Found: 'item, rater, label'. "
        r"Expected: did you mean 'label'",
    ),
    "an empty id": ("item,rater,label\na,,x\n", {}, r"line 2: 'rater' is empty. Expected: an id"),
    "too many labels": (
        "item,rater,label\n" + "".join(f"a,{r},w{r}\n" for r in range(60)), {},
        r"60 distinct labels are too many for categories.*at most 50.*level: interval",
    ),
    "a short row": (GOOD + "c,r1\n", {}, r"line 6: the row does not have as many fields"),
    "nothing": ("", {}, r"the table is empty"),
    "only a header": ("item,rater,label\n", {}, r"the table is empty"),
    "only missing": ("item,rater,label\na,1,\na,2,\n", {}, r"no rating is left.*missing rating"),
    "a share as a count": (
        "item,yes,no\na,0.5,0.5\n", {"columns": {"counts": ["yes", "no"]}},
        r"line 2: 'yes' is no count. Found: '0.5'.*how many raters",
    ),
    "an item twice in counts": (
        "item,yes,no\na,1,2\na,1,2\n", {"columns": {"counts": ["yes", "no"]}},
        r"line 3: an item stands twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_clear_error(tmp_path: Path, case: str):
    text, options, words = REFUSED[case]
    with pytest.raises(DataError) as told:
        read_table(written(tmp_path, text), **options)
    import re

    assert re.search(words, str(told.value)), str(told.value)


def test_a_rater_written_as_a_number_with_a_fraction(tmp_path: Path):
    rows = [{"item": "a", "rater": 2.97514565398139e14, "label": "x"}]
    with pytest.raises(DataError, match=r"'rater' is no id.*has lost digits; write it as text"):
        read_table(lines(tmp_path, rows))
    rows = [{"item": "a", "rater": "1", "label": ["x"]}]
    with pytest.raises(DataError, match="'label' is no label"):
        read_table(lines(tmp_path, rows))
    with pytest.raises(UsageError, match=r"no field is called 'itm'.*'item'"):
        read_table(lines(tmp_path, rows), columns={"itm": "a"})
    with pytest.raises(UsageError, match="'rater' is one column"):
        read_table(lines(tmp_path, rows), columns={"rater": ["a", "b"]})


def test_skipping_bad_rows_counts_them(tmp_path: Path):
    text = GOOD + "a,r1,no\n,r2,yes\n"
    found, _ = read_table(written(tmp_path, text), on_bad="skip")
    assert found.n == 4
    assert "1 rows left out: a rater rates an item twice" in found.notes
    assert "1 rows left out: 'item' is empty" in found.notes


# --- the table itself ---------------------------------------------------------------------------


def test_merging_keeping_and_crossing():
    table = from_triples(
        [("a", "1", "yes"), ("a", "2", "unsure"), ("b", "1", "no"), ("b", "2", "yes")],
        groups={"sex": ("f", ""), "age": ("old", "young")},
    )
    merged = table.merged({"unsure": "yes"})
    assert (merged.labels, merged.counts.tolist()) == (("no", "yes"), [[0, 2], [1, 1]])
    kept = table.only(np.array([False, True]))
    assert (kept.raters, kept.n, kept.groups["age"]) == (("2",), 2, ("young",))
    assert kept.counts.sum(axis=1).tolist() == [1, 1]
    assert table.crossed(["sex", "age"]) == ("f, old", "")
    with pytest.raises(UsageError, match="no label is called 'Unsure'"):
        table.merged({"Unsure": "yes"})
    with pytest.raises(UsageError, match=r"no group 'race'"):
        table.crossed(["race"])
    with pytest.raises(DataError, match=r"rater '1' rates item 'a' twice"):
        from_triples([("a", "1", "x"), ("a", "1", "y")])


def test_a_table_too_large_for_groups_is_refused_before_memory_runs_out():
    table = Ratings(
        items=tuple(map(str, range(30_000))), labels=("x", "y"),
        counts=np.ones((30_000, 2), dtype=np.int64), raters=tuple(map(str, range(9000))),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"too many raters and items.*9000 raters × 30000 items"):
        table.one_hot()
    alone = checked(from_triples([("a", "1", "x"), ("a", "2", "y"), ("b", "1", "x")]), "t")
    assert alone.notes == ("1 of 2 items have one rating; they show no disagreement",)


# --- any bytes ----------------------------------------------------------------------------------

CELL = st.one_of(
    st.sampled_from(["a", "b", "1", "2", "", "yes", "0.5", '"', "é", "\x00", "-1", "nan", "1e400"]),
    st.text(max_size=6),
)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.lists(CELL, min_size=0, max_size=5), max_size=12),
    header=st.sampled_from(["item,rater,label", "item,rater,label,sex", "a;b", ""]),
    skip=st.booleans(),
)
def test_any_table_is_ratings_or_one_error(tmp_path_factory, rows, header, skip):
    folder = tmp_path_factory.mktemp("fuzz")
    text = "\n".join([header, *(",".join(row) for row in rows)])
    path = folder / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found, _ = read_table(str(path), on_bad="skip" if skip else "error")
    except TogiError:
        return
    assert found.n == len(found.label) == found.counts.sum()
    assert found.counts.shape == (len(found.items), len(found.labels))
    assert all(found.labels)
    assert len(found.raters) >= 2
    for axis in found.groups.values():
        assert len(axis) == len(found.raters)


VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4), st.lists(st.integers(), max_size=2),
)  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(rows=st.lists(st.fixed_dictionaries({"item": VALUE, "rater": VALUE, "label": VALUE}),
                     max_size=10))  # fmt: skip
def test_any_json_is_ratings_or_one_error(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("fuzz") / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    try:
        found, _ = read_table(str(path), on_bad="skip")
    except TogiError:
        return
    assert found.n >= 2
    assert math.isfinite(float(found.counts.sum()))


# --- published headers --------------------------------------------------------------------------


def test_the_columns_of_dices_are_known(tmp_path: Path):
    loaded = load(str(synthetic_dices(tmp_path / "any_name.csv")))
    found = loaded.ratings
    assert found.labels == ("No", "Unsure", "Yes")
    assert list(found.groups) == ["gender", "race", "age", "education"]
    assert found.texts[0] == (
        "USER: synthetic question 0\nLAMDA: synthetic answer,\nin lines\nsynthetic reply 0"
    )
    assert set(found.gold) == {"Yes", "No"}
    assert (len(found.items), len(found.raters), found.complete) == (20, 30, True)
    assert "(DICES)" in loaded.understood
    other = load(
        str(tmp_path / "any_name.csv"),
        Reading(columns={"label": "Q3_bias_overall"}, labels=("No", "Yes")),
    )
    assert other.ratings.counts[:, 1].sum() == 0
