"""What `curation.json` tells: funnel, balance, doubles, coverage, style, licences."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from togi.data.candidates import Options
from togi.data.curate import Curated
from togi.data.diverse import entropy, quotas
from togi.data.explain import length_summary
from togi.data.forum import Opened
from togi.data.picking import Picked
from togi.data.spool import STYLE, Spool, asked, counted_style
from togi.rows.types import Example, Message

SHOWN = 20  # clusters of near-duplicates
EXCERPT = 160  # characters of a text


def report(
    found: Curated, rows: Sequence[Example], spool: Spool, opened: Opened, options: Options
) -> dict[str, Any]:
    """Return everything that `curation.json` tells, as plain values.

    Args:
        found: what came of the source.
        rows: the picked rows.
        spool: all rows that passed the rules.
        opened: the source.
        options: how was chosen.
    """
    picked = found.picked
    return {
        "method": "lima",
        "source": opened.name,
        "kind": opened.kind,
        "read": dict(opened.seen()),
        "n_read": found.total,
        "n_eligible": sum(picked.sizes),
        "k": len(rows),
        "wanted": options.k,
        "seed": options.seed,
        "funnel": _funnel(found),
        "binding": _binding(found),
        "dropped": found.funnel.reasons(),
        "topics": _topics(picked, spool, options),
        "entropy": _entropy(picked),
        "near_duplicates": _doubles(picked, rows, options),
        "coverage": _coverage(picked),
        "lengths": {
            "eligible": length_summary(spool.words),
            "picked": length_summary(spool.words[picked.places]),
        },
        "style": {
            "eligible": {"n": len(spool), **{name: spool.style[name] for name in STYLE}},
            "picked": {"n": len(rows), **counted_style([row.response for row in rows])},
        },
        "licences": dict(Counter(str(row.metadata.get("licence", "not stated")) for row in rows)),
        "limits": {**asdict(opened.limits), "floors": opened.floors()},
        "options": {**asdict(options), "embeddings": str(options.embeddings or "")},
        "notes": found.notes,
    }


def _funnel(found: Curated) -> list[dict[str, Any]]:
    """Return the stages that dropped something or hold for this source."""
    table = found.funnel.table()
    return [stage for stage in table if stage["dropped"] or stage["stage"] in found.met]


def _binding(found: Curated) -> dict[str, Any] | None:
    """Return the rule that keeps most rows out; `alone` says that no other one would."""
    binding = found.funnel.binding()
    return (
        dict(zip(("stage", "reason", "rows", "alone"), binding, strict=True)) if binding else None
    )


def _topics(picked: Picked, spool: Spool, options: Options) -> list[dict[str, Any]]:
    """Return eligible and picked rows of each topic, the most picked first."""
    group = {topic: name for name, topics in options.groups.items() for topic in topics}
    rows = [
        {"topic": topic, "group": group.get(topic, ""), "eligible": size, "picked": quota}
        for topic, size, quota in zip(spool.topics, picked.sizes, picked.quotas, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["picked"], -row["eligible"], row["topic"]))


def _entropy(picked: Picked) -> dict[str, float]:
    """Return the entropy of topics among the picked rows and among a proportional pick, in nats."""
    proportional = quotas(picked.sizes, len(picked.places), tau=1)
    return {"picked": entropy(picked.quotas), "proportional": entropy(proportional)}


def _doubles(picked: Picked, rows: Sequence[Example], options: Options) -> dict[str, Any]:
    """Return how many near-duplicates there were, and some of them."""
    text = {row.id: row.response[:EXCERPT] for row in rows}
    largest = sorted(picked.clusters, key=lambda cluster: (-len(cluster[1]), cluster[0]))
    return {
        "threshold": options.near,
        "clusters": len(picked.clusters),
        "dropped": sum(len(near) for _, near in picked.clusters),
        "examples": [
            {
                "kept": kept,
                "dropped": [{"id": one, "similarity": alike} for one, alike in near],
                "text": text.get(kept, ""),
            }
            for kept, near in largest[:SHOWN]
        ],
    }


def _coverage(picked: Picked) -> dict[str, Any] | None:
    """Return how near candidates are to the pick, beside a random pick of the same quotas."""
    if picked.coverage is None:
        return None
    parts = ("picked", "random", "difference")
    return {name: getattr(picked.coverage, name).as_dict() for name in parts}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_messages(row: Example) -> dict[str, Any]:
    """Return a row as one conversation, as TRL and axolotl read it.

    >>> as_messages(Example(id="a", prompt="Why?", response="So."))["messages"][1]
    {'role': 'assistant', 'content': 'So.'}
    """
    turns = (Message("user", row.prompt),) if isinstance(row.prompt, str) else row.prompt
    whole = [*turns, Message("assistant", row.response)]
    return {"messages": [{"role": turn.role, "content": turn.content} for turn in whole]}


def as_alpaca(row: Example) -> dict[str, Any]:
    """Return a row in Alpaca's shape; earlier turns become its `history`, as LLaMA-Factory's.

    >>> as_alpaca(Example(id="a", prompt="Why?", response="So."))
    {'instruction': 'Why?', 'input': '', 'output': 'So.'}
    """
    turns = (Message("user", row.prompt),) if isinstance(row.prompt, str) else row.prompt
    spoken = [turn for turn in turns if turn.role != "system"]
    record: dict[str, Any] = {
        "instruction": spoken[-1].content if spoken else asked(row.prompt),
        "input": "",
        "output": row.response,
    }
    if system := [turn.content for turn in turns if turn.role == "system"]:
        record["system"] = "\n".join(system)
    if len(spoken) > 1:
        pairs = zip(spoken[:-1:2], spoken[1:-1:2], strict=False)
        record["history"] = [[one.content, two.content] for one, two in pairs]
    return record
