"""NF4 tensors: codes by hand, odd sizes, ties, errors, and one set of bits from every way back."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.align import nf4_backends as ways
from togi.align.nf4 import (
    BLOCKSIZES,
    Quantised,
    bits_per_parameter,
    dequantise,
    packed_bytes,
    quantise,
    relative_error,
)
from togi.align.nf4_codebooks import CODEBOOKS, NF4, dynamic_map, grid, levels, normal_float
from togi.errors import DataError, SurroundingsError, UsageError

CPU = torch.device("cpu")
WAYS = [name for name, way in ways.BACKENDS.items() if not way.missing(CPU) and way.cheap(CPU)]


def normal(*shape, seed=0, size=1.0):
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def nibbles(packed):
    codes = packed.codes.view(-1)
    return torch.stack([codes >> 4, codes & 15], 1).view(-1)[: packed.n].tolist()


def test_codes_by_hand():
    # absmax 2: -2 is level 0, 2 is 15, 0 is 7; 0.5/2 = 0.25 lies next to 0.246 (level 10),
    # -1/2 next to -0.525 (level 2).
    packed = quantise(torch.tensor([-2.0, 2.0, 0.0, 0.5, -1.0]), double=False)
    assert nibbles(packed) == [0, 15, 7, 10, 2]
    assert [f"{byte:02x}" for byte in packed.codes.view(-1).tolist()] == ["0f", "7a", "27"]
    assert packed.codes.shape == (3, 1)
    assert packed.absmax.tolist() == [2.0]
    expected = [-2.0, 2.0, 0.0, 2 * NF4[10], 2 * NF4[2]]
    assert dequantise(packed).tolist() == pytest.approx(expected)


def test_the_first_value_is_in_the_high_half():
    assert quantise(torch.tensor([1.0, -1.0]), double=False).codes.item() == 0xF0


@pytest.mark.parametrize("kind", CODEBOOKS)
def test_each_level_keeps_its_value_and_ties_go_to_the_lower(kind):
    table = levels(kind, CPU)
    assert torch.equal(dequantise(quantise(table, double=False, kind=kind)), table)
    ordered = table.unique()
    middles = (ordered[:-1] + ordered[1:]) / 2
    above = torch.nextafter(middles, torch.tensor(2.0))
    for values, meant in ((middles, ordered[:-1]), (above, ordered[1:])):
        found = dequantise(quantise(torch.cat([values, torch.ones(1)]), double=False, kind=kind))
        assert torch.equal(found[:-1], meant)


@pytest.mark.parametrize("kind", CODEBOOKS)
def test_the_grid_finds_what_a_search_finds(kind):
    values = torch.linspace(-1, 1, 200_003)
    ordered, order = levels(kind, CPU).sort(stable=True)
    searched = torch.bucketize(values, (ordered[:-1] + ordered[1:]) / 2)
    assert torch.equal(grid(kind, CPU).place(values), order[searched].to(torch.uint8))


def test_the_codebook_is_the_normal_quantiles():
    assert normal_float() == pytest.approx(NF4, abs=1.1e-7)
    assert sorted(NF4) == list(NF4)
    assert 0.0 in NF4


def test_the_map_of_scales_has_256_values_of_seven_decades():
    table = dynamic_map(CPU)
    assert len(table.unique()) == 256
    assert 0.0 in table
    assert table[-1] == 1
    assert sum((table > 0.1).tolist()) == 65  # the uppermost decade has 64 values, and 1


def test_zeros_stay_zeros_and_the_scale_is_kept():
    packed = quantise(torch.zeros(128), double=False)
    assert nibbles(packed) == [7] * 128
    assert packed.absmax.tolist() == [0.0, 0.0]
    for double in (False, True):
        assert not dequantise(quantise(torch.zeros(3, 50), double=double)).any()


@pytest.mark.parametrize(
    "shape", [(1,), (3,), (63,), (65,), (129, 1), (3, 7, 5), (2, 64), (577, 3)]
)
@pytest.mark.parametrize("blocksize", [32, 64, 4096])
@pytest.mark.parametrize("double", [False, True])
def test_any_size_comes_back_block_by_block(shape, blocksize, double):
    weights = normal(*shape)
    packed = quantise(weights, blocksize=blocksize, double=double)
    sizes = packed_bytes(weights.numel(), blocksize, double)
    parts = [packed.codes, packed.absmax, packed.nested, packed.offset]
    counted = [0 if part is None else part.nbytes for part in parts]
    assert (counted[0], counted[1], counted[2] + counted[3]) == sizes
    back = dequantise(packed)
    assert back.shape == weights.shape
    blocks = list(
        zip(weights.view(-1).split(blocksize), back.view(-1).split(blocksize), strict=True)
    )
    for number, (before, after) in enumerate(blocks):
        top = before.abs().max()
        slack = 0 if not double else 0.02 * packed.scales().max()
        assert (before - after).abs().max() <= 0.1520 * top + slack, number  # half the widest gap


def test_blocks_do_not_see_each_other():
    weights = normal(4, 64)
    alone = torch.cat([quantise(row, double=False).codes for row in weights])
    assert torch.equal(quantise(weights, double=False).codes, alone)


@given(
    st.integers(1, 300),
    st.integers(0, 99),
    st.floats(1e-6, 1e6),
    st.sampled_from(BLOCKSIZES[:3]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_quantising_what_was_quantised_changes_nothing(n, seed, size, blocksize, double):
    once = quantise(normal(n, seed=seed, size=size), blocksize=blocksize, double=double)
    again = quantise(dequantise(once), blocksize=blocksize, double=False)
    assert torch.equal(dequantise(again), dequantise(once))


def test_signs_turn_with_the_weights_where_the_codebook_is_even():
    weights = normal(64, 8)
    for kind in ("int4", "fp4"):
        there = dequantise(quantise(weights, double=False, kind=kind))
        assert torch.equal(dequantise(quantise(-weights, double=False, kind=kind)), -there)


def test_nf4_errs_least_then_int4_then_fp4():
    weights = normal(2048, 64)
    error = {kind: relative_error(weights, quantise(weights, kind=kind)) for kind in CODEBOOKS}
    assert error["nf4"] < error["int4"] < error["fp4"]
    assert error["nf4"] == pytest.approx(0.0085, abs=1e-4)
    sizes = [relative_error(weights, quantise(weights, blocksize=b)) for b in BLOCKSIZES]
    assert sizes == sorted(sizes)


@pytest.mark.model
def test_the_order_of_the_errors_holds_on_a_real_model():
    from safetensors import safe_open

    from togi.lm.catalogue import resolve

    (file,) = resolve("smollm2-135m", offline=True).glob("*.safetensors")
    with safe_open(file, "pt") as tensors:
        for layer, part in ((0, "self_attn.q_proj"), (15, "mlp.up_proj"), (29, "mlp.down_proj")):
            weights = tensors.get_tensor(f"model.layers.{layer}.{part}.weight")
            errors = [relative_error(weights, quantise(weights, kind=k)) for k in CODEBOOKS]
            nf4, fp4, int4 = errors
            assert nf4 < int4 < fp4


def test_bits_per_parameter():
    assert bits_per_parameter() == 4 + 8 / 64 + 32 / (64 * 256)
    assert bits_per_parameter(double=False) == 4.5
    packed = quantise(normal(1536, 576))
    assert packed.bits_per_parameter == pytest.approx(bits_per_parameter(), abs=1e-3)


def test_doubled_scales_stay_near_the_scales():
    weights = normal(512, 512)
    single, double = quantise(weights, double=False), quantise(weights)
    assert torch.equal(single.codes, double.codes)
    gap = (double.scales() - single.scales()).abs()
    assert gap.max() <= 0.01 * single.scales().max()
    lost = relative_error(weights, double) / relative_error(weights, single)
    assert 1 <= lost < 1.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_values_are_rounded_once(dtype):
    packed = quantise(normal(64, 70))
    wide = (levels("nf4", CPU)[nibbles(packed)].view(-1, 64) * packed.scales()[:, None]).view(
        64, 70
    )
    assert torch.equal(dequantise(packed, dtype), wide.to(dtype))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_every_way_back_gives_the_same_bits(name, dtype):
    way = ways.backend(name)
    for shape in ((96, 70), (5, 13), (1,), (10, 96), (3, 4096)):
        for kind in CODEBOOKS:
            for options in ({}, {"double": False}, {"blocksize": 4096}, {"blocksize": 32}):
                packed = quantise(normal(*shape), kind=kind, **options)
                assert torch.equal(way(packed, dtype), dequantise(packed, dtype))


@pytest.mark.skipif(bool(ways.BACKENDS["compiled"].missing(CPU)), reason="no compiler here")
@pytest.mark.filterwarnings("ignore")
def test_compiled_gives_the_same_bits():
    way = ways.backend("compiled")
    for shape in ((96, 70), (5, 13)):
        packed = quantise(normal(*shape))
        for dtype in (torch.float32, torch.bfloat16):
            assert torch.equal(way(packed, dtype), dequantise(packed, dtype))


@pytest.fixture
def fresh_choice(monkeypatch):
    monkeypatch.setattr(ways, "_chosen", {})


def test_the_fastest_is_said_and_used(fresh_choice):
    said = []
    best = ways.choose(say=said.append)
    assert best in WAYS
    assert f"restored by {best}" in said[0]
    assert all(name in said[0] for name in WAYS)
    assert ways.choose(say=said.append) == best
    assert len(said) == 1
    packed = quantise(normal(9, 70))
    assert torch.equal(ways.restore(packed, torch.bfloat16), dequantise(packed, torch.bfloat16))


def test_a_way_with_other_values_is_left_out(fresh_choice, monkeypatch):
    wrong = ways.Backend(lambda: lambda packed, dtype: dequantise(packed, dtype) + 1, lambda d: "")
    monkeypatch.setattr(ways, "BACKENDS", {"torch": ways.BACKENDS["torch"], "wrong": wrong})
    monkeypatch.setattr(ways, "backend", lambda name: ways.BACKENDS[name].make())
    said = []
    assert ways.fastest(CPU, say=said.append) == "torch"
    assert said[0] == "nf4: wrong gives other values on this machine and is left out"


def test_a_way_is_chosen_by_name_or_refused(fresh_choice):
    assert ways.choose("torch", say=lambda line: None) == "torch"
    with pytest.raises(UsageError, match=r"no such way to dequantise.*did you mean 'numba'"):
        ways.choose("nomba")
    with pytest.raises(SurroundingsError, match=r"it runs on the processor only"):
        ways.choose("numba", "meta")


def test_wrong_input_is_told():
    with pytest.raises(
        UsageError, match=r"w: not a block size. Found: 48. Expected: one of 32, 64"
    ):
        quantise(normal(8), blocksize=48, name="w")
    with pytest.raises(UsageError, match=r"no such codebook.*did you mean 'nf4'"):
        quantise(normal(8), kind="nf5")
    with pytest.raises(
        UsageError, match=r"only floating-point weights.*Found: uint8.*packed already"
    ):
        quantise(torch.zeros(8, dtype=torch.uint8))
    with pytest.raises(DataError, match=r"nothing to quantise"):
        quantise(torch.empty(0, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 99])  # in a whole block, and in the last partial one
def test_weights_that_are_not_finite_are_refused_by_name(bad, place):
    weights = normal(100)
    weights[place] = bad
    with pytest.raises(DataError, match=r"layers.3.up_proj: .* values that are not finite"):
        quantise(weights, name="layers.3.up_proj")


def test_a_record_moves_whole():
    packed = quantise(normal(10, 70))
    there = packed.to(torch.device("meta"))
    parts = (there.codes, there.absmax, there.nested, there.offset)
    assert all(part is not None and part.is_meta for part in parts)
    assert replace(there, codes=packed.codes).n == packed.n
    assert isinstance(there, Quantised)
