"""How a persona is told and a question put to it: wording, plain text or a conversation.

No text of a user's is read as a format string: the persona's place is replaced, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from togi.errors import UsageError
from togi.evaluate.personas.persona import Persona
from togi.rows.types import Message, Prompt

PLACE = "{persona}"
"Where a wording has the persona."

WORDINGS = {
    "were": f"If you were {PLACE},",
    "imagine": f"Imagine you are {PLACE}.",
    "act": f"Act as if you were {PLACE}.",
    "are": f"You are {PLACE}.",
}
"""The paper's four wordings; one that ends in a comma goes on with the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a persona is told and a question is asked.

    Attributes:
        wording: a key of `WORDINGS`, or a sentence of one's own with {persona} in it; "auto" is
            "were" in a question and "act" in a system turn.
        prompt: "plain" text that the answer continues, or a "chat" turn.
        place: in the "question", or in the "system" turn of a chat.

    Raises:
        UsageError: a wording without {persona} or that is no sentence where one is needed, or a
            system turn without a chat.
    """

    wording: str = "auto"
    prompt: Literal["plain", "chat"] = "plain"
    place: Literal["question", "system"] = "question"

    def __post_init__(self) -> None:
        if self.template.count(PLACE) != 1:
            raise UsageError(
                f"a wording must have {PLACE} in it, once",
                where="wording",
                found=self.wording,
                expected=f"one of {', '.join(WORDINGS)}, or a sentence such as '{WORDINGS['act']}'",
            )
        if self.place == "system" and self.prompt != "chat":
            raise UsageError(
                "plain text has no system turn", where="place", hint="set `prompt: chat`"
            )
        if self.place == "system" and self.template.rstrip().endswith(","):
            raise UsageError(
                "a system turn needs a whole sentence",
                where="wording",
                found=self.template,
                expected=f"a sentence such as '{WORDINGS['act']}'",
            )

    @property
    def template(self) -> str:
        """The wording itself, with its place for the persona."""
        named = self.wording
        if named == "auto":
            named = "act" if self.place == "system" else "were"
        return WORDINGS.get(named, named)

    def sentence(self, who: Persona) -> str:
        """Return the sentence that tells the persona; "" for none.

        >>> Manner().sentence(Persona("8-year-old", "an 8-year-old"))
        'If you were an 8-year-old,'
        """
        return self.template.replace(PLACE, who.text) if who.text else ""

    def question(self, who: Persona, question: str) -> str:
        """Return a question, which begins in lower case, as it is put to a persona.

        >>> wug = Persona("wug", "a wug")
        >>> Manner().question(wug, "which one is it?")
        'If you were a wug, which one is it?'
        >>> Manner(wording="act").question(wug, "which one is it?")
        'Act as if you were a wug. Which one is it?'
        """
        sentence = "" if self.place == "system" else self.sentence(who)
        if sentence.rstrip().endswith(","):
            return f"{sentence.rstrip()} {question}"
        asked = question[:1].upper() + question[1:]
        return f"{sentence.rstrip()} {asked}" if sentence else asked

    def prompted(self, who: Persona, text: str, stem: str) -> Prompt:
        """Return what a model is given: plain text that ends in the stem, or a conversation.

        In a conversation the stem is not written; what is scored begins with it (`answers`).
        """
        if self.prompt == "plain":
            return f"{text}\n{stem}" if stem else text
        system: Sequence[Message] = ()
        if self.place == "system" and (told := self.sentence(who)):
            system = (Message("system", told),)
        return (*system, Message("user", text))

    def answers(self, stem: str, names: Sequence[str]) -> tuple[str, ...]:
        """Return the continuations that stand for the names.

        >>> Manner().answers("Answer: Machine", "12"), Manner(prompt="chat").answers("A:", "AB")
        ((' 1', ' 2'), ('A', 'B'))
        >>> Manner(prompt="chat").answers("Answer: Machine", "12")
        ('Machine 1', 'Machine 2')
        """
        if self.prompt == "plain":
            return tuple(f" {name}" for name in names)
        begun = stem.partition(":")[2].strip()
        return tuple(f"{begun} {name}".strip() for name in names)

    def facts(self) -> dict[str, str]:
        """Return what decides how it is asked."""
        return {"wording": self.template, "prompt": self.prompt, "place": self.place}
