"""The trainings of the entry `mezo_memory`, and the processes whose memory is measured.

`python -m togi.gallery.mezo_runs WAY MODEL FOLDER` works one way on all weights and writes its
peak of resident memory into FOLDER.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEASURED = 3  # updates in which the memory has shown its peak
BATCH = {"mezo": 32, "adamw": 16}
ROUND = 20  # steps whose losses are averaged for the curve


def quiet(_: str) -> None:
    """Say nothing."""


def trained(settings: Any, work: Any) -> tuple[dict[str, list[float]], list[tuple[int, float]]]:
    """Train an adapter both ways; returns the held-out nats by way, and MeZO's loss by step."""
    from togi.align.lora import Lora, add_lora, unload
    from togi.align.tuned import open_local

    model = open_local(work.model, offline=work.offline, say=work.say)
    learnt, held = halves()
    losses = {"base": nats(model, held)}
    curve: list[tuple[int, float]] = []
    for way in ("adamw", "mezo"):
        add_lora(model.model, Lora(rank=8, alpha=16), seed=work.seed)
        folder = work.folder / way
        folder.mkdir(exist_ok=True)
        steps, lr = getattr(settings, f"{way}_steps"), getattr(settings, f"{way}_lr")
        train_on(model, learnt, way, folder, steps=steps, lr=lr, eps=1e-2, seed=work.seed)
        losses[way] = nats(model, held)
        curve = smoothed(folder / "metrics.jsonl")
        unload(model.model)
        work.say(f"{way}: {sum(losses[way]) / len(held):.3f} nats for a right ending")
    return losses, curve


def halves() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (beginning, right ending) of every second question of each template, and the rest."""
    from togi.evaluate.guards.choices import choice_samples

    parts: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    for number, sample in enumerate(choice_samples()):
        ending = str((sample.choices or ())[int(str(sample.target))])
        parts[number % 2].append((str(sample.input), f" {ending}"))
    return parts


def nats(model: Any, questions: Sequence[tuple[str, str]]) -> list[float]:
    """Return the surprise of each right ending."""
    starts, ends = zip(*questions, strict=True)
    return [-score.total for score in model.score(starts, ends)]


def train_on(
    model: Any, questions: Sequence[tuple[str, str]], way: str, folder: Path, *, steps: int,
    lr: float, eps: float, seed: int,
) -> None:  # fmt: skip
    """Train what is open for training on the endings."""
    from togi.align.mezo import Mezo, MezoUpdater
    from togi.align.sft import Sft, SftItem
    from togi.lm.forward import Request
    from togi.train.config import TrainConfig
    from togi.train.loop import train

    tell = model.tokenizer
    items = []
    for number, (start, end) in enumerate(questions):
        ids = tuple(tell(start)["input_ids"])
        items.append(SftItem(str(number), Request((*ids, *tell(end)["input_ids"]), len(ids))))
    config = TrainConfig(
        steps=steps, batch=BATCH[way], lr=lr, seed=seed, save_every=0,
        schedule="constant" if way == "mezo" else "linear", clip=0 if way == "mezo" else 1.0,
    )  # fmt: skip

    def zeroth(module: Any, place: Path) -> Any:
        return MezoUpdater(module, place, config=config, settings=Mezo(eps=eps))

    updater = zeroth if way == "mezo" else None
    train(model.model, Sft(), items, config, folder, say=quiet, updater=updater)


def smoothed(path: Path) -> list[tuple[int, float]]:
    """Return the loss averaged over each round of steps, by the round's last step."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    rounds = [losses[i : i + ROUND] for i in range(0, len(losses), ROUND)]
    return [
        (min((i + 1) * ROUND, len(losses)), sum(r) / len(r)) for i, r in enumerate(rounds)
    ]  # fmt: skip


def work_one_way(way: str, spec: str, folder: Path) -> float:
    """Score, or update all weights a few times; returns the peak of resident memory in MB."""
    import resource

    from togi.align.tuned import open_local

    model = open_local(spec, dtype="float32", offline=True, say=quiet)
    questions = halves()[0]
    if way == "scoring":
        for _ in range(MEASURED):
            nats(model, questions[: BATCH["mezo"]])
    else:
        model.model.requires_grad_(True)
        train_on(model, questions, way, folder, steps=MEASURED, lr=1e-6, eps=1e-3, seed=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


if __name__ == "__main__":
    _way, _spec, _folder = sys.argv[1:4]
    _peak = work_one_way(_way, _spec, Path(_folder))
    (Path(_folder) / "peak.json").write_text(json.dumps({"peak_mb": _peak}))
