"""KTO: the loss and its gradient by hand, the reference point, whose answer is another's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from togi.align.kto import (
    Kto,
    KtoItem,
    balanced_weights,
    kto,
    kto_items,
    other_rows,
    with_references,
)
from togi.align.reference import reference_sums
from togi.errors import DataError, UsageError
from togi.lm.forward import Request, answer_scores
from togi.rows.chat import Rendered
from togi.rows.types import Dropped, Example, Feedback, Preference

ITEMS = [
    KtoItem("a", Request((5, 6, 7, 8), 2), True, Request((5, 6, 30, 31), 2)),
    KtoItem("b", Request((1, 2, 30, 31), 2), False, Request((1, 2, 7, 8), 2)),
    KtoItem("c", Request((9, 3, 4), 2), True, Request((9, 3, 12), 2)),
]


class Words:
    """A renderer of space-separated numbers."""

    max_tokens = 100

    def examples(self, rows):
        for row_id, prompt, response in rows:
            if response == "long":
                yield Dropped(row_id, "too long")
            else:
                yield Rendered(*[tuple(map(int, text.split())) for text in (prompt, response)])


@pytest.fixture
def model(tiny_gpt2):
    yield tiny_gpt2.requires_grad_(True)
    tiny_gpt2.requires_grad_(False).zero_grad()


def referenced(model, items=ITEMS):
    own = reference_sums(model, [i.request for i in items])
    other = reference_sums(model, [i.other for i in items])
    return [
        replace(i, reference=float(a), other_reference=float(b))
        for i, a, b in zip(items, own, other, strict=True)
    ]


def test_the_loss_is_half_the_weight_at_the_start(model):
    (items,) = Kto().updates(model, referenced(model), 0)
    assert [item.point for item in items] == pytest.approx([0, 0, 0], abs=1e-9)
    loss, measures = Kto(desirable_weight=1.0, undesirable_weight=3.0).loss(model, items)
    assert loss.item() == pytest.approx(0.5 * (1 + 3 + 1), abs=1e-9)
    assert measures["rewards/chosen"][1] == 2
    assert measures["rewards/rejected"][1] == 1


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_values_and_slope_by_hand(sign):
    """dL/dr = -s w beta u (1 - u) with u the sigmoid, and none through the reference point."""
    ratio = torch.tensor([1.5], dtype=torch.float64, requires_grad=True)
    point = torch.tensor([0.5], dtype=torch.float64)
    loss = kto(ratio, point, torch.tensor([sign], dtype=torch.float64), 0.7)
    u = 1 / (1 + math.exp(-sign * 0.7 * (1.5 - 0.5)))
    assert loss.item() == pytest.approx(1 - u)
    (slope,) = torch.autograd.grad(loss.sum(), ratio)
    assert slope.item() == pytest.approx(-sign * 0.7 * u * (1 - u))


def test_far_answers_pull_less_than_a_thousandth_of_the_most():
    ratio = torch.tensor([0.0, 100.0], dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    (slope,) = torch.autograd.grad(kto(ratio, zero, one, 0.1).sum(), ratio)
    assert abs(slope[1] / slope[0]) < 2e-4


def test_gradient_of_the_model_by_hand(model):
    item = replace(referenced(model)[0], point=0.25)
    item = replace(item, reference=item.reference - 0.8)
    model.zero_grad()
    Kto(beta=0.5, desirable_weight=2.0).loss(model, [item])[0].backward()
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    answer_scores(model, [item.request]).tokens.logprobs.sum().backward()
    slope = torch.cat([p.grad.flatten() for p in model.parameters()])
    u = 1 / (1 + math.exp(-0.5 * (0.8 - 0.25)))
    torch.testing.assert_close(found, -2.0 * 0.5 * u * (1 - u) * slope, rtol=0, atol=1e-10)


def test_the_point_is_the_mean_over_the_whole_step_and_never_below_zero(model):
    items = referenced(model)
    moved = [replace(i, other_reference=i.other_reference - d)
             for i, d in zip(items, (1.0, 2.0, 6.0), strict=True)]  # fmt: skip
    (told,) = Kto().updates(model, moved, 0)
    assert {round(i.point, 9) for i in told} == {3.0}
    (few,) = Kto(point_rows=2).updates(model, moved, 0)
    assert few[2].point == pytest.approx(1.5)
    below = [replace(i, other_reference=i.other_reference + 2.0) for i in items]
    (held,) = Kto().updates(model, below, 0)
    assert held[0].point == 0.0
    assert held[0].drift == pytest.approx(-2.0)


def test_accumulation_equals_batch(model):
    items = [replace(i, point=0.3) for i in referenced(model)]

    def gradient(parts):
        model.zero_grad()
        for part in parts:
            Kto().loss(model, part)[0].backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradient([items])
    torch.testing.assert_close(gradient([[i] for i in items]), whole, rtol=0, atol=1e-10)


def test_apo_zero_takes_no_point(model, monkeypatch):
    monkeypatch.setattr("togi.align.kto.reference_sums", None)
    items = referenced(model)
    (told,) = Kto(loss="apo_zero").updates(model, items, 0)
    assert told == items


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 5))
def test_other_rows_is_a_derangement_over_prompts(prompts, seed):
    if max(prompts.count(p) for p in prompts) * 2 > len(prompts):
        with pytest.raises(DataError, match="one prompt has"):
            other_rows(prompts, seed=seed)
        return
    found = other_rows(prompts, seed=seed)
    assert sorted(found.tolist()) == list(range(len(prompts)))
    assert all(prompts[i] != prompts[j] for i, j in enumerate(found))
    assert np.array_equal(found, other_rows(prompts, seed=seed))


def test_pairs_become_two_rows_and_never_meet_their_own_other_answer():
    pairs = [Preference(id=f"p{i}", prompt=f"{i} 1", chosen="2 3", rejected="4") for i in range(4)]
    items, dropped = kto_items(pairs, Words(), seed=1)
    assert [i.desirable for i in items] == [True, False] * 4
    assert {i.id for i in items} >= {"p0+", "p0-"}
    assert not dropped
    for item in items:
        assert item.other.ids[: item.other.start] == item.request.ids[: item.request.start]
    answers = sorted(i.other.ids[i.other.start :] for i in items)
    assert answers == sorted(i.request.ids[i.request.start :] for i in items)  # each once


def test_contradictions_and_lost_rows_are_counted():
    rows = [
        Feedback(id="a", prompt="1 2", response="3", desirable=True),
        Feedback(id="b", prompt="1 2", response="3", desirable=False),
        Feedback(id="c", prompt="4 5", response="6", desirable=True),
        Feedback(id="d", prompt="7 8", response="9", desirable=False),
        Feedback(id="e", prompt="7 8", response="long", desirable=False),
    ]
    items, dropped = kto_items(rows, Words())
    assert [i.id for i in items] == ["c", "d"]
    assert dropped == {"the same answer has both thumbs": 2, "too long": 1}


def test_one_class_alone_or_another_kind_of_row_is_refused():
    up = [Feedback(id=str(i), prompt=f"{i}", response="3", desirable=True) for i in range(4)]
    with pytest.raises(DataError, match=r"no undesirable answer.*4 thumbs up, 0 down.*align.sft"):
        kto_items(up, Words())
    with pytest.raises(DataError, match=r"thumbs up and down.*Found: example"):
        kto_items([Example(id="e", prompt="1", response="2")], Words())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beta": 0}, "beta must be more than 0"),
        ({"desirable_weight": 0.0}, "weight of desirable answers must be more than 0"),
        ({"undesirable_weight": -1.0}, "weight of undesirable answers"),
        ({"loss": "ktoo"}, "did you mean 'kto'"),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(UsageError, match=words):
        Kto(**settings)


@pytest.mark.parametrize(("up", "down"), [(10, 10), (100, 10), (10, 100), (7, 5)])
def test_balanced_weights_lie_where_the_paper_wants_them(up, down):
    good, bad = balanced_weights(up, down)
    assert 1 - 1e-9 <= good * up / (bad * down) <= 4 / 3 + 1e-9
    assert min(good, bad) == 1.0


def test_references_are_cached(model, tmp_path, monkeypatch):
    first = with_references(model, ITEMS, tmp_path, "m")
    assert first == pytest.approx(referenced(model)) or first[0].reference == pytest.approx(
        referenced(model)[0].reference
    )
    monkeypatch.setattr("togi.align.reference.reference_sums", None)
    assert with_references(model, ITEMS, tmp_path, "m") == first
