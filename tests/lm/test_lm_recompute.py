"""Recomputed layers: the same losses and gradients, and less held in between."""

import copy

import pytest
import torch

from togi.align.lora import Lora, add_lora
from togi.errors import SurroundingsError
from togi.lm.forward import Request, answer_scores
from togi.lm.recompute import recompute_layers

REQUESTS = [Request(tuple(range(3, 30)), 5), Request((*range(3, 12), *range(40, 55)), 9)]


def held_and_gradients(model, on):
    """Bytes that autograd keeps for one loss, and the adapter's gradients."""
    seen = {}
    recompute_layers(model, on)
    model.train()

    def keep(tensor):
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = -answer_scores(model, REQUESTS).tokens.logprobs.sum()
    loss.backward()
    grads = {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}
    model.zero_grad()
    model.eval()
    return sum(seen.values()), loss.item(), grads


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_recomputed_gradients_are_the_same_and_less_is_held(family, request):
    model = copy.deepcopy(request.getfixturevalue(family))
    add_lora(model, Lora(rank=4, dropout=0.1), seed=1)
    torch.manual_seed(0)
    plain = held_and_gradients(model, on=False)
    torch.manual_seed(0)
    again = held_and_gradients(model, on=True)
    assert again[0] < plain[0]
    assert again[1] == plain[1]
    assert len(plain[2]) > 10
    assert all(torch.equal(again[2][name], g) for name, g in plain[2].items())


def test_a_family_that_cannot_is_told():
    with pytest.raises(SurroundingsError, match="cannot recompute its layers"):
        recompute_layers(torch.nn.Linear(2, 2))
