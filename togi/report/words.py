"""Every name that a run logs, in plain words: what it is, what is healthy, what to do if not."""

from __future__ import annotations

import re

from togi.report.words_training import TRAINING, Word
from togi.report.words_trust import TRUST


def look_up(name: str) -> Word | None:
    """Return what is known of a name; spaces, hyphens and letter case do not matter.

    A name such as "judge/docstrings/format" is looked up whole and then by its last parts.

    >>> look_up("Bits per byte") == look_up("bits_per_byte"), look_up("glorp")
    (True, None)
    >>> look_up("judge/docstrings/bits_per_byte") == look_up("bits_per_byte")
    True
    """
    return next((WORDS[tail] for tail in _tails(name) if tail in WORDS), None)


def _tails(name: str) -> list[str]:
    parts = re.sub(r"[\s_-]+", "_", name.strip().lower()).split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


SCORES = {
    "bits_per_byte": Word(
        "How many bits the model needs for a byte of the text: summed negative log₂-probability"
        " over the bytes. It does not depend on the tokenizer.",
        "Lower is better; 0 is perfect foresight, 8 is no idea at all.",
        "Compare only on the same texts.",
    ),
    "nats": Word(
        "Negative log-probability of the target text (natural logarithm). Lower is better."
    ),
    "bytes": Word("Length of the target text in UTF-8 bytes."),
    "perplexity": Word(
        "exp of the mean loss a token. Lower is better; it depends on the tokenizer."
    ),
    "correct": Word("1 where the answer was right, else 0; the mean is the accuracy."),
    "accuracy": Word(
        "Share of samples answered rightly.", "Above guessing, which is 1 over the choices."
    ),
    "accuracy_normalised": Word(
        "Accuracy where each choice's log-probability is divided by its bytes."
    ),
    "correct_normalised": Word("As correct, each choice's log-probability divided by its bytes."),
    "margin": Word(
        "Log-probability of the right choice minus that of the best wrong one, in nats."
    ),
    "greedy": Word("1 where each token of the target was the model's first choice."),
    "exact": Word("Share of answers equal to the target, apart from case and white space."),
    "exact_match": Word("Share of answers equal to the target."),
    "score": Word(
        "Share of a check's rules that the answer meets.", "Near 1.", "Low: read the samples."
    ),
    "all_met": Word("Share of answers that meet all of a check's rules."),
    "format": Word(
        "Share of answers that have the form which the task asks for.",
        "Near 1.",
        "Low after tuning: the rows teach another form; read the samples.",
    ),
    "length": Word(
        "Length of the answer.", "Near the targets' length.", "Drift: read the samples."
    ),
    "stopped": Word(
        "Share of answers that ended by themselves.", "Near 1.", "Low: raise max_tokens."
    ),
    "accuracy_generated": Word(
        "Share of answers that name the right choice in the model's own words.",
        "Near the accuracy by likelihood.",
        "Far below it: the model knows the choice and does not write it; see unparsable.",
    ),
    "unparsable": Word(
        "Share of answers in which nothing could be read; they count as wrong.",
        "Near 0.",
        "High: read the samples, and say in the prompt how to answer, or set `parse`.",
    ),
    "similarity": Word(
        "1 minus the edit distance of answer and target over the longer one's length: how nearly.",
        "It moves where exact answers do; one that moves alone is a jump of the measure.",
    ),
    "brier": Word(
        "Squared distance of the choices' probabilities from the truth, 0 to 2.",
        "Below that of guessing, 1 − 1 over the choices.",
    ),
    "probability": Word("Mean probability of the right choice among the choices."),
    "token_probability": Word(
        "Probability of a token of the right answer, its geometric mean; it has no threshold."
    ),
    "pass@1": Word(
        "Chance that an answer passes the tests in the sandbox, estimated without bias."
    ),
    "too_long": Word(
        "Share of programs that were ended at their time limit.", "0.", "Raise `limits.seconds`."
    ),
    "win_rate": Word("Share of comparisons won, a tie counting one half.", "0.5 is no difference."),
}

SELECTION = {
    "method": Word("How the rows were picked."),
    "n_raw": Word("Rows in the pool that could be picked."),
    "n_target": Word("Rows of the target, whose manner the pick shall have."),
    "k": Word("Rows picked."),
    "filtered": Word("Pool rows set aside before picking, such as too short or too repetitive."),
    "seed": Word("The number from which all of a run's chance is derived."),
    "effective_sample_size": Word(
        "How many equally weighted rows the importance weights are worth: (Σw)² / Σw².",
        "At least k.",
        "Far below k: few pool rows look like the target; pick fewer or find a wider pool.",
    ),
    "kl_reduction": Word(
        "How much nearer to the target the picked rows' n-grams are than the pool's, in nats.",
        "Above the random control's.",
        "Not above it: the pool already looks like the target, or nothing in it does.",
    ),
    "log_ratio": Word(
        "Natural logarithm of an n-gram's share among the picked rows over its share in the pool.",
        "1 is 2.7 times as frequent, −1 as rare.",
    ),
    "picked": Word("Among the rows that were picked."),
    "pool": Word("Among all rows that could have been picked."),
    "target": Word("Among the rows whose manner the pick shall have."),
    "median": Word("Half of the values lie below, half above."),
}

VERDICT = {
    "interval": Word(
        "A range so made that it holds the true value in 95 of 100 repetitions on new samples.",
        "Narrow against the effect that matters.",
        "Too wide: judge more samples.",
    ),
    "n": Word("Samples that a number rests on.", "", "Under about 30, trust no interval far."),
    "n_too_small": Word("There were too few samples for this value; it is unknown, not zero."),
    "difference": Word("After minus before on the same samples, so that their ease cancels out."),
    "smallest_told": Word(
        "The smallest true difference that so many samples of this spread would show with a chance"
        " of 80 %, at the corrected level; unknown where all differences are equal.",
        action="Where it is larger than what matters to you, judge more samples.",
    ),
    "p": Word(
        "How often chance alone would give at least this difference if there were none.",
        "",
        "Not the chance of being wrong; read the interval for the size.",
    ),
    "adjusted_p": Word("p made larger because several differences were tested at once."),
    "accept": Word("The primary measure improved and no guard was lost, by the recipe's rule."),
    "reject": Word("The primary measure did not improve as asked, or a guard was lost."),
    "cannot_tell": Word("The samples do not decide it; collect more, or live with not knowing."),
    "guard": Word("An ability that tuning must not cost; it may worsen by its margin at most."),
    "guard_margin": Word("How much worse a guard may become before the model is rejected."),
    "held": Word("The guard's whole interval lies within its margin."),
    "regressed": Word("The guard's whole interval lies beyond its margin."),
    "unclear": Word("The guard's interval crosses its margin.", "", "Judge more guard samples."),
    "baseline": Word("The model to beat."),
    "candidate": Word("The model on which the verdict is passed."),
    "primary": Word("The one measure that the recipe chose beforehand to decide on."),
    "required": Word("The least improvement that the rule asks of the primary measure."),
    "level": Word("How sure all statements of the verdict are together."),
    "correction": Word("How the intervals are widened because several questions are asked."),
    "improved": Word("The primary measure's whole interval lies above what is required."),
    "not_improved": Word("The primary measure's whole interval lies below what is required."),
    "power": Word("The chance that the samples asked for by “collect more” settle the verdict."),
    "multiplicity": Word("How p and intervals are corrected because several questions are asked."),
    "alpha": Word("The risk of a false alarm that the rule accepts."),
}

UNITS = {
    "loss": "nats",
    "nats": "nats",
    "bits_per_byte": "bits per byte",
    "bytes": "bytes",
    "tokens_per_s": "tokens per second",
    "memory_mb": "megabytes",
    "rewards": "nats times β",
    "rewards/margins": "nats times β",
    "rewards/accuracies": "share of pairs",
    "logps": "nats",
    "kl": "nats",
    "entropy": "nats",
    "token_accuracy": "share of tokens",
    "lr": "size of a step",
    "grad_norm": "length",
}
"""Names, and what their values are counted in, where they have a unit."""


def unit(name: str) -> str:
    """Return what a name's values are counted in, "" where it is not known.

    >>> unit("rewards/margins"), unit("judge/docstrings/bits per byte"), unit("glorp")
    ('nats times β', 'bits per byte', '')
    """
    return next((UNITS[tail] for tail in _tails(name) if tail in UNITS), "")


WORDS: dict[str, Word] = {**TRAINING, **SCORES, **SELECTION, **VERDICT, **TRUST}
"""Names in lower case with underscores, to their words."""
