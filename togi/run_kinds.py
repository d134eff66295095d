"""What a recipe's `use:` may name: a dict in plain sight, imported without any of its steps."""

from __future__ import annotations

from togi.gallery import ENTRIES
from togi.recipe import StepKind

_ROWS = ("rows", "n")
_CLEANED = ("rows", "n", "dropped")
_PICKED = ("rows", "selection", "card", "dropped", "n")
_SPLIT = ("train", "held_out", "n_train", "n_held_out")
_TUNED = ("adapter", "model", "steps", "rows", "seconds", "final_loss")
_CURATED = ("rows", "curation", "dropped", "messages", "alpaca", "n")
_JUDGED = ("scores", "samples")
_RATED = ("raters", "items", "people", "groups", "model_eval", "rows", "n")
STEPS: dict[str, StepKind] = {
    "rows.read": StepKind("togi.rows.steps", "ReadSettings", "run_read", outputs=_ROWS),
    "rows.split": StepKind("togi.rows.steps", "SplitSettings", "run_split", outputs=_SPLIT),
    "rows.clean": StepKind(
        "togi.data.clean", "CleanSettings", "run_clean", version=2, outputs=_CLEANED
    ),
    "data.dsir": StepKind(
        "togi.data.steps", "DsirSettings", "run_dsir", version=2, outputs=_PICKED
    ),
    "data.random": StepKind(
        "togi.data.steps", "RandomSettings", "run_random", version=2, outputs=_PICKED
    ),
    "data.classifier": StepKind(
        "togi.data.classifier_step",
        "ClassifierSettings",
        "run_classifier",
        outputs=("rows", "selection", "dropped", "n"),
    ),
    "data.compare": StepKind(
        "togi.data.compare", "CompareSettings", "run_compare", outputs=("compare", "table")
    ),
    "data.lima": StepKind(
        "togi.data.lima_steps", "LimaSettings", "run_lima", outputs=_CURATED, model=True
    ),
    "data.doremi": StepKind(
        "togi.data.doremi_steps",
        "DoremiSettings",
        "run_doremi",
        outputs=("weights", "doremi", "trajectory"),
        model=True,
    ),
    "data.mixture": StepKind(
        "togi.data.doremi_steps", "MixtureSettings", "run_mixture", outputs=("rows", "mixture", "n")
    ),
    "data.scaling": StepKind(
        "togi.data.law_steps",
        "ScalingSettings",
        "run_scaling",
        outputs=("scaling", "n", "params", "tokens"),
    ),
    "data.repeated": StepKind(
        "togi.data.law_steps", "RepeatedSettings", "run_repeated", outputs=("repeated", "n")
    ),
    **{
        f"align.{name}": StepKind(
            "togi.align.steps", settings, "run_train", version=2, outputs=_TUNED, model=True
        )
        for name, settings in (
            ("sft", "SftSettings"),
            ("dpo", "DpoSettings"),
            ("kto", "KtoSettings"),
            ("reward", "RewardSettings"),
            ("ppo", "PpoStepSettings"),
            ("metric", "MetricSettings"),
        )
    },
    "align.pairs": StepKind(
        "togi.align.pairs_step", "PairsSettings", "run_pairs", outputs=_ROWS, model=True
    ),
    "align.adapter": StepKind(
        "togi.align.given", "AdapterSettings", "run_adapter", outputs=("adapter",)
    ),
    "evaluate.judge": StepKind(
        "togi.evaluate.steps", "JudgeSettings", "run_judge", outputs=_JUDGED, model=True
    ),
    "evaluate.leakage": StepKind(
        "togi.evaluate.leakage",
        "LeakageSettings",
        "run_leakage",
        outputs=("leakage", "overlapping"),
    ),
    "evaluate.pairwise": StepKind(
        "togi.evaluate.steps_pairwise",
        "PairwiseSettings",
        "run_pairwise",
        outputs=_JUDGED,
        model=True,
    ),
    "evaluate.changes": StepKind(
        "togi.evaluate.steps_changes",
        "ChangesSettings",
        "run_changes",
        outputs=("changes", "samples"),
        model=True,
    ),
    "evaluate.raters": StepKind(
        "togi.evaluate.disagreement.steps", "RatersSettings", "run_raters", outputs=_RATED
    ),
    "evaluate.trust": StepKind(
        "togi.evaluate.trust.steps",
        "TrustSettings",
        "run_trust",
        outputs=(*_JUDGED, "sheet"),
        model=True,
    ),
    "evaluate.rank": StepKind(
        "togi.evaluate.steps_rank", "RankSettings", "run_rank", outputs=("rank", "best")
    ),
    "evaluate.personas": StepKind(
        "togi.evaluate.personas.steps",
        "PersonasSettings",
        "run_personas",
        outputs=("personas", "effects", "samples", "choices", "exam", "descriptions"),
        model=True,
    ),
    "evaluate.verdict": StepKind(
        "togi.evaluate.steps", "VerdictSettings", "run_verdict", outputs=("verdict", "decision")
    ),
    "gallery.instruction_rows": StepKind(
        "togi.gallery.instruction_rows", "Settings", "run", outputs=_ROWS
    ),
    **{
        f"gallery.{name}": StepKind(
            f"togi.gallery.{name}", "Settings", "run", outputs=("finding",), model=entry.model
        )
        for name, entry in ENTRIES.items()
    },
}
"What a recipe's `use:` may name; raise a kind's version when equal settings give other outputs."
