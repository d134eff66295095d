"""A tokenizer's chat template, seen as text: what stands before an answer, and what ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from togi.errors import DataError
from togi.rows.raw import short
from togi.rows.types import Message

PROBE = "answer"


class ChatTemplate:
    """Renders conversations and cuts what follows the token that ends the assistant's turn.

    A template may write more after that token (a line feed, a second end mark); at generation the
    model has stopped by then, so nothing of it belongs to the answer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = {i: t.content for i, t in tokenizer.added_tokens_decoder.items()}
        named = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        # Some tokenizers also list runs of spaces as added tokens; those end no turn.
        marks = {int(i): str(text) for i, text in {**added, **dict(named)}.items()}
        self.marks = {i: text for i, text in marks.items() if text.strip()}
        self._ending: tuple[str, str, tuple[int, ...]] | None = None

    def _render(self, turns: Sequence[Message], *, answer_next: bool) -> str:
        from jinja2 import TemplateError

        if not self.tokenizer.chat_template:
            raise DataError(
                "the model's tokenizer has no chat template",
                found="a conversation",
                expected="prompts of plain text",
                hint="choose an instruction-tuned model, or give prompts as plain text",
            )
        talk = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return self.tokenizer.apply_chat_template(
                talk, tokenize=False, add_generation_prompt=answer_next
            )
        except TemplateError as error:
            raise DataError(
                "the model's chat template refuses the conversation",
                found=f"{', '.join(turn.role for turn in turns)} ({error})",
                hint="change the turns, for example put the system's text into the user's",
            ) from error

    def prompt(self, turns: Sequence[Message]) -> str:
        """Render a conversation up to the assistant's turn."""
        if not turns:
            raise DataError("the conversation has no turn")
        return self._render(turns, answer_next=True)

    def _tail(self, turns: Sequence[Message], start: str, response: str) -> str:
        """Return what the template writes from the answer on."""
        whole = self._render([*turns, Message("assistant", response)], answer_next=False)
        if not whole.startswith(start):
            at = next(
                (i for i, (a, b) in enumerate(zip(start, whole, strict=False)) if a != b),
                min(len(start), len(whole)),
            )
            raise DataError(
                "the chat template does not keep the prompt as a prefix of prompt and answer",
                found=f"{short(whole[at : at + 40])} at character {at} with the answer",
                expected=f"{short(start[at : at + 40])} as without it",
                hint="use a template without such a rule, or prompts of plain text",
            )
        return whole[len(start) :]

    def ending(self, turns: Sequence[Message], start: str) -> tuple[str, str, tuple[int, ...]]:
        """Return what the template writes after an answer, what of it is kept, and ids to add.

        Found once, with an answer known to us. A template without any end mark is given the
        end-of-text token, so that the model learns to stop.
        """
        if self._ending is None:
            tail = self._tail(turns, start, PROBE)
            _, found, suffix = tail.rpartition(PROBE)
            if not found:
                raise DataError("the chat template drops the answer", found=short(tail))
            ends = [suffix.find(mark) + len(mark) for mark in self.marks.values() if mark in suffix]
            if ends:
                self._ending = (suffix, suffix[: min(ends)], ())
            elif self.tokenizer.eos_token_id is None:
                raise DataError(
                    "neither the chat template nor the tokenizer has a token that ends a turn",
                    found=short(suffix),
                    hint="set the tokenizer's eos_token",
                )
            else:
                self._ending = (suffix, "", (int(self.tokenizer.eos_token_id),))
        return self._ending

    def answer(self, turns: Sequence[Message], start: str, response: str) -> str:
        """Return the template's text of an answer, up to its end-of-turn token and with it.

        Raises:
            DataError: the template alters the prompt or the answer.
        """
        suffix, kept, _ = self.ending(turns, start)
        tail = self._tail(turns, start, response)
        body = tail.removesuffix(suffix)
        if not tail.endswith(suffix) or response.strip() not in body:
            raise DataError(
                "the chat template changes the answer", found=short(tail), expected=short(response)
            )
        return body + kept

    def last_mark(self, text: str, ids: Sequence[int]) -> tuple[int, int]:
        """Return where the last special token of a rendered text stands: character and id.

        >>> from types import SimpleNamespace as Fake
        >>> fake = Fake(added_tokens_decoder={7: Fake(content="<a>")},
        ...             all_special_ids=[7], all_special_tokens=["<a>"])
        >>> ChatTemplate(fake).last_mark("<a>x<a>yz", [7, 1, 7, 2, 3])
        (4, 2)
        """
        at = next((i for i in reversed(range(len(ids))) if ids[i] in self.marks), -1)
        character = text.rfind(self.marks[ids[at]]) if at >= 0 else -1
        return (character, at) if character >= 0 else (0, 0)
