"""`togi align lint`: what is wrong with preference pairs, before they are learnt from."""

from __future__ import annotations

import json
from itertools import islice

from togi.errors import DataError


def lint_pairs(source: str, *, limit: int | None, as_json: bool, offline: bool) -> None:
    """Print what was found in the pairs of a source.

    Raises:
        DataError: the source holds no pairs.
    """
    from togi.align.pair_lint import lint
    from togi.rows.read import read_rows
    from togi.rows.types import Preference

    stream = read_rows(source, offline=offline)
    rows = list(islice(stream, limit))
    pairs = [row for row in rows if isinstance(row, Preference)]
    if not pairs:
        raise DataError(
            "there are no preference pairs",
            where=source,
            found=stream.understood,
            expected="prompt, chosen, rejected",
        )
    report = lint(pairs)
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    print(f"{report.n} pairs of {len(rows)} rows")
    for name, ids in report.examples.items():
        print(f"  {report.counts[name]:>6} {name}, such as {', '.join(ids)}")
    share = report.longer
    print(
        f"  the better answer is longer in {share.mean:.1%} ({share.low:.1%} to {share.high:.1%}), "
        f"{report.ratio:.2f} times the worse one's length"
    )
    for sentence in report.sentences():
        print(sentence)
