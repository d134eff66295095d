"""The reply cache: what is asked once, and what survives kill -9, rivals and damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import SurroundingsError
from togi.lm.base import Generated, LanguageModel, Sampling, Scored
from togi.lm.cache import Cached, ReplyCache, request_key
from togi.lm.exact import ExactModel
from togi.lm.requests import DrawRequest, ScoreRequest
from togi.rows.types import Message, Prompt

MODEL = ExactModel.from_text("one two three two one", order=2)

WRITER = textwrap.dedent(
    """
    import sys
    import numpy as np
    from togi.lm.base import Scored
    from togi.lm.cache import ReplyCache

    def reply(i):
        return [Scored((i,), np.full(200, i, dtype=np.float32), True)]

    path, first, count, step = sys.argv[1], *map(int, sys.argv[2:])
    with ReplyCache(path) as cache:
        for i in range(first, first + count, step):
            cache.put([(j.to_bytes(32, "big"), reply(j)) for j in range(i, i + step)])
            print(i + step, flush=True)
    """
)


class Counting:
    """Counts what reaches the model, and fails when told to."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.name, self.fingerprint = "counting", MODEL.fingerprint
        self.asked: list[Prompt] = []
        self.calls, self.fail_at = 0, fail_at

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        self._count(contexts)
        return MODEL.score(contexts, continuations)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        self._count(prompts)
        return MODEL.generate(prompts, sampling)

    def _count(self, prompts: Sequence[Prompt]) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise SurroundingsError("the machine stumbles")
        self.asked += prompts


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite", say=lambda line: None) as opened:
        yield opened


def write(path, *, first: int, count: int, step: int) -> subprocess.Popen[str]:
    arguments = [str(path), str(first), str(count), str(step)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def keys(*numbers: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in numbers]


def scored(number: int = 1) -> list[Scored]:
    return [Scored((number,), np.array([-float(number)], dtype=np.float32), True)]


# --- storing ------------------------------------------------------------------------------------

LOGPROBS = st.lists(st.floats(width=32), max_size=5).map(lambda v: np.array(v, dtype=np.float32))
IDS = st.lists(st.integers(-1, 1 << 40), max_size=5).map(tuple)
ANY_TEXT = st.text(st.characters(codec=None))
SCORED = st.builds(Scored, IDS, LOGPROBS, st.booleans())
GENERATED = st.builds(Generated, ANY_TEXT, IDS, LOGPROBS, st.sampled_from(["stop", "length"]))


@given(
    reply=st.one_of(st.lists(SCORED, min_size=1), st.lists(GENERATED, min_size=1)),
    key=st.binary(min_size=32, max_size=32),
)
@settings(max_examples=60, deadline=None)
def test_what_is_put_comes_back_to_the_bit(tmp_path_factory, reply, key):
    path = tmp_path_factory.mktemp("cache") / "replies.sqlite"
    with ReplyCache(path) as cache:
        cache.put([(key, reply)])
    with ReplyCache(path) as cache:
        back = cache.get([key])[key]
    assert [type(one) for one in back] == [type(one) for one in reply]
    for one, other in zip(back, reply, strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs.dtype == np.float32
        assert one.logprobs.tobytes() == other.logprobs.tobytes()
        for name in ("greedy", "text", "finish"):
            assert getattr(one, name, None) == getattr(other, name, None)


def test_the_first_reply_under_a_key_stays(cache):
    [key] = keys(1)
    cache.put([(key, scored(1))])
    cache.put([(key, scored(2))])
    assert cache.get([key])[key][0].total == -1.0
    assert len(cache) == 1


@given(texts=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), unique=True, min_size=2))
def test_different_requests_have_different_keys(texts):
    requests = [ScoreRequest(a, b) for a, b in texts]
    requests += [ScoreRequest((Message("user", a),), b) for a, b in texts]
    requests += [DrawRequest(a, Sampling(stop=(b,))) for a, b in texts]
    assert len({request_key("m", r) for r in requests}) == len(requests)


def test_every_sampling_field_and_the_model_are_in_the_key():
    base = request_key("m", DrawRequest("a", Sampling()))
    changed = [
        Sampling(max_tokens=2), Sampling(temperature=0.5), Sampling(top_p=0.5), Sampling(top_k=1),
        Sampling(stop=("x",)), Sampling(n=2), Sampling(seed=1),
    ]  # fmt: skip
    others = {request_key("m", DrawRequest("a", s)) for s in changed}
    assert len(others | {base, request_key("other", DrawRequest("a", Sampling()))}) == 9
    greedy = {request_key("m", DrawRequest("a", Sampling(temperature=0, seed=s))) for s in (1, 2)}
    assert len(greedy) == 1


# --- asking once --------------------------------------------------------------------------------


def test_cached_equals_bare_first_and_second_time(cache):
    model = Cached(Counting(), cache)
    assert isinstance(model, LanguageModel)
    contexts: list[Prompt] = ["one ", (Message("user", "hi"),), "two"]
    sampling = Sampling(n=2, max_tokens=9, seed=4)
    for _ in range(2):
        for a, b in zip(
            model.score(contexts, ["two", "x", "y"]), MODEL.score(contexts, ["two", "x", "y"]),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_array_equal(a.logprobs, b.logprobs)
            assert (a.token_ids, a.greedy) == (b.token_ids, b.greedy)
        drawn, truth = model.generate(contexts, sampling), MODEL.generate(contexts, sampling)
        assert [[g.text for g in row] for row in drawn] == [[g.text for g in r] for r in truth]
    assert model.model.calls == 2
    assert (model.found, model.asked) == (6, 6)


def test_duplicates_in_one_call_are_asked_once(cache):
    inner = Counting()
    model = Cached(inner, cache)
    result = model.score(["a", "b", "a", "a"], ["x", "x", "x", "two"])
    assert inner.asked == ["a", "b", "a"]
    assert len(result) == 4
    assert result[0].total == result[2].total != result[3].total
    assert len(model.generate(["p", "p"], Sampling(n=2, max_tokens=3))) == 2
    assert inner.asked[3:] == ["p"]


def test_only_what_is_missing_is_asked(cache):
    inner = Counting()
    model = Cached(inner, cache)
    model.score(["a", "b"], ["x", "y"])
    model.score(["a", "c", "b"], ["x", "z", "y"])
    assert inner.asked == ["a", "b", "c"]


@pytest.mark.parametrize("verb", ["score", "generate"])
def test_a_crash_loses_one_chunk_and_the_rerun_continues(cache, verb):
    prompts = [f"p{i}" for i in range(10)]

    def run(model: Cached) -> int:
        if verb == "score":
            return len(model.score(prompts, ["x"] * 10))
        return len(model.generate(prompts, Sampling(max_tokens=2, n=2)))

    failing = Counting(fail_at=3)
    with pytest.raises(SurroundingsError):
        run(Cached(failing, cache, score_chunk=4, draw_chunk=8))
    assert len(cache) == 8
    again = Counting()
    assert run(Cached(again, cache, score_chunk=4, draw_chunk=8)) == 10
    assert again.asked == ["p8", "p9"]


# --- kill -9, rivals ----------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 7])
def test_kill_9_in_the_middle_of_writing_loses_nothing_committed(tmp_path, after):
    path = tmp_path / "replies.sqlite"
    process = write(path, first=0, count=10_000_000, step=50)
    assert process.stdout is not None
    with process:
        done = 0
        for _ in range(after):
            done = int(process.stdout.readline())
        time.sleep(0.013)  # somewhere inside a transaction
        process.kill()
        told = [int(line) for line in process.stdout.read().split("\n")[:-1]]
    done = max([done, *told])
    said: list[str] = []
    with ReplyCache(path, say=said.append) as cache:
        wanted = keys(*range(done))
        assert set(cache.get(wanted)) == set(wanted)
        assert len(cache) % 50 == 0  # whole transactions only
        cache.put([(key, scored()) for key in keys(1 << 200)])
    assert not said  # nothing was damaged
    with sqlite3.connect(path) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def test_four_concurrent_writers(tmp_path):
    path = tmp_path / "replies.sqlite"
    # they open the new file at the same moment, and half of their keys are the neighbour's too
    processes = [write(path, first=100 * i, count=200, step=10) for i in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with ReplyCache(path) as cache:
        replies = cache.get(keys(*range(500)))
        assert len(cache) == len(replies) == 500
        assert all(int(reply[0].logprobs[7]) == int.from_bytes(k) for k, reply in replies.items())


# --- damage, full disk --------------------------------------------------------------------------


def filled(path, count: int = 300) -> None:
    with ReplyCache(path) as cache:
        cache.put([(key, scored()) for key in keys(*range(count))])


@pytest.mark.parametrize("damage", ["garbage", "truncated", "header"])
def test_a_damaged_file_is_moved_aside_and_begun_anew(tmp_path, damage):
    path = tmp_path / "replies.sqlite"
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "garbage": b"not a database at all" * 400,
            "truncated": whole[: len(whole) // 2],
            "header": b"\xff" * 100 + whole[100:],
        }[damage]
    )
    said: list[str] = []
    with ReplyCache(path, say=said.append) as cache:
        model = Cached(Counting(), cache)
        cache.get(keys(*range(300)))
        assert model.score(["a"], ["x"])[0].total == MODEL.score(["a"], ["x"])[0].total
        assert len(cache) >= 1
    assert len(said) == 1
    assert "damaged" in said[0]
    assert [p for p in tmp_path.iterdir() if ".sqlite.damaged-" in p.name]
    with ReplyCache(path, say=said.append) as cache:
        assert Cached(inner := Counting(), cache).score(["a"], ["x"])
        assert not inner.asked
    assert len(said) == 1


def test_damage_that_appears_in_use_is_mended(tmp_path):
    path = tmp_path / "replies.sqlite"
    filled(path, 3000)
    said: list[str] = []
    with ReplyCache(path, say=said.append) as cache:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xee" * 100_000)
        cache.get(keys(*range(3000)))
        cache.put([(key, scored()) for key in keys(1 << 100)])
        assert cache.get(keys(1 << 100))
    assert "moved aside" in said[0]


def test_a_changed_byte_in_a_reply_is_noticed_and_asked_again(tmp_path):
    path, said = tmp_path / "replies.sqlite", []
    with ReplyCache(path, say=said.append) as cache:
        truth = Cached(Counting(), cache).score(["a", "b"], ["one", "two"])
        with sqlite3.connect(path) as db:
            [(arrays,)] = db.execute("SELECT arrays FROM replies LIMIT 1").fetchall()
            flipped = bytes([arrays[0] ^ 1]) + arrays[1:]
            db.execute("UPDATE replies SET arrays = ? WHERE arrays = ?", (flipped, arrays))
        db.close()
        inner = Counting()
        again = Cached(inner, cache).score(["a", "b"], ["one", "two"])
    assert [a.total for a in again] == [t.total for t in truth]
    assert len(inner.asked) == 1
    assert "1 damaged replies" in said[0]


def test_a_full_disk_is_told_and_keeps_what_is_stored(cache):
    cache.put([(key, scored()) for key in keys(*range(50))])
    pages = cache._connection().execute("PRAGMA page_count").fetchone()[0]
    cache._connection().execute(f"PRAGMA max_page_count={pages}")
    model = Cached(Counting(), cache)
    with pytest.raises(SurroundingsError, match="full"):
        model.score([f"context {i}" for i in range(900)], ["a long answer"] * 900)
    assert len(cache) == 50
    cache._connection().execute("PRAGMA max_page_count=1000000")
    assert len(model.score(["a"], ["b"])) == 1
    assert len(cache) == 51


def test_a_place_that_cannot_be_a_file(tmp_path):
    with pytest.raises(SurroundingsError, match="the reply cache cannot be used") as caught:
        ReplyCache(tmp_path)
    assert str(tmp_path) in str(caught.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SurroundingsError):
        ReplyCache(tmp_path / "file" / "replies.sqlite")


def test_closing_twice_and_using_again(tmp_path):
    cache = ReplyCache(tmp_path / "new folder" / "replies.sqlite")
    cache.close()
    cache.close()
    assert len(cache) == 0
    cache.close()
