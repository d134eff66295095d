"""PPO rounds: togi beside the last TRL that has PPO.

`python -m bench.ppo` writes `ppo`: answers a second over rounds of 32 prompts, each answered with
48 new tokens, scored by a reward model, and learnt from in four passes. Policy: the same LoRA
adapter on both sides, with the adapter switched off as the reference. togi's reward and value
lie on the policy's trunk; TRL wants a model each, the value model with an adapter of the same
size. The reward model gives fixed texts the same scores on both sides, which is the agreement:
answers are drawn by each side's own generator, so that the losses cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench import _paired
from bench._paired import Payload
from bench._sweep import DTYPES, job_of, said

HERE = Path(__file__).parent
CLOSE = 0.02
PLAIN = {"pad": "<|endoftext|>", "gradient_checkpointing": False}


def main(repetitions: int, prompts: int, rounds: int) -> None:
    """Measure answers a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        small = job_of("ppo", folder, n=8) | PLAIN | {"rounds": 1, "passes": 1}
        peer = _best(small, folder)
        job = job_of("ppo", folder, n=prompts) | PLAIN | {"rounds": rounds}
        _paired.compare(
            "ppo", "answers/s", _command("ours", job, folder), _command("peer", job | peer, folder),
            repetitions=repetitions, agreement=_agree,
            about=f"PPO with LoRA r=8, SmolLM2-135M, {rounds} rounds of {prompts} prompts, "
            f"{job['new']} new tokens, {job['passes']} passes; TRL 1.12 ({said(peer)})",
        )  # fmt: skip


def _command(side: str, job: Payload, folder: Path) -> list[str]:
    file = folder / f"{side}.json"
    file.write_text(json.dumps(job))
    python = sys.executable if side == "ours" else _paired.peers_python()
    return [python, str(HERE / f"_ppo_{side}.py"), "ppo", str(file)]


def _best(small: Payload, folder: Path) -> Payload:
    """Return the peer's fastest dtype, then its fastest rows at a time, on a small job."""

    def rate(settings: Payload) -> float:
        found = _paired.run(_command("peer", small | settings, folder)).value
        print(f"  ppo, peer at {said(settings)}: {found:.4g}", flush=True)
        return found

    dtype = max(DTYPES, key=lambda kind: rate({"micro": 4, **kind}))
    return max(({"micro": micro, **dtype} for micro in (2, 4, 8)), key=rate)


def _agree(ours: Payload, peer: Payload) -> Payload:
    gaps = [abs(a - b) for a, b in zip(ours["answers"], peer["answers"], strict=True)]
    return {
        "rewards": f"{len(gaps)} fixed texts, largest difference {max(gaps):.4f}",
        "agree": max(gaps) <= CLOSE,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    main(options.repetitions, options.prompts, options.rounds)
