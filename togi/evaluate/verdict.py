"""The verdict over a judging: accept, reject or cannot tell, by a rule stated beforehand.

The rule names one task (and measure) that must improve, what each guard may lose, and the chance
of error; `togi.stats.decide` reads the paired differences by it. Other comparisons are told in
plain sentences beside the verdict and do not enter it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from togi.errors import UsageError, nearest
from togi.evaluate.asking import Measure
from togi.evaluate.columns import Column, check_pair, columns, paired
from togi.evaluate.scores import adjust, check_cards, difference, measures_of, read_scores
from togi.evaluate.unlike import Differs, check_allowed, engines_differ, refuse, sentence
from togi.stats import Decision, Finding, Gate, decide, guard
from togi.train.files import write_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What makes a candidate better than the baseline.

    Attributes:
        baseline: display name of the model before.
        candidate: display name of the model after.
        primary: the task that must improve: its name, or `task.measure`.
        at_least: the least improvement that counts, in the measure's units, 0 or more.
        guards: task (or `task.measure`) -> the loss that is tolerated, in its units.
        alpha: the chance of any wrong statement.
        power: the chance that "collect n more" settles it.
        also: other pairs (after, before) told beside the verdict.
    """

    baseline: str
    candidate: str
    primary: str
    at_least: float = 0.0
    guards: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    power: float = 0.8
    also: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        checks = [
            (self.at_least >= 0, f"at_least must be at least 0, got {self.at_least}"),
            (0 < self.alpha < 1, f"alpha must lie between 0 and 1, got {self.alpha}"),
            (0 < self.power < 1, f"power must lie between 0 and 1, got {self.power}"),
            (self.baseline != self.candidate, "baseline and candidate are the same model"),
            (self.primary not in self.guards, f"'{self.primary}' is both primary and guard"),
        ]
        for good, problem in checks:
            if not good:
                raise UsageError(problem, where="verdict")


class Judged:
    """The scores and lines of one judging, asked for differences.

    Args:
        folder: of the judging.
        before: folder of another judging that holds the baseline, or None. Its models are taken
            where this one lacks them; the tasks must have been asked in the same way.
        unlike: in what the two may differ on purpose; see `togi.evaluate.unlike`.
    """

    def __init__(
        self, folder: Path, before: Path | None = None, unlike: Sequence[str] = ()
    ) -> None:
        check_allowed(unlike)
        self.unlike = tuple(unlike)
        self.apart: dict[str, Differs] = {}
        self.stated: dict[str, None] = {}
        scores, lines = read_scores(folder)
        self.tasks: dict[str, dict[str, Any]] = scores["tasks"]
        self.models: list[str] = scores["models"]
        self.seed: int = scores["seed"]
        self.table = columns(lines)
        self.facts: dict[str, dict[str, Any]] = dict(scores.get("judged", {}))
        if before is not None:
            other, older = read_scores(before)
            self.apart = check_cards(self.tasks, other["tasks"], unlike)
            self.facts = {**other.get("judged", {}), **self.facts}
            self.table = {**columns(older), **self.table}
            self.models = [*self.models, *(m for m in other["models"] if m not in self.models)]

    def find(self, name: str) -> tuple[str, Measure]:
        """Return the task and measure that `task` or `task.measure` names.

        Raises:
            UsageError: there is no such task or measure.
        """
        task, dot, wanted = (name, "", "") if name in self.tasks else name.partition(".")
        if task not in self.tasks:
            raise UsageError(
                f"no task is called '{task}'", where="verdict", expected=nearest(task, self.tasks)
            )
        measures = {measure.name: measure for measure in measures_of(self.tasks[task])}
        if dot and wanted not in measures:
            raise UsageError(
                f"task '{task}' has no measure '{wanted}'",
                where="verdict",
                expected=nearest(wanted, measures),
            )
        return task, measures[wanted] if dot else next(iter(measures.values()))

    def column(self, model: str, task: str) -> Column:
        """Return one model's column of a task."""
        if model not in self.models:
            raise UsageError(
                f"no model is called '{model}'",
                where="verdict",
                expected=nearest(model, self.models),
            )
        if (model, task) not in self.table:
            raise UsageError(f"model '{model}' was not judged on task '{task}'", where="verdict")
        return self.table[model, task]

    def gate(self, name: str, pair: tuple[str, str], margin: float | None, bar: float) -> Gate:
        """Return the gate of a task: a guard where a margin is given, else the primary."""
        task, measure = self.find(name)
        one, two = self.column(pair[0], task), self.column(pair[1], task)
        self._check_alike(task, pair)
        check_pair(task, one, two, pair, alike=task not in self.apart)
        found = paired(measure, one, two, seed=self.seed)
        if margin is not None:
            return guard(name, found, margin=margin, higher_is_better=measure.higher_is_better)
        return Gate(
            name=name, paired=found, higher_is_better=measure.higher_is_better, at_least=bar
        )

    def _check_alike(self, task: str, pair: tuple[str, str]) -> None:
        """Refuse models whose engines differ; note what is allowed to differ."""
        differs = engines_differ(*(self.facts.get(name, {}) for name in pair))
        refuse(differs, self.unlike, f"task '{task}', {pair[0]} against {pair[1]}")
        if differs := {**self.apart.get(task, {}), **differs}:
            self.stated[sentence(*pair, differs, task)] = None

    def difference(self, name: str, pair: tuple[str, str]) -> dict[str, Any]:
        """Return the difference "after minus before" of a task, not adjusted."""
        gate = self.gate(name, pair, None, 0.0)
        task, measure = self.find(name)
        return difference((task, *pair), measure, gate.paired)


def verdict(judged: Judged, rule: Rule) -> dict[str, Any]:
    """Apply a rule and return what `verdict.json` holds.

    Raises:
        UsageError: the rule names what was not judged.
        DataError: two models were asked different questions.
    """
    pair = (rule.candidate, rule.baseline)
    primary = judged.gate(rule.primary, pair, None, rule.at_least)
    guards = [judged.gate(name, pair, margin, 0.0) for name, margin in rule.guards.items()]
    found = decide(primary, guards, level=1 - rule.alpha, power=rule.power)
    also = _also(judged, rule)
    return {
        "decision": found.decision,
        "sentence": _sentence(found, rule),
        "candidate": rule.candidate,
        "baseline": rule.baseline,
        "rule": _told_rule(rule, found),
        "reasons": [*found.reasons, *judged.stated],
        "primary": {**_primary(judged, found.primary, pair), "required": rule.at_least},
        "guards": [_guard(judged, finding) for finding in found.guards],
        "collect_more": found.collect_more,
        "also": also,
        "unlike": list(judged.stated),
    }


def write_verdict(path: Path, told: Mapping[str, Any]) -> None:
    """Write `verdict.json` in one move."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    write_text(path, orjson.dumps(told, option=options).decode())


def _sentence(found: Decision, rule: Rule) -> str:
    heads = {
        "accept": f"Accept {rule.candidate} over {rule.baseline}:",
        "reject": f"Reject {rule.candidate}, keep {rule.baseline}:",
        "cannot tell": f"Cannot tell whether {rule.candidate} is better than {rule.baseline}:",
    }
    return f"{heads[found.decision]} {found.sentence.partition(': ')[2]}"


def _told_rule(rule: Rule, found: Decision) -> dict[str, Any]:
    told = {
        "primary": rule.primary,
        "required": rule.at_least,
        "guards": dict(rule.guards),
        "alpha": rule.alpha,
        "power": rule.power,
    }
    gates = 1 + len(rule.guards)
    told["multiplicity"] = f"{found.correction} over {gates} gate{'s' if gates > 1 else ''}"
    return told


def _plain(judged: Judged, finding: Finding) -> dict[str, Any]:
    task, measure = judged.find(finding.gate.name)
    return {
        **finding.as_dict(),
        "task": task,
        "measure": measure.name,
        "unit": measure.unit,
        "higher_is_better": measure.higher_is_better,
    }


def _primary(judged: Judged, finding: Finding, pair: tuple[str, str]) -> dict[str, Any]:
    told = {**_plain(judged, finding), "after": pair[0], "before": pair[1]}
    del told["margin"]
    ends = sorted(finding.gate.gain(end) for end in (finding.estimate.low, finding.estimate.high))
    known = finding.estimate.known
    told["better"] = None
    if known and (ends[0] > 0 or ends[1] < 0):
        told["better"] = ends[0] > 0
    return told


def _guard(judged: Judged, finding: Finding) -> dict[str, Any]:
    told = _plain(judged, finding)
    del told["required"]
    return told


def _also(judged: Judged, rule: Rule) -> list[dict[str, Any]]:
    """Return the other comparisons on the primary measure, adjusted among themselves."""
    family = [judged.difference(rule.primary, (after, before)) for after, before in rule.also]
    adjust(family, rule.alpha)
    return [{**entry, "sentence": in_words(entry)} for entry in family]


def in_words(entry: Mapping[str, Any]) -> str:
    """Say one difference in a plain sentence; gains are positive, whatever the direction.

    >>> in_words({"task": "docs", "unit": "bits per byte", "higher_is_better": False,
    ...           "after": "picked", "before": "random", "better": True,
    ...           "estimate": {"mean": -0.12, "low": -0.2, "high": -0.04, "n": 90}})
    'picked beat random on docs by 0.12 bits per byte [0.04, 0.2].'
    """
    after, before, task = entry["after"], entry["before"], entry["task"]
    ends = [entry["estimate"][key] for key in ("mean", "low", "high")]
    if None in ends:
        return f"{after} and {before} could not be told apart on {task}: n too small."
    mean, *bounds = ends if entry["higher_is_better"] else [-end for end in ends]
    if entry["better"] is False:
        mean, bounds = -mean, [-bound for bound in bounds]
    low, high = sorted(bounds)
    shown = f"{mean + 0.0:.3g} {entry['unit']} [{low + 0.0:.3g}, {high + 0.0:.3g}]"
    if entry["better"] is None:
        return f"{after} and {before} could not be told apart on {task}: a gain of {shown}."
    verb = "beat" if entry["better"] else "was worse than"
    return f"{after} {verb} {before} on {task} by {shown}."
