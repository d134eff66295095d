"""Every public shape, written by hand, becomes the row that it means."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from togi.errors import DataError, UsageError
from togi.rows.read import read_rows
from togi.rows.shapes import KINDS
from togi.rows.types import (
    Document,
    Example,
    Feedback,
    Message,
    Preference,
    Ranking,
    Row,
    Sample,
)

ASK, SAY = Message("user", "Hi"), Message("assistant", "Hello.")


def write(folder: Path, *records: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records) + b"\n")
    return path


def one(folder: Path, record: object, **options: object) -> Row:
    (row,) = read_rows(write(folder, record), **options)
    return row


CASES: dict[str, tuple[object, Row]] = {
    "document": ({"text": "Once."}, Document(id="rows.jsonl:1", text="Once.")),
    "prompt and completion": (
        {"prompt": "a", "completion": "b"},
        Example(id="rows.jsonl:1", prompt="a", response="b"),
    ),
    "question and answer, other columns": (
        {"question": "a", "answer": 4, "source": "web", "metadata": {"k": 1}},
        Example(id="rows.jsonl:1", prompt="a", response="4", metadata={"source": "web", "k": 1}),
    ),
    "conversational prompt and completion": (
        {
            "prompt": [{"role": "user", "content": "Hi"}],
            "completion": [{"role": "assistant", "content": "Hello."}],
        },
        Example(id="rows.jsonl:1", prompt=(ASK,), response="Hello."),
    ),
    "messages": (
        {
            "id": "m1",
            "messages": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": "Hello."},
            ],
        },
        Example(id="m1", prompt=(Message("system", "Be kind."), ASK), response="Hello."),
    ),
    "messages as columns": (
        {"messages": {"role": ["user", "assistant"], "content": ["Hi", "Hello."]}},
        Example(id="rows.jsonl:1", prompt=(ASK,), response="Hello."),
    ),
    "sharegpt": (
        {
            "id": 7,
            "system": "Be kind.",
            "conversations": [
                {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": "Hello."},
                {"from": "human", "value": "Bye"},
                {"from": "gpt", "value": "Bye."},
            ],
        },
        Example(
            id="7",
            prompt=(Message("system", "Be kind."), ASK, SAY, Message("user", "Bye")),
            response="Bye.",
        ),
    ),
    "alpaca": (
        {"instruction": "Add.", "input": "1, 2", "output": "3"},
        Example(id="rows.jsonl:1", prompt=(Message("user", "Add.\n\n1, 2"),), response="3"),
    ),
    "alpaca without input": (
        {"instruction": "Say hi.", "input": "", "output": "Hi"},
        Example(id="rows.jsonl:1", prompt=(Message("user", "Say hi."),), response="Hi"),
    ),
    "pair": (
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        Preference(id="rows.jsonl:1", prompt="a", chosen="b", rejected="c"),
    ),
    "pair with its prompt in the turns": (
        {
            "prompt": "Hi",
            "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "b"}],
            "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "c"}],
        },
        Preference(id="rows.jsonl:1", prompt=(ASK,), chosen="b", rejected="c"),
    ),
    "pair of answer turns": (
        {
            "prompt": [{"role": "user", "content": "Hi"}],
            "chosen": [{"role": "assistant", "content": "b"}],
            "rejected": [{"role": "assistant", "content": "c"}],
        },
        Preference(id="rows.jsonl:1", prompt=(ASK,), chosen="b", rejected="c"),
    ),
    "pair with an implicit prompt": (
        {
            "chosen": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "b"}],
            "rejected": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "c"}],
        },
        Preference(id="rows.jsonl:1", prompt=(ASK,), chosen="b", rejected="c"),
    ),
    "pair of transcripts": (
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Hm\n\nAssistant: b\n\nmore",
            "rejected": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Hm\n\nAssistant: c",
        },
        Preference(
            id="rows.jsonl:1",
            prompt=(ASK, SAY, Message("user", "Hm")),
            chosen="b\n\nmore",
            rejected="c",
        ),
    ),
    "thumb": (
        {"prompt": "a", "completion": "b", "label": True},
        Feedback(id="rows.jsonl:1", prompt="a", response="b", desirable=True),
    ),
    "thumb in words": (
        {"prompt": "a", "response": "b", "feedback": "👎"},
        Feedback(id="rows.jsonl:1", prompt="a", response="b", desirable=False),
    ),
    "thumb on messages": (
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello."},
            ],
            "label": 0,
        },
        Feedback(id="rows.jsonl:1", prompt=(ASK,), response="Hello.", desirable=False),
    ),
    "ranking": (
        {"prompt": "a", "responses": ["best", "worst"]},
        Ranking(id="rows.jsonl:1", prompt="a", responses=("best", "worst")),
    ),
    "ranking by order": (
        {"prompt": "a", "responses": ["x", "y", "z"], "order": [2, 0, 1]},
        Ranking(id="rows.jsonl:1", prompt="a", responses=("z", "x", "y")),
    ),
    "ranking by ranks": (
        {"prompt": "a", "responses": ["x", "y", "z"], "ranks": [2, 3, 1]},
        Ranking(id="rows.jsonl:1", prompt="a", responses=("z", "x", "y")),
    ),
    "ranking by scores": (
        {"prompt": "a", "completions": ["x", "y", "z"], "scores": [0.5, -1, 7]},
        Ranking(id="rows.jsonl:1", prompt="a", responses=("z", "x", "y")),
    ),
    "choice by index": (
        {"question": "q", "choices": ["x", "y"], "answer": 1},
        Sample(id="rows.jsonl:1", input="q", target=1, choices=("x", "y")),
    ),
    "choice by text of an index": (
        {"ctx": "q", "endings": ["x", "y", "z"], "label": "2"},
        Sample(id="rows.jsonl:1", input="q", target=2, choices=("x", "y", "z")),
    ),
    "choice by letter in columns": (
        {"question": "q", "A": "w", "B": "x", "C": "y", "D": "z", "answer": "c"},
        Sample(id="rows.jsonl:1", input="q", target=2, choices=("w", "x", "y", "z")),
    ),
    "choice with labels of its own": (
        {"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "1"},
        Sample(id="rows.jsonl:1", input="q", target=0, choices=("x", "y")),
    ),
    "choice by its text, which goes before an index": (
        {"question": "1+0?", "options": ["0", "1", "2"], "answer": "1"},
        Sample(id="rows.jsonl:1", input="1+0?", target=1, choices=("0", "1", "2")),
    ),
    "open question": (
        {"input": "q", "target": 12},
        Sample(id="rows.jsonl:1", input="q", target="12"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_shape_is_recognised_and_read(case: str, tmp_path: Path) -> None:
    record, expected = CASES[case]
    assert one(tmp_path, record) == expected


BAD: dict[str, tuple[object, object, str, str]] = {
    "missing column": (
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": "a", "chosen": "b"},
        "no column 'rejected'",
        "prompt, chosen",
    ),
    "null": ({"prompt": "a", "response": "b"}, {"prompt": "a", "response": None}, "is null", ""),
    "number for text": (
        {"prompt": "a", "response": "b"},
        {"prompt": "a", "response": 1.5},
        "'response' is a number, not text",
        "1.5",
    ),
    "empty text": ({"text": "x"}, {"text": "  "}, "'text' is empty", ""),
    "last turn is the user's": (
        CASES["messages"][0],
        {"messages": [{"role": "user", "content": "Hi"}]},
        "not the assistant's",
        "user",
    ),
    "unknown role": (
        CASES["messages"][0],
        {"messages": [{"role": "wizard", "content": "Hi"}]},
        "unknown role",
        "wizard",
    ),
    "tool call without text": (
        CASES["messages"][0],
        {"messages": [{"role": "assistant", "content": None}]},
        "a turn has no text",
        "",
    ),
    "an image": (
        CASES["messages"][0],
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        "content is not text",
        "image",
    ),
    "pair parts early": (
        CASES["pair with an implicit prompt"][0],
        {
            "chosen": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "b"}],
            "rejected": [{"from": "human", "value": "Ho"}, {"from": "gpt", "value": "c"}],
        },
        "part before their last turn",
        "turn 1",
    ),
    "pair without a difference": (
        CASES["pair"][0],
        {"prompt": "a", "chosen": "b", "rejected": "b"},
        "are the same",
        "b",
    ),
    "pair of text and turns": (
        CASES["pair"][0],
        {"prompt": "a", "chosen": "b", "rejected": [{"role": "assistant", "content": "b"}]},
        "one of chosen and rejected is text",
        "",
    ),
    "pair without a prompt": (
        CASES["pair of transcripts"][0],
        {"chosen": "b", "rejected": "c"},
        "no prompt column",
        "b",
    ),
    "thumb that is none": (
        CASES["thumb"][0],
        {"prompt": "a", "completion": "b", "label": 4},
        "no thumb",
        "4",
    ),
    "tied scores": (
        CASES["ranking by scores"][0],
        {"prompt": "a", "completions": ["x", "y", "z"], "scores": [1, 1, 2]},
        "leaves two responses equal",
        "[1, 1, 2]",
    ),
    "order that is none": (
        CASES["ranking by order"][0],
        {"prompt": "a", "responses": ["x", "y", "z"], "order": [1, 2, 3]},
        "no order of the responses",
        "[1, 2, 3]",
    ),
    "answer that is no choice": (
        CASES["choice by index"][0],
        {"question": "q", "choices": ["x", "y"], "answer": 2},
        "names no choice",
        "2",
    ),
    "one choice": (
        CASES["choice by index"][0],
        {"question": "q", "choices": ["x"], "answer": 0},
        "fewer than two",
        "x",
    ),
    "id that is none": ({"text": "x"}, {"text": "y", "id": [1]}, "'id' is no id", "[1]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_row_says_where_found_and_expected(case: str, tmp_path: Path) -> None:
    good, bad, problem, found = BAD[case]
    path = write(tmp_path, good, good | {"id": "x2"}, bad)
    with pytest.raises(DataError, match="line 3") as caught:
        list(read_rows(path))
    assert problem in caught.value.problem
    assert found in caught.value.found
    assert caught.value.where == "rows.jsonl line 3"
    assert caught.value.expected or caught.value.found
    stream = read_rows(path, on_bad="skip")
    assert len(list(stream)) == 2
    assert list(stream.dropped.values()) == [1]
    assert problem in next(iter(stream.dropped))


def test_columns_map_where_names_differ(tmp_path: Path) -> None:
    record = {"id": "same", "frage": "q", "antwort": "a"}
    path = write(tmp_path, record, record)
    stream = read_rows(path, columns={"prompt": "frage", "response": "antwort", "id": None})
    assert list(stream) == [
        Example(id=f"rows.jsonl:{n}", prompt="q", response="a", metadata={"id": "same"})
        for n in (1, 2)
    ]
    assert "prompt from frage, response from antwort" in stream.understood


def test_columns_may_name_a_list_of_columns(tmp_path: Path) -> None:
    record = {"question": "q", "right": "x", "wrong": "y", "answer": 0}
    row = one(tmp_path, record, columns={"choices": ["right", "wrong"]})
    assert row == Sample(id="rows.jsonl:1", input="q", target=0, choices=("x", "y"))


def test_columns_errors_name_the_nearest_field(tmp_path: Path) -> None:
    path = write(tmp_path, {"prompt": "q", "response": "a"})
    with pytest.raises(DataError, match="did you mean 'prompt'"):
        read_rows(path, columns={"promt": "a"})
    with pytest.raises(DataError, match="no column 'nowhere'"):
        list(read_rows(path, kind="example", columns={"response": "nowhere"}))


def test_kind_forces_a_shape(tmp_path: Path) -> None:
    record = {"input": "q", "target": "t", "text": "d"}
    assert isinstance(one(tmp_path, record), Sample)
    assert isinstance(one(tmp_path, record, kind="document"), Document)
    with pytest.raises(UsageError, match="did you mean 'sharegpt'"):
        one(tmp_path, record, kind="sharegtp")


def test_unknown_columns_list_every_shape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no known shape") as caught:
        one(tmp_path, {"foo": 1, "bar": 2})
    assert caught.value.found == "'bar, foo'"
    for kind in ("preference", "messages", "choice"):
        assert kind in KINDS
        assert f"{kind}: " in caught.value.expected


def test_squad_answers_are_no_ranking(tmp_path: Path) -> None:
    record = {"question": "q", "answers": {"text": ["a", "b"]}, "context": "c", "text": "t"}
    assert isinstance(one(tmp_path, record), Document)


def test_chat_makes_a_turn_of_a_plain_prompt(tmp_path: Path) -> None:
    row = one(tmp_path, {"prompt": "Hi", "response": "b"}, chat=True)
    assert row == Example(id="rows.jsonl:1", prompt=(ASK,), response="b")
    kept = one(tmp_path, {"text": "Hi"}, chat=True)
    assert kept == Document(id="rows.jsonl:1", text="Hi")
    asked = one(tmp_path, {"input": "Hi", "target": "b"}, chat=True)
    assert asked == Sample(id="rows.jsonl:1", input=(ASK,), target="b")


def test_shape_is_that_of_most_first_rows(tmp_path: Path) -> None:
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    path = write(tmp_path, {"prompt": "a", "response": "b"}, pair, pair)
    with pytest.raises(DataError, match=r"rows\.jsonl line 1: no column 'chosen'"):
        list(read_rows(path))


def test_understood_counts_while_reading(tmp_path: Path) -> None:
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    stream = read_rows(write(tmp_path, pair, pair, {"prompt": "a"}), on_bad="skip")
    shape = "rows.jsonl: jsonl, preference pairs (prompt, chosen, rejected)"
    assert stream.understood == f"{shape}, 0 rows read so far"
    assert len(list(stream)) == 2
    assert stream.understood == f"{shape}, 2 rows read so far, 1 left out"
    assert len(list(stream)) == 2  # a second reading starts anew
    assert stream.read == 2
