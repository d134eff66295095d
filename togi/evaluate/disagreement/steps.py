"""The recipe's step `evaluate.raters`: disagreement of raters, and models judged against it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from togi.errors import UsageError
from togi.step import StepRef, StepSettings, Work

if TYPE_CHECKING:
    from togi.evaluate.disagreement.loaders import Loaded
    from togi.evaluate.disagreement.table import Ratings

SHOWN = 12
"Most contested items that `raters.json` holds for the report."


class RatersSettings(StepSettings):
    """Where raters disagree: by item, by group, and against a model or a majority vote."""

    source: str = Field(min_length=1)
    "A table (csv, tsv, jsonl, json, parquet) of one rating a row, or dices:350, dices:990."
    columns: dict[str, str | list[str] | None] = Field(default={})
    """item, rater, label, text, gold, groups (a list) or counts (a list) -> the file's columns,
    where near names do not find them; `rater: null` for anonymous ratings."""
    labels: list[str] = Field(default=[])
    "All labels in order; needed where words have an order."
    level: Literal["nominal", "ordinal", "interval", "ratio"] = "nominal"
    "How far two labels are apart for Krippendorff's alpha."
    merge: dict[str, str] = Field(default={})
    "Labels that are counted as others, such as {Unsure: Yes}."
    positive: str | None = None
    "The label whose share is compared between groups; Yes or the like, else the last."
    cross: list[list[str]] = Field(default=[])
    "Axes to cross, such as [[race, gender]]."
    raters: Literal["all", "paper"] = "all"
    "dices:350: all 123 raters, or the 104 whom its authors' papers use."
    least_raters: int = Field(default=10, ge=2)
    "Groups with fewer raters are listed, not told: small cells are noise, and identify people."
    permutations: int = Field(default=20_000, ge=100)
    "Permutations of whole raters for each axis."
    resamples: int = Field(default=2000, ge=100)
    "Bootstrap resamples of each interval."
    contested_below: float = Field(default=2 / 3, gt=0, le=1)
    "An item is contested where its leading label has a smaller share than this."
    splits: int = Field(default=200, ge=1)
    "Random halvings of the raters for the human ceiling."
    prior: float = Field(default=0.0, ge=0)
    "Ratings of each label that are added to soft labels."
    question: str = ""
    "Asked after each item's text in the rows for judging, such as: Is the last reply unsafe?"
    predictions: str | None = None
    "A table of a model's probabilities for these items: item, model, probabilities."
    judged: StepRef | None = None
    "A judging with a task of the kind `distribution` on these items."
    on_bad: Literal["error", "skip"] = "error"
    "Stop at the first bad row, or count it and go on."


def run_raters(settings: RatersSettings, work: Work) -> dict[str, Any]:
    """Analyse a table of ratings.

    Outputs: `raters` (raters.json), `items` (items.jsonl), `people` (raters.jsonl), `groups`
    (groups.csv), `model_eval` (HELM-style statistics), `rows` (soft labels, where there are
    texts), `n`.
    """
    from togi.evaluate.disagreement.against import Judging, people_told, stats_list
    from togi.evaluate.disagreement.overview import Looking, overview
    from togi.evaluate.disagreement.tables import quality_of, quality_told
    from togi.stats import derive

    loaded, ratings, positive = _ratings(settings, work)
    work.say(loaded.understood)
    seed = derive(work.seed, "raters")
    look = Looking(
        level=settings.level, positive=ratings.labels[positive], below=settings.contested_below,
        draws=settings.resamples, seed=seed,
    )  # fmt: skip
    axes = _axes(settings, ratings)
    models = _models(settings, work, ratings)
    told: dict[str, Any] = {
        "understood": loaded.understood,
        "notes": list(ratings.notes),
        **overview(ratings, look),
    }
    told["groups"] = _groups(settings, work, ratings, axes, positive, seed)
    quality = quality_of(ratings, seed) if ratings.raters else None
    told["quality"] = quality_told(ratings, quality) if quality else None
    how = Judging(
        positive=positive, below=settings.contested_below, least=settings.least_raters,
        splits=settings.splits, draws=settings.resamples, seed=seed,
    )  # fmt: skip
    told["against"] = people_told(ratings, models, axes, how)
    stats = stats_list(told["against"]["models"], told["against"]["people"])
    outputs = _write(settings, work, ratings, told, (axes, quality, positive))
    outputs |= _write_json(work.folder, "model_eval", {"stats": stats})
    for note in _sentences(told):
        work.say(note)
    return {**outputs, "n": ratings.n, "notes": [*told["notes"], *_sentences(told)]}


def _ratings(settings: RatersSettings, work: Work) -> tuple[Loaded, Ratings, int]:
    """Load the table; return what was understood, the table, and the positive label's place."""
    from togi.evaluate.disagreement.loaders import Reading, load
    from togi.evaluate.disagreement.overview import positive_label
    from togi.evaluate.disagreement.table import checked

    numeric = settings.level in ("interval", "ratio")
    how = Reading(
        columns=settings.columns, labels=tuple(settings.labels), numeric=numeric,
        raters=settings.raters, on_bad=settings.on_bad,
    )  # fmt: skip
    loaded = load(settings.source, how, offline=work.offline, say=work.say)
    ratings = loaded.ratings
    if settings.merge:
        ratings = checked(ratings.merged(settings.merge), settings.source)
    if settings.level != "nominal" and not settings.labels and ratings.numbers() is None:
        raise UsageError(
            f"words have no order of their own, so level '{settings.level}' cannot be told",
            where=f"step '{work.name}'",
            found=", ".join(ratings.labels),
            hint="list `labels:` in their order, or set `level: nominal`",
        )
    if numeric and ratings.numbers() is None:
        raise UsageError(
            f"level '{settings.level}' wants numbers as labels",
            where=f"step '{work.name}'",
            found=", ".join(ratings.labels),
            hint="use `level: ordinal` for words in an order",
        )
    return loaded, ratings, ratings.labels.index(positive_label(ratings, settings.positive))


def _axes(settings: RatersSettings, ratings: Ratings) -> dict[str, Sequence[str]]:
    """Return the axes of groups, crossed ones after their parts."""
    axes: dict[str, Sequence[str]] = dict(ratings.groups)
    for parts in settings.cross:
        if len(parts) < 2:
            raise UsageError("a crossing wants two axes or more", where="cross", found=str(parts))
        axes[" × ".join(parts)] = ratings.crossed(parts)
    return axes


def _models(settings: RatersSettings, work: Work, ratings: Ratings) -> dict[str, Any]:
    """Return the predictions that the settings name."""
    from togi.evaluate.disagreement.predictions import from_judging, read_predictions

    models: dict[str, Any] = {}
    if settings.predictions:
        models |= read_predictions(settings.predictions, ratings.items, ratings.labels)
    if settings.judged:
        folder = Path(work.input(settings.judged, "scores")).parent
        models |= from_judging(folder, ratings.items, ratings.labels)
    return models


def _groups(
    settings: RatersSettings,
    work: Work,
    ratings: Ratings,
    axes: dict[str, Sequence[str]],
    positive: int,
    seed: int,
) -> dict[str, Any] | None:
    if not axes:
        return None
    from togi.evaluate.disagreement.told import Permuting, groups_told

    how = Permuting(
        positive=positive, least=settings.least_raters, permutations=settings.permutations,
        draws=settings.resamples, seed=seed,
    )  # fmt: skip
    return groups_told(ratings, axes, how, say=work.say)


def _write(
    settings: RatersSettings, work: Work, ratings: Ratings, told: dict[str, Any], parts: Any
) -> dict[str, Any]:
    """Write the tables and `raters.json`; return the outputs."""
    from togi.evaluate.disagreement.tables import groups_csv, item_lines, rater_lines, soft_rows
    from togi.rows.write import write_rows

    axes, quality, positive = parts
    lines = list(
        item_lines(
            ratings,
            axes,
            quality,
            positive=positive,
            below=settings.contested_below,
            least=settings.least_raters,
        )
    )
    outputs: dict[str, Any] = _write_lines(work.folder, "items", lines)
    by_doubt = sorted(lines, key=lambda line: -(line["entropy"] or 0.0))
    told["most_contested"] = by_doubt[:SHOWN]
    if ratings.raters:
        people = list(rater_lines(ratings, axes, quality, positive))
        outputs["people"] = _write_lines(work.folder, "raters", people)["raters"]
    if told["groups"]:
        path = work.folder / "groups.csv"
        path.write_text(groups_csv(told["groups"], ratings.labels), encoding="utf-8")
        outputs["groups"] = path.name
    if ratings.texts:
        write_rows(
            work.folder / "rows.jsonl", soft_rows(ratings, settings.prior, settings.question)
        )
        outputs["rows"] = "rows.jsonl"
    outputs |= _write_json(work.folder, "raters", told)
    return outputs


def _write_lines(folder: Path, name: str, lines: Sequence[Any]) -> dict[str, str]:
    import orjson

    path = folder / f"{name}.jsonl"
    path.write_bytes(
        b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
    )
    return {name: path.name}


def _write_json(folder: Path, name: str, value: Any) -> dict[str, str]:
    import orjson

    path = folder / f"{name}.json"
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(value, option=options))
    return {name: path.name}


def _sentences(told: dict[str, Any]) -> list[str]:
    """Say the main findings in plain sentences."""
    alpha, items = told["agreement"]["alpha"], told["items"]["contested"]
    found = [f"alpha ({told['agreement']['level']}): {_interval(alpha)}"]
    found.append(f"contested items: {_interval(items)}")
    for axis in (told["groups"] or {}).get("axes", []):
        q = "unknown" if axis["q"] is None else f"{axis['q']:.3g}"
        chance = axis["by_chance"]["mean"]
        found.append(
            f"{axis['axis']}: explains {100 * (axis['explained'] or 0):.2g} % of the disagreement "
            f"({100 * chance:.2g} % by chance, q = {q})"
        )
    loss = told["against"]["vote_above_people"]["cross_entropy"]
    found.append(
        f"a majority vote loses {_interval(loss)} nats a rating against half of the raters"
    )
    for name, model in told["against"]["models"].items():
        above = model["above_people"]["cross_entropy"]
        found.append(f"{name}: {_interval(above)} nats above people")
    return found


def _interval(found: dict[str, Any]) -> str:
    """Say an estimate.

    >>> _interval({"mean": 0.5, "low": 0.25, "high": 0.75, "n": 9})
    '0.5 (0.25 to 0.75, n 9)'
    """
    if found["mean"] is None:
        return "undefined"
    if found["low"] is None or found["high"] is None:
        return f"{found['mean']:.3g} (n {found['n']} is too small for an interval)"
    return f"{found['mean']:.3g} ({found['low']:.3g} to {found['high']:.3g}, n {found['n']})"
