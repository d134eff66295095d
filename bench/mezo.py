"""MeZO: togi's step beside the step of the method's authors, SmolLM2-135M.

`python -m bench.mezo` writes four results. `mezo`: all weights, Gaussian directions. `mezo_signs`:
directions of signs, which are quicker to draw and which a recipe must ask for. `mezo_lora`: an
adapter, both signs packed into one pass, beside the authors' full step. `mezo_memory`: the peak
memory of the first. The peer is the authors' step written out (each weight perturbed in place by
torch's generator, four times a step), in the dtype that is faster here; the same eight rows of
mixed length each step. Directions are drawn by other generators, so the agreement is the loss.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

from bench import _paired
from bench._paired import Payload
from bench._sweep import DTYPES, job_of, sides

CLOSE = 0.02
FULL = {"eps": 1e-3, "lr": 1e-7, "draw": "gaussian", "steps": 4}


def losses_agree(ours: Payload, peer: Payload) -> Payload:
    """Compare the mean of both sides' losses: one direction moves it by less than eps."""
    gaps = [abs(a - b) for a, b in zip(ours["answers"], peer["answers"], strict=True)]
    return {"losses": f"{len(gaps)} steps, largest difference {max(gaps):.4f} nats",
            "agree": max(gaps) <= CLOSE}  # fmt: skip


def fastest(job: Payload, folder: Path) -> Payload:
    """Return the peer's faster dtype."""
    rates = {}
    for settings in DTYPES:
        _, argv = sides("mezo", job, folder, settings)
        rates[json.dumps(settings)] = _paired.run(argv).value
        print(f"  peer at {settings}: {rates[json.dumps(settings)]:.4g} steps/s", flush=True)
    return json.loads(max(rates, key=lambda key: rates[key]))


def main(repetitions: int) -> None:
    """Measure steps a second, and memory."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        job = job_of("mezo", folder, n=32) | FULL
        peer = fastest(job | {"steps": 3}, folder)
        said = " ".join(map(str, peer.values()))
        rows = f"SmolLM2-135M, 8 rows of mixed length a step; the authors' step in {said}"
        adapter = job_of("sft", folder, n=32)["adapter"]
        works = {
            "mezo": ({}, f"MeZO, all weights, Gaussian, {rows}"),
            "mezo_signs": ({"draw": "rademacher"}, f"MeZO, all weights, signs, {rows}"),
            "mezo_lora": (
                {"adapter": adapter, "eps": 1e-2},
                f"MeZO on a LoRA adapter r=8, both signs in one pass, {rows} on all weights",
            ),
        }
        for bench, (more, about) in works.items():
            place = folder / bench
            place.mkdir()
            ours, theirs = sides("mezo", job, place, peer)
            (place / "ours.json").write_text(json.dumps(job | more))
            _paired.compare(bench, "steps/s", ours, theirs, repetitions=repetitions,
                            agreement=losses_agree, about=about)  # fmt: skip

        def peak(argv: list[str]) -> _paired.Result:
            result = _paired.run(argv)
            return dataclasses.replace(result, value=result.peak_mb)

        ours, theirs = sides("mezo", job, folder, peer)
        _paired.compare(
            "mezo_memory", "MB", lambda: peak(ours), lambda: peak(theirs),
            repetitions=repetitions, agreement=losses_agree, higher_is_better=False,
            about=f"peak resident memory of the step on all weights, {rows}",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    main(parser.parse_args().repetitions)
