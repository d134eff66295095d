"""The endpoint client against a real server on loopback: parity, faults, limits, money."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from lm_server import MODEL, Answer, FakeServer, serve

from togi.errors import Stopped, SurroundingsError, UsageError
from togi.lm.base import LanguageModel, Sampling
from togi.lm.cache import Cached, ReplyCache
from togi.lm.echo import UNKNOWN_TOKEN, read_echo
from togi.lm.endpoint import NO_SCORES, Endpoint
from togi.lm.limits import Patience, Prices, retry_after
from togi.lm.requests import ScoreRequest, Streams
from togi.rows.types import Message

KEY = "sk-very-secret-0123456789"
QUICK = Patience(connect=5, read=10, total=30, attempts=5, first_wait=0.01, longest_wait=2)
CHAT = (Message("system", "Be brief."), Message("user", "the cat"))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOGI_API_KEY", KEY)


@pytest.fixture
def server():
    with serve() as fake:
        yield fake


def endpoint(server: FakeServer, **options) -> Endpoint:
    options = {"patience": QUICK, "say": lambda line: None, **options}
    return Endpoint(server.url, "exact", **options)


def error(status: int, message: str = "no", **headers: str) -> Answer:
    body = {"error": {"message": message}}
    return Answer("error", status, {k.replace("_", "-"): v for k, v in headers.items()}, body)


def test_is_a_language_model_that_streams(server):
    assert isinstance(endpoint(server), LanguageModel)
    assert isinstance(endpoint(server), Streams)


def test_scores_equal_the_model_behind(server):
    contexts = ["the ", "the cat ", "the ", "the do", "the dog sat on"]
    answers = ["cat", "saw on", "mat.", "g", " the"]  # no two tokens tie for the first place
    ours, truth = endpoint(server).score(contexts, answers), MODEL.score(contexts, answers)
    for a, b in zip(ours, truth, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, rtol=1e-6)
        assert a.greedy == b.greedy
        assert a.token_ids == (UNKNOWN_TOKEN,) * len(b.token_ids)
    assert [a.greedy for a in ours].count(True) in range(1, 5)  # both kinds occur


def test_draws_equal_the_model_behind_one_request_each(server):
    sampling = Sampling(n=3, seed=7, max_tokens=12, stop=("on", "."), temperature=0.8)
    for prompt in ("the ", CHAT):
        got = endpoint(server).generate([prompt], sampling)[0]
        for draw, answer in enumerate(got):
            alone = Sampling(seed=7 + draw, max_tokens=12, stop=("on", "."), temperature=0.8)
            [[truth]] = MODEL.generate([prompt], alone)
            assert (answer.text, answer.finish) == (truth.text, truth.finish)
            n = len(answer.logprobs)
            np.testing.assert_allclose(answer.logprobs, truth.logprobs[:n], rtol=1e-6)
    assert sorted(body["seed"] for _, body, _ in server.seen) == [7, 7, 8, 8, 9, 9]


def test_request_bodies_carry_the_sampling(server):
    sampling = Sampling(max_tokens=5, temperature=0.5, top_p=0.9, top_k=4, stop=("x",), seed=3)
    endpoint(server, extra={"user": "u", "top_k": None}).generate([CHAT], sampling)
    path, body, headers = server.seen[0]
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "exact", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["x"],
        "seed": 3, "logprobs": True, "user": "u",
        "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "the cat"},
        ],
    }  # fmt: skip
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_greedy_draws_are_asked_once(server):
    answers = endpoint(server).generate(["the ", "the "], Sampling(n=4, temperature=0))
    assert len(server.seen) == 1
    assert len({a.text for row in answers for a in row}) == 1


def test_missing_logprobs_are_nan_never_zero(server):
    reply = {
        "choices": [{"message": {"content": "hi you"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    server.plan = lambda number, body: Answer(body=reply)
    [[answer]] = endpoint(server).generate([CHAT], Sampling())
    assert (answer.text, answer.finish, len(answer.logprobs)) == ("hi you", "length", 2)
    assert np.isnan(answer.logprobs).all()


def test_a_server_that_refuses_logprobs_is_asked_without(server):
    server.plan = lambda number, body: (
        error(400, "logprobs are not supported") if "logprobs" in body else Answer()
    )
    model = endpoint(server, concurrency=1)
    answers = model.generate([CHAT], Sampling(n=3, max_tokens=4))
    assert len(answers[0]) == 3
    assert ["logprobs" in body for _, body, _ in server.seen] == [True, False, False, False]


# --- echoed prompts ---------------------------------------------------------------------------


def test_echo_leaves_out_bos_context_and_the_generated_token():
    logprobs = {
        "tokens": ["<s>", "ab", " cd", " ef", "!"],
        "token_logprobs": [None, -9.0, -1.0, -2.0, -7.0],
        "top_logprobs": [None, {"ab": -9.0}, {" cd": -1.0}, {" xx": -0.5, " ef": -2.0}, {}],
        "text_offset": [0, 3, 5, 8, 11],
    }
    scored = read_echo(logprobs, "ab", " cd ef")
    assert scored.logprobs.tolist() == [-1.0, -2.0]
    assert not scored.greedy
    assert read_echo(logprobs, "ab", " cd").greedy


def test_echo_gives_a_straddling_token_to_the_continuation():
    logprobs = {"tokens": ["ab", "cd"], "token_logprobs": [None, -3.0]}
    assert read_echo(logprobs, "abc", "d").logprobs.tolist() == [-3.0]


def test_echo_uses_offsets_where_tokens_are_parts_of_characters():
    logprobs = {
        "tokens": ["<s>", "a", "\ufffd", "\ufffd", "b", "!"],
        "token_logprobs": [None, -1.0, -2.0, -3.0, -4.0, -5.0],
        "text_offset": [0, 3, 4, 4, 5, 6],
    }
    assert read_echo(logprobs, "a", "éb").logprobs.tolist() == [-2.0, -3.0, -4.0]


def test_echo_without_a_first_probability_is_nan():
    logprobs = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0]}
    values = read_echo(logprobs, "", "ab").logprobs
    assert math.isnan(values[0])
    assert values[1] == -1.0


@pytest.mark.parametrize(
    "logprobs", [{}, {"tokens": ["x"], "token_logprobs": []}, {"tokens": ["!"],
                 "token_logprobs": [-1.0], "text_offset": [0]}],
)  # fmt: skip
def test_echo_that_does_not_cover_the_prompt_is_none(logprobs):
    assert read_echo(logprobs, "ab", "cd") is None


def test_endpoint_without_echo_says_that_bits_cannot_be_measured(server):
    server.echoes = False
    with pytest.raises(SurroundingsError) as caught:
        endpoint(server).score(["the "], ["cat"])
    assert NO_SCORES in str(caught.value)
    server.plan = lambda number, body: error(404, "no route")
    with pytest.raises(SurroundingsError, match=r"likelihood cannot be measured.*no route"):
        endpoint(server).score(["the "], ["cat"])


def test_conversations_cannot_be_scored_and_nothing_is_paid(server):
    with pytest.raises(SurroundingsError, match="cannot score the answer of a conversation"):
        endpoint(server).score(["a", CHAT], ["b", "c"])
    with pytest.raises(UsageError, match="empty"):
        endpoint(server).score(["a"], [""])
    assert not server.seen


# --- faults that pass, and faults that do not --------------------------------------------------


def test_retry_after_in_seconds_is_kept(server):
    plan = [error(429, retry_after="0.3"), Answer()]
    server.plan = lambda number, body: plan[number]
    endpoint(server).generate(["the "], Sampling(max_tokens=2))
    assert 0.3 <= server.times[1] - server.times[0] < 1.5


def test_retry_after_as_a_date_is_kept(server):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    plan = [error(503, Retry_After=later), Answer()]
    server.plan = lambda number, body: plan[number]
    endpoint(server).generate(["the "], Sampling(max_tokens=2))
    assert 0.7 <= server.times[1] - server.times[0] < 3


def test_retry_after_unreadable_or_past():
    assert retry_after({}) is None
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "nan"}) is None


def test_retry_after_beyond_patience_is_told_at_once(server):
    server.plan = lambda number, body: error(429, retry_after="3600")
    began = time.monotonic()
    with pytest.raises(SurroundingsError, match="asks to wait 3600 s"):
        endpoint(server).generate(["a"], Sampling())
    assert time.monotonic() - began < 2
    assert len(server.seen) == 1


@pytest.mark.parametrize("kind", ["cut", "error", "stall"])
def test_faults_that_pass_are_asked_again(server, kind):
    server.plan = lambda number, body: Answer(kind, 500, {}, None) if number < 2 else Answer()
    model = endpoint(server, patience=Patience(read=0.4, first_wait=0.01))
    [[answer]] = model.generate(["the "], Sampling(max_tokens=6))
    assert answer.text == MODEL.generate(["the "], Sampling(max_tokens=6))[0][0].text
    assert (model.usage.requests, model.usage.retries) == (1, 2)


def test_an_error_inside_a_200_is_an_error(server):
    overloaded = Answer(body={"error": {"message": "overloaded", "code": 503}})
    server.plan = lambda number, body: overloaded if number == 0 else Answer()
    assert endpoint(server).generate(["the "], Sampling(max_tokens=2))
    assert len(server.seen) == 2


def test_a_failing_endpoint_ends_in_one_clear_error(server):
    server.plan = lambda number, body: error(502, "bad gateway")
    with pytest.raises(SurroundingsError, match="HTTP 502: bad gateway") as caught:
        endpoint(server).generate(["a"], Sampling())
    assert len(server.seen) == QUICK.attempts
    assert "run the same command again" in str(caught.value)


@pytest.mark.parametrize("kind", ["stall", "trickle"])
def test_a_stalled_endpoint_never_hangs(server, kind):
    server.plan = lambda number, body: Answer(kind)
    began = time.monotonic()
    patience = Patience(read=0.3, total=1.0, attempts=50, first_wait=0.01)
    with pytest.raises(SurroundingsError, match="gave up after 1 s"):
        endpoint(server, patience=patience).generate(["a"], Sampling())
    assert time.monotonic() - began < 4


def test_nobody_listens():
    url = "http://127.0.0.1:9/v1"
    model = Endpoint(url, "m", patience=QUICK, say=lambda line: None)
    with pytest.raises(SurroundingsError, match="the connection broke"):
        model.generate(["a"], Sampling())


@pytest.mark.parametrize(
    ("status", "code"), [(400, None), (401, None), (404, None), (429, "insufficient_quota")]
)
def test_refusals_are_told_at_once_in_the_servers_words(server, status, code):
    body = {"error": {"message": f"no model 'exact' for key {KEY}", "code": code}}
    server.plan = lambda number, request: Answer("error", status, {}, body)
    if status == 429:
        with pytest.raises(SurroundingsError, match="no model 'exact'"):
            endpoint(server).generate(["a"], Sampling())
    else:
        with pytest.raises(SurroundingsError, match=rf"HTTP {status}.*no model 'exact'"):
            endpoint(server).generate(["a"], Sampling())
    assert len(server.seen) == 1


def test_the_key_is_never_shown(server, tmp_path):
    server.plan = lambda number, body: error(401, f"Incorrect API key provided: {KEY}")
    said: list[str] = []
    model = endpoint(server, say=said.append)
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        with pytest.raises(SurroundingsError) as caught:
            Cached(model, cache).generate(["a"], Sampling())
        server.plan = lambda number, body: Answer()
        Cached(model, cache).generate(["a"], Sampling(max_tokens=2))
    shown = [str(caught.value), repr(model), repr(model._transport), model.name, *said]
    assert "TOGI_API_KEY" in shown[0]
    assert not any(KEY in text for text in shown)
    assert not any(KEY.encode() in f.read_bytes() for f in tmp_path.iterdir())
    assert model.fingerprint == endpoint(server, api_key="another").fingerprint


def test_credentials_in_the_url_stay_out_of_name_and_fingerprint(server):
    with_secret = server.url.replace("http://", "http://me:hidden@")
    model = Endpoint(with_secret, "exact", say=lambda line: None)
    model.generate(["the "], Sampling(max_tokens=1))
    assert server.seen[0][2]["Authorization"].startswith("Basic ")
    assert "hidden" not in model.name + repr(model) + repr(model._transport)
    assert model.fingerprint == endpoint(server).fingerprint
    assert model.fingerprint != endpoint(server, extra={"a": 1}).fingerprint


# --- concurrency, money, losses -----------------------------------------------------------------


def test_concurrency_is_bounded_and_used(server):
    server.pause = 0.05
    prompts = [f"the {i}" for i in range(12)]
    answers = endpoint(server, concurrency=3).generate(prompts, Sampling(max_tokens=3))
    assert server.most_active == 3
    truth = MODEL.generate(prompts, Sampling(max_tokens=3))
    assert [a[0].text for a in answers] == [t[0].text for t in truth]  # the order asked


def test_dies_half_way_nothing_lost_rerun_continues(server, tmp_path):
    prompts = [f"the {i}" for i in range(20)]
    server.plan = lambda number, body: Answer() if number < 9 else Answer("cut")
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        with pytest.raises(SurroundingsError, match="the endpoint fails"):
            Cached(endpoint(server, concurrency=4), cache).generate(prompts, Sampling(max_tokens=3))
        assert len(cache) == len(server.paid) == 9
    server.plan = lambda number, body: Answer()
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        model = Cached(endpoint(server), cache)
        got = model.generate(prompts, Sampling(max_tokens=3))
        assert (model.found, model.asked) == (9, 11)
    assert len(server.paid) == 20  # each paid once
    truth = MODEL.generate(prompts, Sampling(max_tokens=3))
    assert [a[0].text for a in got] == [t[0].text for t in truth]


def test_replies_under_way_when_another_fails_are_kept(server, tmp_path):
    def plan(number: int, body: dict) -> Answer:
        if number == 0:
            return error(400, "bad")
        time.sleep(0.3)  # the refusal arrives while these are under way
        return Answer()

    server.plan = plan
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        with pytest.raises(SurroundingsError, match="bad"):
            Cached(endpoint(server, concurrency=4), cache).score(
                ["the "] * 9, [f"c{i}" for i in range(9)]
            )
        assert len(cache) == len(server.paid) == 3


def test_more_draws_later_cost_only_the_new_ones(server, tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        model = Cached(endpoint(server), cache)
        few = model.generate(["the "], Sampling(n=2, max_tokens=4))
        more = model.generate(["the "], Sampling(n=5, max_tokens=4))
    assert len(server.paid) == 5
    assert [a.text for a in more[0][:2]] == [a.text for a in few[0]]


def test_cost_is_counted_and_capped_and_the_paid_is_kept(server, tmp_path):
    # a prompt of 5 tokens and 1 token out: 5 x 1000 / 1e6 + 1 x 2000 / 1e6 = 0.007 each
    prices = Prices(per_million_in=1000, per_million_out=2000, most=0.02)
    prompts = [f"the {i}" for i in range(9)]
    sampling = Sampling(max_tokens=1, temperature=0)
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        model = endpoint(server, concurrency=1, prices=prices)
        with pytest.raises(Stopped, match="cost cap"):
            Cached(model, cache).generate(prompts, sampling)
        assert model.cost == pytest.approx(0.014)  # a third could have made it 0.022
        assert len(cache) == 2
        again = Cached(endpoint(server, prices=Prices()), cache)
        again.generate(prompts, sampling)
        assert (again.found, again.asked) == (2, 7)


def test_a_cap_needs_prices_and_token_counts(server):
    with pytest.raises(UsageError, match="cost cap needs prices"):
        Prices(most=1.0)
    server.counts = False
    model = endpoint(server, concurrency=1, prices=Prices(per_million_in=1, most=1))
    with pytest.raises(SurroundingsError, match="tells no token counts"):
        model.generate(["a", "b"], Sampling(max_tokens=1))
    assert math.isnan(model.cost)


def test_leaving_the_stream_ends_what_is_under_way(server):
    server.plan = lambda number, body: Answer() if number == 0 else Answer("stall")
    patience = Patience(read=20, total=60)
    model = endpoint(server, concurrency=2, patience=patience)
    stream = model.stream([ScoreRequest("the ", "cat"), ScoreRequest("the ", "dog")])
    began = time.monotonic()
    assert next(stream)[0] in (0, 1)
    stream.close()
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("url", ["localhost:80", "ftp://host/v1", "http://", "http://u:pw@h:x/"])
def test_bad_urls_are_told_without_secrets(url):
    with pytest.raises(UsageError) as caught:
        Endpoint(url, "m")
    assert "pw" not in str(caught.value)


def test_plain_http_with_a_key_to_a_far_host_is_said():
    said: list[str] = []
    Endpoint("http://far.example/v1", "m", say=said.append)
    assert "plain http" in said[0]
    Endpoint("http://127.0.0.1:1/v1", "m", say=said.append)
    assert len(said) == 1


@pytest.mark.parametrize("field", ["connect", "read", "total", "attempts", "first_wait"])
def test_patience_above_zero(field):
    with pytest.raises(UsageError, match=field):
        Patience(**{field: 0})


def test_an_empty_list_asks_nothing(server):
    assert endpoint(server).score([], []) == []
    assert endpoint(server).generate([], Sampling()) == []
    assert not server.seen
