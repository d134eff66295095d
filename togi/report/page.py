"""The report: one HTML file that needs no network, no script and nothing but the run's files."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

from togi.report import (
    beside,
    card,
    compared,
    curation,
    findings,
    hygiene,
    laws,
    leakage,
    measures,
    mixtures,
    pairwise,
    pairwise_samples,
    personas,
    provenance,
    ranking,
    raters,
    samples,
    selection,
    training,
    trust,
    verdict,
)
from togi.report import changes as changed
from togi.report import numbers as show
from togi.report.files import RunFiles, read_run
from togi.report.glossary import Names
from togi.report.judged import judged
from togi.report.judged import verdict as verdict_of
from togi.report.samples import Depth
from togi.report.summary import summary
from togi.report.tables import Ids

__all__ = ["build", "summary"]

TEMPLATES = Path(__file__).parent / "templates"
MOST_BYTES = 1_900_000
DEPTHS = (Depth(3, 1500), Depth(2, 700), Depth(1, 300), Depth(0, 0, 0))
"""How much of the samples is shown; the next one is taken where the page would be too large."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def build(run_folder: Path) -> Path:
    """Write a run's `report.html` from its files and return its path.

    The run may be at any point: what is missing is said to be missing. Each file is replaced in
    one move, so that a reader never sees half of it. Beside the page lie `report.json` and
    `report.csv` with the same numbers, and `model-card.md` where the run tuned a model.

    Raises:
        DataError: the folder holds no run.
    """
    files = read_run(run_folder)
    page = b""
    for depth in DEPTHS:
        page = render(files, depth).encode("utf-8")
        if len(page) <= MOST_BYTES:
            break
    told = beside.whole(files)
    texts = {"report.json": beside.as_json(told), "report.csv": beside.as_csv(told)}
    if text := card.card(told):
        texts["model-card.md"] = text
    for name, content in texts.items():
        _replace(run_folder / name, content.encode("utf-8", "replace"))
    target = run_folder / "report.html"
    _replace(target, page)
    return target


def _replace(target: Path, content: bytes) -> None:
    """Write a file in one move."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(target)


def render(files: RunFiles, depth: Depth = DEPTHS[0]) -> str:
    """Return the page as text."""
    return _template().render(**context(files, depth))


@functools.cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    return environment.get_template("page.html.jinja")


def context(files: RunFiles, depth: Depth) -> dict[str, Any]:
    """Return all that the template shows; the glossary comes last, when all names are known."""
    names, scores, told = Names(Ids()), judged(files), verdict_of(files)
    pairs = pairwise.pairwise(files)
    for place in ("main", *CONTENTS):
        names.ids(place)
    optional = {
        "findings": findings.sections(files, names),
        "changes": changed.sections(files, names),
        "laws": laws.sections(files, names),
        "mixtures": mixtures.sections(files, names),
        "raters": raters.sections(files, names),
        "trust": trust.sections(files, names, depth),
        "ranking": ranking.sections(files, names),
        "personas": personas.sections(files, names),
    }
    shown = [place for place in CONTENTS if _belongs(place, files, optional)]
    page: dict[str, Any] = {
        "name": str(files.run.get("name") or files.folder.name),
        "folder": files.folder.name,
        "model": str(files.run.get("model") or ""),
        "when": show.moment(files.run.get("finished") or files.run.get("started")),
        "contents": [(place, CONTENTS[place]) for place in shown],
        "shown": shown,
        "title": "" if "verdict" in shown else _title(optional),
        **optional,
        "ids": names.ids,
        "verdict": verdict.head(files, scores, names),
        "measures": [
            *measures.sections(scores, told, names),
            *pairwise.sections(pairs, names),
        ],
        "remarks": [*measures.remarks(scores), *pairwise.remarks(pairs)],
        "models": measures.models(scores),
        "guards": verdict.guards(files, scores, names),
        "read": selection.read(files),
        "picked": selection.picked(files, names),
        "compared": compared.sections(files, names),
        "hygiene": hygiene.sections(files),
        "leakage": leakage.sections(files),
        "curated": curation.curated(files),
        "training": training.sections(files, names),
        "samples": [
            *samples.sections(files, scores, told, names, depth),
            *pairwise_samples.sections(files, pairs, names, depth),
        ],
        "dropped": provenance.dropped(files, names),
        "steps": provenance.steps(files),
        "notes": provenance.notes(files),
        "recipe": provenance.recipe(files),
        "surroundings": provenance.surroundings(files),
        "others": provenance.other_steps(files),
        "problems": files.problems,
    }
    return {**page, "glossary": names.entries()}


CONTENTS = {
    "verdict": "Verdict",
    "findings": "Findings",
    "measures": "Before and after",
    "guards": "Guards",
    "changes": "What changed",
    "trust": "Trust",
    "ranking": "Ranking",
    "data": "Data",
    "laws": "Laws of scale",
    "mixtures": "Weights of domains",
    "raters": "Disagreement of raters",
    "personas": "Personas",
    "training": "Training",
    "samples": "Samples",
    "dropped": "Left out",
    "recipe": "Recipe and machine",
    "glossary": "Glossary",
}
"""The page's parts, in order: id and heading. A template of an id's name draws it."""
ALWAYS = ("recipe", "glossary")
OPTIONAL = ("findings", "changes", "trust", "ranking", "laws", "mixtures", "raters", "personas")
"""Parts that stand there only where a step has left something for them."""


def _belongs(place: str, files: RunFiles, optional: dict[str, list[Any]]) -> bool:
    """Whether a part stands on the page.

    A run that tunes and judges nothing (a finding, a comparison of texts, a study of laws) shows
    only what it has.
    """
    if place in optional:
        return bool(optional[place])
    compares = files.of("data.compare")
    tunes = any(step.use != "align.adapter" for step in files.of("align", *JUDGING))
    alone = (compares or any(optional.values())) and not tunes
    if place in ALWAYS or not alone:
        return True
    if place == "training":
        return any((step.folder / "metrics.jsonl").exists() for step in files.steps)
    bare = optional["findings"] or optional["trust"]
    return (place == "data" and bool(compares)) or (place == "dropped" and not bare)


JUDGING = ("evaluate.judge", "evaluate.pairwise", "evaluate.changes", "evaluate.verdict")


def _title(optional: dict[str, list[Any]]) -> str:
    """Return what stands for the verdict in the browser's title of a page without one."""
    if found := optional["findings"]:
        return str(found[0]["holds"])
    return next((CONTENTS[p].lower() for p, part in optional.items() if part), "compared")


def visible(value: Any) -> Any:
    r"""Name the letters that a browser would hide or obey: control letters, turned-round text.

    >>> visible("a\x00b\u202ec"), visible(3)
    ('a⟨U+0000⟩b⟨U+202E⟩c', 3)
    """
    if type(value) is not str:
        return value
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value)
