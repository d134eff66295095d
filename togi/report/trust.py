"""The sides of trust: a radar, the scores with their intervals, group gaps, and the worst answers.

What was asked and answered may hurt: it stands behind a click, and what to expect before it.
"""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import SAYS, spoken
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.radar import Radar, Values, radar
from togi.report.samples import Depth
from togi.report.tables import Link, Table, table
from togi.report.trust_calibration import calibrations
from togi.report.verdict import with_interval

KINDS = {True: "good", False: "bad", None: "open"}
ARROWS = {True: "↑", False: "↓", None: "→"}
"""A tested difference: up is better on every side, whatever a part's own direction."""
RATES = ("refused", "unparsed")
FEWEST_AXES = 3
UNKNOWN = "unknown"


def sections(files: RunFiles, names: Names, depth: Depth) -> list[dict[str, Any]]:
    """Return one part a step that asked the sides of trust."""
    read = ((step, files.json(step, "scores.json")) for step in files.steps)
    return [
        _part(files, step, data, names, depth) for step, data in read if data.get("kind") == "trust"
    ]


def _part(
    files: RunFiles, step: StepFiles, data: dict[str, Any], names: Names, depth: Depth
) -> dict[str, Any]:
    for word in ("refused", "not readable", "interval", "n", "benign", "adversarial"):
        names(word)
    pairs = _pairs(data)
    return {
        "id": names.ids("trust", step.name),
        "name": step.name,
        "radar": _radar(data, names),
        "scores": _scores(data, names),
        "changes": [_change(data, pair, names) for pair in pairs],
        "compared": bool(pairs),
        "notes": step.notes,
        "calibrations": calibrations(as_dict(data.get("scorers"))),
        "published": as_dict(data.get("way")).get("published") is True,
        "sides": [_side(data, name, names, depth) for name in as_dict(data.get("sides"))],
        "files": [
            Link(name, f"{step.folder.relative_to(files.folder).as_posix()}/{name}")
            for name in ("scores.json", "trust.csv", "samples.jsonl")
            if (step.folder / name).is_file()
        ],
    }


def _models(data: dict[str, Any]) -> list[str]:
    return [str(name) for name in as_list(data.get("models"))]


def _pairs(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the compared models, (after, before)."""
    told = (as_list(one) for one in as_list(data.get("comparisons")))
    return [(str(one[0]), str(one[1])) for one in told if len(one) == 2]


def _title(data: dict[str, Any], side: str) -> str:
    about = as_dict(as_dict(data.get("sides")).get(side))
    return str(about.get("title") or spoken(side))


def _found(data: dict[str, Any], model: str, side: str, part: str) -> dict[str, Any]:
    scores = as_dict(as_dict(as_dict(data.get("side_scores")).get(model)).get(side))
    return as_dict(scores.get(part))


def _difference(
    data: dict[str, Any], pair: tuple[str, str], side: str, part: str
) -> dict[str, Any]:
    for one in map(as_dict, as_list(data.get("side_differences"))):
        found = tuple(one.get(key) for key in ("after", "before", "side", "part"))
        if found == (*pair, side, part):
            return one
    return {}


def _estimate(found: dict[str, Any], *, sign: bool = False) -> str:
    """Return an estimate as a cell; what was not asked is unknown, however many answers.

    >>> _estimate({"mean": None, "n": 9})
    'unknown'
    """
    return UNKNOWN if finite(found.get("mean")) is None else with_interval(found, sign=sign)


def _values(found: dict[str, Any]) -> Values:
    return (finite(found.get("mean")), finite(found.get("low")), finite(found.get("high")))


# --- all sides together ---------------------------------------------------------------------------


def _radar(data: dict[str, Any], names: Names) -> Radar | None:
    sides = list(as_dict(data.get("sides")))
    if len(sides) < FEWEST_AXES:
        return None
    models = {
        model: [_values(_found(data, model, side, "score")) for side in sides]
        for model in _models(data)
    }
    return radar(
        [_title(data, side) for side in sides],
        models,
        id=names.ids("figure", "radar"),
        title="The sides of trust, 0 to 100",
    )


def _scores(data: dict[str, Any], names: Names) -> Table:
    """Return the table of scores with the two rates of each model."""
    models = _models(data)
    rows = []
    for side in as_dict(data.get("sides")):
        cells = []
        for model in models:
            cells.append(_estimate(_found(data, model, side, "score")))
            rates = (_found(data, model, side, rate) for rate in RATES)
            cells += [
                _rate(one if len(models) == 1 else {"mean": one.get("mean")}) for one in rates
            ]
        rows.append((_title(data, side), *cells))
    names("trust score")
    named = [f"{m}: {name}" for m in models for name in ("score", "refused", "not readable")]
    return table("Scores, 0 to 100, with 95 % intervals", ("side", *named), rows)


def _rate(found: dict[str, Any]) -> str:
    """Return a rate in per cent with its interval.

    >>> _rate({"mean": 0.25, "low": 0.2, "high": 0.301}), _rate({})
    ('25 % (20 to 30)', 'unknown')
    """
    mean, low, high = _values(found)
    if mean is None:
        return UNKNOWN
    whole = f"{100 * mean:.0f} %"
    return (
        whole if low is None or high is None else f"{whole} ({100 * low:.0f} to {100 * high:.0f})"
    )


def _change(data: dict[str, Any], pair: tuple[str, str], names: Names) -> dict[str, Any]:
    """Return the paired differences of the scores of two models: a plot and a table of arrows."""
    marks, rows = [], []
    for side in as_dict(data.get("sides")):
        one = _difference(data, pair, side, "score")
        estimate, better = as_dict(one.get("estimate")), one.get("better")
        says = SAYS.get(better, SAYS[None])
        reading = f"{ARROWS.get(better, '→')} {show.mean(estimate, sign=True)}"
        marks.append(
            Mark(_title(data, side), reading, *_values(estimate), KINDS.get(better, "open"))
        )
        levels = (_found(data, model, side, "score") for model in reversed(pair))
        before, after = (show.mean(level) for level in levels)
        p = show.p_value(one.get("p_adjusted"))
        rows.append(
            (_title(data, side), f"{before} {ARROWS.get(better, '→')} {after}",
             _estimate(estimate, sign=True), p, says)
        )  # fmt: skip
    for word in ("difference", "p", "adjusted p", "cannot tell"):
        names(word)
    title = f"{pair[0]} − {pair[1]}"
    head = ("side", "before and after", "difference", "adjusted p", "says")
    return {
        "plot": interval_plot(
            marks,
            id=names.ids("figure", "trust", *pair),
            title=title,
            axis_label="difference of scores, in points; to the right is better",
            lines=((0, "no difference"),),
        ),
        "table": table(f"{title}, paired by what was asked", head, rows, text=(0, 1, 4)),
    }


# --- one side -------------------------------------------------------------------------------------


def _side(data: dict[str, Any], name: str, names: Names, depth: Depth) -> dict[str, Any]:
    about = as_dict(as_dict(data.get("sides")).get(name))
    asked = as_list(about.get("asked"))
    lacking = [one for one in as_list(about.get("scenarios")) if one not in asked]
    return {
        "id": names.ids("side", name),
        "title": _title(data, name),
        "about": f"{str(about.get('about') or '').capitalize()}.",
        "source": str(about.get("source") or ""),
        "warning": str(about.get("warning") or "texts that may hurt"),
        "lacking": f"Not asked: {', '.join(map(str, lacking))}." if lacking else "",
        "parts": _parts(data, name, about, names),
        "groups": _groups(data, name, about, names),
        "faults": [str(one) for one in as_list(about.get("faults"))],
        "examples": _examples(data, name, depth),
    }


def _parts(data: dict[str, Any], side: str, about: dict[str, Any], names: Names) -> Table:
    """Return all of a side's parts, each with its definition in words."""
    models, pairs = _models(data), _pairs(data)
    rows = []
    for part, told in as_dict(about.get("parts")).items():
        word = {"unparsed": "not readable"}.get(part, spoken(part))
        label = names(word) if part in (*RATES, "pressure") else word
        values = (_estimate(_found(data, model, side, part)) for model in models)
        moved = (_moved(_difference(data, pair, side, part)) for pair in pairs)
        way = "higher is better" if as_dict(told).get("higher_is_better") else "lower is better"
        meaning = f"{as_dict(told).get('definition') or UNKNOWN}; {way}"
        rows.append((label, *values, *moved, meaning))
    head = ("part", *models, *(f"{after} − {before}" for after, before in pairs), "what it is")
    title = f"{_title(data, side)}: the score and its parts"
    return table(title, head, rows, text=(0, len(head) - 1))


def _moved(one: dict[str, Any]) -> str:
    estimate = as_dict(one.get("estimate"))
    arrow = ARROWS.get(one.get("better"), "→")
    return f"{arrow} {_estimate(estimate, sign=True)}" if estimate else UNKNOWN


def _groups(
    data: dict[str, Any], side: str, about: dict[str, Any], names: Names
) -> IntervalPlot | None:
    """Return one number by group of people; None where the side is about none."""
    models, groups = _models(data), as_dict(data.get("side_groups"))
    last = as_dict(as_dict(groups.get(models[-1] if models else "")).get(side))
    marks = []
    for group in last:
        for place, model in enumerate(models):
            found = as_dict(as_dict(as_dict(groups.get(model)).get(side)).get(group))
            label = str(group) if len(models) == 1 else f"{group}, {model}"
            kind = "plain" if place == len(models) - 1 else "open"
            marks.append(Mark(label, show.mean(found), *_values(found), kind))
    if not marks:
        return None
    definition = as_dict(about.get("groups")).get("definition") or UNKNOWN
    return interval_plot(
        marks,
        id=names.ids("figure", "groups", side),
        title=f"{_title(data, side)}: by group of people",
        axis_label=f"{definition}; less is better",
    )


def _examples(data: dict[str, Any], side: str, depth: Depth) -> list[dict[str, Any]]:
    """Return the worst samples and those drawn blindly, as much of them as the page bears."""
    told = [as_dict(one) for one in as_list(as_dict(data.get("examples")).get(side))]
    kept: dict[str, list[dict[str, Any]]] = {}
    for one in told:
        kept.setdefault(str(one.get("why")), []).append(one)
    return [_example(one, depth) for found in kept.values() for one in found[: depth.each]]


def _example(one: dict[str, Any], depth: Depth) -> dict[str, Any]:
    def cut(text: Any) -> str:
        whole = str(text)
        return whole if len(whole) <= depth.letters else f"{whole[: depth.letters]} […]"

    return {
        "why": str(one.get("why")),
        "scenario": str(one.get("scenario")),
        "input": cut(one.get("input")),
        "answers": [
            {
                "model": str(model),
                "value": f"{spoken(one.get('measure'))} {show.number(as_dict(found).get('value'))}",
                "texts": [cut(text) for text in as_list(as_dict(found).get("texts"))],
            }
            for model, found in as_dict(one.get("answers")).items()
        ],
    }
