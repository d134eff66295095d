"""The provider `togi` of Inspect: on a task of Inspect's the answers of its own hf provider."""

from __future__ import annotations

import pytest

pytest.importorskip("inspect_ai")

import saved_toys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import tool

import togi.plugins.inspect_ai  # noqa: F401 - registers the provider, as the entry point does
from togi.errors import UsageError

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

SAMPLES = [
    Sample(input=f"the number of users is {i}" + " and" * (i % 5), target="e") for i in range(12)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(saved_toys.save(saved_toys.llama(), tmp_path_factory.mktemp("models") / "tiny"))


def judged(model, tmp_path, **more):
    task = Task(dataset=SAMPLES, solver=[generate()], scorer=includes())
    (log,) = eval(task, model=model, display="none", log_dir=str(tmp_path), **more)
    return log


def answers(log):
    assert log.status == "success", log.error
    return [sample.output.completion for sample in log.samples]


def test_greedy_answers_and_scores_are_hf_s(folder, tmp_path):
    config = GenerateConfig(max_tokens=10, temperature=0.0)
    ours = get_model(f"togi/{folder}", config=config, dtype="float32")
    theirs = get_model(
        f"hf/{folder}", config=GenerateConfig(max_tokens=10), device="cpu", do_sample=False,
        dtype="float32",
    )  # fmt: skip
    one, two = judged(ours, tmp_path / "a"), judged(theirs, tmp_path / "b")
    assert answers(one) == answers(two)
    assert one.results.scores[0].metrics["accuracy"].value == pytest.approx(
        two.results.scores[0].metrics["accuracy"].value
    )
    usage = one.samples[0].output.usage
    assert (usage.output_tokens, one.samples[0].output.stop_reason) == (10, "max_tokens")


def test_epochs_are_draws_of_their_own_and_a_new_run_repeats_them(folder, tmp_path):
    config = GenerateConfig(max_tokens=10, temperature=1.0, seed=3)

    def drawn(name):
        model = get_model(f"togi/{folder}", config=config, dtype="float32", memoize=False)
        return answers(judged(model, tmp_path / name, epochs=2))

    first = drawn("a")
    assert len(set(first)) > 12
    assert sorted(first) == sorted(drawn("b"))


def test_logprobs_and_several_choices(folder, tmp_path):
    config = GenerateConfig(max_tokens=4, num_choices=3, logprobs=True, seed=1)
    log = judged(get_model(f"togi/{folder}", config=config, dtype="float32"), tmp_path, limit=1)
    choices = log.samples[0].output.choices
    assert len(choices) == 3
    assert all(one.logprob <= 0 for choice in choices for one in choice.logprobs.content)


def test_what_it_cannot_do_fails_the_task_with_words(folder, tmp_path):
    config = GenerateConfig(max_tokens=4, top_logprobs=5, logprobs=True)
    log = judged(get_model(f"togi/{folder}", config=config, dtype="float32"), tmp_path, limit=1)
    assert log.status == "error"
    assert "top_logprobs is not known to togi's engine" in log.error.message

    @tool
    def add():
        async def execute(x: int, y: int):
            """Add two numbers.

            Args:
                x: One.
                y: Two.
            """
            return x + y

        return execute

    task = Task(dataset=SAMPLES[:1], solver=[use_tools(add()), generate()], scorer=includes())
    (log,) = eval(
        task, model=get_model(f"togi/{folder}", dtype="float32"), display="none",
        log_dir=str(tmp_path),
    )  # fmt: skip
    assert "togi's engine calls no tools" in log.error.message
    with pytest.raises(UsageError, match="needs a local model"):
        get_model("togi/openai:http://localhost:1/v1#m")


def test_a_template_without_system_turn(tmp_path):
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    place = saved_toys.save(
        saved_toys.llama(), tmp_path / "tiny", template=refusing + saved_toys.CHATML
    )
    task = Task(
        dataset=SAMPLES[:1], solver=[system_message("Be brief."), generate()], scorer=includes()
    )
    config = GenerateConfig(max_tokens=4)
    for system, status in (("refuse", "error"), ("user", "success")):
        model = get_model(f"togi/{place}", config=config, dtype="float32", system=system)
        (log,) = eval(task, model=model, display="none", log_dir=str(tmp_path / system))
        assert log.status == status
    (log,) = eval(
        task, model=get_model(f"togi/{place}", config=config, dtype="float32"), display="none",
        log_dir=str(tmp_path / "again"),
    )  # fmt: skip
    assert "refuses the conversation" in log.error.message
