"""`personas.json` and the tables beside it: everything that is told of the three probes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.evaluate.judge import pretty
from togi.evaluate.personas import bandit_scores, descriptions, exam
from togi.evaluate.personas.bandit import Games
from togi.evaluate.personas.bandit_scores import (
    bandit_csv,
    bandit_effects,
    bandit_results,
    by_game,
    model_effects,
    player_results,
    settled,
)
from togi.evaluate.personas.descriptions_scores import (
    ABOUT,
    described,
    description_effects,
    description_model_effects,
    description_results,
    table_of,
)
from togi.evaluate.personas.effects import Trust
from togi.evaluate.personas.exam_scores import (
    MEASURES,
    PAIRS,
    SHOWN,
    exam_csv,
    exam_effects,
    exam_model_effects,
    exam_results,
)
from togi.evaluate.personas.persona import Persona
from togi.evaluate.personas.probes import Asked, Bandit, Probes
from togi.evaluate.personas.protocol import Turn, turn_prompt
from togi.evaluate.personas.told import PROBES, sentences
from togi.evaluate.verdicts import conversation_text
from togi.train.files import write_text

MULTIPLICITY = (
    "In each probe two families are corrected apart by Holm's method: the differences of its main "
    "measure, and all others. 'Detected' is said where the corrected p-value is at most alpha and "
    "the interval leaves zero out; beside 'not detected' stands the smallest true difference that "
    "would have been detected with the stated power."
)


def scores_of(probes: Probes, asked: Asked, trust: Trust) -> dict[str, Any]:
    """Compute the whole of `personas.json` from what was answered."""
    found: dict[str, Any] = {
        "asked": {
            **probes.manner.facts(), "alpha": trust.alpha, "power": trust.power,
            "draws": trust.draws, "seed": trust.seed, "multiplicity": MULTIPLICITY,
        },
        "models": asked.facts,
    }  # fmt: skip
    if probes.bandit is not None:
        found["bandit"] = _bandit(probes, probes.bandit, asked, trust)
    if probes.exam is not None:
        found["exam"] = _exam(probes, asked, trust)
    if probes.describing is not None:
        found["descriptions"] = _descriptions(probes, asked, trust)
    found["told"] = list(sentences(found, trust.power))
    return found


def _people(people: Sequence[Persona]) -> list[dict[str, Any]]:
    return [
        {"name": who.name, "text": who.text, "kind": who.kind, "age": who.age} for who in people
    ]


def _bandit(probes: Probes, bandit: Bandit, asked: Asked, trust: Trust) -> dict[str, Any]:
    people, games = bandit.people, bandit.games
    main: list[dict[str, Any]] = []
    other: list[dict[str, Any]] = []
    rewards: dict[str, Any] = {}
    results: dict[str, Any] = {}
    for name, played in asked.played.items():
        results[name] = bandit_results(people, games, played, trust, bias=bandit.bias)
        of_reward, of_weights = bandit_effects(name, people, games, played, trust, bias=bandit.bias)
        main += of_reward
        other += of_weights
        rewards[name] = by_game(games, played)
    main += model_effects(rewards, trust)
    players: dict[str, Any] = {}
    if asked.simulated is not None:
        players = player_results(
            bandit.players, bandit.player_games, asked.simulated, bias=bandit.bias
        )
    return {
        "rules": games.rules.facts(),
        "games": len(games),
        "player_games": len(bandit.player_games),
        "reads": bandit.reads,
        "temperature": bandit.temperature,
        "people": _people(people),
        "measures": bandit_scores.MEASURES,
        "weights": bandit_scores.WEIGHTS,
        "example": _example(probes, bandit, games),
        "results": results,
        "players": players,
        "effects": settled((main, other), trust),
    }


def _example(probes: Probes, bandit: Bandit, games: Games) -> str:
    """Return a third choice's text as the last persona reads it."""
    pays = games.pays[0]
    points = ((float(pays[0, 0]),), (float(pays[1, 1]),))
    trial = min(2, games.rules.trials - 1)
    turn = Turn(bandit.people[-1], 0, trial, games.rules.trials, points)
    return conversation_text(turn_prompt(probes.manner, turn, written=bandit.reads == "text"))


def _exam(probes: Probes, asked: Asked, trust: Trust) -> dict[str, Any]:
    sat = probes.exam
    assert sat is not None  # noqa: S101  # asked for only where there is one
    main: list[dict[str, Any]] = []
    other: list[dict[str, Any]] = []
    results: dict[str, Any] = {}
    for name, marks in asked.marks.items():
        results[name] = exam_results(sat, marks, trust)
        of_accuracy, of_nats = exam_effects(name, sat, marks, trust)
        main += of_accuracy
        other += of_nats
    main += exam_model_effects(sat, asked.marks, trust)
    return {
        **exam.facts(sat, probes.manner),
        "measures": MEASURES,
        "relations": SHOWN,
        "pairs": [list(pair) for pair in PAIRS],
        "experts": {task: who.text for task, who in sat.experts.items()},
        "people": _people([*sat.neutral, *sat.more]),
        "results": results,
        "effects": settled((main, other), trust),
    }


def _descriptions(probes: Probes, asked: Asked, trust: Trust) -> dict[str, Any]:
    how = probes.describing
    assert how is not None  # noqa: S101  # asked for only where there is one
    tables = {name: table_of(how, told, asked.readings[name]) for name, told in asked.told.items()}
    results = {
        name: description_results(how, asked.told[name], table, trust)
        for name, table in tables.items()
    }
    main = [one for name, t in tables.items() for one in description_effects(name, how, t, trust)]
    main += description_model_effects(tables, trust)
    return {
        **descriptions.facts(how, probes.manner),
        "definition": ABOUT,
        "reader": "reader" if probes.reader is not None else "each model itself",
        "people": _people(how.people),
        "experts": dict(how.experts),
        "results": results,
        "effects": settled((main,), trust),
    }


EFFECTS = (
    "probe", "model", "measure", "unit", "after", "before", "mean", "low", "high", "n", "size",
    "size_low", "size_high", "p_value", "p_adjusted", "detected", "detectable", "pairs", "test",
)  # fmt: skip


def effects_csv(found: Mapping[str, Any]) -> str:
    """Return every effect of every probe as a table, an effect a row."""
    out = io.StringIO()
    table = csv.DictWriter(out, EFFECTS, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for probe in PROBES:
        for one in found.get(probe, {}).get("effects", ()):
            size = one["size"] or {}
            table.writerow(
                {
                    **one, **one["estimate"], "probe": probe, "size": size.get("mean"),
                    "size_low": size.get("low"), "size_high": size.get("high"),
                }
            )  # fmt: skip
    return out.getvalue()


def write(folder: Path, probes: Probes, asked: Asked, found: Mapping[str, Any]) -> dict[str, str]:
    """Write all files but the ledger, and return the step's outputs."""
    outputs = {"personas": "personas.json", "effects": "effects.csv", "samples": "samples.jsonl"}
    write_text(folder / "effects.csv", effects_csv(found))
    if probes.bandit is not None:
        write_text(
            folder / "bandit.csv",
            bandit_csv(probes.bandit.people, probes.bandit.games, asked.played),
        )
        outputs["choices"] = "bandit.csv"
    if probes.exam is not None:
        write_text(folder / "exam.csv", exam_csv(probes.exam, asked.marks))
        outputs["exam"] = "exam.csv"
    if probes.describing is not None:
        how = probes.describing
        texts = {name: described(how, t, asked.written[name]) for name, t in asked.told.items()}
        write_text(folder / "descriptions.json", pretty(texts))
        outputs["descriptions"] = "descriptions.json"
    write_text(folder / "personas.json", pretty(found))
    return outputs
