"""What a recipe can tell the alignment steps; the text under a field is its only help.

Three axes combine freely: what is trained (`train`), who updates (`optimizer`), and towards what
(the step itself: `align.sft`, `align.dpo`, `align.kto`, `align.reward`, `align.ppo`,
`align.metric`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from togi.step import StepRef, StepSettings

Train = Literal["lora", "qlora", "full", "prefix"]
Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw", "mezo"]


class LoraSettings(StepSettings):
    """A low-rank adapter."""

    rank: int = Field(default=8, ge=1)
    "Inner width of the update."
    alpha: float = Field(default=16, gt=0)
    "The update is scaled by alpha / rank (alpha / sqrt(rank) with rslora)."
    dropout: float = Field(default=0.0, ge=0, lt=1)
    "Dropout on the adapter's input."
    targets: str | list[str] = "all-linear"
    "Names (or one regular expression) of the layers to adapt; all linear ones but the head."
    layers: str = ""
    "Only these decoder layers, such as `20-29`, or `-10` for the last ten."
    rslora: bool = False
    "Scale by alpha / sqrt(rank), which keeps large ranks alive."
    dora: bool = False
    "Train the rows' lengths apart from their directions (DoRA)."


class Nf4Settings(StepSettings):
    """How the frozen base is packed for QLoRA."""

    blocksize: int = Field(default=64, ge=32, le=4096)
    "Weights that share one scale; a power of two."
    double: bool = True
    "Pack the scales too, which saves 0.37 bits a weight."
    dequantiser: Literal["auto", "torch", "compiled", "numba", "bitsandbytes"] = "auto"
    "How weights are restored; the fastest one here by default."


class MezoSettings(StepSettings):
    """MeZO's two-point estimate."""

    eps: float | None = Field(default=None, gt=0)
    "How far weights are perturbed; by default 1e-3 (full), 1e-2 (lora, qlora) or 1e-1 (prefix)."
    draw: Literal["gaussian", "rademacher"] = "gaussian"
    "Directions of normal numbers or of signs, which are quicker."
    directions: int = Field(default=1, ge=1)
    "Directions an update is averaged over."


class TrainSettings(StepSettings):
    """What every training step can be told."""

    rows: StepRef
    "The step whose rows are learnt from."
    start: StepRef | None = None
    "A training step whose model is trained further; without it the recipe's model is."
    train: Train = "lora"
    "What is trained: an adapter, one over a base packed in 4 bits, all weights, or a prefix."
    optimizer: Optimizer = "adamw"
    "Who updates: AdamW, AdamW with moments in 8 bits or in pages, or MeZO without gradients."
    lora: LoraSettings = LoraSettings()
    "The adapter, where a new one starts."
    nf4: Nf4Settings = Nf4Settings()
    "The packing, with `train: qlora`."
    prefix: int = Field(default=5, ge=1)
    "Positions of the prefix, with `train: prefix`."
    mezo: MezoSettings = MezoSettings()
    "The estimate, with `optimizer: mezo`."
    steps: int | None = Field(default=None, ge=1)
    "Updates to make; give this or `epochs`."
    epochs: float | None = Field(default=None, gt=0)
    "Passes over the rows; one where neither is given."
    batch: int = Field(default=8, ge=1)
    "Rows in one update."
    micro_tokens: int = Field(default=1024, ge=1)
    "Tokens that go through the model at once; memory and speed only."
    lr: float | None = Field(default=None, gt=0)
    "Highest learning rate; by default one that suits what is trained, by whom, towards what."
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    "How the learning rate falls after warm-up."
    warmup: float = Field(default=0.05, ge=0)
    "Steps of warm-up; below 1 a share of all steps."
    clip: float = Field(default=1.0, ge=0)
    "Largest gradient norm (with MeZO: largest slope); 0 switches clipping off."
    weight_decay: float = Field(default=0.0, ge=0)
    "Decoupled weight decay."
    max_tokens: int = Field(default=2048, ge=2)
    "Longest row, prompt and answer, in tokens."
    too_long: Literal["drop", "cut", "error"] = "drop"
    "What to do with a longer row; counted."
    save_every: int = Field(default=50, ge=0)
    "Steps between checkpoints."
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    "Type of the frozen weights; weights trained by gradients are float32."
    cache_trunk: bool = False
    "Compute what lies below the lowest adapted layer once for all rows, and keep it on disk."
    judge_rows: StepRef | None = None
    "Held-out rows that are scored during training."
    judge_every: int = Field(default=0, ge=0)
    "Steps between such judgings; 0 is never."
    judge_limit: int = Field(default=32, ge=1)
    "Rows scored each time."
    judge_seconds: float = Field(default=60.0, gt=0)
    "Seconds that all judgings together may take."
    keep_best: bool = False
    "End with the weights whose judged loss was lowest."


class SftSettings(TrainSettings):
    """Supervised fine-tuning on responses."""


class DpoSettings(TrainSettings):
    """Direct preference optimisation and its family, on pairs of answers."""

    beta: float = Field(default=0.1, gt=0)
    "Strength of the tie to the reference."
    loss: Literal[
        "sigmoid", "sigmoid_mean", "cdpo", "robust", "ipo_sum", "ipo_mean", "hinge", "simpo"
    ] = "sigmoid"
    "Loss of a pair; `_mean` divides log-probabilities by the answer's tokens."
    noise: float | None = Field(default=None, ge=0, lt=0.5)
    "Share of wrong labels, for cdpo and robust (0.1 where not given)."
    margin: float | None = Field(default=None, ge=0)
    "By how much the better answer shall lead, for simpo (0.5 where not given)."
    chosen_weight: float = Field(default=0.0, ge=0)
    "Adds so many times the better answer's loss a token, so that it is not unlearnt (RPO)."
    reference: Literal["start", "base"] = "start"
    "The model before this step, or the base without any adapter."


class KtoSettings(TrainSettings):
    """KTO on thumbs up and down; pairs become two rows."""

    beta: float = Field(default=0.1, gt=0)
    "Strength of the tie to the reference."
    loss: Literal["kto", "apo_zero"] = "kto"
    "`apo_zero` fixes the reference point at zero and saves its computation."
    weights: Literal["auto"] | tuple[float, float] = "auto"
    "Weights of good and bad answers; `auto` balances the classes as the paper advises."
    point_rows: int = Field(default=0, ge=0)
    "Rows of a step from which the reference point is taken; 0 is all."
    reference: Literal["start", "base"] = "start"
    "The model before this step, or the base without any adapter."


class RewardSettings(TrainSettings):
    """A reward model from rankings or pairs."""

    loss: Literal["bradley_terry", "plackett_luce", "best_of"] = "bradley_terry"
    "All pairs of a ranking, the whole ranking, or only its best answer."
    centre: float = Field(default=0.0, ge=0)
    "Pulls rewards towards zero."


class PpoStepSettings(TrainSettings):
    """PPO: answers are drawn, rewarded and learnt from; rows give the prompts."""

    batch: int = Field(default=32, ge=1)
    "Prompts answered in one round."
    reward: str = ""
    "`file.py:function` of (response, prompt, row), `openai:URL#model`, or brevity, json, \
sentence, variety."
    reward_model: StepRef | None = None
    "A reward step whose model scores the answers, in the place of `reward`."
    reward_seconds: float = Field(default=30.0, gt=0)
    "Time that one call of a function may take."
    question: str = ""
    "What a judging endpoint is asked; by default for marks from 0 to 10."
    answers: int = Field(default=1, ge=1)
    "Answers drawn for each prompt."
    answer_tokens: int = Field(default=64, ge=1)
    "Longest answer."
    temperature: float = Field(default=1.0, gt=0)
    "Of the draws; the policy that is trained is the one at this temperature."
    beta: float = Field(default=0.05, ge=0)
    "Weight of the divergence from the reference."
    target: float | None = Field(default=None, gt=0)
    "Divergence of an answer, in nats, that beta is moved towards; without it beta stays."
    divergence: Literal["k1", "k2", "k3"] = "k1"
    "Estimator of the divergence that a token pays for."
    passes: int = Field(default=4, ge=1)
    "Times that a round's answers are learnt from."
    minibatches: int = Field(default=1, ge=1)
    "Updates in one pass."
    ratio_clip: float = Field(default=0.2, gt=0, lt=1)
    "How far a token's probability ratio may move before it counts no further."
    value_weight: float = Field(default=0.1, ge=0)
    "Weight of the value's loss."
    gamma: float = Field(default=1.0, ge=0, le=1)
    "Discount of later tokens."
    lam: float = Field(default=0.95, ge=0, le=1)
    "How far advantages look ahead."
    missing_end: float = Field(default=0.0, ge=0)
    "Taken off the reward of an answer that does not end by itself."


class MetricSettings(TrainSettings):
    """Any measure as the goal, by MeZO: no gradient is needed."""

    optimizer: Optimizer = "mezo"
    "Only mezo: a measure has no gradient."
    metric: str = Field(min_length=1)
    "accuracy, exact, f1, or `file.py:function` of (response, prompt, row); higher is better."
    metric_seconds: float = Field(default=30.0, gt=0)
    "Time that one call of a function may take."
    answer_tokens: int = Field(default=32, ge=1)
    "Longest answer that is drawn, greedily."


class PairsSettings(StepSettings):
    """Pairs for DPO: real responses against the model's own answers, or its best against its worst.

    Without a reward a row's own response is the better one. With a reward rows need only prompts:
    of each prompt's n answers the best and the worst make a pair.
    """

    rows: StepRef
    "Rows with a prompt, and without a reward a real response, which becomes the chosen answer."
    reward: str = ""
    "`file.py:function` of (response, prompt, row), `openai:URL#model`, or a name as for align.ppo."
    reward_model: StepRef | None = None
    "A reward step whose model scores the answers, in the place of `reward`."
    reward_seconds: float = Field(default=30.0, gt=0)
    "Time that one call of a function may take."
    question: str = ""
    "What a judging endpoint is asked; by default for marks from 0 to 10."
    start: StepRef | None = None
    "A training step whose model answers; the base model without it."
    limit: int | None = Field(default=None, ge=1)
    "Use at most so many rows, drawn at random by the seed."
    n: int | None = Field(default=None, ge=1)
    "Answers drawn for each prompt: 1, or 4 with a reward."
    max_tokens: int = Field(default=128, ge=1)
    "Longest answer."
    temperature: float = Field(default=1.0, ge=0)
    "Sampling temperature."
    top_p: float = Field(default=1.0, gt=0, le=1)
    "Nucleus of the sampling."
    unfinished: Literal["drop", "keep"] = "drop"
    "Answers cut off by max_tokens: leave them out, or learn to reject them too."
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    "Type of the weights."
