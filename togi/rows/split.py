"""Hold whole groups of rows out, so that no module or document is on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import TypeVar

from togi.errors import DataError, nearest
from togi.rows.types import Row
from togi.stats.rng import stream

R = TypeVar("R", bound=Row)


def _group_of(row: Row, by: str | Callable[[Row], Hashable]) -> Hashable:
    if callable(by):
        return by(row)
    if by not in row.metadata:
        raise DataError(
            f"the row has no metadata '{by}' to group by",
            where=row.id,
            found=", ".join(row.metadata) or "no metadata",
            hint=nearest(by, row.metadata) if row.metadata else "",
        )
    return str(row.metadata[by])


def split_by_group(
    rows: Sequence[R],
    by: str | Callable[[Row], Hashable],
    *,
    fraction: float = 0.1,
    seed: int = 0,
    names: Collection[Hashable] = (),
) -> tuple[list[R], list[R]]:
    """Hold whole groups out, so that no module or document is on both sides.

    Args:
        rows: the rows to split.
        by: a metadata key, or a function from a row to its group.
        fraction: share of the rows to hold out, in (0, 1). Groups are drawn in random order and
            taken while they fit; the first is taken even if it alone is more than the share.
        seed: of the draw; the same rows and seed give the same split.
        names: hold out just these groups, instead of a fraction.

    Returns:
        The rows that are kept and those held out, both in the order given.

    Raises:
        DataError: a row lacks the key, a name is no group, or one side would be empty.
    """
    groups = [_group_of(row, by) for row in rows]
    sizes = Counter(groups)
    if names:
        for name in names:
            if name not in sizes:
                raise DataError(
                    f"no group is named '{name}'", hint=nearest(str(name), map(str, sizes))
                )
        chosen = set(names)
    else:
        chosen = _drawn(sizes, fraction, seed)
    kept = [row for row, group in zip(rows, groups, strict=True) if group not in chosen]
    held = [row for row, group in zip(rows, groups, strict=True) if group in chosen]
    if not kept or not held:
        raise DataError(
            "the split leaves one side empty",
            found=f"{len(rows)} rows in {len(sizes)} groups",
            expected="at least two groups",
            hint="split by a finer key",
        )
    return kept, held


def _drawn(sizes: Counter[Hashable], fraction: float, seed: int) -> set[Hashable]:
    """Draw groups until their rows come to the fraction."""
    if not 0 < fraction < 1:
        raise DataError(f"fraction must lie in (0, 1), got {fraction}")
    target = fraction * sizes.total()
    order = sorted(sizes, key=repr)
    stream(seed, "split").shuffle(order)
    chosen: set[Hashable] = set()
    held = 0
    for group in order:
        if not chosen or held + sizes[group] <= target:
            chosen.add(group)
            held += sizes[group]
    return chosen
