"""A data set of the Hugging Face hub, streamed row by row: `hub:owner/name[:config][@split]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from togi.errors import DataError, SurroundingsError
from togi.rows.raw import Opened, Record, Records

PATTERN = re.compile(
    r"hub:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^@]+))?(?:@(?P<split>.+))?"
)


def parse(source: str) -> tuple[str, str | None, str]:
    """Return the name, the config and the split.

    >>> parse("hub:owner/name:main@test")
    ('owner/name', 'main', 'test')
    >>> parse("hub:owner/name")
    ('owner/name', None, 'train')
    """
    match = PATTERN.fullmatch(source)
    if match is None:
        raise DataError(
            "not a hub data set's name", where=source, expected="hub:owner/name[:config][@split]"
        )
    return match["name"], match["config"], match["split"] or "train"


def _load(source: str, offline: bool) -> Iterable[Any]:
    """Load the data set: streamed, or offline from the local cache."""
    name, config, split = parse(source)
    try:
        import datasets
        from datasets.exceptions import DatasetNotFoundError, DatasetsError
    except ImportError as error:
        raise SurroundingsError(
            "hub data sets need the package `datasets`",
            where=source,
            hint="pip install 'togi[hub]'",
        ) from error
    missing = (DatasetNotFoundError, FileNotFoundError)
    try:
        if offline:
            local = datasets.DownloadConfig(local_files_only=True)
            return datasets.load_dataset(name, config, split=split, download_config=local)
        return datasets.load_dataset(name, config, split=split, streaming=True)
    except (ConnectionError, OSError, TimeoutError) as error:
        if offline or not isinstance(error, missing):
            raise _unreachable(source, offline, error) from error
        raise DataError("the hub has no such data set", where=source, found=str(error)) from error
    except (ValueError, DatasetsError) as error:
        raise DataError(
            "the data set cannot be loaded", where=source, found=_first_line(error)
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _unreachable(source: str, offline: bool, error: Exception) -> SurroundingsError:
    if offline:
        return SurroundingsError(
            "the data set is not in the local cache",
            where=source,
            found=_first_line(error),
            hint="read it once without --offline, or give a file",
        )
    return SurroundingsError(
        "the hub cannot be reached",
        where=source,
        found=_first_line(error),
        hint="try again, or read a file; `pip install 'togi[hub]'` updates the client",
    )


def open_hub(source: str, *, offline: bool = False) -> Opened:
    """Open a hub data set; nothing is downloaded but the rows that are read.

    Raises:
        DataError: the hub has no such data set, config or split.
        SurroundingsError: the package `datasets` is missing, or the hub cannot be reached.
    """
    data = _load(source, offline)
    name = source.removeprefix("hub:")

    def read() -> Records:
        try:
            for number, value in enumerate(data, 1):
                yield Record(f"{name} row {number}", f"{name}:{number}", dict(value))
        except (OSError, TimeoutError) as error:
            raise _unreachable(source, offline, error) from error

    return Opened(name, "hub data set", read)
