"""A majority vote hides how divided people are; what it hides is signal.

DICES (Aroyo et al. 2023, arXiv 2306.11247) had each conversation rated for safety by more than a
hundred people of known groups, and holds that a single label throws information away. Here one
half of the raters predicts the other half, once with all of its votes and once with its majority
alone; and the half's disagreement, item by item, is held against the other half's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from togi.gallery.finding import Finding, Holds, Plot, told
from togi.stats.estimate import Estimate
from togi.step import StepSettings, Work

if TYPE_CHECKING:
    from togi.evaluate.disagreement.table import Ratings

NAME = "rater_disagreement"
TENTHS = 10


class Settings(StepSettings):
    """A table of ratings, and how it is looked at."""

    source: str = "dices:350"
    "A table of ratings as evaluate.raters reads it, or dices:350, dices:990."
    columns: dict[str, str | list[str] | None] = Field(default={})
    "togi's field -> the table's column, where near names do not find it."
    raters: Literal["all", "paper"] = "all"
    "dices:350: all raters, or the 104 whom the papers use."
    cross: list[list[str]] = Field(default=[["gender", "race"]])
    "Axes to cross, where the table has them."
    permutations: int = Field(default=20_000, ge=100)
    "Permutations of whole raters for each axis."
    splits: int = Field(default=200, ge=1)
    "Random halvings of the raters."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Load the ratings and write the finding; outputs `finding`."""
    from togi.evaluate.disagreement.loaders import Reading, load

    how = Reading(columns=settings.columns, raters=settings.raters)
    loaded = load(settings.source, how, offline=work.offline, say=work.say)
    work.say(loaded.understood)
    found = finding(
        loaded.ratings, cross=settings.cross, permutations=settings.permutations,
        splits=settings.splits, seed=work.seed, understood=loaded.understood,
    )  # fmt: skip
    return found.write(work.folder)


def finding(
    ratings: Ratings,
    *,
    cross: Sequence[Sequence[str]] = (),
    permutations: int = 20_000,
    splits: int = 200,
    seed: int = 0,
    understood: str = "",
) -> Finding:
    """Measure what a majority vote loses, whether disagreement repeats, and who disagrees.

    Args:
        ratings: with at least two ratings of most items.
        cross: axes to cross where the table has them all.
        permutations: of whole raters for each axis.
        splits: random halvings of the raters.
        seed: of all draws.
        understood: what was read, for the notes.
    """
    from togi.evaluate.disagreement.ceiling import against_people
    from togi.evaluate.disagreement.soft import contested
    from togi.stats import bootstrap_mean, derive, stream, wilson
    from togi.stats.alpha import alpha_estimate

    pair = against_people(ratings.counts, {}, stream(seed, NAME, "halves"), splits=splits)
    loss = pair.majority["cross_entropy"] - pair.people["cross_entropy"]
    flag = contested(ratings.counts)
    draws = derive(seed, NAME, "bootstrap")
    repeats = repeated(ratings, seed)
    estimates = {
        "lost by the vote, nats a rating": bootstrap_mean(loss, seed=draws),
        "the same on contested items": bootstrap_mean(loss[flag], seed=draws),
        "disagreement repeats, rank correlation": repeats,
        "contested items, share": wilson(float(flag.sum()), len(flag)),
        "Krippendorff's α": alpha_estimate(ratings.counts, seed=draws),
    }
    axes = axes_told(ratings, cross, permutations, seed)
    holds = decided(estimates["lost by the vote, nats a rating"], repeats)
    return Finding(
        name=NAME,
        holds=holds,
        measured=_measured(estimates, axes),
        estimates=estimates,
        plots=[calibration(ratings, seed), _cost(ratings, loss, draws)],
        notes=[understood, *ratings.notes] if understood else list(ratings.notes),
        values={"axes": axes, "splits": splits},
    )


def decided(loss: Estimate, repeats: Estimate) -> Holds:
    """Say whether a vote loses something and disagreement repeats; both intervals must say it.

    >>> decided(Estimate(0.1, 0.05, 0.15, 90), Estimate(0.6, 0.5, 0.7, 90))
    'holds'
    >>> decided(Estimate(0.1, 0.05, 0.15, 90), Estimate(0.1, -0.1, 0.3, 90))
    'cannot tell'
    """
    lows, highs = (loss.low, repeats.low), (loss.high, repeats.high)
    if all(low > 0 for low in lows):
        return "holds"
    return "does not hold here" if any(high < 0 for high in highs) else "cannot tell"


def _halves(ratings: Ratings, seed: int) -> tuple[Any, Any]:
    """Return the counts of two halves: whole raters where they are known, else ratings."""
    import numpy as np

    from togi.evaluate.disagreement.ceiling import half
    from togi.stats import stream

    rng = stream(seed, NAME, "one split")
    if not ratings.raters:
        first = half(ratings.counts, rng)
        return first, ratings.counts - first
    mine = np.zeros(len(ratings.raters), dtype=np.bool_)
    mine[rng.permutation(len(mine))[: len(mine) // 2]] = True
    return ratings.only(mine).counts, ratings.only(~mine).counts


def repeated(ratings: Ratings, seed: int) -> Estimate:
    """Return the rank correlation of the items' entropy in one half of the raters and the other."""
    import numpy as np

    from togi.evaluate.disagreement.against import Judging, rank_correlation
    from togi.evaluate.disagreement.soft import corrected_entropy

    sides = [corrected_entropy(counts) for counts in _halves(ratings, seed)]
    known = np.isfinite(sides[0]) & np.isfinite(sides[1])
    return rank_correlation(sides[0][known], sides[1][known], Judging(positive=0, seed=seed))


def axes_told(
    ratings: Ratings, cross: Sequence[Sequence[str]], permutations: int, seed: int
) -> list[dict[str, Any]]:
    """Return each axis' explained share, what chance gives, p and q."""
    from togi.errors import DataError
    from togi.evaluate.disagreement.groups import axis_test
    from togi.evaluate.disagreement.overview import positive_label
    from togi.stats import benjamini_hochberg, stream

    axes: dict[str, Sequence[str]] = dict(ratings.groups)
    for parts in cross:
        if set(parts) <= set(ratings.groups):
            axes[" × ".join(parts)] = ratings.crossed(parts)
    label = ratings.labels.index(positive_label(ratings, None))
    found: list[dict[str, Any]] = []
    for axis, of in axes.items():
        try:
            test = axis_test(
                ratings, axis, of, rng=stream(seed, NAME, axis), label=label, draws=permutations
            )
        except DataError:  # one group only: nothing to compare
            continue
        found.append(
            {"axis": axis, "explained": test.explained, "by_chance": test.by_chance[0], "p": test.p}
        )
    adjusted = benjamini_hochberg([axis["p"] for axis in found]).tolist() if found else []
    return [{**axis, "q": q} for axis, q in zip(found, adjusted, strict=True)]


def calibration(ratings: Ratings, seed: int) -> Plot:
    """Draw the share of the other half over the share of one half, and what a vote tells of it."""
    import numpy as np

    from togi.evaluate.disagreement.overview import positive_label
    from togi.evaluate.disagreement.soft import shares
    from togi.stats import bootstrap_mean

    name = positive_label(ratings, None)
    k = ratings.labels.index(name)
    first, second = (shares(counts)[:, k] for counts in _halves(ratings, seed))
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    place = np.minimum((first * TENTHS).astype(np.int64), TENTHS - 1)
    points = [
        (float(first[place == t].mean()), bootstrap_mean(second[place == t], seed=seed))
        for t in range(TENTHS)
        if (place == t).any()
    ]
    vote = [
        (x, float(second[(first > 0.5) == side].mean()))
        for side, ends in ((False, (0.0, 0.5)), (True, (0.5, 1.0)))
        if ((first > 0.5) == side).any()
        for x in ends
    ]
    return Plot(
        title=f"What one half of the raters tells of the other: share of “{name}”",
        x="share in one half of the raters",
        y="share in the other half",
        series={"all votes of the half": points, "its majority alone": vote},
    )


def _cost(ratings: Ratings, loss: Any, seed: int) -> Plot:
    """Draw what a vote loses over how clear the majority is."""
    import numpy as np

    from togi.evaluate.disagreement.soft import shares
    from togi.stats import bootstrap_mean

    clear = shares(ratings.counts).max(axis=1)
    least = 1 / len(ratings.labels)
    edges = np.linspace(least, 1, 8)
    place = np.clip(np.digitize(clear, edges) - 1, 0, 6)
    known = np.isfinite(loss) & np.isfinite(clear)
    points = [
        (float(clear[part].mean()), bootstrap_mean(loss[part], seed=seed))
        for t in range(7)
        if (part := known & (place == t)).any()
    ]
    return Plot(
        title="What a vote loses, by how clear it is",
        x="share of the leading label",
        y="nats a rating, vote minus people",
        series={"items": points},
    )


def _measured(estimates: dict[str, Estimate], axes: list[dict[str, Any]]) -> str:
    loss, divided, repeats, share, _ = estimates.values()
    text = (
        f"Reduced to its majority, half of the raters predicts the other half worse by "
        f"{told(loss)} nats a rating, on contested items ({told(share)} of all) by "
        f"{told(divided)}; how divided the two halves are on an item agrees with a rank "
        f"correlation of {told(repeats)}."
    )
    named = [axis for axis in axes if not math.isnan(axis["q"])]
    if named:
        said = ", ".join(
            f"{axis['axis']} {100 * axis['explained']:.2g} % ({100 * axis['by_chance']:.2g} % by "
            f"chance, q = {axis['q']:.2g})"
            for axis in named
        )
        text += f" Groups explain of the disagreement within items: {said}."
    return text
