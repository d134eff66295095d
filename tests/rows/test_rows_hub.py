"""A hub data set is streamed through the same shapes; lacking package or network is told."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from togi.errors import DataError, SurroundingsError
from togi.rows.hub import parse
from togi.rows.read import read_rows
from togi.rows.types import Preference


def stub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    """Put the real package's loader out of the network's reach and note what it is asked."""
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load(name: str, config: str | None, *, split: str, **options: Any) -> Any:
        asked.append((name, config, split, sorted(options)))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def test_rows_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    table = datasets.Dataset.from_list(
        [{"prompt": "a", "chosen": "b", "rejected": "c", "score": i} for i in range(3)]
    )
    asked = stub(monkeypatch, table.to_iterable_dataset())
    stream = read_rows("hub:owner/pairs:main@test", limit=2)
    assert list(stream) == [
        Preference(
            id=f"owner/pairs:main@test:{n}",
            prompt="a",
            chosen="b",
            rejected="c",
            metadata={"score": n - 1},
        )
        for n in (1, 2)
    ]
    assert asked == [("owner/pairs", "main", "test", ["streaming"])]
    assert stream.understood.startswith(
        "owner/pairs:main@test: hub data set, preference pairs (prompt, chosen, rejected), 2 rows"
    )


@pytest.mark.parametrize(
    ("fault", "kind", "problem"),
    [
        (ConnectionError("no route"), SurroundingsError, "the hub cannot be reached"),
        (httpx.ConnectError("no name"), SurroundingsError, "the hub cannot be reached"),
        (TimeoutError("slow"), SurroundingsError, "the hub cannot be reached"),
        (FileNotFoundError("nothing"), DataError, "the hub has no such data set"),
        (ValueError('Unknown split "tset"'), DataError, "the data set cannot be loaded"),
    ],
)
def test_faults_are_told(
    fault: Exception, kind: type[Exception], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, fault)
    with pytest.raises(kind, match=problem) as caught:
        read_rows("hub:owner/name")
    assert str(fault) in str(caught.value)


def test_a_network_that_dies_half_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying:
        def __iter__(self) -> Any:
            for _ in range(30):
                yield {"text": "x"}
            raise ConnectionError("gone")

    stub(monkeypatch, Dying())
    stream = read_rows("hub:owner/name")
    with pytest.raises(SurroundingsError, match="the hub cannot be reached"):
        list(stream)
    assert stream.read == 30


def test_offline_reads_the_cache_and_asks_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def cut(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", cut)
    monkeypatch.setattr(socket.socket, "connect", cut)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    with pytest.raises(SurroundingsError, match="not in the local cache") as caught:
        read_rows("hub:owner/name", offline=True)
    assert "togi fetch" in caught.value.hint

    # What a fetch leaves: the rows as arrow, in the folder of the data set's name.
    builder = datasets.load_dataset_builder(
        "json", data_files=str(write(tmp_path)), cache_dir=str(tmp_path / "made")
    )
    builder.download_and_prepare()
    folder = tmp_path / "cache" / "owner___name" / "default" / "0.0.0" / "abc"
    shutil.copytree(builder.cache_dir, folder)
    (folder / "json-train.arrow").rename(folder / "name-train.arrow")
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace(builder.config.name, "default"))
    assert [row.id for row in read_rows("hub:owner/name", offline=True)] == [
        "owner/name:1",
        "owner/name:2",
    ]
    with pytest.raises(DataError, match="cannot be loaded"):
        read_rows("hub:owner/name@test", offline=True)


def write(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text('{"text": "x"}\n{"text": "y"}\n')
    return path


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SurroundingsError, match=r"pip install 'togi\[hub\]'"):
        read_rows("hub:owner/name")


def test_names_that_are_none() -> None:
    for wrong in ("hub:", "hub:a/b/c", "hub:a b", "hub:a/b@"):
        with pytest.raises(DataError, match="not a hub data set's name"):
            parse(wrong)
