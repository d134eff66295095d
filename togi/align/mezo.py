"""MeZO: fine-tuning with forward passes only, in the memory that reading the model takes.

Malladi et al. 2023 (arXiv 2305.17333). With a random direction z, the loss is evaluated at theta +
eps z and at theta - eps z; g = (l+ - l-) / (2 eps) is the slope along z, and the update is theta -=
lr g z. Nothing is stored: z comes from a seed (`mezo_noise.py`). The weights are never perturbed in
place, because putting them back in bfloat16 drifts by more than an update is long (3.9e-3 against
2.5e-3 of a weight, measured): each layer works for a moment with its own perturbed copy
(`mezo_twins.py`), for both signs in one pass, and only the update writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from togi.align.mezo_noise import BLOCK, DRAWS, Noise, rounded_at_random, run_all
from togi.align.mezo_twins import evaluate
from togi.errors import UsageError, nearest
from togi.stats.rng import derive
from togi.train.config import TrainConfig
from togi.train.metrics import MetricsLog
from togi.train.objective import Objective
from togi.train.update import Update, memory_told, not_finite, row_name

SAME = 1e-5
"Relative difference of two evaluations of one loss up to which it counts as deterministic."


@dataclass(frozen=True, slots=True, kw_only=True)
class Mezo:
    """Settings of the two-point estimate; wrong values raise `UsageError` when it is built."""

    eps: float = 1e-3
    "How far the weights are perturbed: 1e-3 for all weights, 1e-2 for LoRA, 1e-1 for a prefix."
    draw: str = "gaussian"
    "A key of `togi.align.mezo_noise.DRAWS`."
    directions: int = 1
    "Directions an update is averaged over; each costs two evaluations."

    def __post_init__(self) -> None:
        if not 0 < self.eps < math.inf:
            raise UsageError("eps must be more than 0", where="mezo.eps", found=str(self.eps))
        if self.directions < 1:
            raise UsageError(
                "directions must be at least 1", where="mezo.directions",
                found=str(self.directions),
            )  # fmt: skip
        if self.draw not in DRAWS:
            raise UsageError(
                "unknown draw", where="mezo.draw", found=self.draw,
                expected=nearest(self.draw, DRAWS),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slope:
    """One direction of one step: its seed and the slope of the loss along it."""

    seed: int
    slope: float


class MezoUpdater:
    """The updater of the training loop that needs no gradient.

    It writes `trajectory.jsonl`: with the starting weights, the seeds and slopes of all steps are
    the whole training (`replay`).

    Raises:
        UsageError: no weight is trained.
    """

    def __init__(
        self, model: torch.nn.Module, folder: Path, *, config: TrainConfig, settings: Mezo
    ) -> None:
        self.model, self.config, self.settings = model, config, settings
        self.named = trained(model)
        self.weights: Sequence[torch.nn.Parameter] = list(self.named.values())
        self._path = folder / "trajectory.jsonl"
        self._log: MetricsLog | None = None
        self._step, self._checked = 0, False

    @torch.no_grad()
    def update(self, objective: Objective[Any], items: Sequence[Any], *, lr: float) -> Update:
        """Estimate the slope along fresh directions and move along them.

        Raises:
            DataError: a loss is not finite; the weights are as before.
            UsageError: the loss is another each time, so that a difference says nothing.
        """
        mode = self.model.training
        self.model.eval()
        try:
            with memory_told(self.config.micro_tokens):
                done, slopes = self._measured(objective, items)
        finally:
            self.model.train(mode)
        move(self.named, slopes, lr=lr, decay=self.config.weight_decay, draw=self.settings.draw)
        self._step += 1
        if self._log is not None:
            self._log.add(
                {
                    "step": self._step, "lr": lr, "seeds": [s.seed for s in slopes],
                    "slopes": [s.slope for s in slopes], "loss_plus": done.measures["mezo/plus"],
                    "loss_minus": done.measures["mezo/minus"],
                }
            )  # fmt: skip
        return done

    def _measured(
        self, objective: Objective[Any], items: Sequence[Any]
    ) -> tuple[Update, list[Slope]]:
        settings, config = self.settings, self.config
        slopes: list[Slope] = []
        found = []
        for number in range(settings.directions):
            seed = derive(config.seed, "mezo", self._step, number) >> 1
            noise = Noise(seed, settings.draw)
            both = evaluate(
                self.model, objective, items, noise, settings.eps, config.micro_tokens,
                twice=not self._checked,
            )  # fmt: skip
            self._check(objective, items, both.plus, both.minus, both.again)
            slope = (both.plus - both.minus) / (2 * settings.eps)
            limit = config.clip or math.inf
            slopes.append(Slope(seed, min(limit, max(-limit, slope)) / settings.directions))
            found.append((both, slope))
        n = len(found)
        norm = math.sqrt(sum(slope**2 for _, slope in found) / n)
        measures = {
            name: sum(both.measures[name] for both, _ in found) / n for name in found[0][0].measures
        }
        measures["mezo/plus"] = sum(both.plus for both, _ in found) / n
        measures["mezo/minus"] = sum(both.minus for both, _ in found) / n
        measures["mezo/slope"] = sum(slope for _, slope in found) / n
        tokens = 2 * n * sum(objective.cost(item) for item in items)
        loss = 0.5 * (measures["mezo/plus"] + measures["mezo/minus"])
        parts = sum(both.passes for both, _ in found)
        return Update(
            loss=loss, grad_norm=norm, measures=measures, micro_batches=parts, tokens=tokens
        ), slopes

    def _check(
        self, objective: Objective[Any], items: Sequence[Any], plus: float, minus: float,
        again: float | None,
    ) -> None:  # fmt: skip
        for value in (plus, minus):
            if not math.isfinite(value):
                names = [row_name(item, i) for i, item in enumerate(items)]
                not_finite(f"the loss is {value}", names)
        if again is not None:
            self._checked = True
            if abs(again - plus) > SAME * max(1.0, abs(plus)):
                raise UsageError(
                    "the same loss, evaluated twice, is another each time, so that a difference "
                    "of two says nothing",
                    where=f"mezo: {objective.name}",
                    found=f"{plus:.6g}, then {again:.6g}",
                    hint="switch dropout off, or fix the seed of what the loss draws",
                )

    def moments(self) -> dict[str, Tensor]:
        """Return the count of updates: with the run's seed it gives every seed to come."""
        return {"mezo/updates": torch.tensor(self._step)}

    def restore(self, moments: Mapping[str, Tensor]) -> None:
        """Put the count of updates back."""
        self._step = int(moments["mezo/updates"])

    def binding(self) -> dict[str, Any]:
        """Return the settings that shape the weights."""
        return {
            "mezo.eps": self.settings.eps, "mezo.draw": self.settings.draw,
            "mezo.directions": self.settings.directions,
        }  # fmt: skip

    def rewind(self, step: int) -> None:
        """Open the trajectory; what stands there after the last checkpoint is made again."""
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._log = MetricsLog(self._path, after=self._step)

    def close(self) -> None:
        """Close the trajectory."""
        if self._log is not None:
            self._log.close()
            self._log = None


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the trained weights by name, tied ones once.

    Raises:
        UsageError: there are none.
    """
    found = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not found:
        hint = "add LoRA adapters or a prefix, or let the weights be trained (requires_grad)"
        raise UsageError("the model has no weights to train", where="mezo", hint=hint)
    return found


@torch.no_grad()
def move(
    weights: Mapping[str, Tensor], slopes: Sequence[Slope], *, lr: float, decay: float, draw: str
) -> None:
    """Move weights by -lr (slope z + decay theta), block by block; only matrices decay.

    bfloat16 weights are rounded up or down at random, so that small updates are not lost.
    """
    drawn = [(Noise(one.seed, draw), one.slope) for one in slopes]
    jobs: list[Callable[[], None]] = []
    for name, weight in weights.items():
        shrink = 1.0 - lr * decay if weight.ndim >= 2 else 1.0
        for number, part in enumerate(weight.data.view(-1).split(BLOCK)):
            jobs.append(lambda n=name, i=number, p=part, s=shrink: _move(p, n, i, drawn, lr, s))
    run_all(jobs)


def _move(
    part: Tensor, name: str, number: int, drawn: Sequence[tuple[Noise, float]], lr: float,
    shrink: float,
) -> None:  # fmt: skip
    wide = torch.promote_types(part.dtype, torch.float32)
    value = part if part.dtype == wide else part.to(wide)
    z = torch.empty(part.shape, dtype=wide, device=part.device)
    if shrink != 1.0:
        value.mul_(shrink)
    for noise, slope in drawn:
        value.add_(noise.block(name, number, z), alpha=-lr * slope)
    if value is part:
        return
    generator = torch.Generator(part.device)
    generator.manual_seed(derive(drawn[0][0].seed, "round", name, number) >> 1)
    part.copy_(rounded_at_random(value, generator))


def replay(
    model: torch.nn.Module, trajectory: Sequence[Mapping[str, Any]], *, decay: float = 0.0,
    draw: str = "gaussian",
) -> None:  # fmt: skip
    """Make the updates of a `trajectory.jsonl` again on the weights that the run began with.

    The result is the run's own, bit by bit on the same kind of device.
    """
    named = trained(model)
    for line in trajectory:
        slopes = [Slope(s, g) for s, g in zip(line["seeds"], line["slopes"], strict=True)]
        move(named, slopes, lr=line["lr"], decay=decay, draw=draw)
