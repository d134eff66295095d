"""`togi data lima` as a user types it: what it says, what is wrong, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lima_toys import posts, several_sites, site

from togi.cli import main
from togi.rows.read import read_rows


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run the program in this process and an empty folder: exit code, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def togi(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["togi", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return togi


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return several_sites(
        tmp_path_factory.mktemp("command") / "sites", {"cooking": 60, "travel": 20}
    )


def test_a_dump_is_curated_in_one_command(call, sites: Path, tmp_path: Path) -> None:
    code, out, err = call("data", "lima", str(sites), "k=12", "--out", "first")
    assert (code, err) == (0, "")
    assert "sites: stack exchange; rules: score, length, prompt, response" in out
    assert "160 read, " in out
    assert ", 12 picked" in out
    (folder,) = Path("first").glob("steps/lima-*")
    held_out = str(folder / "rows.jsonl")
    assert len(list(read_rows(held_out))) == 12
    page = Path("first/report.html").read_text(encoding="utf-8")
    assert "lima: what each rule let through" in page
    assert "shorter than 1,200 characters" in page
    words = ["k=12", "groups.far=[travel.stackexchange.com]", "rules.first_person=false"]
    code, out, _ = call(
        "data", "lima", str(sites), *words, "--against", held_out, "--out", "second"
    )
    assert code == 0
    assert "first_person" not in out
    (other,) = Path("second").glob("steps/lima-*")
    first, second = ({row.id for row in read_rows(f / "rows.jsonl")} for f in (folder, other))
    assert first.isdisjoint(second)
    told = json.loads((other / "curation.json").read_text())
    assert {topic["group"] for topic in told["topics"]} == {"", "far"}
    code, out, _ = call("data", "lima", str(sites), "k=12", "--out", "first")
    assert "done before, nothing changed" in out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["data", "lima"], 2, "Missing argument"),
        (["data", "lima", "none"], 4, "no such file or folder"),
        (["data", "lima", "none", "kind=stack_exchange"], 4, "no such file or folder"),
        (["data", "lima", "x", "k"], 2, "not of the form key=value"),
        (["data", "lima", "x", "rules.titel_only=true"], 2, "no rule 'titel_only'"),
        (["data", "lima", "x", "within=best"], 2, "within"),
        (["data", "lima", "x", "min_score=1", "score_percentile=5"], 2, "either 'min_score'"),
        (["data", "lima", "dump.7z"], 4, "format is not known"),
        (["data", "lima", "Posts.xml"], 4, "not well-formed XML"),
        (["data", "lima", "Users.xml"], 4, "this is no Posts.xml"),
        (["data", "lima", "notes.jsonl"], 4, "no known shape fits the columns"),
    ],
)
def test_a_mistake_is_one_message(words: list[str], code: int, told: str, call) -> None:
    Path("dump.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(50))
    Path("Posts.xml").write_text("<posts>\n  <row Id=")
    Path("Users.xml").write_text("<users></users>")
    Path("notes.jsonl").write_text('{"colour": 1}\n')
    found, _, err = call(*words)
    assert told in err
    assert found == code
    assert "Traceback" not in err


def test_help_lists_the_settings(call) -> None:
    code, out, _ = call("data", "lima", "--help")
    assert code == 0
    assert "temperature (number)" in out
    assert "title_only" in out


def test_ctrl_c_leaves_nothing_half_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "cooking.stackexchange.com"
    folder.mkdir()
    thread = site(random.Random(0), "cooking", 400)
    (folder / "Posts.xml").write_text(posts(thread))
    slowed = (
        "import time\nfrom togi.data import curate\nfrom togi.cli import main\n"
        "real = curate.failed\n"
        "def failed(*given):\n    time.sleep(0.02)\n    return real(*given)\n"
        "curate.failed = failed\nmain()\n"
    )
    words = [sys.executable, "-u", "-c", slowed, "data", "lima", str(folder), "k=10", "--out",
             str(tmp_path / "run")]  # fmt: skip
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if "rules:" in line:
                break
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "run the same command again to continue" in err
    (step,) = (tmp_path / "run").glob("steps/lima-*")
    assert [path.name for path in step.iterdir()] == []
    done = subprocess.run(
        [sys.executable, "-m", "togi", *words[4:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "10 picked" in done.stdout
    assert (step / "rows.jsonl").is_file()
