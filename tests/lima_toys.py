"""Small forum dumps that tests write: posts as the exporter lays them out, one a line."""

from __future__ import annotations

import html
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

WORDS = {
    "cooking": ["garlic", "onion", "oven", "bread", "dough", "butter", "salt", "soup", "stir"],
    "physics": ["energy", "mass", "light", "wave", "quantum", "field", "force", "photon", "spin"],
    "travel": ["visa", "passport", "flight", "airport", "border", "hotel", "train", "luggage"],
}
LINKING = ["the", "a", "of", "to", "and", "with", "is", "by", "from", "which", "can", "then"]


def attribute(text: str) -> str:
    """Escape a value as the exporter does."""
    return html.escape(text).replace("&#x27;", "'").replace("\n", "&#xA;")


def row(**values: object) -> str:
    """One post as one line."""
    return "  <row " + " ".join(f'{k}="{attribute(str(v))}"' for k, v in values.items()) + " />\n"


def question(key: int, title: str, body: str = "<p>Body.</p>", **more: object) -> str:
    facts = {"CreationDate": "2019-01-01T00:00:00.000", "Score": 5, "ViewCount": 9}
    later = {"OwnerUserId": 1, "Title": title, "Tags": "<first><second>"}
    return row(Id=key, PostTypeId=1, **{**facts, "Body": body, **later, **more})


def answer(key: int, parent: int, body: str, score: object = 20, **more: object) -> str:
    facts = {"CreationDate": "2019-01-01T00:00:00.000", "Score": score, "Body": body}
    return row(Id=key, PostTypeId=2, ParentId=parent, **{**facts, "OwnerUserId": 2, **more})


def posts(rows: Iterable[str]) -> str:
    return '﻿<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + "".join(rows) + "</posts>\n"


def sentence(draw: random.Random, site: str, words: int) -> str:
    """A sentence whose words do not break any rule."""
    text = " ".join(draw.choices(LINKING + 2 * WORDS[site], k=words))
    return text.capitalize() + "."


def good_body(draw: random.Random, site: str, paragraphs: int = 6) -> str:
    """An answer of some 1,500 to 2,500 characters that every rule lets through."""
    return "".join(f"<p>{sentence(draw, site, 60)}</p>\n" for _ in range(paragraphs))


def site(
    draw: random.Random, name: str, threads: int, paragraphs: tuple[int, int] = (2, 9)
) -> list[str]:
    """Questions with two answers each; about half of the best answers pass the rules."""
    rows, key = [], 0
    for _ in range(threads):
        ask = key = key + 1
        words = draw.choices(WORDS[name], k=3)
        title = f"How does {words[0]} change {words[1]} in {words[2]}, {ask}?"
        body = f"<p>{ask}: {sentence(draw, name, 30)}</p>"
        rows.append(question(ask, title, body, Score=draw.randint(0, 9)))
        for _ in range(2):
            key += 1
            body = good_body(draw, name, draw.randint(*paragraphs))
            rows.append(answer(key, ask, body, draw.randint(0, 40)))
    return rows


def several_sites(
    folder: Path,
    threads: Mapping[str, int],
    seed: int = 0,
    paragraphs: tuple[int, int] = (2, 9),
) -> Path:
    """A folder of sites, each with its own Posts.xml."""
    draw = random.Random(seed)
    for name, count in threads.items():
        place = folder / f"{name}.stackexchange.com"
        place.mkdir(parents=True)
        (place / "Posts.xml").write_text(
            posts(site(draw, name, count, paragraphs)), encoding="utf-8"
        )
    return folder
