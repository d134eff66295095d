"""Personas on the page: what each probe found, the differences, and what was not detected."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.personas_bandit import bandit_part, people_table
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.selection import clip
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

MOST_MARKS = 30
MOST_LETTERS = 2500

WORDS = {
    "detected": "The p-value, corrected for all effects of its family (Holm), is at most the"
    " study's alpha, and the interval leaves zero out.",
    "not detected": "Not that there is no effect: what would have been detected stands beside it.",
    "would have been seen": "The smallest true difference that this many units detect with the"
    " study's power, at the level that the family leaves to one effect.",
    "size": "The difference in standard deviations of what it is compared with.",
    "nats": "Minus the log-probability of the right option among the options: it moves before"
    " the accuracy does. Less is better.",
    "outside expert": "Expert of a task that is of another domain than the question's.",
    "own expert": "Whoever knows this kind of thing best, as an ornithologist knows birds.",
    "recognised": "Share of descriptions by which the reader told the thing among a few of its"
    " kind; ties are split.",
}
"""Names on this part of the page, to their definitions."""


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one section for each step that asked what personas change."""
    found = []
    for step in files.of("evaluate.personas"):
        told = files.json(step, "personas.json")
        if told:
            found.append(_section(step, told, names))
    return found


def _section(step: StepFiles, told: dict[str, Any], names: Names) -> dict[str, Any]:
    asked = as_dict(told.get("asked"))
    several = len([n for n in as_dict(told.get("models")) if n != "reader"]) > 1
    found = {
        "id": names.ids("personas", step.name),
        "name": step.name,
        "wording": str(asked.get("wording") or "").replace("{persona}", "…"),
        "multiplicity": str(asked.get("multiplicity") or ""),
        "notes": [str(note) for note in as_list(told.get("notes"))],
        "parts": [],
    }
    parts = (
        ("bandit", "Two-armed bandit", bandit_part),
        ("exam", "Exam", _exam),
        ("descriptions", "Descriptions", _descriptions),
    )
    for key, title, make in parts:
        about = as_dict(told.get(key))
        if about:
            effects = [as_dict(one) for one in as_list(about.get("effects"))]
            found["parts"].append(
                {
                    "title": title,
                    "plot": _effects_plot(step, key, effects, several, names),
                    "effects": _effects_table(title, effects, several, names),
                    "example": clip(str(about.get("example") or ""), MOST_LETTERS),
                    **make(about, step.name, names),
                }
            )
    return found


def sides(effect: dict[str, Any], *, model: bool) -> str:
    """Return what an effect compares.

    >>> sides({"model": "m", "after": "woman", "before": "man"}, model=True)
    'm: woman − man'
    """
    after, before = str(effect.get("after")), str(effect.get("before") or "")
    whose = f"{effect.get('model')}: " if model and effect.get("model") else ""
    return f"{whose}{after} − {before}" if before else f"{whose}each {after}"


def value(effect: dict[str, Any]) -> str:
    """Return an effect's value with its interval; where nothing ever differed there is none.

    >>> value({"estimate": {"mean": 0.0, "low": None, "high": None, "n": 8}, "sd": 0.0})
    'no difference in any of 8'
    """
    found = as_dict(effect.get("estimate"))
    if finite(effect.get("sd")) == 0 and finite(found.get("mean")) == 0:
        return f"no difference in any of {show.number(found.get('n'))}"
    return with_interval(found, sign=True)


def _effects_plot(
    step: StepFiles, key: str, effects: list[dict[str, Any]], several: bool, names: Names
) -> IntervalPlot | None:
    """Draw the effects on a probe's main measure; a filled disc was detected."""
    main = [one for one in effects if one.get("measure") == _main(effects)]
    if not main:
        return None
    marks = [
        Mark(
            sides(one, model=several),
            value(one),
            *(finite(as_dict(one.get("estimate")).get(part)) for part in ("mean", "low", "high")),
            kind="good" if one.get("detected") else "open",
        )
        for one in main[:MOST_MARKS]
    ]
    measure, unit = str(main[0].get("measure")), str(main[0].get("unit"))
    return interval_plot(
        marks,
        id=names.ids("figure", step.name, key, "effects"),
        title=f"Differences in {measure}",
        axis_label=f"{measure}, {unit}; a filled disc was detected, a ring was not",
        lines=((0, "no difference"),),
    )


def _main(effects: list[dict[str, Any]]) -> Any:
    return effects[0].get("measure") if effects else None


def _effects_table(
    title: str, effects: list[dict[str, Any]], several: bool, names: Names
) -> Table | None:
    if not effects:
        return None
    for word in ("detected", "not detected", "would have been seen", "size"):
        names(word, WORDS[word])
    rows = [
        (
            sides(one, model=several).replace("-", "\u2011"),
            one.get("measure"),
            value(one),
            show.number(as_dict(one.get("size")).get("mean"), 2, sign=True)
            if one.get("size")
            else "",
            show.p_value(one.get("p_adjusted")),
            _detected(one.get("detected")),
            "" if one.get("detectable") is None else show.number(one["detectable"]),
        )
        for one in effects
    ]
    heads = (
        "difference", "measure", "value, 95 % interval", "size", "p, corrected", "",
        "would have been seen",
    )  # fmt: skip
    return table(f"{title}: all differences", heads, rows, text=(0, 1, 5))


def _detected(found: Any) -> str:
    if not isinstance(found, bool):
        return show.TOO_SMALL
    return "detected" if found else "not detected"


def _exam(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    for word in ("nats", "outside expert"):
        names(word, WORDS[word])
    called = as_dict(about.get("relations"))
    rows: list[tuple[Any, ...]] = []
    tables: list[Table] = []
    for model, result in as_dict(about.get("results")).items():
        for name, one in as_dict(as_dict(result).get("relations")).items():
            entry = as_dict(one)
            rows.append(
                (
                    str(called.get(name, name)),
                    model,
                    with_interval(as_dict(entry.get("accuracy"))),
                    with_interval(as_dict(entry.get("nats"))),
                    show.number(entry.get("answers")),
                    show.number(entry.get("unread")),
                )
            )
        tables.append(_tasks(model, as_dict(result), called))
    heads = ("who answers", "model", "accuracy", "nats", "answers", "could not be read")
    guess = show.share(finite(about.get("chance")) or 0.0, 1.0)
    return {
        "says": (
            f"{show.number(about.get('questions'))} questions of"
            f" {len(as_dict(about.get('tasks')))} tasks ({about.get('about')}); guessing is right"
            f" on {guess}. Every question was put to all of them."
        ),
        "charts": [],
        "plots": [],
        "tables": [people_table("Who answers how well", heads, rows)],
        "further": tables,
    }


def _tasks(model: str, result: dict[str, Any], called: dict[str, Any]) -> Table:
    tasks = [as_dict(one) for one in as_list(result.get("tasks"))]
    asked = list(as_dict(result.get("relations")))
    rows = [
        (
            str(one.get("task")),
            str(one.get("domain")),
            show.number(one.get("n")),
            *(_share(as_dict(one.get("accuracy")).get(name)) for name in asked),
        )
        for one in tasks
    ]
    heads = ("task", "domain", "questions", *(str(called.get(name, name)) for name in asked))
    return table(f"Accuracy by task, {model}", heads, rows, text=(0, 1))


def _share(value: Any) -> str:
    real = finite(value)
    return "–" if real is None else show.share(real, 1.0)


def _descriptions(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    for word in ("recognised", "own expert"):
        names(word, WORDS[word])
    rows = [
        (
            str(name),
            model,
            with_interval(as_dict(as_dict(one).get("recognised"))),
            show.number(as_dict(one).get("descriptions")),
            show.number(as_dict(one).get("words"), 1),
            show.number(as_dict(one).get("named")),
            show.number(sum(int(n) for n in as_dict(as_dict(one).get("left_out")).values())),
        )
        for model, people in as_dict(about.get("results")).items()
        for name, one in as_dict(people).items()
    ]
    heads = (
        "who describes", "model", "recognised", "descriptions",
        "words", "with the name taken out", "left out",
    )  # fmt: skip
    choices = finite(about.get("choices")) or 1.0
    return {
        "says": (
            f"{show.number(about.get('things'))} things ({about.get('about')}), each told from"
            f" {show.number(choices - 1)} others of its kind by {about.get('reader')}; guessing"
            f" is right on {show.share(1.0, choices)}."
        ),
        "charts": [],
        "plots": [],
        "tables": [people_table("Who is recognised", heads, rows)],
        "further": [],
    }
