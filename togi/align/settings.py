"""What a recipe can tell the alignment steps; the text under a field is its only help."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from togi.step import StepRef, StepSettings


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
    rslora: bool = False
    "Scale by alpha / sqrt(rank), which keeps large ranks alive."


class TrainSettings(StepSettings):
    """What every training step can be told."""

    rows: StepRef
    "The step whose rows are learnt from."
    start: StepRef | None = None
    "A training step whose adapter is trained further; without it a new adapter starts."
    lora: LoraSettings = LoraSettings()
    "The adapter, where a new one starts."
    steps: int | None = Field(default=None, ge=1)
    "Updates to make; give this or `epochs`."
    epochs: float | None = Field(default=None, gt=0)
    "Passes over the rows; one where neither is given."
    batch: int = Field(default=8, ge=1)
    "Rows in one update."
    micro_tokens: int = Field(default=1024, ge=1)
    "Tokens that go through the model at once; memory and speed only."
    lr: float = Field(default=2e-4, gt=0)
    "Highest learning rate."
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    "How the learning rate falls after warm-up."
    warmup: float = Field(default=0.05, ge=0)
    "Steps of warm-up; below 1 a share of all steps."
    clip: float = Field(default=1.0, ge=0)
    "Largest gradient norm; 0 switches clipping off."
    weight_decay: float = Field(default=0.0, ge=0)
    "Decoupled weight decay."
    max_tokens: int = Field(default=2048, ge=2)
    "Longest row, prompt and answer, in tokens."
    too_long: Literal["drop", "cut", "error"] = "drop"
    "What to do with a longer row; counted."
    save_every: int = Field(default=50, ge=0)
    "Steps between checkpoints."
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    "Type of the frozen weights; trained ones are float32."
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
    """Direct preference optimisation on pairs of answers."""

    lr: float = Field(default=5e-5, gt=0)
    "Highest learning rate."
    beta: float = Field(default=0.1, gt=0)
    "Strength of the tie to the reference."
    loss: Literal["sigmoid"] = "sigmoid"
    "Loss of a pair."


class PairsSettings(StepSettings):
    """Pairs for DPO: a row's response against the model's own answer to the same prompt."""

    rows: StepRef
    "Rows with a prompt and a real response, which becomes the chosen answer."
    start: StepRef | None = None
    "A training step whose model answers; the base model without it."
    limit: int | None = Field(default=None, ge=1)
    "Use at most so many rows, drawn at random by the seed."
    n: int = Field(default=1, ge=1)
    "Answers drawn for each prompt; each distinct one makes a pair."
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
