"""The losses of the DPO family: pure functions of the gap between two answers' log-ratios.

With ``a`` and ``b`` the log-ratios log pi/pi_ref of the better and of the worse answer, the gap is
``h = a - b``. Answers' log-probabilities are sums over tokens unless a loss takes the mean over
tokens, which its name then says: the two differ by orders of magnitude in the useful beta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from togi.errors import UsageError, nearest


def sigmoid(gap: Tensor, beta: float) -> Tensor:
    """Return -log sigma(beta h): DPO (Rafailov et al. 2023, eq. 7).

    >>> import torch
    >>> round(sigmoid(torch.tensor([0.0]), beta=0.1).item(), 6)  # ln 2
    0.693147
    """
    return -logsigmoid(beta * gap)


def cdpo(gap: Tensor, beta: float, noise: float) -> Tensor:
    """Return DPO's loss where a share `noise` of the labels is wrong (Mitchell 2023).

    Its lowest point lies at h = logit(1 - noise) / beta, so that sure pairs stop pulling.

    >>> import torch
    >>> h = torch.tensor([(torch.tensor(0.9).logit() / 0.5).item()], requires_grad=True)
    >>> cdpo(h, 0.5, 0.1).backward()
    >>> abs(h.grad.item()) < 1e-6
    True
    """
    return (1 - noise) * sigmoid(gap, beta) + noise * sigmoid(-gap, beta)


def robust(gap: Tensor, beta: float, noise: float) -> Tensor:
    """Return the loss whose mean over random flips is DPO's without them (Chowdhury et al. 2024).

    It may fall below zero, and has no lowest point.
    """
    clean, flipped = sigmoid(gap, beta), sigmoid(-gap, beta)
    return ((1 - noise) * clean - noise * flipped) / (1 - 2 * noise)


def ipo(gap: Tensor, beta: float) -> Tensor:
    """Return (h - 1 / (2 beta))^2: IPO, whose tau is beta here (Azar et al. 2024, eq. 17).

    >>> import torch
    >>> ipo(torch.tensor([0.0]), beta=0.1).item()
    25.0
    """
    return (gap - 1 / (2 * beta)) ** 2


def hinge(gap: Tensor, beta: float) -> Tensor:
    """Return max(0, 1 - beta h): SLiC's loss on the log-ratios (Zhao et al. 2023)."""
    return relu(1 - beta * gap)


def simpo(gap: Tensor, beta: float, margin: float) -> Tensor:
    """Return -log sigma(beta h - margin), where h is of mean log-probabilities (Meng et al. 2024).

    >>> import torch
    >>> round(simpo(torch.tensor([0.5]), beta=2.0, margin=1.0).item(), 6)  # ln 2
    0.693147
    """
    return -logsigmoid(beta * gap - margin)


class PairLoss(NamedTuple):
    """A loss of the family and how its gap is made.

    `uses` are the settings it takes beside the gap and beta; with `mean` log-probabilities are
    divided by the answer's tokens; without `reference` the reference counts as zero.
    """

    function: Callable[..., Tensor]
    uses: tuple[str, ...] = ()
    mean: bool = False
    reference: bool = True


LOSSES: dict[str, PairLoss] = {
    "sigmoid": PairLoss(sigmoid),
    "sigmoid_mean": PairLoss(sigmoid, mean=True),
    "cdpo": PairLoss(cdpo, ("noise",)),
    "robust": PairLoss(robust, ("noise",)),
    "ipo_sum": PairLoss(ipo),
    "ipo_mean": PairLoss(ipo, mean=True),
    "hinge": PairLoss(hinge),
    "simpo": PairLoss(simpo, ("margin",), mean=True, reference=False),
}
DEFAULTS: Mapping[str, float] = {"noise": 0.1, "margin": 0.5}
"""What a loss takes where nothing is said; the others refuse these settings."""


def pair_loss(name: str, beta: float, given: Mapping[str, float | None]) -> dict[str, float]:
    """Return the keyword arguments of a loss, checked.

    Args:
        name: a key of `LOSSES`.
        beta: its strength.
        given: what was said of `noise` and `margin`; None where nothing.

    Raises:
        UsageError: no such loss, a setting out of its range, or one that the loss does not use.

    >>> pair_loss("cdpo", 0.1, {"noise": None, "margin": None})
    {'beta': 0.1, 'noise': 0.1}
    """
    if name not in LOSSES:
        raise UsageError(
            "unknown loss", where="dpo.loss", found=name, expected=nearest(name, LOSSES)
        )
    if not beta > 0:
        raise UsageError("beta must be more than 0", where="dpo.beta", found=str(beta))
    uses = LOSSES[name].uses
    for setting, value in given.items():
        if value is not None and setting not in uses:
            takers = [other for other, loss in LOSSES.items() if setting in loss.uses]
            raise UsageError(
                f"'{setting}' means nothing to {name}",
                where=f"dpo.{setting}",
                found=str(value),
                expected=f"a loss that takes it: {', '.join(takers)}",
            )
    found = {s: DEFAULTS[s] if given.get(s) is None else float(given[s] or 0) for s in uses}
    if not 0 <= found.get("noise", 0) < 0.5:
        raise UsageError(
            "noise is the share of wrong labels, so it lies below one half",
            where="dpo.noise",
            found=str(found["noise"]),
            expected="at least 0, less than 0.5",
        )
    if found.get("margin", 0) < 0:
        raise UsageError(
            "margin must be at least 0", where="dpo.margin", found=str(found["margin"])
        )
    return {"beta": beta, **found}
