"""How prompts, answers and solved examples are put together."""

from __future__ import annotations

from collections.abc import Sequence

from togi.errors import DataError
from togi.rows.types import Message, Prompt


def after(prompt: Prompt, text: str) -> str:
    r"""Return the text as it follows the prompt: a space parts it from plain text.

    >>> after("The capital of France is", "Paris"), after("Sum:\n", "4")
    (' Paris', '4')
    """
    if not isinstance(prompt, str) or not prompt or prompt[-1].isspace() or text[:1].isspace():
        return text
    return " " + text


def with_shots(shots: Sequence[tuple[Prompt, str]], prompt: Prompt) -> Prompt:
    r"""Put solved examples before a prompt: as text parted by empty lines, or as turns.

    Raises:
        DataError: some prompts are plain text and some are conversations.

    >>> with_shots([("1 + 1 =", " 2")], "2 + 2 =")
    '1 + 1 = 2\n\n2 + 2 ='
    """
    turns: list[Message] = []
    texts: list[str] = []
    for asked, answer in shots:
        if isinstance(asked, str) != isinstance(prompt, str):
            raise DataError("plain prompts and conversations cannot be mixed", where="shots")
        if isinstance(asked, str):
            texts.append(f"{asked}{answer}\n\n")
        else:
            turns += [*asked, Message("assistant", answer)]
    if isinstance(prompt, str):
        return "".join(texts) + prompt
    turns += prompt
    system = [turn for turn in turns if turn.role == "system"][:1]
    return (*system, *(turn for turn in turns if turn.role != "system"))
