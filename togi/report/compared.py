"""What rose and what fell between two sets of rows, and rates by group: plots and tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.tables import Table, table

MOST_PLOTTED = 10
"""n-grams of each direction in the drawing; the tables hold all that the step listed."""
MOST_NESTED = 4
"""n-grams of the same trend that a table names."""
WORDS = {
    "log odds ratio": "How many times the odds of an n-gram are in the second set what they are in"
    " the first, as a power of 2, with a prior that calms rare n-grams: +1 is twice, −1 half.",
    "z": "The log-odds ratio over its standard deviation: what the n-grams are ranked by.",
    "q": "p of the exact test, made larger because many n-grams were tested at once: calling all"
    " those of at most 0.05 real is wrong about one time in twenty (Benjamini & Hochberg).",
    "share": "Documents that hold the n-gram, of all documents of the set.",
    "ratio": "The second share over the first, with its interval.",
}


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one section for each comparison of the run."""
    found = []
    for step in files.steps:
        told = files.json(step, "compare.json")
        if told:
            found.append(_section(told, step.name, names))
    return found


def _section(told: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    a, b = _two(told.get("names"))
    rates = [as_dict(entry) for entry in as_list(told.get("rates"))]
    return {
        "id": names.ids("compare", step),
        "title": f"What rose and what fell from {a} to {b}",
        "sentence": str(told.get("sentence") or ""),
        "notes": [str(note) for note in as_list(told.get("notes"))],
        "plot": _plot(told, step, names),
        "tables": [
            _table(f"{verb} from {a} to {b}", (a, b), entries, names)
            for verb, key in (("More frequent", "rising"), ("Less frequent", "falling"))
            if (entries := [as_dict(entry) for entry in as_list(told.get(key))])
        ],
        "examples": _examples(told),
        "facts": _facts(told, (a, b)),
        "rates": _rates(rates, step, names) if rates else None,
    }


def _two(value: Any) -> tuple[str, str]:
    names = [str(name) for name in as_list(value)]
    return (names[0], names[1]) if len(names) == 2 else ("A", "B")


def _plot(told: dict[str, Any], step: str, names: Names) -> IntervalPlot | None:
    every = [
        as_dict(entry)
        for key in ("rising", "falling")
        for entry in as_list(told.get(key))[:MOST_PLOTTED]
    ]
    if not every:
        return None
    a, b = _two(told.get("names"))
    names("log odds ratio", WORDS["log odds ratio"])
    return interval_plot(
        [_mark(entry) for entry in every],
        id=names.ids("figure", "compare", step),
        title=f"From {a} to {b}: a filled mark is beyond chance after correction",
        axis_label="log odds ratio to the base 2: +1 is twice the odds, −1 half",
        lines=((0, "no change"),),
    )


def _mark(entry: dict[str, Any]) -> Mark:
    odds = as_dict(entry.get("log_odds"))
    mean, low, high = (
        None if (value := finite(odds.get(key))) is None else value / log(2)
        for key in ("mean", "low", "high")
    )
    counts = " → ".join(show.told(n) for n in as_list(entry.get("documents")))
    kind = "good" if entry.get("significant") is True else "open"
    return Mark(str(entry.get("ngram", "")), counts, mean, low, high, kind)


def _table(
    title: str, sets: tuple[str, str], entries: Sequence[dict[str, Any]], names: Names
) -> Table:
    for word in ("z", "q", "share", "ratio"):
        names(word, WORDS[word])
    rows = []
    for entry in entries:
        counts = [show.told(n) for n in as_list(entry.get("documents"))]
        shares = [
            show.share(share, 1) if (share := finite(value)) is not None else show.TOO_SMALL
            for value in as_list(entry.get("shares"))
        ]
        sides = [f"{n} ({share})" for n, share in zip(counts, shares, strict=False)]
        rows.append(
            (
                str(entry.get("ngram", "")),
                *(sides if len(sides) == 2 else ("–", "–")),
                times(as_dict(entry.get("ratio"))),
                show.number(entry.get("z"), 1, sign=True),
                show.p_value(entry.get("q")),
                "yes" if entry.get("significant") is True else "no",
                _nested(as_list(entry.get("with"))),
            )
        )
    head = ("n-gram", *sets, "ratio (interval)", "z", "q", "beyond chance", "same trend")
    return table(title, head, rows, text=(0, 6, 7), code=True)


def times(ratio: dict[str, Any]) -> str:
    """Say a ratio with its interval; an n-gram that the first set lacks is new.

    >>> times({"mean": 2.671, "low": 1.82, "high": 183.4}), times({"low": 3.14, "high": None})
    ('2.7 (1.8 to 183)', 'new (over 3.1)')
    """
    mean, low, high = (
        None if (value := finite(ratio.get(key))) is None else _two_digits(value)
        for key in ("mean", "low", "high")
    )
    if mean is None:
        return "new" if low is None else f"new (over {low})"
    return f"{mean} ({low or 0} to {high or 'any'})"


def _two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _nested(others: Sequence[Any]) -> str:
    """Name the first n-grams of the same trend.

    >>> _nested(["a b", "b c"]), _nested([str(n) for n in range(6)])
    ('a b, b c', '0, 1, 2, 3 and 2 more')
    """
    shown = ", ".join(str(name) for name in others[:MOST_NESTED])
    return shown + (f" and {len(others) - MOST_NESTED} more" if len(others) > MOST_NESTED else "")


def _examples(told: dict[str, Any]) -> Table:
    every = [as_dict(e) for key in ("rising", "falling") for e in as_list(told.get(key))]
    rows = [(e.get("ngram"), str(e["example"])) for e in every if e.get("example")]
    return table("One document of each n-gram", ("n-gram", "stands in"), rows, text=(0, 1))


def _facts(told: dict[str, Any], sets: tuple[str, str]) -> Table:
    documents = [show.told(n) for n in as_list(told.get("documents"))]
    ngrams = [show.told(n) for n in as_list(as_dict(told.get("ngrams")).get("occurrences"))]
    plain = {
        f"documents of {sets[0]} and {sets[1]}": " and ".join(documents),
        "n-grams in them": " and ".join(ngrams),
        "compared": told.get("unit"),
        "test": told.get("test"),
        "n-grams tested": told.get("tested"),
        "trends, nested n-grams folded": told.get("trends"),
        "false discovery rate": told.get("error"),
        "root mean square of z (1 by chance alone)": told.get("rms_z"),
    }
    rows = [(name, show.told(value)) for name, value in plain.items() if value is not None]
    return table("How it was compared", ("setting", "value"), rows, text=(0, 1))


def _rates(rates: Sequence[dict[str, Any]], step: str, names: Names) -> dict[str, Any]:
    marks, rows = [], []
    for entry in rates:
        group = str(entry.get("group", ""))
        sides = list(zip(as_list(entry.get("names")), as_list(entry.get("rates")), strict=False))
        for name, value in sides:
            rate = as_dict(value)
            label = f"{name}, {group}" if group else str(name)
            mean, low, high = (finite(rate.get(key)) for key in ("mean", "low", "high"))
            marks.append(Mark(label, _percent(rate), mean, low, high))
            rows.append((label, _percent(rate), show.told(rate.get("n")), "", ""))
        if len(sides) == 2:
            gap = as_dict(entry.get("difference"))
            label = f"difference{f', {group}' if group else ''}"
            n = show.told(gap.get("n"))
            p, q = (show.p_value(entry.get(key)) for key in ("p", "q"))
            rows.append((label, _percent(gap, sign=True), n, p, q))
    head = ("", "rate (interval)", "n", "p", "q")
    return {
        "plot": interval_plot(
            marks, id=names.ids("figure", "rates", step), title="Rates", axis_label="share"
        ),
        "table": table("Rates with intervals", head, rows),
    }


def _percent(estimate: dict[str, Any], *, sign: bool = False) -> str:
    """Say a share in per cent with its interval.

    >>> _percent({"mean": 0.2607, "low": 0.253, "high": 0.2685})
    '26.07 % (25.30 to 26.85)'
    """
    mean, low, high = (
        None if (value := finite(estimate.get(key))) is None else 100 * value
        for key in ("mean", "low", "high")
    )
    told = show.TOO_SMALL if mean is None else f"{show.number(mean, 2, sign=sign)} %"
    if low is None or high is None:
        return told
    return f"{told} ({show.number(low, 2, sign=sign)} to {show.number(high, 2, sign=sign)})"
