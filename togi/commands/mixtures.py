"""`togi data doremi`: find the weights of domains, and say them in a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.commands.laws import grid
from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.errors import UsageError
from togi.report.numbers import amount, number, spread
from togi.run_folder import read_json
from togi.voice import Voice


def run_doremi(
    source: str | None,
    domains: Sequence[str],
    settings: Sequence[str],
    compare: int,
    model: str,
    seed: int,
    flags: RunFlags,
) -> int:
    """Find the weights of a source's domains, or of several sources; return the exit code.

    Raises:
        UsageError: neither or both kinds of source, or a domain not of the form NAME=SOURCE.
    """
    if source is not None and "=" in source and not Path(source).exists():
        source, settings = None, [source, *settings]  # no source, but a first setting
    if (source is None) == (not domains):
        raise UsageError(
            "give either one source, with `by=KEY`, or --domain NAME=SOURCE for each domain"
        )
    step: dict[str, Any] = {"name": "doremi", "use": "data.doremi", "compare": compare}
    sources = {} if source is None else {"rows": source}
    if source is not None:
        step["rows"] = "rows"
    names: dict[str, str] = {}
    for place, pair in enumerate(domains, 1):
        name, _, text = pair.partition("=")
        if not name or not text or name in names:
            raise UsageError(
                "a domain is named once, with its source", where=f"--domain {pair}",
                expected="--domain NAME=SOURCE",
            )  # fmt: skip
        names[name] = f"domain-{place}"
        sources[names[name]] = text
    if names:
        step["domains"] = names
    whole = OneOff(name="doremi", sources=sources, steps=[step], model=model, seed=seed)
    recipe = whole.recipe(settings)
    code = run_in_folder(recipe, flags)
    folder = flags.out or Path("runs") / recipe.name
    done = read_json(folder / "run.json") or {}
    place = next(step["folder"] for step in done["steps"] if step["name"] == "doremi")
    found = read_json(folder / place / "doremi.json") or {}
    lines = [*doremi_lines(found), f"The weights are in {folder / place / 'weights.json'}"]
    plain = {key: value for key, value in found.items() if key != "path"}
    Voice(flags.manner).final("doremi", text="\n".join(lines), **plain)
    return code


def doremi_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what was found as lines for the terminal."""
    rows = [["domain", "tokens", "weight", "before", "ratio", "excess, nats a token"]]
    rows += [
        [one["domain"], amount(one["tokens"]), spread(one["weight"]),
         number(one["reference_weight"]), number(one["ratio"]), number(one["excess"])]
        for one in found["domains"]
    ]  # fmt: skip
    lines = ["Weights of domains", *grid(rows)]
    if "trial" in found:
        head = [["mixture", "worst domain", "average"]]
        body = [
            [name, spread(one["worst"]), spread(one["average"])]
            for name, one in found["trial"]["mixtures"].items()
        ]
        gains = [
            [name, spread(one["worst"]), spread(one["average"])]
            for name, one in found["trial"]["gains"].items()
        ]
        lines += [
            f"Held-out bits per byte, {found['trial']['seeds']} seeds", *grid(head + body),
            "Bits per byte gained", *grid([["", "worst domain", "average"], *gains]),
        ]  # fmt: skip
    return lines
