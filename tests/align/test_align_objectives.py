"""SFT and DPO: numbers by hand, gradients by hand, accumulation, cached references."""

from __future__ import annotations

import math

import pytest
import torch

from togi.align.dpo import Dpo, DpoItem, dpo_items, with_reference
from togi.align.pair_losses import sigmoid
from togi.align.pairs import make_pairs
from togi.align.reference import reference_sums
from togi.align.sft import Sft, SftItem, sft_items
from togi.errors import DataError, UsageError
from togi.lm.base import Generated, Sampling
from togi.lm.forward import Request, answer_scores
from togi.rows.chat import Rendered
from togi.rows.types import Document, Dropped, Example, Feedback, Preference, Sample

PAIRS = [
    DpoItem("a", Request((5, 6, 7, 8, 9), 3), Request((5, 6, 7, 8, 10, 11), 3)),
    DpoItem("b", Request((1, 2, 3, 4), 2), Request((1, 2, 9), 2)),
    DpoItem("c", Request((5, 6, 30, 31), 2), Request((5, 6, 30, 32), 2)),
]


class Words:
    """A renderer of space-separated numbers."""

    def examples(self, rows):
        for row_id, prompt, response in rows:
            if response == "long":
                yield Dropped(row_id, "too long")
            else:
                ids = [tuple(map(int, text.split())) for text in (prompt, response)]
                yield Rendered(*ids)

    def pair(self, prompt, chosen, rejected, *, id):
        sides = tuple(self.examples([(id, prompt, chosen), (id, prompt, rejected)]))
        return next((s for s in sides if isinstance(s, Dropped)), sides)


@pytest.fixture
def model(tiny_gpt2):
    yield tiny_gpt2.requires_grad_(True)
    tiny_gpt2.requires_grad_(False).zero_grad()


def test_sft_loss_is_the_summed_cross_entropy(model):
    items = [SftItem("a", Request((5, 6, 7, 8), 2)), SftItem("b", Request((9, 10, 11), 1))]
    loss, measures = Sft().loss(model, items)
    by_hand = -sum(
        answer_scores(model, [item.request]).tokens.logprobs.sum().item() for item in items
    )
    assert loss.item() == pytest.approx(by_hand, abs=1e-10)
    assert measures["token_accuracy"][1] == 4
    assert [Sft().weight(i) for i in items] == [2, 2]
    assert [Sft().cost(i) for i in items] == [3, 2]


def test_sft_accumulation_equals_batch(model):
    items = [SftItem(str(i), Request(tuple(range(i, i + 6)), 2)) for i in range(8)]

    def gradient(parts):
        model.zero_grad()
        for part in parts:
            Sft().loss(model, part)[0].backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradient([items])
    torch.testing.assert_close(gradient([[i] for i in items]), whole, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradient([items[:3], items[3:]]), whole, rtol=0, atol=1e-10)


def test_sft_items_count_what_is_left_out():
    rows = [
        Example(id="a", prompt="1 2", response="3"),
        Example(id="b", prompt="1", response="long"),
        Document(id="c", text="4 5 6"),
    ]
    items, dropped = sft_items(rows, Words())
    assert [i.request for i in items] == [Request((1, 2, 3), 2), Request((4, 5, 6), 1)]
    assert dropped == {"too long": 1}
    thumbs = [
        Feedback(id="up", prompt="1", response="2", desirable=True),
        Feedback(id="down", prompt="1", response="2", desirable=False),
    ]
    items, dropped = sft_items(thumbs, Words())
    assert ([i.id for i in items], dropped) == (["up"], {"a thumb down": 1})
    with pytest.raises(
        DataError, match=r"row s: .*Found: sample.*Expected: prompts with responses"
    ):
        sft_items([Sample(id="s", input="1", target="2")], Words())


def test_dpo_loss_is_ln2_at_step_0_and_zero_gaps(model):
    items = _referenced(model, PAIRS)
    loss, measures = Dpo(beta=0.3).loss(model, items)
    assert loss.item() == pytest.approx(3 * math.log(2), abs=1e-10)
    assert measures["rewards/margins"] == (pytest.approx(0, abs=1e-10), 3)


def test_dpo_gradient_by_hand(model):
    """dL = -beta sigmoid(-beta h) (d lp_w - d lp_l), Rafailov 2023, eq. 7's gradient."""
    beta, shift = 0.7, 1.3
    (item,) = _referenced(model, PAIRS[:1])
    item = DpoItem("a", item.chosen, item.rejected, item.reference_chosen - shift,
                   item.reference_rejected)  # fmt: skip
    model.zero_grad()
    loss, measures = Dpo(beta=beta).loss(model, [item])
    loss.backward()
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    gradients = []
    for request in (item.chosen, item.rejected):
        model.zero_grad()
        answer_scores(model, [request]).tokens.logprobs.sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    weight = -beta / (1 + math.exp(beta * shift))
    expected = weight * (gradients[0] - gradients[1])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-beta * shift)), abs=1e-10)
    assert measures["rewards/margins"][0] == pytest.approx(beta * shift, abs=1e-9)
    assert measures["rewards/accuracies"] == (1.0, 1.0)


def test_beta_and_gap_trade_off():
    gap = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(sigmoid(gap, 2.0), sigmoid(2 * gap, 1.0))


def test_references_are_cached_by_content(model, tmp_path, monkeypatch):
    first = with_reference(model, PAIRS, tmp_path, "model-1")
    assert [i.reference_chosen for i in first] == pytest.approx(
        reference_sums(model, [p.chosen for p in PAIRS], budget=1).tolist(), abs=1e-10
    )
    monkeypatch.setattr("togi.align.reference.reference_sums", _never)
    assert with_reference(model, PAIRS, tmp_path, "model-1") == first
    for items, name in ((PAIRS, "model-2"), (PAIRS[:2], "model-1")):
        with pytest.raises(RuntimeError, match="asked again"):
            with_reference(model, items, tmp_path, name)


def test_dpo_costs_count_the_prompt_once():
    assert Dpo().cost(PAIRS[0]) == 3 + 1 + 2
    assert Dpo().weight(PAIRS[0]) == 1


def test_dpo_items_count_equal_pairs_and_refuse_other_rows():
    rows = [
        Preference(id="a", prompt="1 2", chosen="3", rejected="4 5"),
        Preference(id="b", prompt="1 2", chosen="3", rejected="3"),
        Preference(id="c", prompt="1 2", chosen="3", rejected="long"),
    ]
    items, dropped = dpo_items(rows, Words())
    assert items[0].chosen == Request((1, 2, 3), 2)
    assert items[0].rejected == Request((1, 2, 4, 5), 2)
    assert dropped == {"chosen and rejected are equal": 1, "too long": 1}
    with pytest.raises(DataError, match="Expected: prompt, chosen, rejected"):
        dpo_items([Example(id="e", prompt="1", response="2")], Words())


@pytest.mark.parametrize("settings", [{"beta": 0.0}, {"beta": -1}, {"loss": "sigmiod"}])
def test_dpo_refuses_wrong_settings(settings):
    with pytest.raises(UsageError, match=r"beta must be more than 0|did you mean 'sigmoid'"):
        Dpo(**settings)


def test_pairs_leave_out_equal_empty_repeated_and_cut_answers():
    class Model:
        def generate(self, prompts, sampling):
            texts = [("good", "stop"), ("bad", "stop"), ("bad", "stop"), (" ", "stop"),
                     ("cut", "length")]  # fmt: skip
            return [[Generated(t, (1,), None, f) for t, f in texts] for _ in prompts]

    rows = [Example(id="r", prompt="p", response="good")]
    pairs, dropped = make_pairs(Model(), rows, Sampling(n=5))
    assert [(p.id, p.chosen, p.rejected) for p in pairs] == [("r#1", "good", "bad")]
    assert dropped == {
        "answer equals the real response": 1,
        "answer drawn twice": 1,
        "empty answer": 1,
        "answer cut off": 1,
    }
    kept, _ = make_pairs(Model(), rows, Sampling(n=5), unfinished="keep")
    assert [p.rejected for p in kept] == ["bad", "cut"]


def _never(*args, **kwargs):
    raise RuntimeError("asked again")


def _referenced(model, items):
    table = reference_sums(model, [r for i in items for r in (i.chosen, i.rejected)])
    return [
        DpoItem(i.id, i.chosen, i.rejected, float(c), float(r))
        for i, (c, r) in zip(items, table.reshape(-1, 2), strict=True)
    ]
