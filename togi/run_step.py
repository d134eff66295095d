"""One step of a run: its work, its done mark, and its faults told as a user's."""

from __future__ import annotations

import errno
import gc
import importlib
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from togi.errors import Stopped, SurroundingsError, TogiError
from togi.recipe import Recipe, StepKind
from togi.run_folder import plain, write_json
from togi.run_plan import PlannedStep, is_below
from togi.step import Work
from togi.voice import Voice

AGAIN = "run the same command again to continue"
_FULL = {errno.ENOSPC, errno.EDQUOT}


def run_step(
    recipe: Recipe,
    item: PlannedStep,
    outputs: Mapping[str, dict[str, Any]],
    *,
    voice: Voice,
    offline: bool,
) -> dict[str, Any]:
    """Run one step and leave its done mark, `step.json`, last and whole.

    Returns:
        What the mark says.

    Raises:
        Stopped: on a signal; what lies in the step's folder stays, so that it can go on.
        TogiError: what the step raised, with its name in front.
    """
    step = item.step
    inputs = {need: outputs[need] for need in step.needs}
    quieter = Voice(voice.manner, voice.out, "   ")
    began = time.monotonic()
    with faults_told(f"step '{step.name}'"):
        if item.fresh and item.folder.exists():
            shutil.rmtree(item.folder)
        item.folder.mkdir(parents=True, exist_ok=True)
        (item.folder / "step.json").unlink(missing_ok=True)
        work = Work(
            folder=item.folder,
            seed=recipe.seed,
            name=step.name,
            model=recipe.model if item.kind.model else "",
            inputs=inputs,
            say=quieter.line,
            offline=offline,
        )
        found: dict[str, Any] = plain(run_function(item.kind)(step.settings, work))
        gc.collect()  # a model's modules refer to each other: free it before the next one loads
        notes = [str(note) for note in found.pop("notes", [])]
        mark = {
            "name": step.name,
            "use": step.use,
            "hash": item.digest,
            "inputs": inputs,
            "settings": step.settings.model_dump(mode="json"),
            "outputs": found,
            "files": [value for value in found.values() if is_below(item.folder, value)],
            "seconds": round(time.monotonic() - began, 3),
            "notes": notes,
        }
        write_json(item.folder / "step.json", mark)
    return mark


def run_function(kind: StepKind) -> Callable[[Any, Work], dict[str, Any]]:
    """Import the function that runs a step of this kind."""
    module = importlib.import_module(kind.module)
    function: Callable[[Any, Work], dict[str, Any]] = getattr(module, kind.run)
    return function


@contextmanager
def faults_told(where: str) -> Iterator[None]:
    """Tell where a fault arose; signals, a full disk and lack of memory become messages.

    Raises:
        Stopped: instead of KeyboardInterrupt.
        SurroundingsError: instead of OSError and of running out of memory.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("stopped", where=where, hint=AGAIN) from None
    except TogiError as error:
        error.where = placed(where, error.where)
        raise
    except OSError as error:
        what = error.strerror or str(error) or type(error).__name__
        hint = "make room on the disk, then " + AGAIN if error.errno in _FULL else AGAIN
        place = placed(where, str(error.filename or ""))
        raise SurroundingsError(what, where=place, hint=hint) from error
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"):
            raise
        hint = f"lower micro_tokens or the model's size, then {AGAIN}"
        raise SurroundingsError("out of memory", where=where, hint=hint) from error


def placed(outer: str, inner: str) -> str:
    """Put an outer place before an inner one, unless that says it already.

    >>> placed("step 'sft'", "a.jsonl line 3"), placed("step 'sft'", "sft"), placed("", "x")
    ("step 'sft', a.jsonl line 3", "step 'sft'", 'x')
    """
    if not inner or f"'{inner}'" in outer:
        return outer
    return inner if not outer or outer in inner else f"{outer}, {inner}"


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Make SIGTERM end the block as Ctrl-C does; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped("stopped by SIGTERM", hint=AGAIN)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
