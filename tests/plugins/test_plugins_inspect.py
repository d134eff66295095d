"""The provider for Inspect without Inspect: batches from many threads, settings, bad input."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import saved_toys

from togi.errors import DataError, UsageError
from togi.lm.base import Generated, Sampling
from togi.plugins.inspect_ai import Engine, sampling_of, turn_of
from togi.plugins.together import Together

GREEDY = Sampling(temperature=0.0, max_tokens=4)
TALK = [{"role": "user", "content": "the number of"}]


def said(text: str) -> Generated:
    return Generated(text, (1,), np.zeros(1, np.float32), "stop")


def config(**given: Any) -> SimpleNamespace:
    names = ("max_tokens", "temperature", "top_p", "top_k", "stop_seqs", "num_choices", "seed",
             "best_of", "top_logprobs", "logit_bias", "frequency_penalty")  # fmt: skip
    return SimpleNamespace(**{**dict.fromkeys(names), **given})


# --- batches ------------------------------------------------------------------------------------


def test_what_waits_is_answered_together_and_everyone_gets_his_own():
    batches, first = [], threading.Event()

    def answer(prompts, sampling):
        batches.append(len(prompts))
        first.wait(5)  # until all others are waiting
        return [[said(str(prompt))] for prompt in prompts]

    together = Together(answer)
    with ThreadPoolExecutor(16) as pool:
        found = [pool.submit(together, (i,), GREEDY) for i in range(16)]
        while len(together._waiting) + sum(batches) < 16:
            pass
        first.set()
        texts = [one.result(10)[0].text for one in found]
    assert texts == [f"({i},)" for i in range(16)]
    assert sum(batches) == 16
    assert len(batches) == 2


def test_settings_are_not_mixed_in_a_batch():
    seen = []
    together = Together(
        lambda prompts, sampling: seen.append(sampling) or [[said("")] for _ in prompts]
    )
    for sampling in (GREEDY, Sampling(max_tokens=9), GREEDY):
        together((1,), sampling)
    assert seen[0] == seen[2] == GREEDY
    assert seen[1].max_tokens == 9


def test_an_equal_question_is_another_draw_and_repeats_in_a_new_run():
    def asked() -> list[int]:
        seeds: list[int] = []
        together = Together(
            lambda prompts, sampling: seeds.append(sampling.seed) or [[said("")] for _ in prompts]
        )
        for _ in range(3):
            together((1, 2), Sampling(temperature=1.0))
        return seeds

    first = asked()
    assert first == asked()
    assert len(set(first)) == 3


def test_a_fault_reaches_all_who_asked_and_the_next_are_answered():
    def answer(prompts, sampling):
        if any(prompt == (7,) for prompt in prompts):
            raise DataError("too long")
        return [[said("fine")] for _ in prompts]

    together = Together(answer)
    with pytest.raises(DataError, match="too long"):
        together((7,), GREEDY)
    assert together((8,), GREEDY)[0].text == "fine"


# --- settings -----------------------------------------------------------------------------------


def test_inspect_s_settings_are_read():
    found = sampling_of(
        config(max_tokens=7, temperature=0, stop_seqs=["\n"], num_choices=2, seed=5), longest=99
    )
    assert found == Sampling(
        max_tokens=7, temperature=0, top_p=1.0, top_k=0, stop=("\n",), n=2, seed=5
    )
    assert sampling_of(config(), longest=99) == Sampling(max_tokens=99, temperature=1.0)


@pytest.mark.parametrize("name", ["best_of", "top_logprobs", "frequency_penalty"])
def test_settings_that_it_does_not_have_are_refused(name: str):
    with pytest.raises(UsageError, match=f"{name} is not known to togi's engine"):
        sampling_of(config(**{name: 2}), longest=9)


def test_turns_of_tools_are_refused():
    assert turn_of("user", "Hi") == {"role": "user", "content": "Hi"}
    with pytest.raises(UsageError, match="no turns of the role 'tool'"):
        turn_of("tool", "42")


# --- the engine ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved_toys.save(saved_toys.llama(), tmp_path_factory.mktemp("m") / "tiny"))


def test_an_answer_is_the_engine_s_own(folder: str):
    from togi.rows.types import Message

    engine = Engine(folder, dtype="float32", offline=True)
    ids = engine.ids(TALK, 8)
    assert engine.local.tokenizer.decode(ids).endswith("<|im_start|>assistant\n")
    sampling = Sampling(max_tokens=8, temperature=0.0)
    (own,) = engine.local.generate([(Message("user", "the number of"),)], sampling)[0]
    (found,) = engine.together(ids, sampling)
    assert (found.text, found.token_ids) == (own.text, own.token_ids)


def test_what_it_cannot_do_is_told(folder: str):
    with pytest.raises(UsageError, match=r"system is 'keep'.*refuse, drop, user"):
        Engine(folder, system="keep")
    engine = Engine(folder, dtype="float32", offline=True)
    with pytest.raises(UsageError, match=r"leaves no room for its answer.*lower max_tokens"):
        engine.ids(TALK, 250)
    with pytest.raises(UsageError, match="needs a local model"):
        Engine("openai:http://localhost:1/v1#m")
