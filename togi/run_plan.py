"""What a run would do: each step's hash and folder, whether it is done, and why not.

A step's folder is addressed by the hash of everything that its outputs depend on: its kind with
the kind's version, its settings, the seed, the model, togi's version, the content of the files
that its settings name, and the hashes of the steps whose outputs it takes.
"""

from __future__ import annotations

import glob
import hashlib
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from togi import __version__
from togi.errors import DataError, UsageError, nearest
from togi.recipe import Recipe, RecipeStep, StepKind
from togi.recipe_refs import refs
from togi.run_folder import read_json

LARGE = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step with its address; `why` says in words why it is done or would run."""

    step: RecipeStep
    kind: StepKind
    digest: str
    folder: Path
    done: bool
    why: str
    fresh: bool = False
    "Whether what lies in its folder must go first."

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs of a done step: absolute paths and plain values."""
        return absolute(
            self.folder, (read_json(self.folder / "step.json") or {}).get("outputs", {})
        )


def absolute(folder: Path, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs with the paths below the step's folder made absolute."""
    return {
        name: str((folder / value).resolve()) if is_below(folder, value) else value
        for name, value in outputs.items()
    }


def is_below(folder: Path, value: Any) -> bool:
    """Say whether an output is the path of something in the step's folder."""
    if not isinstance(value, str) or not value or len(value) > 200 or "\0" in value:
        return False
    return (folder / value).exists()


def plan(
    recipe: Recipe, folder: Path, kinds: Mapping[str, StepKind], force: Collection[str] = ()
) -> list[PlannedStep]:
    """Address every step of a recipe in a run's folder.

    Args:
        recipe: the recipe.
        folder: the run's folder, which need not exist.
        kinds: what `use:` may name.
        force: names of steps to do again, or "all".

    Raises:
        UsageError: for a forced step that the recipe has not.
    """
    names = [step.name for step in recipe.steps]
    for name in force:
        if name != "all" and name not in names:
            raise UsageError(f"no step '{name}'", where="--force", hint=nearest(name, names))
    digests = Digests()
    planned: dict[str, PlannedStep] = {}
    for step in recipe.steps:
        kind = kinds[step.use]
        digest = _digest(
            step, kind, recipe, {need: planned[need].digest for need in step.needs}, digests
        )
        place = folder / "steps" / f"{step.name}-{digest[:12]}"
        forced = step.name in force or "all" in force
        again = [need for need in step.needs if not planned[need].done and planned[need].fresh]
        done, why = _state(place, step.name)
        fresh = False
        if forced or again:
            why = "forced" if forced else f"'{again[0]}' is done again"
            done, fresh = False, True
        planned[step.name] = PlannedStep(
            step=step, kind=kind, digest=digest, folder=place, done=done, why=why, fresh=fresh
        )
    return list(planned.values())


def _state(place: Path, name: str) -> tuple[bool, str]:
    """Say whether a step's folder is done, and why not."""
    try:
        mark = read_json(place / "step.json")
    except DataError:
        return False, "its step.json is broken"
    if mark is None:
        if place.is_dir() and any(place.iterdir()):
            return False, "was interrupted, continues"
        others = (
            any(place.parent.glob(f"{name}-" + "[0-9a-f]" * 12)) if place.parent.is_dir() else False
        )
        return False, "changed since it was last run" if others else "not run yet"
    missing = [path for path in mark.get("files", []) if not (place / path).exists()]
    return (False, f"{missing[0]} is missing") if missing else (True, "nothing changed")


def _digest(
    step: RecipeStep, kind: StepKind, recipe: Recipe, inputs: dict[str, str], digests: Digests
) -> str:
    settings = step.settings.model_dump(mode="json")
    pointing = {ref for _, ref in refs(step.settings)}
    named = sorted({text for text in _sources(settings) if text not in pointing})
    parts = {
        "togi": __version__,
        "use": [step.use, kind.version, step.name],
        "settings": settings,
        "seed": recipe.seed,
        "model": [recipe.model, digests.of(recipe.model)] if kind.model else None,
        "inputs": inputs,
        "sources": {text: found for text in named if (found := digests.of(text))},
    }
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _sources(value: Any, key: str = "") -> Iterator[str]:
    """Yield the texts that may name a file or folder: by their key, or by a slash or a dot.

    >>> list(_sources({"source": "data", "models": {"tuned": "sft"}, "rows": ["a/b", "c.csv"]}))
    ['data', 'a/b', 'c.csv']
    """
    if isinstance(value, str):
        if key in {"source", "model"} or "/" in value or "." in value:
            yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _sources(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _sources(item, key)


@dataclass(slots=True)
class Digests:
    """Digests of what a text names: a file, a folder, or Python's own sources; each taken once."""

    known: dict[str, str | None] = field(default_factory=dict)

    def of(self, text: str) -> str | None:
        """Return the digest, or None where the text names nothing on this machine."""
        if text not in self.known:
            self.known[text] = self._take(text)
        return self.known[text]

    def _take(self, text: str) -> str | None:
        if len(text) > 1000 or not text.strip() or "\n" in text or "\0" in text:
            return None
        head, _, rest = text.partition(":")
        if head == "python" and rest == "stdlib":
            return sys.version
        if head == "python" and rest == "installed":
            names = {f"{dist.name}=={dist.version}" for dist in distributions()}
            return hashlib.blake2b("\n".join(sorted(names)).encode(), digest_size=20).hexdigest()
        file, _, function = text.rpartition(":")
        if file.endswith(".py") and function.isidentifier():  # a user's function: file.py:name
            text = file
        if glob.has_magic(text) and not Path(text).exists():  # a pattern of files
            found = {one: self._take(one) for one in sorted(glob.glob(text, recursive=True))}
            return repr(found) if found else None
        path = Path(rest if head == "python" else text).expanduser()
        try:
            return path_digest(path) if path.exists() else None
        except OSError as error:
            raise DataError(
                f"cannot be read: {error.strerror}", where=str(error.filename or path)
            ) from None


def path_digest(path: Path) -> str:
    """Digest a file's bytes, or a folder's file names and their bytes.

    Weights (`*.safetensors`) and files of more than a gigabyte count by size and time instead, as
    they are large and never edited; hidden files do not count.
    """
    total = hashlib.blake2b(digest_size=20)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        inside = file.relative_to(path).as_posix()
        if any(part.startswith(".") for part in Path(inside).parts) or "__pycache__" in inside:
            continue
        if file.suffix == ".safetensors" or file.stat().st_size > LARGE:
            mark = f"{file.stat().st_size} {file.stat().st_mtime_ns}"
        else:
            with file.open("rb") as stream:
                mark = hashlib.file_digest(stream, "blake2b").hexdigest()
        total.update(f"{inside}\0{mark}\0".encode(errors="surrogateescape"))
    return total.hexdigest()
