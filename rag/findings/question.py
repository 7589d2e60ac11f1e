"""What a question asks, in the vocabulary of assertions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rag.findings.assertion import Assertion, sentence_assertions
from rag.findings.cues import Place, load_cues
from rag.findings.lexicon import Lexicon
from rag.findings.tokens import tokens_of

_AUXILIARY = r"is|are|was|were|do|does|did|can|could|has|have|had|should|would|will|may|might|isn't|aren't|doesn't"
_YES_NO = re.compile(rf"^(?:[^,?]{{1,80}},\s*)?(?:{_AUXILIARY})\b", re.I)
_LEADING = re.compile(rf"^(?:[^,?]{{1,80}},\s*)?(?:{_AUXILIARY})\b\s*(?:there\b|it\b|this\b)?", re.I)
_HEDGES = re.compile(r"\b(likely|possibly|possible|probable|probably|suspected|suspicious|suggestive|concerning|may|could|any|signs?|evidence|indications?|typical findings?|findings|history)\b(?:\s+(?:of|for))?", re.I)  # fmt: skip

_HEDGED = re.compile(
    r"\b(likely|possibl[ey]|possibility|probabl[ey]|suspected|suspicious|suggest\w*|concern\w*|may|could|might|represent|consistent|favou?r\w*|question\w*|versus|vs|or)\b",
    re.I,
)

# Words that carry no content of their own in a clinical question.
STOP_WORDS = frozenset(
    """a an the of in on at to for from by with without and or nor as is are was were be been being do does did can could has
    have had should would will may might there it its this that these those any some no not yes which what who how where when why
    i you we they he she his her their patient patient's image picture photo photograph xray x-ray x ray chest radiograph film
    study scan exam examination view seen see show shown shows visible visualized visualised identified present noted evident
    demonstrate demonstrated found detected appear appears appearance look looks suggest suggesting suggests suggestive indicate
    indicating evidence sign signs finding findings according overall way also than then within into about xxxx if so such s
    please tell me describe compared likely possibly represent observed apparent currently indication report""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read.

    ``claims`` are what a *yes* would assert; ``any_of`` says that one of them is enough ("effusion or
    pneumothorax"). ``words`` are the lemmas that carry content, for texts the lexicon does not know.
    """

    text: str
    yes_no: bool
    claims: tuple[Assertion, ...]
    any_of: bool
    words: frozenset[str]
    place: Place
    hedged: bool
    change: bool


def read_question(text: str, lexicon: Lexicon, ignore: str | None = None) -> Asked:
    """Parse ``text``; ``ignore`` (a study id) is taken out first."""
    plain = text.replace(ignore, " ") if ignore else text
    plain = re.sub(
        r"\b(?:study|case|report|patient|image)\s+(?=show|demonstrate|have|has|\W|$)", " ", plain, flags=re.I
    )
    yes_no = bool(_YES_NO.match(plain.strip()))
    body = _LEADING.sub("", plain.strip(), count=1) if yes_no else plain
    body = body.rstrip(" ?.")
    tokens = tokens_of(body)
    lemmas = [t.lemma for t in tokens]
    statement = _HEDGES.sub(" ", body)
    claims = tuple(
        replace(a, status="absent" if a.status == "absent" else "present")
        for a in sentence_assertions(statement, lexicon)
        if not a.derived
    )
    return Asked(
        text=text,
        yes_no=yes_no,
        claims=claims,
        any_of=" or " in statement,
        words=content_words(body),
        place=load_cues().place(lemmas),
        hedged=bool(_HEDGED.search(body)),
        change=bool({"change", "changed", "difference"} & set(lemmas))
        and not any(lexicon.concepts[c.concept].kind == "finding" for c in claims),
    )


def content_words(text: str) -> frozenset[str]:
    """Lemmas of the words and numbers that carry content."""
    return frozenset(
        t.lemma for t in tokens_of(text) if t.is_word and t.lemma not in STOP_WORDS and t.text.lower() not in STOP_WORDS
    )
