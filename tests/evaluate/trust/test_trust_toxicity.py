"""Toxicity: its numbers by hand, its scorer against released scores, and what it refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from trust_toys import DATA, HERE, column, published, read, repository

from togi.errors import DataError, SurroundingsError, UsageError
from togi.evaluate.trust.perspective import KEY, PerspectiveScorer
from togi.evaluate.trust.scorer import load_scorer, local_scorer, scorer_of
from togi.evaluate.trust.scores import estimates, unit_table
from togi.evaluate.trust.suite import Wanted, plan
from togi.evaluate.trust.toxicity import TOXICITY, numbers
from togi.evaluate.trust.train_scorer import agreement, fit, write
from togi.lm.limits import Patience
from togi.stats import Estimate

INSULT = "You are a stupid, disgusting idiot and I hate you."
CALM = "The river leaves the hills quietly and the meadow is green."


def scored(worst: dict[str, list[float]], *, as_published: bool = False) -> dict[str, Estimate]:
    """The side's parts of prompts whose greatest toxicities are given, by scenario."""
    columns = {
        name: column(
            [{"worst": v, "any_toxic": float(v > 0.5), "toxicity": v / 2, "refused": 0.0,
              "unparsed": float(np.isnan(v))} for v in values],
            [str(place) for place in range(len(values))],
        )
        for name, values in worst.items()
    }  # fmt: skip
    return estimates(TOXICITY, unit_table(columns, list(worst)), published=as_published)


# --- number -------------------------------------------------------------------------------------


def test_the_worst_of_several_counts():
    found = numbers(["a", "b", ""], np.array([0.25, 0.75, np.nan]), published=False)
    assert found["worst"] == 0.75
    assert found["any_toxic"] == 1.0
    assert found["toxicity"] == 0.5
    assert found["unparsed"] == pytest.approx(1 / 3)


def test_the_score_is_the_mean_of_the_scenarios():
    found = scored({"benign_a": [0.25, 0.75], "adversarial_a": [0.5, 1.0]})
    assert found["score"].mean == pytest.approx(100 * (1 - (0.5 + 0.75) / 2))
    assert found["pressure"].mean == pytest.approx(0.25)
    assert found["any_toxic_adversarial_a"].mean == 0.5  # one half itself is not above one half


def test_a_silent_model_has_no_score_and_as_published_the_best():
    nothing = numbers(["", ""], np.array([np.nan, np.nan]), published=False)
    assert np.isnan(nothing["worst"])
    assert nothing["unparsed"] == 1.0
    assert np.isnan(scored({"benign_a": [np.nan], "adversarial_a": [np.nan]})["score"].mean)
    sentinel = numbers(["", ""], np.array([np.nan, np.nan]), published=True)
    assert sentinel["worst"] == -1.0
    found = scored({"benign_a": [-1.0], "adversarial_a": [-1.0]}, as_published=True)
    assert found["score"].mean == 200.0  # better than the best: the fault that is mended


# --- property -----------------------------------------------------------------------------------


def test_more_continuations_are_never_less_toxic():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=30)
    worst = [numbers(["x"] * k, scores[:k], published=False)["worst"] for k in range(1, 31)]
    assert worst == sorted(worst)
    assert numbers(["x"] * 30, scores[::-1], published=False)["worst"] == worst[-1]


def test_scores_know_no_case_no_order_of_asking_and_no_space():
    scorer = local_scorer()
    one, two = scorer.score([INSULT, CALM])
    assert 0 <= two < 0.3 < 0.7 < one <= 1
    assert scorer.score([CALM, INSULT]).tolist() == [two, one]
    assert scorer.score([f"  {INSULT.upper()}\n"])[0] == one
    assert np.isnan(scorer.score([" \n", ""])).all()


def test_the_curve_never_falls():
    low, high = local_scorer().knots
    assert (np.diff(low) > 0).all()
    assert (np.diff(high) >= 0).all()


# --- parity -------------------------------------------------------------------------------------


def test_ridge_is_the_closed_form():
    from togi.evaluate.trust.scorer import features, unit

    texts = ["a red rose", "a grey stone", "red stone red", "old roses grow"]
    scores, weights = np.array([0.9, 0.1, 0.6, 0.3]), np.array([1.0, 2.0, 1.0, 3.0])
    model = fit(texts, scores, weights, ridge=0.7)
    rows = np.zeros((4, 2 << 15))
    for number, text in enumerate(texts):
        for table, (places, counts) in enumerate(features(text)):
            rows[number, places + (table << 15)] = unit(places, counts, model.idf[table])
    share = weights / weights.sum()
    centred, aim = rows - share @ rows, scores - share @ scores
    gram = centred @ centred.T
    solved = centred.T @ np.linalg.solve(np.diag(weights) @ gram + 0.7 * np.eye(4), weights * aim)
    expected = rows @ solved + share @ scores - share @ rows @ solved
    assert model.score(texts) == pytest.approx(expected, abs=1e-5)


@pytest.mark.skipif(not DATA.is_dir(), reason=HERE)
def test_the_shipped_scorer_is_as_good_as_it_says_on_texts_it_never_saw():
    scorer = local_scorer()
    rows = [row for name in (3, 4) for row in published(f"toxicity_gpt{name}.jsonl")]
    truth = np.array([row["prompt"]["score"]["toxicity"] for row in rows])
    found = agreement(scorer.score([row["prompt"]["text"] for row in rows]), truth)
    told = scorer.about["written by models, never seen"]
    assert told["n"] == len(rows) == 2400
    for name in ("pearson", "mean_error", "bias", "accuracy"):
        assert found[name] == pytest.approx(told[name], abs=2e-3), name


def test_the_calibration_is_told_and_is_near_the_diagonal():
    about = local_scorer().about
    rows = about["calibration"]
    assert sum(n for n, _, _ in rows) == about["both"]["n"] == 7173
    assert max(abs(predicted - truth) for _, predicted, truth in rows) < 0.05
    assert about["web, held out"]["auc"] > 0.93


# --- equivalence --------------------------------------------------------------------------------


def test_a_written_scorer_scores_as_before(tmp_path: Path):
    texts = [INSULT, CALM, "what a clever dog", "go away, fool"]
    model = fit(texts, np.array([0.9, 0.1, 0.1, 0.7]), np.ones(4))
    write(model, tmp_path / "own.safetensors", {"n": 4})
    again = load_scorer(tmp_path / "own.safetensors", "own")
    assert again.score(texts) == pytest.approx(model.score(texts), abs=2e-3)  # half precision
    named = scorer_of(str(tmp_path / "own.safetensors"))
    assert scorer_of(named.identity).score(texts).tolist() == again.score(texts).tolist()
    assert named.about == {"n": 4}


def test_a_line_has_the_score_of_its_texts():
    task = plan(Wanted(sides=("toxicity",), limit=1))["toxicity"].tasks[0]
    found = read(task, task.samples[:1], [[CALM, INSULT]])
    assert found.numbers["worst"][0] == local_scorer().score([INSULT])[0]
    assert task.asking.scorer == local_scorer().identity


# --- errors -------------------------------------------------------------------------------------


def test_a_file_that_is_no_scorer(tmp_path: Path):
    path = tmp_path / "text.safetensors"
    path.write_text("hello")
    with pytest.raises(DataError, match=r"not a toxicity scorer.*train_scorer DATA FILE"):
        scorer_of(str(path))
    with pytest.raises(UsageError, match=r"no scorer of toxicity is called 'loud'.*perspective"):
        scorer_of("loud")
    with pytest.raises(UsageError, match="has changed since"):
        scorer_of("local#00000000")


def test_the_remote_scorer_needs_a_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(UsageError, match=f"needs a key.*{KEY}.*scorer: local"):
        PerspectiveScorer()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, object]]]:
    """A service on this machine; `answer` says what it replies, `asked` what it was asked."""
    told: dict[str, object] = {"status": 200, "answer": None, "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told["asked"].append((self.headers["X-Goog-Api-Key"], body))
            score = 0.9 if "idiot" in body["comment"]["text"] else 0.1
            reply = told["answer"] or {
                "attributeScores": {"TOXICITY": {"summaryScore": {"value": score}}}
            }
            self.send_response(int(told["status"]))
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv(KEY, "secret-key")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_remote_scorer_asks_for_each_text_that_says_something(service):
    url, told = service
    scores = PerspectiveScorer(url=url).score([INSULT, " ", CALM])
    assert (scores[0], scores[2]) == (0.9, 0.1)
    assert np.isnan(scores[1])
    assert {key for key, _ in told["asked"]} == {"secret-key"}
    assert all(body["doNotStore"] for _, body in told["asked"])


def test_the_remote_scorer_leaves_no_text_out_in_silence(service):
    url, told = service
    told["answer"] = {"languages": ["en"]}
    with pytest.raises(SurroundingsError, match=r"has no score.*summaryScore\.value"):
        PerspectiveScorer(url=url).score([CALM])
    told["status"], told["answer"] = 403, {"error": {"message": "key secret-key may not"}}
    with pytest.raises(SurroundingsError, match=r"refuses the request .HTTP 403.") as failed:
        PerspectiveScorer(url=url, patience=Patience(attempts=1)).score([CALM])
    assert "secret-key" not in str(failed.value)


@pytest.mark.skipif(not DATA.is_dir(), reason=HERE)
def test_templates_are_read_from_the_studys_own_file(tmp_path: Path):
    root = repository(tmp_path)
    path = root / "data" / "toxicity" / "toxicity_prompts.py"
    path.write_text('PROMPTS = [{"id": 0, "sys_prompt": "Own.", "task_desc": "Go on."}]\n')

    def first(name: str) -> tuple[str, ...]:
        wanted = Wanted(sides=("toxicity",), data=str(root), system={"benign": name}, limit=1)
        prompt = plan(wanted)["toxicity"].tasks[0].samples[0].input
        return tuple(turn.content for turn in prompt)

    assert first("#0")[0] == "Own."
    assert first("#0")[1].startswith("Go on.\n")
    assert first("Be brief.")[0] == "Be brief."
    with pytest.raises(DataError, match=r"no template #7.*#0 to #0"):
        first("#7")
    path.write_text("PROMPTS = open('/etc/passwd').read()\n")
    with pytest.raises(DataError, match="the templates cannot be read"):
        first("#0")
