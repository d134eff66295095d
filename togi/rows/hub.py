"""A data set of the Hugging Face hub, streamed row by row: `hub:owner/name[:config][@split]`."""

from __future__ import annotations

import importlib.util
import re
import sys
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


def _load(source: str) -> Iterable[Any]:
    """Find the data set on the hub; its rows come when they are asked for."""
    name, config, split = parse(source)
    import datasets
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        return datasets.load_dataset(name, config, split=split, streaming=True)
    except (DatasetNotFoundError, FileNotFoundError) as error:
        raise DataError(
            "the hub has no such data set", where=source, found=_first_line(error)
        ) from error
    except _network_faults() as error:
        raise _unreachable(source, error) from error
    except (ValueError, DatasetsError) as error:
        raise _unfit(source, error) from error


def _load_cached(source: str) -> Iterable[Any]:
    """Open the data set where an earlier fetch put it; the network is never asked."""
    name, config, split = parse(source)
    from datasets.packaged_modules.cache.cache import Cache

    try:
        cache = Cache(
            dataset_name=name.split("/")[-1],
            repo_id=name,
            config_name=config,
            version="auto",
            hash="auto",
        )
    except (ValueError, OSError) as error:
        raise SurroundingsError(
            "the data set is not in the local cache",
            where=source,
            found=_first_line(error),
            hint="run `togi fetch` on the recipe once with a network, or give a file",
        ) from error
    try:
        return cache.as_dataset(split=split)  # pyright: ignore[reportReturnType]
    except (ValueError, OSError) as error:
        raise _unfit(source, error) from error


def _network_faults() -> tuple[type[Exception], ...]:
    """Return what a lost connection raises: the hub's client has used two libraries for it."""
    clients = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return (OSError, *(client.HTTPError for client in clients))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _unfit(source: str, error: Exception) -> DataError:
    return DataError("the data set cannot be loaded", where=source, found=_first_line(error))


def _unreachable(source: str, error: Exception) -> SurroundingsError:
    return SurroundingsError(
        "the hub cannot be reached",
        where=source,
        found=_first_line(error),
        hint="try again, or run `togi fetch` where there is a network and then with --offline",
    )


def open_hub(source: str, *, offline: bool = False) -> Opened:
    """Open a hub data set; nothing is downloaded but the rows that are read.

    Raises:
        DataError: the hub has no such data set, config or split.
        SurroundingsError: the package `datasets` is missing, the hub cannot be reached, or
            (offline) the data set was never fetched.
    """
    if importlib.util.find_spec("datasets") is None:
        raise SurroundingsError(
            "hub data sets need the package `datasets`",
            where=source,
            hint="pip install 'togi[hub]'",
        )
    data = _load_cached(source) if offline else _load(source)
    name = source.removeprefix("hub:")

    def read() -> Records:
        try:
            for number, value in enumerate(data, 1):
                yield Record(f"{name} row {number}", f"{name}:{number}", dict(value))
        except _network_faults() as error:
            raise _unreachable(source, error) from error

    return Opened(name, "hub data set", read)
