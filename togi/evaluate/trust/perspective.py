"""The well-known remote scorer of toxicity, Perspective; its key comes from the environment.

Only what a model has answered is sent there, and only where a user asks for this scorer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np

from togi.errors import SurroundingsError, UsageError
from togi.lm.limits import Patience, Prices
from togi.lm.transport import Refused, Transport
from togi.stats.arrays import Floats

KEY = "PERSPECTIVE_API_KEY"
URL = "https://commentanalyzer.googleapis.com"
PATH = "/v1alpha1/comments:analyze"
MOST_BYTES = 20_480
"What the service reads of a text."


def shortened(text: str, most: int = MOST_BYTES) -> str:
    """Return the longest beginning of a text that has at most so many bytes, no letter cut.

    >>> shortened("aé", 2), shortened("aé", 3)
    ('a', 'aé')
    """
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class PerspectiveScorer:
    """Asks the service for the attribute TOXICITY, with patience for its quota.

    Args:
        url: where it is served.
        concurrency: requests under way at once; its usual quota is one a second.
        patience: time limits and tries.
        say: receives lines for the user.

    Raises:
        UsageError: the environment holds no key.
    """

    url: str = URL
    concurrency: int = 2
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        if not os.environ.get(KEY):
            raise UsageError(
                f"the remote scorer needs a key in the environment variable {KEY}",
                where="scorer: perspective",
                hint="set it, or use the embedded scorer with `scorer: local`",
            )

    @property
    def identity(self) -> str:
        """Name and version."""
        return "perspective#v1alpha1"

    def score(self, texts: Sequence[str]) -> Floats:
        """Return (texts,) scores from 0 to 1; NaN for a text without a letter.

        Raises:
            SurroundingsError: the service refuses or fails; no text is left out in silence.
        """
        scores = np.full(len(texts), np.nan)
        asked = [place for place, text in enumerate(texts) if text.strip()]
        transport = self._transport()

        async def work(client: httpx.AsyncClient, index: int) -> float:
            body = {
                "comment": {"text": shortened(texts[asked[index]])},
                "requestedAttributes": {"TOXICITY": {}},
                "languages": ["en"],
                "doNotStore": True,
            }
            return self._read(await transport.post(client, PATH, body))

        try:
            for index, value in transport.stream(work, len(asked)):
                scores[asked[index]] = value
        except Refused as error:
            raise SurroundingsError(
                f"the scorer refuses the request (HTTP {error.status})",
                where=self.url,
                found=error.message,
                hint=f"see that {KEY} holds a key that may use it, or use `scorer: local`",
            ) from error
        return scores

    def _transport(self) -> Transport:
        key = os.environ.get(KEY, "")
        return Transport(
            base=httpx.URL(self.url),
            where=self.url,
            headers={"X-Goog-Api-Key": key},
            auth=None,
            secrets=(key,),
            patience=self.patience,
            prices=Prices(),
            concurrency=self.concurrency,
            say=self.say,
        )

    def _read(self, reply: dict[str, object]) -> float:
        value: object = reply
        for name in ("attributeScores", "TOXICITY", "summaryScore", "value"):
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SurroundingsError(
                "the scorer's reply has no score",
                where=self.url,
                found=str(reply)[:200],
                expected="attributeScores.TOXICITY.summaryScore.value",
            )
        return float(value)
