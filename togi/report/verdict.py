"""The page's head: the decision, why, and how each guard stands against its margin."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import SAYS, Judged, direction, estimate_of, spoken, verdict
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.tables import Table, table
from togi.report.words import look_up

DECISIONS = {"accept": "Accept", "reject": "Reject", "cannot tell": "Cannot tell"}
NO_VERDICT = "No verdict yet"


def head(files: RunFiles, judged: list[Judged], names: Names) -> dict[str, Any]:
    """Return what the page's head shows: word, sentence, facts, plot, reasons, rule."""
    told = verdict(files)
    decision = str(told.get("decision") or "")
    names(decision if decision in DECISIONS else "cannot tell")
    more = finite(told.get("collect_more"))
    return {
        "word": DECISIONS.get(decision, decision or NO_VERDICT),
        "kind": decision.replace(" ", "-") if decision in DECISIONS else "none",
        "sentence": sentence(files, told, decision),
        "collect_more": show.number(more) if more is not None else "",
        "facts": facts(told, judged),
        "plot": _primary_plot(told, judged, names),
        "candidate": str(told.get("candidate") or ""),
        "baseline": str(told.get("baseline") or ""),
        "reasons": [str(reason) for reason in as_list(told.get("reasons"))],
        "rule": _rule(told, names),
        "also_told": [
            str(entry["sentence"])
            for entry in as_list(told.get("also"))
            if as_dict(entry).get("sentence")
        ],
        "also": differences_table(
            "Other comparisons, outside of the verdict",
            [entry for entry in as_list(told.get("also")) if isinstance(entry, dict)],
            names,
            named=True,
        ),
    }


def _primary_plot(told: dict[str, Any], judged: list[Judged], names: Names) -> IntervalPlot | None:
    primary = as_dict(told.get("primary"))
    change = as_dict(primary.get("estimate"))
    mean, low, high = (finite(change.get(key)) for key in ("mean", "low", "high"))
    if mean is None:
        return None
    higher, status = direction_of(primary, judged), says(primary)
    kind = {"better": "good", "improved": "good", "worse": "bad", "not improved": "bad"}
    pair = f"{told.get('candidate') or 'after'} − {told.get('baseline') or 'before'}"
    reading = f"{show.mean(change, sign=True)} · {status}"
    required = finite(primary.get("required")) or 0.0
    lines = [(0.0, "no change")]
    if required and higher is not None:
        lines.append((required if higher else -required, "required"))
    what = " of ".join(spoken(primary[key]) for key in ("measure", "task") if primary.get(key))
    return interval_plot(
        [Mark(pair, reading, mean, low, high, kind.get(status, "open"))],
        id=names.ids("figure", "primary"),
        title="The primary measure's paired difference",
        axis_label=f"difference in {what}, {show.level(change)} interval: {direction(higher)}",
        lines=lines,
    )


def sentence(files: RunFiles, told: dict[str, Any], decision: str) -> str:
    """Return the plain sentence, without the decision that stands above it in large letters."""
    text = str(told.get("sentence") or unfinished(files, told))
    opening = f"{decision}: ".casefold()
    if decision and text.casefold().startswith(opening):
        text = text[len(opening) :]
    return text[:1].upper() + text[1:]


def unfinished(files: RunFiles, told: dict[str, Any]) -> str:
    """Return what to say where there is no sentence of a verdict."""
    if told:
        return "The verdict came without a sentence."
    done = sum(step.status == "done" for step in files.steps)
    status = str(files.run.get("status") or "not finished")
    if status == "done":
        return "The run is done; its recipe asks for no verdict, or left none."
    state = {"running": "is still running", "stopped": "was stopped", "failed": "failed"}
    return (
        f"The run {state.get(status, f'is {status}')}: {done} of {len(files.steps)} steps are done."
        " Running the same command again continues it."
    )


def facts(told: dict[str, Any], judged: list[Judged]) -> list[tuple[str, str]]:
    """Return the verdict's numbers as (label, text), each with its interval."""
    primary = as_dict(told.get("primary"))
    if not primary:
        return []
    task, measure = primary.get("task"), primary.get("measure")
    what = f"{spoken(measure)} of {spoken(task)}" if measure else spoken(task)
    lines = [("Primary measure", f"{what}, {direction(direction_of(primary, judged))}")]
    sides = (
        ("Before", primary.get("before") or told.get("baseline")),
        ("After", primary.get("after") or told.get("candidate")),
    )
    for label, model in sides:
        score = estimate_of(judged, model, task, measure)
        if model and score:
            lines.append((label, f"{with_interval(score)} · {model}"))
    change = with_interval(as_dict(primary.get("estimate")), sign=True)
    lines.append(("Difference", f"{change} · {says(primary)}"))
    if finite(primary.get("required")):
        lines.append(("Required gain", show.number(primary["required"])))
    if finite(primary.get("minimum_detectable")) is not None:
        lines.append(("Smallest told", show.number(primary["minimum_detectable"])))
    chances = (show.p_value(primary.get(key)) for key in ("p_value", "p_adjusted"))
    lines.append(("p, adjusted p", ", ".join(chances)))
    return lines


def says(entry: dict[str, Any]) -> str:
    """Return what a difference says: its status where it has one, else better or worse."""
    better = entry.get("better")
    return str(entry.get("status") or SAYS[better if isinstance(better, bool) else None])


def with_interval(estimate: dict[str, Any], *, sign: bool = False) -> str:
    """Return mean, interval and n in one line; the level too where it is not 95 %.

    >>> with_interval({"mean": 1.104, "low": 1.0823, "high": 1.1271, "n": 120})
    '1.104 (1.082 to 1.127, n 120)'
    >>> with_interval({"mean": 1.0, "low": None, "high": None, "n": 1})
    '1 (n too small, n 1)'
    """
    mean, interval = show.mean(estimate, sign=sign), show.interval(estimate, sign=sign)
    if mean == show.TOO_SMALL:
        return mean
    return f"{mean} ({interval}{_at(estimate)}, n {show.number(estimate.get('n'))})"


def _at(estimate: dict[str, Any]) -> str:
    """Return an interval's level where it is not the usual one, as after a correction."""
    level = show.level(estimate)
    return "" if level == "95 %" or show.interval(estimate) == show.TOO_SMALL else f" at {level}"


def _rule(told: dict[str, Any], names: Names) -> Table:
    rows = [
        (names(str(key)) if look_up(str(key)) else spoken(key), show.told(value))
        for key, value in as_dict(told.get("rule")).items()
    ]
    return table("The recipe's rule", ("setting", "value"), rows, text=(0, 1))


def differences_table(
    caption: str, differences: list[dict[str, Any]], names: Names, *, named: bool = False
) -> Table:
    """Return paired differences with interval, p, adjusted p and what they say."""
    rows = []
    for entry in differences:
        change = as_dict(entry.get("estimate"))
        pair = f"{entry.get('after', '?')} − {entry.get('before', '?')}"
        what = [f"{spoken(entry.get('measure', ''))} of {spoken(entry.get('task', ''))}"]
        numbers = [
            show.mean(change, sign=True),
            show.interval(change, sign=True),
            show.number(change.get("n")),
            show.number(entry.get("minimum_detectable")),
            show.p_value(entry.get("p_value")),
            show.p_value(entry.get("p_adjusted")),
        ]
        rows.append([pair, *what * named, *numbers, says(entry)])
    level = show.level(as_dict(differences[0].get("estimate"))) if differences else "95 %"
    columns = ["after − before", *["measure"] * named, "difference", f"{level} interval", "n"]
    words = ("difference", "interval", "n", "smallest told", "p", "adjusted p", "cannot tell")
    for word in words if rows else ():
        names(word)
    columns += ["smallest told", "p", "adjusted p", "says"]
    return table(caption, columns, rows, text=(0, *[1] * named, len(columns) - 1))


def guards(files: RunFiles, judged: list[Judged], names: Names) -> dict[str, Any]:
    """Return the guards as a table and as a plot of how much of its margin each has used."""
    told = verdict(files)
    entries = [entry for entry in as_list(told.get("guards")) if isinstance(entry, dict)]
    for word in ("guard", "guard margin", "held", "regressed", "unclear") if entries else ():
        names(word)
    rows = []
    for entry in entries:
        change, higher = as_dict(entry.get("estimate")), direction_of(entry, judged)
        rows.append(
            [
                spoken(entry.get("task", "?")),
                show.mean(change, sign=True),
                show.interval(change, sign=True) + _at(change),
                show.number(change.get("n")),
                show.number(entry.get("margin")),
                direction(higher),
                str(entry.get("status") or "unclear"),
            ]
        )
    columns = ("guard", "difference", "interval", "n", "margin", "direction", "status")
    body = table("Guards: candidate − baseline", columns, rows, text=(0, 5, 6))
    return {"table": body, "plot": _margins(entries, judged, names), "any": bool(told)}


def direction_of(entry: dict[str, Any], judged: list[Judged]) -> bool | None:
    """Return whether higher is better in a primary or a guard; None where the run does not tell."""
    task, told = str(entry.get("task")), entry.get("higher_is_better")
    if isinstance(told, bool):
        return told
    for found in judged:
        measure = entry.get("measure") or found.tasks.get(task, {}).get("primary_measure")
        higher = found.higher_is_better(task, str(measure))
        if higher is not None:
            return higher
    return None


def _margins(
    entries: list[dict[str, Any]], judged: list[Judged], names: Names
) -> IntervalPlot | None:
    marks = []
    for entry in entries:
        margin, higher = finite(entry.get("margin")), direction_of(entry, judged)
        if not margin or higher is None:
            continue
        # Harm is positive: a fall where higher is better, a rise where lower is.
        scale = (-100 if higher else 100) / margin
        change = as_dict(entry.get("estimate"))
        mean, *ends = (
            None if (value := finite(change.get(key))) is None else value * scale
            for key in ("mean", "low", "high")
        )
        low, high = sorted(ends) if None not in ends else (None, None)  # type: ignore[type-var]
        status = str(entry.get("status") or "unclear")
        kind = {"held": "good", "regressed": "bad"}.get(status, "open")
        used = show.number(mean, 0) + (" %" if mean is not None else "")
        marks.append(Mark(spoken(entry.get("task")), f"{used} · {status}", mean, low, high, kind))
    if not marks:
        return None
    return interval_plot(
        marks,
        id=names.ids("figure", "guards"),
        title="How much of its margin each guard has used",
        axis_label="Harm in per cent of the margin: below 0 is better than before",
        lines=((0, "no change"), (100, "margin")),
    )
