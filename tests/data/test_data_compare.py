"""`data.compare`: what rose and fell from some rows to others, at the terminal and on the page."""

from __future__ import annotations

import csv
import json
import random
import re
import sys
from pathlib import Path

import pytest

from togi.cli import main
from togi.commands.compare import Sources
from togi.data.compare import CompareSettings, run_compare
from togi.data.rates import Rate, compare_rates, count_rates
from togi.errors import DataError, UsageError
from togi.rows.types import Document, Example
from togi.rows.write import write_rows
from togi.step import Work

FILLER = re.findall(r"\w+", "on the use of a method for some data with new ideas about old tasks")


def titles(n: int, seed: int, planted: dict[str, float], **metadata) -> list[Document]:
    draw = random.Random(seed)
    rows = []
    for i in range(n):
        words = draw.choices(FILLER, k=6)
        for phrase, share in planted.items():
            if draw.random() < share:
                words.insert(draw.randrange(6), phrase)
        kept = {key: draw.choice(values) for key, values in metadata.items()}
        rows.append(Document(id=f"{seed}-{i}", text=" ".join(words), metadata=kept))
    return rows


BEFORE = {"neural networks": 0.2, "time series": 0.05}
AFTER = {"neural networks": 0.05, "time series": 0.05, "large language models": 0.15}


def work(root: Path, **sides) -> Work:
    inputs = {}
    for name, rows in sides.items():
        write_rows(root / f"{name}.jsonl", rows)
        inputs[name] = {"rows": str(root / f"{name}.jsonl")}
    folder = root / "compare"
    folder.mkdir()
    return Work(folder=folder, seed=0, name="compare", model="", inputs=inputs, say=said.append)


said: list[str] = []


def compared(made: Work, **settings) -> dict:
    said.clear()
    outputs = run_compare(CompareSettings(a="a", b="b", **settings), made)
    assert outputs["compare"] == "compare.json"
    return json.loads((made.folder / "compare.json").read_text())


def test_planted_ngrams_are_found_and_nothing_else(tmp_path: Path) -> None:
    made = work(tmp_path, a=titles(400, 1, BEFORE), b=titles(500, 2, AFTER))
    found = compared(made)
    up = [entry for entry in found["rising"] if entry["significant"]]
    down = [entry for entry in found["falling"] if entry["significant"]]
    assert len(up) == len(down) == 1
    assert {up[0]["ngram"], *up[0]["with"]} >= {
        "large", "language", "models", "large language", "language models",
        "large language models",
    }  # fmt: skip
    assert {down[0]["ngram"], *down[0]["with"]} >= {"neural", "networks", "neural networks"}
    assert up[0]["documents"][0] == 0
    assert up[0]["ratio"]["mean"] is None  # infinite: the first set has none
    assert "large language models" in up[0]["example"]
    assert found["sentence"] in said
    assert found["documents"] == [400, 500]


def test_the_table_holds_every_tested_ngram(tmp_path: Path) -> None:
    made = work(tmp_path, a=titles(400, 1, BEFORE), b=titles(500, 2, AFTER))
    found = compared(made, shortest=2, longest=2, names=("=2022", "2023"))
    with (made.folder / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["tested"]
    assert sum(row["significant"] == "yes" for row in rows) == found["rose"] + found["fell"]
    assert rows[0]["ngram"] in ("large language", "language models")
    assert rows[-1]["ngram"] == "neural networks"
    assert {row["words"] for row in rows} == {"2"}
    # a spreadsheet would run a cell that begins with an equals sign
    assert "documents '=2022" in rows[0]
    assert all(int(row["documents '=2022"]) + int(row["documents 2023"]) >= 10 for row in rows)


def test_swapping_the_sides_swaps_what_rose_and_fell(tmp_path: Path) -> None:
    a, b = titles(300, 1, BEFORE), titles(300, 2, AFTER)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = compared(work(tmp_path / "one", a=a, b=b))
    two = compared(work(tmp_path / "two", a=b, b=a))
    assert (one["rose"], one["fell"]) == (two["fell"], two["rose"])
    heads = [[entry["ngram"] for entry in found[key]] for found, key in
             ((one, "rising"), (two, "falling"))]  # fmt: skip
    assert heads[0] == heads[1]


def test_rows_in_both_are_told_and_can_be_taken_apart(tmp_path: Path) -> None:
    pool = titles(300, 1, BEFORE)
    made = work(tmp_path, a=pool, b=pool[:100])
    assert any("100 rows stand in both A and B" in note for note in compared(made)["notes"])
    apart = compared(made, apart=True)
    assert apart["documents"] == [200, 100]
    assert "100 rows of A stand in B and were left out of A." in apart["notes"]
    same = work_of_same(tmp_path, pool)
    with pytest.raises(DataError, match="every row of A stands in B"):
        compared(same, apart=True)


def work_of_same(root: Path, rows) -> Work:
    (root / "same").mkdir()
    return work(root / "same", a=rows, b=rows)


def test_the_same_rows_show_nothing_and_say_so(tmp_path: Path) -> None:
    found = compared(work_of_same(tmp_path, titles(100, 1, BEFORE)))
    assert (found["rose"], found["fell"]) == (0, 0)
    assert any("hold the same n-grams equally often" in note for note in found["notes"])


def test_repeated_texts_can_be_counted_once(tmp_path: Path) -> None:
    rows = [Document(id=str(i), text=f"Session title {i % 20}") for i in range(40)]
    found = compared(work(tmp_path, a=rows, b=rows[:20]), unique=True)
    assert found["documents"] == [20, 20]
    assert "20 rows of A repeat a text of it and were counted once." in found["notes"]


def test_nothing_frequent_is_said_and_one_document_refused(tmp_path: Path) -> None:
    few = [Document(id=str(i), text=f"word{i}") for i in range(3)]
    found = compared(work(tmp_path, a=few, b=few))
    assert found["rising"] == []
    assert found["rms_z"] is None
    assert any("there is too little text to tell anything" in note for note in found["notes"])
    (tmp_path / "one").mkdir()
    with pytest.raises(DataError, match=r"too few documents to compare\. Found: 3 and 1"):
        compared(work(tmp_path / "one", a=few, b=few[:1]))


def test_longer_documents_hold_more_of_everything_unless_rates_are_compared(tmp_path) -> None:
    draw = random.Random(3)
    words = [f"w{i}" for i in range(200)]

    def texts(n: int, size: int, name: str) -> list[Document]:
        return [
            Document(id=f"{name}{i}", text=" ".join(draw.choices(words, k=size))) for i in range(n)
        ]

    made = work(tmp_path, a=texts(400, 10, "a"), b=texts(400, 30, "b"))
    shares = compared(made, longest=1)
    assert shares["rose"] > 50
    assert "Documents of a have 10 words and those of b 30" in " ".join(shares["notes"])
    rates = compared(made, longest=1, per_length=True)
    assert (rates["rose"], rates["fell"]) == (0, 0)
    assert not any("have 10 words" in note for note in rates["notes"])
    assert rates["test"] == "conditional binomial, exact"


def test_an_ngram_whose_share_and_rate_part_ways_is_listed_nowhere(tmp_path) -> None:
    a = [Document(id=f"a{i}", text="the " + "other words " * 20) for i in range(100)]
    b = [Document(id=f"b{i}", text="the end" if i % 3 else "no") for i in range(150)]
    found = compared(work(tmp_path, a=a, b=b), longest=1)  # fewer documents, more of their words
    assert "the" not in {entry["ngram"] for key in ("rising", "falling") for entry in found[key]}
    assert "1 n-grams whose share of documents moved one way" in " ".join(found["notes"])


def test_sets_that_differ_as_a_whole_are_told_so(tmp_path: Path) -> None:
    other = [Document(id=f"o{i}", text="quite another kind of text altogether") for i in range(200)]
    found = compared(work(tmp_path, a=titles(200, 1, BEFORE), b=other))
    assert any("the two differ as a whole" in note for note in found["notes"])


def test_a_template_says_which_text_is_looked_at(tmp_path: Path) -> None:
    rows = [Example(id=str(i), prompt="secret prompt", response="an answer") for i in range(20)]
    found = compared(work(tmp_path, a=rows, b=rows), features="{response}")
    names = {entry["ngram"] for key in ("rising", "falling") for entry in found[key]}
    assert "secret prompt" not in names
    assert "an answer" in names or any("an answer" in e["with"] for e in found["falling"])


def test_rates_by_group_and_plain_numbers(tmp_path: Path) -> None:
    metadata = {"status": ["accept", "reject", "reject", "reject"], "track": ["main", "data"]}
    made = work(tmp_path, a=titles(200, 1, {}, **metadata), b=titles(300, 2, {}, **metadata))
    counts = {"y2022": (2671, 10411), "y2023": (3218, 12345)}
    rates = compared(made, rate="status=Accept", by="track", counts=counts)["rates"]
    assert [entry["group"] for entry in rates] == ["all", "main", "data", ""]
    assert rates[0]["rates"][1]["n"] == 300
    assert 0.15 < rates[0]["rates"][1]["mean"] < 0.35
    assert round(rates[3]["rates"][1]["mean"], 4) == 0.2607
    assert rates[3]["difference"]["low"] < 0 < rates[3]["difference"]["high"]
    lone = compared(made, counts={"y2023": (3218, 12345)})["rates"]
    assert [round(100 * lone[0]["rates"][0][key], 2) for key in ("low", "high")] == [25.3, 26.85]


def test_rates_are_of_the_same_rows_and_faults_are_told() -> None:
    rows = [{"status": "a", "track": t} for t in "xxy"]
    assert count_rates(rows, "status", "A", "track")["y"] == Rate(1, 1)
    with pytest.raises(DataError, match=r"row 2: the row has no metadata 'status'\. Found: stat"):
        count_rates([{"status": "a"}, {"stat": "a"}], "status", "a")
    with pytest.raises(DataError, match=r"group 'g': this is no rate\. Found: 3 of 2"):
        compare_rates({"g": Rate(3, 2)}, {"g": Rate(1, 2)})
    assert compare_rates({"g": Rate(1, 2)}, {"h": Rate(1, 2)}) == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shortest": 3, "longest": 2}, "shortest is 3, longest only 2"),
        ({"by": "track"}, "'by' needs 'rate'"),
        ({"rate": "status"}, "'rate' is not of the form KEY=VALUE. Found: status"),
        ({"rate": "=yes"}, "'rate' is not of the form KEY=VALUE"),
        ({"unit": "occurrences", "rank": "difference"}, "rates have no difference of shares"),
        ({"per_length": True, "rank": "difference"}, "rates have no difference of shares"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, words) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        CompareSettings(a="a", b="b", **settings)


def test_sources_are_named_by_their_files() -> None:
    assert Sources(a="x/2022.csv", b="x/2023.csv").names() == ["2022", "2023"]
    assert Sources(a="x.txt", b="x.txt").names() == ["A", "B"]
    assert Sources(a="x", b="y").read("a", "titles.txt.gz")["kind"] == "lines"
    step = Sources(a="x", b="y", column="name", skip=True).read("a", "t.csv")
    assert step["columns"] == {"text": "name"}
    assert step["on_bad"] == "skip"


def togi(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["togi", *words])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_the_command_reads_titles_line_by_line_and_by_column(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, planted, seed in (("before", BEFORE, 1), ("after", AFTER, 2)):
        rows = titles(300, seed, planted)
        Path(f"{name}.txt").write_text("\n".join(row.text for row in rows) + "\n")
        with Path(f"{name}.csv").open("w") as file:
            csv.writer(file).writerows([["title"], *([row.text] for row in rows)])
    code, out, err = togi(monkeypatch, capsys, "data", "compare", "before.txt", "after.txt")
    assert (code, err) == (0, "")
    assert "rose from before to after" in out
    assert "new (over" in out
    page = Path("runs/compare/report.html").read_text()
    assert "What rose and what fell from before to after" in page
    assert "Verdict" not in page.partition("<main")[0]
    code, lines, _ = togi(
        monkeypatch, capsys, "data", "compare", "before.csv", "after.csv", "--json", "longest=2"
    )
    last = json.loads(lines.splitlines()[-1])
    assert code == 0
    assert last["event"] == "compare"
    assert last["documents"] == [300, 300]


def test_the_command_words_its_errors(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n\n")
    Path("one.txt").write_text("only one title\n")
    Path("latin.txt").write_bytes(b"caf\xe9\nsecond\n")
    Path("broken.json").write_text('[{"title": "a"}, {"title": ')
    told = {
        ("empty.txt", "one.txt"): (4, "empty.txt"),
        ("one.txt", "one.txt"): (4, "too few documents to compare. Found: 1 and 1"),
        ("latin.txt", "one.txt"): (4, "latin.txt line 1: not UTF-8"),
        ("broken.json", "one.txt"): (4, "not valid JSON"),
        ("one.txt", "absent.txt"): (4, "absent.txt"),
    }
    for sources, (wanted, words) in told.items():
        code, _, err = togi(monkeypatch, capsys, "data", "compare", *sources)
        assert code == wanted
        assert words in err
    code, _, err = togi(monkeypatch, capsys, "data", "compare", "one.txt", "one.txt", "longst=2")
    assert code == 2
    assert "longest" in err
