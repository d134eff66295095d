"""`togi report`: a run's page and summary, made anew from its files."""

from __future__ import annotations

from pathlib import Path


def make_report(folder: Path, *, quiet: bool = False) -> str:
    """Write a run's `report.html`; return its summary, or only the page's path when quiet.

    Raises:
        DataError: when the folder holds no run.
    """
    from togi.report import page
    from togi.report.summary import summary

    below = Path("runs") / folder
    place = below if not folder.exists() and below.is_dir() else folder
    path = page.build(place)
    return str(path) if quiet else summary(place)
