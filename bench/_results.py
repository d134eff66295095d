"""Results of the benches: what was measured, on what, and the table of all of them.

`python -m bench._results` renders bench/RESULTS.md from bench/results/*.json.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
OURS = ("togi", "torch", "transformers", "numpy", "numba", "llvmlite")
PEERS = (
    "data-selection", "datasketch", "trl", "peft", "bitsandbytes", "lm-eval", "krippendorff",
    "crowdtruth",
    "torch", "transformers", "numpy",
)  # fmt: skip

Payload = dict[str, Any]


def peers_python() -> str:
    """Return the interpreter of the peers' environment: $TOGI_PEERS_PYTHON or `.venv-peers`."""
    given = os.environ.get("TOGI_PEERS_PYTHON")
    python = Path(given) if given else ROOT / ".venv-peers" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{python}: the peers are not installed; `make peers` installs them")
    return str(python)


def write(result: Payload) -> None:
    """Write bench/results/<name>.json at once and render the table again."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result['name']}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(path)
    render()


def machine() -> Payload:
    """Say which machine this is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = facts.get("flags", "").split()
    return {
        "processor": facts.get("model name", platform.processor() or platform.machine()),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "simd": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions() -> Payload:
    """Return the versions of togi's and the peers' packages, as far as they are installed."""
    ours = {name: _version(name) for name in OURS}
    listing = f"""
import json
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
print(json.dumps({{name: version(name) for name in {PEERS!r}}}))
"""
    told = subprocess.run(
        [peers_python(), "-c", listing],
        capture_output=True,
        text=True,
        check=True,
        cwd=RESULTS.parent,
    )
    peers = json.loads(told.stdout)
    return {
        "ours": {name: version for name, version in ours.items() if version},
        "peers": {name: version for name, version in peers.items() if version},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str:
    """Return the commit the working tree stands at, with + where it was changed."""
    git = ["git", "-C", str(ROOT)]
    told = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if told.returncode:
        return "unknown"
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "togi", "bench/*.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() + ("+" if changed.stdout.strip() else "")


def render() -> Path:
    """Write bench/RESULTS.md from all of bench/results/*.json."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    lines = [
        "# Benches: togi and its peers, side by side",
        "",
        "Each row is remade by its command. Both sides did the same work in turn on the same",
        "machine; the ratio is above 1 where togi is better, with the spread over the pairs.",
        "This file is rendered from `bench/results/*.json` by `python -m bench._results`.",
        "",
        "| bench | unit | togi | peer | ratio | least – greatest | memory, MB | quiet |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        lines.append(
            f"| {one['name']} | {one['unit']} | {one['ours']:.4g} | {one['peer']:.4g} "
            f"| **{one['ratio_median']:.3g}** | {one['ratio_min']:.3g} – {one['ratio_max']:.3g} "
            f"| {one.get('ours_peak_mb', 0):.0f} / {one.get('peer_peak_mb', 0):.0f} "
            f"| {'yes' if one.get('quiet') else 'no'} |"
        )
    for one in results:
        lines += ["", f"## {one['name']}", "", *_details(one)]
    path = RESULTS.parent / "RESULTS.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def _details(one: Payload) -> list[str]:
    computer = one["machine"]
    packages = ", ".join(
        f"{name} {version}" for side in ("ours", "peers") for name, version in
        one["versions"].get(side, {}).items()
    )  # fmt: skip
    agreed = ", ".join(f"{name}: {value}" for name, value in one["agreement"].items())
    lines = [
        f"- {one['about']}" if one.get("about") else "",
        f"- `{one['command']}` at commit {one['commit'][:13]}, {one.get('when', '')}",
        f"- {computer['processor']}, {computer['cores']} cores, {computer['memory_gb']} GB, "
        f"{' '.join(computer['simd'])}; Python {computer['python']}",
        f"- {packages}",
        f"- agreement: {agreed}" if agreed else "",
    ]
    return [line for line in lines if line]


if __name__ == "__main__":
    print(render())
