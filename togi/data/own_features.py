"""Features of documents by a plain function: a text in, its features out as strings."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from togi.errors import DataError, TogiError, UsageError, nearest

Function: TypeAlias = Callable[[str], Iterable[str]]
Of: TypeAlias = "str | Function"
KINDS = ("words", "characters")
REMEMBERED = 1 << 16  # features whose buckets are kept at hand


def hash_bucket(ngram: str, buckets: int = 10_000) -> int:
    """Return the exact hash's bucket of a feature; an n-gram's words are joined by one space.

    >>> hash_bucket("alice"), hash_bucket("alice went")
    (6720, 114)
    """
    digest = hashlib.sha256(ngram.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest, "big") % buckets


def check_of(of: Of) -> None:
    """Refuse what names no features.

    Raises:
        UsageError: neither words, characters, a function nor `file.py:function`.
    """
    if callable(of) or of in KINDS:
        return
    if ".py:" not in of:
        raise UsageError(
            f"there are no features of {of!r}",
            where="of",
            expected="words, characters or file.py:function",
            hint=nearest(of, KINDS),
        )
    from togi.align.user_function import parse

    parse(of)


def name_of(of: Of) -> str:
    """Return a text that tells features apart: a function's name with a digest of its code.

    >>> name_of("words")
    'words'
    """
    if isinstance(of, str):
        if of in KINDS:
            return of
        from togi.align.user_function import parse

        path, name = parse(of)
        return f"{path.name}:{name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    code = getattr(of, "__code__", None)
    body = repr((code.co_code, code.co_consts, code.co_names)) if code else repr(of)
    name = f"{getattr(of, '__module__', '')}.{getattr(of, '__qualname__', type(of).__name__)}"
    return f"{name}:{hashlib.sha256(body.encode()).hexdigest()[:16]}"


class OwnFeatures:
    """Counts what a function makes of each document, hashed by SHA-256 modulo `buckets`.

    Args:
        of: the function, or `file.py:function`, which is imported here: it is the user's code.
        buckets: m.

    Raises:
        UsageError: there is no such function.
    """

    def __init__(self, of: Of, buckets: int) -> None:
        self.name = of if isinstance(of, str) else getattr(of, "__qualname__", repr(of))
        self.function = _loaded(of) if isinstance(of, str) else of
        self.bucket = functools.lru_cache(REMEMBERED)(
            functools.partial(hash_bucket, buckets=buckets)
        )

    def __call__(self, data: bytes, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of features of each document [documents], and all buckets.

        Args:
            data: UTF-8.
            spans: int64[documents, 3]: a document's start, end, and whether JSON escapes it.
        """
        sizes, buckets = [], []
        for start, end, escaped in spans.tolist():
            text = data[start:end].decode("utf-8", "surrogatepass")
            found = self.features(json.loads(f'"{text}"') if escaped else text)
            sizes.append(len(found))
            buckets += map(self.bucket, found)
        return np.array(sizes, dtype=np.int64), np.array(buckets or [0], np.uint32)[: len(buckets)]

    def features(self, text: str) -> list[str]:
        """Return the features of one text.

        Raises:
            DataError: the function raises, or returns what is no list of strings.
        """
        try:
            given = self.function(text)
            found = [given] if isinstance(given, str) else list(given)
        except TogiError:
            raise
        except Exception as fault:
            raise DataError(
                "the function of features failed",
                where=self.name,
                found=f"{type(fault).__name__}: {fault}, for the text {text[:60]!r}",
                hint="mend the function and run the same command again",
            ) from fault
        wrong = [one for one in found if not isinstance(one, str)]
        if wrong or isinstance(given, str):
            raise DataError(
                "the function of features returned something else than strings",
                where=self.name,
                found=repr(wrong[0] if wrong else given)[:60],
                expected="a list of strings, one for each feature",
            )
        return found

    def examples(self, texts: Sequence[str], wanted: Sequence[int]) -> dict[int, Counter[str]]:
        """Return the features that fall into the wanted buckets, with their counts."""
        known: dict[int, Counter[str]] = {bucket: Counter() for bucket in wanted}
        for text in texts:
            for feature in self.features(text):
                bucket = self.bucket(feature)
                if bucket in known:
                    known[bucket][feature] += 1
        return known


def _loaded(spec: str) -> Function:
    """Import a user's function.

    Raises:
        UsageError: the file cannot be imported, or has no such function.
    """
    from togi.align.user_function import parse
    from togi.align.user_worker import load, told

    path, name = parse(spec)
    try:
        return load(path.resolve(), name)
    except Exception as fault:
        raise UsageError(
            "the file of the function cannot be imported", where=spec, found=told(fault, path)
        ) from fault
