"""Whether a sentence of the literature tells the relation that a yes/no question asks about, of the things it names.

"HUWE1 is a tumour suppressor that prevents MYC signalling" has every word of "Is MYC a tumour suppressor?" and answers
it with nothing. So a question is parted into what it asks about and what it asks of it; of a sentence, the subject of
what is asked must be the thing that is asked about, who does something to whom must be the same, a thing that is lost
or kept from acting is another thing, and what leaves the question open or only says what was to be found out is no
answer. This holds things apart and concludes nothing: what a sentence then says is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.language.clinical_text import Texts
from rag.language.cues import Place
from rag.language.entities import has_letter, lettered, names_of, speaks_of
from rag.language.initials import in_full
from rag.language.question import Asked
from rag.language.tokens import Token, tokens_of
from rag.types import Side
from rag.verification.rules.attribution import Attribution
from rag.verification.rules.bearing import PURPOSE, has_words, share_of
from rag.verification.rules.roles import FUNCTION_WORDS, is_form, relations, roles_of
from rag.verification.rules.subject import REFERS
from rag.verification.rules.wording import meets, wording_of

_UNSPOKEN = "it does not speak of all that is asked"
_STEM = 4  # letters


def why_beside(asked: Asked, side: Side, sentence: str, heading: str, texts: Texts) -> str:
    """Why ``sentence``, under its ``heading``, does not say ``side`` of what is asked; empty where it may.

    >>> texts = Texts(Lexicon.load())                                                             # doctest: +SKIP
    >>> asked = read_question("Is MYC a tumour suppressor?", texts.lexicon)                       # doctest: +SKIP
    >>> why_beside(asked, "yes", "HUWE1 is a tumour suppressor that acts on MYC.", "", texts)     # doctest: +SKIP
    'it says so of “HUWE1”'
    """
    sentence, heading = in_full(sentence, asked.plain), in_full(heading, asked.plain)
    around = f"{heading}. {sentence}"
    for name in texts.once(_names, asked.plain):
        if not speaks_of((name,), around):
            return f"it does not name “{name}”"
    for thing in lettered(asked.plain):
        if not has_letter(thing, around):
            return f"it does not name “{thing} A”"
    if not _begins_alike(asked, (sentence, heading), texts) or share_of(asked, around, texts) < 1:
        return _UNSPOKEN
    if side == "no" and any(map(_excludes, texts.sentence(asked.plain).tokens)):
        return "what is excluded by something is no denial that it excludes it"
    if unspoken := _unspoken(asked, sentence, heading, texts):
        return f"it does not say “{unspoken}”"
    if unplaced := _unplaced(asked, texts.sentence(sentence).place, roles_of(asked.plain, texts).verb):
        return unplaced
    if side == "yes" and (word := denied(sentence, asked.plain, texts)):
        return f"it denies something (“{word}”)"
    return texts.once(_why_beside, asked.plain, sentence, heading)


def _begins_alike(asked: Asked, around: Sequence[str], texts: Texts) -> bool:
    """Whether half of a question's words may stand there at all, by how they begin; seen in no time."""
    begun = {t.word[:_STEM] for text in around for t in texts.sentence(text).tokens}
    return 2 * sum(word[:_STEM] in begun for word in asked.words) >= len(asked.words)


def _unspoken(asked: Asked, sentence: str, heading: str, texts: Texts) -> str:
    """A word that says nothing elsewhere, and is all that the question asks of the one thing that it names.

    "Can a radiograph show glaucoma?" has "glaucoma" alone for content, which any sentence about glaucoma has. To
    exclude is a relation in any question; as a cue in a report it is read, and not compared.
    """
    question = texts.sentence(asked.plain)
    named = {i for m in question.mentions for i in range(m.first, m.last)}
    content = {w.token for w in wording_of(asked.plain, texts).words}
    told = {word for text in (sentence, heading) for t in texts.sentence(text).tokens for word in (t.word, t.lemma)}
    bare = content <= named if named else len(content) == 1
    for i, token in enumerate(question.tokens):
        asks = bare and token.is_word and i not in named | content and token.word not in FUNCTION_WORDS
        if (asks or _excludes(token)) and not any(meets(token.lemma, word) for word in told):
            return token.text
    return ""


def _excludes(token: Token) -> bool:
    return any(is_form(token.word, stem) for stem in relations().excluding)


def _names(_: Texts, question: str) -> tuple[str, ...]:
    return tuple(sorted(names_of(question)))


def says_plainly(asked: Asked, sentence: str, heading: str, texts: Texts) -> bool:
    """Whether a sentence says all that is asked, of the same things, and neither denies nor doubts any of it."""
    if asked.denies or asked.place.degrees or why_beside(asked, "yes", sentence, heading, texts):
        return False
    mine = wording_of(asked.plain.rstrip(" ?"), texts).words
    theirs = wording_of(in_full(sentence, asked.plain), texts).words
    pairs = [(m, w) for m in mine for w in theirs if meets(m.name, w.name)]
    return all(w.status in ("present", m.status) for m, w in pairs)


def denied(sentence: str, question: str, texts: Texts) -> str:
    """A word by which a sentence denies anything that is not denied in the question: it is no plain yes then."""
    mine = {t.word for t in tokens_of(question)}
    told = texts.sentence(sentence).tokens
    return next((t.text for t in told if t.word in relations().denying and t.word not in mine), "")


def _why_beside(texts: Texts, question: str, sentence: str, heading: str) -> str:
    if opened := leaves_open(sentence, question):
        return opened
    roles = roles_of(question, texts)
    asked = " ".join(roles.rest) if roles.subject else question.rstrip(" ?")
    told = texts.sentence(sentence).tokens
    goes_on = not roles.subject and told[0].word in REFERS
    if not goes_on and not has_words(asked, sentence, texts):
        return _UNSPOKEN  # a heading names what a text is about, and says nothing of it
    if not roles.subject:
        return ""
    return Attribution(roles, told, heading).why_not()


def _unplaced(asked: Asked, place: Place, verb: str) -> str:
    """The side or zone that is asked for and that a sentence does not name; a verb ("to lower") is neither."""
    for wanted, there in ((asked.place.sides, place.sides), (asked.place.zones - {verb}, place.zones)):
        if wanted and not wanted & there:
            return f"it does not say whether it is {min(wanted)}"
    return ""


def leaves_open(sentence: str, question: str) -> str:
    """Why a sentence answers nothing at all: it tells what is not known, or what was to be found out."""
    low = f" {' '.join(t.word for t in tokens_of(sentence))} "
    if opened := next((p for p in relations().open if f" {p} " in low and p not in question.lower()), None):
        return f"it leaves open what is asked (“{opened}”)"
    return "it only says what was to be found out" if PURPOSE.search(sentence) else ""
