"""The token tree by hand, and against a plain list of ancestors for random sequences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from togi.lm import tree as module
from togi.lm.tree import build, packs, shared_length

SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=8
)


def test_layout_by_hand():
    tree = build([(1, 2, 3), (1, 2, 4, 5), (1, 6), (1, 2, 3)])
    assert tree.tokens.tolist() == [1, 2, 3, 4, 5, 6]
    assert tree.positions.tolist() == [0, 1, 2, 2, 3, 1]
    assert [tree.nodes(i).tolist() for i in range(4)] == [
        [0, 1, 2],
        [0, 1, 3, 4],
        [0, 5],
        [0, 1, 2],
    ]


def test_a_stem_is_not_computed_again():
    tree = build([(1, 2, 3), (1, 2, 4)], stem=(1, 2))
    assert tree.tokens.tolist() == [3, 4]
    assert tree.positions.tolist() == [2, 2]
    assert tree.nodes(1).tolist() == [0, 1, 3]
    assert tree.dense_mask().astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 1]]


@pytest.mark.parametrize("longest", [2, 5, 256])
@pytest.mark.parametrize("overhead", [0, 10, 8192])
@given(sequences=SEQUENCES, cut=st.integers(0, 12))
def test_each_node_sees_its_ancestors_and_itself_only(longest, overhead, sequences, cut):
    before = module.LONGEST_PIECE, module.BLOCK_OVERHEAD
    module.LONGEST_PIECE, module.BLOCK_OVERHEAD = longest, overhead
    try:
        stem = sequences[0][:cut]
        tree = build(sequences, stem)
        ids = np.concatenate([np.asarray(stem, dtype=int), tree.tokens])
        mask = tree.dense_mask()
        for index, sequence in enumerate(sequences):
            nodes = tree.nodes(index)
            assert tuple(ids[nodes]) == sequence
            for depth, node in enumerate(nodes):
                if node >= tree.stem:
                    row = node - tree.stem
                    assert np.flatnonzero(mask[row]).tolist() == sorted(nodes[: depth + 1])
                    assert tree.positions[row] == depth
        assert np.array_equal(_from_blocks(tree), mask)
    finally:
        module.LONGEST_PIECE, module.BLOCK_OVERHEAD = before


def _from_blocks(tree):
    mask = np.zeros((len(tree), tree.stem + len(tree)), dtype=bool)
    for block in tree.blocks():
        columns = np.concatenate([np.arange(s.start, s.end) for s in block.keys])
        assert block.n_keys == len(columns)
        rows = np.arange(block.start, block.end)
        mask[np.ix_(rows, columns)] = True if block.mask is None else block.mask
    return mask


@given(sequences=SEQUENCES, budget=st.integers(1, 30), carry=st.booleans())
def test_packs_hold_each_sequence_once_and_keep_the_budget(sequences, budget, carry):
    seen: list[int] = []
    previous: tuple[int, ...] = ()
    for pack, shared in packs(sequences, budget, carry=carry):
        stem = sequences[pack[0]][:shared]
        assert shared == (shared_length(np.array(previous), np.array(sequences[pack[0]]))
                          if carry and previous else 0)  # fmt: skip
        tree = build([sequences[i] for i in pack], stem, order=range(len(pack)))
        assert len(tree) <= budget or len(pack) == 1
        previous = sequences[pack[-1]]
        seen += pack
    assert sorted(seen) == list(range(len(sequences)))


def test_many_choices_after_one_prompt_make_few_blocks():
    prompt = tuple(range(100, 700))
    sequences = [
        (*prompt, 10 + item, *range(40), choice) for item in range(20) for choice in (1, 2)
    ]
    tree = build(sequences)
    assert len(tree) == 600 + 20 * (1 + 40 + 2)
    assert len(tree.blocks()) < 20
