"""Thousands of calls to an endpoint that misbehaves, killed in the middle: paid once, kept, right.

The server counts what it gave out whole; only that is paid. Requests that were under way when the
process was killed cannot be known to anyone: at most as many as may be under way at once are
asked again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lm"))
from lm_server import Answer, FakeServer, serve

from togi.evaluate.asking import target_text
from togi.lm.paid import Paid, read_paid
from togi.rows.types import Sample
from togi.rows.write import write_rows

CALLS = 2000
AT_ONCE = 8
KILLED_AFTER = 700


def samples(n: int) -> list[Sample]:
    """Half of the expected answers are what the server says."""
    return [
        Sample(id=f"s{i}", input=f"q{i}", target=f"a{i}" if i % 2 else "another") for i in range(n)
    ]


def hostile(tries: Counter[str]):
    """Fail the first try of every fifth question, in each of five ways, and answer the second."""

    def plan(number: int, body: dict) -> Answer:
        asked = int(body["prompt"][1:])
        tries[body["prompt"]] += 1
        said = {"index": 0, "finish_reason": "stop", "text": f"a{asked}"}
        good = {"choices": [said], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        if asked % 5 or tries[body["prompt"]] > 1:
            return Answer(body=good)
        faults = (
            Answer("error", 429, {"Retry-After": "0.02"}, {"error": {"message": "slow down"}}),
            Answer("error", 500, {}, {"error": {"message": "oops"}}),
            Answer("error", 200, {}, "half of a JSON obj"),
            Answer("cut", body=good),
            Answer("stall") if asked % 200 == 20 else Answer("error", 503, {}, None),
        )
        return faults[asked // 5 % 5]

    return plan


def recipe(folder: Path, server: FakeServer, **endpoint) -> Path:
    how = {"concurrency": AT_ONCE, "timeout": 0.5, "price_in": 1000, "price_out": 1000}
    model = {"model": f"openai:{server.url}#m", "endpoint": {**how, **endpoint}}
    task = {"name": "qa", "kind": "exact_match", "rows": "rows", "sampling": {"max_tokens": 4}}
    steps = [
        {"name": "rows", "use": "rows.read", "source": str(folder / "rows.jsonl")},
        {"name": "judge", "use": "evaluate.judge", "models": {"far": model}, "tasks": [task]},
    ]
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"name": "far", "steps": steps}), encoding="utf-8")
    return path


def start(folder: Path, path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TOGI_CACHE": str(folder / "cache")}
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-m", "togi", "run", str(path), "--out", str(folder / "run")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip


def lines(folder: Path) -> list[dict]:
    (path,) = folder.glob("run/steps/judge-*/samples.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_rows(tmp_path / "rows.jsonl", samples(CALLS))
    return tmp_path


def test_two_thousand_calls_and_a_kill_in_the_middle(place: Path):
    with serve() as server:
        server.plan = hostile(Counter())
        path = recipe(place, server)
        first = start(place, path)
        until = time.monotonic() + 120
        while len(server.paid) < KILLED_AFTER and first.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert first.returncode == -signal.SIGKILL
        time.sleep(0.1)  # answers under way reach nobody
        paid_before = len(server.paid)
        assert KILLED_AFTER <= paid_before < CALLS
        second = start(place, path)
        told, _ = second.communicate(timeout=240)
        assert second.returncode == 0, told

        asked = Counter(body["prompt"] for body in server.paid)
        twice = [prompt for prompt, times in asked.items() if times > 1]
        assert len(asked) == CALLS
        assert len(twice) <= AT_ONCE  # only what was under way when the process died
        assert max(asked.values()) <= 2
        found = read_paid(place / "run" / "paid.jsonl")[f"openai:{server.url}#m"]
        assert CALLS <= found.requests <= len(server.paid)
        assert (found.tokens_in, found.tokens_out) == (3 * found.requests, 2 * found.requests)
    every = lines(place)
    assert [line["id"] for line in every] == [f"s{i}" for i in range(CALLS)]
    assert all(line["answer"] == f"a{line['id'][1:]}" for line in every)
    (scores,) = place.glob("run/steps/judge-*/scores.json")
    score = json.loads(scores.read_text())["scores"]["far"]["qa"]
    assert next(iter(score.values()))["mean"] == 0.5
    assert next(iter(score.values()))["n"] == CALLS
    assert f"far: {found.requests:,} replies in this run" in told


def test_the_cap_is_kept_with_many_under_way_and_raising_it_continues(place: Path):
    # a reply costs 3 + 2 tokens at 1000 a million: 0.005; at most it could cost 5 + 1 + 4: 0.01
    write_rows(place / "rows.jsonl", samples(120))
    with serve() as server:
        server.plan = hostile(Counter())
        server.pause = 0.005
        stopped = start(place, recipe(place, server, most=0.25))
        told, _ = stopped.communicate(timeout=60)
        assert stopped.returncode == 130, told
        assert "the cost cap is reached" in told
        assert "raise the cap (endpoint.most)" in told
        spent = len(server.paid)
        assert spent * 0.005 <= 0.25  # never beyond, with eight under way
        assert spent >= 47  # and no more is left than one request might have cost
        path = recipe(place, server, most=0.4)  # of all starts together
        again = start(place, path)
        told, _ = again.communicate(timeout=60)
        assert again.returncode == 130, told
        assert 0.38 <= len(server.paid) * 0.005 <= 0.4
        last = start(place, recipe(place, server, most=0.61))
        told, _ = last.communicate(timeout=60)
        assert last.returncode == 0, told
        assert len(server.paid) == 120  # each paid once over three starts
        assert "120 replies in this run" in told
        assert "0.6 in all" in told


def test_half_a_line_of_what_was_paid_spoils_no_other(tmp_path: Path):
    path = tmp_path / "paid.jsonl"
    Paid(path, "openai:here#m").add(10, 4)
    with path.open("ab") as file:
        file.write(b'{"endpoint": "openai:he')
    again = Paid(path, "openai:here#m")
    assert again.before.tokens_in == 10
    again.add(1, 1)
    again.add(None, None)
    Paid(path, "openai:there#m").add(5, 5)
    found = read_paid(path)
    one = found["openai:here#m"]
    assert (one.requests, one.tokens_in, one.tokens_out, one.uncounted) == (3, 11, 5, 1)
    assert found["openai:there#m"].requests == 1


def test_the_samples_are_what_the_tests_count_on():
    assert [target_text(one) for one in samples(3)] == ["another", "a1", "another"]
