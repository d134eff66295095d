"""What an endpoint was paid in one run, over all starts of that run: a line for each reply.

The totals of a run that was stopped, killed and begun again are those of all its starts, and so
is the sum that a cost cap is held against. A line is written as the reply arrives; whatever ends
the process afterwards, the line is there.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from togi.errors import SurroundingsError
from togi.lm.limits import Usage


class Paid:
    """The lines of one endpoint's replies in a run's `paid.jsonl`.

    Args:
        path: the file; made with the first reply.
        endpoint: the endpoint's name without credentials; lines of others are left alone.
    """

    def __init__(self, path: Path, endpoint: str) -> None:
        self.path, self.endpoint = path, endpoint
        self.before = read_paid(path).get(endpoint, Usage())

    def add(self, tokens_in: int | None, tokens_out: int | None) -> None:
        """Write down one reply; None where the endpoint told no count.

        Raises:
            SurroundingsError: the file cannot be written.
        """
        line = {"endpoint": self.endpoint, "in": tokens_in, "out": tokens_out}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                # A kill may have left half a line: this one shall not be spoilt by it.
                head = b"" if file.tell() == 0 or _ends_whole(self.path) else b"\n"
                file.write(head + orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise SurroundingsError(
                "what was paid cannot be written down",
                where=str(self.path),
                found=error.strerror or str(error),
                hint="free some disk space; replies so far are kept in the reply cache",
            ) from error


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def read_paid(path: Path) -> dict[str, Usage]:
    """Return what each endpoint was paid in a run; a line that is not whole counts as unknown.

    A missing file is nothing paid.

    >>> read_paid(Path("nowhere.jsonl"))
    {}
    """
    found: dict[str, Usage] = {}
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue  # half a line: its reply had not been handed over either
        if isinstance(line, dict) and isinstance(line.get("endpoint"), str):
            usage = found.setdefault(line["endpoint"], Usage())
            usage.add(line.get("in"), line.get("out"))
    return found
