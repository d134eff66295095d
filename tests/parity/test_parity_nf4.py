"""Parity with bitsandbytes: the same bytes and values, folders and adapters that load both ways."""

import pytest
import torch
from torch import nn

bnb = pytest.importorskip("bitsandbytes")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
functional = bnb.functional

from togi.align import nf4_backends as ways  # noqa: E402
from togi.align.lora import Lora, add_lora, load_adapter, lora_layers, save_adapter  # noqa: E402
from togi.align.nf4 import NESTED, dequantise, quantise  # noqa: E402
from togi.align.nf4_codebooks import dynamic_map, levels  # noqa: E402
from togi.align.nf4_files import layer_tensors, save_nf4  # noqa: E402
from togi.align.nf4_layer import Nf4Linear  # noqa: E402
from togi.align.nf4_model import Nf4  # noqa: E402
from togi.align.nf4_open import open_nf4  # noqa: E402

CPU = torch.device("cpu")
SHAPES = [(1536, 576), (4, 64), (5, 13), (1,), (3, 7, 5), (129, 130), (70, 96), (64, 4096)]
TYPES = [torch.float32, torch.bfloat16, torch.float16]
IDS = torch.arange(24).view(2, 12) * 5 % 64


def normal(*shape, seed=0, size=0.05):
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def theirs(weights, blocksize=64, double=False, kind="nf4"):
    return functional.quantize_4bit(
        weights, blocksize=blocksize, compress_statistics=double, quant_type=kind
    )


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_the_codebooks_are_theirs(kind):
    assert torch.equal(levels(kind, CPU), functional.get_4bit_type(kind, "cpu"))
    assert torch.equal(dynamic_map(CPU), functional.create_dynamic_map())


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("blocksize", [32, 64, 256, 4096])
@pytest.mark.parametrize("dtype", TYPES)
def test_packed_bytes_and_scales_are_theirs(kind, blocksize, dtype):
    for shape in SHAPES:
        weights = normal(*shape).to(dtype)
        weights.view(-1)[:100] = 0  # whole blocks of zeros too
        for double in (False, True):
            codes, state = theirs(weights, blocksize, double, kind)
            ours = quantise(weights, blocksize=blocksize, double=double, kind=kind)
            assert torch.equal(ours.codes, codes), shape
            assert torch.equal(ours.absmax, state.absmax), shape
            if double:
                assert torch.equal(ours.nested, state.state2.absmax)
                assert torch.equal(ours.offset, state.offset)


def test_ties_are_theirs():
    table = levels("nf4", CPU)
    middles = (table[:-1] + table[1:]) / 2
    near = [torch.nextafter(middles, torch.full_like(middles, end)) for end in (-2.0, 2.0)]
    values = torch.cat([middles, *near, torch.ones(19)])  # 64 of them, the largest is 1
    assert torch.equal(quantise(values, double=False).codes, theirs(values)[0])


def test_codes_of_scales_are_theirs_over_many_sizes():
    for seed, size in enumerate((1e-6, 0.01, 1.0, 300.0)):
        scales = normal(NESTED * 50 + 17, seed=seed, size=size).abs()
        weights = torch.zeros(len(scales), 64)
        weights[:, 0] = scales
        codes, state = theirs(weights, double=True)
        ours = quantise(weights)
        assert torch.equal(ours.codes, codes)
        assert torch.equal(ours.absmax, state.absmax)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("double", [False, True])
def test_values_are_theirs(dtype, double):
    for shape in [(1536, 576), (64, 4096), (5, 13), (128, 64)]:
        weights = normal(*shape).to(dtype)
        codes, state = theirs(weights, double=double)
        expected = functional.dequantize_4bit(codes, state)
        assert torch.equal(dequantise(quantise(weights, double=double), dtype), expected)


@pytest.mark.parametrize("dtype", [*TYPES, torch.float64])
def test_their_kernels_behind_our_door_give_the_references_bits(dtype):
    way = ways.backend("bitsandbytes")
    for shape in [*SHAPES, (10, 96), (7, 32)]:
        for options in (
            {},
            {"double": False},
            {"blocksize": 32},
            {"kind": "fp4"},
            {"kind": "int4"},
        ):
            packed = quantise(normal(*shape), **options)
            assert torch.equal(way(packed, dtype), dequantise(packed, dtype)), (shape, options)


def test_they_are_raced():
    said = []
    ways.fastest(CPU, say=said.append)
    assert "bitsandbytes" in said[-1]


def test_rows_that_are_no_whole_blocks_are_why_they_are_asked_for_blocks():
    """Fails once bitsandbytes counts blocks over the whole tensor; the detour can go then."""
    weights = normal(10, 96)
    codes, state = theirs(weights)
    ours = dequantise(quantise(weights, double=False))
    off = (functional.dequantize_4bit(codes, state) - ours).abs().max()
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("only their AVX-512 kernel counts by rows")
    assert off > 0.01


@pytest.mark.parametrize("double", [False, True])
def test_a_layer_computes_and_is_stored_as_theirs(double):
    dense = nn.Linear(96, 64).requires_grad_(False)
    layer = bnb.nn.Linear4bit(96, 64, quant_type="nf4", compress_statistics=double)
    layer.load_state_dict(dense.state_dict())
    layer = layer.to("cpu")
    ours = Nf4Linear.of(dense, double=double)
    state = {n: t for n, t in layer.state_dict(prefix="p.").items() if n != "p.bias"}
    written = layer_tensors("p", ours)
    assert written.keys() == state.keys()
    assert {n for n in state if not torch.equal(written[n], state[n])} == set()


def llama(**sizes):
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, **sizes,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config).eval()


def gpt2():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=64, n_embd=64, n_layer=2, n_head=4, n_positions=32, bos_token_id=0,
        eos_token_id=1, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def tokenizer():
    from tokenizers import Tokenizer, models

    words = Tokenizer(models.WordLevel({str(i): i for i in range(64)}, unk_token="0"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="0", eos_token="1"
    )


def opened(folder, **settings):
    options = Nf4(dequantiser="torch", **settings)
    return open_nf4(folder, options, dtype="float32", say=lambda line: None)


def logits(model):
    attention = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            return model.train()(input_ids=IDS).logits  # training: no packing of its own for CPUs
    finally:
        model.eval().set_attn_implementation(attention)


def saved(make, folder):
    make().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("make", [llama, lambda: llama(tie_word_embeddings=True), gpt2])
def test_transformers_loads_our_packed_folder(make, double, tmp_path):
    ours = opened(saved(make, tmp_path / "dense"), double=double)
    save_nf4(ours, tmp_path / "packed")
    other = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "packed", dtype=torch.float32, device_map="cpu"
    )
    kinds = [m for m in other.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert len(kinds) == (8 if make is gpt2 else 14)
    torch.testing.assert_close(logits(other), logits(ours.model), rtol=0, atol=1e-5)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("make", [llama, gpt2])
def test_we_open_what_transformers_packed_and_saved(make, double, tmp_path):
    saved(make, tmp_path / "dense")
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    other = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "dense", quantization_config=config, dtype=torch.float32, device_map="cpu"
    )
    other.save_pretrained(tmp_path / "packed")
    tokenizer().save_pretrained(tmp_path / "packed")
    ours = opened(tmp_path / "packed")
    torch.testing.assert_close(logits(ours.model), logits(other), rtol=0, atol=1e-5)
    straight = opened(tmp_path / "dense", double=double)
    assert torch.equal(logits(straight.model), logits(ours.model))


def stir(model):
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.05 * torch.randn(weight.shape, generator=draw))
    return model


@pytest.mark.parametrize("make", [llama, gpt2])
def test_an_adapter_of_a_packed_base_loads_in_peft(make, tmp_path):
    ours = opened(saved(make, tmp_path / "dense"))
    save_nf4(ours, tmp_path / "packed")
    add_lora(ours.model, Lora(rank=4), seed=1)
    stir(ours.model)
    save_adapter(ours.model, tmp_path / "adapter", "tiny")
    base = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "packed", dtype=torch.float32, device_map="cpu"
    )
    plain = logits(base)
    other = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    count = sum("lora_A" in name for name, _ in other.named_parameters())
    assert count == len(lora_layers(ours.model))
    found = logits(other.base_model.model)
    torch.testing.assert_close(found, logits(ours.model), rtol=0, atol=1e-5)
    assert (found - plain).abs().max() > 1e-2


def test_an_adapter_that_peft_trained_on_their_base_loads_on_ours(tmp_path):
    saved(llama, tmp_path / "dense")
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    base = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "dense", quantization_config=config, dtype=torch.float32, device_map="cpu"
    )
    lora = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    other = stir(peft.get_peft_model(base, lora))
    other.save_pretrained(tmp_path / "adapter")
    ours = opened(tmp_path / "dense")
    load_adapter(ours.model, tmp_path / "adapter")
    torch.testing.assert_close(
        logits(ours.model), logits(other.base_model.model), rtol=0, atol=1e-5
    )
