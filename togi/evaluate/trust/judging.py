"""Ask models the sides of trust, and write the scores that the lines give.

The ledger, the openers and the reply cache are those of every judging: nothing is asked twice,
and all scores are computed from `samples.jsonl`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from togi.evaluate.columns import columns
from togi.evaluate.judge import CHUNK, Model, Opener, answer_all, keys_of, pretty
from togi.evaluate.ledger import Ledger, Line
from togi.evaluate.scores import read_scores, score, task_facts
from togi.evaluate.tasks import Task
from togi.evaluate.trust.groups import by_group
from togi.evaluate.trust.scorer import scorer_of
from togi.evaluate.trust.scores import described, of_side, side_scores, unit_table
from togi.evaluate.trust.sheet import sheet
from togi.evaluate.trust.side import Side
from togi.evaluate.trust.sides import SIDES
from togi.evaluate.trust.suite import Planned
from togi.evaluate.trust.talks import check_turns
from togi.lm.base import LanguageModel
from togi.train.files import write_text

EXAMPLES = 3
"Worst samples of each side, and as many drawn blindly."
LETTERS = 1200
"Letters of a quoted text."


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the scores are put together, and what a quoted text may hold.

    Attributes:
        published: as the published code does it.
        personal: quote personal data as they are, and not as hashes.
        seed: of resamples and swaps.
    """

    published: bool = False
    personal: bool = False
    seed: int = 0


def judge_sides(
    models: Mapping[str, Model],
    planned: Mapping[str, Planned],
    folder: Path,
    *,
    comparisons: Sequence[tuple[str, str]],
    way: Way,
    chunk: int = CHUNK,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Ask models the sides; write `samples.jsonl`, `scores.json` and `trust.csv`.

    Args:
        models: display name -> a model, or an `Opener`.
        planned: side -> what is asked.
        folder: where the files lie; answers found there are used.
        comparisons: (after, before) pairs whose differences are tested.
        way: how the scores are put together.
        chunk: samples asked in one request; it changes no score.
        say: prints one line.

    Returns:
        What `scores.json` holds.

    Raises:
        UsageError: a local model's chat template has no place for the system's text.
        DataError: a damaged line.
        SurroundingsError: the disk is full, or an endpoint or a scorer fails; what was answered
            is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [task for one in planned.values() for task in one.tasks]
    ledger = Ledger(folder / "samples.jsonl", say)
    judged: dict[str, dict[str, str]] = {}
    for name, source in models.items():
        judged[name] = answer_all(name, _checked(source, planned), tasks, ledger, chunk)
    keys = (keys_of(name, judged[name]["fingerprint"], t) for name in models for t in tasks)
    lines = ledger.keep(chain.from_iterable(keys))
    facts = {task.name: task_facts(task, list(judged.values())) for task in tasks}
    for name, one in planned.items():
        for scenario, about in one.about.items():
            if f"{name}/{scenario}" in facts:
                facts[f"{name}/{scenario}"].update(about)
    scenarios = {name: one.scenarios for name, one in planned.items()}
    told = put_together(facts, scenarios, list(models), comparisons, lines, way)
    whole = {**told, "scorers": scorers(tasks), "judged": judged}
    write_text(folder / "scores.json", pretty(whole))
    write_text(folder / "trust.csv", sheet(whole))
    return whole


def scorers(tasks: Sequence[Task]) -> dict[str, Any]:
    """Return who has scored texts, with what is known of how far each can be trusted."""
    named = dict.fromkeys(task.asking.scorer for task in tasks if task.asking.scorer)
    return {name: getattr(scorer_of(name), "about", {}) for name in named}


def _checked(source: Model, planned: Mapping[str, Planned]) -> Model:
    """Return the same model, whose chat template is looked at as soon as it is open."""
    prompts = [task.samples[0].input for one in planned.values() for task in one.tasks]

    def look(model: LanguageModel) -> LanguageModel:
        for prompt in prompts:
            check_turns(model, prompt)
        return model

    if isinstance(source, Opener):
        return Opener(source.identity, lambda: look(source.open()))
    return look(source)


def put_together(
    facts: Mapping[str, Mapping[str, Any]],
    scenarios: Mapping[str, Sequence[str]],
    models: Sequence[str],
    comparisons: Sequence[tuple[str, str]],
    lines: Sequence[Line],
    way: Way,
) -> dict[str, Any]:
    """Compute `scores.json` from the lines: scenarios as any task, sides from the same lines.

    Args:
        facts: task -> `task_facts`.
        scenarios: side -> its scenarios, asked or not.
        models: their order.
        comparisons: (after, before).
        lines: of `samples.jsonl`.
        way: how it is done.
    """
    sides = {name: SIDES[name] for name in scenarios}
    table = columns(lines)
    told = score(facts, models, comparisons, lines, seed=way.seed)
    about = {
        name: described(side, scenarios[name], of_side(table, models[0], name))
        for name, side in sides.items()
    }
    return {
        "kind": "trust",
        **told,
        "sides": about,
        **side_scores(
            sides, scenarios, table, models, comparisons, published=way.published, seed=way.seed
        ),
        "side_groups": {
            model: {
                name: {group: one.as_dict() for group, one in found.items()}
                for name, side in sides.items()
                if (
                    found := by_group(
                        side,
                        unit_table(of_side(table, model, name), scenarios[name]),
                        seed=way.seed,
                    )
                )
            }
            for model in models
        },
        "examples": {
            name: examples(name, side, models, lines, facts, personal=way.personal)
            for name, side in sides.items()
        },
        "way": {"published": way.published, "personal": way.personal},
    }


def rescore(folder: Path) -> dict[str, Any]:
    """Compute the scores of a finished judging of trust again from its lines."""
    old, lines = read_scores(folder)
    scenarios = {name: side["scenarios"] for name, side in old["sides"].items()}
    pairs = [(after, before) for after, before in old["comparisons"]]
    way = Way(**old["way"], seed=old["seed"])
    return put_together(old["tasks"], scenarios, old["models"], pairs, lines, way)


# --- samples to read ------------------------------------------------------------------------------


def examples(
    name: str,
    side: Side,
    models: Sequence[str],
    lines: Sequence[Line],
    facts: Mapping[str, Mapping[str, Any]],
    *,
    personal: bool,
) -> list[dict[str, Any]]:
    """Return a side's worst samples for the last model, and some drawn blindly.

    Texts are shortened, and personal data in them are hashes unless asked for.
    """
    by_sample: dict[tuple[str, str], dict[str, Line]] = {}
    for line in lines:
        if line["task"].startswith(f"{name}/"):
            by_sample.setdefault((line["task"], line["id"]), {})[line["model"]] = line

    def harm(key: tuple[str, str]) -> float:
        about = facts[key[0]]
        over = about["measures"][about["primary_measure"]]["over"]
        value = by_sample[key].get(models[-1], {}).get("measures", {}).get(over)
        if value is None:
            return float("inf")
        return value if about["higher_is_better"] else -value

    blind = sorted(by_sample, key=_blind)
    worst = sorted(blind, key=harm)[:EXAMPLES]
    drawn = [key for key in blind if key not in worst][:EXAMPLES]
    quote = (lambda text: text) if personal else side.redact
    return [
        {"why": why, **_shown(key, by_sample[key], models, facts[key[0]], quote)}
        for why, keys in (("worst", worst), ("drawn blindly", drawn))
        for key in keys
    ]


def _blind(key: tuple[str, str]) -> bytes:
    return hashlib.blake2b("\x1f".join(key).encode("utf-8", "replace"), digest_size=8).digest()


def _shown(
    key: tuple[str, str],
    by_model: Mapping[str, Line],
    models: Sequence[str],
    facts: Mapping[str, Any],
    quote: Callable[[str], str],
) -> dict[str, Any]:
    over = facts["measures"][facts["primary_measure"]]["over"]
    some = next(iter(by_model.values()))
    asked = some["input"]
    text = asked if isinstance(asked, str) else "\n\n".join(
        f"{turn['role']}: {turn['content']}" for turn in asked
    )  # fmt: skip
    return {
        "scenario": key[0].partition("/")[2],
        "id": quote(key[1]),
        "measure": facts["primary_measure"],
        "input": _short(quote(text)),
        "answers": {
            model: {
                "value": by_model[model]["measures"][over],
                "texts": [_short(quote(one)) for one in _texts(by_model[model])],
            }
            for model in models
            if model in by_model
        },
    }


def _texts(line: Line) -> list[str]:
    return line.get("detail", {}).get("answers", [line["answer"]])[:EXAMPLES]


def _short(text: str) -> str:
    """Return a text of at most `LETTERS` letters; the end of a prompt is what was asked last."""
    if len(text) <= LETTERS:
        return text
    return f"{text[: LETTERS // 2]} […] {text[-LETTERS // 2 :]}"
