"""The steps leave the files that the report and the later steps read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from togi.data.clean import CleanSettings, run_clean
from togi.errors import DataError
from togi.rows.read import read_rows
from togi.rows.steps import (
    ReadSettings,
    SplitSettings,
    run_read,
    run_split,
)
from togi.rows.types import Document
from togi.rows.write import write_rows
from togi.step import Work


def work(root: Path, name: str, **inputs: dict[str, Any]) -> tuple[Work, list[str]]:
    folder = root / name
    folder.mkdir()
    said: list[str] = []
    made = Work(folder=folder, seed=1, name=name, model="", inputs=inputs, say=said.append)
    return made, said


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def outputs(made: Work, result: dict[str, Any]) -> dict[str, Any]:
    return {k: str(made.folder / v) if isinstance(v, str) else v for k, v in result.items()}


def source(root: Path) -> Path:
    path = root / "docs.jsonl"
    rows = [{"text": f"text number {i}", "module": "abcde"[i % 5]} for i in range(20)]
    bad = [{"text": ""}, {"text": "text NUMBER 0", "module": "f"}]
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in [*rows, *bad]))
    return path


def test_read_split_and_clean_hand_on_to_each_other(tmp_path: Path) -> None:
    made, said = work(tmp_path, "read")
    read = outputs(made, run_read(ReadSettings(source=str(source(tmp_path)), on_bad="skip"), made))
    assert read == {"rows": str(made.folder / "rows.jsonl"), "n": 21}
    summary = orjson.loads((made.folder / "rows.json").read_bytes())
    assert summary["understood"] == "docs.jsonl: jsonl, documents (text), 21 rows, 1 left out"
    assert said == [summary["understood"]]
    assert summary["n"] == 21
    assert summary["dropped"] == {"'text' is empty": 1}
    assert summary["examples"] == lines(made.folder / "rows.jsonl")[:3]
    assert lines(made.folder / "dropped.jsonl") == [
        {"id": "docs.jsonl:21", "reason": "'text' is empty"}
    ]

    made, said = work(tmp_path, "split", read=read)
    split = outputs(made, run_split(SplitSettings(rows="read", by="module", fraction=0.2), made))
    assert split["n_train"] + split["n_held_out"] == 21
    held = list(read_rows(split["held_out"]))
    train = list(read_rows(split["train"]))
    assert 1 <= len(held) == split["n_held_out"] <= 4
    assert not {r.metadata["module"] for r in held} & {r.metadata["module"] for r in train}
    assert said[0].startswith("21 rows split by module: ")

    made, said = work(tmp_path, "clean", read=read, split=split)
    settings = CleanSettings(pool="read", against=["split.held_out"], least=5)
    clean = outputs(made, run_clean(settings, made))
    gone = {d["id"]: d["reason"] for d in lines(made.folder / "dropped.jsonl")}
    assert gone["docs.jsonl:22"] == "duplicate of another row"
    texts = {row.text.lower() for row in held if isinstance(row, Document)}
    left = [row for row in read_rows(clean["rows"]) if isinstance(row, Document)]
    assert not texts & {row.text for row in left}
    assert clean["n"] == len(left) == 21 - len(gone)
    assert orjson.loads((made.folder / "rows.json").read_bytes())["dropped"].keys() == set(
        gone.values()
    )


def test_split_by_id_takes_single_rows(tmp_path: Path) -> None:
    rows = [Document(id=str(i), text="x") for i in range(10)]
    path = tmp_path / "rows.jsonl"
    write_rows(path, rows)
    made, _ = work(tmp_path, "split", a={"rows": str(path)})
    found = run_split(SplitSettings(rows="a", fraction=0.3), made)
    assert (found["n_train"], found["n_held_out"]) == (7, 3)


def test_an_id_that_stands_twice_is_an_error_or_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": 1, "text": "x"}\n{"id": 1, "text": "y"}\n')
    made, _ = work(tmp_path, "strict")
    with pytest.raises(DataError, match="an id stands twice"):
        run_read(ReadSettings(source=str(path)), made)
    assert list(made.folder.iterdir()) == []
    made, _ = work(tmp_path, "lax")
    assert run_read(ReadSettings(source=str(path), on_bad="skip"), made)["n"] == 1
    made, _ = work(tmp_path, "numbered")
    assert run_read(ReadSettings(source=str(path), columns={"id": None}), made)["n"] == 2


def test_a_pool_that_is_all_held_out_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [Document(id="a", text="the very same text of some length")])
    made, _ = work(tmp_path, "clean", a={"rows": str(path)})
    with pytest.raises(DataError, match="no row of the pool is left"):
        run_clean(CleanSettings(pool="a", against=["a"]), made)


def test_settings_are_strict() -> None:
    for wrong in ({"sourec": "x"}, {"source": ""}, {"source": "x", "limit": 0}):
        with pytest.raises(ValidationError):
            ReadSettings(**wrong)
    with pytest.raises(ValidationError):
        SplitSettings(rows="a", fraction=1.0)


def test_every_field_has_its_help() -> None:
    for settings in (ReadSettings, SplitSettings, CleanSettings):
        for name, field in settings.model_fields.items():
            assert field.description, name
