"""Code tasks: generated programs are run against tests in a sandbox, and pass@k is estimated.

A sample's metadata holds `test`, Python source that raises where the code is wrong; with
`entry_point` (as HumanEval has it) the test's `check(entry_point)` is called. `prefix` is the
source that the answer continues, the prompt itself where there is none. The target, where there is
one, is a reference solution.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from togi.errors import UsageError
from togi.evaluate.asking import Answer, Asking, Measure, TaskKind, parted, target_text
from togi.evaluate.likelihoods import target_measures, target_numbers
from togi.evaluate.matching import clean, generate_ask
from togi.evaluate.sandbox import Outcome, run_programs
from togi.lm.base import Generated, Scored
from togi.rows.types import Sample
from togi.stats.edits import similarity
from togi.stats.pass_at_k import pass_at_k

_FENCE = re.compile(r"```[ \t]*(?:python|py|Python)?[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)


def program_of(sample: Sample, answer: str) -> str:
    r"""Return the whole program: the answer in its place, and the test after it.

    A fenced block is the code, where there is one. Code that defines the entry point itself stands
    alone after what its prompt imports; any other continues the prompt, or its `prefix`.

    >>> sample = Sample(id="1", input="def f(x):\n", target="", metadata={"test": "assert f(1)"})
    >>> program_of(sample, "    return x")
    'def f(x):\n    return x\n\nassert f(1)\n'
    """
    code = code_of(answer)
    name = sample.metadata.get("entry_point")
    plain = sample.input if isinstance(sample.input, str) else ""
    prompt = str(sample.metadata.get("prefix", plain))
    whole = bool(name) and re.search(rf"^(?:async )?def {re.escape(str(name))}\b", code, re.M)
    head = _before(prompt, str(name)) if whole else prompt
    call = f"\ncheck({name})\n" if name and "def check(" in sample.metadata["test"] else "\n"
    return f"{head}{code}\n\n{sample.metadata['test']}{call}"


def code_of(answer: str) -> str:
    r"""Return the code of an answer: its last fenced block, else all of it.

    >>> code_of("Here:\n```python\nx = 1\n```\nDone."), code_of("    return 1")
    ('x = 1', '    return 1')
    """
    blocks = _FENCE.findall(answer)
    return blocks[-1] if blocks else answer


def _before(prompt: str, name: str) -> str:
    """Return what stands in a prompt before the function that it begins."""
    found = re.search(rf"^(?:async )?def {re.escape(name)}\b", prompt, re.M)
    return prompt[: found.start()] if found else ""


def _unfit(asking: Asking, sample: Sample) -> str:
    if not isinstance(sample.metadata.get("test"), str) or not sample.metadata["test"].strip():
        return "its metadata has no 'test', the source that checks the code"
    name = sample.metadata.get("entry_point")
    if name is not None and not str(name).isidentifier():
        return f"its entry_point {name!r} is no function's name"
    if asking.likelihood and not target_text(sample):
        return "it has no reference solution, which likelihood: true scores"
    most = max(asking.passes)
    if most > asking.sampling.n or min(asking.passes) < 1:
        return (
            f"pass@{most} needs {most} answers to each problem; sampling.n is {asking.sampling.n}"
        )
    if asking.sampling.n > 1 and asking.sampling.temperature == 0:
        return "its answers would be one and the same; set sampling.temperature, such as 0.8"
    return ""


def _grade(
    asking: Asking, samples: Sequence[Sample], replies: Sequence[Sequence[Generated | Scored]]
) -> list[Answer]:
    """Run all answers to some problems; equal programs are run once."""
    drawn = [parted(one)[0] for one in replies]
    programs = [
        [program_of(sample, clean(reply.text)) for reply in ours]
        for sample, ours in zip(samples, drawn, strict=True)
    ]
    distinct = list(dict.fromkeys(program for ours in programs for program in ours))
    outcomes = dict(zip(distinct, run_programs(distinct, asking.limits), strict=True))
    return [
        _answer(asking, sample, ours, [outcomes[program] for program in wrote], parted(one)[1])
        for sample, ours, wrote, one in zip(samples, drawn, programs, replies, strict=True)
    ]


def _answer(
    asking: Asking,
    sample: Sample,
    drawn: Sequence[Generated],
    outcomes: Sequence[Outcome],
    scored: Sequence[Scored],
) -> Answer:
    n, passed = len(outcomes), sum(outcome.passed for outcome in outcomes)
    target = target_text(sample)
    near = [similarity(code_of(reply.text), target) for reply in drawn]
    numbers = {
        **{f"pass@{k}": pass_at_k(n, passed, k) for k in asking.passes},
        "similarity": sum(near) / n if target else float("nan"),
        "too_long": sum(outcome.how == "too long" for outcome in outcomes) / n,
        **target_numbers(sample, scored),
    }
    ran = [{"how": outcome.how, "told": outcome.told} for outcome in outcomes]
    detail: dict[str, Any] = {"ran": ran, "finish": [reply.finish for reply in drawn]}
    if n > 1:
        detail["answers"] = [clean(reply.text) for reply in drawn]
    return Answer(clean(drawn[0].text), numbers, detail)


def _measures(asking: Asking) -> tuple[Measure, ...]:
    beside = target_measures(asking)
    partner = "token_probability" if beside else "similarity"
    passes = tuple(
        Measure(
            name=f"pass@{k}",
            unit="share",
            higher_is_better=True,
            definition=f"chance that one of {k} answers passes the tests, estimated without bias "
            f"from {asking.sampling.n}; the interval is over problems",
            over=f"pass@{k}",
            thresholded=True,
            partner=partner,
            span=1.0,
        )
        for k in sorted(asking.passes)
    )
    near = Measure(
        name="similarity",
        unit="share",
        higher_is_better=True,
        definition="1 minus the edit distance of code and reference solution, in words, digits and "
        "marks, over the longer one's length",
        over="similarity",
        span=1.0,
    )
    endless = Measure(
        name="too_long",
        unit="share",
        higher_is_better=False,
        definition=f"share of programs that did not end within {asking.limits.seconds:g} s",
        over="too_long",
        compared=False,
    )
    return (*passes, near, *beside, endless)


def _together(asking: Asking, sample: Sample, replies: Any) -> Answer:
    return _grade(asking, [sample], [replies])[0]


def passes_of(values: Sequence[int]) -> tuple[int, ...]:
    """Return each k once, in order.

    Raises:
        UsageError: none, or one below 1.

    >>> passes_of([10, 1, 1])
    (1, 10)
    """
    if not values or min(values) < 1:
        raise UsageError("pass@k needs numbers of at least 1", where="passes", found=str(values))
    return tuple(sorted(set(values)))


CODE = TaskKind(
    definition="whether generated code passes its tests, run in a sandbox",
    uses=("sampling", "likelihood", "passes", "limits"),
    measures=_measures,
    unfit=_unfit,
    ask=generate_ask,
    read=_together,
    grade=_grade,
)
