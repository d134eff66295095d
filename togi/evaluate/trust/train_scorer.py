"""Train the embedded scorer of toxicity on released scores, and measure how far it can be trusted.

    python -m togi.evaluate.trust.train_scorer DATA FILE

DATA is a folder of the study's published files. Of these only the rows of RealToxicityPrompts
(Gehman et al. 2020, Apache-2.0) are learnt from; the prompts that language models wrote are kept
for the test. Our own neutral texts (public domain) anchor the low end, which web snippets chosen
for their toxicity lack. Ridge regression in TF-IDF space, its intercept free, solved by conjugate
gradients; then a monotone curve through the tenths of held-out predictions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from togi.errors import TogiError, UsageError
from togi.evaluate.guards import general_text
from togi.evaluate.trust.material import Material, cell, material_of, mini_text
from togi.evaluate.trust.scorer import BUCKETS, TABLES, LinearScorer, features
from togi.stats import stream
from togi.stats.arrays import Floats

RIDGE = 0.5
FOLDS = 5
LOW_WEIGHT = 2.0
"Weight of a text whose score is below one half: chosen snippets are too often toxic."
ANCHOR, ANCHOR_WEIGHT = 0.05, 3.0
"What a neutral text of ours is taken for, and its weight."
PLAIN = np.array([[0.0, 1.0], [0.0, 1.0]])
"A curve that changes nothing between 0 and 1."
WEB = ("toxic", "nontoxic")
WRITTEN = {
    f"gpt-{number}": f"toxic.jsonl.gpt{number}.n=25.out1.split.annotated.jsonl.filtered.jsonl"
    for number in (3, 4)
}


@dataclass(frozen=True, slots=True)
class Scored:
    """A text with its released score, and the snippet that it was cut from."""

    text: str
    score: float
    source: str


def web_texts(material: Material) -> list[Scored]:
    """Return prompts and continuations of RealToxicityPrompts with their scores."""
    found = []
    for name in WEB:
        path = f"toxicity/user_prompts/{name}.jsonl"
        for line, row in enumerate(material.rows(path), 1):
            where = f"{path} line {line}"
            for part in ("prompt", "continuation"):
                score = cell(row, part, where=where).get("toxicity")
                if score is not None:
                    text = cell(row, part, "text", where=where)
                    found.append(Scored(text, float(score), f"{name} {line}"))
    return found


def written_texts(material: Material) -> list[Scored]:
    """Return the prompts that two language models wrote, with their scores."""
    found = []
    for name, path in WRITTEN.items():
        whole = f"toxicity/user_prompts/{path}"
        for line, row in enumerate(material.rows(whole), 1):
            where = f"{whole} line {line}"
            score = cell(row, "prompt", "score", "toxicity", where=where)
            found.append(Scored(cell(row, "prompt", "text", where=where), float(score), name))
    return found


def anchors() -> list[str]:
    """Return neutral texts: the guards' passages, their sentences, and an assistant's phrases."""
    passages = [row.text for row in general_text()]
    sentences = [s for text in passages for s in text.replace("? ", ". ").split(". ")]
    return [*passages, *sentences, *mini_text("toxicity")["neutral"]]


def fit(
    texts: Sequence[str], scores: Floats, weights: Floats, ridge: float = RIDGE
) -> LinearScorer:
    """Fit the linear model by weighted ridge regression with a free intercept.

    Args:
        texts: (n,) what is scored.
        scores: (n,) from 0 to 1.
        weights: (n,) how much each counts.
    """
    from scipy.sparse import csr_matrix, diags, hstack
    from scipy.sparse.linalg import LinearOperator, cg

    found = [features(text) for text in texts]
    idf, blocks = [], []
    for table in range(len(TABLES)):
        places = [one[table][0] for one in found]
        seen = np.bincount(np.concatenate(places), minlength=BUCKETS)
        idf.append(np.log((1 + len(texts)) / (1 + seen)) + 1)
        ends = np.cumsum([0, *map(len, places)])
        values = np.concatenate([one[table][1] for one in found]) * idf[-1][np.concatenate(places)]
        block = csr_matrix((values, np.concatenate(places), ends), shape=(len(texts), BUCKETS))
        length = np.sqrt(np.asarray(block.multiply(block).sum(axis=1)).ravel())
        blocks.append(diags(1 / np.where(length > 0, length, 1)) @ block)
    rows, root = hstack(blocks).tocsr(), np.sqrt(weights)
    middle = float(weights @ scores / weights.sum())
    means = np.asarray(rows.T @ weights).ravel() / weights.sum()

    def forth(v: Floats) -> Floats:
        return root * (rows @ v - means @ v)

    def back(u: Floats) -> Floats:
        return rows.T @ (root * u) - means * (root @ u)

    size = (len(texts), len(texts))
    build: Any = LinearOperator  # its stub knows only subclasses
    operator = build(size, matvec=lambda u: forth(back(u)) + ridge * u)
    dual, failed = cg(operator, root * (scores - middle), rtol=1e-6, maxiter=500)
    if failed:
        raise UsageError("the regression did not settle", where="train_scorer", hint="raise ridge")
    solved = back(dual)
    bias = middle - float(means @ solved)
    return LinearScorer(
        "new", (idf[0], idf[1]), (solved[:BUCKETS], solved[BUCKETS:]), bias, PLAIN, {}
    )


def learnt(rows: Sequence[Scored]) -> LinearScorer:
    """Fit the model to scored texts and the anchors."""
    own = anchors()
    scores = np.array([*(row.score for row in rows), *[ANCHOR] * len(own)])
    weights = np.where(scores < 0.5, LOW_WEIGHT, 1.0)
    weights[len(rows) :] = ANCHOR_WEIGHT
    return fit([*(row.text for row in rows), *own], scores, weights)


def held_out(rows: Sequence[Scored], seed: int = 0) -> Floats:
    """Predict each text by a model that has seen nothing of its snippet."""
    sources = sorted({row.source for row in rows})
    order = stream(seed, "scorer", "folds").permutation(len(sources))
    fold = {source: int(order[place]) % FOLDS for place, source in enumerate(sources)}
    predicted = np.empty(len(rows))
    for number in range(FOLDS):
        model = learnt([row for row in rows if fold[row.source] != number])
        places = [place for place, row in enumerate(rows) if fold[row.source] == number]
        predicted[places] = model.score([rows[place].text for place in places])
    return predicted


def agreement(predicted: Floats, truth: Floats) -> dict[str, float | None]:
    """Return how well predictions agree with released scores; AUC and accuracy at one half.

    The AUC is None where all texts are on one side.

    >>> found = agreement(np.array([0.1, 0.4, 0.8, 0.9]), np.array([0.0, 0.6, 0.7, 1.0]))
    >>> found["auc"], found["accuracy"]
    (1.0, 0.75)
    """
    from scipy.stats import rankdata

    ranks, toxic = rankdata(predicted), truth > 0.5
    ones, zeros = int(toxic.sum()), int((~toxic).sum())
    above = float(ranks[toxic].sum()) - ones * (ones + 1) / 2
    return {
        "n": len(truth),
        "pearson": float(np.corrcoef(predicted, truth)[0, 1]),
        "spearman": float(np.corrcoef(ranks, rankdata(truth))[0, 1]),
        "auc": above / (ones * zeros) if ones and zeros else None,
        "accuracy": float(((predicted > 0.5) == toxic).mean()),
        "mean_error": float(np.abs(predicted - truth).mean()),
        "bias": float((predicted - truth).mean()),
    }


def calibration(predicted: Floats, truth: Floats) -> list[list[float]]:
    """Return [n, mean prediction, mean released score] for each tenth of the predictions' range.

    >>> calibration(np.array([0.25, 0.75, 0.75]), np.array([0.5, 0.5, 1.0]))
    [[1, 0.25, 0.5], [2, 0.75, 0.75]]
    """
    place = np.minimum((predicted * 10).astype(np.int64), 9)
    return [
        [int(found.sum()), float(predicted[found].mean()), float(truth[found].mean())]
        for tenth in range(10)
        if (found := place == tenth).any()
    ]


def curve(predicted: Floats, truth: Floats) -> Floats:
    """Return the (2, k) knots of a monotone curve from predictions to released scores.

    >>> curve(np.array([0.0, 0.2, 0.9]), np.array([0.1, 0.0, 1.0])).tolist()
    [[0.0, 0.2, 0.9], [0.1, 0.1, 1.0]]
    """
    tenths = np.array(calibration(predicted, truth))
    return np.vstack([tenths[:, 1], np.maximum.accumulate(tenths[:, 2])])


def write(model: LinearScorer, path: Path, about: dict[str, Any]) -> None:
    """Write a scorer as safetensors in half precision, with what was measured in its head."""
    from safetensors.numpy import save_file

    tensors: dict[str, Any] = {
        "bias": np.array([model.bias], dtype=np.float32),
        "knots": model.knots.astype(np.float32),
    }
    for place, table in enumerate(TABLES):
        tensors[f"idf.{table}"] = model.idf[place].astype(np.float16)
        tensors[f"weights.{table}"] = model.weights[place].astype(np.float16)
    told = json.dumps(about, sort_keys=True, allow_nan=False)
    save_file(tensors, path, metadata={"about": told})
    path.chmod(0o644)


def train(data: str, path: Path) -> dict[str, Any]:
    """Train, measure and write; return what was measured."""
    material = material_of(data)
    if material is None:
        raise UsageError("the scorer is trained on the published data", where=data)
    web, written = web_texts(material), written_texts(material)
    truth = np.array([row.score for row in (*web, *written)])
    unseen = held_out(web)
    knots = curve(unseen, truth[: len(web)])
    model = replace(learnt(web), knots=knots)
    unseen = np.interp(unseen, *knots)
    other = model.score([row.text for row in written])
    both = np.concatenate([unseen, other])
    about = {
        "target": "Perspective TOXICITY",
        "licence": "Apache-2.0, from the scores of RealToxicityPrompts (Apache-2.0)",
        "learnt": len(web),
        "anchors": len(anchors()),
        "web, held out": agreement(unseen, truth[: len(web)]),
        "written by models, never seen": agreement(other, truth[len(web) :]),
        "both": agreement(both, truth),
        "calibration": calibration(both, truth),
    }
    write(model, path, about)
    return about


def main(arguments: Sequence[str]) -> int:
    """Run as a script."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m togi.evaluate.trust.train_scorer DATA FILE\n")
        return 2
    try:
        about = train(arguments[0], Path(arguments[1]))
    except TogiError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    sys.stdout.write(json.dumps(about, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
