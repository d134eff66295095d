"""What descriptions say: how often each persona's thing was recognised, effects, and files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from togi.evaluate.ledger import Line
from togi.evaluate.personas.cleaning import Cleaned
from togi.evaluate.personas.descriptions import BLANK, Describing, read_task, recognised
from togi.evaluate.personas.effects import (
    About,
    Floats,
    Trust,
    age_effects,
    comparisons,
    paired_effect,
)
from togi.stats import bootstrap_mean

MEASURE, UNIT = "recognised", "share"
ABOUT = "share of descriptions by which the reader told the thing; ties are split"
EXPERT, OTHERS = "own expert", "other experts"


def table_of(
    how: Describing, told: Mapping[str, Sequence[Cleaned]], lines: Mapping[str, Line]
) -> Floats:
    """Return (personas, things) how often each was recognised; NaN where nothing could be read.

    Args:
        how: what was described.
        told: the cleaned descriptions.
        lines: the readings by their sample's id.
    """
    samples = {sample.id: sample for sample in read_task(how, told).samples}
    found = np.full((len(how.people), len(how.things)), np.nan)
    for column, thing in enumerate(how.things):
        blank = lines.get(f"{thing.name}/{BLANK}/0")
        for row, who in enumerate(how.people):
            keys = [f"{thing.name}/{who.name}/{k}" for k in range(how.sampling.n)]
            values = [recognised(samples[key], lines[key], blank) for key in keys if key in samples]
            known = [value for value in values if not math.isnan(value)]
            if known:
                found[row, column] = float(np.mean(known))
    return found


def description_results(
    how: Describing, told: Mapping[str, Sequence[Cleaned]], table: Floats, trust: Trust
) -> dict[str, Any]:
    """Return each persona's share of recognised things, lengths, and what could not be read."""
    found: dict[str, Any] = {}
    for row, who in enumerate(how.people):
        texts = [one for thing in how.things for one in told[f"{thing.name}/{who.name}"]]
        share = bootstrap_mean(table[row], draws=trust.draws, seed=trust.seed)
        found[who.name] = {
            MEASURE: share.as_dict(),
            "descriptions": len(texts),
            "words": float(np.mean([len(one.text.split()) for one in texts])),
            "named": sum(one.masked > 0 for one in texts),
            "left_out": dict(Counter(one.reason for one in texts if one.reason)),
        }
    return found


def by_expertise(how: Describing, table: Floats) -> tuple[Floats, Floats]:
    """Return (things,) for the expert of each thing, and the mean of the experts of others."""
    names = [who.name for who in how.people]
    own = np.full(len(how.things), np.nan)
    others = np.full(len(how.things), np.nan)
    for column, thing in enumerate(how.things):
        mine = how.experts.get(thing.group)
        rows = [names.index(e) for g, e in how.experts.items() if g != thing.group and e in names]
        if mine in names:
            own[column] = table[names.index(mine), column]
        values = table[rows, column]
        if (known := values[~np.isnan(values)]).size:
            others[column] = known.mean()
    return own, others


def description_effects(
    model: str, how: Describing, table: Floats, trust: Trust
) -> list[dict[str, Any]]:
    """Return a model's effects of personas on what is recognised; not settled."""
    own, others = by_expertise(how, table)
    found = []
    if not np.isnan(own - others).all():
        about = About(model, MEASURE, UNIT, EXPERT, OTHERS)
        found.append(paired_effect(about, own, others, trust))
    for after, before in comparisons(how.people):
        if how.people[after].name in how.experts.values():
            continue  # experts are compared with each other, thing by thing
        if np.isnan(table[after] - table[before]).all():
            continue
        about = About(model, MEASURE, UNIT, how.people[after].name, how.people[before].name)
        found.append(paired_effect(about, table[after], table[before], trust))
    return found + age_effects(About(model, MEASURE, UNIT), how.people, table, trust)


def description_model_effects(tables: Mapping[str, Floats], trust: Trust) -> list[dict[str, Any]]:
    """Return how each further model's share, over all personas, differs from the first one's."""
    names = list(tables)
    means = {name: table.mean(axis=0) for name, table in tables.items()}
    return [
        paired_effect(About("", MEASURE, UNIT, name, names[0]), means[name], means[names[0]], trust)
        for name in names[1:]
    ]


def described(
    how: Describing, told: Mapping[str, Sequence[Cleaned]], lines: Mapping[str, Line]
) -> dict[str, Any]:
    """Return persona -> thing -> raw and cleaned texts, for a file that people read."""
    return {
        who.name: {
            thing.name: [
                {"raw": raw, "clean": one.text, "left_out": one.reason}
                for raw, one in zip(
                    _raw(lines[f"{thing.name}/{who.name}"]),
                    told[f"{thing.name}/{who.name}"],
                    strict=True,
                )
            ]
            for thing in how.things
        }
        for who in how.people
    }


def _raw(line: Line) -> list[str]:
    return (line.get("detail") or {}).get("answers") or [line["answer"]]
