"""Texts as points of a sphere: hashed n-grams weighed by TF-IDF, or embeddings that are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.errors import DataError

FEATURES = Features(order=2, buckets=1 << 18)
COMMON = 0.5  # an n-gram in more than this share of the texts tells nothing of their topics
AT_A_TIME = 256  # texts
BLOCK = 512  # rows of a dense product


class Points:
    """Unit vectors, one a row; a text without any feature is the zero vector, near to nothing.

    Args:
        matrix: CSR with no negative entry, or dense; rows need not be of unit length.
    """

    def __init__(self, matrix: Any) -> None:
        self.dense = isinstance(matrix, np.ndarray)
        self.matrix: Any
        if self.dense:
            norms = np.linalg.norm(matrix, axis=1, keepdims=True)
            self.matrix = np.asarray(matrix / np.where(norms > 0, norms, 1), dtype=np.float32)
        else:
            from scipy import sparse

            norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1))).ravel()
            scale = sparse.diags_array(1 / np.where(norms > 0, norms, 1))
            self.matrix = sparse.csr_array(scale @ matrix)
            self.inverted = sparse.csr_array(self.matrix.T)  # features x texts

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def cosine(self, point: int) -> np.ndarray:
        """Return the cosines between one point and all: float64[n]."""
        if self.dense:
            return (self.matrix @ self.matrix[point]).astype(np.float64)
        row = slice(self.matrix.indptr[point], self.matrix.indptr[point + 1])
        return self.inverted[self.matrix.indices[row]].T @ self.matrix.data[row]

    def similarity(self, point: int) -> np.ndarray:
        """Return the cosines, none below zero: float64[n]."""
        return np.maximum(self.cosine(point), 0)

    def distance(self, point: int) -> np.ndarray:
        """Return the distances to all points, a metric: float64[n]."""
        apart = np.sqrt(np.maximum(2 - 2 * self.cosine(point), 0))
        apart[point] = 0.0
        return apart

    def total_similarity(self) -> np.ndarray:
        """Return the sum of each point's similarities to all: float64[n]."""
        if not self.dense:  # no cosine is negative, so the sum goes through the sum of all points
            return self.matrix @ np.asarray(self.matrix.sum(axis=0)).ravel()
        blocks = (self.matrix[start : start + BLOCK] for start in range(0, len(self), BLOCK))
        sums = [np.maximum(block @ self.matrix.T, 0).sum(axis=1, dtype=float) for block in blocks]
        return np.concatenate(sums) if sums else np.zeros(0)

    def subset(self, rows: np.ndarray) -> Points:
        """Return some of the points, in the order given."""
        return Points(self.matrix[rows])


def hashed_vectors(texts: Sequence[str]) -> Any:
    """Return TF-IDF over hashed words and pairs of words: CSR float64[n, buckets].

    The weight is (1 + ln count) · ln((1 + n) / (1 + texts with it)); n-grams in more than half of
    the texts weigh nothing.
    """
    from scipy import sparse

    featuriser, n = Featuriser(FEATURES), len(texts)
    blocks = [sparse.csr_array((0, FEATURES.buckets))]
    for start in range(0, n, AT_A_TIME):
        part = featuriser.texts(texts[start : start + AT_A_TIME])
        sizes = FEATURES.ngrams(part.words)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        shape = (len(sizes), FEATURES.buckets)
        block = sparse.csr_array((np.ones(len(part.indices)), part.indices, ends), shape=shape)
        block.sum_duplicates()
        blocks.append(block)
    counts = sparse.csr_array(sparse.vstack(blocks, format="csr"))
    having = np.bincount(counts.indices, minlength=FEATURES.buckets)
    idf = np.where(having > max(1, COMMON * n), 0.0, np.log((1 + n) / (1 + having)))
    counts.data = (1 + np.log(counts.data)) * idf[counts.indices]
    counts.eliminate_zeros()
    return counts


def read_embeddings(path: Path, n: int) -> np.ndarray:
    """Return embeddings, one a row in the source's order: float[n, width].

    Args:
        path: `.npy`, or `.safetensors` with one tensor or one named `embeddings`.
        n: how many rows the source has.

    Raises:
        DataError: they cannot be read, do not match the source, or are not finite.
    """
    try:
        array = _array(path)
    except (OSError, EOFError, ValueError, TypeError, KeyError) as fault:
        raise DataError(
            "the embeddings cannot be read",
            where=str(path),
            found=str(fault),
            expected=".npy, or .safetensors with a tensor `embeddings`, of float32 or float64",
        ) from fault
    if array.ndim != 2 or len(array) != n or array.dtype.kind != "f":
        raise DataError(
            "the embeddings do not match the source",
            where=str(path),
            found=f"{array.dtype} {list(array.shape)}",
            expected=f"floats [{n}, width]: one for each row of the source, in its order",
        )
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise DataError("an embedding is not finite", where=f"{path} row {row}")
    return array


def _array(path: Path) -> np.ndarray:
    if path.suffix != ".safetensors":
        return np.load(path, allow_pickle=False, mmap_mode="r")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
            name = "embeddings" if "embeddings" in names or len(names) != 1 else names[0]
            return file.get_tensor(name)
    except SafetensorError as fault:
        raise ValueError(str(fault)) from fault
