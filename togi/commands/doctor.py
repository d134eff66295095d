"""`togi doctor`: one line for each thing that was looked at, and what to do about it."""

from __future__ import annotations

SIGNS = {"ok": "ok     ", "warn": "look   ", "missing": "missing"}


def doctor(*, verify: bool) -> int:
    """Print what this machine offers; return 5 where something that togi needs is missing.

    A model that is not fetched yet is no fault: it comes when it is first wanted.
    """
    from togi.lm.doctor import examine

    bad = False
    for finding in examine(verify=verify):
        print(f"{SIGNS[finding.status]} {finding.name}: {finding.detail}")
        if finding.remedy:
            print(f"        -> {finding.remedy}")
        bad |= finding.status == "missing" and not finding.name.startswith("model ")
    return 5 if bad else 0
