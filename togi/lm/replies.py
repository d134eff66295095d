"""Replies on disk: each is asked, and paid for, once.

SQLite in write-ahead mode: a process killed at any moment loses at most what it had not committed,
several processes may write at once. Each reply carries a checksum of its own, because SQLite does
not notice a changed byte in a value. Values are JSON and float32 bytes, never pickle.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, TypeVar

import numpy as np

from togi.errors import SurroundingsError
from togi.lm.base import Generated, Scored

VERSION = 1
"Counts up when a stored reply would mean something else."
BUSY_S = 60.0
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies ("
    "key BLOB PRIMARY KEY, value BLOB NOT NULL, arrays BLOB NOT NULL, checksum BLOB NOT NULL"
    ") WITHOUT ROWID"
)
SELECT = "SELECT value, arrays, checksum FROM replies WHERE key = ?"
INSERT = "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?)"
Stored: TypeAlias = list[Scored] | list[Generated]
T = TypeVar("T")


class ReplyCache:
    """Replies by key, in one SQLite file that several threads and processes may share.

    Args:
        path: the database file; made with its folders if absent.
        say: receives a line when a damaged file was moved aside.

    Raises:
        SurroundingsError: the file cannot be opened or written, or the disk is full.
    """

    def __init__(self, path: Path | str, *, say: Callable[[str], None] = print) -> None:
        self.path = Path(path).expanduser()
        self._say = say
        self._guard = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._use(lambda db: None)

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._guard:
            if self._open is not None:
                self._open.close()
                self._open = None

    def __del__(self) -> None:
        if getattr(self, "_open", None) is not None:
            self.close()

    def __len__(self) -> int:
        """Count the replies."""
        return int(self._use(lambda db: db.execute("SELECT count(*) FROM replies").fetchone()[0]))

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Stored]:
        """Return the replies that are there and whole; a damaged one is forgotten."""
        wanted = list(keys)

        def read(db: sqlite3.Connection) -> dict[bytes, Stored]:
            found: dict[bytes, Stored] = {}
            spoilt: list[tuple[bytes]] = []
            for key in wanted:
                row = db.execute(SELECT, (key,)).fetchone()
                if row is None:
                    continue
                value, arrays, checksum = row
                if _checksum(key, value, arrays) == checksum:
                    found[key] = _unpack(value, arrays)
                else:
                    spoilt.append((key,))
            if spoilt:
                with db:
                    db.executemany("DELETE FROM replies WHERE key = ?", spoilt)
                self._say(
                    f"{self.path}: {len(spoilt)} damaged replies forgotten, to be asked again"
                )
            return found

        return self._use(read)

    def put(self, replies: Iterable[tuple[bytes, Stored]]) -> None:
        """Store replies in one transaction; the first reply under a key stays."""
        packed = [(key, *_pack(reply)) for key, reply in replies]
        rows = [(*one, _checksum(*one)) for one in packed]

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany(INSERT, rows)

        self._use(write)

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work with the database; a damaged file is moved aside, begun anew, and used again."""
        with self._guard:
            try:
                try:
                    return work(self._connection())
                except sqlite3.DatabaseError as error:
                    if isinstance(error, sqlite3.OperationalError):  # full, locked, read-only
                        raise
                    self.close()
                    self._move_aside(error)
                    return work(self._connection())
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def _connection(self) -> sqlite3.Connection:
        """Return the open database, opening it on the first call."""
        if self._open is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open = _open(self.path)
        return self._open

    def _unusable(self, error: Exception) -> SurroundingsError:
        return SurroundingsError(
            "the reply cache cannot be used",
            where=str(self.path),
            found=str(error),
            hint="free some disk space, give write permission, or choose another place; "
            "replies stored so far are kept",
        )

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Move a damaged file and its companions aside, unless another process did it already."""
        from filelock import FileLock

        with FileLock(self.path.with_name(self.path.name + ".lock")):
            if _is_sound(self.path):
                return
            mark = f".damaged-{time.time_ns()}"
            for suffix in ("-wal", "-shm", ""):
                part = self.path.with_name(self.path.name + suffix)
                with suppress(FileNotFoundError):
                    part.replace(part.with_name(part.name + mark))
        self._say(
            f"{self.path} is damaged ({error}): moved aside as {self.path.name}{mark}, begun anew"
        )


def _open(path: Path) -> sqlite3.Connection:
    """Open in write-ahead mode; changing the mode may meet another opener: tried again."""
    connection = sqlite3.connect(
        path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
    )
    until = time.monotonic() + BUSY_S
    try:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(SCHEMA)
                return connection
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)
    except sqlite3.Error:
        connection.close()
        raise


def _is_sound(path: Path) -> bool:
    try:
        connection = _open(path)
    except sqlite3.DatabaseError:
        return False
    try:
        return connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _checksum(key: bytes, value: bytes, arrays: bytes) -> bytes:
    digest = hashlib.blake2b(key, digest_size=8)
    digest.update(len(arrays).to_bytes(8, "little"))
    digest.update(arrays)
    digest.update(value)
    return digest.digest()


def _pack(reply: Stored) -> tuple[bytes, bytes]:
    """Turn the replies under one key into JSON and the float32 bytes of their log-probabilities."""
    items = []
    for one in reply:
        common = {"ids": [int(i) for i in one.token_ids], "n": len(one.logprobs)}
        if isinstance(one, Scored):
            items.append({**common, "greedy": bool(one.greedy)})
        else:
            items.append({**common, "text": one.text, "finish": one.finish})
    arrays = b"".join(np.asarray(one.logprobs, dtype="<f4").tobytes() for one in reply)
    return json.dumps(items, separators=(",", ":")).encode(), arrays


def _unpack(value: bytes, arrays: bytes) -> Stored:
    """Undo `_pack`."""
    numbers = np.frombuffer(arrays, dtype="<f4").astype(np.float32)
    scored: list[Scored] = []
    generated: list[Generated] = []
    at = 0
    for item in json.loads(value):
        ids, logprobs = tuple(item["ids"]), numbers[at : at + item["n"]]
        at += item["n"]
        if "greedy" in item:
            scored.append(Scored(ids, logprobs, item["greedy"]))
        else:
            generated.append(Generated(item["text"], ids, logprobs, item["finish"]))
    return scored or generated
