"""The names that trainings log, in plain words."""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """A name's definition, its healthy range, and what to do outside of it."""

    definition: str
    healthy: str = ""
    action: str = ""


_FOLLOW = "Read it together with the margin: only the difference is trained."

TRAINING = {
    "step": Word("One update of the trained weights."),
    "steps": Word("Updates of the trained weights in the whole training."),
    "loss": Word(
        "What training lowers: for imitation (SFT) the mean negative log-probability of the"
        " answer's tokens, in nats; for preference (DPO) −log σ of the reward margin, which starts"
        " at ln 2 = 0.693.",
        "Falls and levels off.",
        "Rising or undefined: lower lr. Flat from the start: raise lr or look at the loss mask.",
    ),
    "final_loss": Word("Mean loss of the last tenth of the steps.", "Below the first step's loss."),
    "lr": Word(
        "Learning rate: how far one step moves the weights.",
        "Rises during warm-up, then falls to about 0 at the end.",
        "Divide by 3 where the loss jumps; multiply by 3 where nothing moves.",
    ),
    "grad_norm": Word(
        "Length of the gradient before clipping.",
        "Steady, without a trend upwards; single spikes are clipped.",
        "Many spikes: lower lr, or look for broken rows. Zero: nothing is being trained.",
    ),
    "tokens": Word("Tokens put through the model: in training so far, in judging for a sample."),
    "trained_tokens": Word(
        "Tokens that carry loss, that is, of the answers.", "More than 0.", "0: the mask is empty."
    ),
    "tokens_per_s": Word(
        "Tokens put through the model in a second.",
        "Steady.",
        "Falling: another program takes the processor, or memory runs out.",
    ),
    "seconds": Word("Time spent, by the clock on the wall."),
    "memory_mb": Word(
        "Memory that the process holds (on a GPU: the most it held), in megabytes.",
        "Levels off early, below what the machine has.",
        "Near the limit: fewer tokens a batch.",
    ),
    "epoch": Word("How many times the data has been seen."),
    "rows": Word("Rows trained on, after drops."),
    "items": Word("Rows or pairs in the step."),
    "trained_parameters": Word("Weights that training may change, such as those of an adapter."),
    "total_parameters": Word("All weights of the model, frozen ones included."),
    "objective": Word("The loss that was trained: sft imitates answers, dpo prefers one of two."),
    "dropped": Word(
        "Rows left out, counted by reason.", "A small share.", "Read the reasons; mend the rows."
    ),
    "rewards/chosen": Word(
        "β times how much more likely the better answer became than under the reference model.",
        "May rise or fall a little.",
        _FOLLOW + " Falling fast in both: lower lr or raise β.",
    ),
    "rewards/rejected": Word(
        "β times how much more likely the worse answer became than under the reference model.",
        "Falls below rewards/chosen; that both fall is common.",
        _FOLLOW,
    ),
    "rewards/margins": Word(
        "rewards/chosen minus rewards/rejected.",
        "Starts at 0 and rises.",
        "Flat: raise lr or look whether the pairs differ. Very large: over-fitted, stop sooner.",
    ),
    "rewards/accuracies": Word(
        "Share of pairs whose better answer has the higher reward.",
        "Starts at 0.5 (a tie counts one half) and rises to 0.6–0.9.",
        "1.0 at once: the pairs are too easy, for instance by length. Near 0.5: no signal.",
    ),
    "logps/chosen": Word(
        "Log-probability of the better answers, summed over tokens, in nats.",
        "Falls little.",
        "A steep fall means that good answers are being unlearnt: lower lr, raise β, add SFT loss.",
    ),
    "logps/rejected": Word(
        "Log-probability of the worse answers, summed over tokens, in nats.",
        "Falls more than logps/chosen.",
    ),
    "logps/ref_chosen": Word("logps/chosen under the frozen reference model.", "Constant by row."),
    "logps/ref_rejected": Word(
        "logps/rejected under the frozen reference model.", "Constant by row."
    ),
    "kl/point": Word(
        "KTO's reference point: how much likelier other rows' answers became, in nats; at least 0.",
        "Near 0.",
        "Rising: the policy drifts; lower lr or raise β.",
    ),
    "kl/drift": Word("The reference point before it is cut off at 0.", "Falls below 0 late."),
    "saturated": Word(
        "Share of rows whose loss has levelled off, so that they pull no more.", "Rises slowly."
    ),
    "rewards/mean": Word("Mean reward of all answers.", "Near 0."),
    "objective/scores": Word(
        "Mean reward of the round's answers.", "Rises.", "Flat: raise lr, or look at the reward."
    ),
    "objective/kl": Word(
        "How far the round's answers diverge from the reference, in nats an answer.",
        "Starts at 0 and rises slowly.",
        "Fast growth: raise beta or set target. Below 0: drawing and scoring differ.",
    ),
    "objective/rlhf_reward": Word("Reward less what the divergence costs.", "Rises."),
    "objective/entropy": Word(
        "Mean negative log-probability of the drawn answers.", "Falls slowly.", "Near 0: collapsed."
    ),
    "objective/beta": Word("The weight of the divergence, as it is adapted."),
    "policy/approxkl": Word(
        "How far an update moved the answers' probabilities.", "Below 0.1.", "Above: lower lr."
    ),
    "policy/clipfrac": Word(
        "Share of tokens whose probability moved beyond the clip.", "Below 0.3.", "Lower lr."
    ),
    "loss/policy": Word("The clipped loss of the policy alone."),
    "loss/value": Word("The loss of the value head alone.", "Falls."),
    "val/ratio": Word("Mean ratio of new to old token probabilities.", "Near 1."),
    "val/explained_variance": Word(
        "Share of the returns' spread that the value foresees.", "Rises above 0."
    ),
    "answers/tokens": Word("Mean length of the drawn answers, in tokens."),
    "answers/ended": Word("Share of drawn answers that ended by themselves.", "Near 1."),
    "metric": Word("The measure that is raised, on the step's rows.", "Rises."),
    "mezo/slope": Word("Slope of the loss along the step's random direction.", "Around 0."),
    "mezo/plus": Word("Loss with the weights moved along the direction."),
    "mezo/minus": Word("Loss with the weights moved against it."),
    "trained": Word("What is trained: lora, qlora, full or prefix."),
    "optimizer": Word("Who updates the weights."),
    "kl": Word(
        "How far the tuned model's answers have moved from the reference model, in nats.",
        "Rises slowly.",
        "Fast growth: lower lr or raise β.",
    ),
    "kl/chosen": Word(
        "Mean log-probability gained by the better answers over the reference model, in nats.",
        "Near 0, or rising.",
        "Strongly negative: good answers are being unlearnt; lower lr or raise β.",
    ),
    "kl/rejected": Word(
        "Mean log-probability gained by the worse answers over the reference model, in nats.",
        "Negative.",
    ),
    "entropy": Word("How undecided the model is about the next token, in nats.", "Not near 0."),
    "nats_a_token": Word(
        "Mean loss of the step's tokens, however the objective weighs them.", "Falls."
    ),
    "alpha_entropy": Word(
        "Entropy of the domains' weights in DoReMi, in nats.",
        "Between 0 and the logarithm of the number of domains.",
        "Near 0 nearly all weight lies on one domain: lower eta, or take larger batches.",
    ),
    "token_accuracy": Word(
        "Share of the answer's tokens that were the model's first choice.", "Rises."
    ),
    "judge/loss": Word(
        "Mean negative log-probability of held-out answers, in nats a token, during training.",
        "Falls and levels off.",
        "Rising while the loss falls: over-fitted; stop sooner or use more rows.",
    ),
    "best_step": Word("The step whose weights were kept, as judged during training."),
    "best_value": Word("The judged measure at the best step."),
    "resumed_from": Word("The step at which the last sitting began; 0 where there was only one."),
    "micro_batches": Word("Passes through the model; several make up one step."),
}
