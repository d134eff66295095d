"""The data card of a selection: what it holds, whence and how it came, what to mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from togi import __version__

SHOWN = 8  # n-grams of each direction
SOURCES = 20


def card(told: Mapping[str, Any]) -> str:
    """Return the card as Markdown, from what `selection.json` tells."""
    parts = [_head(told), _made(told), _sources(told), _changed(told), _mind(told)]
    return "\n".join(part for part in parts if part)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    r"""Return a value as a cell of a table.

    >>> _cell(1234567), _cell(None), _cell("a|b"), _cell(False)
    ('1,234,567', 'unknown', 'a\\|b', 'no')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:,.4g}"
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _head(told: Mapping[str, Any]) -> str:
    way = "drawn at random" if told["method"] == "random" else "chosen by DSIR"
    lengths = told["lengths"]
    rows = [
        (name, told[key], lengths[name]["mean"], lengths[name]["median"])
        for name, key in (("pool", "n_raw"), ("target", "n_target"), ("picked", "k"))
    ]
    return (
        f"# Data card: {told['k']:,} documents {way}\n\n"
        f"{told['k']:,} of {told['n_raw']:,} documents, picked by togi {__version__} "
        "(Xie et al. 2023, Data Selection for Language Models via Importance Resampling).\n\n"
        + _table(("", "documents", "mean words", "median words"), rows)
    )


def _made(told: Mapping[str, Any]) -> str:
    options = {**told["options"], "seed": str(told["seed"])}
    if not options["separate_targets"]:
        del options["proportions"]
    found = told["duplicates"]
    looked = "" if found["share"] == 1 else f" (in a {found['share']:.2%} sample by hash)"
    rows = [
        ("KL reduction, nats", told["kl_reduction"]),
        ("effective sample size of the weights", told["effective_sample_size"]),
        ("too short to be picked", told["filtered"]),
        (f"copies in the pool{looked}", found["pool"]["copies"]),
        (f"copies in the pick{looked}", found["picked"]["copies"]),
        (f"picked, and word for word in the target{looked}", found["in_target"]),
        *((f"left out: {reason}", count) for reason, count in told["dropped"].items()),
    ]
    return (
        "## How it was made\n\n" + _table(("setting", "value"), [*options.items()])
        + "\n## What is known of it\n\n" + _table(("figure", "value"), rows)
    )  # fmt: skip


def _sources(told: Mapping[str, Any]) -> str:
    rows = [
        (one["source"], one["pool"], one["picked"], _times(one, told))
        for one in told["sources"][:SOURCES]
    ]
    more = len(told["sources"]) - SOURCES
    rest = f"\n{more} more in selection.json.\n" if more > 0 else ""
    heads = ("source", "pool", "picked", "against chance")
    return "## Where it came from\n\n" + _table(heads, rows) + rest


def _times(one: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if not one["pool"] or not told["k"]:
        return "–"
    return f"{one['picked'] / told['k'] / (one['pool'] / told['n_raw']):.2f} ×"


def _changed(told: Mapping[str, Any]) -> str:
    bands = [
        (
            f"{one['least']:,} to {one['most']:,} words",
            one["pool"],
            one["picked"],
            _times(one, told),
        )
        for one in told["length_bands"]
    ]
    text = "## What it has more and less of than the pool\n\n" + _table(
        ("length", "pool", "picked", "against chance"), bands
    )
    for key, name in (("rising", "More"), ("falling", "Less")):
        ngrams = ", ".join(f"`{one['ngram']}`" for one in told[key][:SHOWN])
        text += f"\n{name}: {ngrams}\n" if ngrams else ""
    return text


def _mind(told: Mapping[str, Any]) -> str:
    notes = [*told["notes"], "The texts keep the licences and the faults of their sources."]
    return "## What to mind\n\n" + "\n".join(f"- {note}" for note in notes) + "\n"
