"""Checkpoints: whole or absent, safetensors and JSON only, newest k and the best one kept.

A checkpoint is a folder ``step-000120`` with one safetensors file per group of tensors and a
``state.json`` that holds the plain state and each file's CRC-32. It is written beside its place
and moved there at once, so a folder of that name is complete unless the disk damaged it; a
damaged one is said aloud and the one before it is used.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from togi.errors import SurroundingsError
from togi.train.files import new_folder, told

Groups = Mapping[str, Mapping[str, torch.Tensor]]
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was read back: tensors by group and name, and the plain state."""

    step: int
    groups: dict[str, dict[str, torch.Tensor]]
    state: dict[str, Any]


def folder_of(root: Path, step: int) -> Path:
    """Return where the checkpoint of that step lies.

    >>> folder_of(Path("run"), 120).as_posix()
    'run/step-000120'
    """
    return root / f"step-{step:06d}"


def saved_steps(root: Path) -> list[int]:
    """Return the steps that have a checkpoint, ascending."""
    if not root.is_dir():
        return []
    names = (_NAME.fullmatch(path.name) for path in root.iterdir())
    return sorted(int(name.group(1)) for name in names if name)


def write_checkpoint(root: Path, step: int, groups: Groups, state: dict[str, Any]) -> Path:
    """Write one checkpoint in one move and return its folder.

    Raises:
        SurroundingsError: when the disk is full or may not be written; what was there stays.
    """
    place = folder_of(root, step)
    with new_folder(place) as folder:
        sums = {}
        for group, tensors in groups.items():
            file = folder / f"{group}.safetensors"
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, file)
            sums[group] = _crc(file)
        plain = {"step": step, "files": sums, "state": state}
        (folder / "state.json").write_text(json.dumps(plain), encoding="utf-8")
    return place


def _crc(file: Path) -> int:
    value = 0
    with file.open("rb") as handle:
        while block := handle.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def read_checkpoint(root: Path, step: int) -> Checkpoint:
    """Read one checkpoint and check it.

    Raises:
        SurroundingsError: when a file is missing or damaged.
    """
    folder = folder_of(root, step)
    try:
        plain = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        groups = {}
        for group, crc in plain["files"].items():
            file = folder / f"{group}.safetensors"
            if _crc(file) != crc:
                raise SurroundingsError("the checkpoint is damaged", where=str(file))
            groups[group] = load_file(file)
        return Checkpoint(step=plain["step"], groups=groups, state=plain["state"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        found = f"{type(error).__name__}: {error}"
        raise SurroundingsError(
            "the checkpoint is damaged", where=str(folder), found=found
        ) from error


def newest(root: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest whole checkpoint, or None where there is none.

    Damaged ones are said aloud and removed, since the run would write their step again.

    Raises:
        SurroundingsError: when there are checkpoints and all of them are damaged.
    """
    steps = saved_steps(root)
    fault = None
    for step in reversed(steps):
        try:
            found = read_checkpoint(root, step)
        except SurroundingsError as error:
            fault = error
            say(f"{error} Using the one before it.")
            continue
        for damaged in steps[steps.index(step) + 1 :]:
            shutil.rmtree(folder_of(root, damaged), ignore_errors=True)
        return found
    if fault is not None:
        hint = f"delete {root} to begin again"
        raise SurroundingsError(
            "no whole checkpoint is left", where=str(root), hint=hint
        ) from fault
    return None


def prune(root: Path, *, keep: int, best: int | None) -> None:
    """Remove all checkpoints but the newest `keep` and the best one, and leftovers of kills."""
    steps = saved_steps(root)
    with told(root):
        for step in steps[:-keep]:
            if step != best:
                shutil.rmtree(folder_of(root, step))
        for leftover in root.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def capture(model: torch.nn.Module, moments: Mapping[str, torch.Tensor]) -> Groups:
    """Collect what training changes: trained weights, the updater's moments, random states.

    The tensors are the live ones, not copies: write them before the next step.
    """
    trained = {name: w for name, w in model.named_parameters() if w.requires_grad}
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        random |= {f"cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return {"weights": trained, "moments": moments, "random": random}


def restore_weights(model: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Copy the checkpoint's trained weights into the model."""
    weights = checkpoint.groups["weights"]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(weights[name])


def restore(model: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Put weights and random states back exactly as they were captured."""
    restore_weights(model, checkpoint)
    random = checkpoint.groups["random"]
    torch.set_rng_state(random["cpu"])
    if torch.cuda.is_available() and "cuda0" in random:
        torch.cuda.set_rng_state_all([random[f"cuda{i}"] for i in range(len(random) - 1)])
