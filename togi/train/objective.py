"""What a method adds to the training loop: what its items weigh, cost and lose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item", contravariant=True)


class Objective(Protocol[Item]):
    """A loss that is a *sum* over items, so that accumulation equals the larger batch.

    The loop divides the sum of a step's losses, over all of its micro-batches, once by the sum
    of the step's weights. For SFT an item weighs its trained tokens, for DPO a pair weighs 1.
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
