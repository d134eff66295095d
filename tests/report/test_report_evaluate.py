"""What the judge, the rule and the run write is what the page reads."""

import json
import re
from dataclasses import dataclass

import numpy as np
import pytest

from togi.evaluate.asking import Asking
from togi.evaluate.judge import judge
from togi.evaluate.kinds import TASK_KINDS
from togi.evaluate.tasks import Task
from togi.evaluate.verdict import Judged, Rule, verdict, write_verdict
from togi.lm.base import Generated, Scored
from togi.report.glossary import UNKNOWN
from togi.report.page import build, summary
from togi.rows.types import Sample


@dataclass
class Toy:
    """A model that gives each continuation a log-probability by its length, and always says one."""

    name: str
    bits: float
    text: str

    @property
    def fingerprint(self) -> str:
        return self.name

    def score(self, contexts, continuations):
        return [
            Scored((1,), np.array([-self.bits * len(text.encode()) * (0.6 + len(context) % 7 / 9)],
                                  dtype=np.float32), False)
            for context, text in zip(contexts, continuations, strict=True)
        ]  # fmt: skip

    def generate(self, prompts, sampling):
        empty = np.zeros(0, dtype=np.float32)
        return [[Generated(self.text, (1,), empty, "stop")] for _ in prompts]


@pytest.fixture(scope="module")
def judged_run(tmp_path_factory):
    """A run folder whose judging and verdict were written by togi.evaluate itself."""
    folder = tmp_path_factory.mktemp("run")
    texts = [f"{'word ' * (place % 7 + 1)}number {place}" for place in range(30)]
    written = tuple(
        Sample(id=f"s{place}", input=f"Say{'.' * (place % 7)}", target=text)
        for place, text in enumerate(texts)
    )
    picked = tuple(
        Sample(id=f"c{place}", input="Which?", target=place % 2, choices=("yes", "never"))
        for place in range(12)
    )
    tasks = [
        Task(name="docstrings", kind="bits_per_byte", samples=written),
        Task(name="choices", kind="multiple_choice", samples=picked),
        Task(name="form", kind="generate_and_check", samples=written[:10],
             asking=Asking(check="docstring_format")),
    ]  # fmt: skip
    models = {
        "base": Toy("base", 1.4, "returns it"),
        "tuned": Toy("tuned", 1.1, "Return the sum."),
    }
    judge(models, tasks, folder / "steps/judge-0", say=lambda _: None)
    rule = Rule(
        baseline="base", candidate="tuned", primary="docstrings", guards={"choices": 0.1},
        also=(("tuned", "base"),),
    )  # fmt: skip
    (folder / "steps/verdict-0").mkdir()
    told = verdict(Judged(folder / "steps/judge-0"), rule)
    write_verdict(folder / "steps/verdict-0/verdict.json", told)
    steps = [
        {"name": name, "use": f"evaluate.{name}", "hash": "0", "folder": f"steps/{name}-0",
         "status": "done"}
        for name in ("judge", "verdict")
    ]  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"name": "toy", "status": "done", "steps": steps}))
    return folder, told


def test_the_page_of_a_real_judging_defines_every_name(judged_run):
    text = build(judged_run[0]).read_text(encoding="utf-8")
    assert UNKNOWN not in text
    for kind in ("bits_per_byte", "multiple_choice", "generate_and_check"):
        for measure in TASK_KINDS[kind].measures(Asking(check="docstring_format")):
            assert re.search(rf'href="#word-[\w-]+">{measure.name}<', text), measure.name


def test_the_verdicts_words_and_numbers_reach_the_page_and_the_terminal(judged_run):
    folder, told = judged_run
    text = build(folder).read_text(encoding="utf-8")
    assert told["decision"] == "cannot tell"  # twelve questions are too few for the guard
    assert '<h2><span class="unseen">Verdict: </span>Cannot tell</h2>' in text
    assert f"Collect about <b>{told['collect_more']}</b> more samples to tell." in text
    assert "tuned beat base on docstrings" in text
    lines = summary(folder).splitlines()
    assert lines[0] == "Verdict: CANNOT TELL"
    mean = told["primary"]["estimate"]["mean"]
    difference = next(line for line in lines if line.lstrip().startswith("Difference"))
    assert f"−{-mean:.3f}"[:4] in difference
    assert difference.endswith("improved")
    assert any(line.split()[:2] == ["unclear", "choices:"] for line in lines)


def test_a_samples_value_is_computed_from_its_line_as_the_judge_does(judged_run):
    folder, _ = judged_run
    wanted = {}
    for line in (folder / "steps/judge-0/samples.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["task"] == "docstrings":
            numbers = entry["measures"]
            bits = numbers["nats"] / np.log(2) / numbers["bytes"]
            wanted[entry["id"], entry["model"]] = bits
    text = build(folder).read_text(encoding="utf-8")
    samples = text[text.index('<article id="samples-docstrings"') :].partition("</article>")[0]
    shown = re.findall(r'"id">(s\d+)</span><span class="headline">(.+) → (.+)</span>', samples)
    assert len(shown) == 5  # no regression, three gains, two drawn blindly
    for name, base, tuned in shown:
        assert float(base) == pytest.approx(wanted[name, "base"], abs=6e-4)
        assert float(tuned) == pytest.approx(wanted[name, "tuned"], abs=6e-4)
