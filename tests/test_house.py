"""The house: budgets, imports, locked versions, packaged files, documents true to the code."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "togi").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST = {"togi": 300, "tests": 500}


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_file_stays_within_its_budget(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST[path.relative_to(ROOT).parts[0]]


def code_begins(node: ast.FunctionDef) -> int:
    """The line of a function's signature, or the first one after its docstring."""
    told = ast.get_docstring(node) is not None
    return (node.body[0].end_lineno or 0) + 1 if told else node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_function_stays_within_the_hard_budget(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = {node.name: (node.end_lineno or 0) - code_begins(node) + 1 for node in found}
    assert {name: n for name, n in long.items() if n > 60} == {}


def test_every_module_imports_by_itself_and_none_opens_the_network():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.name != "__main__.py"
    ]
    code = (
        "import importlib, socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('the network was used')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_module_runs_strings_or_unpickles():
    forbidden = {"eval", "exec"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden, f"{path}:{node.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "dill", "shelve"} & set(names), f"{path}:{node.lineno}"


def test_remote_code_is_never_allowed():
    for path in MODULES:
        assert "trust_remote_code=True" not in path.read_text(encoding="utf-8"), path


def test_import_rules_hold():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_locked_versions_are_plain_and_cover_what_is_needed():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins["torch"] == "2.13.0"
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins.values())
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(dep for extra in extras for dep in extra)]
    known = {name.lower().replace("-", "_") for name in pins}
    names = {re.split(r"[<>=\[ ]", dep)[0].lower().replace("-", "_") for dep in wanted}
    assert names - known == set()


def test_every_dependency_is_explained():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    extras = PROJECT["project"]["optional-dependencies"].values()
    for dep in [*PROJECT["project"]["dependencies"], *(dep for extra in extras for dep in extra)]:
        assert re.split(r"[<>=\[ ]", dep)[0] in page, dep


def test_the_page_of_files_is_current():
    spec = importlib.util.spec_from_file_location("make_files", ROOT / "docs" / "make_files.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.TARGET.read_text(encoding="utf-8") == maker.page(), "run `make docs`"


def test_recipes_lie_in_the_package_and_where_users_look():
    assert (ROOT / "recipes").resolve() == ROOT / "togi" / "recipes"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["togi"]
    assert "**/*.yaml" in patterns
    for path in (ROOT / "togi").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py":
            inside = path.relative_to(ROOT / "togi").as_posix()
            assert any(Path(inside).match(p.removeprefix("**/")) for p in patterns), inside


@pytest.mark.parametrize("target", ["help", "demo", "test", "lint", "parity", "bench NAME=dsir"])
def test_a_target_of_the_makefile_can_be_planned(target: str):
    done = subprocess.run(
        ["make", "-n", *target.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_demo_passes_whatever_the_verdict_but_not_a_fault(tmp_path: Path):
    """The recipe line of `make demo` turns exit code 3 into success, and no other."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\t(\$\(BIN\)/togi run recipes/quickstart\.yaml.*)$", makefile, re.M)
    for code, fine in ((0, True), (3, True), (4, False), (130, False)):
        stub = tmp_path / "togi"
        stub.write_text(f"#!/bin/sh\nexit {code}\n")
        stub.chmod(0o755)
        command = line.replace("$(BIN)", str(tmp_path)).replace("$$", "$")
        done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", command], check=False)
        assert (done.returncode == 0) == fine


def test_continuous_integration_calls_make_test():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make .*$", text, re.MULTILINE) == ["make test", "make parity"]
