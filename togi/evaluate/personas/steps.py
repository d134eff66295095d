"""The recipe's step `evaluate.personas`: from settings to probes, from answers to files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from togi.evaluate.personas.settings import (
    BanditSettings,
    DescriptionsSettings,
    ExamSettings,
    PersonasSettings,
    people_of,
)
from togi.evaluate.settings import ModelSettings
from togi.step import Work

if TYPE_CHECKING:
    from togi.evaluate.personas.descriptions import Describing
    from togi.evaluate.personas.exam import Exam
    from togi.evaluate.personas.persona import Persona
    from togi.evaluate.personas.probes import Bandit, Probes

Reads = Literal["likelihood", "text"]
__all__ = ["PersonasSettings", "run_personas"]


def run_personas(settings: PersonasSettings, work: Work) -> dict[str, Any]:
    """Ask and tell; outputs `personas`, `effects`, `samples` and a table of each probe.

    All that is asked is built before the first model is opened, so a fault in it shows at once.
    """
    from togi.evaluate.personas.effects import Trust
    from togi.evaluate.personas.probes import ask_all
    from togi.evaluate.personas.scores import scores_of, write
    from togi.evaluate.steps import opener
    from togi.stats import derive

    notes: list[str] = []
    probes = probes_of(settings, work, notes)
    for note in notes:
        work.say(note)
    models = {name: opener(model, work) for name, model in settings.models.items()}
    asked = ask_all(models, probes, work.folder, chunk=settings.chunk, say=work.say)
    trust = Trust(
        alpha=settings.alpha,
        power=settings.power,
        draws=settings.resamples,
        seed=derive(work.seed, "personas", "draws"),
    )
    found = scores_of(probes, asked, trust)
    found["notes"] = notes
    outputs = write(work.folder, probes, asked, found)
    for line in found["told"]:
        work.say(line)
    return {**outputs, "notes": [*notes, *found["told"]]}


def probes_of(settings: PersonasSettings, work: Work, notes: list[str]) -> Probes:
    """Return what is asked; what cannot be asked of it is said in the notes.

    Raises:
        TogiError: personas, rows or things that cannot be asked.
    """
    from togi.evaluate.personas.manner import Manner
    from togi.evaluate.personas.probes import Probes
    from togi.evaluate.steps import opener

    reads = reads_of(settings.reads, settings.models, work)
    written = settings.descriptions
    reader = written.reader if written else None
    read_by = reads if reader is None else reads_of(settings.reads, {"reader": reader}, work)
    return Probes(
        manner=Manner(wording=settings.wording, prompt=settings.prompt, place=settings.place),
        bandit=bandit_of(settings.bandit, work, reads) if settings.bandit else None,
        exam=exam_of(settings.exam, work, notes, reads) if settings.exam else None,
        describing=describing_of(written, work, read_by) if written else None,
        reader=opener(reader, work) if reader else None,
    )


def reads_of(wanted: str, models: Mapping[str, ModelSettings], work: Work) -> Reads:
    """Return how choices are read, the same for all models so that they can be compared."""
    from togi.lm.open import ENDPOINT

    if wanted != "auto":
        return "text" if wanted == "text" else "likelihood"
    served = any((m.model or work.model).startswith(ENDPOINT) for m in models.values())
    return "text" if served else "likelihood"


def bandit_of(settings: BanditSettings, work: Work, reads: Reads) -> Bandit:
    """Return the games, drawn by the recipe's seed, and who plays them."""
    from togi.evaluate.personas.bandit import Rules, draw_games
    from togi.evaluate.personas.players import Simulated
    from togi.evaluate.personas.probes import Bandit
    from togi.stats import derive

    rules = Rules(trials=settings.trials, mean_var=settings.mean_var, noise_var=settings.noise_var)
    seed = derive(work.seed, "personas", "players")
    return Bandit(
        people=people_of(settings.people),
        games=draw_games(settings.games, rules, work.seed),
        reads=reads,
        temperature=settings.temperature,
        tries=settings.tries,
        max_tokens=settings.max_tokens,
        bias=settings.bias,
        players={name: Simulated(name, seed=seed) for name in settings.players},
        player_games=draw_games(settings.player_games, rules, work.seed),
        seed=derive(work.seed, "personas", "written") >> 1,
    )


def exam_of(settings: ExamSettings, work: Work, notes: list[str], reads: Reads) -> Exam:
    """Return the exam: of the rows that are named, else of togi's own questions."""
    from togi.evaluate.personas.exam import check
    from togi.evaluate.personas.exam_rows import Sitting, exam_of_rows, own_exam
    from togi.rows.read import read_rows

    def people(wanted: Any) -> tuple[Persona, ...]:
        return people_of(wanted) if wanted else ()

    sitting = Sitting(
        neutral=people(settings.neutral),
        more=people(settings.people),
        each=settings.each,
        render=settings.render,
        reads=reads,
        task=settings.task,
        domain=settings.domain,
        domains=settings.domains,
        experts=settings.experts,
        cluster=settings.cluster,
        limit=settings.limit,
        seed=work.seed,
    )
    if settings.rows is None:
        found = own_exam(sitting)
    else:
        rows = read_rows(work.input(settings.rows, "rows"), offline=work.offline)
        found = exam_of_rows(rows, sitting, notes)
    notes += check(found)
    return found


def describing_of(settings: DescriptionsSettings, work: Work, reads: Reads) -> Describing:
    """Return the things, who describes them, and how they are read."""
    from togi.evaluate.personas.descriptions import Describing, among, own_things, things_of_rows
    from togi.evaluate.personas.persona import chosen, persona
    from togi.evaluate.personas.things import THINGS
    from togi.lm.base import Sampling
    from togi.rows.read import read_rows
    from togi.stats import derive, stream

    experts = dict(settings.experts)
    if settings.rows is None:
        named, about = own_things(), "togi's own things"
        experts = {**{kind: group.expert for kind, group in THINGS.items()}, **experts}
    else:
        rows = read_rows(work.input(settings.rows, "rows"), offline=work.offline)
        named, about = things_of_rows(rows, settings.group), "the rows' things"
    things = among(named, settings.choices)
    order = stream(work.seed, "personas", "things").permutation(len(things))[: settings.limit]
    kept = tuple(things[place] for place in sorted(int(one) for one in order))
    mine = {kind: who for kind, who in experts.items() if kind in {one.group for one in kept}}
    people = list(people_of(settings.people)) if settings.people else []
    known = {who.name for who in people}
    people += [persona(who, "expert") for who in dict.fromkeys(mine.values()) if who not in known]
    return Describing(
        things=kept,
        people=chosen(people),
        experts=mine,
        words=settings.words,
        sampling=Sampling(
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            n=settings.draws,
            seed=derive(work.seed, "personas", "descriptions") >> 1,
        ),
        reads=reads,
        about=about,
    )
