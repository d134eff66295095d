"""Diversity: quotas, and the classic guarantees of both greedy picks against brute force."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lima_toys import WORDS, sentence
from safetensors.numpy import save_file
from scipy import sparse

from togi.data.diverse import (
    METHODS,
    coverage,
    entropy,
    facility_location,
    grouped_quotas,
    k_center,
    quotas,
)
from togi.data.vectors import Points, hashed_vectors, read_embeddings
from togi.errors import DataError


def points(seed: int, n: int, width: int = 3, dense: bool = True) -> Points:
    draw = np.random.default_rng(seed)
    if dense:
        return Points(draw.normal(size=(n, width)))
    return Points(sparse.random_array((n, 40), density=0.2, rng=draw, format="csr"))


def radius(apart: np.ndarray, picked: Sequence[int]) -> float:
    """The distance of the farthest point from its nearest picked one."""
    return float(apart[list(picked)].min(axis=0).max())


def covered(near: np.ndarray, picked: Sequence[int]) -> float:
    """The sum of all points' similarities to their nearest picked one."""
    return float(near[list(picked)].max(axis=0).sum())


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_farthest_first_is_within_twice_the_best_radius(k: int, dense: bool) -> None:
    for seed in range(12):
        some = points(seed, 11, dense=dense)
        apart = np.array([some.distance(place) for place in range(11)])
        best = min(radius(apart, pick) for pick in itertools.combinations(range(11), k))
        picked = k_center(some, k)
        assert len(set(picked)) == k
        assert best - 1e-6 <= radius(apart, picked) <= 2 * best + 1e-6


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_greedy_coverage_is_within_its_share_of_the_best(k: int, dense: bool) -> None:
    shares = []
    for seed in range(12):
        some = points(seed, 11, dense=dense)
        near = np.array([some.similarity(place) for place in range(11)])
        best = max(covered(near, pick) for pick in itertools.combinations(range(11), k))
        shares.append(covered(near, facility_location(some, k)) / best)
    assert min(shares) >= 1 - 1 / math.e
    assert max(shares) <= 1 + 1e-6
    if k == 1:
        assert min(shares) == pytest.approx(1)


def naive(some: Points, k: int) -> list[int]:
    """The same greedy pick, every gain computed anew each time."""
    picked: list[int] = []
    while len(picked) < k:
        best = coverage(some, picked)
        gains = [
            -1.0 if place in picked else np.maximum(some.similarity(place) - best, 0).sum().round(4)
            for place in range(len(some))
        ]
        picked.append(int(np.argmax(gains)))
    return picked


@pytest.mark.parametrize("dense", [True, False])
def test_the_lazy_pick_is_the_plain_greedy_one(dense: bool) -> None:
    for seed in range(5):
        some = points(seed, 60, width=8, dense=dense)
        assert facility_location(some, 20) == naive(some, 20)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dense", [True, False])
def test_every_method_keeps_the_contract(method: str, dense: bool) -> None:
    some = points(3, 30, dense=dense)
    for k in (0, 1, 7, 30, 99):
        picked = METHODS[method](some, k)
        assert len(picked) == len(set(picked)) == min(k, 30)
        assert picked == METHODS[method](some, k)
        assert picked == METHODS[method](some, 99)[: min(k, 30)]  # a longer pick starts the same
    assert METHODS[method](points(0, 0) if dense else some.subset(np.arange(0)), 3) == []


def test_three_heaps_of_points_give_one_of_each() -> None:
    """Worked by hand: 10 + 4 + 1 points in three directions; any three must be one of each."""
    heaps = np.repeat(np.eye(3), [10, 4, 1], axis=0)
    for method in (facility_location, k_center):
        picked = method(Points(heaps), 3)
        assert sorted(int(np.argmax(heaps[place])) for place in picked) == [0, 1, 2]
    assert facility_location(Points(heaps), 1)[0] < 10  # the largest heap first
    assert coverage(Points(heaps), [0]).sum() == pytest.approx(10)


def test_points_are_unit_vectors_with_a_metric() -> None:
    some = points(0, 20, width=5)
    apart = np.array([some.distance(place) for place in range(20)])
    assert np.allclose(apart, apart.T, atol=1e-3)
    assert np.all(np.diag(apart) == 0)
    through = (apart[:, :, None] + apart[None, :, :]).min(axis=1)
    assert np.all(apart <= through + 1e-3)
    assert np.allclose(
        some.total_similarity(), [some.similarity(p).sum() for p in range(20)], atol=1e-4
    )
    empty = Points(np.vstack([np.zeros(4), np.ones(4)]))
    assert empty.similarity(0).tolist() == [0, 0]
    assert empty.distance(0).tolist() == pytest.approx([0, math.sqrt(2)])


def test_sparse_and_dense_points_agree() -> None:
    matrix = sparse.random_array((25, 30), density=0.3, rng=np.random.default_rng(0), format="csr")
    one, two = Points(matrix), Points(matrix.toarray())
    for place in range(25):
        assert np.allclose(one.cosine(place), two.cosine(place), atol=1e-6)
    assert np.allclose(one.total_similarity(), two.total_similarity(), atol=1e-5)
    assert facility_location(one, 10) == facility_location(two, 10)


# --- texts and embeddings -------------------------------------------------------------------------


def test_texts_of_one_topic_are_nearer_than_those_of_another() -> None:
    draw = random.Random(0)
    texts = [sentence(draw, site, 60) for site in WORDS for _ in range(15)]
    some = Points(hashed_vectors(texts))
    near = np.array([some.cosine(place) for place in range(45)])
    same = np.kron(np.eye(3), np.ones((15, 15))) * (1 - np.eye(45)) > 0
    assert near[same].min() > near[np.kron(np.eye(3), np.ones((15, 15))) == 0].max()
    assert np.allclose(np.diag(near), 1)


def test_vectors_do_not_depend_on_how_texts_are_batched() -> None:
    draw = random.Random(1)
    texts = [sentence(draw, "cooking", 30) for _ in range(600)] + ["", "?"]
    whole = hashed_vectors(texts)
    turned = hashed_vectors(texts[::-1])
    assert abs(whole - turned[::-1]).max() < 1e-12
    assert whole.shape[0] == 602


def test_the_pick_covers_held_out_texts_better_than_chance() -> None:
    """Paired over 200 held-out texts of a skewed mixture; the interval leaves 0 out."""
    from togi.stats import paired_difference

    draw = random.Random(2)
    sizes = {"cooking": 300, "physics": 60, "travel": 12}
    texts = [sentence(draw, site, 25) for site, n in sizes.items() for _ in range(n)]
    held_out = [sentence(draw, site, 25) for site in sizes for _ in range(66)]
    vectors = Points(hashed_vectors(texts + held_out))
    for method in (facility_location, k_center):
        pool = np.array(draw.sample(range(372), 372))
        picked = pool[method(vectors.subset(pool), 15)].tolist()
        by_chance = pool[:15].tolist()
        near, chance = (coverage(vectors, pick)[372:] for pick in (picked, by_chance))
        assert paired_difference(near, chance).estimate.low > 0, method.__name__


@pytest.mark.parametrize("name", ["vectors.npy", "one.safetensors", "embeddings.safetensors"])
def test_embeddings_are_read(name: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        tensors = {"one": array} if name == "one.safetensors" else {"embeddings": array}
        save_file(tensors if len(name) < 16 else {**tensors, "x": array[:1]}, path)
    assert np.array_equal(read_embeddings(path, 5), array)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((4, 3)), "the embeddings do not match the source. Found: float64 [4, 3]"),
        (np.zeros(5), "Found: float64 [5]"),
        (np.zeros((5, 3), dtype=int), "Found: int64 [5, 3]"),
        (np.array([[0.0], [np.nan], [0], [0], [0]]), "row 1: an embedding is not finite"),
    ],
)
def test_embeddings_that_do_not_fit_are_told(array: np.ndarray, told: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError) as caught:
        read_embeddings(tmp_path / "a.npy", 5)
    assert told in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
def test_files_that_are_no_embeddings_are_told(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="the embeddings cannot be read"):
        read_embeddings(tmp_path / name, 5)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="the embeddings cannot be read"):
        read_embeddings(tmp_path / "a.npy", 1)


# --- balance --------------------------------------------------------------------------------------

sizes = st.lists(st.integers(0, 500), min_size=1, max_size=12)


@given(sizes, st.integers(0, 800), st.sampled_from([1.0, 3.0, 10.0, math.inf]), st.data())
@settings(max_examples=300, deadline=None)
def test_quotas_fill_what_can_be_filled_and_no_more(
    sizes: list[int], k: int, tau: float, data: st.DataObject
) -> None:
    most = [data.draw(st.integers(0, size)) for size in sizes]
    given_ = quotas(sizes, k, tau, most)
    assert sum(given_) == min(k, sum(most))
    assert all(0 <= one <= limit for one, limit in zip(given_, most, strict=True))
    # A larger topic with as much room gets at least as many, up to the rounding of one.
    for (s1, m1, g1), (s2, m2, g2) in itertools.permutations(
        zip(sizes, most, given_, strict=True), 2
    ):
        if s1 >= s2 and m1 >= m2:
            assert g1 >= g2 - 1


def test_quotas_by_hand() -> None:
    assert quotas([8, 1], 3, tau=3) == [2, 1]  # shares 2 : 1
    assert quotas([800, 100], 30, tau=1) == [27, 3]
    assert quotas([800, 100], 30, tau=math.inf) == [15, 15]
    assert quotas([800, 100, 4], 90, tau=math.inf) == [43, 43, 4]  # the small one is full
    assert quotas([0, 5], 3) == [0, 3]


@given(st.lists(st.integers(1, 400), min_size=2, max_size=10), st.integers(20, 200))
@settings(max_examples=200, deadline=None)
def test_a_higher_temperature_is_never_less_even(sizes: list[int], k: int) -> None:
    found = [entropy(quotas(sizes, k, tau)) for tau in (1, 3, 30, math.inf)]
    slack = len(sizes) / min(k, sum(sizes))  # of rounding to whole rows
    assert all(two >= one - slack for one, two in itertools.pairwise(found))
    assert found[-1] <= math.log(len(sizes)) + 1e-9


def test_the_papers_temperature_lifts_small_sites() -> None:
    """Three sites, 100 : 10 : 1. Proportional sampling has entropy 0.36, tau = 3 has 0.91."""
    sizes = [10_000, 1_000, 100]
    assert entropy(quotas(sizes, 111, tau=1)) == pytest.approx(entropy([100, 10, 1]))
    shares = np.array(sizes) ** (1 / 3)
    limit = entropy((1e6 * shares / shares.sum()).astype(int).tolist())
    assert entropy(quotas(sizes, 10_000, tau=3, most=[10**6] * 3)) == pytest.approx(limit, abs=1e-3)
    assert limit > 2 * entropy(sizes)


def test_groups_share_equally_and_give_what_they_cannot_fill_to_the_others() -> None:
    assert grouped_quotas([900, 100, 50], [0, 0, 1], 60, 1, [900, 100, 50]) == [27, 3, 30]
    assert grouped_quotas([900, 100, 5], [0, 0, 1], 60, 1, [900, 100, 5]) == [50, 5, 5]
