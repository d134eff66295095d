"""The one place where an error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from togi.errors import Stopped, TogiError


def guarded(work: Callable[[], object], *, debug: bool) -> None:
    """Do the work; leave with the exit code that its end deserves.

    0 done, 2 usage or recipe, 3 gate not passed, 4 data, 5 surroundings, 130 stopped but
    resumable; 1 is a mistake of ours. A message goes to standard error; a traceback only with
    `debug`.
    """
    try:
        work()
    except TogiError as error:
        if debug:
            traceback.print_exc()
        print(f"togi: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print("togi: stopped.", file=sys.stderr)
        sys.exit(Stopped.code)
    except BrokenPipeError:
        # The reader left, as `head` does; what is still buffered must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  # the outermost door: whatever comes is told
        if debug:
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        hint = "" if debug else " Run again with --debug to see where."
        print(
            f"togi: a mistake of togi's own: {type(error).__name__}: {first}.{hint}",
            file=sys.stderr,
        )
        sys.exit(1)
