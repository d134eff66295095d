"""A model with an adapter on top: the same as merged weights, and known as another model."""

from __future__ import annotations

import json

import pytest
import torch
from lora_toys import stir
from saved_toys import llama, quiet, save

from togi.align.lora import Lora, adapter_off, add_lora, merge, save_adapter
from togi.align.tuned import open_local, open_tuned
from togi.errors import DataError, UsageError
from togi.lm.base import Sampling
from togi.lm.local import load_local
from togi.rows.types import Message

ENDPOINT = "openai:http://127.0.0.1:9/v1#some-model"
PROMPTS = [(Message("user", "Which number?"),), "the number of", "of"]
ANSWERS = ["It is 7.", " users", " the system"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save(llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    for seed in (1, 2):
        model = load_local(base, dtype="float32", say=quiet)
        add_lora(model.model, Lora(rank=4), seed=seed)
        save_adapter(stir(model.model, seed=seed), folder / str(seed), str(base))
    return folder


def tuned(base, adapter=None, **options):
    return open_tuned(str(base), adapter=adapter, dtype="float32", say=quiet, **options)


def totals(model):
    return [s.total for s in model.score(PROMPTS, ANSWERS)]


def test_an_adapter_equals_merged_weights_for_scores_and_answers(base, adapters):
    model, plain = tuned(base, adapters / "1"), tuned(base)
    found = totals(model)
    assert found != pytest.approx(totals(plain), abs=0.05)
    greedy = Sampling(temperature=0, max_tokens=10)
    answers = [[a.token_ids for a in row] for row in model.generate(PROMPTS, greedy)]
    with adapter_off(model.model):
        assert totals(model) == totals(plain)
    merge(model.model)
    assert totals(model) == pytest.approx(found, abs=1e-4)
    assert [[a.token_ids for a in row] for row in model.generate(PROMPTS, greedy)] == answers


def test_merged_and_saved_weights_are_that_model(base, adapters, tmp_path):
    from togi.align.lora import unload

    model = tuned(base, adapters / "1")
    found = totals(model)
    merge(model.model)
    unload(model.model)
    folder = save(model.model, tmp_path / "merged")
    assert totals(tuned(folder)) == pytest.approx(found, abs=1e-4)


def test_the_fingerprint_tells_base_and_adapters_apart(base, adapters):
    prints = [tuned(base, a).fingerprint for a in (None, adapters / "1", adapters / "2")]
    assert len(set(prints)) == 3
    assert tuned(base, adapters / "1").fingerprint == prints[1]


def test_an_adapter_is_frozen_unless_it_is_trained(base, adapters):
    frozen = tuned(base, adapters / "1")
    assert not any(p.requires_grad for p in frozen.model.parameters())
    open_ = open_local(str(base), adapter=adapters / "1", dtype="float32", say=quiet)
    trained = {n for n, p in open_.model.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in open_.model.named_parameters() if "lora_" in n}
    assert len(trained) == 2 * 14
    assert totals(open_) == totals(frozen)


def test_another_base_is_refused(adapters, tmp_path):
    other = save(llama(seed=9), tmp_path / "other")
    with pytest.raises(UsageError):
        tuned(other, adapters / "1")


def test_a_folder_without_an_adapter_is_refused(base, tmp_path):
    with pytest.raises(DataError):
        tuned(base, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(DataError):
        tuned(base, tmp_path)


def test_endpoints_take_neither_adapters_nor_training(adapters):
    with pytest.raises(UsageError, match="an adapter cannot be put on an endpoint"):
        open_tuned(ENDPOINT, adapter=adapters / "1", say=quiet)
    with pytest.raises(UsageError, match="an endpoint can be judged but not trained"):
        open_local(ENDPOINT, say=quiet)


def test_trained_weights_are_float32_on_a_narrow_base(base, adapters):
    model = open_local(str(base), adapter=adapters / "1", dtype="bfloat16", say=quiet)
    assert model.model.dtype == torch.bfloat16
    assert {p.dtype for p in model.model.parameters() if p.requires_grad} == {torch.float32}
