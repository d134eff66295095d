"""A small text classifier that learns from distributions: hashed words, softmax regression."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BUCKETS = 4096
"""Hashed words and pairs of neighbouring words."""


def features(texts: list[str]) -> Floats:
    """Return (items, BUCKETS + 1) weights of hashed words and pairs of words, each row of norm 1.

    The last column is 1, for the intercept.

    >>> features(["a b"]).shape, int((features(["a b"]) > 0).sum())
    ((1, 4097), 4)
    """
    import numpy as np

    found = np.zeros((len(texts), BUCKETS + 1))
    for row, text in enumerate(texts):
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        for term in [*words, *(" ".join(two) for two in pairwise(words))]:
            found[row, zlib.crc32(term.encode("utf-8", "replace")) % BUCKETS] += 1
    found = np.log1p(found)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    found[:, BUCKETS] = 1.0
    return found


def out_of_fold(x: Floats, target: Floats, fold: NDArray[Any], decay: float) -> Floats:
    """Return (items, labels) predictions, each by a model that has not seen the item."""
    import numpy as np

    found = np.zeros_like(target)
    for one in np.unique(fold):
        mine = fold == one
        found[mine] = softmax(x[mine] @ learn(x[~mine], target[~mine], decay))
    return found


def learn(x: Floats, target: Floats, decay: float) -> Floats:
    """Return the weights of a softmax regression on target distributions.

    They are the only minimum of mean cross-entropy + decay / 2 · Σ w²; the intercept is free.

    >>> import numpy as np
    >>> w = learn(np.ones((4, 1)), np.array([[0.25, 0.75]] * 4), 1e-6)
    >>> softmax(np.ones((1, 1)) @ w).round(3).tolist()
    [[0.25, 0.75]]
    """
    import numpy as np
    from scipy.optimize import minimize

    shape, n = (x.shape[1], target.shape[1]), len(x)
    penalty = np.full((shape[0], 1), decay)
    penalty[-1] = 0.0

    def cost(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(shape)
        q = softmax(x @ w)
        loss = -(target * np.log(np.maximum(q, 1e-300))).sum() / n + (penalty * w * w).sum() / 2
        return float(loss), (x.T @ (q - target) / n + penalty * w).ravel()

    return minimize(cost, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B",
                    options={"maxiter": 300}).x.reshape(shape)  # fmt: skip


def softmax(logits: Floats) -> Floats:
    """Return the softmax of each row."""
    import numpy as np

    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
