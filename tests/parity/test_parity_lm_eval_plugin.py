"""The plug-in `togi` of lm-eval: on the same tasks the same numbers as its own hf model."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("lm_eval")

from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from saved_toys import CHATML, llama, save

from togi.errors import DataError, UsageError
from togi.plugins.lm_eval import TogiLM

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

COLOURS = ("red", "green", "blue", "dark blue and grey")
DOCS = [
    {
        "question": f"which number is {i} of the users?",
        "choices": list(COLOURS[: 2 + i % 3]),
        "gold": i % 2,
        "answer": COLOURS[i % 4],
        # No two windows of a text are alike: hf 0.4.13 mixes such up in batches of more than one.
        "text": " ".join(
            f"The system {i} has {j * i} users, é, ü and 数." for j in range(1 + i % 9)
        ),
    }
    for i in range(12)
]
HEAD = """
dataset_path: json
dataset_kwargs: {data_files: {test: %(data)s, train: %(data)s}}
test_split: test
fewshot_split: train
fewshot_config: {sampler: first_n}
metadata: {version: 1}
"""
TASKS = {
    "toy_choice": """
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: gold
description: "Answer the questions.\\n\\n"
num_fewshot: 2
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "toy_word": """
output_type: loglikelihood
doc_to_text: "{{question}} "
doc_to_target: answer
metric_list: [{metric: perplexity}, {metric: acc}]
""",
    "toy_text": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: text
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
""",
    "toy_answer": """
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: answer
num_fewshot: 1
generation_kwargs: {until: ["\\n\\n", "numb"], do_sample: false, max_gen_toks: 10}
metric_list: [{metric: exact_match}]
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    # Windows of 96 tokens: the longer texts need several.
    return save(llama(max_position_embeddings=96), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    place = tmp_path_factory.mktemp("tasks")
    data = place / "docs.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
    for name, text in TASKS.items():
        (place / f"{name}.yaml").write_text(f"task: {name}\n" + HEAD % {"data": data} + text)
    return place


def evaluated(model, folder, tasks, **more):
    return simple_evaluate(
        model=model,
        model_args={"pretrained": str(folder), "dtype": "float32"},
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        device="cpu",
        batch_size=3,
        bootstrap_iters=0,
        log_samples=True,
        **more,
    )


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "chat"])
def both(request, folder, tasks):
    more = {"apply_chat_template": True, "fewshot_as_multiturn": True} if request.param else {}
    return [evaluated(model, folder, tasks, **more) for model in ("hf", "togi")]


def test_the_name_is_found_in_lm_eval_s_registry():
    assert get_model("togi") is TogiLM


def test_all_metrics_of_all_kinds_of_tasks_are_equal(both):
    theirs, ours = (
        {(task, metric): value for task, found in side["results"].items()
         for metric, value in found.items() if isinstance(value, float)}
        for side in both
    )  # fmt: skip
    assert ours.keys() == theirs.keys()
    assert {task for task, _ in ours} == set(TASKS)
    for key, value in ours.items():
        assert value == pytest.approx(theirs[key], rel=1e-4), key


def test_each_request_has_the_same_text_and_the_same_answer(both):
    for task in TASKS:
        for theirs, ours in zip(*(side["samples"][task] for side in both), strict=True):
            assert ours["arguments"] == theirs["arguments"]
            assert ours["filtered_resps"] == _near(theirs["filtered_resps"])


def _near(resps):
    """Numbers to 1e-3, texts and greedy flags exactly."""
    return [
        tuple(pytest.approx(part, abs=1e-3) if isinstance(part, float) else part for part in one)
        if isinstance(one, tuple)
        else pytest.approx(one, abs=1e-3)
        if isinstance(one, float)
        else one
        for one in resps
    ]


def asked(kind, arguments):
    return [
        Instance(request_type=kind, doc={}, arguments=a, idx=i) for i, a in enumerate(arguments)
    ]


def test_edges_of_a_request_are_lm_eval_s(folder):
    """Empty contexts, spaces at the border, merging continuations, contexts that are too long."""
    theirs = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=1)
    ours = TogiLM(pretrained=str(folder), dtype="float32", device="cpu")
    pairs = [("", "the user"), ("is the ", "user"), ("us", "ab"), ("the number " * 60, "is of")]
    expected = theirs.loglikelihood(asked("loglikelihood", pairs), disable_tqdm=True)
    found = ours.loglikelihood(asked("loglikelihood", pairs), disable_tqdm=True)
    assert [total for total, _ in found] == pytest.approx([t for t, _ in expected], abs=1e-3)
    assert [flag for _, flag in found] == [flag for _, flag in expected]
    long = [("the number " * 60, {"until": [], "max_gen_toks": 8})]
    assert ours.generate_until(asked("generate_until", long)) == theirs.generate_until(
        asked("generate_until", [(c, dict(o)) for c, o in long])
    )


def test_equal_sampled_requests_are_different_draws_and_seeds_repeat_them(folder):
    ours = TogiLM(pretrained=str(folder), dtype="float32")
    options = {"until": [], "do_sample": True, "temperature": 1.0, "max_gen_toks": 12}
    wanted = asked("generate_until", [("the", options)] * 4 + [("is", options)])
    first = ours.generate_until(wanted)
    assert len(set(first[:4])) > 1
    assert ours.generate_until(wanted) == first
    assert TogiLM(pretrained=str(folder), dtype="float32", seed=1).generate_until(wanted) != first


def test_an_adapter_is_put_on(folder, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from togi.align.lora import Lora, add_lora, save_adapter
    from togi.lm.local import load_local

    tuned = load_local(folder, dtype="float32", say=lambda _: None)
    add_lora(tuned.model, Lora(rank=2), seed=0)
    for name, weight in tuned.model.named_parameters():
        if name.endswith("lora_B"):
            weight.data.fill_(0.05)
    save_adapter(tuned.model, tmp_path / "adapter", "tiny")
    pair = asked("loglikelihood", [("the number", " is")])
    plain = TogiLM(pretrained=str(folder), dtype="float32").loglikelihood(pair)[0][0]
    with_it = TogiLM(pretrained=str(folder), dtype="float32", adapter=str(tmp_path / "adapter"))
    # Merged by PEFT: hf's own `peft=` also cuts the toy's embeddings to the tokenizer's size.
    base = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    peft = HFLM(pretrained=merged, tokenizer=str(folder), device="cpu")
    found = with_it.loglikelihood(pair)[0][0]
    assert found == pytest.approx(peft.loglikelihood(pair)[0][0], abs=1e-3)
    assert abs(found - plain) > 1e-2


def test_what_is_not_known_is_refused(folder):
    with pytest.raises(UsageError, match=r"'adaptor' is not known.*did you mean 'adapter'"):
        TogiLM(pretrained=str(folder), adaptor="x")
    model = TogiLM(pretrained=str(folder), dtype="float32")
    with pytest.raises(UsageError, match="'num_beams' is not known to togi's engine"):
        model.generate_until(asked("generate_until", [("a", {"num_beams": 4})]))
    with pytest.raises(UsageError, match="leaves no room for its question"):
        model.generate_until(asked("generate_until", [("a", {"max_gen_toks": 96})]))
    with pytest.raises(DataError, match="a continuation is longer than the model can read"):
        model.loglikelihood(asked("loglikelihood", [("a", "number " * 200)]))
    with pytest.raises(DataError, match="no token of its own: the tokenizer merges it"):
        model.loglikelihood(asked("loglikelihood", [("us", "er")]))
    with pytest.raises(UsageError, match="needs a local model"):
        TogiLM(pretrained="openai:http://localhost:1/v1#m")


def test_a_template_without_system_turn_is_told_and_answered(tmp_path):
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    place = save(llama(), tmp_path / "tiny", template=refusing + CHATML)
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    with pytest.raises(DataError, match=r"refuses the conversation.*system=user"):
        TogiLM(pretrained=str(place)).apply_chat_template(talk)
    kept = TogiLM(pretrained=str(place), system="user").apply_chat_template(talk)
    assert kept == "<|im_start|>user\nBe brief.\n\nHi<|im_end|>\n<|im_start|>assistant\n"
    theirs = HFLM(pretrained=str(place), device="cpu").apply_chat_template(talk)
    assert TogiLM(pretrained=str(place), system="drop").apply_chat_template(talk) == theirs


def test_the_command_line_runs_a_task(folder, tasks, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "togi", "evaluate", "lm-eval",
         "--model_args", f"pretrained={folder},dtype=float32", "--tasks", "toy_choice",
         "--include_path", str(tasks), "--output_path", str(tmp_path / "out"), "--limit", "3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "toy_choice" in done.stdout
    assert "acc_norm" in done.stdout
    (written,) = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(written.read_text())["config"]["model"] == "togi"
