"""The plug-in of lm-eval without lm-eval: what it reads of requests, chat templates, words."""

from __future__ import annotations

import importlib
import sys

import pytest
import saved_toys
from hypothesis import given
from hypothesis import strategies as st

from togi.cli import main
from togi.errors import DataError, SurroundingsError, UsageError
from togi.plugins import lm_eval as plugin
from togi.plugins.chat import rendered, without_system
from togi.plugins.engine import open_engine
from togi.plugins.requests import chunks, clipped, repeated, sampling_of

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]
REFUSING = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"


# --- without lm-eval ----------------------------------------------------------------------------


def test_without_lm_eval_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["togi", "evaluate", "lm-eval", "--tasks", "arc_easy"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == SurroundingsError.code
    said = capsys.readouterr().err
    assert "lm-evaluation-harness is not installed" in said
    assert "pip install lm-eval" in said


def test_the_module_can_be_imported_without_it(monkeypatch):
    """The entry point is listed for everyone; only lm-eval loads it."""
    for name in ("lm_eval", "lm_eval.api", "lm_eval.api.model", "lm_eval.api.registry"):
        monkeypatch.setitem(sys.modules, name, None)
    again = importlib.reload(plugin)
    assert again.TogiLM.__name__ == "TogiLM"
    assert again.TemplateLM is object
    monkeypatch.undo()
    importlib.reload(plugin)


def test_an_endpoint_has_no_place_in_it():
    with pytest.raises(UsageError, match=r"needs a local model.*other program's own client"):
        open_engine("openai:http://localhost:1/v1#m", None, "auto", None, True)


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"max_tokens": 256, "temperature": 0.0, "stop": ()}),
        ({"until": ["\n", ""], "max_gen_toks": 9}, {"max_tokens": 9, "stop": ("\n",)}),
        ({"until": None, "max_new_tokens": 5}, {"max_tokens": 5, "stop": ()}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"do_sample": False, "temperature": 0.7}, {"temperature": 0.0}),
        ({"do_sample": True, "temperature": 1.0, "top_p": 0.9, "top_k": 4},
         {"temperature": 1.0, "top_p": 0.9, "top_k": 4}),
    ],
)  # fmt: skip
def test_generation_kwargs_are_read_as_lm_eval_means_them(options: dict, expected: dict):
    found = sampling_of(options, longest=256, seed=3)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.seed == 3


def test_an_unknown_generation_option_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"'num_beams' is not known to togi's engine"):
        sampling_of({"num_beams": 4}, longest=9, seed=0)
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        sampling_of({"temperatur": 1}, longest=9, seed=0)


@given(
    st.lists(st.integers(0, 9), max_size=20), st.lists(st.integers(0, 9), min_size=1, max_size=6)
)
def test_clipping_keeps_the_answer_whole_and_the_context_s_end(context: list, answer: list):
    ids, start = clipped(context, answer, 8)
    assert ids[start:] == answer
    assert ids == [*context, *answer][-9:]
    assert len(ids) <= 9


def test_answers_that_cannot_be_scored_are_told():
    with pytest.raises(DataError, match="no token of its own: the tokenizer merges it"):
        clipped([1, 2], [], 8)
    with pytest.raises(DataError, match=r"longer than the model can read. Found: 9 tokens"):
        clipped([1], [1] * 9, 8)


@given(st.lists(st.sampled_from("abc")), st.integers(1, 5))
def test_equal_requests_are_numbered_and_chunks_lose_nothing(keys: list[str], size: int):
    numbered = repeated(keys)
    assert [key for key, _ in numbered] == keys
    assert len(set(numbered)) == len(numbered)
    assert [one for part in chunks(keys, "x", True) for one in part] == keys


# --- chat templates -----------------------------------------------------------------------------


def test_a_template_writes_turns_and_leaves_a_begun_answer_open():
    tokenizer = saved_toys.tokenizer()
    whole = rendered(tokenizer, TALK, True, "refuse")
    assert whole.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert whole.endswith("Bye<|im_end|>\n<|im_start|>assistant\n")
    begun = rendered(tokenizer, [*TALK, {"role": "assistant", "content": "It is"}], False, "refuse")
    assert begun.endswith("<|im_start|>assistant\nIt is")


def test_a_template_without_a_system_turn_is_told_and_can_be_answered():
    tokenizer = saved_toys.tokenizer(REFUSING + saved_toys.CHATML)
    with pytest.raises(DataError, match=r"refuses the conversation.*system, user.*system=user"):
        rendered(tokenizer, TALK, True, "refuse")
    kept = rendered(tokenizer, TALK, True, "user")
    assert kept.startswith("<|im_start|>user\nBe brief.\n\nHi<|im_end|>")
    dropped = rendered(tokenizer, TALK, True, "drop")
    assert "Be brief." not in dropped
    assert rendered(tokenizer, TALK[1:], True, "refuse") == dropped


def test_no_template_is_told():
    with pytest.raises(DataError, match="has no chat template"):
        rendered(saved_toys.tokenizer(None), TALK, True, "refuse")


def test_turns_given_are_never_changed():
    before = [dict(turn) for turn in TALK]
    without_system(TALK, keep=True)
    assert before == TALK
    assert without_system(TALK, keep=False) == TALK[1:]
