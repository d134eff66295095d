"""Smaller parts of alignment: user functions, side adapters, DoRA, prefixes, measures, alarms."""

from __future__ import annotations

import json
import math

import pytest
import torch
from saved_toys import llama, quiet, save

from togi.align.adapters import BASE, add_side, keep_side, using
from togi.align.alarms import alarms, mean_of
from togi.align.lora import Lora, add_lora, lora_layers, merge, save_adapter, unmerge
from togi.align.metric import Metric, MetricItem, exact, f1, metric_items
from togi.align.prefix import add_prefix, load_prefix, save_prefix
from togi.align.trunk import lowest_trained
from togi.align.tuned import open_tuned
from togi.align.user_function import UserFunction, parse
from togi.errors import DataError, UsageError
from togi.lm import attention
from togi.lm.base import Sampling
from togi.lm.forward import Request, answer_scores, stream_scores
from togi.lm.local import load_local
from togi.rows.chat import Rendered
from togi.rows.types import Example, Preference, Sample

REQUESTS = [Request(tuple(range(3 + i, 12 + 2 * i)), 4) for i in range(4)]


def toy(dtype=torch.float64, **settings):
    attention.register()
    model = llama(**settings)
    model.set_attn_implementation(attention.NAME)
    return model.to(dtype).requires_grad_(False)


def shaken(model, seed=3, size=0.05):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.lora_B.normal_(0, size, generator=draw)
    return model


def scores(model):
    with torch.no_grad():
        return answer_scores(model, REQUESTS).tokens.logprobs


# --- user functions -------------------------------------------------------------------------------

ROW = {"id": "7", "prompt": "Say hi.", "response": "hi there", "row": {"length": 3}}


@pytest.fixture
def function(tmp_path):
    made = []

    def make(body, signature="response", seconds=20.0):
        path = tmp_path / "mine.py"
        path.write_text(f"import time\n\ndef score({signature}):\n    {body}\n")
        made.append(UserFunction(f"{path}:score", seconds=seconds))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("body", "signature", "value"),
    [
        ("return len(response)", "response", 8.0),
        ("return len(prompt) + len(response)", "prompt, response", 15.0),
        ("return row['length']", "response, prompt, row", 3.0),
        ("print('noise'); return len(text) > 3", "text", 1.0),
        ("import numpy; return numpy.float32(0.5)", "response", 0.5),
    ],
)
def test_a_function_is_called_with_what_it_takes(function, body, signature, value):
    assert function(body, signature)([ROW, ROW]) == [value, value]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", r"row 7: the function failed.*ZeroDivisionError.*line 4: return 1 / 0"),
        ("return None", "returned no finite number. Found: None"),
        ("return float('nan')", "returned no finite number. Found: nan"),
        ("return 'good'", "returned no finite number"),
        ("import os; os._exit(3)", "the function ended its process"),
    ],
)
def test_what_goes_wrong_is_told_with_the_users_line(function, body, words):
    with pytest.raises(DataError, match=words):
        function(body)([ROW])


def test_a_function_that_hangs_is_ended_and_may_be_called_again(function):
    hung = function("time.sleep(60 if len(response) > 5 else 0); return 1.0", seconds=3.0)
    with pytest.raises(DataError, match="did not return in time.*nothing after 3 s.*kept"):
        hung([ROW])
    assert hung([{**ROW, "response": "hi"}]) == [1.0]


def test_a_function_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        parse(str(tmp_path / "none.py:score"))
    with pytest.raises(UsageError, match="not a function.*file.py:function"):
        parse("score")
    (tmp_path / "a.py").write_text("def scroe(x): return 1\n")
    with (
        UserFunction(f"{tmp_path}/a.py:score") as missing,
        pytest.raises(DataError, match=r"has no function 'score'; it has scroe"),
    ):
        missing([ROW])


# --- side adapters, DoRA --------------------------------------------------------------------------


def test_side_adapters_take_turns_and_leave_no_trace(tmp_path):
    plain = scores(toy())
    other = shaken(toy())
    add_lora(other, Lora(rank=3), seed=1)
    shaken(other, seed=9)
    save_adapter(other, tmp_path / "other", "tiny")
    wanted = scores(other)

    model = toy()
    add_lora(model, Lora(rank=2, targets=["q_proj"]), seed=5)
    shaken(model, seed=4)
    own = scores(model)
    keep_side(model, "before")
    shaken(model, seed=6)
    now = scores(model)
    add_side(model, "other", tmp_path / "other")
    torch.testing.assert_close(scores(model), now, rtol=0, atol=1e-12)
    for name, value in (("before", own), ("other", wanted), (BASE, plain)):
        with using(model, name):
            torch.testing.assert_close(scores(model), value, rtol=0, atol=1e-12)
    torch.testing.assert_close(scores(model), now, rtol=0, atol=1e-12)
    with pytest.raises(UsageError, match="no adapter is called 'befor'.*did you mean 'before'"):
        using(model, "befor").__enter__()
    save_adapter(model, tmp_path / "mine", "tiny")  # slots that only carry others are not saved
    assert len(lora_layers(model)) == 2


def test_dora_starts_as_the_base_and_merges_as_it_answers():
    model = toy()
    base = scores(model)
    add_lora(model, Lora(rank=3, dora=True), seed=1)
    torch.testing.assert_close(scores(model), base, rtol=0, atol=1e-9)
    shaken(model)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.lora_magnitude.mul_(1.1)
    tuned = scores(model)
    assert (tuned - base).abs().max() > 1e-3
    merge(model)
    torch.testing.assert_close(scores(model), tuned, rtol=0, atol=1e-9)
    unmerge(model)
    torch.testing.assert_close(scores(model), tuned, rtol=0, atol=1e-12)


def test_doras_gradients_reach_lengths_and_directions_and_not_the_norm():
    """W' = m (W + s B A) / |W + s B A| with the norm held fixed (Liu et al. 2024, §4.3)."""
    model = toy()
    add_lora(model, Lora(rank=2, dora=True, targets=["down_proj"]), seed=1)
    shaken(model)
    answer_scores(model, REQUESTS).tokens.logprobs.sum().backward()
    layer = next(iter(lora_layers(model).values()))
    found = [w.grad.clone() for w in (layer.lora_A, layer.lora_B, layer.lora_magnitude)]
    leaves = [w.detach().requires_grad_() for w in (layer.lora_A, layer.lora_B, layer.lora_magnitude)]  # noqa: E501
    A, B, m = leaves
    whole = layer.weight + layer.scale * B @ A
    dense = (m / whole.detach().norm(dim=1))[:, None] * whole
    path = next(iter(lora_layers(model)))
    twin = toy()
    twin.get_submodule(path).weight = torch.nn.Parameter(dense.detach().clone())
    others = [p for p in lora_layers(model) if p != path]
    for p in others:
        twin.get_submodule(p).weight = torch.nn.Parameter(
            (lora_layers(model)[p].delta() + lora_layers(model)[p].weight).detach()
        )
    answer_scores(twin, REQUESTS).tokens.logprobs.sum().backward()
    slope = twin.get_submodule(path).weight.grad
    by_hand = torch.autograd.grad((dense * slope).sum(), leaves)
    for ours, theirs in zip(found, by_hand, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_dora_saved_and_loaded_answers_the_same(tmp_path):
    model = toy(torch.float32)
    add_lora(model, Lora(rank=3, dora=True), seed=1)
    shaken(model)
    save_adapter(model, tmp_path / "a", "tiny")
    from togi.align.lora import load_adapter

    again = toy(torch.float32)
    load_adapter(again, tmp_path / "a")
    torch.testing.assert_close(scores(again), scores(model), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "numbers"), [("1-2", [1, 2]), ("3", [3]), ("-2", [2, 3]), ("", [0, 1, 2, 3])]
)
def test_adapters_sit_in_the_layers_that_are_asked_for(layers, numbers):
    model = toy(num_hidden_layers=4)
    add_lora(model, Lora(rank=2, layers=layers), seed=1)
    assert sorted({int(path.split(".")[2]) for path in lora_layers(model)}) == numbers
    if numbers[0]:
        assert lowest_trained(model) == numbers[0]
    else:
        with pytest.raises(UsageError, match=r"no frozen trunk.*lora.layers: -10"):
            lowest_trained(model)


@pytest.mark.parametrize("layers", ["9", "2-7", "-9", "first", "3-1"])
def test_layers_that_are_not_there_are_told(layers):
    with pytest.raises(UsageError, match="no such layers|not a range of layers"):
        add_lora(toy(num_hidden_layers=4), Lora(rank=2, layers=layers), seed=1)


# --- prefixes -------------------------------------------------------------------------------------


def test_a_prefix_started_from_tokens_is_those_tokens():
    """Keys and values of real tokens before a text are that text after those tokens."""
    model = toy()
    from togi.stats.rng import stream

    ids = tuple(int(i) for i in stream(4, "prefix").integers(0, 320, 3))
    longer = [Request((*ids, *r.ids), r.start + 3) for r in REQUESTS]
    with torch.no_grad():
        wanted = answer_scores(model, longer).tokens.logprobs
    add_prefix(model, 3, seed=4)
    torch.testing.assert_close(scores(model), wanted, rtol=0, atol=1e-9)
    found = torch.zeros_like(wanted)
    start = [0, *torch.tensor([len(r.ids) - r.start for r in REQUESTS]).cumsum(0).tolist()]
    for pack, part in stream_scores(model, REQUESTS, budget=8):
        at = 0
        for i in pack:
            n = start[i + 1] - start[i]
            found[start[i] : start[i + 1]] = part.tokens.logprobs[at : at + n]
            at += n
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_a_prefix_draws_as_its_tokens_do(tmp_path):
    from togi.lm.generate import generate
    from togi.stats.rng import stream

    model = toy()
    ids = tuple(int(i) for i in stream(4, "prefix").integers(0, 320, 3))

    class Letters:
        def decode(self, ids, **_):
            return " ".join(map(str, ids))

    greedy = Sampling(max_tokens=6, temperature=0.0)
    prompts = [(5, 6, 7), (8, 9)]
    wanted = generate(model, Letters(), [(*ids, *p) for p in prompts], greedy, frozenset())
    add_prefix(model, 3, seed=4)
    found = generate(model, Letters(), prompts, greedy, frozenset())
    assert [f[0].token_ids for f in found] == [w[0].token_ids for w in wanted]


def test_a_prefix_is_trained_saved_and_loaded(tmp_path):
    model = toy()
    prefix = add_prefix(model, 3, seed=4)
    answer_scores(model, REQUESTS).tokens.logprobs.sum().backward()
    assert prefix.weight.grad.abs().sum() > 0
    assert [n for n, w in model.named_parameters() if w.requires_grad] == ["soft_prefix.weight"]
    with torch.no_grad():
        prefix.weight.add_(0.01)
    save_prefix(model, tmp_path / "p", "tiny")
    again = toy()
    load_prefix(again, tmp_path / "p")
    torch.testing.assert_close(scores(again), scores(model), rtol=0, atol=1e-9)
    with pytest.raises(DataError, match="does not fit this model"):
        load_prefix(toy(num_hidden_layers=3), tmp_path / "p")
    with pytest.raises(UsageError, match="already has an adapter"):
        add_prefix(model, 3)
    with pytest.raises(UsageError, match="at least 1 position"):
        add_prefix(toy(), 0)


# --- measures -------------------------------------------------------------------------------------


def test_measures_by_hand():
    assert f1("the big red dog", "a red dog runs") == pytest.approx(2 * (2 / 3) ** 2 / (4 / 3))
    assert exact("The Dog!", "dog") == 1.0
    assert (f1("", ""), f1("a", "the")) == (1.0, 1.0)


class Words:
    def prompt_ids(self, prompt):
        return tuple(map(int, prompt.split()))

    def examples(self, rows):
        for _, prompt, response in rows:
            yield Rendered(*[tuple(map(int, text.split())) for text in (prompt, response)])


def test_accuracy_chooses_the_likeliest():
    row = Sample(id="s", input="5 6", target=1, choices=("7 8", "9", "10 11"))
    (item,), _ = metric_items([row], Words(), choose=True)
    model = toy()
    with torch.no_grad():
        sums = answer_scores(model, item.choices).sums(3)
        loss, measures = Metric("accuracy").loss(model, [item])
    assert -loss.item() == measures["metric"][0] == float(int(sums.argmax()) == 1)
    with pytest.raises(DataError, match="accuracy needs choices"):
        metric_items([Example(id="e", prompt="1", response="2")], Words(), choose=True)
    with pytest.raises(DataError, match="a measure needs questions"):
        metric_items(
            [Preference(id="p", prompt="1", chosen="2", rejected="3")], Words(), choose=False
        )


def test_a_users_measure_sees_the_target(tmp_path):
    (tmp_path / "m.py").write_text("def near(response, prompt, row):\n    return row['target'] == '4'\n")

    class Draw:
        def __call__(self, model, prompts, *, n, seed):
            class Reply:
                text = "x"

            return [[Reply()] for _ in prompts]

    metric = Metric(f"{tmp_path}/m.py:near", draw=Draw())
    items = [MetricItem("a", "1", (1,), "4"), MetricItem("b", "1", (1,), "5")]
    try:
        loss, _ = metric.loss(None, items)
    finally:
        metric.close()
    assert loss.item() == -1.0
    with pytest.raises(UsageError, match="no such measure.*did you mean 'accuracy'"):
        Metric("acuracy")


# --- alarms ---------------------------------------------------------------------------------------


def log(folder, lines):
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": i, "loss": 1.0, **line}) + "\n"
                            for i, line in enumerate(lines)))  # fmt: skip
    return path


def test_likelihood_displacement_is_told(tmp_path):
    falling = [{"kl/chosen": -0.5 * i, "rewards/margins": 0.1 * i} for i in range(20)]
    (said,) = alarms(log(tmp_path, falling), "dpo")
    assert "likelihood displacement" in said
    assert "chosen_weight" in said
    rising = [{"kl/chosen": 0.1 * i, "rewards/margins": 0.1 * i} for i in range(20)]
    assert alarms(log(tmp_path, rising), "dpo") == []
    assert alarms(log(tmp_path, falling), "sft") == []


def test_ppo_and_kto_alarms(tmp_path):
    (said,) = alarms(log(tmp_path, [{"objective/kl": 80.0}] * 3), "ppo")
    assert "diverge from the reference by 80 nats" in said
    (said,) = alarms(log(tmp_path, [{"objective/kl": -2.0}] * 3), "ppo")
    assert "below zero" in said
    (said,) = alarms(log(tmp_path, [{"kl/point": 0.0, "kl/drift": -1.5}] * 3), "kto")
    assert "cut off at zero" in said
    assert mean_of([{"a": float("nan")}, {"a": 1}]) == {"a": 1.0}


# --- whole models ---------------------------------------------------------------------------------


def test_an_adapter_starts_full_training_merged_into_the_weights(tmp_path):
    from togi.align.tuned import merge_in

    base = save(llama(), tmp_path / "base")
    local = load_local(base, dtype="float32", say=quiet)
    add_lora(local.model, Lora(rank=2), seed=1)
    shaken(local.model)
    save_adapter(local.model, tmp_path / "a", str(base))
    opened = open_tuned(str(base), adapter=tmp_path / "a", dtype="float32", say=quiet)
    wanted = scores(opened.model)
    merge_in(opened)
    assert not lora_layers(opened.model)
    torch.testing.assert_close(scores(opened.model), wanted, rtol=0, atol=1e-4)
    assert math.isfinite(wanted.sum())
