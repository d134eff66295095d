"""The NF4 layer: equal to a dense one with the restored weights, forward and back, and frozen."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from togi.align.lora_layer import LoraLinear, is_linear, sides
from togi.align.nf4 import dequantise
from togi.align.nf4_layer import Nf4Linear


def dense(out=24, into=40, bias=True, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(into, out, bias=bias).requires_grad_(False)


def conv1d(out=24, into=40):
    from transformers.pytorch_utils import Conv1D

    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Conv1D(out, into)
        layer.bias.data.normal_()
        return layer.requires_grad_(False)


def twin(packed):
    """The dense layer that the packed one stands for."""
    layer = nn.Linear(packed.in_features, packed.out_features, bias=packed.bias is not None)
    with torch.no_grad():
        layer.weight.copy_(dequantise(packed.quantised))
        if packed.bias is not None:
            layer.bias.copy_(packed.bias)
    return layer.to(packed.dtype).requires_grad_(False)


def rows(n=7, width=40, dtype=torch.float32):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(4)).to(dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"double": False, "blocksize": 32}, {"kind": "fp4"}])
def test_forward_and_gradient_are_the_dense_twins(bias, dtype, options):
    packed = Nf4Linear.of(dense(bias=bias).to(dtype), **options)
    other = twin(packed)
    x, y = rows(dtype=dtype).requires_grad_(), rows(dtype=dtype).requires_grad_()
    g = torch.randn(7, 24, generator=torch.Generator().manual_seed(5)).to(dtype)
    out, expected = packed(x), other(y)
    assert torch.equal(out, expected)
    out.backward(g)
    expected.backward(g)
    assert torch.equal(x.grad, y.grad)
    assert not torch.equal(out, dense(bias=bias).to(dtype)(x))  # it is quantised, after all


def test_gradients_by_autograds_own_check():
    packed = Nf4Linear.of(dense()).double()
    x = rows(3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(packed, (x,))


def test_a_trained_bias_gets_its_gradient():
    packed = Nf4Linear.of(dense())
    packed.bias.requires_grad_()
    g = rows(7, 24)
    packed(rows()).backward(g)
    assert torch.allclose(packed.bias.grad, g.sum(0))


def test_nothing_of_the_weights_is_a_parameter_or_is_kept_for_the_backward_pass():
    packed = Nf4Linear.of(dense())
    assert [name for name, _ in packed.named_parameters()] == ["bias"]
    assert not packed.bias.requires_grad
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        packed(rows().requires_grad_())
    assert kept == []


@pytest.mark.parametrize("kept_shape", [(2, 3, 40), (40,), (0, 40)])
def test_any_number_of_leading_sides(kept_shape):
    packed = Nf4Linear.of(dense())
    x = torch.ones(kept_shape)
    assert torch.equal(packed(x), F.linear(x, packed.matrix(), packed.bias))


def test_a_conv1d_is_turned():
    layer = conv1d()
    packed = Nf4Linear.of(layer)
    assert packed.conv1d
    assert (packed.out_features, packed.in_features) == sides(layer) == (24, 40)
    turned = dense()
    turned.weight.copy_(layer.weight.t())
    assert torch.equal(packed.codes, Nf4Linear.of(turned).codes)
    assert (packed(rows()) - layer(rows())).abs().max() < 0.05


def test_types_and_devices_change_but_not_the_scales():
    packed = Nf4Linear.of(dense())
    scales = [packed.nested.clone(), packed.offset.clone()]
    assert packed.matrix().dtype == packed.dtype == torch.float32
    wide = packed.matrix()
    packed.bfloat16()
    assert packed.matrix().dtype == packed.dtype == packed.bias.dtype == torch.bfloat16
    assert [packed.nested.dtype, packed.offset.dtype] == [torch.float32] * 2
    packed.float()
    assert torch.equal(packed.matrix(), wide)  # nothing was rounded on the way
    assert torch.equal(packed.nested, scales[0])
    assert torch.equal(packed.offset, scales[1])
    single = Nf4Linear.of(dense(), double=False).half()
    assert single.absmax.dtype == torch.float32
    assert packed.to("meta").codes.is_meta


def test_a_state_dict_holds_the_codes():
    packed, other = Nf4Linear.of(dense()), Nf4Linear.of(dense(seed=1))
    other.load_state_dict(packed.state_dict())
    assert torch.equal(other.matrix(), packed.matrix())


@pytest.mark.parametrize("make", [dense, conv1d])
def test_an_adapter_stands_before_it_as_before_a_dense_layer(make):
    packed = Nf4Linear.of(make())
    assert is_linear(packed)

    def adapted(base):
        draw = torch.Generator().manual_seed(1)
        layer = LoraLinear(base, rank=3, alpha=6, generator=draw)
        with torch.no_grad():
            layer.lora_B.copy_(0.1 * torch.randn(24, 3, generator=draw))
        return layer.train()

    ours, theirs = adapted(packed), adapted(twin(packed))
    x, y = rows().requires_grad_(), rows().requires_grad_()
    out, expected = ours(x), theirs(y)
    assert torch.equal(out, expected)
    g = rows(7, 24)
    out.backward(g)
    expected.backward(g)
    assert torch.equal(x.grad, y.grad)
    assert torch.equal(ours.lora_A.grad, theirs.lora_A.grad)
    assert torch.equal(ours.lora_B.grad, theirs.lora_B.grad)
    assert {n for n, w in ours.named_parameters() if w.requires_grad} == {"lora_A", "lora_B"}


def test_it_tells_what_it_is():
    assert "40, 24, bias=True, nf4, blocksize=64, double" in repr(Nf4Linear.of(dense()))
    assert Nf4Linear.of(dense(), double=False).packing == {
        "kind": "nf4", "blocksize": 64, "double": False,
    }  # fmt: skip
