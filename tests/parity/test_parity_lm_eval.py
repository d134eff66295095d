"""Parity with lm-eval: the same log-likelihoods and the same greedy flags on the same model."""

from __future__ import annotations

import pytest

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from saved_toys import llama, quiet, save

from togi.lm.base import Sampling
from togi.lm.local import load_local

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

SHOTS = "".join(f"Question: {i} of the users?\nAnswer: number {i}\n\n" for i in range(3))
CONTEXTS = [
    "Question: what is the number of users?\nAnswer:",
    SHOTS + "Question: 7 of the users?\nAnswer:",
    SHOTS + "Question: is the system of users?\nAnswer:",
    "the",
    "",
]
CHOICES = [" yes", " no", " number 7", " the system of the users and more", " é, ü and 数"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def ours(folder):
    return load_local(folder, dtype="float32", say=quiet)


@pytest.fixture(scope="module", params=[1, 4])
def theirs(request, folder):
    return HFLM(
        pretrained=str(folder), dtype="float32", device="cpu", batch_size=request.param,
        max_length=256,
    )  # fmt: skip


def asked(kind, arguments):
    return [
        Instance(request_type=kind, doc={}, arguments=a, idx=i) for i, a in enumerate(arguments)
    ]


def test_loglikelihoods_and_greedy_flags_are_equal(ours, theirs):
    pairs = [(context, choice) for context in CONTEXTS for choice in CHOICES]
    # What the model itself would say next is greedy, so that both flags occur.
    greedy = ours.generate(CONTEXTS[:4], Sampling(temperature=0, max_tokens=1))
    pairs += [(c, a.text) for c, (a,) in zip(CONTEXTS[:4], greedy, strict=True) if _alone(ours, a)]
    expected = theirs.loglikelihood(asked("loglikelihood", pairs), disable_tqdm=True)
    found = ours.score(*zip(*pairs, strict=True))
    assert [s.total for s in found] == pytest.approx([total for total, _ in expected], abs=1e-4)
    assert [s.greedy for s in found] == [flag for _, flag in expected]
    assert {s.greedy for s in found} == {True, False}


def _alone(model, answer):
    """Whether the token's text is that token again, and not part of a character."""
    return model.tokenizer(answer.text, add_special_tokens=False)["input_ids"] == [
        *answer.token_ids
    ]


def test_whole_documents_have_the_same_likelihood(ours, theirs):
    texts = [SHOTS, "the system", "Is the number é or 数?"]
    expected = theirs.loglikelihood_rolling(
        asked("loglikelihood_rolling", [(text,) for text in texts]), disable_tqdm=True
    )
    found = ours.score([""] * len(texts), texts)
    assert [s.total for s in found] == pytest.approx(expected, abs=1e-4)


def test_greedy_answers_are_equal(ours, theirs):
    options = {"until": ["\n\n"], "max_gen_toks": 12, "do_sample": False}
    contexts = CONTEXTS[:4]
    expected = theirs.generate_until(
        asked("generate_until", [(c, dict(options)) for c in contexts]), disable_tqdm=True
    )
    sampling = Sampling(temperature=0, max_tokens=12, stop=("\n\n",))
    assert [row[0].text for row in ours.generate(contexts, sampling)] == expected
