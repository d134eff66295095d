"""What changes when a model is judged against all raters instead of against their majority.

Two models that differ in one thing only, what they learnt from: the majority label of each item,
or its raters' shares. Both are the same small text classifier, and each item is predicted by one
that has not seen it. They are judged twice: by agreement with the majority vote, and by their
distance to the raters' distribution, with what people reach against people beside it.

The decision is by cross-entropy, whose mean is least at the true shares however few the raters
are. The Jensen–Shannon divergence from the shares of a few raters is told too, but favours sharp
predictions: three raters who agree look surer than they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from togi.errors import DataError
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.text_classifier import BUCKETS, features, out_of_fold
from togi.stats.estimate import Estimate
from togi.step import StepSettings, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from togi.evaluate.disagreement.table import Ratings

    Floats = NDArray[np.float64]

NAME = "vote_or_distribution"
VOTE, SHARES = "learnt from the vote", "learnt from the shares"
LEAST = 40


class Settings(StepSettings):
    """A table of ratings with texts, and how the two models are made."""

    source: str = "dices:350"
    "A table of ratings as evaluate.raters reads it, or dices:350, dices:990; it needs texts."
    columns: dict[str, str | list[str] | None] = Field(default={})
    "togi's field -> the table's column, where near names do not find it."
    raters: Literal["all", "paper"] = "all"
    "dices:350: all raters, or the 104 whom the papers use."
    limit: int = Field(default=3000, ge=LEAST)
    "At most so many items, drawn by the seed."
    folds: int = Field(default=5, ge=2)
    "Parts of the items; each is predicted by models that learnt from the others."
    decay: float = Field(default=1e-3, gt=0)
    "Penalty on squared weights, the same for both models."
    below: float = Field(default=2 / 3, gt=0, le=1)
    "An item is contested below this share of its leading label; 0.7 counts two against one."
    splits: int = Field(default=100, ge=1)
    "Random halvings of the raters, for people against people."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Load the ratings, train and judge both models; outputs `finding`."""
    from togi.evaluate.disagreement.loaders import Reading, load

    how = Reading(columns=settings.columns, raters=settings.raters)
    loaded = load(settings.source, how, offline=work.offline, say=work.say)
    work.say(loaded.understood)
    found = finding(loaded.ratings, settings, seed=work.seed, understood=loaded.understood)
    return found.write(work.folder)


def finding(
    ratings: Ratings, settings: Settings, *, seed: int = 0, understood: str = ""
) -> Finding:
    """Train both models, judge them by the vote and by the distribution, and compare.

    Args:
        ratings: with a text and two ratings or more for each item that is used.
        settings: sizes.
        seed: of the items, the folds and all resamples.
        understood: what was read, for the notes.

    Raises:
        DataError: too few items with a text and two ratings.
    """
    from togi.evaluate.disagreement.ceiling import against_people, scores
    from togi.evaluate.disagreement.soft import contested, plurality, shares
    from togi.stats import paired_difference, stream

    texts, counts = _items(ratings, settings.limit, seed)
    votes, spread = plurality(counts), shares(counts)
    x = features(texts)
    fold = stream(seed, NAME, "folds").permutation(len(texts)) % settings.folds
    models = {
        name: out_of_fold(x, target, fold, settings.decay)
        for name, target in ((VOTE, votes), (SHARES, spread))
    }
    right = {name: agreement(q, votes) for name, q in models.items()}
    near = {name: scores(spread, q) for name, q in models.items()}
    flag = contested(counts, settings.below)
    people = against_people(
        counts, models, stream(seed, NAME, "halves"), splits=settings.splits
    )  # fmt: skip
    ceiling = people.people["cross_entropy"]

    def apart(one: Floats, two: Floats, part: Any = None) -> Estimate:
        sides = (one, two) if part is None else (one[part], two[part])
        return paired_difference(*sides, seed=seed).estimate

    bits = {name: near[name]["cross_entropy"] for name in models}
    estimates = {
        "vote: accuracy, shares minus vote": apart(right[SHARES], right[VOTE]),
        "distribution: nats a rating, shares minus vote": apart(bits[SHARES], bits[VOTE]),
        "the same on contested items": apart(bits[SHARES], bits[VOTE], flag),
        "the same on the others": apart(bits[SHARES], bits[VOTE], ~flag),
        "distribution: Jensen–Shannon, bits, shares minus vote": apart(
            near[SHARES]["js"], near[VOTE]["js"]
        ),
        **{
            f"above people, nats a rating, {name}": apart(
                people.models[name]["cross_entropy"], ceiling
            )
            for name in models
        },
        **{
            f"accuracy by the vote on contested items minus others, {name}": unpaired(
                right[name], flag, seed
            )
            for name in models
        },
    }
    hold = decided(*list(estimates.values())[:2])
    return Finding(
        name=NAME,
        holds=hold,
        measured=_measured(estimates, int(flag.sum()), len(texts)),
        estimates=estimates,
        plots=[_by_clearness(spread, right, "agrees with the vote, share", "By the vote"),
               _by_clearness(spread, bits, "cross-entropy, nats a rating", "By the distribution")],
        notes=[*([understood] if understood else []),
               f"{len(texts):,} items, {BUCKETS} hashed words and pairs of words, "
               f"{settings.folds} folds; the models differ in their targets alone."],
        values={"items": len(texts), "contested": int(flag.sum()), "folds": settings.folds},
    )  # fmt: skip


def _items(ratings: Ratings, limit: int, seed: int) -> tuple[list[str], Any]:
    """Return texts and counts of items that have a text and two ratings, drawn by the seed."""
    import numpy as np

    from togi.stats import stream

    fit = [
        place
        for place, text in enumerate(ratings.texts)
        if text.strip() and ratings.counts[place].sum() >= 2
    ]
    if len(fit) < LEAST:
        raise DataError(
            "too few items can be learnt from",
            where=NAME,
            found=f"{len(fit)} with a text and two ratings or more",
            expected=f"{LEAST} or more",
            hint="name the texts' column with columns.text=NAME" if not ratings.texts else "",
        )
    drawn = sorted(stream(seed, NAME, "items").permutation(fit)[:limit].tolist())
    return [ratings.texts[place] for place in drawn], np.asarray(ratings.counts)[drawn]


def decided(by_vote: Estimate, by_shares: Estimate) -> Holds:
    """Say whether the distribution tells apart what the vote does not.

    Args:
        by_vote: difference in accuracy, learnt from shares minus learnt from the vote.
        by_shares: difference in cross-entropy; below 0 is better.

    >>> decided(Estimate(0.0, -0.02, 0.02, 90), Estimate(-0.1, -0.15, -0.05, 90))
    'holds'
    >>> decided(Estimate(0.1, 0.05, 0.15, 90), Estimate(-0.1, -0.15, -0.05, 90))
    'does not hold here'
    >>> decided(Estimate(0.0, -0.02, 0.02, 90), Estimate(-0.1, -0.25, 0.05, 90))
    'cannot tell'
    """
    if not (by_vote.known and by_shares.known):
        return "cannot tell"
    blind = by_vote.low <= 0 <= by_vote.high
    if by_shares.high < 0:
        return "holds" if blind else "does not hold here"
    return "does not hold here" if by_shares.low > 0 else "cannot tell"


def agreement(q: Floats, votes: Floats) -> Floats:
    """Return (items,) credit for the vote's label; a tied vote gives each of its labels a part.

    >>> import numpy as np
    >>> agreement(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [1.0, 0.5]
    """
    import numpy as np

    return votes[np.arange(len(q)), q.argmax(axis=1)]


def unpaired(values: Floats, flag: NDArray[Any], seed: int) -> Estimate:
    """Return the difference of two groups of items' means, contested minus others."""
    import numpy as np

    from togi.stats import stream
    from togi.stats.resampled import drawn_estimate

    sides = (values[flag], values[~flag])
    if min(map(len, sides)) < 2:
        nan = float("nan")
        return Estimate(nan, nan, nan, min(map(len, sides)))
    rng = stream(seed, NAME, "groups")
    drawn = [side[rng.integers(0, len(side), (1000, len(side)))].mean(axis=1) for side in sides]
    gap = float(sides[0].mean() - sides[1].mean())
    return drawn_estimate(gap, np.asarray(drawn[0] - drawn[1]), min(map(len, sides)))


def _by_clearness(spread: Floats, values: dict[str, Floats], label: str, title: str) -> Plot:
    """Draw both models' scores over how clear the vote is."""
    import numpy as np

    from togi.stats import bootstrap_mean

    clear = spread.max(axis=1)
    edges = np.unique(np.quantile(clear, np.linspace(0, 1, 7)))
    place = np.clip(np.searchsorted(edges, clear, side="right") - 1, 0, max(0, len(edges) - 2))
    series = {
        name: [
            (float(clear[place == part].mean()), bootstrap_mean(found[place == part]))
            for part in np.unique(place)
        ]
        for name, found in values.items()
    }
    return Plot(title=title, x="share of the leading label", y=label, series=series)


def _measured(estimates: dict[str, Estimate], contested: int, items: int) -> str:
    vote, shares, divided, others, _, above_vote, above_shares, *_ = estimates.values()
    return (
        f"By the majority vote the model that learnt from the raters' shares differs from the one "
        f"that learnt from their vote by {told(vote)} in accuracy; by the distribution by "
        f"{told(shares)} nats a rating (below 0 is nearer to people), on the {contested:,} "
        f"contested of {items:,} items by {told(divided)} and on the others by {told(others)}. "
        f"Above what half of the raters reaches against the other half lie {told(above_vote)} "
        f"and {told(above_shares)}."
    )
