"""YAML with marks: every value remembers its file and line, and nothing is guessed.

PyYAML's safe composer reads the text; the values are made here by the JSON-like core of
YAML 1.2, so that `1e-4` is a number and `no` is a word. Tags, cyclic aliases, duplicate keys and
keys that are not text are refused. Every fault is a `RecipeError` with file and line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import yaml

from togi.errors import RecipeError

MOST_NODES, DEEPEST = 100_000, 50
"Aliases can make a short text very large or deep; a recipe beyond this is refused."

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands; `line` counts from 1, 0 means the command line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file} line {self.line}" if self.line else self.file


@dataclass(slots=True)
class Node:
    """A value with its mark; a mapping's entries carry the marks of their keys."""

    mark: Mark
    value: bool | int | float | str | list[Node] | dict[str, Node] | None
    keys: dict[str, Mark] = field(default_factory=dict[str, Mark])

    @property
    def kind(self) -> str:
        """What a person calls the value's shape."""
        return kind_of(self.value)

    def plain(self) -> Plain:
        """Return the value without its marks."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def at(self, path: tuple[str | int, ...]) -> Mark:
        """Return the mark of the deepest value on the path that exists."""
        node, mark = self, self.mark
        for part in path:
            if isinstance(node.value, dict) and str(part) in node.value:
                mark, node = node.keys.get(str(part), node.mark), node.value[str(part)]
            elif isinstance(node.value, list) and isinstance(part, int):
                if not 0 <= part < len(node.value):
                    break
                node = node.value[part]
                mark = node.mark
            else:
                break
        return mark


def kind_of(value: object) -> str:
    """Name a value's shape in a user's words.

    >>> [kind_of(v) for v in ({}, [], "a", 1, 1.5, True, None)]
    ['a mapping', 'a list', 'a text', 'a whole number', 'a number', 'true or false', 'nothing']
    """
    names: list[tuple[type, str]] = [
        (dict, "a mapping"),
        (list, "a list"),
        (str, "a text"),
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "nothing")


class _Composer(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers = {}  # type: ignore[misc]  # noqa: RUF012


_CORE: list[tuple[str, str, str]] = [
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$",
        "-+.0123456789",
    ),
]
for _tag, _pattern, _first in _CORE:
    _Composer.add_implicit_resolver(  # type: ignore[reportUnknownMemberType]
        f"tag:yaml.org,2002:{_tag}",
        re.compile(_pattern),
        ["" if letter == "\0" else letter for letter in _first],
    )


def parse(text: str, file: str, first_line: int = 1) -> Node:
    r"""Read one YAML document.

    Raises:
        RecipeError: for anything that is not one plain YAML document.

    >>> parse("lr: 1e-4\nquiet: no", "r.yaml").plain()
    {'lr': 0.0001, 'quiet': 'no'}
    """
    try:
        root = cast("yaml.Node | None", yaml.compose(text, Loader=_Composer))  # type: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + first_line if mark else first_line
        problem = " ".join(part for part in (error.problem, error.context) if part)
        raise RecipeError(f"not YAML: {problem}", where=str(Mark(file, line))) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else _one_line(error)
        raise RecipeError(f"not YAML: {problem}", where=file) from None
    if root is None:
        return Node(Mark(file, first_line), None)
    return _Converter(file, first_line).node(root)


def _one_line(error: Exception) -> str:
    """Return the first line of an error's text, safe for a terminal."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.encode("ascii", "backslashreplace").decode()


class _Converter:
    """Turns PyYAML's nodes into ours; counts them, and watches for aliases to themselves."""

    def __init__(self, file: str, first_line: int) -> None:
        self.file, self.first_line = file, first_line
        self.count, self.open = 0, set[int]()

    def node(self, raw: yaml.Node) -> Node:
        mark = Mark(self.file, raw.start_mark.line + self.first_line)
        self.count += 1
        if self.count > MOST_NODES:
            raise RecipeError(f"more than {MOST_NODES} values", where=str(mark))
        if id(raw) in self.open:
            raise RecipeError("an alias that contains itself", where=str(mark))
        if len(self.open) >= DEEPEST:
            raise RecipeError(f"nested deeper than {DEEPEST}", where=str(mark))
        self.open.add(id(raw))
        try:
            return self._convert(raw, mark)
        finally:
            self.open.discard(id(raw))

    def _convert(self, raw: yaml.Node, mark: Mark) -> Node:
        core = raw.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(raw, yaml.ScalarNode) and core in {"str", "null", "bool", "int", "float"}:
            return Node(mark, _scalar(core, str(raw.value), mark))
        if isinstance(raw, yaml.SequenceNode) and core == "seq":
            return Node(mark, [self.node(item) for item in raw.value])
        if isinstance(raw, yaml.MappingNode) and core == "map":
            return self._mapping(raw, mark)
        raise RecipeError(f"the tag '{core}' is not allowed", where=str(mark))

    def _mapping(self, raw: yaml.MappingNode, mark: Mark) -> Node:
        values: dict[str, Node] = {}
        marks: dict[str, Mark] = {}
        for raw_key, raw_value in raw.value:
            key = self.node(raw_key)
            if not isinstance(key.value, str):
                raise RecipeError(
                    "a key must be a text", where=str(key.mark), found=str(key.plain())[:60]
                )
            if key.value in values:
                raise RecipeError(
                    f"the key '{key.value}' stands twice",
                    where=str(key.mark),
                    hint=f"the first is on line {marks[key.value].line}",
                )
            values[key.value], marks[key.value] = self.node(raw_value), key.mark
        return Node(mark, values, marks)


def _scalar(core: str, text: str, mark: Mark) -> bool | int | float | str | None:
    """Make a scalar's value; an explicit tag such as `!!int abc` may not fit its text."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise RecipeError("half of a surrogate pair", where=str(mark), found=ascii(text)[:60])
    if core == "str":
        return text
    if core == "null":
        return None
    if core == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        if core == "int":
            return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
        if core == "float":
            return math.nan if text == ".nan" else float(text.replace(".inf", "inf"))
    except ValueError:
        pass
    raise RecipeError(f"not {core} or too long", where=str(mark), found=text[:60])


def own(mark: Mark, value: Any) -> Node:
    """Wrap a plain value, every part of it with the same mark.

    >>> own(Mark("command line", 0), {"a": [1]}).plain()
    {'a': [1]}
    """
    if isinstance(value, dict):
        nodes = {key: own(mark, item) for key, item in cast("dict[str, Any]", value).items()}
        return Node(mark, nodes, dict.fromkeys(nodes, mark))
    if isinstance(value, list):
        return Node(mark, [own(mark, item) for item in cast("list[Any]", value)])
    return Node(mark, value)
