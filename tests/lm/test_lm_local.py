"""The engine on saved models: scores of plain transformers, answers, fingerprints, families."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from saved_toys import CHATML, VOCABULARY, llama, quiet, save

from togi.errors import DataError, SurroundingsError, UsageError
from togi.lm.base import LanguageModel, Sampling
from togi.lm.forward import Request
from togi.lm.local import LocalModel, load_local
from togi.rows.types import Message

TALK = (Message("system", "Be brief."), Message("user", "What is the number of users?"))
CASES = [
    ("the number of", " users is 7"),
    (TALK, "It is the number 7."),
    ("", "of the system"),
    ("the number of", " systems"),
    (TALK, "The system is of the number."),
    ("the number of", " users is 7"),
    (TALK[1:], "It is the number 7."),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(folder):
    return load_local(folder, dtype="float32", say=quiet)


@pytest.fixture(scope="module")
def plain(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def ids_of(model, context, continuation):
    """Render without togi: the chat template for a conversation, BOS for nothing."""
    tokenizer = model.tokenizer
    if isinstance(context, str):
        before = tokenizer(context)["input_ids"] if context else [tokenizer.bos_token_id]
        return before, before + tokenizer(continuation)["input_ids"]
    talk = [{"role": m.role, "content": m.content} for m in context]
    before = tokenizer.apply_chat_template(talk, add_generation_prompt=True)["input_ids"]
    answer = {"role": "assistant", "content": continuation}
    whole = tokenizer.apply_chat_template([*talk, answer], tokenize=False)
    return before, tokenizer(whole.removesuffix("\n"))["input_ids"]


@torch.no_grad()
def by_hand(plain, before, whole):
    logprobs = plain(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    wanted = torch.tensor(whole[len(before) :])
    rows = logprobs[len(before) - 1 : -1]
    return rows.gather(1, wanted[:, None])[:, 0].numpy(), bool((rows.argmax(-1) == wanted).all())


def test_scores_are_those_of_plain_transformers_in_the_order_asked(model, plain):
    assert isinstance(model, LanguageModel)
    scores = model.score(*zip(*CASES, strict=True))
    assert len(scores) == len(CASES)
    for (context, continuation), scored in zip(CASES, scores, strict=True):
        before, whole = ids_of(model, context, continuation)
        expected, greedy = by_hand(plain, before, whole)
        assert scored.token_ids == tuple(whole[len(before) :])
        np.testing.assert_allclose(scored.logprobs, expected, rtol=0, atol=2e-5)
        assert scored.total == pytest.approx(expected.sum(), abs=1e-4)
        assert scored.greedy == greedy


def test_the_end_of_the_assistants_turn_is_scored(model):
    (told,) = model.score([TALK], ["7"])
    (bare,) = model.score(["of"], ["7"])
    assert told.token_ids[-1] == model.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert len(told.token_ids) == len(bare.token_ids) + 1


@pytest.mark.parametrize("budget", [1, 50, 100_000])
def test_one_result_for_each_request_whatever_the_packs(model, monkeypatch, budget):
    many = [(f"{'the number of ' * (i % 5)}the", f" user{' of' * (i % 3)}") for i in range(30)]
    expected = [s.total for c, a in many for s in model.score([c], [a])]
    monkeypatch.setattr("togi.lm.local.PACK_TOKENS", budget)
    found = model.score(*zip(*many, strict=True))
    assert [s.total for s in found] == pytest.approx(expected, abs=1e-4)


def test_what_transformers_would_choose_is_greedy(model, plain):
    before = ids_of(model, TALK, "x")[0]
    answer = plain.generate(
        torch.tensor([before]), attention_mask=torch.ones(1, len(before), dtype=torch.long),
        max_new_tokens=12, do_sample=False, eos_token_id=None,
    )[0, len(before) :].tolist()  # fmt: skip
    other = [*answer[:-1], (answer[-1] + 1) % VOCABULARY]
    requests = [Request((*before, *ids), len(before)) for ids in (answer, other)]
    assert [s.greedy for s in model.score_requests(requests)] == [True, False]
    ((drawn,),) = model.generate([TALK], Sampling(temperature=0, max_tokens=12))
    assert drawn.token_ids == tuple(answer)
    assert drawn.text == model.tokenizer.decode(answer, skip_special_tokens=True)


def test_an_empty_batch_gives_nothing(model):
    assert model.score([], []) == []
    assert model.generate([], Sampling()) == []


def test_an_empty_continuation_is_refused(model):
    with pytest.raises((UsageError, DataError)):
        model.score([""], [""])
    with pytest.raises((UsageError, DataError)):
        model.score(["the"], [""])


def test_generated_answers_score_as_they_were_drawn(model):
    rows = model.generate([TALK, "the user"], Sampling(n=3, max_tokens=10, seed=5))
    for prompt, answers in zip([TALK, "the user"], rows, strict=True):
        before = model.renderer.prompt_ids(prompt)
        requests = [Request((*before, *a.token_ids), len(before)) for a in answers]
        for answer, scored in zip(answers, model.score_requests(requests), strict=True):
            np.testing.assert_allclose(answer.logprobs, scored.logprobs, rtol=0, atol=1e-4)
    again = model.generate(["the user", TALK], Sampling(n=3, max_tokens=10, seed=5))
    assert [[a.token_ids for a in r] for r in again[::-1]] == [
        [a.token_ids for a in r] for r in rows
    ]


def test_an_answer_ends_with_its_turn_even_where_the_model_names_another_end(folder, tmp_path):
    """Many base models end a text with one token and a turn of their template with another."""
    other = save(llama(), tmp_path / "base")
    tokenizer = transformers.AutoTokenizer.from_pretrained(other)
    tokenizer.eos_token = "<s>"
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.save_pretrained(other)
    (other / "generation_config.json").write_text('{"eos_token_id": 0}')
    model = load_local(other, dtype="float32", say=quiet)
    assert model.stop_ids == {0}
    with torch.no_grad():
        model.model.lm_head.weight[1] = 5 * model.model.lm_head.weight.abs().max()
        model.model.lm_head.weight[1] *= torch.sign(_last_state(model, TALK))
    ((answer,),) = model.generate([TALK], Sampling(temperature=0, max_tokens=5))
    assert answer.token_ids == (1,)
    assert answer.finish == "stop"


def _last_state(model, prompt):
    from togi.lm import attention
    from togi.lm.forward import hidden_states
    from togi.lm.tree import build

    tree = build([model.renderer.prompt_ids(prompt)])
    return hidden_states(model.model, attention.pack(tree, torch.device("cpu")))[-1]


def test_texts_beyond_the_models_positions_are_refused_and_answers_end_there(tmp_path):
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2, n_positions=20, bos_token_id=0,
        eos_token_id=1,
    )  # fmt: skip
    folder = save(transformers.GPT2LMHeadModel(config), tmp_path / "short", template=None)
    model = load_local(folder, dtype="float32", say=quiet)
    (scored,) = model.score(["a" * 10], ["b" * 11])
    assert len(scored.token_ids) == 11
    with pytest.raises(DataError, match=r"longer than the model can read. Found: 21 tokens"):
        model.score(["a" * 10], ["b" * 12])
    with pytest.raises(DataError, match="Found: 21 tokens"):
        model.generate(["a" * 21], Sampling())
    answers = model.generate(["a" * 10, "ab"], Sampling(max_tokens=50, seed=1, n=2))
    for prompt, row in zip([10, 2], answers, strict=True):
        for answer in row:
            ended = answer.finish == "stop"
            assert len(answer.token_ids) == 21 - prompt or ended
    assert {a.finish for row in answers for a in row} >= {"length"}


def test_a_conversation_needs_a_template(tmp_path):
    folder = save(llama(), tmp_path / "base", template=None)
    model = load_local(folder, dtype="float32", say=quiet)
    assert model.score(["the"], [" user"])[0].total < 0
    with pytest.raises(DataError, match="no chat template"):
        model.generate([TALK], Sampling())


def test_the_fingerprint_tells_weights_dtypes_and_templates_apart(folder, tmp_path):
    def fingerprint(path, dtype="float32"):
        return load_local(path, dtype=dtype, say=quiet).fingerprint

    same = save(llama(), tmp_path / "same")
    weights = save(llama(seed=1), tmp_path / "weights")
    template = save(llama(), tmp_path / "template", CHATML.replace("\n{% endfor", "{% endfor"))
    assert fingerprint(folder) == fingerprint(same)
    kinds = [fingerprint(p) for p in (folder, weights, template)]
    kinds += [fingerprint(folder, "bfloat16"), fingerprint(folder, "float64")]
    assert len(set(kinds)) == 5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_dtypes_are_as_asked_and_said(folder, dtype):
    said = []
    model = load_local(folder, dtype=dtype, name="toy", say=said.append)
    assert model.model.dtype == getattr(torch, dtype)
    assert any(f"model toy: {model.model.device}, {dtype} (as asked)" in line for line in said)
    assert not any(p.requires_grad for p in model.model.parameters())


def test_auto_takes_a_dtype_and_says_why(folder):
    said = []
    model = load_local(folder, say=said.append)
    assert model.model.dtype in (torch.float32, torch.bfloat16)
    assert model.name == folder.name
    assert any("bfloat16" in line for line in said)


def test_an_unknown_dtype_is_refused(folder):
    with pytest.raises(UsageError, match="dtype must be auto, bfloat16, float32 or float64"):
        load_local(folder, dtype="float16", say=quiet)


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json"])
def test_a_folder_with_something_missing_is_refused(tmp_path, lost):
    folder = save(llama(), tmp_path / "broken")
    (folder / lost).unlink()
    with pytest.raises(SurroundingsError, match="could not be loaded") as caught:
        load_local(folder, dtype="float32", say=quiet)
    assert str(folder) in caught.value.where


SHAPE = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 1,
    "pad_token_id": 0, "initializer_range": 0.1,
}  # fmt: skip
GROUPED = {**SHAPE, "num_key_value_heads": 2}
GPT = {
    "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256,
    "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.1,
}  # fmt: skip
WORK = {
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 8},
    "qwen3_moe": {
        **GROUPED, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
    },
    "mistral": GROUPED,
    "gpt_neox": SHAPE,
    "phi": SHAPE,
    "phi3": GROUPED,
    "gemma": {**GROUPED, "head_dim": 8},
    "gemma3_text": {**GROUPED, "head_dim": 8},
    "olmo2": GROUPED,
    "smollm3": GROUPED,
    "opt": {
        "vocab_size": VOCABULARY, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 256, "word_embed_proj_dim": 32,
        "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, "init_std": 0.1,
    },
    "gpt2": GPT,
    "gpt_bigcode": GPT,
}  # fmt: skip
REFUSED = {
    "granite": ({**GROUPED, "logits_scaling": 8.0}, "gives other answers"),
    "cohere": ({**GROUPED, "logit_scale": 0.0625}, "gives other answers"),
    # A convolution over neighbouring rows, and a recurrence: right on one sequence, not on a tree.
    "lfm2": (
        {**GROUPED, "layer_types": ["conv", "full_attention"], "block_ff_dim": 48},
        "gives other answers",
    ),
    "qwen3_next": (
        {
            **GROUPED, "head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
            "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16, "linear_num_value_heads": 4,
            "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        },
        "gives other answers",
    ),
    "gemma2": ({**GROUPED, "head_dim": 8}, "soft-capped"),
    "gpt_oss": (
        {**GROUPED, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
        "attention sinks",
    ),
    "deepseek_v3": (
        {
            **SHAPE, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16,
            "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4,
            "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16,
            "first_k_dense_replace": 1,
        },
        "another width than keys",
    ),
    "bloom": (GPT, "does not use transformers' attention registry"),
    "gptj": ({**GPT, "rotary_dim": 4}, "does not use transformers' attention registry"),
    "stablelm": (GROUPED, "does not hand on"),
    "mpt": (
        {"vocab_size": VOCABULARY, "d_model": 32, "n_layers": 2, "n_heads": 4},
        "does not run through togi's token tree",
    ),
    "mamba": (
        {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
        "does not use transformers' attention registry",
    ),
}  # fmt: skip


def _family(name, settings, folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(name, **settings)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    return save(model, folder)


@pytest.mark.parametrize("name", WORK)
def test_these_families_work_unchanged(tmp_path, name):
    folder = _family(name, WORK[name], tmp_path / name)
    model = load_local(folder, dtype="float32", say=quiet)
    own = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    scores = model.score(*zip(*CASES, strict=True))
    for (context, continuation), scored in zip(CASES, scores, strict=True):
        expected, _ = by_hand(own, *ids_of(model, context, continuation))
        np.testing.assert_allclose(scored.logprobs, expected, rtol=0, atol=1e-4)
    prompts = ["the number", TALK, "of"]
    answers = model.generate(prompts, Sampling(temperature=0, max_tokens=6))
    for prompt, (answer,) in zip(prompts, answers, strict=True):
        before = list(ids_of(model, prompt, "x")[0])
        assert list(answer.token_ids) == _greedy(own, before, model.stop_ids)


@torch.no_grad()
def _greedy(own, ids, ends):
    """Choose the most probable token six times, the whole text read anew each time."""
    made = []
    while len(made) < 6 and not (made and made[-1] in ends):
        made.append(int(own(torch.tensor([ids + made]), use_cache=False).logits[0, -1].argmax()))
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_these_families_are_refused_and_the_reason_is_told(tmp_path, name):
    settings, reason = REFUSED[name]
    folder = _family(name, settings, tmp_path / name)
    with pytest.raises(SurroundingsError, match=reason) as caught:
        load_local(folder, dtype="float32", say=quiet)
    assert "endpoint" in caught.value.hint


def test_a_window_that_only_the_mask_knows_is_refused(tmp_path):
    settings = {
        **GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16, "use_sliding_window": True, "sliding_window": 16,
        "max_window_layers": 0,
    }  # fmt: skip
    folder = _family("qwen2_moe", settings, tmp_path / "windowed")
    model = load_local(folder, dtype="float32", say=quiet)
    assert len(model.score(["abc"], ["def"])) == 1
    with pytest.raises(SurroundingsError, match="a sliding window of 16 over 19 tokens"):
        model.score(["xyz" * 4], ["zyx" * 2 + "xx"])


def test_a_model_made_by_hand_is_known_by_its_name(plain, folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    one, other = (LocalModel(plain, tokenizer, name=name) for name in ("one", "other"))
    assert one.fingerprint != other.fingerprint
