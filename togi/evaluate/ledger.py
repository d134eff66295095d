"""`samples.jsonl`: one line for each model, task and sample; appended, synced, repaired."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from togi.errors import DataError
from togi.evaluate.asking import Answer, plain_prompt, target_text
from togi.evaluate.tasks import Task, digest, sample_digest
from togi.rows.types import Sample
from togi.train.files import told, write_text

Line = dict[str, Any]


def answer_key(model: str, fingerprint: str, task: Task, sample: Sample) -> str:
    """Return what a line belongs to: the very model, the way of asking, the very sample.

    The display names are part of it: one model under two names has its own lines for each.
    """
    names = [model, task.name, sample.id]
    return digest([*names, fingerprint, task.template_hash, sample_digest(sample)])


def sample_line(model: str, key: str, task: Task, sample: Sample, answer: Answer) -> Line:
    """Return the line of one answer; numbers that are not finite become null."""
    line = {
        "model": model,
        "task": task.name,
        "id": sample.id,
        "cluster": task.cluster_of(sample),
        "input": plain_prompt(sample.input),
        "target": target_text(sample),
        "answer": answer.text,
        "measures": answer.measures,
        "template": task.template_hash,
        "sample": sample_digest(sample),
        "key": key,
    }
    whole = {**line, "detail": answer.detail} if answer.detail else line
    hide = task.rules.hide
    if hide is None or task.asking.personal:
        return whole
    written = ("input", "target", "answer", "detail")
    hidden = {k: _hidden(v, hide, sample) for k, v in whole.items() if k in written}
    return {**whole, **hidden}


def _hidden(value: Any, hide: Callable[[str, Sample], str], sample: Sample) -> Any:
    """Apply a function to all texts within a value."""
    if isinstance(value, str):
        return hide(value, sample)
    if isinstance(value, list):
        return [_hidden(one, hide, sample) for one in value]
    if isinstance(value, dict):
        return {k: _hidden(v, hide, sample) for k, v in value.items()}
    return value


def read_lines(path: Path) -> tuple[list[Line], int]:
    """Read the whole lines of a file and the number of bytes that they take.

    What follows the last line break is half a line, left by a process that was stopped; it is
    not read. A missing file has no lines.

    Raises:
        DataError: a whole line is no JSON object: the file was damaged by something else.
    """
    if not path.exists():
        return [], 0
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    lines = []
    for number, text in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            line = None
        if not isinstance(line, dict) or not {"key", "model", "task", "id"} <= line.keys():
            raise DataError(
                "this line is damaged",
                where=f"{path.name} line {number}",
                found=text[:60].decode(errors="replace"),
                hint="delete the line; the sample will be asked again",
            )
        lines.append(line)
    return lines, whole


class Ledger:
    """The lines of one judging: what is there is not asked again.

    Args:
        path: the file; it is created with the first line.
        say: told when half a line is removed or old lines are set aside.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        lines, whole = read_lines(path)
        self.lines: dict[str, Line] = {line["key"]: line for line in lines}
        self.written = len(lines)
        if path.exists() and path.stat().st_size > whole:
            with told(path):
                os.truncate(path, whole)
            say(f"{path.name}: removed half a line at its end; that sample will be asked again.")

    def __contains__(self, key: str) -> bool:
        return key in self.lines

    def append(self, lines: Iterable[Line]) -> None:
        """Write lines and have the system put them on the disk before returning.

        Raises:
            SurroundingsError: the disk is full or the file cannot be written; the lines of
                earlier calls are safe.
        """
        fresh = list(lines)
        text = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in fresh)
        with told(self.path), self.path.open("ab") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # Read back as a later process would: not-finite numbers are null in both.
        self.lines.update((line["key"], orjson.loads(orjson.dumps(line))) for line in fresh)
        self.written += len(fresh)

    def keep(self, keys: Iterable[str]) -> list[Line]:
        """Return the lines of those keys, in their order, and set all other lines aside.

        Others are answers of a model, a way of asking or a sample that has changed since; they
        move to `samples.old.jsonl`, so that the file holds one line for each question.
        """
        wanted = [self.lines[key] for key in keys]
        if self.written > len(wanted):
            kept = {line["key"] for line in wanted}
            old = [line for key, line in self.lines.items() if key not in kept]
            if old:
                aside = Ledger(self.path.with_name(f"{self.path.stem}.old.jsonl"), self.say)
                aside.append(line for line in old if line["key"] not in aside)
                self.say(
                    f"{len(old)} answers that no longer belong here moved to {aside.path.name}."
                )
            write_text(self.path, "".join(orjson.dumps(line).decode() + "\n" for line in wanted))
            self.lines, self.written = {line["key"]: line for line in wanted}, len(wanted)
        return wanted
