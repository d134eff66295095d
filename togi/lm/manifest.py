"""The manifest of a converted model folder: what its files must be."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST"
"Without a suffix: its times are this machine's own and must not enter a digest of the model."


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in a bounded buffer."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path, *, deep: bool = False) -> str | None:
    """Say what is wrong with a converted folder, or None.

    Sizes are compared at every use. A file whose time of change differs from the manifest's, or
    every file when `deep`, is hashed too, so that a changed byte costs one hashing and no more.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    except FileNotFoundError:
        return "no manifest"
    except (ValueError, KeyError, TypeError):
        return "an unreadable manifest"
    for name, known in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        stat = path.stat()
        if stat.st_size != known["bytes"]:
            return f"{name} has {stat.st_size} bytes, not {known['bytes']}"
        touched = stat.st_mtime_ns != known["mtime_ns"]
        if (deep or touched) and sha256_of(path) != known["sha256"]:
            return f"{name} has changed content"
        if touched:
            with suppress(OSError):  # a read-only cache stays as it is and is hashed each time
                os.utime(path, ns=(stat.st_atime_ns, known["mtime_ns"]))
    return None


def write_manifest(folder: Path, **facts: Any) -> None:
    """Write the manifest: size, time and SHA-256 of every file, plus the facts given."""
    files = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())  # the rename must not outlive the data after a power cut
        stat = path.stat()
        files[path.name] = {
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "sha256": sha256_of(path),
        }
    text = json.dumps({"manifest": 1, **facts, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text, "utf-8")
