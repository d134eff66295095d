"""The ranking of several models: win rates, strengths, ranks that are open, and the warning."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import spoken
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.tables import Table, table
from togi.report.verdict import differences_table, with_interval

WORDS = {
    "win rate": "Mean over the other models of the share of samples on which this one's number is"
    " better, a tie counting half; .5 is the set's average. It changes with the set of models.",
    "strength": "Bradley–Terry: log-odds of winning a sample against the average model of the set,"
    " in nats; 1.1 is three wins to one. Unknown where a model won or lost all.",
    "open ranks": "The ranks that the intervals of all differences of win rates leave open, at 95 %"
    " for all models at once.",
}


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one part a step that left `rank.json`."""
    found = ((step, files.json(step, "rank.json")) for step in files.of("evaluate.rank"))
    return [_part(step, data, names) for step, data in found if data]


def _part(step: StepFiles, data: dict[str, Any], names: Names) -> dict[str, Any]:
    for word, definition in WORDS.items():
        names(word, definition)
    tasks = [as_dict(one) for one in as_list(data.get("tasks"))]
    whole = as_dict(data.get("all"))
    title = "All tasks together" if len(tasks) > 1 else "The ranking"
    boards = [_board(step, title, whole, names)] if whole else []
    if len(tasks) > 1:
        boards += [_board(step, _name(one), one, names) for one in tasks]
    return {
        "id": names.ids("ranking", step.name),
        "name": step.name,
        "on": ", ".join(f"{_name(one)} ({show.told(one.get('n'))} samples)" for one in tasks),
        "warning": str(data.get("warning") or ""),
        "flips": [_flip(as_dict(flip)) for flip in as_list(whole.get("flips"))],
        "notes": [str(note) for note in as_list(data.get("notes"))],
        "boards": boards,
        "differences": differences_table(
            "Paired differences of each two models",
            [as_dict(entry) for entry in as_list(data.get("differences"))],
            names,
            named=True,
        ),
    }


def _name(task: dict[str, Any]) -> str:
    return f"{spoken(task.get('measure'))} of {spoken(task.get('task'))}"


def _flip(flip: dict[str, Any]) -> str:
    """Say which order hangs on who else is in the set.

    >>> _flip({"by": "win rate", "models": ["a", "b"], "without": "c"})
    'By win rate, a and b change places when c is left out.'
    """
    return (
        f"By {flip.get('by')}, {' and '.join(map(str, as_list(flip.get('models'))))} change places"
        f" when {flip.get('without')} is left out."
    )


def _board(step: StepFiles, title: str, board: dict[str, Any], names: Names) -> dict[str, Any]:
    places = [as_dict(place) for place in as_list(board.get("places"))]
    rows = [
        (
            show.told(place.get("rank")),
            str(place.get("model")),
            with_interval(as_dict(place.get("win_rate"))),
            with_interval(as_dict(place.get("strength"))),
            _open(place),
        )
        for place in places
    ]
    head = ("rank", "model", "win rate", "strength", "open ranks")
    plots = [
        _plot(
            step, title, places, "win_rate", "mean share of samples won", (0.5, "average"), names
        ),
        _plot(step, title, places, "strength", "log-odds, nats", (0.0, "average"), names),
    ]
    return {
        "title": title,
        "table": table(title, head, rows, text=(1,)),
        "plots": plots,
        "shares": _shares(title, board, places),
    }


def _open(place: dict[str, Any]) -> str:
    best, worst = show.told(place.get("rank_best")), show.told(place.get("rank_worst"))
    return best if best == worst else f"{best} to {worst}"


def _plot(
    step: StepFiles,
    title: str,
    places: list[dict[str, Any]],
    key: str,
    label: str,
    line: tuple[float, str],
    names: Names,
) -> IntervalPlot:
    marks = []
    for place in places:
        found = as_dict(place.get(key))
        mean, low, high = (finite(found.get(end)) for end in ("mean", "low", "high"))
        reading = "unknown" if mean is None else show.mean(found)
        marks.append(Mark(str(place.get("model")), reading, mean, low, high, "plain"))
    return interval_plot(
        marks,
        id=names.ids("figure", step.name, title, key),
        title=f"{title}: {spoken(key)}",
        axis_label=label,
        lines=(line,),
    )


def _shares(title: str, board: dict[str, Any], places: list[dict[str, Any]]) -> Table:
    """Return who won how many samples of whom."""
    models = [str(place.get("model")) for place in places]
    shares = as_dict(board.get("shares"))
    rows = [(one, *(_share(as_dict(shares.get(one)).get(two)) for two in models)) for one in models]
    return table(f"{title}: share of samples that the row won of the column", ("", *models), rows)


def _share(value: Any) -> str:
    return "–" if finite(value) is None else show.share(finite(value) or 0.0, 1)
