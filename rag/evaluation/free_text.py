"""What a free text answers: yes, no, maybe, an option, that it refuses, or nothing at all.

Published scorers look for "yes" anywhere in a text, count whatever holds no "no" as yes, or skip what they cannot read;
the same model then differs by tens of points between harnesses. Here every text gets one of six readings, by rules that
can be read, tested on lines of our own (``tests/data/answers.jsonl``). A stated conclusion ("final answer: no") counts
before the words at the beginning, these before a statement ("The lungs are clear"), which is read for its question as
evidence is. What answers nothing is *none*, never a side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from rag.generation.speech import said_in
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.reading import read_passage

Meaning = Literal["yes", "no", "maybe", "option", "refused", "none"]

_DECORATION = re.compile(r"^(?:\s|[-*>#_\"'“”‘’`•]|\d{1,2}[.)](?=\s)|\[\d+\])+|(?:\s|[*_\"'“”‘’`])+$")
_EMPHASIS = re.compile(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}|__|`")
_ROLE = re.compile(r"^(?:(?:assistant|model|system)\s*:|(?:final\s+)?answer\s*:?\s*\n)\s*", re.I)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}?\}")
_KEYS = ("answer", "answer_choice", "final_answer", "verdict", "choice", "option", "prediction")
_NOTHING = frozenset({"", "none", "n/a", "na", "null", "nan", "nil", "nothing", "answer", "answer:"})
_ECHO = re.compile(r"^(?:answer with |please answer )?\W*yes\W*(?:/|or)\W*no\W*$", re.I)

_CONCLUSION = re.compile(
    r"\b(?:(?:final|short|correct|right|my|the|best)\s+)*(?:answer|verdict|conclusion|response|choice)\b"
    r"(?:\s+(?:to|of)\s+(?:the|this|that)\s+question)?\s*(?:is|would be|must be|:|=|-|–)+[\s:*_\"'“‘(\[]*"
    r"(?P<said>yes|no|maybe|true|false|uncertain|[a-z](?=[\s.,;:)\]*\"']|$))",
    re.I,
)
_TO_ME = re.compile(r"^(?:i\s+(?:would|'d)\s+(?:say|answer)|i\s+(?:think|choose|pick|select|say))\s*[:,]?\s+", re.I)
_CANNOT = r"(?:can\s?not|can['’]t|could\s?n[o'’]t|unable\s+to|not\s+able\s+to|not\s+possible\s+to|impossible\s+to)"
_REFUSAL = re.compile(
    rf"""
    ^(?:i['’]m\s+|i\s+am\s+)?(?:sorry|afraid)\b | \bas\s+an\s+(?:ai|artificial)\b
    | {_CANNOT}\s+(?:be\s+)?(?:answer|determin|help|assist|provide|interpret|view|see\s+(?:the|this|that|any)?\s*
      images?|diagnos|tell|say|access|assess|judg|decid|confirm|know)
    | \b(?:not\s+enough|insufficient)\s+(?:information|evidence|data|context|detail)
    | \bdo(?:es)?(?:n['’]t|\s+not)\s+(?:mention|say|state|specify|tell|provide\s+enough)
    | \bi\s+do(?:n['’]t|\s+not)\s+know
    | ^(?:it\s+is\s+)?(?:unknown|not\s+(?:mentioned|stated|specified|reported|provided|answered|answerable))\b
    | ^no\s+(?:answer|image|picture|report|context)\b.*\b(?:given|provided|attached|available|shown|supplied)
    | ^please\s+(?:consult|provide|upload|see\s+a|ask)
    """,
    re.I | re.X,
)
_MAYBE = re.compile(
    r"^(?:yes\s+and\s+no|maybe|perhaps|possibly|possible|(?:it|this|that)\s+is\s+(?:possible|unclear|uncertain|not\s+clear)"
    r"|could\s+be|may\s*be|(?:it|that)\s+depends|uncertain|unclear|not\s+(?:clear|certain|sure)|equivocal|indeterminate"
    r"|inconclusive)\b|\b(?:inconclusive|results?\s+(?:is|are)\s+mixed|evidence\s+is\s+mixed)\b",
    re.I,
)
_NO = re.compile(
    r"^(?:(?:most\s+|very\s+)?(?:probably|likely|certainly|definitely|absolutely|of\s+course)\s+)?"
    r"(?:no(?!\.?\s*\d)(?=\s*(?:[.,;:!—–-]|$|,?\s+(?:it|there|this|they|he|she|not)\b))|nope|not?\s+really|not\s+at\s+all"
    r"|not\s*[.!]*$|false|incorrect|wrong\b|negative\s*[.!]*$|unlikely\b|i\s+do(?:n['’]t|\s+not)\s+think\s+so"
    r"|(?:that|this|it)\s+is\s+(?:not\s+(?:correct|true|the\s+case|so)|false|incorrect|wrong)\b"
    r"|(?:it|that|this|they)\s+(?:does|do|did|is|are|was|has|have)\s+not\s*[.!]*$|no\s*$)",
    re.I,
)
_YES = re.compile(
    r"^(?:(?:most\s+|very\s+)?(?:probably|likely|certainly|definitely|absolutely|of\s+course)[\s,]+)?"
    r"(?:yes\b|yeah\b|yep\b|correct\b|true\b|affirmative\b|indeed\b|absolutely\s*[.!]*$|certainly\s*[.!]*$"
    r"|definitely\s*[.!]*$|of\s+course\s*[.!]*$|likely\s*[.!]*$|probably\s*[.!]*$"
    r"|(?:that|this|it)\s+is\s+(?:correct|true|the\s+case|so)\b)",
    re.I,
)
_NONE_OF_IT = re.compile(
    r"^none\s+(?:is|are|was|were|seen|visible|present|found|identified|noted|of\s+(?:these|it))\b", re.I
)
_MAY = re.compile(r"\b(?:possible|possibly|may|might|could|cannot\s+be\s+excluded|uncertain|equivocal)\b", re.I)
_SURE = (0.25, 0.75)  # P(yes) of a statement: what lies between is hedged
_WORD = re.compile(r"\w+")


class FreeAnswer(NamedTuple):
    """What a text answers; ``option`` is the key of the option that it names."""

    meaning: Meaning
    option: str | None = None

    @property
    def label(self) -> str:
        """The option's key where there is one, else the meaning: what is compared with a label."""
        return self.meaning if self.option is None else self.option


def read_answer(text: str, *, question: str = "", options: Mapping[str, str] | None = None, texts: Texts) -> FreeAnswer:
    """What ``text`` answers.

    >>> from rag.language.lexicon import Lexicon
    >>> texts = Texts(Lexicon.load())
    >>> read_answer("- No.", texts=texts).meaning, read_answer("None", texts=texts).meaning
    ('no', 'none')
    >>> read_answer("The lungs are clear.", question="Is there consolidation?", texts=texts).meaning
    'no'
    >>> read_answer("It is (B).", options={"A": "left", "B": "right"}, texts=texts).option
    'B'

    Args:
        text: whatever a model wrote, its thoughts included.
        question: for which a statement is read; without it statements answer nothing.
        options: key to words, where one of several is to be chosen.
        texts: reads statements.
    """
    said = _plain(text)
    if options:
        return _read_option(said, options, texts)
    if said.casefold().strip(" .:-…") in _NOTHING or _ECHO.match(said):
        return FreeAnswer("none")
    if concluded := [m["said"].lower() for m in _CONCLUSION.finditer(said) if len(m["said"]) > 1]:
        return FreeAnswer(_side(concluded[-1]))
    said = _TO_ME.sub("", said)
    if _MAYBE.match(said):
        return FreeAnswer("maybe")
    if _YES.match(said):
        return FreeAnswer("yes")
    if _REFUSAL.search(said):
        return FreeAnswer("refused")
    if _NO.match(said) or _NONE_OF_IT.match(said):
        return FreeAnswer("no")
    if _MAYBE.search(said):
        return FreeAnswer("maybe")
    return FreeAnswer(_of_statement(said, question, texts)) if question else FreeAnswer("none")


def _plain(text: str) -> str:
    """The words of the answer, without thoughts, roles, markup and the JSON around them."""
    said = said_in(text).text.strip()
    if said.startswith("{"):
        try:
            held = json.loads(said)
        except ValueError:
            held = {}
        values = [held[key] for key in _KEYS if key in held] if isinstance(held, dict) else []
        if values:
            said = "" if values[0] is None else str(values[0])
    if boxed := _BOXED.findall(said):
        said = boxed[-1]
    said = _EMPHASIS.sub("", said)
    before = None
    while said != before:
        before, said = said, _ROLE.sub("", _DECORATION.sub("", said))
    return said


def _side(word: str) -> Meaning:
    sides: dict[str, Meaning] = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
    return sides.get(word, "maybe")


def _of_statement(said: str, question: str, texts: Texts) -> Meaning:
    reading = read_passage(read_question(question, texts.lexicon), said, texts)
    if not reading.mentioned:
        return "none"
    p = reading.probability
    if _SURE[0] < p < _SURE[1]:
        return "maybe"
    return "yes" if p >= 0.5 else "no"


# ---------------------------------------------------------------- options


def _read_option(said: str, options: Mapping[str, str], texts: Texts) -> FreeAnswer:
    if (by_words := _equal(said, options)) is not None:
        return FreeAnswer("option", by_words)
    if said.casefold().strip(" .:-…") in _NOTHING:
        return FreeAnswer("none")
    keys = {key.casefold(): key for key in options}
    letter = "|".join(map(re.escape, keys))
    concluded = re.findall(
        rf"\b(?:answer|choice|option)\b\s*(?:is|would be|:|=|-)*[\s:*_\"'(\[]*({letter})(?![\w'])", said, re.I
    )
    if not concluded and (alone := re.match(rf"\W*({letter})\W*(?:$|[.):\]](?=\W|$)|[\s*]*[:.)\]])", said, re.I)):
        concluded = [alone[1]]
    if not concluded and (chosen := re.match(rf"i\s+(?:choose|pick|select)\s+\W?({letter})\b", said, re.I)):
        concluded = [chosen[1]]
    bracketed = {found.casefold() for found in re.findall(rf"[(\[]({letter})[)\]]", said, re.I)}
    if not concluded and len(bracketed) == 1:
        concluded = [*bracketed]
    if concluded:
        return FreeAnswer("option", keys[concluded[-1].casefold()])
    if _REFUSAL.search(said):
        return FreeAnswer("refused")
    if (named := _named(said, options)) is not None:
        return FreeAnswer("option", named)
    side = read_answer(said, texts=texts).meaning
    sides = [key for key, words in options.items() if words.casefold().strip(" .") == side]
    return FreeAnswer("option", sides[0]) if sides else FreeAnswer("none")


def _equal(said: str, options: Mapping[str, str]) -> str | None:
    """The option whose words these are."""
    words = _folded(said)
    return next((key for key, of in options.items() if words and words == _folded(of)), None)


def _named(said: str, options: Mapping[str, str]) -> str | None:
    """The one option whose words, or whose words that no other option has, stand in the text.

    Of options that contain one another ("effaced", "not effaced") the longer one counts.
    """
    words = f" {_folded(said)} "
    whole = [key for key, of in options.items() if _folded(of) and f" {_folded(of)} " in words]
    longest = [k for k in whole if not any(k != o and _folded(options[k]) in _folded(options[o]) for o in whole)]
    if longest:
        return longest[0] if len(longest) == 1 else None
    sets = {key: set(_folded(of).split()) for key, of in options.items()}
    own = {key: mine - set().union(*(s for o, s in sets.items() if o != key)) for key, mine in sets.items()}
    hit = [key for key, mine in own.items() if mine and mine <= set(words.split())]
    return hit[0] if len(hit) == 1 else None


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
