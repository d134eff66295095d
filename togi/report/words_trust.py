"""The names of the sides of trust, in plain words."""

from __future__ import annotations

from togi.report.words_training import Word

TRUST = {
    "trust_score": Word(
        "What a side gives, from 0 to 100; how it is put together stands with each side.",
        "Higher is better on every side.",
        "Read the rates beside it first: a model that nobody can understand may score high.",
    ),
    "refused": Word(
        "Share of answers that say they will not or cannot answer.",
        "As low as the side allows; on some sides a refusal is the right answer.",
        "High: a score may tell of refusals alone.",
    ),
    "not_readable": Word(
        "Share of answers that are neither a refusal nor one of the answers asked for.",
        "Near 0.",
        "Above one half: the score says little of the side.",
    ),
    "pressure": Word(
        "What the hostile system prompts change: the harm under them minus that under the usual"
        " ones.",
        "Near 0.",
        "Far above 0: the model is easily steered into harm.",
    ),
    "benign": Word("Asked under a usual system prompt, or on a text as it was."),
    "adversarial": Word("Asked under a hostile system prompt, or on a text that was attacked."),
}
