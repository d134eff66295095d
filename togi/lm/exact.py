"""A small language model whose every probability is known: for tests and worked examples.

It reads bytes, so each text has exactly one spelling in tokens, and looks back a fixed number of
them. The probability of any text can be multiplied out by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from togi.errors import UsageError
from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt
from togi.stats.rng import stream

END = 256
"The token that ends an answer; 0 to 255 are the bytes themselves."
VOCABULARY = 257


class ExactModel:
    """An n-gram model over bytes and END as a `LanguageModel`.

    Args:
        rows: context bytes -> probabilities [257] of the next token. The longest context among
            the keys that ends the text so far decides.
        name: shown to the user.

    >>> model = ExactModel.from_table({"a": {"b": 0.25, "c": 0.75}})
    >>> [round(float(np.exp(s.total)), 6) for s in model.score(["a", "a"], ["b", "c"])]
    [0.25, 0.75]
    """

    def __init__(self, rows: Mapping[bytes, NDArray[np.float64]], *, name: str = "exact") -> None:
        self.name = name
        self._rows: dict[bytes, NDArray[np.float64]] = {b"": np.full(VOCABULARY, 1 / VOCABULARY)}
        for context, row in rows.items():
            row = np.asarray(row, dtype=np.float64)
            if row.shape != (VOCABULARY,) or row.min() < 0 or abs(row.sum() - 1) > 1e-9:
                raise UsageError(
                    "the probabilities of a row must be 257 numbers that sum to one",
                    where=f"exact model, after {context!r}",
                    found=f"shape {row.shape}, sum {row.sum():.6g}",
                )
            self._rows[context] = row
        self.order = max(map(len, self._rows))
        digest = hashlib.blake2b(digest_size=16)
        for context in sorted(self._rows):
            digest.update(len(context).to_bytes(4, "little") + context)
            digest.update(self._rows[context].astype("<f8").tobytes())
        self.fingerprint = digest.hexdigest()

    @classmethod
    def from_text(cls, text: str, order: int = 2, *, name: str = "exact") -> ExactModel:
        """Count what follows each run of up to `order` bytes, plus one for each possible token.

        P(x | context) = (count(context x) + 1) / (count(context) + 257): add-one smoothing. A
        context that the text does not hold is looked up by its shorter endings.

        >>> model = ExactModel.from_text("aab", order=1)
        >>> float(model.probabilities(b"a")[ord("b")]) == (1 + 1) / (2 + 257)
        True
        """
        if order < 0:
            raise UsageError(f"order must be at least 0, got {order}", where="exact model")
        tokens = [*text.encode("utf-8", "surrogatepass"), END]
        counts: dict[bytes, NDArray[np.float64]] = {}
        for place, token in enumerate(tokens):
            for length in range(min(order, place) + 1):
                context = bytes(tokens[place - length : place])
                row = counts.setdefault(context, np.ones(VOCABULARY))
                row[token] += 1
        return cls({c: row / row.sum() for c, row in counts.items()}, name=name)

    @classmethod
    def from_table(
        cls, table: Mapping[str, Mapping[str, float]], *, name: str = "exact"
    ) -> ExactModel:
        """Build from {context: {next character: probability}}; an empty character is END.

        Characters are ASCII, and each row sums to one.
        """
        rows: dict[bytes, NDArray[np.float64]] = {}
        for context, following in table.items():
            row = np.zeros(VOCABULARY)
            for character, probability in following.items():
                row[ord(character) if character else END] = probability
            rows[context.encode("ascii")] = row
        return cls(rows, name=name)

    def probabilities(self, context: bytes) -> NDArray[np.float64]:
        """Return the probabilities [257] of the token after these bytes."""
        for length in range(min(self.order, len(context)), -1, -1):
            if (row := self._rows.get(context[len(context) - length :])) is not None:
                return row
        raise AssertionError("the empty context always has a row")

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        """Score continuations byte by byte; after a conversation END is scored too."""
        pairs = zip(contexts, continuations, strict=True)
        return [self._score(context, continuation) for context, continuation in pairs]

    def _score(self, context: Prompt, continuation: str) -> Scored:
        tokens = [*continuation.encode("utf-8", "surrogatepass")]
        tokens += [] if isinstance(context, str) else [END]
        if not tokens:
            raise UsageError("a continuation to score is empty", where=self.name)
        return self.score_ids(context, tokens)

    def score_ids(self, context: Prompt, tokens: Sequence[int]) -> Scored:
        """Score an answer given as tokens, END where it was ended."""
        before = render(context)
        logprobs, greedy = [], True
        for token in tokens:
            row = self.probabilities(before)
            with np.errstate(divide="ignore"):  # the log-probability of the impossible is -inf
                logprobs.append(np.log(row[token]))
            greedy = greedy and token == int(row.argmax())
            before += bytes([token]) if token != END else b""
        return Scored(tuple(tokens), np.array(logprobs, dtype=np.float32), greedy)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        """Draw answers; each depends on (prompt, seed, number of the draw) alone."""
        return [[self._draw(p, sampling, d) for d in range(sampling.n)] for p in prompts]

    def _draw(self, prompt: Prompt, sampling: Sampling, draw: int) -> Generated:
        before = render(prompt)
        key = hashlib.blake2b(before, digest_size=8).hexdigest()
        uniforms = stream(sampling.seed, "generate", key, draw).random(sampling.max_tokens)
        stops = [stop.encode() for stop in sampling.stop]
        ids: list[int] = []
        logprobs: list[float] = []
        made = b""
        for uniform in uniforms:
            row = self.probabilities(before + made)
            token = choose(row, float(uniform), sampling)
            ids.append(token)
            logprobs.append(float(np.log(row[token])))
            if token == END:
                return _answer(made, ids, logprobs, stopped=True)
            made += bytes([token])
            cuts = [made.find(stop) for stop in stops if stop in made]
            if cuts:
                return _answer(made[: min(cuts)], ids, logprobs, stopped=True)
        return _answer(made, ids, logprobs, stopped=False)


def _answer(made: bytes, ids: list[int], logprobs: list[float], *, stopped: bool) -> Generated:
    values = np.array(logprobs, dtype=np.float32)
    return Generated(
        made.decode("utf-8", "replace"), tuple(ids), values, "stop" if stopped else "length"
    )


def render(prompt: Prompt) -> bytes:
    r"""Spell a prompt in bytes: a text as it is, a conversation as lines of role and content.

    >>> from togi.rows.types import Message
    >>> render((Message("user", "Hi"),))
    b'user: Hi\nassistant: '
    """
    if isinstance(prompt, str):
        return prompt.encode("utf-8", "surrogatepass")
    turns = "".join(f"{message.role}: {message.content}\n" for message in prompt)
    return f"{turns}assistant: ".encode("utf-8", "surrogatepass")


def choose(row: NDArray[np.float64], uniform: float, sampling: Sampling) -> int:
    """Choose a token by inverting the cumulative distribution at one uniform number.

    Temperature comes first, then top-k, then top-p: the smallest set of most probable tokens
    that holds at least `top_p`.

    >>> row = np.array([0.2, 0.5, 0.3])
    >>> [choose(row, u, Sampling()) for u in (0.1, 0.6, 0.9)]
    [0, 1, 2]
    >>> choose(row, 0.99, Sampling(top_k=1)), choose(row, 0.99, Sampling(top_p=0.6))
    (1, 2)
    """
    if sampling.temperature == 0:
        return int(row.argmax())
    with np.errstate(divide="ignore"):
        weights = np.exp((np.log(row) - np.log(row.max())) / sampling.temperature)
    order = np.argsort(-weights, kind="stable")
    kept = order[: sampling.top_k] if sampling.top_k else order
    share = weights[kept] / weights[kept].sum()
    kept = np.sort(kept[(share.cumsum() - share) < sampling.top_p])
    ladder = weights[kept].cumsum()
    place = int(np.searchsorted(ladder, uniform * ladder[-1], side="right"))
    return int(kept[min(place, len(kept) - 1)])
