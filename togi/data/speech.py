r"""What a writer says in his own voice, and the words by which he speaks of himself or of others.

Quotations, code and formulas are no speech of the writer: `for i in x`, `I = U/R` and "I came, I
saw" do not make a text one in the first person, nor do the numeral of "World War I" or "I/O".
"""

from __future__ import annotations

import re
from functools import lru_cache

MARKS = frozenset('`>$\\"“„«»')
"""One of these stands in whatever is no speech of the writer."""
NOT_SPEECH = re.compile(
    r"""
      (?P<fence>`{3,})(?!`) .*? (?: (?P=fence) | \Z )        # fenced code
    | (?P<ticks>`{1,2})(?!`) [^\n]+? (?<!`) (?P=ticks) (?!`)   # inline code
    | ^[ \t]* (?: (?:[-*+]|\d+[.)])[ ] )* > [^\n]*             # a quoted line
    | \$\$ .+? \$\$ | \\\( .+? \\\) | \\\[ .+? \\\]            # formulas
    | (?<![\w$\\]) \$(?![ ]) [^$\n]{1,300}? (?<![ \\]) \$ (?!\d)
    | (?<![\w"]) "(?=\S) [^"\n]{1,400} (?<=\S)" (?!\w)         # quoted speech
    | “[^“”\n]{1,400}” | „[^„“\n]{1,400}“ | «[^«»\n]{1,400}» | »[^«»\n]{1,400}«
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
RULERS = (
    "war|pope|king|queen|emperor|tsar|elizabeth|charles|francis|napoleon|henry|james|william|"
    "george|edward|richard|john paul|leopold|wilhelm|friedrich"
)
PARTS = (
    "Type|Part|Chapter|Volume|Vol\\.|Phase|Class|Title|Article|Act|Section|Level|Stage|Book|Group|"
    "Category|Form|Mark|Figure|Fig\\.|Table|Appendix|Schedule|Division|Tier|Grade|Symphony"
)
NUMERAL = re.compile(
    rf"""
      (?i: \b (?: {RULERS.replace(" ", "[ ]")} ) [ ] ) I\b (?!['’])
    | \b (?: {PARTS} ) [ -] I\b (?!['’])
    | \b (?: type|class|phase|stage|grade|level ) [ -] I
      (?= - | [ ](?: errors?|diabetes|collagen|interferons?|supernovae?|trials?|and|or|to )\b )
    | ^[ \t>*-]* \(? [IVX]+ [.)] (?=\s)     # a list's number
    | \( I \)
    | \b I\. (?= [ ]? [A-Z] )               # an initial
    | (?<= [A-Z]\.[ ] ) I\.
    """,
    re.MULTILINE | re.VERBOSE,
)
OWN = r"(?<![\w./\\@$%#-]) (?: {} ) (?! [\w\\@/(-] | [.:]\w )"
FIRST_PERSON: dict[str, re.Pattern[str]] = {
    "en": re.compile(
        r"(?<! [\w./\\@'’*^_=+-] ) I (?: ['’](?:m|ve|d|ll)\b )?"
        r"(?! [\w/\\@'’*^_=+\-(\[{] | \.\w | \s*[=<>+×*^≈] ) |" + OWN.format("[Mm]y(?:self)?"),
        re.VERBOSE,
    ),
    "de": re.compile(OWN.format("[Ii]ch | [Mm]ein(?:e[mnrs]?)? | [Mm]ir | [Mm]ich"), re.VERBOSE),
}
"""Words that make a text one in the first person, by language."""


def _leaning(**patterns: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compile patterns, each under a stem that stands in all it can match, in lower case."""
    flags = re.IGNORECASE | re.VERBOSE
    return tuple((stem, re.compile(pattern, flags)) for stem, pattern in patterns.items())


SITES = {
    "stack": r"\b stack[ ]?(?:exchange|overflow) \b",
    "overflow": r"\b math[ ]?overflow \b",
    "fault": r"\b server[ ]?fault \b",
    "ubuntu": r"\b ask[ ]?ubuntu \b",
}
SAYS = r"(?: was|is|has|have|been|already|previously|others?|someone|somebody|people|many|@\w+ )"
WHO = ("others", "someone", "somebody", "everyone", "people")
HAVE_SAID = (
    r"(?:here[ ])? (?:has|have|had) [ ] (?:already[ ])?"
    r"(?: said|mentioned|noted|pointed|answered|suggested|posted|explained )"
)
KINDS = "other|another|previous|accepted|existing|top|upvoted|above|linked|earlier"
OTHER_ANSWERS: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    "en": _leaning(
        mentioned=rf"\b as [ ] (?: {SAYS} [ ] ){{0,3}} mentioned \b",
        pointed=rf"\b as [ ] (?: {SAYS} [ ] ){{0,3}} pointed[ ]out \b",
        said=r"\b as [ ] (?:already[ ])? said [ ] (?:above|before|below|earlier) \b",
        noted=r"\b as [ ] (?:already[ ])? noted [ ] (?:above|before|below|earlier) \b",
        answer=rf"\b (?:{KINDS}) [ ] answers? \b | \b answers? [ ] (?:above|below|here|so[ ]far) \b"
        r"| \b (?-i: [A-Z]\w+ ) ['’]s? [ ] answer \b",
        comment=r"\b comments? [ ] (?:above|below|here) \b | \b commenters? \b"
        r"| \b (?:in|see|from) [ ] (?:the|your|his|her|a|my) [ ] comments? \b"
        r"| \b (?-i: [A-Z]\w+ ) ['’]s? [ ] comment \b",
        poster=r"\b original[ ]poster \b",
        vot=r"\b (?:up|down)-?vot(?:e|es|ed|ing) \b",
        duplicate=r"\b duplicate[ ](?:of|question) \b",
        **{who: rf"\b {who} [ ] {HAVE_SAID} \b" for who in WHO},
        **{
            "the op": r"\b the[ ]OP \b",
            "op's": r"\b (?-i: OP ) 's \b",
            "op’s": r"\b (?-i: OP ) ’s \b",
            "+1": r"(?<!\w) \+1 [ ] (?:for|to) \b",
            "@": r"(?<![\w.]) @ [A-Za-z]\w+ ['’:,]?s? [ ] (?: said|mention|suggest|point|answer|"
            r"comment|note[ds]|is[ ]right|is[ ]correct )",
        },
        **SITES,
    ),
    "de": _leaning(
        erwähnt=r"\b wie [ ] (?:\w+[ ]){0,3} erwähnt \b",
        angemerkt=r"\b wie [ ] (?:\w+[ ]){0,3} angemerkt \b",
        gesagt=r"\b wie [ ] (?:schon|bereits|oben) [ ] gesagt \b",
        antwort=r"\b (?:ander|akzeptiert|vorherig|obig|bisherig) e[nrs]? [ ] Antwort(?:en)? \b",
        kommentar=r"\b (?:in|zu) [ ] (?:den|deinem|einem) [ ] Kommentar(?:en)? \b",
        **{"der op": r"\b der[ ]OP \b"},
        duplikat=r"\b Duplikat[ ]von \b",
        **SITES,
    ),
}
"""Words by which a text leans on other answers, comments or the site, by language and stem."""


@lru_cache(maxsize=4)  # several rules ask for the same text one after another
def own_words(text: str) -> str:
    r"""Return a text without quotations, code and formulas.

    >>> own_words('Use `my_i` for "I think"; here $I = 3$ A.').split()
    ['Use', 'for', ';', 'here', 'A.']
    """
    return NOT_SPEECH.sub(" ", text) if MARKS.intersection(text) else text


def in_first_person(text: str, language: str = "en") -> bool:
    """Whether the writer speaks of himself.

    >>> in_first_person("I fry them."), in_first_person("World War I, `I`, and I/O")
    (True, False)
    """
    pattern, own = FIRST_PERSON[language], own_words(text)
    # Looking for numerals costs more than looking for the words, and most texts have neither.
    return bool(pattern.search(own) and pattern.search(NUMERAL.sub(" ", own)))


def leans_on_others(text: str, language: str = "en") -> bool:
    """Whether a text refers to other answers, to comments or to the site.

    >>> leans_on_others("As mentioned, salt it."), leans_on_others("The answer is 42.")
    (True, False)
    """
    own = own_words(text)
    low = own.lower()
    return any(stem in low and pattern.search(own) for stem, pattern in OTHER_ANSWERS[language])
