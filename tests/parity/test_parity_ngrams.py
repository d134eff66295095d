"""n-grams beside public packages: the same counts, log-odds and corrected p-values.

scikit-learn counts documents, `logodds` computes Monroe's log-odds, statsmodels corrects p-values
and tests two proportions. Needs these packages; `make parity` has them.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from togi.data.ngram_counts import count_ngrams, frequent
from togi.data.ngram_words import Wording
from togi.data.ngrams import contrast, log_odds
from togi.stats import benjamini_hochberg
from togi.stats.shares import share_differences, two_share_z, wilson_column

WORDS = [f"{a}{b}" for a in "bdfgklm" for b in ("a", "e", "i", "o", "ä", "é")]


def corpus(seed: int, n: int) -> list[str]:
    draw = random.Random(seed)
    weights = [1 / (place + 1 + seed) for place in range(len(WORDS))]
    marks = [" ", " ", " ", "-", ": ", "/"]
    return [
        "".join(w.title() + draw.choice(marks) for w in draw.choices(WORDS, weights, k=12))
        for _ in range(n)
    ]


@pytest.fixture(scope="module")
def corpora() -> list[list[str]]:
    return [corpus(1, 200), corpus(2, 260)]


@pytest.mark.parametrize("binary", [True, False])
def test_counts_equal_those_of_scikit_learn(corpora: list[list[str]], binary: bool) -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    vectors = text.CountVectorizer(ngram_range=(1, 3), binary=binary, token_pattern=r"\w+")
    table = vectors.fit_transform([*corpora[0], *corpora[1]])
    cut = len(corpora[0])
    sums = np.stack([np.asarray(part.sum(axis=0))[0] for part in (table[:cut], table[cut:])], 1)
    wanted = dict(zip(vectors.get_feature_names_out(), sums.tolist(), strict=True))
    found = count_ngrams(corpora, Wording())
    ours = found.documents if binary else found.occurrences
    assert dict(zip(found.names, ours.tolist(), strict=True)) == wanted


def test_log_odds_equal_those_of_the_package_logodds(corpora: list[list[str]]) -> None:
    package = pytest.importorskip("logodds")
    counted = count_ngrams(corpora, orders=(1, 1))
    a, b = (counted.occurrences[:, side].astype(float) for side in (0, 1))
    sides = [dict(zip(counted.names, column, strict=True)) for column in (b, a)]
    pooled = dict(zip(counted.names, 500 * (a + b) / (a + b).sum(), strict=True))
    wanted = package.log_odds_details(*sides, prior_counts=pooled, alpha=1e-12)
    n_a, n_b = np.full(len(a), a.sum()), np.full(len(b), b.sum())
    found = log_odds(a, n_a, b, n_b, (a + b) / (a + b).sum(), 500.0)
    for place, name in enumerate(counted.names):
        assert found.value[place] == pytest.approx(wanted[name]["delta"], rel=1e-9, abs=1e-12)
        assert found.z[place] == pytest.approx(wanted[name]["z"], rel=1e-9, abs=1e-12)
    whole = contrast(counted, unit="occurrences")
    np.testing.assert_allclose(whole.log_odds.z, found.z, rtol=1e-9, atol=1e-12)


def test_correction_and_proportions_equal_those_of_statsmodels(corpora: list[list[str]]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    counted = frequent(count_ngrams(corpora), 10)
    found = contrast(counted)
    n_a, n_b = counted.sizes.documents
    np.testing.assert_allclose(found.q, multitest.multipletests(found.p, method="fdr_bh")[1])
    np.testing.assert_allclose(benjamini_hochberg(found.p), found.q)
    for place in range(0, len(found.names), 37):
        a, b = counted.documents[place].tolist()
        z, _ = proportion.proportions_ztest([b, a], [n_b, n_a])
        assert two_share_z([a], n_a, [b], n_b)[0] == pytest.approx(z, rel=1e-9)
        low, high = proportion.proportion_confint(a, n_a, method="wilson")
        assert wilson_column(np.array([float(a)]), n_a)[1:] == (
            pytest.approx(low), pytest.approx(high),
        )  # fmt: skip
        low, high = proportion.confint_proportions_2indep(b, n_b, a, n_a, method="newcomb")
        gap = share_differences([a], n_a, [b], n_b)
        assert (gap.low[0], gap.high[0]) == (pytest.approx(low), pytest.approx(high))
