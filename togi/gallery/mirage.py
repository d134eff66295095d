"""Emergence as a metric's mirage: a jump in exact answers that their tokens do not show.

Transformers of growing width learn one phone book for equally long: a token for each person, then
five digits. A number is right when all five digits are, so that exact match is nearly p^5 of a
digit's chance p, flat where p is low and steep where it is high. The same answers are measured by
token edit distance and by the probability of the right digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from togi.errors import UsageError
from togi.gallery.finding import Finding, Holds, Plot
from togi.stats import Estimate, bootstrap_mean
from togi.stats.edits import levenshtein
from togi.stats.emergence import effective_length, largest_step, resolution
from togi.stats.resampled import drawn_estimate
from togi.stats.rng import derive, stream
from togi.step import StepSettings, Work

Floats = NDArray[np.float64]

DIGITS = 10
LR = 1e-2
RESAMPLES = 2000
MEASURES = ("exact", "similarity", "probability")
APART = 0.1
"The least difference of largest steps, as shares of the rise, that makes the claim hold."
FEW = 50
"People of the small test set that shows none where a larger one shows some."


class Settings(StepSettings):
    """How large the models, how long the numbers."""

    widths: list[int] = Field(default=[2, 3, 4, 6, 8, 12, 16, 24], min_length=3)
    "Widths of the models, growing."
    people: int = Field(default=512, ge=FEW)
    "Numbers in the phone book."
    length: int = Field(default=5, ge=2, le=12)
    "Digits of a number."
    steps: int = Field(default=300, ge=10)
    "Training steps of each model, all people in each."
    seeds: int = Field(default=3, ge=1)
    "Phone books and initial weights for each width."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train each width on each phone book, and write what was found."""
    if sorted(set(settings.widths)) != settings.widths or settings.widths[0] < 1:
        raise UsageError(
            "widths must grow", where="gallery.mirage", found=str(settings.widths),
            expected="such as [4, 8, 16]",
        )  # fmt: skip
    found = {name: np.zeros((len(settings.widths), settings.seeds, settings.people))
             for name in MEASURES}  # fmt: skip
    sizes = []
    for place, width in enumerate(settings.widths):
        seeds = [derive(work.seed, "mirage", number) >> 1 for number in range(settings.seeds)]
        books = [learned(width, settings, seed) for seed in seeds]
        for name in MEASURES:
            found[name][place] = [book[name] for _, book in books]
        sizes.append(books[0][0])
        means = ", ".join(f"{name} {found[name][place].mean():.3f}" for name in MEASURES)
        work.say(f"width {width}, {sizes[-1]} parameters: {means}")
    flat = {name: values.reshape(len(sizes), -1) for name, values in found.items()}
    return finding(sizes, flat, settings, seed=work.seed).write(work.folder)


def learned(width: int, settings: Settings, seed: int) -> tuple[int, dict[str, Floats]]:
    """Train one model on one phone book and measure its answers.

    Returns:
        Its number of parameters, and for each person: whether the greedy answer is right, 1 minus
        its edit distance over the length, and the digits' geometric mean probability.
    """
    import torch

    numbers = stream(seed, "numbers").integers(0, DIGITS, (settings.people, settings.length))
    right = torch.from_numpy(numbers)
    ids = torch.cat([DIGITS + torch.arange(settings.people)[:, None], right], 1)
    model = _model(width, settings, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / settings.steps)
        loss = -_chances(model, ids)[1].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        probability = _chances(model, ids)[1].mean(1).exp().double().numpy()
        said = _answers(model, ids[:, :1], settings.length)
    edits = np.array([levenshtein(*pair) for pair in zip(said, numbers.tolist(), strict=True)])
    measured = {
        "exact": (edits == 0).astype(np.float64),
        "similarity": 1 - edits / settings.length,
        "probability": probability,
    }
    return sum(one.numel() for one in model.parameters()), measured


def _model(width: int, settings: Settings, seed: int) -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=DIGITS + settings.people, n_positions=settings.length + 1, n_embd=width,
        n_layer=1, n_head=1, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)


def _logits(model: Any, ids: Any) -> Any:
    """Return the digits' logits after each token, [people, tokens, DIGITS]."""
    hidden = model.transformer(ids, use_cache=False).last_hidden_state
    return hidden @ model.lm_head.weight[:DIGITS].T


def _chances(model: Any, ids: Any) -> tuple[Any, Any]:
    """Return logits, and the log-probability of each right digit, [people, length]."""
    logits = _logits(model, ids[:, :-1])
    return logits, logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]


def _answers(model: Any, ids: Any, length: int) -> list[list[int]]:
    """Answer greedily, digit after digit."""
    import torch

    for _ in range(length):
        ids = torch.cat([ids, _logits(model, ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids[:, 1:].tolist()


def finding(
    sizes: list[int], found: dict[str, Floats], settings: Settings, *, seed: int = 0
) -> Finding:
    """Return what the measures of each size say of the claim.

    Args:
        sizes: parameters of each model.
        found: measure -> [models, people], all phone books side by side.
        settings: of the training.
        seed: of the bootstrap over people.
    """
    steps = {name: _largest(found[name], seed) for name in MEASURES}
    gaps = {name: _largest(found["exact"], seed, found[name]) for name in MEASURES[1:]}
    shares = {name: _percent(one) for name, one in steps.items()}
    return Finding(
        name="mirage",
        holds=_holds(list(gaps.values())),
        measured=(
            f"From {sizes[0]} to {sizes[-1]} parameters one step of the scale makes "
            f"{shares['exact']} of exact match's rise, {shares['similarity']} of token edit "
            f"distance's and {shares['probability']} of the right digits' probability's, on the "
            f"same {found['exact'].shape[1]} answers."
        ),
        estimates={
            "largest step of exact match, share of its rise": steps["exact"],
            "largest step of 1 − edit distance, share of its rise": steps["similarity"],
            "largest step of the digits' probability, share of its rise": steps["probability"],
            "exact match's largest step minus edit distance's": gaps["similarity"],
            "exact match's largest step minus the probability's": gaps["probability"],
        },
        plots=_plots(sizes, found, settings.length),
        notes=_notes(found, settings.length),
        values={
            "parameters": sizes,
            "widths": settings.widths,
            "effective_length": _free(found),
            **{name: values.mean(1).tolist() for name, values in found.items()},
        },
    )


def _plots(sizes: list[int], found: dict[str, Floats], length: int) -> list[Plot]:
    curves = {name: [bootstrap_mean(row) for row in values] for name, values in found.items()}
    digits = [one.mean for one in curves["similarity"]]
    return [
        Plot(
            title="One and the same answers, by three measures",
            x="parameters",
            y="share",
            log_x=True,
            series={
                label: list(zip(map(float, sizes), curves[name], strict=True))
                for name, label in _LABELS.items()
            },
        ),
        Plot(
            title=f"Exact match against a digit's chance to the power {length}",
            x="1 − token edit distance",
            y="exact match",
            kind="scatter",
            series={
                "measured": list(zip(digits, curves["exact"], strict=True)),
                f"p^{length}": [(p, p**length) for p in digits],
            },
        ),
    ]


def _notes(found: dict[str, Floats], length: int) -> list[str]:
    models, n = found["exact"].shape
    some, few = sum(row.any() for row in found["exact"]), models - _hidden(found["exact"])
    return [
        f"Of {models} models {some} have a right number among {n} answers; among {FEW} one would "
        f"see {few} of them, because none of {FEW} may hide {resolution(FEW)[1]:.2g}.",
        f"Exact match is as of {_free(found):.2g} independent digits, not {length}: the digits of "
        "one number do not fail independently.",
        "A miniature: one-layer transformers that memorise, not language models. Where the tokens "
        "themselves jump, as in grokking, exact match is right to jump as well.",
    ]


_LABELS = {
    "exact": "exact match",
    "similarity": "1 − token edit distance",
    "probability": "probability of a right digit",
}


def _largest(values: Floats, seed: int, beside: Floats | None = None) -> Estimate:
    """Return the largest step's share of a measure's rise, or how much larger than another's.

    The interval resamples people, the same ones for every model.
    """

    def share(weights: Floats) -> float:
        own = largest_step((values @ weights).tolist())
        return own if beside is None else own - largest_step((beside @ weights).tolist())

    n = values.shape[1]
    draws = stream(seed, "mirage", "people").multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    found = np.array([share(row) for row in draws])
    return drawn_estimate(share(np.full(n, 1 / n)), found, n)


def _hidden(exact: Floats) -> int:
    """Return how many models rather show none than some right number among `FEW` people."""
    return int(((1 - exact.mean(1)) ** FEW >= 0.5).sum())


def _free(found: dict[str, Floats]) -> float:
    """Return how many independent digits would give the same exact match, over all models."""
    pairs = zip(found["exact"].mean(1), found["similarity"].mean(1), strict=True)
    lengths = [effective_length(float(exact), float(p)) for exact, p in pairs]
    known = [one for one in lengths if math.isfinite(one)]
    return float(np.median(known)) if known else math.nan


def _holds(gaps: list[Estimate]) -> Holds:
    """Exact match's largest step is larger than both continuous ones' by `APART` and more."""
    if all(gap.low > APART for gap in gaps):
        return "holds"
    return "does not hold here" if any(gap.high < APART for gap in gaps) else "cannot tell"


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"
