"""The words of judging: measure, question, answer, and what a kind of task is made of.

A kind of task is two pure functions. `ask` turns a sample into a `Question`: a prompt, with the
continuations to score or none where the model shall generate. `read` turns the model's replies
into an `Answer`: a text and numbers. The judge writes those numbers down, one line a sample, and
computes every score from the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from togi.errors import UsageError
from togi.evaluate.sandbox import DEFAULT, Limits
from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A score of a task: the mean of the samples' numbers, or a ratio of two sums.

    Attributes:
        name: as it stands in `scores.json`.
        unit: of the score; "share" for 0 to 1.
        higher_is_better: the direction of good.
        definition: one sentence for the report.
        over: the number of a sample's line that is averaged, or summed in the numerator.
        per: the number summed in the denominator; "" for a mean.
        scale: what the numerator is multiplied by.
        compared: whether differences between models are tested for it.
        exponent: whether e to the power of the mean or ratio is shown, as a perplexity is.
        thresholded: whether a sample only counts as right or wrong.
        partner: of a thresholded measure, the continuous one on the same answers; "" for none.
        span: from the worst to the best value of a mean, 0 where it has no such ends.
    """

    name: str
    unit: str
    higher_is_better: bool
    definition: str
    over: str
    per: str = ""
    scale: float = 1.0
    compared: bool = True
    exponent: bool = False
    thresholded: bool = False
    partner: str = ""
    span: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and what to score after it, as texts or as token ids.

    A kind that generates draws answers to the prompt, and scores these texts besides.
    """

    prompt: Prompt
    continuations: tuple[str, ...] = ()
    ids: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of one sample: a text, numbers, and what else is worth keeping."""

    text: str
    measures: dict[str, float]
    detail: dict[str, Any] = field(default_factory=dict)


GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a task asks; each kind uses some of these and refuses the others.

    Attributes:
        render: multiple_choice, distribution: score each choice's own text, or list the choices
            and score their letters.
        context_words: text_bits_per_byte: words at a text's beginning that are given and not
            scored; 0 gives no context.
        check: generate_and_check: the name of the check.
        scorer: trust.toxicity: who scores a text's toxicity.
        published: trust.*: read answers exactly as the published code does, faults included.
        personal: trust.*: write real people's data down as they are, and not as hashes.
        sampling: kinds that generate: how answers are drawn; greedy by default.
        parse: exact_match, choice_by_generation: the parser, "" for the kind's own.
        likelihood: exact_match, choice_by_generation, code: also score the target, or the letters.
        function: function: the user's `file.py:function`.
        function_digest: of that file's content.
        passes: code: each k of pass@k.
        limits: code: what a program may take.
    """

    render: Literal["text", "letters"] = "text"
    context_words: int = 8
    check: str = ""
    sampling: Sampling = GREEDY
    scorer: str = ""
    published: bool = False
    personal: bool = False
    parse: str = ""
    likelihood: bool = False
    function: str = ""
    function_digest: str = ""
    passes: tuple[int, ...] = (1,)
    limits: Limits = DEFAULT

    def __post_init__(self) -> None:
        if self.context_words < 0:
            raise UsageError(f"context_words must be at least 0, got {self.context_words}")


Replies: TypeAlias = Sequence[Scored] | Sequence[Generated] | Sequence[Generated | Scored]
"""What came back: answers in the order drawn, then what was scored in the order asked."""


def parted(replies: Replies) -> tuple[list[Generated], list[Scored]]:
    """Part what was drawn from what was scored.

    >>> parted([])
    ([], [])
    """
    drawn = [one for one in replies if isinstance(one, Generated)]
    return drawn, [one for one in replies if isinstance(one, Scored)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """A way of judging.

    Attributes:
        definition: one sentence for the report.
        uses: the fields of `Asking` that matter to it.
        measures: the measures of a task asked in that way, the primary one first.
        unfit: says why a sample cannot be judged in this way; "" where it can.
        ask: how to ask one sample after the solved ones.
        read: how to score one answer.
        grade: how to score many answers at once, where that is cheaper; then `read` is not used.
        version: raised whenever `ask` or `read` changes what a number means.
        hide: takes real people's data out of a text before it is written down.
    """

    definition: str
    uses: tuple[str, ...]
    measures: Callable[[Asking], tuple[Measure, ...]]
    unfit: Callable[[Asking, Sample], str]
    ask: Callable[[Asking, Sequence[Sample], Sample], Question]
    read: Callable[[Asking, Sample, Any], Answer]
    grade: Callable[[Asking, Sequence[Sample], Sequence[Any]], list[Answer]] | None = None
    version: int = 1
    hide: Callable[[str, Sample], str] | None = None


def plain_prompt(prompt: Prompt) -> str | list[dict[str, str]]:
    """Return the prompt as JSON wants it: text, or a list of role and content.

    >>> plain_prompt("Hello")
    'Hello'
    """
    if isinstance(prompt, str):
        return prompt
    return [{"role": message.role, "content": message.content} for message in prompt]


def target_text(sample: Sample) -> str:
    """Return the expected answer as text.

    >>> target_text(Sample(id="1", input="2 + 2 =", target=1, choices=("3", "4")))
    '4'
    """
    return sample.target if isinstance(sample.target, str) else sample.choices[sample.target]
