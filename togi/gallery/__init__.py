"""The gallery: each paper's claim in miniature, re-run in minutes, with a picture.

`ENTRIES` lists what there is; an entry's module has `Settings` and `run`, as any step has, and
writes one `Finding`. An entry that trains or judges real models has a recipe beside it, whose last
step is the entry. `togi gallery NAME` runs it, `report.html` shows it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One paper's claim: what it says, where it says so, and how long its miniature takes.

    `model` says that the recipe's model is used; the others need none.
    """

    title: str
    source: str
    claim: str
    minutes: float
    model: bool = False


ENTRIES: dict[str, Entry] = {
    "rater_disagreement": Entry(
        title="A majority vote hides how divided people are",
        source="Aroyo et al. 2023, DICES, arXiv 2306.11247",
        claim="A single label by majority throws away how divided raters are on an item, and that"
        " disagreement is signal: it repeats among other raters.",
        minutes=1,
    ),
    "dsir_selects": Entry(
        title="Choosing data by importance resampling",
        source="Xie et al. 2023, arXiv 2302.03169",
        claim="Documents picked by importance resampling on hashed n-grams train better models for"
        " the target than random ones and than those that a classifier filters.",
        minutes=15,
        model=True,
    ),
    "vote_or_distribution": Entry(
        title="Judged by the vote, or by everybody",
        source="Aroyo et al. 2023, DICES, arXiv 2306.11247",
        claim="A majority vote hides contested items: judged against the raters' distribution,"
        " models differ that a vote cannot tell apart.",
        minutes=1,
    ),
    "scaling_laws": Entry(
        "Compute-optimal training",
        "Hoffmann et al. 2022, arXiv 2203.15556",
        "With more compute, parameters and training tokens should grow in equal proportion: about"
        " 20 tokens for each parameter.",
        minutes=0.1,
    ),
    "repeated_data": Entry(
        "Repeated data",
        "Muennighoff et al. 2023, arXiv 2305.16264",
        "Up to four epochs on the same data change the loss negligibly against new data.",
        minutes=0.1,
    ),
    "repeated_miniature": Entry(
        "Repeated data, with a model from scratch",
        "Muennighoff et al. 2023, arXiv 2305.16264",
        "Up to four epochs on the same data change the loss negligibly against new data.",
        minutes=4,
    ),
    "lora_forgets_less": Entry(
        title="LoRA learns less and forgets less",
        source="Biderman et al. 2024, arXiv 2405.09673",
        claim="Low-rank adapters learn less of a new domain than full fine-tuning does, and forget"
        " less of what the model knew.",
        minutes=12,
        model=True,
    ),
    "nf4_error": Entry(
        title="Four bits that fit the weights",
        source="Dettmers et al. 2023, arXiv 2305.14314",
        claim="NF4, made for normally distributed weights, loses less than int4 and FP4 at the same"
        " four bits.",
        minutes=1,
        model=True,
    ),
    "mezo_memory": Entry(
        title="Tuning in the memory of inference",
        source="Malladi et al. 2023, arXiv 2305.17333",
        claim="MeZO tunes with the memory of inference and comes near to what gradients reach.",
        minutes=6,
        model=True,
    ),
    "kto_thumbs": Entry(
        title="Thumbs instead of pairs",
        source="Ethayarajh et al. 2024, arXiv 2402.01306",
        claim="KTO, which only learns whether an answer is good or bad, matches or exceeds methods"
        " that learn from pairs.",
        minutes=10,
        model=True,
    ),
    "lima_curve": Entry(
        title="Less is more for alignment",
        source="Zhou et al. 2023, arXiv 2305.11206",
        claim="More rows of the same kind gain little; diverse and good ones matter.",
        minutes=15,
        model=True,
    ),
    "rlhf_frontier": Entry(
        title="DPO against PPO on the frontier of reward and divergence",
        source="Rafailov et al. 2023, arXiv 2305.18290; Gao et al. 2023, arXiv 2210.10760",
        claim="DPO reaches a higher reward than PPO at every divergence from the reference; a"
        " reward with errors, optimised too far, loses true reward.",
        minutes=15,
        model=True,
    ),
    "instructions_and_harm": Entry(
        title="Better at instructions, easier to steer into harm",
        source="Wang et al. 2023, DecodingTrust, arXiv 2306.11698",
        claim="A model that follows instructions better is easier to steer into harm by a hostile"
        " system prompt.",
        minutes=6,
        model=True,
    ),
    "dpo_separable": Entry(
        title="DPO runs away where pairs never contradict",
        source="Azar et al. 2023, arXiv 2310.12036",
        claim="With preferences that are certain, DPO's tie to the reference has no hold whatever"
        " beta is; IPO stays at a finite distance.",
        minutes=2,
    ),
    "doremi_weights": Entry(
        title="Weights of domains without a downstream task",
        source="Xie et al. 2023, arXiv 2305.10429",
        claim="Weights of domains found by a small proxy lower a model's loss, on average and on"
        " the worst domain, against mixing by size.",
        minutes=8,
    ),
    "personas_explore": Entry(
        title="Older personas explore and exploit better",
        source="Salewski et al. 2023, arXiv 2305.14930",
        claim="Told to be older, a language model explores less and earns more in a two-armed"
        " bandit, as people do when they grow up.",
        minutes=4,
        model=True,
    ),
    "mirage": Entry(
        title="Emergence as a mirage of the metric",
        source="Schaeffer et al. 2023, arXiv 2304.15004",
        claim="Abilities that seem to emerge at some scale do so by a measure that counts right or"
        " wrong; by a continuous measure the same answers improve smoothly.",
        minutes=2,
    ),
    "title_trends": Entry(
        title="What rose and what fell in NeurIPS titles",
        source="opening slides of a survey of NeurIPS 2023",
        claim="From 2022 to 2023 ten title bigrams rose (language models, diffusion models, …) and "
        "ten fell (reinforcement learning, neural networks, …).",
        minutes=0.1,
    ),
}
"""Name of an entry, which is also its module's, to what it is about."""


def recipe_of(name: str) -> Path | None:
    """Return the recipe that leads to an entry; None where the entry needs no other step."""
    path = Path(__file__).parent / "recipes" / f"{name}.yaml"
    return path if path.is_file() else None
