"""A run: the recipe's steps in order, each in its own folder, and `run.json` kept current.

Running the same recipe in the same folder again continues it: done steps are kept, an
interrupted one goes on in its folder, and only what changed is redone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.errors import Stopped
from togi.recipe import Recipe, StepKind
from togi.run_folder import locked, read_json
from togi.run_plan import PlannedStep, plan
from togi.run_record import Record
from togi.run_step import faults_told, run_step, sigterm_stops
from togi.voice import Voice, duration

_ROWS = ("rows", "n")
_PICKED = ("rows", "selection", "dropped", "n")
_SPLIT = ("train", "held_out", "n_train", "n_held_out")
_TUNED = ("adapter", "steps", "rows", "seconds", "final_loss")
_CURATED = ("rows", "curation", "dropped", "messages", "alpaca", "n")
_JUDGED = ("scores", "samples")
STEPS: dict[str, StepKind] = {
    "rows.read": StepKind("togi.rows.steps", "ReadSettings", "run_read", outputs=_ROWS),
    "rows.split": StepKind("togi.rows.steps", "SplitSettings", "run_split", outputs=_SPLIT),
    "rows.clean": StepKind("togi.rows.steps", "CleanSettings", "run_clean", outputs=_ROWS),
    "data.dsir": StepKind("togi.data.steps", "DsirSettings", "run_dsir", outputs=_PICKED),
    "data.random": StepKind("togi.data.steps", "RandomSettings", "run_random", outputs=_PICKED),
    "data.lima": StepKind(
        "togi.data.lima_steps", "LimaSettings", "run_lima", outputs=_CURATED, model=True
    ),
    "align.sft": StepKind("togi.align.steps", "SftSettings", "run_sft", outputs=_TUNED, model=True),
    "align.dpo": StepKind("togi.align.steps", "DpoSettings", "run_dpo", outputs=_TUNED, model=True),
    "align.pairs": StepKind(
        "togi.align.steps", "PairsSettings", "run_pairs", outputs=_ROWS, model=True
    ),
    "align.adapter": StepKind(
        "togi.align.given", "AdapterSettings", "run_adapter", outputs=("adapter",)
    ),
    "evaluate.judge": StepKind(
        "togi.evaluate.steps", "JudgeSettings", "run_judge", outputs=_JUDGED, model=True
    ),
    "evaluate.verdict": StepKind(
        "togi.evaluate.steps", "VerdictSettings", "run_verdict", outputs=("verdict", "decision")
    ),
}
"What a recipe's `use:` may name; raise a kind's version when equal settings give other outputs."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: its folder, its report, and its verdict where it has such a step."""

    folder: Path
    report: Path | None
    verdict: dict[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether the verdict is *accept*, or nothing was to be decided."""
        return self.verdict is None or self.verdict.get("decision") == "accept"


def run(
    recipe: Recipe,
    folder: Path,
    *,
    kinds: Mapping[str, StepKind] = STEPS,
    voice: Voice | None = None,
    force: Collection[str] = (),
    offline: bool = False,
) -> Outcome:
    """Run a recipe in a folder, or go on with it there.

    Args:
        recipe: what to do.
        folder: the run's folder; made where it is not.
        kinds: what `use:` may name.
        voice: how progress is told.
        force: names of steps to do again though nothing changed, or "all".
        offline: refuse any use of the network.

    Returns:
        The outcome; the caller decides what a verdict other than *accept* means.

    Raises:
        Stopped: on Ctrl-C or SIGTERM; running again continues.
        TogiError: what a step raised, with the step's name in front.
    """
    voice = voice or Voice()
    with faults_told(""), locked(folder), sigterm_stops():
        planned = plan(recipe, folder, kinds, force)
        record = Record.start(recipe, folder, planned)
        try:
            _run_steps(recipe, planned, record, voice, offline)
        except BaseException as error:
            record.close("stopped" if isinstance(error, Stopped) else "failed")
            raise
        verdict = _verdict(planned)
        record.close("done", verdict)
    return _finish(folder, verdict, voice)


def _run_steps(
    recipe: Recipe, planned: list[PlannedStep], record: Record, voice: Voice, offline: bool
) -> None:
    outputs: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(planned, 1):
        step = item.step
        head = f"{number}/{len(planned)} {step.name} ({step.use})"
        if item.done:
            mark = read_json(item.folder / "step.json") or {}
            outputs[step.name] = item.outputs
            kept = {key: mark.get(key) for key in ("outputs", "seconds", "notes")}
            record.step(step.name, status="done", **kept)
            voice.event("kept", text=f"{head}: done before, {item.why}", step=step.name)
            continue
        record.step(step.name, status="running")
        voice.event("begin", text=f"{head}: {item.why}", step=step.name, use=step.use)
        mark = run_step(recipe, item, outputs, voice=voice, offline=offline)
        outputs[step.name] = item.outputs
        record.step(
            step.name,
            status="done",
            outputs=mark["outputs"],
            seconds=mark["seconds"],
            notes=mark["notes"],
        )
        took = duration(mark["seconds"])
        voice.event("end", text=f"   done in {took}", step=step.name, seconds=mark["seconds"])


def _verdict(planned: list[PlannedStep]) -> dict[str, Any] | None:
    """Return the verdict of the recipe's last verdict step."""
    folders = [item.folder for item in planned if item.step.use == "evaluate.verdict"]
    return read_json(folders[-1] / "verdict.json") if folders else None


def _finish(folder: Path, verdict: dict[str, Any] | None, voice: Voice) -> Outcome:
    """Write the report and say how the run ended."""
    from togi.report import page
    from togi.report.summary import summary

    report = page.build(folder)
    text = summary(folder) if verdict else f"Done. Report: {report}"
    decision = None if verdict is None else verdict.get("decision")
    voice.final("done", text=text, verdict=decision, report=str(report), folder=str(folder))
    return Outcome(folder=folder, report=report, verdict=verdict)
