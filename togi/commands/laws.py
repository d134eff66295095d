"""`togi data scaling`, `repeated` and `runout`: run the study, and say it in small tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.errors import UsageError
from togi.report.numbers import amount, number, spread
from togi.run_folder import read_json
from togi.voice import Voice

CONSTANTS = ("E", "A", "B", "alpha", "beta", "exponent")
FEW_EPOCHS = (2, 4, 8, 16, 40)


def run_scaling(
    source: str | None,
    budgets: Sequence[float],
    settings: Sequence[str],
    seed: int,
    flags: RunFlags,
) -> int:
    """Fit scaling laws to a table of runs and say the splits; return the exit code."""
    step: dict[str, Any] = {"name": "scaling", "use": "data.scaling"}
    if budgets:
        step["budgets"] = list(budgets)
    return _run(step, source, settings, seed, flags)


def run_repeated(
    source: str | None,
    given: Mapping[str, Any],
    settings: Sequence[str],
    seed: int,
    flags: RunFlags,
) -> int:
    """Say what repeated data is worth, fitted to a table of runs or not; return the exit code."""
    asked = {key: value for key, value in given.items() if value is not None}
    step: dict[str, Any] = {"name": "repeated", "use": "data.repeated", **asked}
    return _run(step, source, settings, seed, flags)


def _run(
    step: dict[str, Any],
    source: str | None,
    settings: Sequence[str],
    seed: int,
    flags: RunFlags,
) -> int:
    name = str(step["name"])
    if source is not None and "=" in source and not Path(source).exists():
        source, settings = None, [source, *settings]  # no table, but a first setting
    if source is not None:
        step["source"] = source
    recipe = OneOff(name=name, sources={}, steps=[step], seed=seed).recipe(settings)
    code = run_in_folder(recipe, flags)
    folder = flags.out or Path("runs") / recipe.name
    done = read_json(folder / "run.json") or {}
    place = next(step["folder"] for step in done["steps"] if step["name"] == name)
    found = read_json(folder / place / f"{name}.json") or {}
    plain = {key: value for key, value in found.items() if key != "curves"}
    Voice(flags.manner).final(name, text="\n".join(LINES[name](found)), **plain)
    return code


def run_runout(
    names: Sequence[str],
    changes: Sequence[str],
    *,
    draws: int,
    seed: int,
    level: float,
    json_lines: bool,
) -> None:
    """Say when stocks of public data are used up.

    Raises:
        UsageError: an unknown stock, or a change that makes no sense.
    """
    from togi.data.runout import PROJECTIONS, projection_of, run_out

    spans = spans_of(changes)
    found = [
        run_out(projection_of(name, spans), draws=draws, seed=seed, level=level).as_dict()
        for name in names or PROJECTIONS
    ]
    if json_lines:
        for one in found:
            print(json.dumps(one, ensure_ascii=False))
        return
    print("\n".join(runout_lines(found)))


def spans_of(changes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Read `KEY=LOW:HIGH`.

    Raises:
        UsageError: when one is not of that form, or names nothing that can be changed.

    >>> spans_of(["stock=1e14:1e15"])
    {'stock': (100000000000000.0, 1000000000000000.0)}
    """
    known = ("stock", "stock_growth", "used", "use_growth")
    spans: dict[str, tuple[float, float]] = {}
    for change in changes:
        key, _, ends = change.partition("=")
        low, _, high = ends.partition(":")
        try:
            spans[key] = (float(low), float(high or low))
        except ValueError:
            raise UsageError("not of the form KEY=LOW:HIGH", where=change) from None
        if key not in known:
            raise UsageError(f"'{key}' cannot be changed", where=change, hint=", ".join(known))
    return spans


def grid(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Set rows in columns; the first is the head.

    >>> grid([["a", "bb"], ["ccc", "d"]])
    ['  a    bb', '  ccc  d']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        .rstrip()
        for row in rows
    ]  # fmt: skip


def scaling_lines(found: Mapping[str, Any]) -> list[str]:
    """Return a scaling study as lines for the terminal."""
    law, runs = found["law"], found["runs"]
    constants = [[name, spread(law["constants"][name])] for name in CONSTANTS]
    splits = [["FLOPs", "parameters", "tokens", "tokens a parameter", "loss", "by IsoFLOP"]]
    for one in found["budgets"]:
        profile = spread(one["isoflop"], amount) if "isoflop" in one else "–"
        splits.append([*_split_row(one), profile])
        if "with_use" in one:
            splits.append(["  with use", *_split_row(one["with_use"])[1:], ""])
    starts = f"; {law['agree']} of {law['polished']} starts agree" if law["polished"] else ""
    lines = [
        f"L = E + A/N^alpha + B/D^beta, {runs['n']} runs{starts} (N grows as C^exponent)",
        *grid(constants),
        "Best split, and what IsoFLOP profiles say of the parameters",
        *grid(splits),
    ]
    plan = found.get("next") or {}
    if plan.get("proposals"):
        told = [["parameters", "tokens", "FLOPs", "predicted loss", "interval narrows to"]]
        told += [
            [amount(one["params"]), amount(one["tokens"]), amount(one["flops"]),
             number(one["loss"]), f"{one['width']:.1%}"]
            for one in plan["proposals"]
        ]  # fmt: skip
        lines += [
            f"Next runs, to know the split of {amount(plan['budget'])} FLOPs better",
            *grid(told),
        ]
    return lines


def _split_row(one: Mapping[str, Any]) -> list[str]:
    counts = [spread(one[name], amount) for name in ("params", "tokens")]
    return [amount(one["flops"]), *counts, spread(one["ratio"]), spread(one["loss"])]


def repeated_lines(found: Mapping[str, Any]) -> list[str]:
    """Return a study of repeated data as lines for the terminal."""
    decay = found["decay"]
    lines = [
        f"A repeat's worth falls to 1/e after {spread(decay['tokens'])} repeats;"
        f" excess parameters' after {spread(decay['params'])}",
        *grid([["epochs", "a token is worth", "a token of the next epoch"], *_worth_rows(found)]),
    ]
    if "fit" in found:
        told = [["form", "error on held-out runs", "against both"]]
        told += [
            [
                one["form"],
                f"{one['error']:.2%}",
                "–" if one["form"] == "both" else spread(one["against_both"]),
            ]
            for one in found["fit"]["forms"]
        ]
        lines += ["Forms of the law, on runs that they were not fitted to", *grid(told)]
    for name, head in (("plan", "Best split"), ("given", "The plan given")):
        if name in found:
            lines += [f"{head}, {amount(found[name]['unique_tokens'])} unique tokens",
                      *grid(_plan_rows(found[name]))]  # fmt: skip
    if "mixture" in found:
        told = [["domain", "epochs", "a token is worth"]]
        told += [[m["domain"], number(m["epochs"]), spread(m["worth"])] for m in found["mixture"]]
        lines += ["Mixture", *grid(told)]
    return lines


def _worth_rows(found: Mapping[str, Any]) -> list[list[str]]:
    return [
        [number(one["epochs"]), spread(one["worth"]), spread(one["next"])]
        for one in found["worth"]
        if one["epochs"] in FEW_EPOCHS
    ]


def _plan_rows(one: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        ["FLOPs", amount(one["flops"])],
        ["parameters", spread(one["params"], amount)],
        ["tokens", spread(one["tokens"], amount)],
        ["epochs", spread(one["epochs"])],
        ["loss", spread(one["loss"])],
        ["a token is worth", spread(one["worth"])],
        ["a token of the next epoch", spread(one["next_epoch"])],
    ]
    if "fresh" in one:
        fresh = one["fresh"]
        sizes = f"{amount(fresh['params'])} parameters, {amount(fresh['tokens'])} tokens"
        rows += [
            ["with fresh data without end", f"loss {number(fresh['loss'])} ({sizes})"],
            ["twice the unique tokens gain", spread(one["twice_unique_gains"])],
            ["no compute goes below", spread(one["limit"])],
        ]
    if "above_fresh" in one:
        rows.append(["above fresh data", spread(one["above_fresh"])])
    return rows


def runout_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return projections as lines for the terminal."""
    rows = [["stock", "use grows as", "used up", "the study's own"]]
    for one in found:
        published = one["published"]
        told = "" if published is None else _published(published)
        never = f", never in {one['never']:.0%}" if one["never"] > 0.005 else ""
        rows.append([one["stock"], one["basis"], spread(one["date"], _year) + never, told])
    level = 100 * found[0]["date"]["level"]
    return [
        f"Median dates with {level:g} % intervals; projections of trends, not forecasts",
        *grid(rows),
    ]


def _year(value: float) -> str:
    return f"{value:.1f}"


def _published(found: Sequence[float]) -> str:
    middle, low, high, level = found
    return f"{middle:.1f} ({low:.1f} to {high:.1f}, {level:.0%})"


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "scaling": scaling_lines,
    "repeated": repeated_lines,
}
"""A step's name, to how its study is said."""
