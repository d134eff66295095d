"""`rows.clean`: every drop is counted by its reason and kept in a file with it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from togi.data.clean import CleanSettings, run_clean
from togi.errors import DataError, UsageError
from togi.rows.read import read_rows
from togi.rows.types import Document, Row
from togi.rows.write import write_rows
from togi.step import Work


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def cleaned(root: Path, pool: list[Row], held: list[Row] = [], **settings):  # noqa: B006
    folder = root / "clean"
    folder.mkdir()
    inputs = {}
    for name, rows in (("pool", pool), ("held", held)):
        write_rows(root / f"{name}.jsonl", rows)
        inputs[name] = {"rows": str(root / f"{name}.jsonl")}
    work = Work(folder=folder, seed=0, name="clean", model="", inputs=inputs, say=lambda _: None)
    against = ["held"] if held else []
    outputs = run_clean(CleanSettings(pool="pool", against=against, **settings), work)
    kept = list(read_rows(folder / "rows.jsonl", kind="native"))
    assert outputs["n"] == len(kept)
    facts = orjson.loads((folder / "hygiene.json").read_bytes())
    summary = orjson.loads((folder / "rows.json").read_bytes())
    return kept, lines(folder / "dropped.jsonl"), facts, summary


def doc(name: str, text: str) -> Document:
    return Document(id=name, text=text, metadata={"kept": name})


DRAW = random.Random(2)
LONG = " ".join(f"w{DRAW.randrange(400)}" for _ in range(60))
HELD = doc("held", " ".join(f"v{DRAW.randrange(400)}" for _ in range(30)))


def test_each_screen_drops_its_rows_and_the_file_holds_them(tmp_path: Path) -> None:
    pool: list[Row] = [
        doc("short", "just two"),
        doc("fine", "a text of its own that nobody else has written"),
        doc("equal", "A text of  its own that nobody else has WRITTEN"),
        doc("mail", "please write to jo@corp.com about the matter"),
        doc("first", LONG),
        doc("near", LONG.replace("w", "w", 1) + " more"),
        doc("leak", f"as they said {HELD.text}"),
    ]
    kept, dropped, facts, summary = cleaned(
        tmp_path, pool, [HELD], min_words=3, pii="drop", near=0.7
    )
    assert [row.id for row in kept] == ["fine", "first"]
    reasons = {line["id"]: line["reason"] for line in dropped}
    assert reasons == {
        "short": "fewer than 3 words",
        "equal": "duplicate of another row",
        "mail": "hints at personal data: email",
        "near": "near-duplicate of another row",
        "leak": "shares 13 words in a row with held-out rows",
    }
    assert summary["dropped"] == dict.fromkeys(reasons.values(), 1)
    assert summary["n"] == 2
    for line in dropped:  # the row as it was
        assert line["row"]["text"] == next(row.text for row in pool if row.id == line["id"])
        assert line["row"]["metadata"] == {"kept": line["id"]}
    assert facts["pii"]["counts"] == {"email": {"hints": 1, "rows": 1}}
    assert facts["near"]["dropped"] == 1
    assert facts["near"]["examples"][0]["kept"] == "first"
    assert facts["near"]["examples"][0]["dropped"] == "near"
    assert facts["near"]["examples"][0]["similarity"] > 0.9
    assert facts["overlap"]["hit"] == 1
    assert facts["overlap"]["examples"][0]["held_out"] == "held"


def test_by_default_only_equal_rows_and_overlap_go(tmp_path: Path) -> None:
    pool = [
        doc("a", "x"),
        doc("b", "X "),
        doc("c", "jo@corp.com"),
        doc("d", LONG),
        doc("e", LONG + " y"),
    ]
    kept, dropped, facts, _ = cleaned(tmp_path, pool)
    assert [row.id for row in kept] == ["a", "c", "d", "e"]
    assert len(dropped) == 1
    assert set(facts) == {"lengths"}


def test_masked_rows_stay_and_equal_ones_after_masking_go(tmp_path: Path) -> None:
    pool = [doc("a", "write to jo@corp.com"), doc("b", "write to al@corp.com"), doc("c", "none")]
    kept, dropped, facts, _ = cleaned(tmp_path, pool, pii="mask")
    assert [(row.id, row.text) for row in kept] == [("a", "write to [EMAIL]"), ("c", "none")]
    assert [line["reason"] for line in dropped] == ["duplicate of another row"]
    assert facts["pii"]["action"] == "mask"


def test_planted_near_duplicates_are_found_whole(tmp_path: Path) -> None:
    draw = random.Random(6)
    base = [" ".join(f"w{draw.randrange(5000)}" for _ in range(80)) for _ in range(60)]
    pool = [doc(f"base{i}", text) for i, text in enumerate(base)]
    for i, text in enumerate(base[:25]):  # one word of eighty changed: 0.88 of all runs of five
        words = text.split()
        words[40] = "changed"
        pool.append(doc(f"copy{i}", " ".join(words)))
    for i, text in enumerate(base[25:40]):  # half of the words are others
        words = text.split()
        words[::2] = [f"x{draw.randrange(5000)}" for _ in words[::2]]
        pool.append(doc(f"far{i}", " ".join(words)))
    kept, dropped, facts, _ = cleaned(tmp_path, pool, near=0.7)
    assert {line["id"] for line in dropped} == {f"copy{i}" for i in range(25)}
    assert len(kept) == 75
    assert facts["near"]["clusters"] == 25


def test_languages_are_kept_by_name(tmp_path: Path) -> None:
    pytest.importorskip("py3langid", reason="the extra `language` is not installed")
    pool = [doc("en", "This is a plain English sentence about nothing in particular."),
            doc("de", "Dies ist ein einfacher deutscher Satz über nichts Besonderes."),
            doc("?", "42")]  # fmt: skip
    kept, dropped, facts, _ = cleaned(tmp_path, pool, languages=["en"])
    assert [row.id for row in kept] == ["en", "?"]
    assert dropped[0]["reason"] == "in another language: de"
    assert facts["languages"] == {"en": 1, "de": 1, "unknown": 1}


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no row of the pool is left\. Found: 2 rows: fewer than 9"
    ):
        cleaned(tmp_path, [doc("a", "x"), doc("b", "y")], min_words=9)


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="min_words is 5, max_words only 2"):
        cleaned(tmp_path, [doc("a", "x")], min_words=5, max_words=2)
