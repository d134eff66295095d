"""Published files that are downloaded once, checked by their SHA-256, and kept in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.errors import SurroundingsError

ADDRESS = "https://raw.githubusercontent.com/google-research-datasets/dices-dataset/main/"
PATIENCE_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Published:
    """A file that is fetched: where it lies, its size, its SHA-256 and licence."""

    path: str
    size: int
    sha256: str
    address: str = ADDRESS
    folder: str = "dices"
    licence: str = "CC BY 4.0"

    @property
    def name(self) -> str:
        """The file's name in the cache."""
        return self.path.rpartition("/")[2]


DICES: dict[str, Published] = {
    "dices:350": Published(
        "350/diverse_safety_adversarial_dialog_350.csv",
        31_143_485,
        "63cb8620eb04e64957f9e45b1f7cb3d079c4eed8e8b28909f46e0b7038ce4301",
    ),
    "dices:990": Published(
        "990/diverse_safety_adversarial_dialog_990.csv",
        50_399_432,
        "14332b6391cdee80383b765c734de3bebf6d8553141ee7d2f47ef0910a12fcf7",
    ),
}
"Source -> file; the sizes and digests are those that TensorFlow Datasets pins too."

PUBLISHED: dict[str, Published] = {
    **DICES,
    "davidson:2017": Published(
        "data/labeled_data.csv",
        2_546_446,
        "fcb8bc7c68120ae4af04a5b9acd58585513ede11e1548ebf36a5c2040b6f6281",
        "https://raw.githubusercontent.com/t-davidson/hate-speech-and-offensive-language/"
        "cb50f7e9eb855a99abc51423bf40df0e26d6fe30/",
        "davidson",
        "MIT",
    ),
}
"All sources that are fetched by name."


def is_published(source: str) -> bool:
    """Say whether a source is written as one that is fetched by name, rightly or not.

    >>> is_published("dices:351"), is_published("ratings.csv")
    (True, False)
    """
    return source.partition(":")[0] in {name.partition(":")[0] for name in PUBLISHED}


def fetch(
    wanted: Published,
    cache: Path | None = None,
    *,
    offline: bool = False,
    say: Say = print,
    client: Any = None,
) -> Path:
    """Return a published file from the cache, downloading it the first time.

    Args:
        wanted: the file.
        cache: the cache's folder; togi's own by default.
        offline: no network may be used.
        say: told of the download.
        client: an `httpx.Client`, for tests.

    Raises:
        SurroundingsError: offline and not there, no network, a full disk, or a file that is not
            the pinned one.
    """
    from togi.lm.catalogue import cache_folder
    from togi.lm.manifest import sha256_of

    folder = (cache or cache_folder()) / "data" / wanted.folder
    path = folder / wanted.name
    if path.is_file() and path.stat().st_size == wanted.size:
        if sha256_of(path) == wanted.sha256:
            return path
        say(f"{path.name} in the cache is damaged: fetching it again")
    hint = f"put the file {wanted.path} of {wanted.address} into {folder}"
    if offline:
        raise SurroundingsError(
            f"{wanted.name} is not in the cache and the network may not be used",
            where=str(folder),
            hint=f"run once with a network, or {hint}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching {wanted.name} ({wanted.size / 1e6:.0f} MB, {wanted.licence}), once")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        found = _download(wanted.address + wanted.path, part, hint, client)
        if found != wanted.sha256:
            raise SurroundingsError(
                "the downloaded file is not the pinned one",
                where=wanted.address + wanted.path,
                found=f"SHA-256 {found}",
                expected=wanted.sha256,
                hint="the connection cuts it, or the data set was changed; try again later",
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _download(address: str, part: Path, hint: str, client: Any) -> str:
    """Stream a file to disk; return its SHA-256."""
    import httpx

    digest = hashlib.sha256()
    own = client or httpx.Client(follow_redirects=True, timeout=PATIENCE_S)
    try:
        with own.stream("GET", address) as reply, part.open("wb") as file:
            reply.raise_for_status()
            for block in reply.iter_bytes():
                digest.update(block)
                file.write(block)
    except httpx.HTTPError as error:
        raise SurroundingsError(
            "the file could not be downloaded",
            where=address,
            found=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
            hint=hint,
        ) from error
    finally:
        if client is None:
            own.close()
    return digest.hexdigest()
