"""`togi gallery`: the papers' claims in miniature, listed, or run one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.errors import UsageError, nearest
from togi.gallery import ENTRIES
from togi.run_folder import read_json

ALL = "all"
FOLDER = Path("runs") / "gallery"


def list_entries() -> str:
    """Return two lines for each entry: its name, title and minutes, and the claim."""
    width = max(map(len, ENTRIES), default=0)
    lines = []
    for name, entry in ENTRIES.items():
        lines.append(f"{name:{width}}  {entry.title} ({entry.source}; about {entry.minutes:g} min)")
        lines.append(f"{'':{width}}  {entry.claim}")
    return "\n".join(lines)


def run_entries(
    names: Sequence[str], settings: Sequence[str], model: str, seed: int, flags: RunFlags
) -> int:
    """Run entries, each in a folder of its own, and say what each found; return the exit code.

    Raises:
        UsageError: no entry of that name, or settings for several entries.
    """
    wanted = list(ENTRIES) if names == [ALL] else list(names)
    for name in wanted:
        if name not in ENTRIES:
            raise UsageError("no such entry", where=name, hint=nearest(name, ENTRIES))
    if settings and len(wanted) > 1:
        raise UsageError("settings are for one entry at a time", where=settings[0])
    for name in wanted:
        step = {"name": name, "use": f"gallery.{name}"}
        whole = OneOff(name=name, sources={}, steps=[step], model=model, seed=seed)
        place = (flags.out or FOLDER) / name
        run_in_folder(whole.recipe(settings), dataclasses.replace(flags, out=place))
        if not flags.json_lines and not flags.dry_run:
            print("\n".join(lines_of(place)))
    return 0


def lines_of(folder: Path) -> Iterator[str]:
    """Yield what a finished entry says."""
    for path in sorted(folder.glob("steps/*/finding.json")):
        told = read_json(path) or {}
        yield f"{told.get('title')} ({told.get('source')})"
        yield f"  claims:    {told.get('claim')}"
        yield f"  measured:  {told.get('measured')}"
        yield f"  so it:     {told.get('holds')}"
        yield f"  picture:   {folder / 'report.html'}"
