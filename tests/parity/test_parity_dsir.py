"""DSIR beside its authors' package `data-selection` 1.0.3: the same bags, weights and picks.

Needs that package: in this environment, or in the peers' (`.venv-peers`, or the interpreter that
TOGI_PEERS_PYTHON names), where it is run as a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from togi.data.dsir import select_files

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "dsir"
PEERS = Path(os.environ.get("TOGI_PEERS_PYTHON") or ROOT / ".venv-peers" / "bin" / "python")
PEER = """
import json, sys
import nltk
import numpy as np
from data_selection import HashedNgramDSIR

job = json.loads(sys.argv[1])
dsir = HashedNgramDSIR(
    [job["raw"]], job["targets"], job["cache"], num_proc=1, ngrams=job["order"],
    min_example_length=job["min_tokens"], separate_targets=job["separate"],
    raw_parse_example_fn=lambda row: row["contents"],
    target_parse_example_fn=lambda row: row["contents"],
)
dsir.fit_importance_estimator(num_tokens_to_fit="all")
dsir.compute_importance_weights()
weights = np.load(dsir.log_importance_weights_dir / "0.npy")
words = np.load(dsir.perexample_metadata_dir / "0.npy")
dsir.resample(job["out"], job["k"], cache_dir=job["cache"] + "/out", top_k=True)
np.savez(job["result"], p=dsir.target_probs, q=dsir.raw_probs, weights=weights, words=words,
         engine="regex" if hasattr(nltk, "redos") else "re")
"""

if importlib.util.find_spec("data_selection"):
    PYTHON = sys.executable
elif PEERS.exists():
    PYTHON = str(PEERS)
else:
    pytest.skip("data-selection is not installed here or in .venv-peers", allow_module_level=True)


def peer(folder: Path, **job: object) -> tuple[dict[str, np.ndarray], list[str]]:
    """What the package finds, and the lines that it picks, sorted."""
    paths = {"cache": folder / "cache", "out": folder / "out", "result": folder / "peer.npz"}
    told = {**job, **{name: str(path) for name, path in paths.items()}}
    done = subprocess.run(
        [PYTHON, "-c", PEER, json.dumps(told)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    files = sorted((folder / "out").rglob("*.jsonl"))
    picked = [line for file in files for line in file.read_bytes().splitlines()]
    with np.load(folder / "peer.npz") as found:
        return dict(found), sorted(picked)


def agree(raw: Path, targets: list[Path], folder: Path, *, order: int, least: int, k: int,
          separate: bool = False) -> None:  # fmt: skip
    theirs, picked = peer(
        folder, raw=str(raw), targets=[str(t) for t in targets], order=order, min_tokens=least,
        k=k, separate=separate,
    )  # fmt: skip
    ours = select_files(
        [raw], targets, k, folder / "ours.jsonl", field="contents", hash="exact", order=order,
        min_tokens=least, top_k=True, separate_targets=separate, words=str(theirs["engine"]),
    )  # fmt: skip
    for number, fit in enumerate(ours.fits):
        p = theirs["p"][number] if separate else theirs["p"]
        assert np.allclose(fit.target, p, rtol=1e-12, atol=0)
        assert np.allclose(fit.raw, theirs["q"], rtol=1e-12, atol=0)
    assert np.allclose(ours.log_weights, theirs["weights"], rtol=1e-9, atol=1e-9)
    assert np.array_equal(ours.words, theirs["words"])
    assert sorted((folder / "ours.jsonl").read_bytes().splitlines()) == picked


def toy(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the package's toy data are not at {DATA}")
    return path


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_package_s_toy_data(tmp_path: Path, order: int) -> None:
    raw, target = toy("toy_pile_data.jsonl"), toy("toy_target_data.jsonl")
    agree(raw, [target], tmp_path, order=order, least=100, k=20)


def test_two_targets_together_and_apart(tmp_path: Path) -> None:
    raw = toy("toy_pile_data.jsonl")
    targets = [toy("toy_target_data.jsonl"), toy("toy_target_data_2.jsonl")]
    for name, separate in (("together", False), ("apart", True)):
        (tmp_path / name).mkdir()
        agree(raw, targets, tmp_path / name, order=2, least=100, k=15, separate=separate)


def test_text_of_many_scripts(tmp_path: Path) -> None:
    """Case, combining marks, wide and odd characters: made here, so this one never skips."""
    draw = random.Random(0)
    letters = (
        "aA é É ß İı ΣσςΑ' .:_-9½²  中文字 かな हिन्दी العربية ไทย 😀👩"
        "\u200d🔬 \u0301\u00ad\ufeff\x85\x1c"
    )
    texts = ["".join(draw.choices(letters, k=draw.randrange(20, 400))) for _ in range(300)]
    raw, target = tmp_path / "raw.jsonl", tmp_path / "target.jsonl"
    for path, some, ascii_only in ((raw, texts, True), (target, texts[::9], False)):
        lines = [json.dumps({"contents": t, "n": 1}, ensure_ascii=ascii_only) for t in some]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    agree(raw, [target], tmp_path, order=2, least=10, k=50)
