"""The one place where prompts and answers become token ids.

A conversation goes through the tokenizer's own chat template; plain text is tokenised as it is.
Loss is by position: the prompt's ids carry none, the answer's ids carry it, the token that ends
the assistant's turn included. The prompt's ids are an exact prefix of the whole, so that what is
trained is what is generated from.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from togi.errors import DataError, UsageError
from togi.rows.raw import short
from togi.rows.template import ChatTemplate
from togi.rows.types import Dropped, Prompt

CACHED = 1024  # prompts whose ids are kept
CHUNK = 256  # rows that are tokenised in one call

TooLong = Literal["drop", "cut", "error"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Token ids of a prompt and of its answer; loss falls on the answer's ids only.

    `cut` is True where the answer's end was cut off; then no end-of-turn token stands there.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    cut: bool = False

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids, in order."""
        return self.prompt_ids + self.answer_ids

    @property
    def mask(self) -> tuple[bool, ...]:
        """Where loss falls, position by position."""
        return (False,) * len(self.prompt_ids) + (True,) * len(self.answer_ids)


@dataclass(frozen=True, slots=True)
class _Start:
    """A prompt; an answer is tokenised with its text from `at` on, after `kept` of its ids."""

    text: str
    ids: tuple[int, ...]
    at: int
    kept: int


class Renderer:
    """Turn prompts and answers into ids with a transformers tokenizer.

    Args:
        tokenizer: a transformers tokenizer.
        max_tokens: most ids of prompt and answer together.
        too_long: "drop" leaves longer rows out, "cut" shortens the answer, "error" raises.
        end_plain: end an answer to plain text with the end-of-text token, so that it is learnt
            where to stop; a conversation's answer always ends with its end-of-turn token.

    Attributes:
        dropped: rows left out, by reason.
        cut: answers shortened, by reason.
        parted: answers whose first characters would merge with the prompt's last token, and
            that were tokenised apart from it.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_tokens: int = 2048,
        too_long: TooLong = "drop",
        end_plain: bool = False,
    ) -> None:
        if max_tokens < 2:
            raise UsageError(f"max_tokens must be at least 2, got {max_tokens}")
        if too_long not in ("drop", "cut", "error"):
            raise UsageError(f"too_long must be drop, cut or error, got {too_long!r}")
        self.tokenizer, self.max_tokens, self.too_long = tokenizer, max_tokens, too_long
        self.end_plain = end_plain
        self.template = ChatTemplate(tokenizer)
        self.dropped: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.parted = 0
        self._known: OrderedDict[Prompt, _Start] = OrderedDict()

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids that the model answers after: for a conversation, up to its own turn.

        Raises:
            DataError: the tokenizer has no chat template, or the template refuses the turns.
        """
        return self._starts([prompt])[0].ids

    def answer_ids(self, prompt: Prompt, response: str) -> tuple[int, ...]:
        """Return the ids of an answer after `prompt_ids(prompt)`, however many there are.

        After a conversation the last is the end-of-turn token; after plain text they are exactly
        the text's, with no token added (but see `end_plain`).

        Raises:
            DataError: there is no id at all, or the template does not keep the prompt as a prefix.
        """
        ids = self._answers([(prompt, response)])[0]
        if not ids:
            raise DataError("the answer has no token", found=short(response))
        return ids

    def example(self, prompt: Prompt, response: str, *, id: str = "") -> Rendered | Dropped:
        """Render one row for training.

        Raises:
            DataError: with `too_long="error"`, the row is too long; see also `answer_ids`.
        """
        return next(self.examples([(id, prompt, response)]))

    def examples(self, rows: Iterable[tuple[str, Prompt, str]]) -> Iterator[Rendered | Dropped]:
        """Render rows given as (id, prompt, response), in their order; many at once are faster."""
        waiting = iter(rows)
        while chunk := list(islice(waiting, CHUNK)):
            starts = self._starts([prompt for _, prompt, _ in chunk])
            answers = self._answers([(prompt, response) for _, prompt, response in chunk])
            for (row_id, _, response), start, ids in zip(chunk, starts, answers, strict=True):
                result = self._fitted(row_id, start.ids, ids if response.strip() else ())
                if isinstance(result, Dropped):
                    self.dropped[result.reason] += 1
                yield result

    def pair(
        self,
        prompt: Prompt,
        chosen: str,
        rejected: str,
        *,
        id: str = "",
    ) -> tuple[Rendered, Rendered] | Dropped:
        """Render a better and a worse answer; both share the very same prompt ids.

        A pair is left out whole: where one answer is too long or empty, the other says nothing.
        """
        prompt_ids = self.prompt_ids(prompt)
        found = self._answers([(prompt, chosen), (prompt, rejected)])
        sides: list[Rendered] = []
        for text, ids in zip((chosen, rejected), found, strict=True):
            side = self._fitted(id, prompt_ids, ids if text.strip() else ())
            if isinstance(side, Dropped):
                self.dropped[side.reason] += 1
                return side
            sides.append(side)
        better, worse = sides
        if better.answer_ids == worse.answer_ids:
            self.dropped["both answers have the same tokens"] += 1
            return Dropped(id, "both answers have the same tokens")
        return better, worse

    def show(self, rendered: Rendered) -> str:
        """Return the row as text, special tokens included; what is trained stands in ⟦ ⟧."""
        before = self.tokenizer.decode(list(rendered.prompt_ids), skip_special_tokens=False)
        trained = self.tokenizer.decode(list(rendered.answer_ids), skip_special_tokens=False)
        counts = f"{len(rendered.ids)} tokens, {len(rendered.answer_ids)} of them trained"
        return f"{counts}, marked ⟦ ⟧{', cut' if rendered.cut else ''}\n{before}⟦{trained}⟧"

    def _fitted(
        self, row_id: str, prompt: tuple[int, ...], answer: tuple[int, ...]
    ) -> Rendered | Dropped:
        """Apply the limit to one row."""
        if not answer:
            return Dropped(row_id, "empty answer")
        if answer[-1] in self.template.marks and answer[-1] in answer[:-1]:
            return Dropped(row_id, "answer holds the end-of-turn token")
        length = len(prompt) + len(answer)
        if length <= self.max_tokens:
            return Rendered(prompt, answer)
        if self.too_long == "error":
            raise DataError(
                "the row is too long",
                where=row_id,
                found=f"{length} tokens",
                expected=f"at most {self.max_tokens}",
                hint="raise `max_tokens`, or set `too_long: drop` or `cut`",
            )
        if self.too_long == "drop":
            return Dropped(row_id, "longer than max_tokens")
        room = self.max_tokens - len(prompt)
        if room < 1:
            return Dropped(row_id, "prompt alone fills max_tokens")
        self.cut["answer cut at max_tokens"] += 1
        return Rendered(prompt, answer[:room], cut=True)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise exactly these characters, no special token added."""
        if not texts:
            return []
        found = self.tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return found["input_ids"]

    def _plain_prompt(self, text: str) -> _Start:
        """Tokenise plain text: a beginning-of-text token stands once, an end-of-text never."""
        ids = list(self.tokenizer(text, return_attention_mask=False, verbose=False)["input_ids"])
        first, last = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        bare = self._encode([text])[0]
        if first is not None and ids[:2] == [first, first]:
            ids = ids[1:]  # the text wrote it too
        if last is not None and ids[-1:] == [last] and bare[-1:] != [last]:
            ids = ids[:-1]
        return _Start(text, tuple(ids), len(text), len(ids))

    def _starts(self, prompts: Sequence[Prompt]) -> list[_Start]:
        """Tokenise prompts, each distinct one once; the last thousand are remembered."""
        found = {p: self._known[p] for p in prompts if p in self._known}
        new = [p for p in dict.fromkeys(prompts) if p not in found]
        talks = [prompt for prompt in new if not isinstance(prompt, str)]
        texts = [self.template.prompt(talk) for talk in talks]
        for talk, text, ids in zip(talks, texts, self._encode(texts), strict=True):
            found[talk] = _Start(text, tuple(ids), *self.template.last_mark(text, ids))
        found.update({p: self._plain_prompt(p) for p in new if isinstance(p, str)})
        for prompt in new:
            self._known[prompt] = found[prompt]
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return [found[prompt] for prompt in prompts]

    def _answers(self, rows: Sequence[tuple[Prompt, str]]) -> list[tuple[int, ...]]:
        """Tokenise answers; of a conversation only what follows the prompt's last special token.

        The tokenizer itself parts a text at its special tokens before it merges anything, so the
        ids from there on are those of the whole rendering.
        """
        starts = self._starts([prompt for prompt, _ in rows])
        bodies = [
            response if isinstance(prompt, str) else self.template.answer(prompt, s.text, response)
            for (prompt, response), s in zip(rows, starts, strict=True)
        ]
        texts = [s.text[s.at :] + body for s, body in zip(starts, bodies, strict=True)]
        answers: list[tuple[int, ...]] = []
        for (prompt, _), start, body, ids in zip(
            rows, starts, bodies, self._encode(texts), strict=True
        ):
            rest = start.ids[start.kept :]
            if tuple(ids[: len(rest)]) != rest:
                ids = [*rest, *self._parted(start, body)]
            answers.append((*ids[len(rest) :], *self._added(prompt, start, body)))
        return answers

    def _added(self, prompt: Prompt, start: _Start, body: str) -> tuple[int, ...]:
        """Return the end token that no text stands for, if there is one."""
        if not isinstance(prompt, str):
            return self.template.ending(prompt, start.text)[2]
        end = self.tokenizer.eos_token_id
        return (end,) if self.end_plain and end is not None and body else ()

    def _parted(self, start: _Start, body: str) -> list[int]:
        """Tokenise an answer apart from its prompt, where the two would merge into one token.

        An answer that begins with a line feed does so after many a template. The prompt's ids
        are what the model answers after, so they stay; the answer gets the ids by which the model
        can write it from there. Counted in `parted`.

        Raises:
            DataError: this tokenizer cannot part them without changing the text.
        """
        ids = self._encode([body])[0]
        if self.tokenizer.decode([*start.ids, *ids]) != start.text + body:
            raise DataError(
                "the prompt's tokens are no prefix of the tokens of prompt and answer",
                found=short(start.text[-30:] + body[:30]),
                expected="a token that ends where the answer begins",
                hint="strip the white space that the answer begins with",
            )
        self.parted += 1
        return ids
