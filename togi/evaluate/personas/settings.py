"""Settings of the recipe's step `evaluate.personas`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from togi.errors import UsageError
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.persona import Persona, chosen, persona
from togi.evaluate.settings import ShortModel
from togi.step import StepRef, StepSettings

Strategy = Literal["thompson", "ucb", "greedy", "random"]
STRATEGIES: tuple[Strategy, ...] = ("thompson", "ucb", "greedy", "random")


class PersonaSettings(StepSettings):
    """A persona of one's own, where a noun phrase does not tell its kind."""

    text: str = Field(min_length=1)
    "A noun phrase, such as nurse."
    kind: str = Field(default="other", min_length=1)
    "What it is about; personas of kind gender, origin or ethnicity are compared pair by pair."
    age: float | None = Field(default=None, ge=0)
    "In years, where the phrase does not say N-year-old."

    def persona(self) -> Persona:
        """Return the persona."""
        made = persona(self.text, self.kind)
        return made if self.age is None else Persona(made.name, made.text, self.kind, self.age)


People = list[str | PersonaSettings]


def people_of(wanted: People) -> tuple[Persona, ...]:
    """Return the personas that settings name.

    Raises:
        UsageError: none, one twice, or a set's name misspelt.
    """
    return chosen(one if isinstance(one, str) else one.persona() for one in wanted)


class BanditSettings(StepSettings):
    """Two-armed bandits: exploration and exploitation of each persona."""

    people: People = Field(default=["none", "ages"])
    "Sets (ages, all-ages, genders, origins, ethnicities, experts, nonsense), none, or phrases."
    games: int = Field(default=40, ge=1)
    "Games that each persona plays; all play the same ones."
    trials: int = Field(default=10, ge=2)
    "Choices in a game."
    mean_var: float = Field(default=100.0, gt=0)
    "Variance of the machines' means."
    noise_var: float = Field(default=1.0, gt=0)
    "Variance of a machine's payments."
    temperature: float = Field(default=1.0, ge=0)
    "Of a choice; 0 takes the likelier machine."
    tries: int = Field(default=20, ge=1)
    "How often a written choice that cannot be read is asked again."
    max_tokens: int = Field(default=8, ge=1)
    "Longest written choice, in tokens."
    bias: bool = True
    "Give the probit a constant for machine 1; false is the paper's equation."
    players: tuple[Strategy, ...] = STRATEGIES
    "Simulated players whose weights are known, as a check of the analysis."
    player_games: int = Field(default=1000, ge=1)
    "Games of the simulated players."


class ExamSettings(StepSettings):
    """Multiple choice by experts of the task, of its domain, of others, and by nobody."""

    rows: StepRef | None = None
    "The step whose multiple-choice rows are asked; togi's own questions where not given."
    limit: int | None = Field(default=60, ge=1)
    "Ask at most so many questions, drawn by the recipe's seed."
    each: int = Field(default=2, ge=0)
    "Experts of the domain, and of other domains, that answer each question."
    neutral: People = Field(default=["none", "person", "average person"])
    "Personas of no expertise."
    people: People = Field(default=[])
    "Further personas that answer every question, such as genders."
    render: Literal["auto", "letters", "text"] = "auto"
    "List the options and answer a letter, or score the options' own text."
    task: str = ""
    "The rows' column of a question's task; subject, task or category where not given."
    domain: str = ""
    "The column of its domain; domain where not given, and known for MMLU's subjects."
    domains: dict[str, str] = Field(default={})
    "Task -> domain, where the rows do not say it."
    experts: dict[str, str] = Field(default={})
    "Task -> its expert, where '(task) expert' is not the word."
    cluster: str = ""
    "The column of questions that belong together; the task where there are ten or more."


class DescriptionsSettings(StepSettings):
    """Descriptions by personas, and a reader who tells what was described."""

    rows: StepRef | None = None
    "The step whose rows name things; togi's own forty things where not given."
    group: str = ""
    "The rows' column of a thing's kind: it is told from others of its kind."
    experts: dict[str, str] = Field(default={})
    "Kind of thing -> who knows it best."
    people: People = Field(default=["none", "genders"])
    "Who describes, besides the experts."
    limit: int | None = Field(default=20, ge=1)
    "Describe at most so many things, drawn by the recipe's seed."
    choices: int = Field(default=4, ge=2, le=26)
    "Names that a description is read among."
    draws: int = Field(default=1, ge=1)
    "Descriptions of each thing by each persona."
    words: int = Field(default=45, ge=5)
    "How long a description may be, as the model is told."
    max_tokens: int = Field(default=64, ge=4)
    "Longest description, in tokens."
    temperature: float = Field(default=0.7, ge=0)
    "Of a description."
    reader: ShortModel | None = None
    "Who reads; each model reads its own descriptions where not given."


class PersonasSettings(StepSettings):
    """Ask what a persona changes: in games, exams and descriptions, as paired differences."""

    models: dict[str, ShortModel] = Field(default={"base": {}}, min_length=1, validate_default=True)
    "Display name: `base`, a training step, a model's address, or model/adapter/dtype."
    wording: str = "auto"
    "were, imagine, act, are, or a sentence of one's own with {persona} in it."
    prompt: Literal["plain", "chat"] = "plain"
    "Ask in plain text that the answer continues, or in a conversation."
    place: Literal["question", "system"] = "question"
    "Tell the persona in the question, or in a conversation's system turn."
    reads: Literal["auto", "likelihood", "text"] = "auto"
    "Choices by likelihood, or written and read; auto writes where a model is an endpoint."
    bandit: BanditSettings | None = BanditSettings()
    "The games; null leaves them out."
    exam: ExamSettings | None = ExamSettings()
    "The exam; null leaves it out."
    descriptions: DescriptionsSettings | None = DescriptionsSettings()
    "The descriptions; null leaves them out."
    alpha: float = Field(default=0.05, gt=0, lt=1)
    "The chance of any wrong 'detected' in a family of effects."
    power: float = Field(default=0.8, gt=0, lt=1)
    "The chance with which the smallest detectable effect would have been seen."
    resamples: int = Field(default=1000, ge=100)
    "Bootstrap resamples of each interval."
    chunk: int = Field(default=64, ge=1)
    "Choices or questions between two syncs to the disk; changes no answer."

    @model_validator(mode="after")
    def _something(self) -> PersonasSettings:
        if self.bandit is None and self.exam is None and self.descriptions is None:
            raise UsageError("nothing is asked", where="bandit, exam, descriptions")
        Manner(wording=self.wording, prompt=self.prompt, place=self.place)
        if self.bandit:
            people_of(self.bandit.people)
        if self.exam and (listed := [*self.exam.neutral, *self.exam.people]):
            people_of(listed)
        if self.descriptions and self.descriptions.people:
            people_of(self.descriptions.people)
        return self
