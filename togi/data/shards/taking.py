"""Taking the documents with the greatest keys over all shards, target by target."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from togi.data.shards.engines import Run
from togi.data.shards.threshold import BITS, LEVELS, Digits, find
from togi.data.shards.weighing import (
    SCALE,
    Ranked,
    RankJob,
    TakeJob,
    Weighed,
    WeighJob,
    rank_shard,
    take_shard,
)

EVERY = 1 << 62  # more than any number of documents


def take(
    run: Run, jobs: list[WeighJob], weighed: list[Weighed], shares: list[int]
) -> tuple[list[int], tuple[float, ...]]:
    """Let each target in turn take its share; returns what was taken of each shard."""
    left, taken, effective = sum(one.allowed for one in weighed), [0] * len(jobs), []
    for target, share in enumerate(shares):
        peak = max((one.peaks[target] for one in weighed), default=-np.inf)
        looked = _Looks(run, jobs, target, float(peak) if np.isfinite(peak) else 0.0)
        effective.append(looked.effective_sample_size())
        wanted = min(share, left)
        least, equal = find(wanted, looked) if 0 < wanted < left else (Digits(), wanted)
        takes = [
            TakeJob(folder=job.folder, number=job.index.shard.number, target=target, least=least,
                    equal=most)
            for job, most in zip(jobs, looked.shared(least, equal), strict=True)
        ]  # fmt: skip
        took = list(run(take_shard, takes))
        taken = [before + now for before, now in zip(taken, took, strict=True)]
        left -= wanted
    return taken, tuple(effective)


class _Looks:
    """Looks at the keys of all shards for one target, digit by digit."""

    def __init__(self, run: Run, jobs: list[WeighJob], target: int, peak: float) -> None:
        self.run, self.jobs, self.target = run, jobs, target
        self.first, self.sums = np.zeros(1 << BITS, np.int64), (0, 0)
        for one in self._each(Digits(), peak):  # the first look sums the weights as well
            self.first += one.counts
            self.sums = (self.sums[0] + one.sums[0], self.sums[1] + one.sums[1])

    def _each(self, digits: Digits, peak: float | None = None) -> Iterator[Ranked]:
        ranks = [
            RankJob(folder=job.folder, number=job.index.shard.number, target=self.target,
                    digits=digits, peak=peak)
            for job in self.jobs
        ]  # fmt: skip
        return self.run(rank_shard, ranks)

    def __call__(self, digits: Digits) -> np.ndarray:
        """Return the histogram of the next digit."""
        if not digits.known:
            return self.first
        return sum((one.counts for one in self._each(digits)), np.zeros(1 << BITS, np.int64))

    def effective_sample_size(self) -> float:
        """Return (sum of w)^2 / sum of w^2; NaN without documents."""
        one, squared = self.sums
        return one * one / (squared * int(SCALE)) if squared else float("nan")

    def shared(self, least: Digits, equal: int) -> list[int]:
        """Return how many of the keys that begin with `least` each shard may take, first come."""
        if 0 < least.known < LEVELS:
            return [EVERY] * len(self.jobs)
        digit, before = least.prefix & ((1 << BITS) - 1), Digits()
        if least.known:
            before = Digits(least.known - 1, least.prefix >> BITS)
        shares = []
        for one in self._each(before):
            here = int(one.counts[digit] if least.known else one.counts.sum())
            shares.append(min(here, equal))
            equal -= shares[-1]
        return shares
