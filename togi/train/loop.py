"""The one training loop.

It knows nothing of a method beyond its `Objective`. Promises, each with a test by this name:
accumulation equals the larger batch · resumed equals straight · the same seed, the same run ·
a stop at any moment loses at most `save_every` steps.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from togi.errors import DataError, Stopped
from togi.stats.rng import derive
from togi.train import checkpoint as saved
from togi.train.config import TrainConfig, TrainSummary
from togi.train.digest import Identity
from togi.train.files import write_text
from togi.train.interrupt import Interrupts
from togi.train.judging import Judge, Judging, kept_random
from togi.train.metrics import MetricsLog
from togi.train.objective import Objective, rewind, state_of, told_of, updates_of
from togi.train.packing import InOrder, Sampler
from togi.train.progress import Bar
from togi.train.schedule import learning_rate
from togi.train.update import GradientUpdater, MakeUpdater, Update, merged, row_name


def train(  # noqa: PLR0913 - five of them by name only
    model: torch.nn.Module,
    objective: Objective[Any],
    items: Sequence[Any],
    config: TrainConfig,
    folder: Path,
    *,
    updater: MakeUpdater | None = None,
    judge: Judge | None = None,
    sampler: Sampler | None = None,
    say: Callable[[str], None] = print,
    notes: Mapping[str, Any] | None = None,
) -> TrainSummary:
    """Train the model's `requires_grad` weights in place, or go on where the folder stands.

    The folder gets `checkpoints/`, `metrics.jsonl` (names in `togi.train.metrics.DEFINITIONS`)
    and, at the end, `train.json` (the summary with `notes` beside it). Called again with the
    same arguments after a stop, it ends with the same weights as a run without the stop, bit by
    bit on a CPU; called again after the end, it only loads the result.

    Args:
        model: the module the objective runs; weights trained by gradients must be float32 (or
            float64).
        objective: what items weigh, cost and lose.
        items: what to train on, frozen; an `id` attribute names an item in messages.
        updater: makes who changes the weights; by default the gradient and config's optimiser.
        judge: called as ``judge(model, step)`` every `judge_every` steps; returns measures.
        sampler: which rows a step takes; by default every row once an epoch.
        notes: plain values that stand beside the summary in train.json (such as ``dropped``).

    Raises:
        Stopped: after Ctrl-C or SIGTERM, when the step is finished and saved.
        DataError: without items, for an item without weight, or when a loss or gradient is not
            finite (names step and rows; the last checkpoint stays).
        UsageError: when the folder holds another run (says what changed).
        SurroundingsError: when disk or memory run out, or every checkpoint is damaged.
    """
    weigh(objective, items)
    folder.mkdir(parents=True, exist_ok=True)
    mode = model.training
    with kept_random(), Interrupts(say) as stop:
        run = _Run(model, objective, items, config, folder, updater, judge, sampler, say)
        model.train()
        try:
            run.resume()
            with Bar(objective.name, start=run.step, steps=run.steps, say=say) as bar:
                run.begin()
                while run.step < run.steps:
                    bar.show(run.advance())
                    run.keep(stop.requested)
                    if stop.requested and run.step < run.steps:
                        raise Stopped(
                            f"stopped and saved after step {run.step} of {run.steps}",
                            hint="run the same command again to go on",
                        )
            return run.finish(notes or {})
        finally:
            run.close()
            model.train(mode)


def weigh(objective: Objective[Any], items: Sequence[Any]) -> None:
    """Refuse what cannot be trained on.

    Raises:
        DataError: without items, or for an item whose weight is not a positive number.
    """
    if not items:
        hint = "see which rows were dropped, and why"
        raise DataError("there are no rows to train on", where=objective.name, hint=hint)
    for number, item in enumerate(items):
        weight = objective.weight(item)
        if not 0 < weight < math.inf:
            raise DataError(
                "nothing of this row is trained",
                where=f"{objective.name}: row {row_name(item, number)}",
                found=f"weight {weight}",
                expected="more than 0",
            )


class _Run:
    """One sitting of a training run: the live state between checkpoints."""

    def __init__(  # noqa: PLR0913 - the arguments of `train`
        self,
        model: torch.nn.Module,
        objective: Objective[Any],
        items: Sequence[Any],
        config: TrainConfig,
        folder: Path,
        updater: MakeUpdater | None,
        judge: Judge | None,
        sampler: Sampler | None,
        say: Callable[[str], None],
    ) -> None:
        self.model, self.objective, self.items = model, objective, items
        self.config, self.folder, self.say = config, folder, say
        self.steps = config.total_steps(len(items))
        self.judging = Judging(judge, config, self.steps, say)
        self.updater = (
            GradientUpdater(model, config, folder) if updater is None else updater(model, folder)
        )
        total = config.total_items(len(items))
        self.sampler = sampler or InOrder(config.batch, len(items), total, config.seed)
        settings = {**config.binding(), **self.updater.binding(), **self.sampler.binding()}
        self.identity = Identity.of(model, objective, items, settings)
        self.root = folder / "checkpoints"
        self.step = self.began_at = self.tokens = self.micro_batches = 0
        self.seconds, self.since = 0.0, time.perf_counter()
        self.fresh, self.saved_at = True, -1
        self.log: MetricsLog | None = None

    def resume(self) -> None:
        """Load the newest checkpoint of this very run, and cut the log back to it."""
        found = saved.newest(self.root, self.say)
        if found is not None:
            then = found.state["identity"]
            rows = tuple(found.groups["rows"]["digests"].tolist())
            self.identity.require(Identity(**then, rows=rows), str(self.folder))
            saved.restore(self.model, found)
            self.updater.restore(found.groups["moments"])
            state_of(self.objective).update(found.state["objective"])
            self.step = self.began_at = self.saved_at = found.step
            self.tokens, self.seconds = found.state["tokens"], found.state["seconds"]
            self.judging.state |= found.state["judging"]
            self.fresh = False
        self.updater.rewind(self.step)
        rewind(self.objective, self.step)
        self.log = MetricsLog(
            self.folder / "metrics.jsonl", after=None if self.fresh else self.step
        )

    def begin(self) -> None:
        """Say what is about to happen; a fresh run is seeded and judged before its first step."""
        name, count = self.objective.name, self.trained()
        if not self.fresh:
            self.say(f"{name}: going on after step {self.step} of {self.steps}")
            return
        torch.manual_seed(derive(self.config.seed, "dropout"))
        self.say(
            f"{name}: {len(self.items):,} rows, {self.steps:,} steps of {self.config.batch}, "
            f"{count:,} weights trained"
        )
        if self.judging.due(0):
            self.write({"step": 0, **self.judging(self.model, 0)})
            self.keep(stopping=False)

    def advance(self) -> dict[str, Any]:
        """Make one update, judge if it is due, log; returns the metrics line."""
        config, number, began = self.config, self.step, time.perf_counter()
        items = [self.items[row] for row in self.sampler.rows(number)]
        lr = learning_rate(
            number, lr=config.lr, steps=self.steps, warmup=config.warmup, schedule=config.schedule
        )
        done = self.update(items, lr)
        self.step, self.tokens = number + 1, self.tokens + done.tokens
        self.micro_batches += done.micro_batches
        now = time.perf_counter()
        line = {
            "step": self.step, "loss": done.loss, "lr": lr, "grad_norm": done.grad_norm,
            "tokens": self.tokens, "tokens_per_s": done.tokens / (now - began),
            "seconds": self.elapsed(), "memory_mb": memory_mb(), **done.measures,
            **told_of(self.objective),
        }  # fmt: skip
        judged = self.judging(self.model, self.step) if self.judging.due(self.step) else {}
        if judged or self.step % config.log_every == 0 or self.step == self.steps:
            self.write({**line, **judged})
        return line

    def update(self, items: Sequence[Any], lr: float) -> Update:
        """Make the step's updates; add step and checkpoint to what they may raise."""
        try:
            batches = updates_of(self.objective, self.model, items, self.step)
            return merged([self.updater.update(self.objective, b, lr=lr) for b in batches])
        except DataError as error:
            kept = f"the checkpoint of step {self.saved_at} is kept; " if self.saved_at > 0 else ""
            raise DataError(
                error.problem,
                where=f"{self.objective.name}, step {self.step + 1} of {self.steps}",
                found=error.found,
                expected=error.expected,
                hint=f"{kept}look at these rows, or lower lr (now {self.config.lr:g})",
            ) from error

    def keep(self, stopping: bool) -> None:
        """Write a checkpoint where one is due: every N steps, the last, the best, on a stop."""
        every = self.config.save_every
        due = every and self.step > 0 and self.step % every == 0
        best = self.judging.best_step == self.step
        if self.saved_at == self.step or not (due or best or stopping or self.step == self.steps):
            return
        groups = dict(saved.capture(self.model, self.updater.moments()))
        groups["rows"] = {"digests": torch.tensor(self.identity.rows, dtype=torch.int64)}
        state = {
            "identity": {
                "settings": self.identity.settings,
                "objective": self.identity.objective,
                "model": self.identity.model,
            },
            "tokens": self.tokens, "seconds": self.elapsed(), "judging": self.judging.state,
            "objective": state_of(self.objective),
        }  # fmt: skip
        saved.write_checkpoint(self.root, self.step, groups, state)
        saved.prune(self.root, keep=self.config.keep, best=self.judging.best_step)
        self.saved_at = self.step

    def finish(self, notes: Mapping[str, Any]) -> TrainSummary:
        """Take the best weights where `best` was asked, and write train.json."""
        best = self.judging.best_step
        if best is not None and best != self.step:
            saved.restore_weights(self.model, saved.read_checkpoint(self.root, best))
            value = self.judging.state["best_value"]
            self.say(f"{self.objective.name}: step {best} was best, {self.config.best} {value:.4g}")
        assert self.log is not None  # noqa: S101 - `resume` opened it
        summary = TrainSummary(
            objective=self.objective.name,
            steps=self.steps,
            rows=len(self.items),
            trained_parameters=self.trained(),
            total_parameters=sum(weight.numel() for weight in self.model.parameters()),
            tokens=self.tokens,
            seconds=self.elapsed(),
            final_loss=self.log.final_loss(),
            best_step=best,
            best_value=self.judging.state["best_value"],
            resumed_from=self.began_at,
            micro_batches=self.micro_batches,
            notes=notes,
        )
        write_text(self.folder / "train.json", json.dumps(summary.as_dict(), indent=1) + "\n")
        return summary

    def trained(self) -> int:
        """Return how many weights are trained."""
        return sum(weight.numel() for weight in self.updater.weights)

    def elapsed(self) -> float:
        """Return the wall-clock seconds of all sittings."""
        return self.seconds + time.perf_counter() - self.since

    def write(self, line: Mapping[str, Any]) -> None:
        """Log one line."""
        assert self.log is not None  # noqa: S101 - `resume` opened it
        self.log.add(line)

    def close(self) -> None:
        """Close the log and the updater."""
        self.updater.close()
        if self.log is not None:
            self.log.close()


def memory_mb() -> float:
    """Return the process's resident memory, or the most a GPU held, in 10^6 bytes."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 1e6
    import psutil

    return psutil.Process().memory_info().rss / 1e6
