"""`togi align merge`: an adapter and its base become one model, and the drift is told."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from togi.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from togi.align.merge import Texts

DTYPES = ("auto", "float32", "bfloat16")
MOST = 32  # rows that the drift is measured on


def merge(
    adapter: Path,
    model: str,
    out: Path,
    *,
    dtype: str,
    texts: str,
    compare: bool,
    offline: bool,
    quiet: bool,
) -> None:
    """Merge, save, and print what was done and how far log-probabilities moved.

    Raises:
        UsageError: for an endpoint, an unknown type, or a folder that is in use.
        TogiError: where `merge_adapter` raises it.
    """
    from togi.lm.catalogue import resolve
    from togi.lm.open import ENDPOINT

    if model.startswith(ENDPOINT):
        raise UsageError("an endpoint's weights are out of reach", where="--model", found=model)
    if dtype not in DTYPES:
        raise UsageError(
            "no such type", where="--dtype", found=dtype, expected=nearest(dtype, DTYPES)
        )
    say = (lambda line: None) if quiet else print
    base = resolve(model, offline=offline, say=say)
    from togi.align.merge import TEXTS, merge_adapter

    given = _texts(texts, offline) if texts else TEXTS
    done = merge_adapter(
        adapter, base, out, name=model, dtype=dtype, texts=given, compare=compare, say=say
    )
    print(f"{done.layers} layers merged into {done.into}, in {done.dtype}: {done.folder}")
    print(f"what the adapter changes:         {done.effect}")
    print(f"what merging changed of that:     {done.saved}")
    for way, found in done.others.items():
        print(f"{f'had it been {way}:':<34}{found}")


def _texts(source: str, offline: bool) -> Texts:
    """Read rows as contexts and continuations: a document is scored whole, an answer after its ask.

    Raises:
        DataError: when no row is a document or has a prompt and a response.
    """
    from togi.rows.read import read_rows
    from togi.rows.types import Document, Example

    found: list[tuple] = []
    for row in islice(read_rows(source, offline=offline), MOST):
        if isinstance(row, Document):
            found.append(("", row.text))
        elif isinstance(row, Example):
            found.append((row.prompt, row.response))
    if not found:
        raise DataError(
            "there is nothing to measure on", where=source, expected="documents, or prompts and "
            "responses",
        )  # fmt: skip
    return found
