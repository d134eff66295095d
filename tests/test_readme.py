"""The README is true: its quick commands run, its promises name tests, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(
    r"(?:<!-- not run here: (?P<why>[^>]+) -->\n)?```sh\n(?P<code>.*?)```", re.DOTALL
)
FENCES = [(match["code"], match["why"]) for match in FENCE.finditer(TEXT)]
QUICK = [line for code, why in FENCES if why is None for line in code.splitlines()]


def test_every_fence_of_commands_is_seen():
    assert len(FENCES) == TEXT.count("```sh")
    assert len(QUICK) >= 6


@pytest.mark.parametrize("line", QUICK)
def test_a_quick_command_runs(line: str, tmp_path: Path):
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", line], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("code", [code for code, why in FENCES if why])
def test_a_command_that_is_not_run_here_is_a_command(code: str):
    """Each names a command that has a help page, or a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in code.splitlines():
        first, second, *_ = [*line.split(), "", ""]
        if first == "make":
            assert re.search(rf"^{second}:", makefile, re.MULTILINE), line
        elif first == "togi":
            done = subprocess.run(
                [sys.executable, "-m", "togi", second, "--help"], capture_output=True, check=False
            )
            assert done.returncode == 0, line
        else:
            assert line.startswith("python -m pip install -c requirements.lock"), line


def test_every_promise_names_a_test_that_is_there():
    promises = TEXT.split("## Promises")[1].split("\n## ")[0].split("How fast")[0]
    named = set(re.findall(r"`(test_\w+)`", promises))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert len(named) >= 12
    assert {name for name in named if f"def {name}(" not in sources} == set()


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", *(
    path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))
)])  # fmt: skip
def test_links_lead_to_files(page: str):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    # bench/RESULTS.md is rendered from measurements and need not be there in a fresh clone.
    missing = [link for link in local if not (path.parent / link).exists()]
    assert set(missing) <= {"bench/RESULTS.md"}


def test_every_command_and_exit_code_is_told():
    from togi import errors
    from togi.cli import app

    named = [command.name for command in app.registered_commands]
    named += [group.name for group in app.registered_groups]
    for name in named:
        assert f"`togi {name}" in TEXT, name
    codes = {kind.code for kind in vars(errors).values() if hasattr(kind, "code")}
    for code in codes:
        assert re.search(rf"^\| {code} \|", TEXT, re.MULTILINE), code
