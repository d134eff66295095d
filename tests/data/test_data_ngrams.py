"""n-grams: counted as by hand whatever the memory, and told apart as the published titles say."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.ngram_counts import Counted, Sizes, count_ngrams, frequent
from togi.data.ngram_trends import trends
from togi.data.ngram_words import Wording, is_content
from togi.data.ngrams import contrast, log_odds, ranked
from togi.errors import DataError, UsageError
from togi.stats import benjamini_hochberg, stream
from togi.stats.special import normal_cdf

ODD = "aZ_9 \n\t.,':-/\\$Σςİ ßé\u0301²½中文कि😀\u200dﬁ\u00a0Ａ"
odd_text = st.text(st.sampled_from(ODD) | st.characters(codec="utf-8"), max_size=60)
corpora = st.lists(st.lists(odd_text, min_size=1, max_size=5), min_size=1, max_size=2)
wordings = st.builds(Wording, st.sampled_from(["fold", "keep"]), st.booleans())
DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "neurips_trends"
published = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published title counts are not beside the repository"
)


def by_hand(texts: list[list[str]], wording: Wording, low: int, high: int):
    """Documents and occurrences of each n-gram, from the words as they stand."""
    documents, occurrences = defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0])
    for group, corpus in enumerate(texts):
        for text in corpus:
            words = wording.words(text)
            grams = Counter(
                " ".join(words[i : i + n])
                for n in range(low, high + 1)
                for i in range(len(words) - n + 1)
            )
            for gram, n in grams.items():
                documents[gram][group] += 1
                occurrences[gram][group] += n
    return dict(documents), dict(occurrences)


def as_dicts(found: Counted):
    documents = dict(zip(found.names, found.documents.tolist(), strict=True))
    return documents, dict(zip(found.names, found.occurrences.tolist(), strict=True))


@settings(max_examples=150, deadline=None)
@given(corpora, wordings, st.integers(1, 2), st.integers(2, 4))
def test_counts_are_those_of_the_words(texts, wording, low, high) -> None:
    found = count_ngrams(texts, wording, orders=(low, high))
    assert as_dicts(found) == by_hand(texts, wording, low, high)
    for name, order in zip(found.names, found.orders.tolist(), strict=True):
        assert name.count(" ") == order - 1
    for order in range(low, high + 1):
        at = found.orders == order
        assert found.sizes.in_documents[order].tolist() == found.documents[at].sum(0).tolist()
        assert found.sizes.occurrences[order].tolist() == found.occurrences[at].sum(0).tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(odd_text, min_size=1, max_size=6), wordings)
def test_the_kernels_words_are_the_readable_ones(texts, wording) -> None:
    featuriser = Featuriser(Features())
    tokens = wording.tokens(texts, featuriser)
    ends = np.cumsum(tokens.sizes).tolist()
    for text, start, end in zip(texts, [0, *ends], ends, strict=False):
        borders = zip(tokens.starts[start:end], tokens.ends[start:end], strict=True)
        words = [tokens.text[s:e].tobytes().decode("utf-8", "surrogatepass") for s, e in borders]
        wanted = wording.words(text)
        assert [word for word in words if word in set(wanted)] == wanted


@pytest.mark.parametrize("places", [1 << 9, 1 << 10, 1 << 12])
def test_a_small_table_counts_the_frequent_ones_exactly(places) -> None:
    rng = stream(1, "test")
    words = [f"w{i}" for i in range(400)]
    share = 1 / np.arange(1, 401)
    texts = [
        [" ".join(rng.choice(words, 12, p=share / share.sum())) for _ in range(300)]
        for _ in range(2)
    ]
    found = count_ngrams(texts, orders=(1, 2), places=places)
    documents, occurrences = by_hand(texts, Wording(), 1, 2)
    assert found.least > 1
    kept = {name for name, counts in documents.items() if sum(counts) >= found.least}
    assert set(found.names) == kept
    assert as_dicts(found) == (
        {name: documents[name] for name in kept},
        {name: occurrences[name] for name in kept},
    )
    whole = count_ngrams(texts, orders=(1, 2))
    assert found.sizes.in_documents.tolist() == whole.sizes.in_documents.tolist()


def test_block_borders_change_nothing(monkeypatch) -> None:
    texts = [[f"Some words, some number {i % 7}: and more." for i in range(50)], ["more words"]]
    whole = count_ngrams(texts)
    monkeypatch.setattr("togi.data.ngram_counts.BLOCK", 40)
    assert as_dicts(count_ngrams(texts)) == as_dicts(whole)


def test_examples_hold_their_ngram() -> None:
    texts = [["a " * 150 + "Rare-Word here " + "b " * 150], ["A Short-Title: with Case"]]
    found = count_ngrams(texts, orders=(2, 2))
    example = dict(zip(found.names, found.examples or [], strict=True))
    assert example["rare word"] == f"{'a ' * 8}rare word here{' b' * 7}"
    assert example["short title"] == "A Short-Title: with Case"


def test_a_corpus_that_changes_and_one_without_documents_are_refused() -> None:
    class Fickle:
        read = 0

        def __iter__(self):
            self.read += 1
            return iter(["one text"] if self.read == 1 else ["another"])

    with pytest.raises(DataError, match="a corpus changed while it was read"):
        count_ngrams([Fickle()])
    with pytest.raises(DataError, match="corpus 2: there is no document"):
        count_ngrams([["a"], []])
    with pytest.raises(UsageError, match=r"out of range\. Found: 3 to 2. Expected: 1 to 7"):
        count_ngrams([["a"]], orders=(3, 2))
    with pytest.raises(UsageError, match="out of range"):
        count_ngrams([["a"]], orders=(1, 8))


def test_texts_without_words_are_documents_all_the_same() -> None:
    found = count_ngrams([["", "...", "a"], ["a"]])
    assert found.sizes.documents == (3, 1)
    assert found.names == ["a"]


def test_log_odds_by_hand() -> None:
    """Monroe 2008, eqs. 15, 19 and 22, of three words with a prior worth 10 of them."""
    a, b, prior = np.array([3.0, 1.0, 6.0]), np.array([8.0, 2.0, 10.0]), np.array([0.2, 0.3, 0.5])
    found = log_odds(a, np.full(3, 10.0), b, np.full(3, 20.0), prior, 10.0)
    wanted = math.log(10 / (30 - 10)) - math.log(5 / (20 - 5))
    assert found.value[0] == pytest.approx(wanted)
    assert found.sd[0] == pytest.approx(math.sqrt(1 / 10 + 1 / 5))
    assert found.z[0] == pytest.approx(wanted / math.sqrt(0.3))


def test_a_strong_prior_calms_everything_and_a_weak_one_lets_rare_ones_lead() -> None:
    counted = made([[0, 3], [100, 160]], (1000, 1000))
    z = {s: contrast(counted, strength=s).log_odds.z for s in (1e-3, 50.0, 1e9)}
    assert abs(z[1e9]).max() < 0.02
    assert abs(contrast(counted, strength=1e-3).log_odds.value[0]) > 8
    assert z[50.0][1] > z[50.0][0] > 0
    with pytest.raises(UsageError, match=r"strength must be above 0\. Found: 0"):
        contrast(counted, strength=0)


def made(documents, sizes, names=None, total=None) -> Counted:
    docs = np.array(documents, np.int64).reshape(-1, 2)
    whole = np.zeros((8, 2), np.int64)
    whole[1:] = total or (10 * sizes[0], 10 * sizes[1])
    names = names or [f"g{i}" for i in range(len(docs))]
    orders = np.array([name.count(" ") + 1 for name in names], np.int64)
    return Counted(names, orders, docs, docs, Sizes(sizes, whole, whole))


counts = st.tuples(st.integers(0, 90), st.integers(0, 120)).filter(any)
pairs = st.lists(counts, min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(pairs, st.sampled_from(["documents", "occurrences"]))
def test_swapping_the_corpora_flips_signs_and_keeps_p(rows, unit) -> None:
    one = contrast(made(rows, (100, 130)), unit=unit)
    other = contrast(made([row[::-1] for row in rows], (130, 100)), unit=unit)
    np.testing.assert_allclose(one.log_odds.z, -other.log_odds.z, atol=1e-9)
    np.testing.assert_allclose(one.p, other.p, rtol=1e-6)
    np.testing.assert_allclose(one.odds.low, -other.odds.high, atol=1e-9)
    assert one.significant.tolist() == other.significant.tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(odd_text, min_size=2, max_size=8))
def test_a_corpus_against_itself_shows_nothing(texts) -> None:
    found = contrast(count_ngrams([texts, texts]))
    assert found.found() == (0, 0)
    assert np.abs(found.log_odds.z).max(initial=0) < 1e-9
    assert (found.p == 1).all()


def test_false_discoveries_are_rare_where_nothing_differs_and_bounded_where_some_does() -> None:
    """300 comparisons of 150 n-grams: any discovery in at most 5 % (and chance) of them; with a
    tenth of the n-grams doubled, a share of at most 5 % of all discoveries is false."""
    rng = np.random.default_rng(8)
    share = rng.uniform(0.005, 0.05, 150)
    families, proportions, power = 0, [], []
    for _ in range(300):
        null = np.stack([rng.binomial(800, share), rng.binomial(1000, share)], axis=1)
        families += any(contrast(made(null, (800, 1000))).found())
        moved = share * np.where(np.arange(150) < 15, 3.0, 1.0)
        mixed = np.stack([rng.binomial(800, share), rng.binomial(1000, moved)], axis=1)
        hits = contrast(made(mixed, (800, 1000))).significant
        proportions.append(hits[15:].sum() / max(1, hits.sum()))
        power.append(hits[:15].mean())
    assert families / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert np.mean(proportions) <= 0.05
    assert np.mean(power) > 0.5


def test_occurrences_are_compared_as_rates_of_their_order() -> None:
    found = contrast(made([[10, 20]], (50, 50), total=(100, 100)), unit="occurrences")
    assert found.ratio.mean[0] == 2
    assert np.isnan(found.difference.mean[0])
    assert found.p[0] == pytest.approx(0.0987, abs=1e-4)  # 20 or more, or 10 or fewer, of 30


def test_nested_ngrams_that_move_together_are_one_trend() -> None:
    names = ["language model", "large language model", "model", "large", "falling model"]
    docs = np.array([[10, 60], [8, 40], [90, 200], [30, 90], [40, 10]])
    z = np.array([5.0, 4.0, 3.0, 2.0, -1.0])
    # 40 of 60 documents; but of the 200 of "model" the 60 are less than half, as of "large" the 40
    assert trends(names, docs, z, np.zeros(5, bool)).tolist() == [0, 0, 2, 3, 4]


def test_a_longer_ngram_that_adds_nothing_belongs_to_the_shorter_ones_trend() -> None:
    names = ["diffusion", "diffusion models", "of diffusion", "fast diffusion"]
    docs = np.array([[40, 200], [11, 70], [2, 12], [0, 40]])
    z = np.array([7.7, 5.0, 2.2, 3.0])
    # 11 of 40 and 70 of 200 are alike, 2 of 40 and 12 of 200 too; 0 of 40 and 40 of 200 are not
    assert trends(names, docs, z, np.array([True] * 4)).tolist() == [0, 0, 0, 3]
    # where the shorter one is not significant there is no trend to belong to
    assert trends(names, docs, z, np.zeros(4, bool)).tolist() == [0, 1, 2, 3]


def test_a_child_of_two_trends_does_not_join_them() -> None:
    names = ["large", "language", "large language"]
    docs = np.array([[20, 200], [30, 300], [3, 30]])
    found = trends(names, docs, np.array([6.0, 7.0, 2.0]), np.array([True] * 3))
    assert found.tolist() == [0, 1, 1]


def test_function_words_can_be_left_out() -> None:
    assert [is_content(words) for words in (["for", "large"], ["text", "to"], ["text"])] == [
        False, False, True
    ]  # fmt: skip
    counted = made([[9, 9], [9, 9]], (20, 20), names=["for large", "large models"])
    assert frequent(counted, 1, content_only=True).names == ["large models"]
    assert frequent(counted, 19).names == []


def test_a_background_takes_the_place_of_the_corpora_in_the_prior() -> None:
    counted = made([[5, 9]], (100, 100), names=["word"], total=(1000, 1000))
    common = made([[900, 0]], (1000, 1), names=["word"], total=(1000, 1))
    plain, with_common = contrast(counted), contrast(counted, background=common)
    assert abs(with_common.log_odds.z[0]) < abs(plain.log_odds.z[0])


def test_a_background_is_found_by_keys_as_by_names() -> None:
    texts = [["a b c", "a b"], ["b c", "c d"]]
    counted = count_ngrams(texts, orders=(1, 2))
    further = [["a b", "x y z", "c d d"]]
    by_name = count_ngrams(further, orders=(1, 2))
    by_key = count_ngrams(further, orders=(1, 2), named=False)
    assert by_key.names == []
    plain = replace(by_name, keys=None)
    one, two = contrast(counted, background=by_key), contrast(counted, background=plain)
    assert one.log_odds.z.tolist() == two.log_odds.z.tolist()
    assert one.log_odds.z.tolist() != contrast(counted).log_odds.z.tolist()


def test_too_few_documents_cannot_be_compared() -> None:
    with pytest.raises(DataError, match=r"too few documents to compare\. Found: 1 and 9"):
        contrast(made([[1, 5]], (1, 9)))


# --- the published titles ------------------------------------------------------------------------


def titles(before: str, after: str, orders=(2,)) -> Counted:
    with (DATA / "year_totals.csv").open() as file:
        totals = {row["year"]: row for row in csv.DictReader(file)}
    names, docs, sizes, whole = [], [], [], np.zeros((8, 2), np.int64)
    for order in orders:
        counts = defaultdict(lambda: [0, 0])
        with (DATA / f"title_{order}gram_counts.csv").open() as file:
            for row in csv.DictReader(file):
                if row["year"] in (before, after):
                    counts[row["ngram"]][row["year"] == after] = int(row["titles"])
        names += list(counts)
        docs += list(counts.values())
        field = {1: "doc_unigrams", 2: "doc_bigrams", 3: "doc_trigrams"}[order]
        whole[order] = [int(totals[year][field]) for year in (before, after)]
    sizes = (int(totals[before]["titles"]), int(totals[after]["titles"]))
    number = np.array([name.count(" ") + 1 for name in names])
    return Counted(names, number, np.array(docs), np.array(docs), Sizes(sizes, whole, whole), 3)


@published
def test_the_titles_of_2022_and_2023_as_the_sheet_has_them() -> None:
    found = contrast(frequent(titles("2022", "2023"), 10))
    at = {name: i for i, name in enumerate(found.names)}
    assert len(found.names) == 455
    z = {"language models": 5.27, "diffusion models": 5.80, "large language": 5.35, "text to": 4.16,
         "to image": 4.02, "diffusion model": 4.30, "dataset for": 2.43, "language model": 2.96,
         "benchmark for": 1.57, "time series": 1.88, "neural networks": -1.95,
         "reinforcement learning": -1.68}  # fmt: skip
    assert {name: round(float(found.z[at[name]]), 2) for name in z} == z
    odds = {"language models": 4.71, "diffusion models": 4.98, "large language": 4.55,
            "diffusion model": 3.04, "neural networks": -2.32, "reinforcement learning": -2.10,
            "few shot": -2.75, "networks with": -2.98, "near optimal": -2.58}  # fmt: skip
    for name, value in odds.items():  # the sheet's prior differs a little
        assert found.log_odds.z[at[name]] == pytest.approx(value, abs=0.03)
    gap = found.difference.mean[[at["language models"], at["to image"]]]
    assert gap.round(4).tolist() == [0.0195, 0.0078]


@published
def test_six_of_the_slides_twenty_survive_and_no_falling_one() -> None:
    found = contrast(frequent(titles("2022", "2023"), 10))
    at = {name: i for i, name in enumerate(found.names)}
    risen = ["language models", "diffusion models", "large language", "text to", "to image",
             "diffusion model", "dataset for", "language model", "benchmark for",
             "time series"]  # fmt: skip
    fallen = ["reinforcement learning", "neural networks", "learning with", "learning in",
              "knowledge distillation", "for neural", "learning of", "few shot", "near optimal",
              "learning to"]  # fmt: skip
    kept = {name for name in risen + fallen if found.significant[at[name]]}
    assert kept == {"language models", "diffusion models", "large language", "text to", "to image",
                    "diffusion model"}  # fmt: skip
    assert found.found() == (10, 0)  # Fisher's test also keeps "spotlight a", a label of the page
    two = benjamini_hochberg([2 * normal_cdf(-abs(z)) for z in found.z.tolist()]) <= 0.05
    assert {found.names[i] for i in np.flatnonzero(two)} == kept | {
        "for large", "foundation models", "in context"
    }  # fmt: skip
    assert (found.p <= 0.05 / 455).sum() == 6
    order = [found.names[i] for i in ranked(found, "difference")]
    assert set(order[:8]) == set(risen) - {"benchmark for", "time series"}
    assert (order.index("benchmark for") + 1, order.index("time series") + 1) == (14, 16)
    assert set(fallen) <= set(order[:-15:-1])


@published
@pytest.mark.parametrize(
    ("years", "discoveries", "rms"),
    [
        (("2014", "2015"), 0, 0.98),
        (("2015", "2016"), 1, 1.21),
        (("2016", "2017"), 0, 1.41),
        (("2017", "2018"), 0, 0.84),
        (("2021", "2022"), 2, 1.11),
        (("2022", "2023"), 9, 1.34),
    ],
)
def test_the_back_test_over_the_decade(years, discoveries, rms) -> None:
    found = contrast(frequent(titles(*years), 10))
    q = benjamini_hochberg([2 * normal_cdf(-abs(z)) for z in found.z.tolist()])
    assert (q <= 0.05).sum() == discoveries
    assert round(found.rms_z, 2) == rms


@published
def test_the_published_title_list_is_counted_as_by_hand() -> None:
    with (DATA / "titles_2022.csv").open() as file:
        rows = [row["title"] for row in csv.DictReader(file)]
    found = count_ngrams([rows], Wording(latex=True), orders=(2, 2), least=5)
    wanted, _ = by_hand([rows], Wording(latex=True), 2, 2)
    assert as_dicts(found)[0] == {k: v for k, v in wanted.items() if v[0] >= 5}
    counts = as_dicts(found)[0]
    # another crawl than the published counts: near them
    assert abs(counts["reinforcement learning"][0] - 161) <= 5
    assert abs(counts["neural networks"][0] - 134) <= 5
