"""Conference titles: which bigrams rose and fell from NeurIPS 2022 to 2023, and which did not.

A survey of NeurIPS 2023 opens with two lists, made by ranking title bigrams by the change of their
share. Here each of the twenty is tested: Fisher's exact test, corrected for all bigrams that could
have made the lists. Titles of any two years can be given instead of the counts below.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from togi.errors import DataError, UsageError
from togi.gallery.finding import Finding, Plot, told
from togi.stats import benjamini_hochberg
from togi.stats.fisher import fisher_log_p
from togi.stats.shares import share_differences
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
    log_p = fisher_log_p(counts[:, 0], sizes[0], counts[:, 1], sizes[1])
    adjusted = benjamini_hochberg(np.concatenate([np.exp(log_p), others]))
    up = counts[:, 1] / sizes[1] > counts[:, 0] / sizes[0]
    kept = (adjusted[: len(names)] <= settings.error) & (up == _claimed())
    finding = _finding(names, counts, sizes, (log_p, kept, tested), settings.error)
    return Finding(**finding, notes=[*notes, *NOTES]).write(work.folder)


NOTES = (
    "The slide ranked by the change of share, without any test; frequent bigrams move by chance.",
    "A bigram that does not survive may have moved all the same: what is missing is evidence "
    "beyond what so many tries give by chance.",
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
    tests: tuple[np.ndarray, np.ndarray, int],
    error: float,
) -> dict[str, Any]:
    """Return the fields of the finding; the slide holds where all twenty survive."""
    log_p, kept, tested = tests
    gap = share_differences(counts[:, 0], sizes[0], counts[:, 1], sizes[1], LEVEL)
    points = {f"{name}, points": gap.at(i, sum(sizes), LEVEL, 100) for i, name in enumerate(names)}
    survivors = [name for name, keeps in zip(names, kept, strict=True) if keeps]
    rose, fell = ([name for name in survivors if name in side] for side in (ROSE, FELL))
    learning = names.index("reinforcement learning")
    before, after = counts[learning].tolist()
    return {
        "name": NAME,
        "holds": "holds" if kept.all() else "does not hold here",
        "measured": (
            f"{len(survivors)} of the {len(names)} survive correction for {tested} tests at a "
            f"false discovery rate of {100 * error:g} %: {_listed(rose)} of the rising ones and "
            f"{_listed(fell)} of the falling ones. Reinforcement learning is in {before} "
            f"titles before and {after} after: its share changed by "
            f"{told(points['reinforcement learning, points'], 2)} points."
        ),
        "estimates": points,
        "plots": [_plot(log_p, kept, tested, error)],
        "values": {"survive": survivors, "tested": tested, "titles": list(sizes)},
    }


def _listed(names: list[str]) -> str:
    """Say how many, and which.

    >>> _listed(["few shot"]), _listed([])
    ('1 (few shot)', '0')
    """
    return f"{len(names)} ({', '.join(names)})" if names else "0"


def _plot(log_p: np.ndarray, kept: np.ndarray, tested: int, error: float) -> Plot:
    """Draw the evidence for each of the twenty, strongest first, and what is needed to survive."""
    evidence = -log_p / math.log(10)
    needed = -math.log10(error * max(1, int(kept.sum())) / tested)
    parts = {
        "said to rise": evidence[: len(ROSE)],
        "said to fall": evidence[len(ROSE) :],
        "needed to survive": np.full(len(ROSE), needed),
    }
    series = {
        label: [(float(rank), float(value)) for rank, value in enumerate(sorted(part)[::-1], 1)]
        for label, part in parts.items()
    }
    return Plot(
        title="Evidence against chance",
        x="place among the ten, by evidence",
        y="−log₁₀ p",
        series=series,
    )
