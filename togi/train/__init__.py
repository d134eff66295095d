"""The one training loop: objectives in, checkpoints out.

A method hands `togi.train.loop.train` an `Objective` and its items; packing, accumulation,
schedules, clipping, checkpoints, exact resume, in-loop judging, the metrics log and the progress
bar exist once, here. `TrainConfig` and `Objective` are free to import; the loop imports torch.
"""

from togi.train.config import TrainConfig, TrainSummary
from togi.train.objective import Objective

__all__ = ["Objective", "TrainConfig", "TrainSummary"]
