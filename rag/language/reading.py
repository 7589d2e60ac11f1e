"""Reading one text for one question: how strongly it says yes, how strongly no, and in which sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from rag.language.clinical_text import ClinicalSentence, ClinicalText, Texts
from rag.language.context import ContextReader
from rag.language.cues import Place, Status, load_cues
from rag.language.forms import tells_cause
from rag.language.lexicon import Lexicon
from rag.language.quantities import satisfies
from rag.language.question import Asked
from rag.language.statements import Assertion
from rag.language.tokens import Token

# P(yes) when a text only raises what is asked ("may represent pneumonia"): human coders of the Open-i reports
# rarely code such a finding as present.
RAISED = 0.35
UNTOLD = "whether it is there: nobody could tell"
FOREIGN = "anything in English, and no other language is read here"
_BETWEEN = frozenset({"in", "of", "within", "at", "cm", "mm", "measuring", "x"})
_RAISED = {"uncertain", "hypothetical"}  # "may represent pneumonia", "rule out pneumonia"
_NOT_NOW = {"historical", "family"}
_NEGATIVE = frozenset({"negative", "absent"})
_POLARITY = _NEGATIVE | {"positive"}  # what is asked of a receptor, not what the receptor is


@dataclass(frozen=True, slots=True)
class Support:
    """A sentence of the text and how strongly, in [0, 1], it speaks for one side.

    ``derived``: follows from a broader statement; ``raised``: the sentence raises it without asserting it;
    ``later``: it was written after other parts of the text, and outweighs them.
    """

    start: int
    end: int
    weight: float
    derived: bool = False
    raised: bool = False
    later: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says to a yes/no question. Both sides may be non-empty: texts contradict themselves.

    ``mentioned`` is False when nothing in the text bears on the question: then silence is all there is. ``unmet`` names
    what is asked beyond presence, of something that is there, and that the text does not say: a number, a course.
    """

    yes: Support | None
    no: Support | None
    mentioned: bool
    unmet: str = ""

    @property
    def probability(self) -> float:
        """P(yes), from the weights of both sides; 0.5 when neither speaks."""
        yes = self.yes.weight if self.yes else 0.0
        no = self.no.weight if self.no else 0.0
        if yes + no == 0:
            return 0.5
        p = yes**2 / (yes**2 + no**2) * 0.96 + 0.02
        return min(p, RAISED) if self.yes and self.yes.raised else p

    @property
    def contradictory(self) -> bool:
        """Both sides are said outright, about equally strongly."""
        return bool(
            self.yes
            and self.no
            and not self.yes.derived
            and not self.no.derived
            and min(self.yes.weight, self.no.weight) >= 0.75 * max(self.yes.weight, self.no.weight)
        )


def read_passage(asked: Asked, text: str, texts: Texts) -> Reading:
    """Read ``text`` for the question. Offsets are in ``text``."""
    return texts.once(_read_passage, asked, text)


def read_literature(asked: Asked, text: str, texts: Texts) -> Reading:
    """Read a text about medicine in general, in which a disease is there in every sentence about its treatment."""
    return read_passage(asked.in_general, text, texts)


def _read_passage(texts: Texts, asked: Asked, text: str) -> Reading:
    read = texts.of(text)
    if read.foreign:
        return Reading(None, None, False, FOREIGN)
    if asked.change:
        return _read_change(asked, read)
    if asked.form == "cause":
        found = _read_words(asked, read, tells_cause)
        return Reading(None, None, False, "what it comes from") if found is None else _of_words(*found)
    if asked.joined and not asked.quantities:
        parts = [_read_claims(replace(asked, claims=(c,)), read, texts, by_words=False) for c in asked.claims]
        if any(r.mentioned or r.unmet for r in parts):
            return _join(asked, parts)
    return _read_claims(asked, read, texts)


def _join(asked: Asked, parts: Sequence[Reading]) -> Reading:
    """Of several things asked for, the reading of the one that decides: "both" needs all, "or" any.

    What a text does not mention is taken for absent where another is said to be; a *yes* to both needs both.
    """
    spoken = [r for r in parts if r.mentioned]
    deciding = [r for r in spoken if (r.probability >= 0.5) == (asked.joined == "or")]
    if deciding:
        return max(deciding, key=lambda r: abs(r.probability - 0.5))
    silent = next((r for r in parts if not r.mentioned), None)
    if spoken and silent is not None and asked.joined == "and" and not asked.denies:
        return Reading(None, None, False, silent.unmet or "whether both are there")
    return min(spoken, key=lambda r: abs(r.probability - 0.5)) if spoken else parts[0]


def _read_claims(asked: Asked, read: ClinicalText, texts: Texts, *, by_words: bool = True) -> Reading:
    """One claim, or several of which any will do."""
    unmet = ""
    sides: dict[bool, Support | None] = {True: None, False: None}

    latest = -1

    def offer(yes: bool, support: Support) -> None:
        nonlocal latest
        written = read.order.get(support.start, 0)
        if written < latest:
            return
        if written > latest:  # what was written later outweighs all that came before
            sides[True] = sides[False] = None
            latest = written
        best = sides[yes]
        if best is None or support.weight > best.weight:
            sides[yes] = replace(support, later=written > 0)

    question = texts.sentence(asked.plain)
    # in "is the heart large?" the degree makes the finding, and is not asked of it
    named = {m.concept for m in question.mentions}
    natures = {c.concept: _natures(question, c.concept, texts.lexicon) for c in asked.claims}
    claims = [c for c in asked.claims if natures[c.concept][1]] or asked.claims
    sentences = {start: sentence for start, _, sentence in read.sentences}
    assertions = [a for a in read.statements if a.status not in _NOT_NOW]
    for claim in claims:
        for a in assertions:
            if a.status == "unknown":
                if texts.lexicon.is_a(a.concept, claim.concept) or texts.lexicon.is_a(claim.concept, a.concept):
                    unmet = UNTOLD
                continue
            match = _match(claim, a, asked, texts.lexicon)
            if match is None:
                continue
            says_yes, weight = match
            if says_yes and claim.status != "absent" and a.status not in _RAISED:
                spoken = asked.place if claim.concept in named else replace(asked.place, degrees=frozenset())
                meets, what = _meets(asked, spoken, a, sentences[a.start])
                if untold := natures[claim.concept][0] - _said_in(sentences[a.start]):
                    meets, what = None, f"whether it is {min(untold)}"
                if meets is None:
                    unmet = what
                    continue
                says_yes, weight = meets, weight if meets else 0.5 * weight  # another one may be as asked
            extra = _coverage(asked.words, sentences[a.start].words)
            raised = says_yes and a.status in _RAISED and not asked.hedged
            derived = a.derived or a.concept != claim.concept
            offer(says_yes, Support(a.start, a.end, weight * (0.6 + 0.4 * extra), derived, raised))
    if unmet == UNTOLD and all(s is None or s.derived for s in sides.values()):
        return Reading(None, None, False, unmet)  # "clear lungs" say less of it than that it could not be seen
    mentioned = sides[True] is not None or sides[False] is not None
    for claim in () if mentioned or unmet else asked.claims:
        found = _read_parts(asked, claim, read, texts.lexicon)
        if found is not None:
            sides[found[0]] = found[1]
            mentioned = True
    if by_words and not mentioned and not unmet and (not asked.claims or len(asked.words) >= 3):
        found = _read_words(asked, read)
        if found is not None:
            sides[found[0]] = found[1]
            mentioned = True
    return Reading(sides[True], sides[False], mentioned, unmet)


def _natures(question: ClinicalSentence, concept: str, lexicon: Lexicon) -> tuple[frozenset[str], bool]:
    """Of what nature a concept is asked for, and whether it is more than such a word itself ("malignant").

    A word without which the lexicon would not know the concept makes it what it is: "atherosclerotic disease".
    """
    natures, tokens = load_cues().natures, question.tokens
    if natures.isdisjoint(t.word for t in tokens):
        return frozenset(), True
    own = {i for m in question.mentions if m.concept == concept for i in range(m.first, m.last)}
    if any(m.concept == concept for m in lexicon.mentions([t for t in tokens if t.word not in natures])):
        own = {i for i in own if tokens[i].word not in natures}
    wanted = frozenset(t.word for i, t in enumerate(tokens) if i not in own and t.word in natures)
    return wanted, not own or any(tokens[i].word not in natures for i in own)


def _said_in(sentence: ClinicalSentence) -> frozenset[str]:
    return frozenset(word for t in sentence.tokens for word in (t.word, t.lemma))


def _meets(asked: Asked, place: Place, a: Assertion, sentence: ClinicalSentence) -> tuple[bool | None, str]:
    """Whether something that is there is as it is asked for; None, and what is missing, where nothing tells.

    ``place``: what is asked of it, by side, zone and degree.
    """
    numbered = _as_numbered(asked, sentence)
    if not numbered:
        return numbered, "the number"
    courses = a.place.course or sentence.place.course
    if asked.place.course:
        if not courses:
            return None, f"whether it is {min(asked.place.course)}"
        if not asked.place.course & courses:
            return False, ""
    for wanted, said, what in (
        (place.degrees, a.place.degrees | sentence.place.degrees, "of what degree it is"),
        (place.sides, a.place.sides | sentence.place.sides, "on which side it is"),
        (place.zones, a.place.zones | sentence.place.zones, "in which zone it is"),
    ):
        if wanted and not said:
            return None, what
    if asked.place.acuity and a.place.acuity and not asked.place.acuity & a.place.acuity:
        return False, ""  # an old fracture is no acute one
    return True, ""


def _as_numbered(asked: Asked, sentence: ClinicalSentence) -> bool | None:
    """Whether a sentence gives the numbers that are asked for; None where it gives none of their kind."""
    for wanted in asked.quantities:
        alike = [q for q in sentence.quantities if q.dimension == wanted.dimension or q.stated == wanted.stated]
        if not any(satisfies(q, wanted) for q in alike):
            return False if alike else None
    return True


def _match(claim: Assertion, a: Assertion, asked: Asked, lexicon: Lexicon) -> tuple[bool, float] | None:
    """(speaks for yes, weight) of an assertion for a claim, or None when it is about something else."""
    wants_present = claim.status != "absent"
    narrower = lexicon.is_a(a.concept, claim.concept)
    broader = lexicon.is_a(claim.concept, a.concept)
    if not (narrower or broader):
        return None
    exact = a.concept == claim.concept
    weight = a.sure * (0.8 if a.derived else 1.0)
    if a.status == "present" or a.status in _RAISED:
        if not narrower:
            return None  # "opacity" does not say "pneumonia"
        weight *= 1.0 if exact else 0.8
        if wants_present:
            if not _compatible(asked.place.sides or claim.place.sides, a.place.sides):
                return False, 0.5 * weight
            if asked.place.zones and a.place.zones and not asked.place.zones & a.place.zones:
                return False, 0.4 * weight
            if asked.place.degrees and a.place.degrees and not asked.place.degrees & a.place.degrees:
                return False, 0.6 * weight
            return True, weight
        return False, weight
    if not broader and not (narrower and lexicon.concepts[claim.concept].kind == "structure"):
        return (not wants_present, 0.35 * weight) if narrower else None
    if not broader:
        return not wants_present, 0.45 * weight
    weight *= 1.0 if exact else 0.75
    if a.place.degrees and not asked.place.degrees:
        weight *= 0.7  # "no large effusion" leaves a small one open
    if len(a.place.sides) == 1 and a.place.sides != asked.place.sides:
        weight *= 0.5  # "no left effusion", "right lung is clear": the other side is left open
    return not wants_present, weight


def _compatible(asked: frozenset[str], said: frozenset[str]) -> bool:
    return not asked or not said or bool(asked & said)


def _coverage(words: frozenset[str], there: frozenset[str]) -> float:
    return len(words & there) / len(words) if words else 0.0


def _of_words(says_yes: bool, support: Support) -> Reading:
    return Reading(support, None, True) if says_yes else Reading(None, support, True)


def _read_words(asked: Asked, read: ClinicalText, told: Callable[[str], bool] = bool) -> tuple[bool, Support] | None:
    """Without the lexicon: the sentence that shares most content words, and what it says of them."""
    subject = asked.words - _POLARITY or asked.words
    if not (subject or asked.quantities):
        return None
    best: tuple[tuple[bool, float, int], int] | None = None
    for n, (start, _, sentence) in enumerate(read.sentences):
        if start in read.asides or not told(sentence.text):
            continue
        numbered = _as_numbered(asked, sentence)
        cover = _coverage(subject, sentence.words) if subject else float(numbered is not None)
        rank = numbered is True, cover, read.order.get(start, 0)
        if best is None or rank > best[0]:
            best = (rank, n)
    if best is None or best[0][1] < 0.6 or (best[0][1] < 0.99 and len(subject) < 3):
        return None
    (_, cover, written), n = best
    start, end, chosen = read.sentences[n]
    numbered, tokens = _as_numbered(asked, chosen), chosen.tokens
    if not numbered:
        return None if numbered is None else (False, Support(start, end, 0.9 * cover))
    status = read.answer_to(n) or (_status(subject, tokens) if subject else _of_number(asked, chosen))
    if status in _NOT_NOW or status == "unknown" or (subject != asked.words and _graded(subject, tokens)):
        return None
    negative = any(c.status == "absent" for c in asked.claims) or not _NEGATIVE.isdisjoint(asked.words)
    raised = status in _RAISED and not asked.hedged
    says = (status != "absent") != negative
    return says, Support(start, end, 0.9 * cover, raised=says and raised, later=written > 0)


def _read_parts(asked: Asked, claim: Assertion, read: ClinicalText, lexicon: Lexicon) -> tuple[bool, Support] | None:
    """A finding whose words stand apart: "a stone in the left kidney", "Right kidney: a cyst of 3 cm"."""
    between = load_cues().inside | load_cues().articles | _BETWEEN
    for words, (start, end, sentence) in product(lexicon.composed.get(claim.concept, ()), read.sentences):
        if start in read.asides or not words <= sentence.words:
            continue
        first, last = _window(words, sentence.tokens)
        apart = (t for t in sentence.tokens[first:last] if t.lemma not in words)
        if not all(t.lemma in between or not t.is_word or t.text[0].isdigit() for t in apart):
            continue
        status = _status(words, sentence.tokens)
        if status in ("present", "absent", "uncertain") and _as_numbered(asked, sentence):
            says = (status == "absent") == (claim.status == "absent")
            return says, Support(start, end, 0.8, derived=True, raised=says and status == "uncertain")
    return None


def _of_number(asked: Asked, sentence: ClinicalSentence) -> Status:
    """What a sentence says of the number that is asked for, where nothing else is: "is it stage II?"."""
    met = (q for q in sentence.quantities if any(satisfies(q, wanted) for wanted in asked.quantities))
    q = next(met)
    return ContextReader(sentence.tokens).context(q.first, q.last).status


def _graded(words: frozenset[str], tokens: Sequence[Token]) -> bool:
    """ "HER2: 1+": neither positive nor negative before somebody has said what the grade means."""
    _, last = _window(words, tokens)
    return any(t.text.isdigit() for t in tokens[last : last + 2])


def _status(words: frozenset[str], tokens: Sequence[Token]) -> Status:
    """What a sentence says of ``words``, where they stand nearest to each other: of all of them, or denied of one."""
    first, last = _window(words, tokens)
    reader = ContextReader(tokens)
    parts = [reader.context(i, i + 1).status for i in range(first, last) if tokens[i].lemma in words]
    return "absent" if "absent" in parts else reader.context(first, last).status


def _window(words: frozenset[str], tokens: Sequence[Token]) -> tuple[int, int]:
    """The shortest tokens[first:last] that hold as many of ``words`` as the sentence does."""
    shared = [i for i, t in enumerate(tokens) if t.lemma in words]
    wanted = len({tokens[i].lemma for i in shared})

    def apart(span: tuple[int, int]) -> tuple[bool, int]:
        return any(t.text == ";" for t in tokens[span[0] : span[1]]), span[1] - span[0]

    best = shared[0], shared[-1] + 1
    for n, first in enumerate(shared):
        seen: set[str] = set()
        for last in shared[n:]:
            seen.add(tokens[last].lemma)
            if len(seen) == wanted:
                best = min(best, (first, last + 1), key=apart)
                break
    return best


def _read_change(asked: Asked, read: ClinicalText) -> Reading:
    """ "Has there been any change …?": stable and unchanged say no; increased, improved, new, worsened say yes."""
    still = {"stable", "unchanged", "redemonstrated", "persistent"}
    moved = {
        "increased",
        "decreased",
        "improved",
        "worsened",
        "new",
        "larger",
        "smaller",
        "progressed",
        "resolved",
        "improvement",
        "increase",
        "decrease",
        "worsening",
        "progression",
    }
    subject = asked.words - {
        "change",
        "changed",
        "difference",
        "interval",
        "previous",
        "prior",
        "compared",
        "last",
        "significant",
        "since",
    }
    yes = no = None
    for start, end, sentence in read.sentences:
        lemmas = {t.lemma for t in sentence.tokens}
        cover = _coverage(subject, sentence.words) if subject else 0.5
        if subject and not cover:
            continue
        weight = 0.4 + 0.5 * cover
        if lemmas & still or ("no" in lemmas and "change" in lemmas):
            no = no if no and no.weight >= weight else Support(start, end, weight)
        elif lemmas & moved or "change" in lemmas:
            yes = yes if yes and yes.weight >= weight else Support(start, end, weight)
    return Reading(yes, no, bool(yes or no))
