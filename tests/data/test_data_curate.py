"""The step `data.lima` from end to end: what is picked, what is told, and what goes wrong."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_toys
from lima_toys import answer, good_body, posts, question, sentence, several_sites, site
from pydantic import ValidationError

from togi.data.lima_steps import LimaSettings, run_lima
from togi.errors import DataError, UsageError
from togi.rows.read import read_rows
from togi.rows.types import Example, Message
from togi.rows.write import write_rows
from togi.step import Work

said: list[str] = []
SITES = {"cooking": 90, "physics": 40, "travel": 12}


def curate(folder: Path, source: Any = None, rows: str = "", **settings: Any) -> dict[str, Any]:
    """Run the step; returns what `curation.json` tells, with the step's outputs under `out`."""
    seed, inputs = settings.pop("seed", 7), settings.pop("inputs", {})
    model = settings.pop("model", "")
    given = {"source": str(source)} if source else {"rows": rows}
    folder.mkdir(parents=True, exist_ok=True)
    said.clear()
    work = Work(folder=folder, seed=seed, name="lima", model=model, inputs=inputs, say=said.append)
    out = run_lima(LimaSettings(**{"k": 20, **given, **settings}), work)
    return {**json.loads((folder / "curation.json").read_text()), "out": out}


def picked(folder: Path) -> list[Example]:
    return list(read_rows(folder / "rows.jsonl"))  # type: ignore[arg-type]


def dropped(folder: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return {line["id"]: line["reason"] for line in lines}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return several_sites(tmp_path_factory.mktemp("dump") / "sites", SITES)


def saved(path: Path, rows: list[Example]) -> dict[str, Any]:
    write_rows(path, rows)
    return {path.stem: {"rows": str(path)}}


def example(number: int, site: str = "cooking", words: int = 40, **metadata: Any) -> Example:
    draw = random.Random(f"{site}{number}")
    return Example(
        id=f"{site}-{number}",
        prompt=(Message("user", sentence(draw, site, 9)),),
        response=sentence(draw, site, words),
        metadata={"topic": site, **metadata},
    )


def test_a_dump_becomes_rows_and_every_other_answer_has_its_reason(
    sites: Path, tmp_path: Path
) -> None:
    told = curate(tmp_path, sites, k=30)
    rows, left = picked(tmp_path), dropped(tmp_path)
    assert told["out"] == {
        "rows": "rows.jsonl", "curation": "curation.json", "dropped": "dropped.jsonl",
        "messages": "messages.jsonl", "alpaca": "alpaca.json", "n": 30, "notes": [],
    }  # fmt: skip
    answers = 2 * sum(SITES.values())
    assert told["read"] == {"questions": answers // 2, "answers": answers}
    assert {row.id for row in rows}.isdisjoint(left)
    assert len(rows) + len(left) == told["n_read"] == answers
    assert told["dropped"] == dict(Counter(left.values()))
    funnel = told["funnel"]
    assert funnel[0]["in"] == answers
    assert funnel[-1]["out"] == 30
    assert all(a["out"] == b["in"] for a, b in itertools.pairwise(funnel))
    assert sum(stage["dropped"] for stage in funnel) == len(left)
    assert told["n_eligible"] == funnel[-1]["in"]
    for row in rows:
        assert 1200 <= len(row.response) <= 4096
        assert row.metadata["score"] >= 10
        assert row.metadata["url"].startswith(f"https://{row.metadata['site']}/a/")
    assert told["licences"] == {"CC BY-SA 4.0": 30}
    assert told["style"]["picked"]["n"] == told["k"] == 30
    digest = hashlib.sha256((tmp_path / "rows.jsonl").read_bytes()).hexdigest()
    assert told["hashes"]["rows.jsonl"] == digest
    assert any("stack exchange; rules: score, length" in line for line in said)


PLANTED: dict[str, dict[str, Any]] = {
    "score below 10": {"score": 9},
    "shorter than 1,200 characters": {"body": "<p>Short.</p>"},
    "longer than 4,096 characters": {"paragraphs": 20},
    "its title is no whole question": {"title": "Bread trouble again"},
    "written in the first person": {"more": "<p>That is what I do.</p>"},
    "refers to other answers or to the site": {"more": "<p>As mentioned, salt it.</p>"},
    "its prompt stands twice; the better-scored one is kept": {"twin": True},
    "its question is not there": {"orphan": True},
}


def test_violations_planted_in_a_dump_are_dropped_each_for_its_reason(tmp_path: Path) -> None:
    """Precision and recall 1.0 for every reason, through the whole way from XML to files."""
    draw = random.Random(0)
    rows, planted, key = [], {}, 0
    for reason, one in [("", {})] * 40 + list(PLANTED.items()) * 5:
        ask, key = key + 1, key + 2
        title = one.get("title", f"How does one bake bread number {ask}?")
        body = one.get("body") or good_body(draw, "cooking", one.get("paragraphs", 6))
        if one.get("twin"):
            title = "How does one bake bread number 1?"
        rows.append(question(ask, title, Score=0 if one.get("twin") else 5))
        rows.append(answer(key, ask + 900_000 * bool(one.get("orphan")), body + one.get("more", ""),
                           one.get("score", 30)))  # fmt: skip
        planted[f"x.org/{key}"] = reason
    (tmp_path / "Posts.xml").write_text(posts(rows))
    settings = {"site": "x.org", "prompt": "title", "k": 40, "candidates": 0}
    told = curate(tmp_path / "out", tmp_path / "Posts.xml", **settings)
    assert dropped(tmp_path / "out") == {key: why for key, why in planted.items() if why}
    assert {row.id for row in picked(tmp_path / "out")} == {
        k for k, why in planted.items() if not why
    }
    assert told["dropped"] == dict.fromkeys(sorted(PLANTED), 5)


def test_a_large_source_is_told_while_it_is_read(
    sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("togi.data.curate.LOOK_EVERY", 100)
    monkeypatch.setattr("togi.data.curate.SAY_EVERY", -1)
    curate(tmp_path, sites)
    assert [line.split(",")[0] for line in said if "so far" in line] == ["100 read", "200 read"]


def test_the_same_seed_gives_the_same_files_and_another_one_others(
    sites: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        curate(tmp_path / name, sites, seed=seed)
    files = ["rows.jsonl", "dropped.jsonl", "curation.json", "messages.jsonl", "alpaca.json"]
    for file in files:
        one, two, three = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert one == two != three
    prompts = {name: {r.id: r.prompt for r in picked(tmp_path / name)} for name in "ac"}
    both = prompts["a"].keys() & prompts["c"].keys()
    assert any(prompts["a"][key] != prompts["c"][key] for key in both)  # title or body is drawn


def test_the_order_of_posts_changes_nothing_but_the_order_of_rows(tmp_path: Path) -> None:
    rows = site(random.Random(5), "cooking", 60)
    picks = []
    for name in ("one", "two"):
        folder = tmp_path / name / "cooking.stackexchange.com"
        folder.mkdir(parents=True)
        (folder / "Posts.xml").write_text(posts(rows))
        curate(tmp_path / f"{name}-out", folder)
        picks.append({r.id: r for r in picked(tmp_path / f"{name}-out")})
        rows = [rows[3 * n + i] for n in reversed(range(60)) for i in (2, 0, 1)]
    assert picks[0] == picks[1]


def test_temperature_lifts_the_small_sites(sites: Path, tmp_path: Path) -> None:
    found = {}
    for tau in (1.0, 3.0, 1000.0):
        told = curate(tmp_path / str(tau), sites, k=12, temperature=tau)
        found[tau] = told["entropy"]["picked"]
        counts = Counter(row.metadata["site"] for row in picked(tmp_path / str(tau)))
        assert counts == {t["topic"]: t["picked"] for t in told["topics"] if t["picked"]}
    assert found[1.0] < found[3.0] < found[1000.0] == pytest.approx(np.log(3))
    assert told["entropy"]["proportional"] == pytest.approx(found[1.0])


def test_groups_get_equal_parts(sites: Path, tmp_path: Path) -> None:
    groups = {"stem": ["physics.stackexchange.com", "biology.stackexchange.com"]}
    told = curate(tmp_path, sites, k=16, groups=groups)
    parts = Counter(row.metadata["site"].split(".")[0] for row in picked(tmp_path))
    assert parts["physics"] == parts["cooking"] + parts["travel"] == 8
    assert told["notes"] == ["of the group 'stem' no row is eligible of biology.stackexchange.com"]


@pytest.mark.parametrize("within", ["facility_location", "k_center", "score", "random"])
def test_every_way_to_pick_fills_the_quotas(within: str, sites: Path, tmp_path: Path) -> None:
    told = curate(tmp_path, sites, within=within)
    assert told["k"] == 20
    if within == "score":
        for name in SITES:
            text = (sites / f"{name}.stackexchange.com" / "Posts.xml").read_text()
            asked = dict(re.findall(r'Id="(\d+)" PostTypeId="1".*? Score="(\d+)"', text))
            found = re.findall(r'Id="(\d+)" PostTypeId="2" ParentId="(\d+)".*? Score="(\d+)"', text)
            scores = {
                f"{name}.stackexchange.com/{key}": (int(asked[parent]), int(score))
                for key, parent, score in found
            }  # the question's score first, as published
            took = [scores[row.id] for row in picked(tmp_path) if row.id in scores]
            left = [key for key, why in dropped(tmp_path).items() if why == "eligible, not picked"]
            assert min(took) >= max(scores[key] for key in left if key in scores)
    assert (told["coverage"] is None) == (within == "random")


def test_the_diverse_pick_covers_the_other_candidates_better_than_chance(tmp_path: Path) -> None:
    sizes = {"cooking": 240, "physics": 20, "travel": 8}
    rows = [example(n, site, words=25) for site, count in sizes.items() for n in range(count)]
    inputs = saved(
        tmp_path / "pool.jsonl", [Example(**{**vars_of(r), "metadata": {}}) for r in rows]
    )
    told = curate(tmp_path / "out", rows="pool", inputs=inputs, k=12, candidates=0)
    assert told["coverage"]["difference"]["low"] > 0
    assert 268 - 24 <= told["coverage"]["picked"]["n"] <= 268 - 12  # candidates of neither pick
    assert told["notes"][0].startswith("all rows are of one topic")


def vars_of(row: Example) -> dict[str, Any]:
    return {"id": row.id, "prompt": row.prompt, "response": row.response}


def test_near_duplicates_are_dropped_for_the_better_one_and_told(tmp_path: Path) -> None:
    rows = [example(n, words=90, score=n) for n in range(10)]
    copies = [
        Example(id=f"copy-{n}", prompt=(Message("user", f"Other question {n}?"),),
                response=rows[n].response + " End.", metadata={"topic": "cooking", "score": 50})
        for n in range(3)
    ]  # fmt: skip
    inputs = saved(tmp_path / "pool.jsonl", rows + copies)
    told = curate(tmp_path / "out", rows="pool", inputs=inputs, k=13)
    near = {key for key, why in dropped(tmp_path / "out").items() if why.startswith("near")}
    assert near == {"cooking-0", "cooking-1", "cooking-2"}  # the copies have the better score
    doubles = told["near_duplicates"]
    assert (doubles["clusters"], doubles["dropped"], doubles["threshold"]) == (3, 3, 0.7)
    (one,) = [c for c in doubles["examples"] if c["kept"] == "copy-0"]
    assert one["dropped"][0]["id"] == "cooking-0"
    assert 0.7 <= one["dropped"][0]["similarity"] < 1
    assert one["text"].startswith(rows[0].response[:40])
    told = curate(tmp_path / "all", rows="pool", inputs=inputs, k=13, near=0)
    assert told["k"] == 13


def test_a_prompt_that_stands_twice_keeps_its_better_answer(tmp_path: Path) -> None:
    rows = [example(n, score=3) for n in range(4)]
    twin = example(99, score=9)
    rows += [Example(id="twin", prompt=(Message("user", f" {rows[0].prompt[0].content.upper()}"),),
                     response=twin.response, metadata=twin.metadata)]  # fmt: skip
    inputs = saved(tmp_path / "pool.jsonl", rows)
    curate(tmp_path / "out", rows="pool", inputs=inputs)
    assert dropped(tmp_path / "out") == {
        "cooking-0": "its prompt stands twice; the better-scored one is kept"
    }


def test_nothing_of_the_held_out_rows_is_picked_equal_or_nearly(tmp_path: Path) -> None:
    rows = [example(n) for n in range(12)]
    words = rows[2].response.split()
    held_out = [
        Example(id="h0", prompt="Some other question entirely?", response=rows[0].response),
        Example(id="h1", prompt=rows[1].prompt[0].content.upper(), response="Other words here."),
        Example(id="h2", prompt="Unseen?", response=" ".join(
            w if n % 8 else "changed" for n, w in enumerate(words))),
    ]  # fmt: skip
    inputs = {**saved(tmp_path / "pool.jsonl", rows), **saved(tmp_path / "test.jsonl", held_out)}
    settings = {"rows": "pool", "inputs": inputs, "against": ["test"], "near": 0.3, "shingle": 2}
    told = curate(tmp_path / "out", **settings)
    assert dropped(tmp_path / "out") == {
        "cooking-0": "its answer stands in held-out rows",
        "cooking-1": "its question or source stands in held-out rows",
        "cooking-2": "near-duplicate of a held-out prompt or answer",
    }
    stage = next(one for one in told["funnel"] if one["stage"] == "held_out")
    assert (stage["in"], stage["dropped"]) == (12, 3)


def test_what_is_longer_than_the_context_in_tokens_is_dropped(tmp_path: Path) -> None:
    saved_toys.save(saved_toys.llama(), tmp_path / "model")
    rows = [example(n, words=4) for n in range(5)] + [example(9, words=300)]
    inputs = saved(tmp_path / "pool.jsonl", rows)
    settings = {"rows": "pool", "inputs": inputs, "max_tokens": 200}
    told = curate(tmp_path / "out", model=str(tmp_path / "model"), **settings)
    assert list(dropped(tmp_path / "out")) == ["cooking-9"]
    assert told["dropped"] == {"longer than max_tokens": 1}
    assert any(stage["stage"] == "context" for stage in told["funnel"])


def test_too_few_rows_are_all_picked_and_the_binding_rule_is_named(
    sites: Path, tmp_path: Path
) -> None:
    told = curate(tmp_path, sites, k=1000)
    (note,) = told["out"]["notes"]
    assert f"1000 rows were wanted, but only {told['k']} of 284 are eligible" in note
    assert "'length' alone leaves" in note
    assert re.search(r"'(score|top_answer)' \d+ \(", note)
    assert any(note in line for line in said)
    assert "rules.length=false switches it off" in note
    assert told["binding"]["stage"] == "length"
    assert told["coverage"] is None


def test_no_row_at_all_is_an_error_that_names_the_binding_rule(tmp_path: Path) -> None:
    rows = [question(1, "How does it rise, that bread?"), answer(2, 1, "<p>I bake.</p>")]
    path = tmp_path / "Posts.xml"
    path.write_text(posts(rows))
    with pytest.raises(DataError, match="no row passes the rules") as caught:
        curate(tmp_path / "out", path)
    assert caught.value.found == "1 rows: 1 shorter than 1,200 characters"
    assert "rules.length=false switches it off" in caught.value.hint
    assert not (tmp_path / "out" / "dropped.jsonl").exists()
    path.write_text(posts([question(1, "How?")]))
    with pytest.raises(DataError, match="an empty source"):
        curate(tmp_path / "out", path)


def test_code_blocks_and_lists_survive(tmp_path: Path) -> None:
    body = good_body(random.Random(0), "cooking", 5)
    body += "<pre><code>for i in range(3):\n    my = i &lt; 2\n</code></pre><ul><li>salt</li></ul>"
    (tmp_path / "Posts.xml").write_text(
        posts([question(1, "How does one bake bread?"), answer(2, 1, body)])
    )
    told = curate(tmp_path / "out", tmp_path / "Posts.xml")
    (row,) = picked(tmp_path / "out")
    assert "```\nfor i in range(3):\n    my = i < 2\n```\n\n- salt" in row.response
    assert told["style"]["picked"] == {
        "n": 1, "code block": 1, "list": 1, "quotation": 0, "several paragraphs": 1,
        "ends with a question": 0,
    }  # fmt: skip


def test_rules_are_switched_one_by_one(sites: Path, tmp_path: Path) -> None:
    rules = {"length": False, "score": False}
    told = curate(tmp_path / "a", sites, rules=rules, k=500)
    assert told["options"]["rules"] == [
        "prompt", "response", "title_alone", "first_person", "other_answers",
    ]  # fmt: skip
    assert told["n_eligible"] == sum(SITES.values())
    with pytest.raises(DataError, match="its question has a body"):
        curate(tmp_path / "b", sites, rules={"title_only": True})
    told = curate(tmp_path / "c", sites, score_percentile=75, k=500)
    assert set(told["limits"]["floors"]) == {f"{name}.stackexchange.com" for name in SITES}
    assert "score below percentile 75 of its site" in told["dropped"]
    told = curate(tmp_path / "d", sites, prompt="title", k=5)
    assert all(row.prompt[0].content.endswith("?") for row in picked(tmp_path / "d"))


def test_a_score_that_is_asked_for_and_unknown_is_counted(tmp_path: Path) -> None:
    rows = [example(1, score=9), example(2, score=3), example(3)]
    inputs = saved(tmp_path / "pool.jsonl", rows)
    curate(tmp_path / "out", rows="pool", inputs=inputs, min_score=5)
    assert dropped(tmp_path / "out") == {
        "cooking-2": "score below 5", "cooking-3": "its score is not known",
    }  # fmt: skip


def test_given_embeddings_tell_rows_apart(tmp_path: Path) -> None:
    rows = [example(n) for n in range(30)]
    inputs = saved(tmp_path / "pool.jsonl", rows)
    vectors = np.repeat(np.eye(3), 10, axis=0)
    np.save(tmp_path / "v.npy", vectors)
    settings = {"rows": "pool", "inputs": inputs, "k": 3, "candidates": 0}
    for within in ("facility_location", "k_center"):
        curate(tmp_path / within, embeddings=str(tmp_path / "v.npy"), within=within, **settings)
        places = [int(row.id.split("-")[1]) for row in picked(tmp_path / within)]
        assert [place // 10 for place in places] == [0, 1, 2]
    np.save(tmp_path / "v.npy", vectors[1:])
    with pytest.raises(DataError, match="do not match the source"):
        curate(tmp_path / "x", embeddings=str(tmp_path / "v.npy"), **settings)


def test_embeddings_of_a_dump_are_refused_with_a_way_out(sites: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="embeddings need rows in a known order") as caught:
        curate(tmp_path, sites, embeddings="v.npy")
    assert "curate these rows again" in caught.value.hint


def test_ids_that_stand_twice_are_refused(tmp_path: Path) -> None:
    rows = [example(1), example(2)]
    rows[1] = Example(id=rows[0].id, prompt=rows[1].prompt, response=rows[1].response)
    inputs = saved(tmp_path / "pool.jsonl", rows)
    with pytest.raises(DataError, match="an id stands twice") as caught:
        curate(tmp_path / "out", rows="pool", inputs=inputs)
    assert caught.value.found == "cooking-1"


def test_rows_go_out_as_messages_and_alpaca(tmp_path: Path) -> None:
    talk = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello."),
            Message("user", "And now?"))  # fmt: skip
    rows = [
        Example(id="a", prompt="Why?", response="So."),
        Example(id="b", prompt=talk, response="Bye."),
    ]
    curate(tmp_path / "out", rows="pool", inputs=saved(tmp_path / "pool.jsonl", rows))
    again = list(read_rows(tmp_path / "out" / "messages.jsonl"))
    assert [(r.prompt, r.response) for r in again] == [  # type: ignore[union-attr]
        ((Message("user", "Why?"),), "So."), (talk, "Bye."),
    ]  # fmt: skip
    alpaca = json.loads((tmp_path / "out" / "alpaca.json").read_text())
    assert alpaca[1] == {
        "instruction": "And now?", "input": "", "output": "Bye.", "system": "Be brief.",
        "history": [["Hi", "Hello."]],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "give either 'source' or 'rows'"),
        ({"source": "a", "rows": "b"}, "give either 'source' or 'rows'"),
        ({"source": "a", "rules": {"lenght": True}}, "no rule 'lenght'"),
        ({"source": "a", "min_score": 1, "score_percentile": 9}, "either 'min_score' or"),
        ({"rows": "a", "kind": "reddit"}, "are not of the kind 'reddit'"),
        ({"source": "a", "min_characters": 9000}, "min_characters is more than max_characters"),
        ({"source": "a", "near": 0.01}, "near must be 0 or at least 0.1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        LimaSettings(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"within": "best"}, {"temperature": 0}, {"language": "fr"}, {"shingles": 1}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LimaSettings(**{"source": "a", **wrong})


def test_a_score_rule_without_a_number_is_refused(tmp_path: Path) -> None:
    inputs = saved(tmp_path / "pool.jsonl", [example(1)])
    with pytest.raises(UsageError, match="the rule 'score' needs"):
        curate(tmp_path / "out", rows="pool", inputs=inputs, rules={"score": True})
