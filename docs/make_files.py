"""Write `docs/files.md`: which file holds what, from the first line of each module."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "files.md"


def page() -> str:
    """Return the page's text.

    Raises:
        ValueError: when a module says nothing of itself.
    """
    lines = ["# Which file holds what", "", "Made by `make docs`; do not edit."]
    folders = sorted({path.parent for path in (ROOT / "togi").rglob("*.py")})
    for folder in folders:
        lines += [
            "",
            f"## {folder.relative_to(ROOT).as_posix()}/",
            "",
            "| file | holds |",
            "|---|---|",
        ]
        for path in sorted(folder.glob("*.py")):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            if not text:
                raise ValueError(f"{path} has no docstring")
            first = " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
            lines.append(f"| `{path.name}` | {first} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
