"""From the sources that a user names to documents that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

from togi.data.shards.cut import Source, source_of, sources_of
from togi.data.shards.reading import Reading
from togi.data.shards.select import Documents, How
from togi.data.shards.spool import Spool
from togi.rows.read import OnBad

Lost: TypeAlias = list[tuple[str, str]]


class Wanted:
    """Finds pool and targets.

    Args:
        how: where sources that are no lines are kept, and what is done about bad ones.
        field: of the pool's text; target_field: of the targets'.
        features: the text of a row that is looked at.
        step: who reads, for errors.
        offline: no network may be used.

    Attributes:
        lost: (file, why) of the pool's files that cannot be read, with on_bad "skip".
    """

    def __init__(
        self,
        how: How,
        *,
        field: str = "text",
        target_field: str = "text",
        features: str | None = None,
        step: str = "dsir",
        offline: bool = False,
    ) -> None:
        self.lost: Lost = []
        self.skips = how.on_bad == "skip"
        self.raw = Reading(field=field, features=features, step=step)
        self.wanted = Reading(field=target_field, features=features, step=step)
        on_bad = cast(OnBad, how.on_bad)
        self.spooled = partial(
            Spool, how.work / "spool", on_bad=on_bad, offline=offline, say=how.say
        )

    def pool(self, names: Sequence[str | Path]) -> Documents:
        """Return the documents to choose from."""
        return self._found(names, self.raw, self.lost if self.skips else None)

    def target(self, names: Sequence[str | Path]) -> Documents:
        """Return documents of the kind that is wanted."""
        return self._found(names, self.wanted)

    def _found(
        self, names: Sequence[str | Path], reading: Reading, lost: Lost | None = None
    ) -> Documents:
        spool = self.spooled()
        found = sources_of(names, spool, lost)
        return Documents(
            sources=found, reading=reading, dropped=spool.dropped, left_out=spool.left_out
        )

    def rows(self, paths: Sequence[str | Path]) -> Documents:
        """Return what earlier steps left: files of togi's rows."""
        return Documents(
            sources=[source_of(Path(path), "rows") for path in paths], reading=self.raw
        )


def unchanged(sources: Sequence[Source]) -> bool:
    """Whether files are as they were when they were looked at."""
    return all(source_of(Path(one.path), one.form) == one for one in sources)
