"""Conference titles: which bigrams rose and fell from NeurIPS 2022 to 2023, and which did not.

A survey of NeurIPS 2023 opens with two lists, made by ranking title bigrams by the change of their
share. Here each of the twenty is tested: Fisher's exact test, corrected for all bigrams that could
have made the lists. Titles of any two years can be given instead of the counts below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from togi.errors import DataError, UsageError
from togi.gallery.finding import Finding, Plot, told
from togi.stats import Estimate, benjamini_hochberg
from togi.stats.fisher import fisher_log_p
from togi.stats.shares import share_differences, share_ratios
from togi.step import StepSettings, Work

NAME = "title_trends"
ROSE = {
    "language models": (34, 112),
    "diffusion models": (11, 72),
    "large language": (8, 58),
    "text to": (6, 38),
    "diffusion model": (1, 26),
    "dataset for": (22, 50),
    "to image": (5, 34),
    "language model": (6, 26),
    "benchmark for": (26, 47),
    "time series": (15, 33),
}
"""The slide's rising bigrams: titles of 2022 and of 2023 that hold each."""
FELL = {
    "reinforcement learning": (161, 166),
    "neural networks": (134, 131),
    "learning with": (93, 96),
    "learning in": (36, 26),
    "knowledge distillation": (20, 9),
    "for neural": (22, 11),
    "learning of": (28, 20),
    "few shot": (38, 24),
    "near optimal": (16, 6),
    "learning to": (37, 32),
}
"""The slide's falling bigrams; public title lists, counted once a title."""
TITLES = (2900, 3584)
TESTED = 455
"""Bigrams in at least ten titles of both years together: what the slide chose its twenty from."""
LEAST, ERROR, LEVEL = 10, 0.05, 0.95


class Settings(StepSettings):
    """Test the slide's twenty title bigrams, by published counts or in titles of one's own."""

    before: str = ""
    """Titles of the year before, one a line or any source that togi reads; empty takes the counts
    of 2022 and 2023 that stand in this entry."""
    after: str = ""
    """Titles of the year after."""
    error: float = Field(default=ERROR, gt=0, lt=1)
    """The share of false discoveries to bear among those called significant."""

    @model_validator(mode="after")
    def _both(self) -> Settings:
        if bool(self.before) != bool(self.after):
            raise UsageError("give both 'before' and 'after', or neither", where=NAME)
        return self


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Test the twenty; outputs `finding`."""
    names = [*ROSE, *FELL]
    counts = np.array([*ROSE.values(), *FELL.values()])
    sizes, tested, others = TITLES, TESTED, np.ones(TESTED - len(names))
    notes = [
        f"The p-values of the {len(others)} bigrams that are not on the slide are taken as 1, "
        "which can only hide discoveries, never make one."
    ]
    if settings.before:
        counts, sizes, others = _counted(names, settings, work)
        tested = len(names) + len(others)
        notes = [f"Counted in {sizes[0]:,} and {sizes[1]:,} titles."]
    p = np.exp(fisher_log_p(counts[:, 0], sizes[0], counts[:, 1], sizes[1]))
    kept = benjamini_hochberg(np.concatenate([p, others]))[: len(names)] <= settings.error
    up = counts[:, 1] / sizes[1] > counts[:, 0] / sizes[0]
    finding = _finding(names, counts, sizes, kept & (up == _claimed()), tested, settings.error)
    return Finding(**finding, notes=[*notes, *NOTES]).write(work.folder)


NOTES = (
    "The slide ranked by the change of share, without any test; frequent bigrams move by chance.",
    "“few shot” may well have fallen: what is missing is evidence beyond what 455 tries give.",
)


def _claimed() -> np.ndarray:
    """Whether the slide says that each of the twenty rose."""
    return np.array([True] * len(ROSE) + [False] * len(FELL))


def _counted(
    names: list[str], settings: Settings, work: Work
) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """Count the twenty in titles; return their counts, the titles, and p of all other bigrams."""
    from togi.data.ngram_counts import count_ngrams
    from togi.data.ngram_words import Wording
    from togi.data.render import Renderer
    from togi.rows.read import read_rows

    render = Renderer(None, NAME)
    corpora = []
    for source in (settings.before, settings.after):
        kind = "lines" if source.endswith(".txt") else "auto"
        rows = read_rows(source, kind=kind, offline=work.offline)
        corpora.append(sorted({render(row) for row in rows}))
    found = count_ngrams(corpora, Wording(latex=True), orders=(2, 2))
    documents = dict(zip(found.names, found.documents.tolist(), strict=True))
    counts = np.array([documents.get(name, (0, 0)) for name in names])
    if not counts.any():
        raise DataError("none of the twenty bigrams stands in these titles", where=NAME)
    sizes = found.sizes.documents
    rest = np.array(
        [pair for name, pair in documents.items() if name not in names and sum(pair) >= LEAST]
    ).reshape(-1, 2)
    return counts, sizes, np.exp(fisher_log_p(rest[:, 0], sizes[0], rest[:, 1], sizes[1]))


def _finding(
    names: list[str],
    counts: np.ndarray,
    sizes: tuple[int, int],
    kept: np.ndarray,
    tested: int,
    error: float,
) -> dict[str, Any]:
    """Return the fields of the finding; the slide holds where all twenty survive."""
    columns = (counts[:, 0], sizes[0], counts[:, 1], sizes[1], LEVEL)
    gap, ratio = share_differences(*columns), share_ratios(*columns)
    points = {
        f"{name}, per cent of titles": _estimate(gap, place, 100 * np.ones(1), sum(sizes))
        for place, name in enumerate(names)
    }
    rose, fell = int(kept[: len(ROSE)].sum()), int(kept[len(ROSE) :].sum())
    learning = names.index("reinforcement learning")
    survivors = [name for name, keeps in zip(names, kept, strict=True) if keeps]
    before, after = counts[learning].tolist()
    return {
        "name": NAME,
        "holds": "holds" if kept.all() else "does not hold here",
        "measured": (
            f"{rose + fell} of the {len(names)} survive correction for {tested} tests at a false "
            f"discovery rate of {100 * error:g} %: {rose} of the rising ones "
            f"({', '.join(survivors) or 'none'}) and {fell} of the falling ones. Reinforcement "
            f"learning is in {before} titles before and {after} after: its share changed by "
            f"{told(points['reinforcement learning, per cent of titles'], 2)} points."
        ),
        "estimates": points,
        "plots": [_plot(names, counts, ratio, sum(sizes))],
        "values": {"survive": survivors, "tested": tested, "titles": list(sizes)},
    }


def _estimate(interval: Any, place: int, scale: np.ndarray, n: int) -> Estimate:
    mean, low, high = (float(column[place] * scale[0]) for column in interval)
    return Estimate(mean, low, high, n, LEVEL)


def _plot(names: list[str], counts: np.ndarray, ratio: Any, n: int) -> Plot:
    """Draw each bigram's ratio of shares over its titles in the year before."""
    one = np.ones(1)
    series = {
        label: [
            (float(counts[place, 0]), _estimate(ratio, place, one, n))
            for place in places
            if np.isfinite(ratio.high[place])
        ]
        for label, places in (
            ("said to rise", range(len(ROSE))),
            ("said to fall", range(len(ROSE), len(names))),
        )
    }
    return Plot(
        title="Share after over share before",
        x="titles before",
        y="ratio of shares",
        series=series,
        kind="scatter",
        log_x=True,
        log_y=True,
    )
