"""wikiHow, Reddit, task files and plain rows as entries, and how a source's kind is known."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from lima_toys import answer, posts, question, several_sites

from togi.data.dumps.articles import ask, clean_article, restyle
from togi.data.dumps.reading import Reading
from togi.data.dumps.reddit import clean_markdown, number_of
from togi.data.forum import Kind, kind_of, open_source
from togi.data.lima import PUBLISHED, Entry, Left, Limits
from togi.errors import DataError
from togi.rows.types import Example
from togi.rows.write import write_rows


def lines(path: Path, records: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def entries(source: Path, kind: Kind | None = None, **changes: Any) -> list[Entry | Left]:
    kind = kind or kind_of(str(source))
    more = {name: changes.pop(name) for name in ("topic", "score_key") if name in changes}
    limits = Limits(score=None)
    settings = {"rules": frozenset(PUBLISHED[kind]), "limits": limits, "spill": source.parent}
    return list(
        open_source(str(source), kind, Reading(**{**settings, **changes}), **more).entries()
    )


# --- wikiHow --------------------------------------------------------------------------------------

ARTICLE = """This article tells how.

Boil the egg. [1] X Research source Then cool it, see https://x.org/a.
Image titled Boil an Egg Step 1

Tips
Buy more eggs.
"""


@pytest.mark.parametrize("name", ["wikihowAll.csv", "wikihow.jsonl", "wikihow.jsonl.gz"])
def test_an_article_becomes_a_question_and_its_answer(name: str, tmp_path: Path) -> None:
    facts = {"headline": "Boil. Cool.", "title": "How to Boil an Egg3", "text": ARTICLE}
    path = tmp_path / name
    if name.endswith("csv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(facts))
            writer.writeheader()
            writer.writerow(facts)
    else:
        text = json.dumps({**facts, "category": "Food"}).encode() + b"\n"
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert kind_of(str(path)) == "wikihow"
    (entry,) = entries(path)
    assert entry.row.prompt[0].content == "How to Boil an Egg?"
    assert entry.row.response == (
        "The following answer tells how.\n\nBoil the egg. Then cool it, see ."
    )
    assert entry.topic == ("" if name.endswith("csv") else "Food")


def test_sections_of_articles_are_not_taken_for_articles(tmp_path: Path) -> None:
    path = lines(tmp_path / "sep.jsonl", [
        {"headline": "h", "text": "t", "sectionLabel": "Steps", "title": "How to X"}
    ])  # fmt: skip
    with pytest.raises(DataError, match="sections, not articles"):
        entries(path)


def test_an_article_without_a_title_is_told_or_counted(tmp_path: Path) -> None:
    good = {"headline": "h", "title": "How to X", "text": "Do it."}
    path = lines(tmp_path / "w.jsonl", [good, {**good, "title": None}])
    with pytest.raises(DataError, match="there is no text 'title'") as caught:
        entries(path)
    assert caught.value.where == "w.jsonl line 2"
    assert [type(one) for one in entries(path, on_bad="skip")] == [Entry, Left]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("This article tells", "The following answer tells"),
        ("In this article, we", "In the following answer, we"),
        ("this wikiHow teaches", "the following answer teaches"),
        ("This articles", "This articles"),
        ("articles like this", "articles like this"),
    ],
)
def test_an_article_speaks_as_an_answer(text: str, after: str) -> None:
    assert restyle(text) == after


def test_closing_sections_go_and_later_ones_stay() -> None:
    text = "Do a.\nWarnings\nHot!\nPart 2 of 2\nDo b.\n;\nReferences\n[2] x"
    assert clean_article(text) == "Do a.\nPart 2 of 2\nDo b."
    assert ask("How to Sing!") == "How to Sing!"


# --- Reddit ---------------------------------------------------------------------------------------


def submission(key: str, title: str, **more: object) -> dict[str, object]:
    return {"id": key, "subreddit": "WritingPrompts", "title": title, "selftext": "", "score": 9,
            "permalink": f"/r/x/{key}", **more}  # fmt: skip


def comment(key: str, link: str, body: str, score: object = 5, **more: object) -> dict[str, object]:
    facts = {"id": key, "subreddit": "WritingPrompts", "link_id": f"t3_{link}", "author": "ann"}
    return {**facts, "parent_id": f"t3_{link}", "body": body, "score": score, **more}


RECORDS = [
    submission("a1", "[WP] A door opens"),
    comment("c1", "a1", "Short.", 3),
    comment("c2", "a1", "The [long](https://x.org) story.\n\nEDIT: thanks!", 8),
    comment("c3", "a1", "Reply to a reply", 99, parent_id="t1_c2"),
    submission("b2", "[WP] Nobody answers"),
    comment("c4", "zz", "Of another month", 50),
    submission("d3", "[removed]"),
    comment("c5", "d3", "To nothing", 4),
]


@pytest.mark.parametrize("files", [["all.ndjson"], ["comments.ndjson", "posts.ndjson"]])
def test_the_best_comment_answers_a_submission(files: list[str], tmp_path: Path) -> None:
    parts = [RECORDS] if len(files) == 1 else [
        [r for r in RECORDS if "body" in r], [r for r in RECORDS if "title" in r]
    ]  # fmt: skip
    for name, records in zip(files, parts, strict=True):
        lines(tmp_path / "r" / name, records)
    source = tmp_path / "r" / files[0] if len(files) == 1 else tmp_path / "r"
    assert kind_of(str(source)) == "reddit"
    found = entries(source)
    stories = {one.row.prompt[0].content: one for one in found if isinstance(one, Entry)}
    assert set(stories) == {"A door opens", "[removed]"}
    best = stories["A door opens"]
    assert best.row.response == "The long story."
    assert (best.row.id, best.score, best.topic) == ("reddit/a1", 8, "WritingPrompts")
    assert best.row.metadata["url"] == "https://www.reddit.com/r/x/a1"
    assert sorted((one.id, one.rule) for one in found if isinstance(one, Left)) == [
        ("reddit/c1", "top_answer"), ("reddit/c3", "question"), ("reddit/c4", "question"),
    ]  # fmt: skip


def test_comments_may_lie_inside_their_submission(tmp_path: Path) -> None:
    inside = [{"body": "low", "score": 1}, {"body": "high", "score": 7}]
    path = lines(tmp_path / "x.jsonl", [submission("a1", "[WP] In here", comments=inside)])
    (entry,) = entries(path)
    assert (entry.row.response, entry.score) == ("high", 7)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (comment("c1", "a1", "x", None), "the record has no score"),
        ({"id": "c1", "body": "x", "score": 1}, "there is no text 'link_id'"),
        ({"title": "x"}, "there is no text 'id'"),
        (submission("ä!", "x"), "this is no Reddit id"),
        ([1], "the record is not an object"),
    ],
)
def test_a_record_that_cannot_be_read_is_told_with_its_line(
    record: Any, told: str, tmp_path: Path
) -> None:
    path = lines(tmp_path / "x.ndjson", [submission("a1", "T"), comment("c9", "a1", "b"), record])
    with pytest.raises(DataError, match=told) as caught:
        entries(path, "reddit")
    assert caught.value.where == "x.ndjson line 3"
    assert told in [
        one.reason for one in entries(path, "reddit", on_bad="skip") if isinstance(one, Left)
    ]


def test_markdown_keeps_code_and_loses_links() -> None:
    text = "See [a](https://x.org), `[b](https://y.org)` and https://z.org/1\n\n\n\n&gt; quoted"
    assert clean_markdown(text) == "See a, `[b](https://y.org)` and\n\n> quoted".replace(
        "and\n", "and \n"
    )
    assert number_of("t1_z") == 35


# --- Super-NaturalInstructions --------------------------------------------------------------------


def task(folder: Path, name: str, **changes: object) -> Path:
    facts: dict[str, object] = {
        "Definition": ["Add the numbers."],
        "Categories": ["Arithmetic"],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Positive Examples": [{"input": "1 1", "output": "2", "explanation": "e"}],
        "Instances": [
            {"id": f"{name}-{n}", "input": f"{n} {n}", "output": [str(2 * n)]} for n in range(9)
        ],
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**facts, **changes}))
    return path


def test_each_task_gives_one_example_drawn_by_the_seed(tmp_path: Path) -> None:
    for n in range(20):
        task(tmp_path / "tasks", f"task{n:03}")
    task(tmp_path / "tasks", "task900", Output_language=["German"])
    assert kind_of(str(tmp_path / "tasks")) == "natural_instructions"
    one, two, other = (entries(tmp_path / "tasks", seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one != other
    rows = [entry.row for entry in one if isinstance(entry, Entry)]
    assert len(rows) == 20
    assert len({row.id for row in rows}) == 20
    assert one[-1] == Left("task900", "language", "not in English")
    first, second = rows[0].prompt[0].content.split("\n\n")
    assert first == "Add the numbers."
    assert int(rows[0].response) == 2 * int(second.split()[0])
    assert {entry.topic for entry in one if isinstance(entry, Entry)} == {"Arithmetic"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"Definition": 3}, "the task has no Definition"),
        ({"Instances": []}, "the task has no Instances"),
        ({"Instances": [{"input": "x", "output": []}]}, "an instance has no output"),
        ({"Instances": [{"output": ["x"]}]}, "there is no text 'input'"),
    ],
)
def test_a_task_that_lacks_something_is_told(
    changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    path = task(tmp_path / "t", "task1", **changes)
    with pytest.raises(DataError, match=told) as caught:
        entries(path, "natural_instructions")
    assert caught.value.where == "task1.json"
    (left,) = entries(path, "natural_instructions", on_bad="skip")
    assert left == Left("task1", "readable", told)


# --- plain rows, and which kind a source is -------------------------------------------------------


def test_plain_rows_bring_topic_and_score_in_their_metadata(tmp_path: Path) -> None:
    facts = [{"category": "a", "score": 4, "votes": "7"}, {"category": ["b", "c"], "votes": ""}]
    rows = [
        Example(id=str(n), prompt="Why?", response="So.", metadata=m) for n, m in enumerate(facts)
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert kind_of(str(tmp_path / "rows.jsonl")) == "rows"
    found = entries(tmp_path / "rows.jsonl")
    assert [(e.topic, e.score, e.row) for e in found] == [("a", 4, rows[0]), ("b", None, rows[1])]
    found = entries(tmp_path / "rows.jsonl", topic="votes", score_key="votes")
    assert [(e.topic, e.score) for e in found] == [("7", 7.0), ("", None)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"topic": "categry"}, "the row has no metadata 'categry' to balance by"),
        ({"score_key": "category"}, "'category' is no number"),
    ],
)
def test_metadata_that_is_not_there_is_told(
    changes: dict[str, str], told: str, tmp_path: Path
) -> None:
    row = Example(id="r1", prompt="Why?", response="So.", metadata={"category": "a"})
    write_rows(tmp_path / "rows.jsonl", [row])
    with pytest.raises(DataError, match=told) as caught:
        entries(tmp_path / "rows.jsonl", **changes)
    assert caught.value.where == "r1"


def test_rows_without_one_response_are_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    with pytest.raises(DataError, match="a row is a Preference, which has no one response"):
        entries(path)


def test_a_percentile_of_rows_is_one_of_each_topic(tmp_path: Path) -> None:
    rows = [
        Example(id=f"{topic}{n}", prompt="a", response="b",
                metadata={"topic": topic, "score": n * scale})
        for topic, scale in (("small", 1), ("large", 100))
        for n in range(1, 11)
    ]  # fmt: skip
    write_rows(tmp_path / "rows.jsonl", rows)
    limits = Limits(score=None, percentile=80)
    opened = open_source(
        str(tmp_path / "rows.jsonl"), "rows", Reading(rules=frozenset(["score"]), limits=limits)
    )
    assert opened.limits.floors == opened.floors() == {"small": 8, "large": 800}
    assert len(list(opened.entries())) == 20
    assert opened.seen() == {"rows": 20}


def test_limas_own_format_is_read(tmp_path: Path) -> None:
    talks = [
        {"conversations": ["How are eggs boiled?", "In water."], "source": "wikihow"},
        {"conversations": ["Hi", "Hello.", "And now?", "Bye."], "source": "multi_turn"},
    ]
    found = entries(lines(tmp_path / "train.jsonl", talks))
    assert [(e.topic, e.row.response, len(e.row.prompt)) for e in found] == [
        ("wikihow", "In water.", 1), ("multi_turn", "Bye.", 3),
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["no/such/file.jsonl", "hub:owner/name", "python:stdlib"])
def test_what_is_no_path_here_is_left_to_the_reader_of_rows(source: str) -> None:
    assert kind_of(source) == "rows"


def test_kinds_that_are_named_need_files_of_theirs(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    reading = Reading(rules=frozenset())
    for kind in ("stack_exchange", "wikihow", "reddit", "natural_instructions"):
        with pytest.raises(DataError, match=f"nothing of the kind {kind} lies here"):
            open_source(str(tmp_path), kind, reading)
        with pytest.raises(DataError, match="no such file or folder"):
            open_source(str(tmp_path / "none"), kind, reading)


def test_one_site_is_balanced_by_its_first_tags_and_several_by_site(tmp_path: Path) -> None:
    one = tmp_path / "one" / "cooking.stackexchange.com" / "Posts.xml"
    one.parent.mkdir(parents=True)
    one.write_text(posts([question(1, "How?", Tags="<salt><soup>"), answer(2, 1, "x" * 1300)]))
    assert [e.topic for e in entries(one) if isinstance(e, Entry)] == ["salt"]
    several = several_sites(tmp_path / "several", {"travel": 3, "cooking": 3})
    assert {e.topic for e in entries(several) if isinstance(e, Entry)} == {
        "travel.stackexchange.com", "cooking.stackexchange.com",
    }  # fmt: skip
    tagged = {e.topic for e in entries(several, topic="tags") if isinstance(e, Entry)}
    assert tagged == {"first"}
    with pytest.raises(DataError, match="no metadata 'colour' to balance by"):
        entries(several, topic="colour")
