"""A run folder made up from a seed: the files that the steps of a whole run leave behind."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODELS = ["base", "random", "dsir", "dpo"]
SHIFT = {"base": 0.0, "random": -0.17, "dsir": -0.24, "dpo": -0.27}
PIECES = [
    "Return the sum of the given values as a float.",
    "Raise ValueError if the sequence is empty.",
    "The optional argument key names a function of one argument.",
    "Yield each line of the file, without its newline.",
    "Open the file and return a stream, or None where it cannot be found.",
    "This function returns the value that was passed to it by the caller.",
]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def estimate(values: np.ndarray) -> dict[str, Any]:
    mean, half = float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))
    ends = {"low": mean - half, "high": mean + half}
    return {"mean": mean, **ends, "n": len(values), "level": 0.95}


@dataclass
class FakeRun:
    """Writes the run; `leave` names the steps that have not been done yet, `more` adds others."""

    folder: Path
    seed: int = 0
    samples: int = 40
    leave: tuple[str, ...] = ()
    hostile: str = ""
    more: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)

    def make(self) -> Path:
        self.rng = np.random.default_rng(self.seed)
        makers = {
            "target": ("rows.read", self.rows), "pool": ("rows.read", self.rows),
            "random": ("data.random", self.selection), "dsir": ("data.dsir", self.selection),
            "sft-random": ("align.sft", self.training), "sft-dsir": ("align.sft", self.training),
            "dpo": ("align.dpo", self.training), "judge": ("evaluate.judge", self.judge),
            "verdict": ("evaluate.verdict", self.verdict), "export": ("lm.export", self.export),
        }  # fmt: skip
        if self.more:
            makers["clean"] = ("rows.clean", self.cleaning)
            makers["compare"] = ("data.compare", self.compare)
            makers["leakage"] = ("evaluate.leakage", self.leakage)
        for name, (use, maker) in makers.items():
            done = name not in self.leave
            place = f"steps/{name}-{self.seed:012d}"
            entry = {"name": name, "use": use, "hash": f"{self.seed:012d}" + "f" * 52}
            entry |= {"folder": place, "status": "done" if done else "waiting"}
            entry |= {"seconds": 12.5 if done else None, "notes": [], "outputs": {}}
            if done:
                maker(name, self.folder / place, entry)
                write(self.folder / place / "step.json", entry)
            self.steps.append(entry)
        write(self.folder / "run.json", self.run())
        return self.folder

    def run(self) -> dict[str, Any]:
        return {
            "togi": "0.1.0", "name": "quickstart", "status": "running" if self.leave else "done",
            "started": "2026-11-23T14:00:00+00:00",
            "finished": None if self.leave else "2026-11-23T14:07:41+00:00",
            "recipe": {"model": "smollm2-135m", "seed": self.seed, "steps": {"dsir": {"k": 2000}}},
            "recipe_text": "model: smollm2-135m  # " + (self.hostile or "the embedded one") + "\n",
            "seed": self.seed, "model": "smollm2-135m",
            "versions": {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0"},
            "machine": {"system": "Linux 6.1", "processor": "a processor", "cores": 2,
                        "memory_gb": 15.6},
            "steps": self.steps, "verdict": None,
        }  # fmt: skip

    def rows(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        n = 28412 if name == "pool" else 3120
        dropped = {"duplicate": 1741, "shares text with a held-out module": 212, "too short": 9}
        example = {"id": "a1", "prompt": "def f(x):", "response": self.hostile or PIECES[0]}
        about = {"understood": "functions with docstrings", "n": n, "dropped": dropped}
        write(folder / "rows.json", {**about, "examples": [example]})
        entry["notes"] = [f"{n} functions read"]

    def selection(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        lift = 1.0 if name == "dsir" else 0.03
        ngrams = ["return the", "if the", "raise valueerror", ":param", self.hostile or "this is"]
        moved = [
            {"ngram": ngram, "picked": 0.0031 / (place + 1), "pool": 0.0009 / (place + 1),
             "log_ratio": lift * (1.24 - 0.1 * place)}
            for place, ngram in enumerate(ngrams)
        ]  # fmt: skip
        falling = [{**entry, "log_ratio": -entry["log_ratio"]} for entry in moved[::-1]]
        lengths = {
            "pool": {"mean": 412.3, "median": 233}, "target": {"mean": 180.2, "median": 121},
            "picked": {"mean": 195.0 if lift == 1 else 409.8, "median": 130},
        }  # fmt: skip
        write(folder / "selection.json", {
            "method": name, "n_raw": 28412, "n_target": 3120, "k": 2000, "filtered": 1204,
            "seed": self.seed, "effective_sample_size": 3911.2 if lift == 1 else None,
            "kl_reduction": 0.31 * lift, "rising": moved, "falling": falling, "lengths": lengths,
        })  # fmt: skip

    def cleaning(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        text = self.hostile or "write to xx@xxxx.xxx"
        write(folder / "rows.json", {"understood": "cleaned", "n": 90, "dropped": {"short": 10}})
        write(folder / "hygiene.json", {
            "lengths": {"shortest": 1, "median": 12, "longest": 300},
            "languages": {"en": 90, "unknown": 10},
            "pii": {"action": "mask", "counts": {"email": {"hints": 2, "rows": 1}},
                    "examples": [{"id": "a", "kind": "email", "text": text}]},
            "near": {"threshold": 0.7, "words": 5, "dropped": 4, "clusters": 3, "examples": [
                {"kept": "a", "dropped": "b", "similarity": 0.9, "texts": [text, text]}]},
            "overlap": {"held_out": 40, "hit": 2, "reasons": {"shares 13 words": 3}, "examples": [
                {"id": "c", "held_out": "h", "reason": "shares 13 words", "shared": text}]},
        })  # fmt: skip

    def compare(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        def moved(ngram: str, sign: int) -> dict[str, Any]:
            gap = {"mean": 0.02 * sign, "low": 0.01 * sign, "high": None, "n": 900, "level": 0.95}
            return {
                "ngram": ngram, "documents": [3, 40][::sign], "shares": [0.01, 0.1][::sign],
                "occurrences": [3, 44], "difference": gap, "log_odds": {**gap, "high": 0.03},
                "ratio": {**gap, "mean": None}, "z": 4.1 * sign, "p": 1e-7, "q": 2e-5,
                "significant": sign > 0, "with": ["a b"] * 6, "example": self.hostile or "an a b c",
            }  # fmt: skip

        rate = {"mean": 0.26, "low": 0.25, "high": 0.27, "n": 12345, "level": 0.95}
        write(folder / "compare.json", {
            "sentence": "Of 455 n-grams, 9 rose and 0 fell.", "names": ["2022", "2023"],
            "documents": [400, 500], "ngrams": {"occurrences": [4000, 5000]}, "unit": "documents",
            "test": "Fisher's exact", "tested": 455, "trends": 300, "error": 0.05, "rms_z": 1.3,
            "rising": [moved(self.hostile or "large language", 1)], "notes": ["a note"],
            "falling": [moved("neural networks", -1)],
            "rates": [{"group": "all", "names": ["2022", "2023"], "rates": [rate, rate],
                       "difference": {**rate, "mean": 0.0}, "p": 0.4, "q": 0.4},
                      {"group": "new", "names": ["2023"], "rates": [rate]}],
        })  # fmt: skip

    def leakage(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        one = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 90, "level": 0.95}
        parts = {"all": one, "without": {**one, "mean": 0.45}, "overlapping": None}
        pair = {"estimate": one, "p_adjusted": 0.02, "better": True}
        write(folder / "leakage.json", {
            "rows": 3000, "words": 13, "fuzzy": 0.7,
            "tasks": {"docstrings": {"n": 120, "overlapping": 30, "rows": 31,
                      "reasons": {"shares 13 words": 31}, "examples": [
                          {"sample": "s", "row": "r", "reason": "shares 13 words",
                           "shared": self.hostile or "the words"}]}},
            "scores": {"base": {"docstrings": {"accuracy": parts}}},
            "differences": [{"task": "docstrings", "measure": "accuracy", "after": "dpo",
                             "before": "base", "all": pair, "without": None}],
        })  # fmt: skip

    def training(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        steps, lines = 60, []
        for step in range(1, steps + 1):
            noise = float(self.rng.normal(0, 0.06))
            line = {
                "step": step, "loss": 1.6 * math.exp(-step / 25) + 1.1 + noise,
                "lr": 2e-4 * min(1, step / 6) * (1 - step / (steps + 1)),
                "grad_norm": 1.2 + abs(noise) * 6, "tokens": 3000 * step,
                "tokens_per_s": 850 + 300 * noise, "seconds": 3.5 * step,
                "memory_mb": 1930 + step / 10,
            }  # fmt: skip
            if name == "dpo":
                rise = 1 - math.exp(-step / 20)
                line |= {
                    "loss": math.log(2) - 0.3 * rise + noise / 3, "rewards/chosen": 0.1 * rise,
                    "rewards/rejected": -0.9 * rise + noise, "rewards/margins": rise - noise,
                    "rewards/accuracies": 0.5 + 0.3 * rise, "logps/chosen": -48 + 2 * rise,
                    "logps/rejected": -52 - 9 * rise,
                }  # fmt: skip
            else:
                line["token_accuracy"] = 0.6 + 0.1 * (1 - math.exp(-step / 25))
                if step % 20 == 0:
                    line["judge/loss"] = 1.9 - 0.002 * step
            lines.append(line)
        write_lines(folder / "metrics.jsonl", lines)
        write(folder / "train.json", {
            "objective": "dpo" if name == "dpo" else "sft", "steps": steps, "rows": 480,
            "trained_parameters": 921600, "total_parameters": 135436608, "tokens": 180000,
            "seconds": 210.4, "final_loss": 1.31, "dropped": {"too long": 3},
        })  # fmt: skip

    def judge(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        hard = self.rng.normal(1.38, 0.25, self.samples)
        bits = {m: hard + SHIFT[m] + self.rng.normal(0, 0.12, self.samples) for m in MODELS}
        right = {m: (self.rng.random(self.samples) < 0.62).astype(float) for m in MODELS}
        form = {m: np.clip(0.5 - SHIFT[m] + self.rng.normal(0, 0.1, self.samples), 0, 1)
                for m in MODELS}  # fmt: skip
        measures = {"docstrings": ("bits_per_byte", bits), "choices": ("accuracy", right),
                    "form": ("score", form)}  # fmt: skip
        lines = [
            self.line(model, task, number, values[model][number])
            for task, (_, values) in measures.items()
            for model in MODELS for number in range(self.samples)
        ]  # fmt: skip
        write_lines(folder / "samples.jsonl", lines)
        write(folder / "scores.json", self.scores(measures))

    def line(self, model: str, task: str, number: int, value: float) -> dict[str, Any]:
        first, second, third = (PIECES[(number + place) % len(PIECES)] for place in range(3))
        target = f"{first}\n\n{second} {third}"
        answer = "" if task == "docstrings" else f"{first} {second if model == 'base' else third}"
        size = len(target)
        measures = {
            "docstrings": {"nats": value * size * math.log(2), "bytes": size},
            "choices": {"correct": value, "margin": value - 0.5},
            "form": {"score": value, "period": 1.0},
        }[task]
        asked = [{"role": "user", "content": f"Document this:\n\ndef function_{number}(x): ..."}]
        return {
            "model": model, "task": task, "id": f"{task}-{number}", "cluster": f"c{number % 7}",
            "input": self.hostile or asked, "target": self.hostile or target,
            "answer": (self.hostile + model if self.hostile else answer), "measures": measures,
        }  # fmt: skip

    def scores(self, measures: dict[str, Any]) -> dict[str, Any]:
        kinds = {"docstrings": "bits_per_byte", "choices": "multiple_choice",
                 "form": "generate_and_check"}  # fmt: skip
        tasks = {
            task: {
                "kind": kinds[task], "primary_measure": measure, "n": self.samples,
                "unit": "bits per byte" if task == "docstrings" else "share",
                "higher_is_better": task != "docstrings", "definition": f"how {task} are judged",
                "card": {"template hash": "9f2c", "shots": 0, "backend": "local", "dtype": "bf16"},
            }
            for task, (measure, _) in measures.items()
        }  # fmt: skip
        pairs = [("base", "random"), ("base", "dsir"), ("base", "dpo"), ("random", "dsir")]
        differences = [
            self.difference(task, measure, before, after, values)
            for task, (measure, values) in measures.items() for before, after in pairs
        ]  # fmt: skip
        scores = {
            model: {task: {measure: estimate(values[model])}
                    for task, (measure, values) in measures.items()}
            for model in MODELS
        }  # fmt: skip
        for model in MODELS:
            scores[model]["form"]["period"] = estimate(np.ones(self.samples))
        return {"tasks": tasks, "models": MODELS, "scores": scores, "differences": differences}

    def difference(
        self, task: str, measure: str, before: str, after: str, values: dict[str, np.ndarray]
    ) -> dict[str, Any]:
        change = estimate(values[after] - values[before])
        sure = change["low"] > 0 or change["high"] < 0
        better = (change["mean"] > 0) == (task != "docstrings") if sure else None
        return {"task": task, "measure": measure, "before": before, "after": after,
                "estimate": change, "p_value": 0.0002 if sure else 0.4,
                "p_adjusted": 0.0008 if sure else 0.7, "better": better}  # fmt: skip

    def verdict(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        judge = next(e for e in self.steps if e["name"] == "judge")
        scores = json.loads((self.folder / judge["folder"] / "scores.json").read_text())
        found = {(d["task"], d["before"], d["after"]): d for d in scores["differences"]}
        change = found["choices", "base", "dpo"]["estimate"]
        write(folder / "verdict.json", {
            "decision": "accept", "candidate": "dpo", "baseline": "base",
            "sentence": "Accept: docstrings improved by 0.27 bits per byte and the guard held.",
            "rule": {"level": 0.95, "correction": "holm"},
            "reasons": ["docstrings: improved", "choices: held; at most 0.25 may be lost"],
            "primary": {**found["docstrings", "base", "dpo"], "required": 0.05},
            "guards": [{"task": "choices", "margin": 0.25, "estimate": change, "status": "held"}],
            "collect_more": 0, "also": [found["docstrings", "random", "dsir"]],
        })  # fmt: skip

    def export(self, name: str, folder: Path, entry: dict[str, Any]) -> None:
        entry["outputs"] = {"weights": "merged", "drift": 0.00012}
        entry["settings"] = {"dtype": "bf16", "deep": {"er": [1, 2]}}


@pytest.fixture
def fake_run(tmp_path: Path):
    """Make a run folder: ``fake_run(seed=1, leave=("verdict",))``."""

    def make(**settings: Any) -> Path:
        return FakeRun(tmp_path / "run", **settings).make()

    return make
