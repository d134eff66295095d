"""From the cells of one record to a typed row: one function for each public shape."""

from __future__ import annotations

from typing import Any

import orjson

from togi.rows.cells import Cells, thumb
from togi.rows.raw import BadRow, short
from togi.rows.turns import as_turns, conversation, last_answer, shared_prompt, transcript
from togi.rows.types import (
    Document,
    Example,
    Feedback,
    Message,
    Preference,
    Prompt,
    Ranking,
    Sample,
)


def _prompt(cells: Cells, field: str = "prompt") -> Prompt:
    """Return the prompt; a system column makes a conversation of plain text."""
    prompt = cells.prompt(field)
    system = cells.system()
    return (*system, *as_turns(prompt)) if system and isinstance(prompt, str) else prompt


def document(cells: Cells, row_id: str) -> Document:
    """Return a text."""
    return Document(id=row_id, text=cells.text("text"), metadata=cells.metadata())


def example(cells: Cells, row_id: str) -> Example:
    """Return a prompt and its response."""
    return Example(
        id=row_id,
        prompt=_prompt(cells),
        response=cells.answer("response"),
        metadata=cells.metadata(),
    )


def sample(cells: Cells, row_id: str) -> Sample:
    """Return a question and the text that answers it."""
    return Sample(
        id=row_id,
        input=_prompt(cells, "input"),
        target=cells.text("target"),
        metadata=cells.metadata(),
    )


def alpaca(cells: Cells, row_id: str) -> Example:
    """Return instruction and input, a blank line between them, as the user's turn."""
    task = cells.text("instruction")
    extra = cells.optional("input")
    turn = Message("user", f"{task}\n\n{extra}" if extra else task)
    return Example(
        id=row_id,
        prompt=(*cells.system(), turn),
        response=cells.text("output"),
        metadata=cells.metadata(),
    )


def _conversation(cells: Cells, row_id: str, field: str) -> Example:
    prompt, response = last_answer(cells.turns(field), cells.column(field))
    return Example(id=row_id, prompt=prompt, response=response, metadata=cells.metadata())


def messages(cells: Cells, row_id: str) -> Example:
    """Return a conversation that ends in the assistant's turn."""
    return _conversation(cells, row_id, "messages")


def sharegpt(cells: Cells, row_id: str) -> Example:
    """Return the same from ShareGPT's names."""
    return _conversation(cells, row_id, "conversations")


def _thumb(cells: Cells) -> bool:
    value = cells.need("desirable")
    up = thumb(value)
    if up is None:
        raise BadRow(
            f"'{cells.column('desirable')}' is no thumb up or down",
            found=short(value),
            expected="true or false, 1 or 0, up or down",
        )
    return up


def feedback(cells: Cells, row_id: str) -> Feedback:
    """Return a prompt, one response, a thumb."""
    return Feedback(
        id=row_id,
        prompt=_prompt(cells),
        response=cells.answer("response"),
        desirable=_thumb(cells),
        metadata=cells.metadata(),
    )


def feedback_messages(cells: Cells, row_id: str) -> Feedback:
    """Return a conversation and a thumb on its last turn."""
    talk = _conversation(cells, row_id, "messages")
    return Feedback(
        id=row_id,
        prompt=talk.prompt,
        response=talk.response,
        desirable=_thumb(cells),
        metadata=talk.metadata,
    )


def _pair_of_turns(cells: Cells) -> tuple[Prompt, str, str]:
    """Read chosen and rejected as lists of turns, with or without their prompt inside."""
    chosen = conversation(cells.need("chosen"), cells.column("chosen"))
    rejected = conversation(cells.need("rejected"), cells.column("rejected"))
    if len(chosen) > 1 or len(rejected) > 1 or not cells.has("prompt"):
        prompt, better, worse = shared_prompt(chosen, rejected)
        stated = cells.get("prompt")
        known = {"", *(turn.content.strip() for turn in prompt)}
        if isinstance(stated, str) and stated.strip() not in known:
            raise BadRow(
                f"'{cells.column('prompt')}' is not a turn of the conversations",
                found=short(stated),
                expected=short(prompt[-1].content),
            )
        if prompt[0].role != "system":
            prompt = (*cells.system(), *prompt)
        return prompt, better, worse
    # Answers given as turns make a conversation of a prompt given as text.
    prompt = as_turns(_prompt(cells))
    return prompt, cells.answer("chosen"), cells.answer("rejected")


def preference(cells: Cells, row_id: str) -> Preference:
    """Return two answers; their prompt stands apart or is what both begin with."""
    chosen, rejected = cells.need("chosen"), cells.need("rejected")
    if isinstance(chosen, list | dict) != isinstance(rejected, list | dict):
        raise BadRow("one of chosen and rejected is text, the other a list of turns")
    if isinstance(chosen, list | dict):
        prompt, better, worse = _pair_of_turns(cells)
    elif cells.has("prompt"):
        prompt, better, worse = _prompt(cells), cells.text("chosen"), cells.text("rejected")
    else:
        turns = [
            transcript(cells.text(name), cells.column(name)) for name in ("chosen", "rejected")
        ]
        prompt, better, worse = shared_prompt(*turns)
    if better == worse:
        raise BadRow("chosen and rejected are the same", found=short(better))
    return Preference(
        id=row_id, prompt=prompt, chosen=better, rejected=worse, metadata=cells.metadata()
    )


def _numbers(cells: Cells, field: str, count: int) -> list[float]:
    """Return one distinct number for each response."""
    values = cells.decoded(field)
    good = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    )
    if not good or len(values) != count:
        raise BadRow(
            f"'{cells.column(field)}' is not one number for each response",
            found=short(values),
            expected=f"{count} numbers",
        )
    if len(set(values)) != count:
        raise BadRow(
            f"'{cells.column(field)}' leaves two responses equal",
            found=short(values),
            hint="a ranking has no ties; drop such rows with `on_bad: skip`",
        )
    return values


def _order(cells: Cells, count: int) -> list[int]:
    """Return the responses' positions, best first."""
    if cells.has("order"):
        order = _numbers(cells, "order", count)
        if sorted(order) != list(range(count)):
            raise BadRow(
                f"'{cells.column('order')}' is no order of the responses",
                found=short(order),
                expected=f"the numbers 0 to {count - 1}, best first",
            )
        return [int(place) for place in order]
    if cells.has("ranks"):
        ranks = _numbers(cells, "ranks", count)
        return sorted(range(count), key=lambda i: ranks[i])
    if cells.has("scores"):
        scores = _numbers(cells, "scores", count)
        return sorted(range(count), key=lambda i: -scores[i])
    return list(range(count))


def ranking(cells: Cells, row_id: str) -> Ranking:
    """Responses best first, or with their order, ranks (1 is best) or scores (more is better)."""
    responses = cells.texts("responses")
    order = _order(cells, len(responses))
    return Ranking(
        id=row_id,
        prompt=_prompt(cells),
        responses=tuple(responses[i] for i in order),
        metadata=cells.metadata(),
    )


def _choices(cells: Cells) -> tuple[tuple[str, ...], list[str]]:
    """Return the choices and their labels; ARC writes both into one object."""
    value: Any = cells.decoded("choices")
    if isinstance(value, dict) and {"text", "label"} <= set(value):
        inner = Cells(value, {})
        texts, labels = inner.texts("text"), inner.texts("label")
        if len(texts) != len(labels):
            raise BadRow("there is not one label for each choice", found=short(value))
        return texts, [label.upper() for label in labels]
    texts = cells.texts("choices")
    return texts, [chr(ord("A") + i) for i in range(len(texts))]


def _named(answer: Any, choices: tuple[str, ...], labels: list[str]) -> int:
    """Return the position that an answer names, -1 for none; a text goes before a label."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer
    if not isinstance(answer, str):
        return -1
    word = answer.strip()
    for names, name in ((choices, answer), (choices, word), (labels, word.upper())):
        if name in names:
            return names.index(name)
    return int(word) if word.isascii() and word.isdigit() and len(word) < 4 else -1


def _people(answer: Any, choices: tuple[str, ...], labels: list[str]) -> dict[str, list[Any]]:
    """Read an answer that says how people answered: a number for each choice; {} for others.

    Whole numbers are counts of people, others are shares. An object names choices or labels.
    """
    if isinstance(answer, str) and answer.lstrip()[:1] in ("[", "{"):
        try:
            answer = orjson.loads(answer)
        except orjson.JSONDecodeError:
            return {}
    if isinstance(answer, dict):
        named = {_named(name, choices, labels): value for name, value in answer.items()}
        answer = [] if -1 in named else [named.get(place) for place in range(len(choices))]
    values: list[Any] = answer if isinstance(answer, list) else []
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != len(choices) or len(values) != len(choices):
        return {}
    if min(numbers) < 0 or not sum(numbers):
        return {}
    whole = all(isinstance(value, int) for value in numbers)
    return {"counts" if whole else "distribution": numbers}


def choice(cells: Cells, row_id: str) -> Sample:
    """Return a question with choices; the answer is a choice's label, text, or index from 0.

    A number for each choice is how people answered; it goes into the metadata, and the most
    frequent choice is the target.
    """
    choices, labels = _choices(cells)
    answer = cells.need("target")
    people = _people(answer, choices, labels)
    if people:
        (values,) = people.values()
        answer = values.index(max(values))
    index = _named(answer, choices, labels)
    if not 0 <= index < len(choices):
        raise BadRow(
            f"'{cells.column('target')}' names no choice",
            found=short(answer),
            expected=f"one of {', '.join(labels)}, a choice's text, or 0 to {len(choices) - 1}",
        )
    return Sample(
        id=row_id,
        input=cells.prompt("input"),
        target=index,
        choices=choices,
        metadata={**cells.metadata(), **people},
    )
