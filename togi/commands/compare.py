"""`togi data compare`: two sources become a recipe; what rose and fell is told at the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.report import numbers as show
from togi.report.compared import times
from togi.rows.packed import without_suffix
from togi.run_folder import read_json
from togi.voice import Voice

LINES = (".txt", ".text")
LAST = 6  # column of the mark and the further n-grams
NESTED = 2  # further n-grams of the same trend that are named
SHOWN = 15  # n-grams of each direction at the terminal; the page and the csv hold more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The two sources and how they are read."""

    a: str
    b: str
    column: str = ""
    skip: bool = False

    def read(self, name: str, source: str) -> dict[str, Any]:
        """Return the step that reads one of them; a text file has a document on each line."""
        step: dict[str, Any] = {"name": name, "use": "rows.read", "source": source}
        if self.column:
            step |= {"kind": "document", "columns": {"text": self.column}}
        elif _is_text(source):
            step["kind"] = "lines"
        if self.skip:
            step["on_bad"] = "skip"
        return step

    def names(self) -> list[str]:
        """Return how the two are called: by their files, with as many folders as tell them apart.

        >>> Sources(a="/data/old/titles.csv", b="/data/new/titles.csv").names()
        ['old/titles', 'new/titles']
        """
        paths = [Path(source) for source in (self.a, self.b)]
        for depth in range(1, max(len(path.parts) for path in paths) + 1):
            short = ["/".join([*path.parts[-depth:-1], _stem(path)]) for path in paths]
            if short[0] != short[1]:
                return short
        return ["A", "B"]


def _stem(path: Path) -> str:
    return path.name.partition(".")[0] or path.name


def _is_text(source: str) -> bool:
    """Whether a source is a text file, packed or not.

    >>> [_is_text(name) for name in ("a.txt", "a.txt.zst", "a.jsonl", "hub:owner/a.txt-set")]
    [True, True, False, False]
    """
    return without_suffix(source.lower()).endswith(LINES)


def run_compare(sources: Sources, settings: Sequence[str], seed: int, flags: RunFlags) -> int:
    """Compare two sources, print the table, and return the exit code."""
    step: dict[str, Any] = {"name": "compare", "use": "data.compare", "a": "a", "b": "b"}
    if not any(pair.startswith("names=") for pair in settings):
        step["names"] = sources.names()
    steps = [sources.read("a", sources.a), sources.read("b", sources.b), step]
    whole = OneOff(name="compare", sources={}, steps=steps, seed=seed)
    recipe = whole.recipe(settings)
    code = run_in_folder(recipe, flags)
    if flags.dry_run:
        return code
    folder = flags.out or Path("runs") / recipe.name
    voice = Voice(flags.manner)
    for place in sorted(folder.glob("steps/compare-*/compare.json")):
        found = read_json(place)
        if found and _is_current(folder, place):
            voice.final("compare", text="\n".join(table_lines(found)), **found)
    return code


def _is_current(folder: Path, place: Path) -> bool:
    done = read_json(folder / "run.json") or {}
    return any(folder / step["folder"] == place.parent for step in done.get("steps", []))


def table_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables: what rose, what fell, rates."""
    a, b = found["names"]
    for key, title in (("rising", f"rose from {a} to {b}"), ("falling", f"fell from {a} to {b}")):
        entries = found[key][:SHOWN]
        head = (title, a, b, "ratio (interval)", "z", "q", "")
        body = [_cells(entry) for entry in entries]
        if body:
            yield ""
            yield from _aligned([head, *body])
    rates = found.get("rates", [])
    if rates:
        yield ""
        yield from _aligned([("rate", "", "", "difference (interval)", "p"), *map(_rate, rates)])


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    shares = [
        f"{n:,} ({show.share(share, 1)})"
        for n, share in zip(entry["documents"], entry["shares"], strict=True)
    ]
    mark = "*" if entry["significant"] else ""
    if entry["with"]:
        mark += f" with {', '.join(entry['with'][:NESTED])}"
    z = show.number(entry["z"], 1, sign=True)
    return (entry["ngram"], *shares, times(entry["ratio"]), z, show.p_value(entry["q"]), mark)


def _rate(entry: dict[str, Any]) -> tuple[str, ...]:
    def percent(one: dict[str, Any]) -> str:
        low, high = show.finite(one["low"]), show.finite(one["high"])
        told = f"{100 * one['mean']:.2f} %"
        bounds = "" if low is None or high is None else f" ({100 * low:.2f} to {100 * high:.2f})"
        return told + bounds

    names, rates = entry["names"], entry["rates"]
    sides = [f"{name}: {percent(rate)}" for name, rate in zip(names, rates, strict=True)]
    if len(sides) == 1:
        return (entry["group"], *sides, "", "", "")
    gap = entry["difference"]
    low, high = 100 * gap["low"], 100 * gap["high"]
    told = f"{100 * gap['mean']:+.2f} ({low:+.2f} to {high:+.2f}) points"
    return (entry["group"], *sides, told.replace("-", show.MINUS), show.p_value(entry["p"]))


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place in (0, LAST) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
