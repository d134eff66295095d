"""What a method adds to the training loop: what its items weigh, cost and lose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item", contravariant=True)


class Objective(Protocol[Item]):
    """A loss that is a *sum* over items, so that accumulation equals the larger batch.

    The loop divides the sum of a step's losses, over all of its micro-batches, once by the sum
    of the step's weights. For SFT an item weighs its trained tokens, for DPO a pair weighs 1.

    Some parts are optional:

    ``updates(model, items, step)`` turns a step's items into what its updates are made on, one
    update for each batch that it yields. KTO fills in the reference point of the whole step
    there, PPO answers the prompts and yields its minibatches; without it a step is one update on
    its items. A checkpoint lies between steps only, so nothing of this need be saved.

    ``state``, a dict of plain numbers, is kept in the checkpoints and put back before a resumed
    run goes on, such as PPO's adaptive weight of the divergence. ``told``, another, is what
    `updates` found out about a step, and is logged with it. ``rewind(step)`` is called before a
    run goes on after that step, so that what was written of later ones can be taken back.

    ``scores_only`` says that the loss looks at the model only through
    `togi.lm.forward.answer_scores`; ``gradient_hint`` is what to do where the loss has no gradient.
    """

    name: str

    def weight(self, item: Item) -> float:
        """Return what the item counts in the divisor of the step's loss; more than zero."""
        ...

    def cost(self, item: Item) -> int:
        """Return the tokens that the item puts through the model, for packing."""
        ...

    def loss(
        self, model: Any, items: Sequence[Item]
    ) -> tuple[torch.Tensor, dict[str, tuple[float, float]]]:
        """Return the summed loss, and measures as name -> (sum, weight), detached floats."""
        ...


def updates_of(
    objective: Objective[Any], model: Any, items: Sequence[Any], step: int
) -> Iterable[Sequence[Any]]:
    """Return the batches on which a step's updates are made; one of all items by default."""
    own = getattr(objective, "updates", None)
    return [items] if own is None else own(model, items, step)


def told_of(objective: Objective[Any]) -> dict[str, float]:
    """Return what the objective found out about the step, empty where nothing."""
    return getattr(objective, "told", {})


def rewind(objective: Objective[Any], step: int) -> None:
    """Let the objective take back what it wrote of steps after this one."""
    own = getattr(objective, "rewind", None)
    if own is not None:
        own(step)


def state_of(objective: Objective[Any]) -> dict[str, float]:
    """Return the objective's state as it stands, empty where it has none."""
    return getattr(objective, "state", {})
