"""Conversations of other programs in the tokenizer's chat template, system turns included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from togi.errors import DataError

Turns = Sequence[Mapping[str, str]]

SYSTEM = ("refuse", "drop", "user")
"What is done with a system turn that a template refuses."


def rendered(tokenizer: Any, turns: Turns, answer_next: bool, system: str) -> str:
    """Return a conversation as text; an assistant's turn that was begun is left open.

    Args:
        tokenizer: a transformers tokenizer.
        turns: role and content each.
        answer_next: the assistant speaks next; else the last turn is its beginning.
        system: what is done where the template refuses a system turn: refuse, drop, user.

    Raises:
        DataError: no template, or it refuses the turns.
    """
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise DataError(
            "the model's tokenizer has no chat template",
            where="--apply_chat_template",
            hint="choose an instruction-tuned model, or leave the flag out",
        )
    try:
        return _written(tokenizer, turns, answer_next)
    except TemplateError as error:
        roles = ", ".join(turn["role"] for turn in turns)
        if system != "refuse" and "system" in roles:
            return _written(tokenizer, without_system(turns, keep=system == "user"), answer_next)
        raise DataError(
            "the model's chat template refuses the conversation",
            where="--apply_chat_template",
            found=f"{roles} ({error})",
            hint="set system=user in --model_args to begin the user's turn with the system's "
            "text, or system=drop to leave it out",
        ) from error


def _written(tokenizer: Any, turns: Turns, answer_next: bool) -> str:
    return tokenizer.apply_chat_template(
        list(turns),
        tokenize=False,
        add_generation_prompt=answer_next,
        continue_final_message=not answer_next,
    )


def without_system(turns: Turns, *, keep: bool) -> list[dict[str, str]]:
    r"""Take the system's turns out; where kept, their text begins the first turn of the user.

    >>> talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    >>> without_system(talk, keep=True)
    [{'role': 'user', 'content': 'Be brief.\n\nHi'}]
    """
    told = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [dict(turn) for turn in turns if turn["role"] != "system"]
    first = next((turn for turn in rest if turn["role"] == "user"), None)
    if keep and first is not None:
        first["content"] = "\n\n".join([*told, first["content"]])
    return rest
