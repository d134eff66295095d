"""The columns of a table of training runs: near names, and numbers as people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from togi.errors import DataError
from togi.rows.raw import BadRow, short

FIELDS: dict[str, tuple[str, ...]] = {
    "params": ("params", "parameters", "n_params", "num_params", "model_size", "size", "n"),
    "tokens": ("tokens", "n_tokens", "train_tokens", "training_tokens", "dataset_size", "d"),
    "loss": ("loss", "val_loss", "validation_loss", "eval_loss", "test_loss", "final_loss", "l"),
    "flops": ("flops", "flop", "training_flops", "training_flop", "train_flops", "compute", "c"),
    "unique_tokens": ("unique_tokens", "unique", "unique_data", "u"),
    "name": ("name", "run_name", "run", "id"),
}
"What a table's columns may be called, small letters and _ for all else."

_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKmMbBgGtT]?)")
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def number(text: Any) -> float:
    """Return a number as tables write it; k, M, B (or G) and T stand for powers of a thousand.

    Raises:
        BadRow: it is none.

    >>> number("2.8B"), number(" 5.76e23"), number("400M"), number(3)
    (2800000000.0, 5.76e+23, 400000000.0, 3.0)
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    found = _NUMBER.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise BadRow(
            "not a number", found=short(text), expected="a number such as 2.8e9, 2800000000 or 2.8B"
        )
    return float(found[1].replace("_", "")) * _SCALE[found[2].lower()]


def find_columns(found: list[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Return field -> column, by what the user says or by near names.

    Raises:
        DataError: a needed column is missing, or two could be meant.

    >>> find_columns(["Model Size", "Training FLOP", "loss"], {}, "t.csv")["flops"]
    'Training FLOP'
    """
    fields: dict[str, str] = {}
    for key, near in FIELDS.items():
        if key in given:
            if given[key] not in found:
                raise DataError(
                    f"no column '{given[key]}'", where=where, found=", ".join(map(str, found))
                )
            fields[key] = given[key]
            continue
        meant = [name for name in found if re.sub(r"\W+", "_", name.strip().lower()) in near]
        if len(meant) > 1:
            raise DataError(
                f"two columns could be {key}",
                where=where,
                found=", ".join(meant),
                hint=f"say which: columns: {{{key}: {meant[0]}}}",
            )
        fields |= {key: meant[0]} if meant else {}
    needs = _missing(fields)
    if needs:
        raise DataError(
            f"no column for {needs}",
            where=where,
            found=", ".join(map(str, found)),
            expected="params, tokens and loss; flops may stand for one of the first two",
            hint="name it with columns: {" + needs.split()[0] + ": <the file's name>}",
        )
    return fields


def _missing(fields: Mapping[str, str]) -> str:
    if "loss" not in fields:
        return "loss"
    sizes = {"params", "tokens", "flops"} & set(fields)
    if len(sizes) >= 2 or (not sizes and "name" in fields):
        return ""
    return "params" if "params" not in fields else "tokens"


def cell(value: dict[str, Any], column: str) -> float:
    """Return a positive number from a row's column."""
    try:
        real = number(value.get(column))
    except BadRow as fault:
        problem = f"column '{column}' is {fault.problem}"
        raise BadRow(problem, found=fault.found, expected=fault.expected) from None
    if not math.isfinite(real) or real <= 0:
        hint = "a loss of 0 is often an unfinished run: leave it out, or set on_bad: skip"
        raise BadRow(
            f"column '{column}' must be a finite number above 0",
            found=f"{real:g}",
            hint=hint if "loss" in column.lower() else "",
        )
    return real
