"""Which language a text is in, as a hint: py3langid's model, and "unknown" where it is not sure.

The model (139 languages, an array file without code) comes with the package; nothing is fetched.
"""

from __future__ import annotations

import re
from typing import Any

from togi.errors import SurroundingsError, UsageError, nearest

UNKNOWN = "unknown"
SURE = 0.5  # probability from which on a language counts as known
LETTERS = 20  # fewer letters tell nothing
LOOKED_AT = 2000  # characters of a text
NOT_PROSE = re.compile(r"```[^`]{0,100000}```|`[^`\n]{1,200}`|https?://\S{1,2000}")


class Languages:
    """Tells languages of texts.

    Args:
        sure: probability from which on a language counts as known.

    Raises:
        SurroundingsError: the package is not installed.
    """

    def __init__(self, sure: float = SURE) -> None:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError as error:
            raise SurroundingsError(
                "telling languages needs the package py3langid",
                where="language",
                hint="pip install 'togi[language]'",
            ) from error
        self.sure = sure
        self._model: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def check(self, codes: list[str]) -> None:
        """Refuse a code that the model does not know.

        Raises:
            UsageError: names the nearest one.
        """
        known = set(self._model.labels)
        for code in codes:
            if code not in known:
                raise UsageError(
                    f"no language has the code '{code}'",
                    where="language",
                    expected="codes of ISO 639, such as en, de, zh",
                    hint=nearest(code, known) if len(code) > 1 else "",
                )

    def of(self, text: str) -> str:
        """Return a text's language, "unknown" where it is too short or too mixed to tell.

        Code in fences and addresses of pages are left out of account.
        """
        prose = NOT_PROSE.sub(" ", text)[:LOOKED_AT]
        if sum(map(str.isalpha, prose)) < LETTERS:
            return UNKNOWN
        code, probability = self._model.classify(prose)
        return str(code) if probability >= self.sure else UNKNOWN
