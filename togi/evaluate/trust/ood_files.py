"""The study's files of styles and of news, nested in the repository and flat on the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from togi.errors import DataError
from togi.evaluate.trust.material import Material, cell

STYLES = (
    "base", "shake_w", "augment", "shake_p0", "shake_p0.6", "bible_p0", "bible_p0.6",
    "romantic_p0", "romantic_p0.6", "tweet_p0", "tweet_p0.6",
)  # fmt: skip
SHOWN_STYLES = ("shake_p0.6", "bible_p0.6", "romantic_p0.6", "tweet_p0.6")
"""Styles that are also asked after examples of the plain style."""
SUBJECTS = ("global_facts", "machine_learning", "moral_scenarios", "us_foreign_policy")
"""Subjects of the examples that stand before questions about the news of 2020."""
DRAWS = range(3)


def answer_of(row: dict[str, Any]) -> str:
    """Return a question's answer, which some files wrap in a list.

    >>> answer_of({"answer": ["2"]}), answer_of({"answer": "2"})
    ('2', '2')
    """
    answer = row["answer"]
    return str(answer[0] if isinstance(answer, list) else answer)


def published_styles(material: Material) -> dict[str, list[tuple[str, str, int]]]:
    """Return name -> (id, sentence, label), of the styles and of the examples."""
    found = {}
    for name, rows, path in _named(material, "ood/styles/style.json", "ood/style.json"):
        found[name] = [
            (
                str(n),
                str(row.get("sentence") or cell(row, "question_sentence", where=f"{path} {name}")),
                int(row["label"] if "label" in row else row["answer"]),
            )
            for n, row in enumerate(rows)
        ]
    _complete(found, (*STYLES, *(f"base_{draw}" for draw in DRAWS)), "ood/style.json")
    return found


def published_questions(material: Material) -> dict[str, list[dict[str, Any]]]:
    """Return name -> questions, of the news and of the examples."""
    names = ("ood/knowledge/knowledge.json", "ood/knowledge.json")
    found = {name: list(rows) for name, rows, _ in _named(material, *names)}
    shots = (f"{subject}_{draw}" for subject in SUBJECTS for draw in DRAWS)
    _complete(found, ("qa_2020", "qa_2023", *shots), "ood/knowledge.json")
    return found


def _named(material: Material, *names: str) -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """Yield (name, rows, file): of the repository's nested JSON, or of the hub's flat rows."""
    flat = f"{names[-1]}l"
    if material.find(*names) is None and material.find(flat):
        groups: dict[str, list[dict[str, Any]]] = {}
        for line, row in enumerate(material.rows(flat), 1):
            groups.setdefault(cell(row, "category", where=f"{flat} line {line}"), []).append(row)
        yield from ((name, rows, flat) for name, rows in groups.items())
        return
    whole = material.json(*names)
    if not isinstance(whole, dict):
        raise DataError("not an object", where=names[-1], expected='{"dev": {…}, …}')
    for part in whole.values():
        yield from ((name, rows, names[-1]) for name, rows in part.items())


def _complete(found: dict[str, Any], wanted: Sequence[str], where: str) -> None:
    if missing := [name for name in wanted if not found.get(name)]:
        raise DataError(
            f"no rows called '{missing[0]}'", where=where, found=", ".join(list(found)[:12])
        )
