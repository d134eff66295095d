"""Solvable toys of DoReMi: a model of single tokens, domains with known distributions."""

from __future__ import annotations

import numpy as np
import torch

from togi.data.doremi import DomainItem
from togi.lm.forward import AnswerScores, Request
from togi.lm.head import TokenScores

PER_DOMAIN = 20


class Unigram(torch.nn.Module):
    """One probability for each token, whatever stands before it."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(vocabulary, dtype=torch.float64))

    def answer_scores(self, requests):
        ids = torch.tensor([i for r in requests for i in r.ids[r.start :]])
        owner = torch.tensor([n for n, r in enumerate(requests) for _ in r.ids[r.start :]])
        logprobs = self.logits.log_softmax(0)[ids]
        greedy = torch.zeros(len(ids), dtype=torch.bool)
        return AnswerScores(TokenScores(logprobs, greedy), owner, self.logits[ids][:, None])

    @property
    def probabilities(self):
        return self.logits.detach().softmax(0).numpy()


def exact_items(distributions, *, known=True):
    """One item a domain, whose tokens stand exactly in the distribution's frequencies."""
    items = []
    for number, q in enumerate(distributions):
        counts = np.round(np.asarray(q) * PER_DOMAIN).astype(int)
        assert np.allclose(counts / PER_DOMAIN, q), "not a multiple of 1/PER_DOMAIN"
        tokens = [token for token, count in enumerate(counts) for _ in range(count)]
        nats = -np.log(np.asarray(q)[tokens]) if known else np.zeros(len(tokens))
        request = Request((0, *tokens), 1)
        items.append(
            DomainItem(f"d{number}", request, number, len(tokens), nats.astype(np.float32))
        )
    return items


def capacity(distributions, rounds=4000):
    """Blahut and Arimoto: the weights whose mixture is equally far from all that have weight.

    They solve min over p of max over i of KL(q_i || p), the game that DoReMi plays here.
    """
    q = np.asarray(distributions, dtype=float)
    alpha = np.full(len(q), 1 / len(q))
    for _ in range(rounds):
        gaps = (q * np.log(q / (alpha @ q))).sum(axis=1)
        alpha = alpha * np.exp(gaps)
        alpha /= alpha.sum()
    return alpha, gaps
