"""Pairwise judging: win rates by each judge, its biases, strengths, and pairs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import SAYS, spoken
from togi.report.numbers import finite
from togi.report.plots import Mark, interval_plot
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

KINDS = {True: "good", False: "bad", None: "open"}
FURTHER = ("graded_win_rate", "inconsistent", "unparsed", "longer", "minimum_detectable")


@dataclass(frozen=True, slots=True)
class Pairwise:
    """One pairwise judging's `scores.json`."""

    step: StepFiles
    data: dict[str, Any]

    @property
    def asked(self) -> dict[str, Any]:
        """Return what was asked."""
        return as_dict(self.data.get("asked"))

    @property
    def models(self) -> list[str]:
        """Return the models' names, the first one the base of the strengths."""
        return [str(name) for name in as_list(self.asked.get("models"))]

    def of(self, judge: str, part: str = "results") -> list[dict[str, Any]]:
        """Return what one judge found."""
        return [
            as_dict(e) for e in as_list(self.data.get(part)) if as_dict(e).get("judge") == judge
        ]

    def named(self, names: Names, name: str) -> Any:
        """Return a link to the definition of one of its names."""
        return names(name, str(as_dict(self.data.get("definitions")).get(name) or ""))


def pairwise(files: RunFiles) -> list[Pairwise]:
    """Return the pairwise judgings that have left scores."""
    read = ((step, files.json(step, "scores.json")) for step in files.steps)
    return [Pairwise(step, data) for step, data in read if data.get("kind") == "pairwise"]


def sections(found: list[Pairwise], names: Names) -> list[dict[str, Any]]:
    """Return one section a judge, then one on how the judges agree and one on the answers."""
    parts: list[dict[str, Any]] = []
    for one in found:
        for judge, about in as_dict(one.asked.get("judges")).items():
            parts.append(_judge(one, str(judge), as_dict(about), names))
        if as_list(one.data.get("agreement")):
            parts.append(_agreement(one, names))
        parts.append(_answers(one, names))
    return parts


def remarks(found: list[Pairwise]) -> list[str]:
    """Return how to read the pairwise parts, and what they say of all their p-values."""
    how = (
        "Where pairs are compared, a filled disc is a model whose answers are preferred, a diamond"
        " one whose answers are not, and a ring cannot tell."
    )
    told = [str(one.data["multiplicity"]) for one in found if one.data.get("multiplicity")]
    return list(dict.fromkeys([how, *told])) if found else []


def _pair(entry: dict[str, Any]) -> str:
    return f"{entry.get('after', '?')} over {entry.get('before', '?')}"


def _says(entry: dict[str, Any]) -> str:
    better = entry.get("better")
    return SAYS[better if isinstance(better, bool) else None]


def _judge(one: Pairwise, judge: str, about: dict[str, Any], names: Names) -> dict[str, Any]:
    results = one.of(judge)
    how = {
        "rule": "A rule prefers {}.",
        "likelihood": "A language model, asked in both orders: “{}” Its verdict is the likeliest "
        "letter.",
        "text": "A language model, asked in both orders: “{}” Its written verdict is read.",
    }.get(str(about.get("reads")), "{}")
    return {
        "id": names.ids("preferred", judge),
        "title": f"Preferred by {judge}",
        "step": one.step.name,
        "definition": how.format(about.get("definition") or "") + _doubt(results),
        "card": _card(one, about),
        "measures": [
            _win_rates(one, judge, results, names),
            _bias(one, judge, results, names),
            *_strengths(one, judge, names),
        ],
        "others": _further(one, judge, results, names),
    }


def _doubt(results: list[dict[str, Any]]) -> str:
    """Say where a judge's verdicts depend on the order more than on the answers."""
    turned = [finite(as_dict(entry.get("inconsistent")).get("mean")) or 0.0 for entry in results]
    if max(turned, default=0.0) <= 0.5:
        return ""
    return (
        f" This judge turned its verdict round with the order on up to {show.share(max(turned), 1)}"
        " of the prompts: its win rates say little of the answers."
    )


def _card(one: Pairwise, about: dict[str, Any]) -> Table:
    sampling = {f"answers: {key}": value for key, value in as_dict(one.asked["sampling"]).items()}
    plain = {"prompts": one.asked.get("prompts"), "clusters": one.asked.get("cluster") or None}
    rows = [
        (spoken(key), show.told(value))
        for key, value in {**plain, **about, **sampling}.items()
        if value is not None
    ]
    return table("How it was asked", ("setting", "value"), rows, text=(0, 1))


def _mean(estimate: dict[str, Any]) -> str:
    """Return a mean; one that no number of prompts would make known is not called small."""
    unknown = finite(estimate.get("mean")) is None and (finite(estimate.get("n")) or 0) > 1
    return "unknown" if unknown else show.mean(estimate)


def _mark(label: str, estimate: dict[str, Any], kind: str, says: str = "") -> Mark:
    mean, low, high = (finite(estimate.get(key)) for key in ("mean", "low", "high"))
    reading = _mean(estimate)
    reading = reading if low is not None or mean is None else f"{reading} · {show.TOO_SMALL}"
    return Mark(label, f"{reading}{f' · {says}' if says else ''}", mean, low, high, kind)


def _plotted(
    place: str, name: Any, label: str, line: tuple[float, str], marks: list[Mark], told: Table
) -> dict[str, Any]:
    """Return a measure as the page's measures are: a name, a plot, a table."""
    plot = interval_plot(marks, id=place, title=told.caption, axis_label=label, lines=(line,))
    return {
        "name": name,
        "direction": f"{line[0]:g} is {line[1]}",
        "levels": plot,
        "levels_table": told,
        "changes": None,
        "changes_table": table("", (), ()),
    }


def _estimates(
    names: Names,
    name: Any,
    told: tuple[str, str],
    line: tuple[float, str],
    found: list[tuple[str, dict[str, Any]]],
    *,
    what: str = "pair",
) -> dict[str, Any]:
    """Return a measure of which each row is one estimate; `told` are title and axis label."""
    rows = [(row, _mean(e), show.interval(e), show.number(e.get("n", 0))) for row, e in found]
    marks = [_mark(row, e, "open") for row, e in found]
    body = table(told[0], (what, "mean", "95 % interval", "n"), rows)
    return _plotted(names.ids("figure", told[0]), name, told[1], line, marks, body)


def _win_rates(
    one: Pairwise, judge: str, results: list[dict[str, Any]], names: Names
) -> dict[str, Any]:
    marks: list[Mark] = []
    rows = []
    for entry in results:
        rate, kind = as_dict(entry.get("win_rate")), KINDS.get(entry.get("better"), "open")
        marks.append(_mark(_pair(entry), rate, kind, _says(entry)))
        counts = (show.number(entry.get(key)) for key in ("wins", "ties", "losses", "dropped"))
        chances = (show.p_value(entry.get(key)) for key in ("p_value", "p_adjusted"))
        cells = (show.mean(rate), show.interval(rate), show.number(rate.get("n")))
        rows.append((_pair(entry), *cells, *counts, *chances, _says(entry)))
    for word in ("interval", "n", "p", "adjusted p", "cannot tell"):
        names(word)
    columns = ("pair", "win rate", "95 % interval", "n", "won", "tied", "lost", "unknown")
    head = (*columns, "p", "adjusted p", "says")
    title = f"{judge}: win rates"
    return _plotted(
        names.ids("figure", title),
        one.named(names, "win_rate"),
        "share of prompts won, a tie counting half",
        (0.5, "even"),
        marks,
        table(title, head, rows, text=(0, len(head) - 1)),
    )


def _bias(one: Pairwise, judge: str, results: list[dict[str, Any]], names: Names) -> dict[str, Any]:
    """Return the judge's bias for the answer shown first, for each pair."""
    found = [(_pair(entry), as_dict(entry.get("position_bias"))) for entry in results]
    name = one.named(names, "position_bias")
    label = "wins of the answer shown first, beyond half"
    return _estimates(names, name, (f"{judge}: position bias", label), (0.0, "fair"), found)


def _strengths(one: Pairwise, judge: str, names: Names) -> list[dict[str, Any]]:
    every = one.of(judge, "strengths")
    if not every:
        return []
    base = str(every[0].get("over"))
    found = [(str(entry.get("model")), as_dict(entry.get("strength"))) for entry in every]
    known = any(finite(strength.get("mean")) is not None for _, strength in found)
    note = "" if known else "; a model that won or lost all has no finite one"
    label = f"log-odds of being preferred to {base}, in nats{note}"
    name, title = one.named(names, "strength"), f"{judge}: strengths over {base}"
    return [_estimates(names, name, (title, label), (0.0, base), found, what="model")]


def _further(
    one: Pairwise, judge: str, results: list[dict[str, Any]], names: Names
) -> Table | None:
    rows = []
    for name in FURTHER:
        found = [entry.get(name) for entry in results]
        if any(value is not None for value in found):
            rows.append((one.named(names, name), *(_cell(value) for value in found)))
    pairs = (_pair(entry) for entry in results)
    return table(f"{judge}: further measures", ("measure", *pairs), rows) if rows else None


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return with_interval(value)
    return "unknown" if finite(value) is None else show.number(value)


def _agreement(one: Pairwise, names: Names) -> dict[str, Any]:
    found = [as_dict(entry) for entry in as_list(one.data.get("agreement"))]
    labels = [" and ".join(map(str, as_list(entry.get("judges")))) for entry in found]
    measures = []
    for name, line in (("agreement", (1.0, "the same")), ("kappa", (0.0, "chance"))):
        values = [as_dict(entry.get(name)) for entry in found]
        rows = list(zip(labels, values, strict=True))
        link = one.named(names, name)
        told = (f"judges: {name}", name)
        measures.append(_estimates(names, link, told, line, rows, what="judges"))
    return {
        "id": names.ids("agreement", one.step.name),
        "title": "How far the judges agree",
        "step": one.step.name,
        "definition": "",
        "card": table("", (), ()),
        "measures": measures,
        "others": None,
    }


def _answers(one: Pairwise, names: Names) -> dict[str, Any]:
    """Return what the compared answers are like; long ones are liked for their length."""
    told = {str(model): as_dict(e) for model, e in as_dict(one.data.get("answers")).items()}
    first = next(iter(told.values()), {})
    rows = [
        (
            names(name, str(as_dict(about).get("definition") or "")),
            *(with_interval(as_dict(told[model].get(name))) for model in told),
        )
        for name, about in first.items()
    ]
    return {
        "id": names.ids("answers", one.step.name),
        "title": "The answers compared",
        "step": one.step.name,
        "definition": "",
        "card": table("", (), ()),
        "measures": [],
        "others": table("The answers compared", ("measure", *told), rows),
    }
