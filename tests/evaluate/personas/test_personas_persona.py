"""Personas, their sets, articles and wordings; choices read from written answers."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from togi.errors import UsageError
from togi.evaluate.personas.manner import WORDINGS, Manner
from togi.evaluate.personas.parsing import parse_choice
from togi.evaluate.personas.persona import SETS, Persona, chosen, persona, with_article
from togi.evaluate.personas.protocol import Turn, read_machine, turn_prompt
from togi.evaluate.personas.settings import PersonaSettings, people_of
from togi.rows.types import Message

WUG = persona("wug")
NOBODY = persona("none")


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("1-year-old", "a 1-year-old"), ("8-year-old", "an 8-year-old"),
        ("11-year-old", "an 11-year-old"), ("18-year-old", "an 18-year-old"),
        ("80-year-old", "an 80-year-old"), ("110-year-old", "a 110-year-old"),
        ("hour hand", "an hour hand"), ("European", "European"), ("eurocrat", "a eurocrat"),
        ("uninformed person", "an uninformed person"), ("unit head", "a unit head"),
        ("one-armed bandit", "a one-armed bandit"), ("my mother", "my mother"),
        ("user", "a user"), ("usher", "an usher"),
    ],
)  # fmt: skip
def test_articles(phrase: str, expected: str):
    assert with_article(phrase) == expected


def test_ages_are_read_and_spaces_do_not_count():
    assert persona("  8-year-old   girl ") == Persona(
        "8-year-old girl", "an 8-year-old girl", "age", 8.0
    )
    assert persona("13 year old").age == 13
    assert persona("nurse", "gender") == Persona("nurse", "a nurse", "gender", None)
    own = PersonaSettings(text="toddler", kind="age", age=2.5).persona()
    assert own == Persona("toddler", "a toddler", "age", 2.5)


def test_the_sets_are_the_papers():
    assert [who.age for who in SETS["ages"]] == [2, 4, 7, 13, 20]
    assert len(SETS["all-ages"]) == 31
    assert SETS["all-ages"][-1].age == 60
    people = chosen(["none", "genders", "clown", PersonaSettings(text="x").persona()])
    assert [who.name for who in people] == [
        "none", "woman", "man", "non-binary person", "clown", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([], "no persona is given"),
        (["none", "none"], "the persona 'none' stands twice"),
        (["ages", "7-year-old"], "the persona '7-year-old' stands twice"),
        (["agse"], "no set of personas is called 'agse'.*did you mean 'ages'"),
        (["orgins"], "did you mean 'origins'"),
        (["  "], "a persona is empty"),
    ],
)
def test_faults_in_a_list_of_personas_are_told(wanted, message):
    with pytest.raises(UsageError, match=message):
        people_of(wanted)


def test_a_persona_of_ones_own_needs_words():
    with pytest.raises(ValidationError, match="text"):
        PersonaSettings(text="")


# --- wording --------------------------------------------------------------------------------------


def test_the_four_wordings():
    asked = {name: Manner(wording=name).question(WUG, "what is it?") for name in WORDINGS}
    assert asked == {
        "were": "If you were a wug, what is it?",
        "imagine": "Imagine you are a wug. What is it?",
        "act": "Act as if you were a wug. What is it?",
        "are": "You are a wug. What is it?",
    }


def test_nobody_is_asked_without_any_persona():
    for wording in WORDINGS:
        assert Manner(wording=wording).question(NOBODY, "what is it?") == "What is it?"
    system = Manner(prompt="chat", place="system")
    assert system.prompted(NOBODY, "Hello", "A:") == (Message("user", "Hello"),)


def test_braces_quotes_and_percents_are_letters():
    odd = persona('person who says "{x}" {0} %s {persona}')
    assert Manner().question(odd, "why?") == f"If you were {odd.text}, why?"
    assert "{x}" in Manner(wording="Be {persona}; {x}.").question(odd, "why?")


def test_a_system_turn_tells_the_persona_once():
    manner = Manner(prompt="chat", place="system")
    told = manner.prompted(WUG, manner.question(WUG, "what is it?"), "Answer: Machine")
    assert told == (
        Message("system", "Act as if you were a wug."), Message("user", "What is it?"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wording": "You are someone."}, r"a wording must have \{persona\} in it, once"),
        ({"wording": "{persona} and {persona}."}, "in it, once"),
        ({"wording": "wree"}, r"in it, once.*were, imagine"),
        ({"place": "system"}, "plain text has no system turn.*prompt: chat"),
        ({"place": "system", "prompt": "chat", "wording": "were"}, "needs a whole sentence"),
    ],
)
def test_faults_in_a_manner_are_told(settings, message):
    with pytest.raises(UsageError, match=message):
        Manner(**settings)


# --- the bandit's text ----------------------------------------------------------------------------


def test_the_whole_prompt_letter_by_letter():
    turn = Turn(WUG, 0, 2, 4, ((3.14,), (-2.0,)))
    assert turn_prompt(Manner(), turn, written=False) == (
        "Two slot machines, machine 1 and machine 2. A machine does not pay the same points each "
        "time: its payments scatter around its own average, and one of the two has the higher "
        "average. After each choice the player is told what the chosen machine paid. The goal is "
        "to collect as many points as possible in 4 choices.\n\n"
        "Choice 3 of 4. Points so far:\n- machine 1: 3.1\n- machine 2: -2.0\n\n"
        "Question: If you were a wug, which machine would you choose?\nAnswer: Machine"
    )
    chat = turn_prompt(Manner(prompt="chat"), turn, written=True)
    assert isinstance(chat, tuple)
    assert chat[-1].content.endswith("choose? Reply with the machine's number only, 1 or 2.")
    assert "Answer:" not in chat[-1].content


def test_personas_share_all_but_the_question():
    prompts = [
        str(turn_prompt(Manner(), Turn(who, 0, 1, 3, ((1.0,), ())), written=False))
        for who in (WUG, NOBODY)
    ]
    shared = len(prompts[0].split("Question:")[0])
    assert prompts[0][:shared] == prompts[1][:shared]
    assert shared > 0.7 * len(prompts[0])


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", 1), (" 1.", 0), ("**2**", 1), ('"1"', 0), ("Machine 2", 1), ("machine 1!", 0),
        ("I choose machine 2, as machine 2 paid more", 1), ("1. It paid more.", 0),
        ("Machine number 2", 1), ("Machine #1", 0), ("1) sure", 0),
        ("1, 2", None), ("1: 2.5", 0), ("1. Wash\n2. Dry\n", None), ("1.\n\nYes, 1.", 0),
        ("2. Because machine 1 paid less", None),
        ("1 or 2", None), ("machine 1 or machine 2", None), ("3", None), ("12", None),
        ("1.5", None), ("", None), ("neither", None), ("the first", None), ("21 points", None),
        ("２", None), ("machine", None),
    ],
)  # fmt: skip
def test_a_machine_is_read_or_it_is_unknown(text, expected):
    assert parse_choice(text, "12", ["machine"]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", 1), ("(C)", 2), ("The answer is D.", 3), ("Answer: A", 0), ("A good question", None),
        ("B: because", 1), ("answer A, not answer B", None), ("E", None), ("option C", 2),
        ("A, B and C are wrong", None), ("B, I think", 1), ("C) The answer is C", 2),
        ("A. But the answer is B", None), ("A/B", None),
    ],
)  # fmt: skip
def test_a_letter_is_read_or_it_is_unknown(text, expected):
    assert parse_choice(text, "ABCD", ["answer", "option"]) == expected


def test_only_the_first_line_of_a_plain_answer_counts():
    assert read_machine(" 2\nAnswer: Machine 1", plain=True) == 1
    assert read_machine("\n2", plain=True) is None
