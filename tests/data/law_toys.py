"""Runs made up from a known law, and where the published data lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from togi.data.scaling import law_of, loss, optimum
from togi.data.scaling_runs import FLOPS_PER, Runs, runs_of

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "data"
CHINCHILLA = PUBLISHED / "scaling_laws" / "svg_extracted_data.csv"
REPEATED = PUBLISHED / "data_constrained"
TRUTH = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)

published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published data are not beside the repository"
)


def profile_runs(
    budgets: int = 5, sizes: int = 5, noise: float = 0.0, seed: int = 0, spread: float = 1.6
) -> Runs:
    """IsoFLOP runs of the true law: `sizes` about the best one at each of several budgets."""
    rng = np.random.default_rng(seed)
    columns = []
    for flops in np.geomspace(1e18, 1e21, budgets):
        best = float(optimum(TRUTH, flops)[0])
        for size in best * np.exp(np.linspace(-spread, spread, sizes)):
            columns.append((size, flops / FLOPS_PER / size))
    n, d = np.array(columns).T
    return runs_of(n, d, loss(TRUTH, n, d) * np.exp(noise * rng.standard_normal(len(n))))
