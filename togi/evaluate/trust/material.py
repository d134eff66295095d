"""The study's published files: from a folder in the repository's own layout, or from the hub.

Nothing of them comes with togi: they are under CC BY-SA 4.0, and many hold offensive text.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from togi.errors import DataError, SurroundingsError, UsageError

HUB = "AI-Secure/DecodingTrust"
"The data set's name on the hub."
REPOSITORY = "AI-secure/DecodingTrust"
"The repository whose folder `data` holds the same files."
GET = (
    f"clone the repository {REPOSITORY} where there is a network and give its folder `data`, "
    f"or fetch the hub's data set {HUB} into a folder"
)


@dataclass(frozen=True, slots=True)
class Material:
    """A folder with the published files, by their paths below the repository's `data`.

    Attributes:
        folder: where they lie.
        named: how the user named it.
    """

    folder: Path
    named: str

    def find(self, *names: str) -> Path | None:
        """Return the first of these files that is there, plain or gzipped."""
        for name in names:
            for path in (self.folder / name, self.folder / f"{name}.gz"):
                if path.is_file():
                    return path
        return None

    def text(self, *names: str) -> str:
        """Return the text of the first of these files that is there.

        Raises:
            DataError: none of them is there, or it cannot be read.
        """
        path = self.find(*names)
        if path is None:
            there = sorted(p.name for p in self.folder.iterdir())[:8]
            raise DataError(
                f"a file of the published data is missing: {names[0]}",
                where=self.named,
                found=", ".join(there) or "an empty folder",
                expected=" or ".join(names),
                hint=f"{GET}; or leave this side out, or run the mini suite",
            )
        opened = gzip.open if path.suffix == ".gz" else open
        try:
            with opened(path, "rt", encoding="utf-8", newline="") as file:
                return file.read()
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise DataError(
                "a file of the published data cannot be read", where=str(path), found=str(error)
            ) from error

    def rows(self, *names: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of a JSON-lines file; the last line may lack its line break."""
        for number, line in enumerate(self.text(*names).splitlines(), 1):
            if line.strip():
                yield _object(line, f"{names[0]} line {number}")

    def json(self, *names: str) -> Any:
        """Return the value of a JSON file."""
        return _parsed(self.text(*names), names[0])

    def table(self, *names: str) -> list[dict[str, str]]:
        """Return the rows of a csv file by their columns."""
        return list(csv.DictReader(io.StringIO(self.text(*names), newline="")))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        pointer = text.startswith("version https://git-lfs")
        raise DataError(
            "a file of the published data is no JSON",
            where=where,
            found="a pointer to large-file storage" if pointer else str(error),
            hint="run `git lfs pull` in the clone" if pointer else "fetch it again",
        ) from error


def _object(text: str, where: str) -> dict[str, Any]:
    value = _parsed(text, where)
    if not isinstance(value, dict):
        raise DataError("not an object", where=where, found=text[:60], expected='{"…": …}')
    return value


def cell(row: dict[str, Any], *keys: str, where: str) -> Any:
    """Return a value by its path of keys.

    Raises:
        DataError: the row has no such key.

    >>> cell({"prompt": {"text": "a"}}, "prompt", "text", where="toxic.jsonl line 1")
    'a'
    """
    value: Any = row
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            there = ", ".join(map(str, value)) if isinstance(value, dict) else repr(value)[:60]
            raise DataError(f"no '{'.'.join(keys)}'", where=where, found=there, expected=key)
        value = value[key]
    return value


def material_of(data: str, *, offline: bool = False) -> Material | None:
    """Return the published files that a user named; None for the mini suite.

    Args:
        data: "mini", "hub", or a folder: the repository, its `data`, or a copy of the hub's.
        offline: take the hub's files from the local cache only.

    Raises:
        UsageError: the folder is not there.
        SurroundingsError: the hub cannot be reached, or the files were never fetched.
    """
    if data == "mini":
        return None
    if data == "hub":
        return Material(_from_hub(offline), f"hub:{HUB}")
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise UsageError(
            "there is no such folder of published data",
            where=data,
            expected="mini, hub, or the repository's folder `data`",
            hint=GET,
        )
    inner = folder / "data"
    return Material(inner if inner.is_dir() else folder, data)


def _from_hub(offline: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = snapshot_download(HUB, repo_type="dataset", local_files_only=offline)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise SurroundingsError(
            "the published data are not in the local cache"
            if offline
            else "the hub cannot be reached",
            where=f"hub:{HUB}",
            found=why[:200],
            hint=GET,
        ) from error
    return Path(found)


def mini_text(side: str) -> Any:
    """Return the mini suite's own content for a side, from `mini/SIDE.json`."""
    path = files("togi.evaluate.trust") / "mini" / f"{side}.json"
    return json.loads(path.read_text(encoding="utf-8"))
