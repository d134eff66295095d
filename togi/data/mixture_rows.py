"""Rows drawn by the weights of their domains, for any step that takes rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from togi.data.mixture import Mixture, Share, normalised, overworked
from togi.rows.types import Row

BATCH = 64  # rows among which the shares are exact to one row


@dataclass(frozen=True, slots=True)
class Drawn:
    """The rows in the order of the stream, and what is told of them."""

    rows: list[Row]
    told: dict[str, Any]


def draw_rows(
    rows: Mapping[str, Sequence[Row]],
    weights: Mapping[str, float],
    n: int,
    text_of: Callable[[Row], str],
    *,
    seed: int,
    by_text: bool = True,
) -> Drawn:
    """Draw `n` rows; a row that comes again has `~2` behind its id, then `~3`.

    The rows of a smaller `n` are the beginning of those of a larger one.

    Args:
        rows: each domain's.
        weights: of the same domains.
        by_text: the weights are shares of the text's bytes: a domain of long rows gives fewer.
    """
    flat = [(number, row) for number, some in enumerate(rows.values()) for row in some]
    sizes = np.array([len(text_of(row).encode("utf-8", errors="replace")) for _, row in flat])
    owner = np.array([number for number, _ in flat])
    shares = normalised([weights[name] for name in rows])
    means = np.array([max(1.0, sizes[owner == k].mean()) for k in range(len(rows))])
    mixture = Mixture(owner, shares / means if by_text else shares, batch=BATCH, seed=seed)
    places = [place for step in range(-(-n // BATCH)) for place in mixture.rows(step)][:n]
    times: dict[int, int] = {}
    found: list[Row] = []
    for place in places:
        times[place] = times.get(place, 0) + 1
        row, name = flat[place][1], list(rows)[flat[place][0]]
        again = f"~{times[place]}" if times[place] > 1 else ""
        found.append(replace(row, id=f"{row.id}{again}", metadata={**row.metadata, "domain": name}))
    return Drawn(found, _told(rows, shares, owner[places], sizes[places]))


def _told(rows: Mapping[str, Sequence[Row]], shares: Any, owner: Any, sizes: Any) -> dict[str, Any]:
    domains, worked = [], []
    for number, (name, some) in enumerate(rows.items()):
        mine = owner == number
        share, epochs = float(shares[number]), float(mine.sum()) / len(some)
        domains.append(
            {
                "domain": name, "weight": share, "rows": int(mine.sum()), "epochs": epochs,
                "share_of_text": float(sizes[mine].sum() / max(1, sizes.sum())),
            }
        )  # fmt: skip
        worked.append(Share(name, share, float(sizes[mine].sum()), epochs))
    return {"domains": domains, "warnings": overworked(worked)}
