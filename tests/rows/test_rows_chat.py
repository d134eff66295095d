"""Prompts are exact prefixes, the end of the turn carries loss, and nothing is cut silently."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError, UsageError
from togi.rows.chat import Rendered, Renderer
from togi.rows.types import Dropped, Message

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Llama's: a begin mark, a space before the end mark, no line feeds.
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}"
)
# Phi's: two marks after the answer.
TWO = CHATML.replace("{% if add", "{% if not add_generation_prompt %}<|end|>{% endif %}{% if add")
NONE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}" + (
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TEMPLATES = {"chatml": CHATML, "inst": INST, "two": TWO, "none": NONE}
TALK = (Message("system", "Be kind."), Message("user", "Hi there"))


def tokenizer(template: str | None = CHATML, *, bos: bool = False) -> Any:
    """Train a small byte-level tokenizer; with `bos` it begins and ends plain text itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<|end|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = ["assistant\nassistant\n\nHello there", "user\nHi there", "ab abc"] * 3 + ["\n\n"] * 20
    inner.train_from_iterator(corpus, trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A <|end|>", special_tokens=[("<s>", 0), ("<|end|>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="<|end|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=template,
    )


@pytest.fixture(scope="module")
def chatml() -> Any:
    return tokenizer()


@pytest.fixture(scope="module", params=list(TEMPLATES))
def any_template(request: pytest.FixtureRequest) -> Any:
    return tokenizer(TEMPLATES[request.param])


def talk_of(prompt: tuple[Message, ...], response: str | None = None) -> list[dict[str, str]]:
    turns = [{"role": m.role, "content": m.content} for m in prompt]
    return turns if response is None else [*turns, {"role": "assistant", "content": response}]


def rendered(renderer: Renderer, *args: Any, **options: Any) -> Rendered:
    found = renderer.example(*args, **options)
    assert isinstance(found, Rendered)
    return found


def test_by_hand(chatml: Any) -> None:
    found = rendered(Renderer(chatml), TALK, "Hello")
    before = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi there<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert chatml.decode(found.prompt_ids) == before
    assert chatml.decode(found.answer_ids) == "Hello<|im_end|>"
    assert found.answer_ids[-1] == chatml.convert_tokens_to_ids("<|im_end|>")
    assert found.ids == found.prompt_ids + found.answer_ids
    assert found.mask == (False,) * len(found.prompt_ids) + (True,) * len(found.answer_ids)


def test_ids_are_those_of_apply_chat_template(any_template: Any) -> None:
    found = rendered(Renderer(any_template), TALK[1:], "Hello there")
    apply = any_template.apply_chat_template
    prompt = apply(talk_of(TALK[1:]), add_generation_prompt=True, return_dict=False)
    whole = apply(talk_of(TALK[1:], "Hello there"), return_dict=False)
    assert list(found.prompt_ids) == prompt
    without_end = len(found.ids) - 1
    assert list(found.ids[:without_end]) == whole[:without_end]


@pytest.mark.parametrize(
    ("name", "end", "tail"),
    [
        ("chatml", "<|im_end|>", "Hello<|im_end|>"),
        ("inst", "<|end|>", " Hello <|end|>"),
        ("two", "<|im_end|>", "Hello<|im_end|>"),
        ("none", "<|end|>", "Hello<|end|>"),
    ],
)
def test_end_of_turn_carries_loss_and_is_last(name: str, end: str, tail: str) -> None:
    tok = tokenizer(TEMPLATES[name], bos=True)
    ids = Renderer(tok).answer_ids(TALK[1:], "Hello")
    assert tok.decode(ids) == tail
    assert ids[-1] == tok.convert_tokens_to_ids(end)
    assert ids.count(ids[-1]) == 1


@given(
    st.lists(st.text("abHi \n<|>", min_size=1, max_size=12), min_size=1, max_size=3),
    st.text("abHello \n<>", min_size=1, max_size=16).filter(str.strip),
)
@settings(max_examples=150, deadline=None)
def test_prompt_is_a_prefix_and_text_is_kept(questions: list[str], response: str) -> None:
    tok = _CHATML
    prompt = tuple(Message("user", text) for text in questions)
    renderer = Renderer(tok)
    found = rendered(renderer, prompt, response)
    apply = tok.apply_chat_template
    assert list(found.prompt_ids) == apply(
        talk_of(prompt), add_generation_prompt=True, return_dict=False
    )
    whole = apply(talk_of(prompt, response), tokenize=False)
    assert tok.decode(found.ids) == whole.removesuffix("\n")
    if not renderer.parted:
        assert list(found.ids) == apply(talk_of(prompt, response), return_dict=False)[:-1]


_CHATML = tokenizer()


def test_answer_that_merges_with_the_prompt_is_parted_and_counted(chatml: Any) -> None:
    renderer = Renderer(chatml)
    prompt = (Message("user", "a"),)
    whole = chatml.apply_chat_template(talk_of(prompt, "\nHello"), return_dict=False)
    start = renderer.prompt_ids(prompt)
    assert tuple(whole[: len(start)]) != start  # the tokenizer does merge the two line feeds
    answer = renderer.answer_ids(prompt, "\nHello")
    assert chatml.decode(answer) == "\nHello<|im_end|>"
    assert renderer.parted == 1


def test_many_at_once_equal_one_by_one(chatml: Any) -> None:
    prompts = [TALK, "plain ab", (Message("user", "abc"),), TALK]
    rows = [(str(i), prompts[i % 4], f"answer {i}") for i in range(600)]
    alone = [Renderer(chatml).example(prompt, text) for _, prompt, text in rows[:8]]
    together = list(Renderer(chatml).examples(rows))
    assert together[:8] == alone
    assert len(together) == 600


def test_pair_shares_its_prompt(chatml: Any) -> None:
    renderer = Renderer(chatml)
    found = renderer.pair(TALK, "Hello there", "ab")
    assert isinstance(found, tuple)
    better, worse = found
    assert better.prompt_ids is worse.prompt_ids
    assert better.prompt_ids == renderer.prompt_ids(TALK)
    assert better.answer_ids == renderer.answer_ids(TALK, "Hello there")
    assert worse.answer_ids == renderer.answer_ids(TALK, "ab")
    assert renderer.pair(TALK, "ab", "ab") == Dropped("", "both answers have the same tokens")
    assert renderer.pair(TALK, "ab", " ", id="x") == Dropped("x", "empty answer")
    assert renderer.dropped.total() == 2


def test_plain_text_is_tokenised_apart_with_nothing_added(chatml: Any) -> None:
    found = rendered(Renderer(chatml), "Hi", " there")
    encode = chatml.backend_tokenizer.encode
    assert list(found.prompt_ids) == encode("Hi", add_special_tokens=False).ids
    assert list(found.answer_ids) == encode(" there", add_special_tokens=False).ids
    ended = rendered(Renderer(chatml, end_plain=True), "Hi", " there")
    assert ended.answer_ids == (*found.answer_ids, chatml.eos_token_id)


def test_begin_and_end_marks_stand_once() -> None:
    tok = tokenizer(INST, bos=True)
    assert tok("Hi")["input_ids"][0] == tok.bos_token_id  # it adds both to plain text
    assert tok("Hi")["input_ids"][-1] == tok.eos_token_id
    renderer = Renderer(tok)
    plain = rendered(renderer, "Hi", " there")
    assert plain.ids.count(tok.bos_token_id) == 1
    assert plain.ids[0] == tok.bos_token_id
    assert tok.eos_token_id not in plain.ids
    written = renderer.prompt_ids("<s>Hi")
    assert written == plain.prompt_ids
    talk = rendered(renderer, TALK[1:], "Hello")
    assert talk.ids.count(tok.bos_token_id) == 1
    assert talk.ids.count(tok.eos_token_id) == 1
    assert talk.ids[-1] == tok.eos_token_id


@pytest.mark.parametrize("prompt", [TALK, "plain"])
@pytest.mark.parametrize("response", ["", "  \n"])
def test_empty_mask_is_refused(chatml: Any, prompt: Any, response: str) -> None:
    renderer = Renderer(chatml)
    assert renderer.example(prompt, response, id="x") == Dropped("x", "empty answer")
    assert renderer.dropped == {"empty answer": 1}


def test_empty_continuation_has_its_end_of_turn_or_is_an_error(chatml: Any) -> None:
    renderer = Renderer(chatml)
    assert renderer.answer_ids(TALK, "") == (chatml.convert_tokens_to_ids("<|im_end|>"),)
    with pytest.raises(DataError, match="the answer has no token"):
        renderer.answer_ids("plain", "")


def test_answer_that_writes_the_end_mark_is_left_out(chatml: Any) -> None:
    found = Renderer(chatml).example(TALK, "Hello<|im_end|>\nmore", id="x")
    assert found == Dropped("x", "answer holds the end-of-turn token")


def test_too_long_is_dropped_cut_or_an_error(chatml: Any) -> None:
    full = rendered(Renderer(chatml), TALK, "Hello there ab abc")
    fits = len(full.ids)
    assert Renderer(chatml, max_tokens=fits).example(TALK, "Hello there ab abc") == full
    drop = Renderer(chatml, max_tokens=fits - 1)
    assert drop.example(TALK, "Hello there ab abc", id="x") == Dropped(
        "x", "longer than max_tokens"
    )
    assert drop.dropped == {"longer than max_tokens": 1}
    cut = Renderer(chatml, max_tokens=fits - 1, too_long="cut")
    assert cut.example(TALK, "Hello there ab abc") == Rendered(
        full.prompt_ids, full.answer_ids[:-1], cut=True
    )
    assert cut.cut == {"answer cut at max_tokens": 1}
    strict = Renderer(chatml, max_tokens=fits - 1, too_long="error")
    with pytest.raises(DataError, match=rf"x: the row is too long\. Found: {fits} tokens"):
        strict.example(TALK, "Hello there ab abc", id="x")
    tiny = Renderer(chatml, max_tokens=len(full.prompt_ids), too_long="cut")
    assert tiny.example(TALK, "Hello", id="x") == Dropped("x", "prompt alone fills max_tokens")
    assert not tiny.cut


def test_wrong_settings_are_refused(chatml: Any) -> None:
    with pytest.raises(UsageError, match="too_long"):
        Renderer(chatml, too_long="wrap")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="max_tokens"):
        Renderer(chatml, max_tokens=1)


def test_missing_template_is_told() -> None:
    renderer = Renderer(tokenizer(None))
    with pytest.raises(DataError, match="no chat template") as caught:
        renderer.example(TALK, "Hello")
    assert "instruction-tuned" in caught.value.hint
    assert isinstance(renderer.example("Hi", "there"), Rendered)


def test_template_that_refuses_a_role_is_told() -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(DataError, match="refuses the conversation") as caught:
        Renderer(tokenizer(refusing)).prompt_ids(TALK)
    assert caught.value.found == "system, user (System role not supported)"


def test_template_that_breaks_the_prefix_says_where() -> None:
    # Counts the turns, so that the answer changes what stands before it.
    counting = "{{ messages | length }} turns" + CHATML
    with pytest.raises(DataError, match="keep the prompt as a prefix") as caught:
        Renderer(tokenizer(counting)).example(TALK, "Hello")
    assert "at character 0" in caught.value.found
    assert caught.value.found.startswith("'3 turns")
    assert caught.value.expected.startswith("'2 turns")


def test_template_that_changes_the_answer_is_told() -> None:
    for template in (
        CHATML.replace("m.content", "m.content | upper"),
        CHATML.replace("m.content", "(m.content if m.role == 'user' else '')"),
    ):
        with pytest.raises(DataError, match=r"the chat template (changes|drops) the answer"):
            Renderer(tokenizer(template)).example(TALK[1:], "Hello")


def test_show_marks_what_is_trained(chatml: Any) -> None:
    renderer = Renderer(chatml)
    found = rendered(renderer, (Message("user", "Hi"),), "Hello")
    first, rest = renderer.show(found).split("\n", 1)
    assert first == f"{len(found.ids)} tokens, {len(found.answer_ids)} of them trained, marked ⟦ ⟧"
    assert rest == ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n⟦Hello<|im_end|>⟧")


def test_prompts_are_remembered_within_bounds(chatml: Any) -> None:
    renderer = Renderer(chatml)
    for i in range(1500):
        renderer.prompt_ids(f"prompt {i}")
    assert len(renderer._known) == 1024
    assert renderer.prompt_ids("prompt 3") == Renderer(chatml).prompt_ids("prompt 3")
