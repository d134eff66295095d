"""Four bits three ways: NF4, FP4 and int4 on the weights of a real model.

Each linear layer's weights are packed by each codebook, in the same blocks with the same scales,
and held against what they were; then the whole model answers for general text with its weights
as each codebook restores them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from togi.gallery.finding import Finding, Holds, Plot, told
from togi.stats import Estimate, bootstrap_mean, paired_difference
from togi.step import StepSettings, Work

KINDS = ("nf4", "int4", "fp4")
"""The codebooks, in the order in which the claim has them."""
NAMES = {"exact": "unpacked", "nf4": "NF4", "int4": "int4", "fp4": "FP4"}


class Settings(StepSettings):
    """How the weights are packed."""

    blocksize: int = Field(default=64, ge=32, le=4096)
    "Weights that share one scale; a power of two."
    double: bool = True
    "Pack the scales too."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Pack every layer three ways, judge the model after each, and write what was found."""
    from togi.align.tuned import open_local

    model = open_local(work.model, dtype="float32", offline=work.offline, say=work.say)
    errors, bits = measured(model, settings, work.say)
    return finding(errors, bits, settings).write(work.folder)


def measured(
    model: Any, settings: Settings, say: Any
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return, by codebook, each layer's relative error and each passage's bits per byte."""
    import torch

    from togi.align.nf4 import dequantise, quantise, relative_error
    from togi.align.nf4_model import packable
    from togi.evaluate.guards import general_text

    modules = dict(model.model.named_modules())
    layers = [modules[path] for path in packable(model.model)[0]]
    exact = [layer.weight.detach().clone() for layer in layers]
    passages = [str(row.text) for row in general_text()]
    errors: dict[str, list[float]] = {kind: [] for kind in KINDS}
    bits = {"exact": bits_per_byte(model, passages)}
    for kind in KINDS:
        for layer, weight in zip(layers, exact, strict=True):
            how = {"blocksize": settings.blocksize, "double": settings.double, "kind": kind}
            packed = quantise(weight, **how)
            errors[kind].append(relative_error(weight, packed))
            with torch.no_grad():
                layer.weight.copy_(dequantise(packed, weight.dtype))
        bits[kind] = bits_per_byte(model, passages)
        say(f"{NAMES[kind]}: {sum(bits[kind]) / len(passages):.4f} bits per byte of general text")
    with torch.no_grad():
        for layer, weight in zip(layers, exact, strict=True):
            layer.weight.copy_(weight)
    return errors, bits


def bits_per_byte(model: Any, passages: Sequence[str]) -> list[float]:
    """Return each passage's surprise, in bits for each of its bytes in UTF-8."""
    scores = model.score([""] * len(passages), passages)
    return [
        -score.total / math.log(2) / len(passage.encode())
        for score, passage in zip(scores, passages, strict=True)
    ]


def finding(
    errors: Mapping[str, Sequence[float]], bits: Mapping[str, Sequence[float]], settings: Settings
) -> Finding:
    """Return what the layers' errors and the passages' bits say of the claim."""
    error = {kind: bootstrap_mean(errors[kind]) for kind in KINDS}
    more = {
        kind: paired_difference(errors[kind], errors["nf4"]).estimate for kind in ("int4", "fp4")
    }
    lost = {kind: paired_difference(bits[kind], bits["exact"]).estimate for kind in KINDS}
    beyond = {kind: paired_difference(bits[kind], bits["nf4"]).estimate for kind in ("int4", "fp4")}
    return Finding(
        name="nf4_error",
        holds=_holds([*more.values(), *beyond.values()]),
        measured=(
            f"Over {len(errors['nf4'])} layers the squared error is {_share(error['nf4'])} of the"
            f" weights' variance with NF4, {_share(error['int4'])} with int4 and"
            f" {_share(error['fp4'])} with FP4. General text then costs {told(lost['nf4'])},"
            f" {told(lost['int4'])} and {told(lost['fp4'])} bits per byte more than unpacked."
        ),
        estimates={
            **{f"error of {NAMES[k]}, share of the variance": error[k] for k in KINDS},
            **{f"bits per byte that {NAMES[k]} loses": lost[k] for k in KINDS},
            **{f"bits per byte, {NAMES[k]} minus NF4": beyond[k] for k in beyond},
        },
        plots=[
            Plot(
                title="What four bits lose", kind="scatter",
                x="squared error of the weights, share of their variance",
                y="bits per byte of general text above unpacked",
                series={NAMES[kind]: [(error[kind].mean, lost[kind])] for kind in KINDS},
            ),
        ],
        notes=[
            f"Blocks of {settings.blocksize}, scales {'packed too' if settings.double else 'whole'}"
            "; intervals over layers and over passages. No tuning follows; the paper judges"
            " models of 125 million to 65 billion parameters by perplexity and by tasks.",
        ],
    )  # fmt: skip


def _share(estimate: Estimate) -> str:
    mean, low, high = (100 * v for v in (estimate.mean, estimate.low, estimate.high))
    return f"{mean:.2f} % ({low:.2f} to {high:.2f})"


def _holds(differences: Sequence[Estimate]) -> Holds:
    """Tell whether the others surely lose more than NF4, in weights and in text."""
    if all(one.low > 0 for one in differences):
        return "holds"
    return "does not hold here" if any(one.high < 0 for one in differences) else "cannot tell"
