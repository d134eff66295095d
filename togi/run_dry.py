"""`togi run --dry-run`: the plan, one sample as the model will see it, and what it will cost.

Nothing is trained, and nothing is written but in a temporary folder. Rows that no earlier run
has made are read from the first rows of their source.
"""

from __future__ import annotations

import importlib
import itertools
import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from togi.errors import SurroundingsError, UsageError
from togi.recipe import Recipe, StepKind
from togi.recipe_refs import refs
from togi.run_plan import PlannedStep, plan
from togi.run_step import run_function
from togi.step import StepSettings, Work
from togi.voice import Voice, duration

FIRST_ROWS = 200
"Rows that are read of a source that no run has read yet."
BARS = "▁▂▃▄▅▆▇█"


def dry_run(
    recipe: Recipe,
    folder: Path,
    kinds: Mapping[str, StepKind],
    voice: Voice,
    *,
    force: Collection[str] = (),
) -> None:
    """Say what running the recipe in this folder would do.

    Raises:
        TogiError: what would also stop the run, as far as it can be known before.
    """
    planned = plan(recipe, folder, kinds, force)
    voice.line(f"{recipe.name} in {folder}: model {recipe.model}, seed {recipe.seed}")
    _say_plan(planned, voice)
    tuned = [item for item in planned if item.step.use.startswith("align.") and not item.done]
    if not tuned:
        return
    with tempfile.TemporaryDirectory(prefix="togi-dry-") as place:
        rows = Rows({item.step.name: item for item in planned}, Path(place), recipe.seed, voice)
        tokenizer = _tokenizer(recipe.model, voice)
        if tokenizer is None:
            return
        _say_sample(tuned[0], rows, tokenizer, voice)
        _say_forecasts(recipe, tuned, rows, voice)


def _say_plan(planned: list[PlannedStep], voice: Voice) -> None:
    """Say each step, whether it is done, why, and the settings that are not the default."""
    width = max(len(item.step.name) for item in planned)
    use = max(len(item.step.use) for item in planned)
    for item in planned:
        state = "done     " if item.done else "would run"
        line = f"  {item.step.name:{width}}  {item.step.use:{use}}  {state}  {item.why}"
        given = item.step.settings.model_dump(mode="json", exclude_unset=True)
        voice.event(
            "plan",
            text=line + "".join(f"\n      {key}: {_short(value)}" for key, value in given.items()),
            step=item.step.name,
            use=item.step.use,
            done=item.done,
            why=item.why,
            settings=item.step.settings.model_dump(mode="json"),
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "..."


class Rows:
    """Rows for a step before they are made: those of an earlier run, or the source's first ones."""

    def __init__(
        self, planned: Mapping[str, PlannedStep], place: Path, seed: int, voice: Voice
    ) -> None:
        self.planned, self.place, self.seed, self.voice = planned, place, seed, voice

    def file(self, ref: str) -> Path | None:
        """Return a file with rows that stand for a reference's."""
        name, _, output = ref.partition(".")
        item = self.planned[name]
        if item.done:
            found = item.outputs.get(output or "rows")
            return Path(found) if isinstance(found, str) and found.endswith(".jsonl") else None
        if not item.step.needs:
            return self._first(item)
        pointed = (ref for _, ref in refs(item.step.settings))
        return next((file for file in map(self.file, pointed) if file), None)

    def _first(self, item: PlannedStep) -> Path | None:
        """Run a step that reads a source, with a limit, in the temporary folder."""
        settings = item.step.settings
        if "limit" not in type(settings).model_fields:
            return None
        folder = self.place / item.step.name
        if not folder.exists():
            folder.mkdir(parents=True)
            self.voice.line(f"reading the first {FIRST_ROWS} rows of '{item.step.name}'")
            least = min(getattr(settings, "limit", None) or FIRST_ROWS, FIRST_ROWS)
            work = Work(folder=folder, seed=self.seed, name=item.step.name, model="", say=_unsaid)
            run_function(item.kind)(settings.model_copy(update={"limit": least}), work)
        return next(iter(sorted(folder.glob("*rows.jsonl"))), None)

    def inputs(self, settings: StepSettings) -> tuple[StepSettings, dict[str, dict[str, Any]]]:
        """Return settings and inputs with which a step can be measured.

        An input that is not rows and not made yet, such as an adapter, is left out.
        """
        inputs: dict[str, dict[str, Any]] = {}
        absent: dict[str, None] = {}
        for loc, ref in refs(settings):
            name, _, output = ref.partition(".")
            item, key = self.planned[name], str(loc[0])
            if item.done:
                inputs[name] = item.outputs
            elif item.step.use.startswith("align.") and item.step.use != "align.pairs":
                absent[key] = None
            elif file := self.file(ref):
                inputs.setdefault(name, {})[output or "rows"] = str(self._fitting(item, file))
            else:
                absent[key] = None
        return settings.model_copy(update=absent), inputs

    def _fitting(self, item: PlannedStep, file: Path) -> Path:
        """Return pairs where pairs are wanted: another row's response stands in for the model's."""
        if item.step.use != "align.pairs":
            return file
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        limit: int | None = getattr(item.step.settings, "limit", None)
        answered = [row for row in rows if "response" in row][:limit]
        others = itertools.islice(itertools.cycle(answered), 1, None)
        pairs = [
            {
                "id": row["id"],
                "prompt": row["prompt"],
                "chosen": row["response"],
                "rejected": f"{other['response']} ",
            }
            for row, other in zip(answered, others, strict=False)
        ]
        target = self.place / f"{item.step.name}-pairs.jsonl"
        target.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
        return target


def _unsaid(text: str) -> None:
    """Say nothing: what a step says of its first rows is not what it will say of all."""


def _tokenizer(model: str, voice: Voice) -> Any:
    """Return the model's tokenizer, or None where it is not on this machine."""
    from togi.lm.catalogue import resolve

    try:
        folder = resolve(model, offline=True, say=_unsaid)
    except (SurroundingsError, UsageError) as error:
        voice.line(f"no sample and no forecast: {error}")
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def _say_sample(item: PlannedStep, rows: Rows, tokenizer: Any, voice: Voice) -> None:
    """Show one row as token ids see it, and how long the rows are."""
    from togi.rows.chat import Rendered, Renderer

    ref = getattr(item.step.settings, "rows", None)
    file = rows.file(ref) if isinstance(ref, str) else None
    if file is None:
        voice.line("no sample: the rows depend on steps that are not done yet")
        return
    longest = getattr(item.step.settings, "max_tokens", 2048)
    renderer = Renderer(tokenizer, max_tokens=longest)
    shown, lengths, answers = "", [0] * 0, 0
    for row_id, prompt, response in _asked(file):
        rendered = renderer.example(prompt, response, id=row_id)
        if isinstance(rendered, Rendered):
            shown = shown or renderer.show(rendered)
            lengths.append(len(rendered.ids))
            answers += len(rendered.answer_ids)
    if not lengths:
        voice.line(f"no row can be trained on: {dict(renderer.dropped)}")
        return
    voice.event("sample", text=f"a sample of '{item.step.name}': {shown}", rows=len(lengths))
    share = 100 * answers / sum(lengths)
    lost = "".join(f", {n} {reason}" for reason, n in renderer.dropped.items())
    text = (
        f"tokens of {len(lengths)} rows: {sum(lengths)}, {share:.0f} % of them trained{lost}\n"
        f"  row length {histogram(lengths)}"
    )
    voice.event("tokens", text=text, lengths=sorted(lengths), trained=answers)


def _asked(file: Path) -> Iterator[tuple[str, Any, str]]:
    """Yield (id, prompt, response) of the rows that have them."""
    from togi.rows.read import read_rows
    from togi.rows.types import Example, Preference

    for row in itertools.islice(read_rows(str(file)), FIRST_ROWS):
        if isinstance(row, Example):
            yield row.id, row.prompt, row.response
        elif isinstance(row, Preference):
            yield row.id, row.prompt, row.chosen


def histogram(values: list[int], bins: int = 12) -> str:
    """Draw how values are spread, from the least to the greatest.

    >>> histogram([1, 1, 1, 2, 3], bins=3)
    '1 █▄▄ 3, median 1'
    """
    low, high = min(values), max(values)
    counts = [0] * bins
    for value in values:
        counts[min((value - low) * bins // max(high - low, 1), bins - 1)] += 1
    most = max(counts)
    bars = "".join(BARS[(count * (len(BARS) - 1) + most - 1) // most] for count in counts)
    return f"{low} {bars} {high}, median {sorted(values)[(len(values) - 1) // 2]}"


def _say_forecasts(recipe: Recipe, tuned: list[PlannedStep], rows: Rows, voice: Voice) -> None:
    """Measure one training step of each kind of tuning, and say time and memory to expect."""
    known: dict[str, dict[str, Any]] = {}
    total = 0.0
    for item in tuned:
        measure = getattr(importlib.import_module(item.kind.module), "forecast", None)
        if measure is None or item.step.use == "align.pairs":
            continue
        settings, inputs = rows.inputs(item.step.settings)
        if getattr(settings, "rows", "") is None:
            name = item.step.name
            voice.line(f"no forecast of '{name}': its rows depend on steps that are not done yet")
            continue
        pointing = {str(loc[0]) for loc, _ in refs(item.step.settings)}
        same = item.step.use + settings.model_dump_json(exclude=pointing)
        if same not in known:
            folder = rows.place / f"forecast-{item.step.name}"
            folder.mkdir()
            work = Work(
                folder=folder, seed=recipe.seed, name=item.step.name, model=recipe.model,
                inputs=inputs, say=_unsaid, offline=True,
            )  # fmt: skip
            known[same] = measure(settings, work)
        found = known[same]
        total += float(found["seconds"])
        took, memory = duration(float(found["seconds"])), float(found["memory_mb"]) / 1000
        text = (
            f"forecast of '{item.step.name}': {found['steps']} steps, about {took}, "
            f"{memory:.1f} GB of memory (from one measured step)"
        )
        voice.event("forecast", text=text, step=item.step.name, **found)
    if total:
        text = (
            f"training in all: about {duration(total)}; reading, sampling and judging come on top"
        )
        voice.event("forecast total", text=text, seconds=total)
