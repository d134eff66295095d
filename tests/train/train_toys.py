"""A small model, objective and command that the tests of the loop share.

Run as ``python train_toys.py FOLDER [SECONDS_PER_STEP]`` it trains, so that tests can kill it.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from togi.errors import TogiError
from togi.train import TrainConfig
from togi.train.loop import train


@dataclass(frozen=True)
class Point:
    """An item: `tokens` copies of one input, a target each."""

    id: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def tokens(self) -> int:
        return len(self.y)


class Squares:
    """Summed squared error over tokens; an item weighs its tokens."""

    name = "squares"

    def __init__(self, scale: float = 1.0, pause: float = 0.0):
        self.scale, self._pause, self.seen = scale, pause, []

    def weight(self, item):
        return item.tokens

    def cost(self, item):
        return item.tokens

    def loss(self, model, items):
        time.sleep(self._pause)
        self.seen.append([item.id for item in items])
        dtype = next(model.parameters()).dtype
        x = torch.tensor([item.x for item in items for _ in item.y], dtype=dtype)
        y = torch.tensor([target for item in items for target in item.y], dtype=dtype)
        errors = model(x).squeeze(-1) - y
        summed = self.scale * (errors**2).sum()
        return summed, {"abs": (float(errors.detach().abs().sum()), float(len(y)))}


def points(n=20, seed=0):
    draw = torch.Generator().manual_seed(seed)
    made = []
    for number in range(n):
        x = torch.randn(4, generator=draw)
        y = x.sum() + 0.1 * torch.randn(1 + number % 5, generator=draw)
        made.append(Point(f"p{number}", tuple(x.tolist()), tuple(y.tolist())))
    return made


def network(dtype=torch.float32, dropout=0.1, seed=1):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 8), nn.Linear(8, 1)
        )
    model[3].requires_grad_(False)
    return model.to(dtype)


CONFIG = TrainConfig(
    steps=30, batch=6, micro_tokens=7, lr=0.01, warmup=3, save_every=4, seed=5, weight_decay=0.1
)


def main(folder: Path, pause: float) -> int:
    torch.set_num_threads(1)
    try:
        summary = train(network(), Squares(pause=pause), points(), CONFIG, folder)
    except TogiError as error:
        print(error, file=sys.stderr)
        return error.code
    print(json.dumps(summary.as_dict()))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
