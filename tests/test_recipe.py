"""The recipe: strict keys, marks in every error, includes, overrides, references, schema."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from togi.errors import RecipeError, UsageError
from togi.recipe import DEFAULT_MODEL, Recipe, StepKind, load_recipe, parse_recipe
from togi.recipe_refs import fields_at, refs
from togi.recipe_schema import recipe_schema, settings_table
from togi.recipe_yaml import parse
from togi.step import StepRef, StepSettings


class Lora(StepSettings):
    rank: int = Field(8, ge=1)
    "Inner width of the update."


class ReadSettings(StepSettings):
    source: str
    "Where the rows come from."
    limit: int | None = None


class TuneSettings(StepSettings):
    rows: StepRef
    others: list[StepRef] = Field(default_factory=list)
    named: dict[str, StepRef | None] = Field(default_factory=dict)
    lr: float = Field(1e-4, gt=0)
    "Peak learning rate."
    lora: Lora = Lora()
    stages: list[Lora] = Field(default_factory=list)

    def model_post_init(self, context: object) -> None:
        if self.lr > 1:
            raise UsageError("too fast", where="lr", hint="try 1e-4")


toy = types.ModuleType("toy_recipe_steps")
toy.ReadSettings, toy.TuneSettings = ReadSettings, TuneSettings  # type: ignore[attr-defined]
sys.modules["toy_recipe_steps"] = toy
KINDS = {
    "rows.read": StepKind("toy_recipe_steps", "ReadSettings", "run", 1, ("rows", "n")),
    "align.sft": StepKind("toy_recipe_steps", "TuneSettings", "run"),
}
GOOD = """
steps:
  - name: pool
    use: rows.read
    source: a.jsonl
  - name: sft
    use: align.sft
    rows: pool
    lora:
      rank: 4
"""


def refused(text: str, *words: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, KINDS, file="r.yaml")
    message = str(caught.value)
    for word in words:
        assert word in message, message
    return message


def test_a_recipe_is_resolved_with_its_defaults():
    recipe = parse_recipe(GOOD, KINDS, file="quick.yaml")
    assert (recipe.name, recipe.model, recipe.seed) == ("quick", DEFAULT_MODEL, 0)
    assert recipe.steps[1].needs == ("pool",)
    assert recipe.as_dict()["steps"][1]["lora"] == {"rank": 4}
    assert recipe.as_dict()["steps"][1]["lr"] == 1e-4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "    lerning_rate: 1", ["r.yaml line 11", "'sft'", "'lerning_rate'"]),
        (GOOD.replace("rank: 4", "rnk: 4"), ["r.yaml line 10", "'lora.rnk'", "'rank'"]),
        (GOOD.replace("rank: 4", "rank: 0"), ["r.yaml line 10", "lora.rank", "greater than"]),
        (GOOD.replace("rank: 4", "rank: x"), ["r.yaml line 10", "valid integer", "'x'"]),
        (GOOD.replace("a.jsonl", "7"), ["r.yaml line 5", "'source'", "valid string", "7"]),
        (GOOD.replace("    source: a.jsonl\n", ""), ["line 3", "missing key 'source'"]),
        (GOOD.replace("rows: pool", "rows: pol"), ["line 8", "'pol'", "did you mean 'pool'"]),
        (GOOD.replace("rows: pool", "rows: sft"), ["line 8", "must stand before"]),
        (GOOD.replace("rows: pool", "rows: pool.row"), ["line 8", "did you mean 'rows'"]),
        (GOOD.replace("use: align.sft", "use: align.stf"), ["line 7", "did you mean 'align.sft'"]),
        (GOOD.replace("    use: align.sft\n", ""), ["line 6", "missing key 'use'"]),
        (GOOD + "    lr: 2.5", ["step 'sft', lr", "too fast", "try 1e-4"]),
        (GOOD + "sede: 1", ["line 11", "'sede'", "did you mean 'seed'"]),
        (GOOD + "seed: true", ["line 11", "true or false"]),
        (GOOD + "seed: -1", ["line 11", "at least 0"]),
        (GOOD + "model: [a]", ["line 11", "a list"]),
        (GOOD + "name: ../x", ["line 11", "../x"]),
        (GOOD + "model: a\nmodel: b", ["line 12", "stands twice", "line 11"]),
        (GOOD.replace("name: sft", "name: pool"), ["two steps are called 'pool'", "line 3"]),
        (GOOD.replace("name: sft", "name: s.t"), ["'s.t'"]),
        ("steps: [1]", ["line 1", "a whole number"]),
        ("steps: {a: 1}", ["'steps' must be a list"]),
        ("steps: [{use: a}]", ["without a name"]),
        ("name: x", ["no steps"]),
        ("", ["a recipe is a mapping", "nothing"]),
        ("a: [", ["line 1", "not YAML"]),
        ("\tx: 1", ["not YAML"]),
        ("a: 1\n---\nb: 2", ["not YAML", "line 2"]),
        ("a: &a [*a]", ["contains itself"]),
        ("a: !!python/object:os.system x", ["not allowed"]),
        ("1: 2", ["a key must be a text"]),
        ("a: !!int abc", ["not int"]),
        ('model: "\\ud800"', ["surrogate"]),
        ("[" * 3000, ["not YAML"]),
        ("include: a.yaml", ["cannot include"]),
    ],
)
def test_each_fault_is_told_with_its_place(text: str, words: list[str]):
    refused(text, *words)


def test_several_faults_are_counted():
    refused(GOOD + "    a: 1\n    b: 2", "unknown key 'a'; 1 more like this")


def test_scalars_follow_the_json_like_core():
    text = "[1e-4, no, on, 010, 0x10, 0o10, 1:30, 2001-01-01, ~, '', true, .5, -.inf, 1_000, 1.]"
    assert parse(text, "r").plain() == [
        1e-4, "no", "on", 10, 16, 8, "1:30", "2001-01-01", None, "", True,
        0.5, float("-inf"), "1_000", 1.0,
    ]  # fmt: skip


def test_aliases_may_not_explode():
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(RecipeError, match="more than 100000 values"):
        parse(bomb, "r")


def test_overrides_are_typed_and_may_set_what_the_file_leaves_out(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    words = ["steps.sft.lr=1e-3", "seed=7", "steps.sft.lora.rank=2", "model=./folder"]
    recipe = load_recipe(path, KINDS, words)
    tune = recipe.steps[1].settings
    assert isinstance(tune, TuneSettings)
    assert (tune.lr, tune.lora.rank, recipe.seed, recipe.model) == (1e-3, 2, 7, "./folder")
    assert recipe.text == GOOD


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("steps.stf.lr=1", "did you mean 'sft'"),
        ("steps.sft.lrr=1", "did you mean 'lr'"),
        ("steps.sft.lora.rnk=1", "did you mean 'rank'"),
        ("sed=1", "did you mean 'seed'"),
        ("seed", "not of the form a.b=c"),
        ("steps.sft.lr=fast", "valid number"),
        ("steps.sft.use=rows.read", "cannot be overridden"),
        ("steps.sft=1", "names no setting"),
        ("steps.sft.others.3=pool", "no item '3'"),
        ("steps.sft.rows.x=1", "a text and has no 'x'"),
        ("steps.sft.lr=[", "not YAML"),
    ],
)
def test_a_wrong_override_says_so(tmp_path: Path, override: str, word: str):
    path = tmp_path / "r.yaml"
    path.write_text(GOOD + "    others: [pool]\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, KINDS, [override])
    assert word in str(caught.value)
    assert f"override '{override}'" in str(caught.value)


def test_an_included_recipe_lies_under_the_one_that_includes_it(tmp_path: Path):
    (tmp_path / "base.yaml").write_text(GOOD + "seed: 3\nmodel: base\n")
    child = tmp_path / "child.yaml"
    child.write_text(
        "include: base.yaml\nmodel: mine\nsteps:\n- {name: sft, lora: {rank: 2}, lr: 0.5}\n"
        "- {name: more, use: rows.read, source: b}\n"
    )
    recipe = load_recipe(child, KINDS)
    assert (recipe.name, recipe.model, recipe.seed) == ("child", "mine", 3)
    assert [step.name for step in recipe.steps] == ["pool", "sft", "more"]
    tune = recipe.steps[1].settings
    assert isinstance(tune, TuneSettings)
    assert (tune.rows, tune.lora.rank, tune.lr) == ("pool", 2, 0.5)


def test_a_fault_in_an_included_file_names_that_file(tmp_path: Path):
    (tmp_path / "base.yaml").write_text(GOOD.replace("rank", "rnk"))
    (tmp_path / "child.yaml").write_text("include: [base.yaml]\n")
    with pytest.raises(RecipeError, match=r"base\.yaml line 10.*'rank'"):
        load_recipe(tmp_path / "child.yaml", KINDS)


def test_circular_and_missing_includes_are_refused(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("include: b.yaml\n")
    (tmp_path / "b.yaml").write_text("include: a.yaml\n")
    with pytest.raises(RecipeError, match=r"a\.yaml -> b\.yaml -> a\.yaml"):
        load_recipe(tmp_path / "a.yaml", KINDS)
    (tmp_path / "a.yaml").write_text("include: [b.yml]\n")
    with pytest.raises(RecipeError, match=r"line 1: no file 'b\.yml'"):
        load_recipe(tmp_path / "a.yaml", KINDS)
    with pytest.raises(RecipeError, match="togi recipes list"):
        load_recipe(tmp_path / "none.yaml", KINDS)
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(tmp_path / "a.yaml", KINDS)


def test_references_are_found_at_any_depth():
    tune = TuneSettings(rows="a", others=["b", "c.rows"], named={"x": "d", "y": None})
    assert list(refs(tune)) == [
        (("rows",), "a"),
        (("others", 0), "b"),
        (("others", 1), "c.rows"),
        (("named", "x"), "d"),
    ]


def test_known_keys_are_found_at_any_depth():
    assert fields_at(TuneSettings, ("lora",)) == ["rank"]
    assert fields_at(TuneSettings, ("stages", 3)) == ["rank"]
    assert fields_at(TuneSettings, ("lr",)) == []


def test_the_schema_lists_each_step_with_its_help():
    schema = recipe_schema(KINDS)
    tune = next(
        s for s in schema["properties"]["steps"]["items"]["oneOf"] if s["title"] == "align.sft"
    )
    assert tune["properties"]["lr"]["description"] == "Peak learning rate."
    assert tune["required"] == ["name", "use", "rows"]
    assert tune["properties"]["lora"]["$ref"].removeprefix("#/$defs/") in schema["$defs"]
    table = {key: rest for key, *rest in settings_table(KINDS["align.sft"])}
    assert table["rows"][:2] == ["earlier step", "required"]
    assert table["lr"] == ["number", "0.0001", "Peak learning rate."]


def attempt(work: Callable[[], Recipe]) -> Recipe | RecipeError:
    """Any other exception than a RecipeError fails the test."""
    try:
        return work()
    except RecipeError as error:
        return error


KEYS = ["name", "use", "steps", "rows", "lr", "lora", "rank", "seed", "model", "include", "source"]
SCALARS = st.one_of(
    st.sampled_from([*KEYS, "rows.read", "align.sft", "pool", "[", "{", "&a", "*a", "!!int", "- "]),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
)
LINES = st.builds(
    lambda indent, key, value: f"{' ' * indent}{key}: {value}\n",
    st.integers(0, 6),
    st.sampled_from([*KEYS, "- name", "? ", "- "]),
    SCALARS,
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(LINES, max_size=12).map("".join)))
@example(GOOD)
@example('model: "\\0"')
@example("steps: [{name: &a x, use: *a}]")
@example("a: 9" + "9" * 5000)
def test_any_text_is_a_recipe_or_a_recipe_error(text: str):
    result = attempt(lambda: parse_recipe(text, KINDS))
    assert isinstance(result, Recipe) or str(result).encode()  # a message that can be printed


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["steps", "sft", "pool", "lr", "lora", "rank", "others", "0", ".", "=", "x", "1"]
        ),
        max_size=7,
    ).map("".join)
)
def test_any_override_is_taken_or_a_recipe_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
):
    path = tmp_path_factory.getbasetemp() / "override.yaml"
    path.write_text(GOOD)
    result = attempt(lambda: load_recipe(path, KINDS, [text]))
    assert isinstance(result, Recipe) or text in str(result)
