"""Questions and texts in different languages: what bears on a question is quoted as it stands.

The rules that read what a text asserts know English, and the plainest words of languages in which they were measured.
Nothing else is a yes or no, and nothing is verified: the sentences that lie nearest
to the question in the space of many languages are shown, marked as such, and no certificate covers them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rag.answering.turn import Attempt, Crossing
from rag.encoders.protocols import TextEncoder
from rag.generation.base import Request, refusal
from rag.generation.reader import kind_of_image
from rag.language.clinical_text import Texts
from rag.language.cognates import likeness, roots
from rag.language.cues import NOWHERE
from rag.language.foreign_reading import ForeignFinding, findings_of, foreign_reading
from rag.language.languages import ENGLISH, TEXT_LANGUAGE, language_of
from rag.language.lexicon import Lexicon
from rag.language.phrasebook import phrasebook
from rag.language.tokens import tokens_of
from rag.types import Citation, Draft, DraftSentence, Evidence, Hit, Question, Quote, Sentence, Side
from rag.verification.base import Verified

_LEAST = 0.4  # cosine, and words in common, of a sentence that is quoted
_COGNATES = 0.3  # what a word of the question counts for that a sentence has in another language
_NAMED = 0.5  # what it counts for that a sentence names the finding asked about
_NEARLY = 0.08  # others are quoted that are nearly as near as the nearest
_MOST = 3  # sentences
_CONFIDENCE = 0.5  # nobody has read what is quoted


def crossing_of(
    question: Question, evidence: Sequence[Evidence], least: float, languages: Mapping[str, str]
) -> Crossing | None:
    """None where the question is in English and so is evidence that may answer it.

    Args:
        least: relevance from which a passage may.
        languages: of documents that are not in English, by id.
    """
    bearing = [e for e in evidence if e.relevance is None or e.relevance >= least] or list(evidence)
    foreign = [languages[e.document_id] for e in bearing if e.document_id in languages]
    if question.language is None and not foreign:
        return None
    read = question.language is None and len(foreign) < len(bearing)
    read = read and not any(e.of_study and e.document_id in languages for e in bearing)  # it may say what others do not
    alone = len(foreign) == len(bearing) and len(set(foreign)) == 1
    return Crossing(question.language or ENGLISH, foreign[0] if foreign else ENGLISH, read, alone)


def languages_of(hits: Sequence[Hit], texts: Texts) -> dict[str, str]:
    """By document, the language of those that are not in English, as stored or, where an older index has none, read."""
    found = {h.document.id: str(h.document.metadata.get(TEXT_LANGUAGE, "")) for h in hits}
    for hit in hits:
        if not found[hit.document.id] and texts.of(hit.passage.text).foreign:
            found[hit.document.id] = language_of(hit.passage.text)
    return {identity: code for identity, code in found.items() if code not in ("", ENGLISH)}


def read_across(request: Request, crossing: Crossing, texts: Texts) -> tuple[Attempt, Crossing] | None:
    """The yes or no of a study's report in a language in which rules were measured, with what is to be said of it.

    None where they read nothing, anything but plain words, or more than one opinion of the finding; and where more is
    asked than whether a finding is there.
    """
    asked, rules = request.asked, foreign_reading(crossing.told)
    if (
        rules is None
        or not crossing.alone
        or crossing.asked != ENGLISH
        or not all(e.of_study for e in request.evidence)
    ):
        return None
    beyond = asked.quantities or asked.change or asked.hedged or asked.ends or asked.joined or asked.unread
    if not asked.yes_no or asked.form != "presence" or beyond or len(asked.claims) != 1:
        return None
    (claim,) = asked.claims
    if claim.status != "present" or {asked.place, claim.place} != {NOWHERE}:
        return None
    said = [
        ((e, start, end), f.said)
        for e in request.evidence
        for start, end, _ in texts.of(e.text).sentences
        for f in findings_of(e.text[start:end], crossing.told, texts.lexicon)
        if _bears(f, claim.concept, texts.lexicon)
    ]
    if not said or not all(s.plain for _, s in said) or len({s.status for _, s in said}) > 1:
        return None
    status = said[0][1].status
    right, rows = rules.right[status], list(dict.fromkeys(row for row, _ in said))[:_MOST]
    attempt = _attempt(rows, crossing, mark=f"read in {crossing.unread}")
    verdict: Side = "yes" if status == "present" else "no"
    probability = right if verdict == "yes" else 1 - right
    draft = attempt.draft.model_copy(
        update={"verdict": verdict, "probability": round(probability, 4), "confidence": right}
    )
    word = "there" if status == "present" else "absent"
    note = f"read in {crossing.unread} by rules that were right in {right:.1%} where they said that a finding is {word}"
    return attempt._replace(draft=draft), crossing._replace(said=f"{note} ({rules.measured}); nothing else verifies it")


def _bears(f: ForeignFinding, asked: str, lexicon: Lexicon) -> bool:
    """Whether it decides: the finding itself, a narrower one that may be there, or a wider one that is denied."""
    return lexicon.is_a(asked, f.concept) if f.said.status == "absent" else lexicon.is_a(f.concept, asked)


def quote_across(request: Request, crossing: Crossing, bridge: TextEncoder | None, texts: Texts) -> Attempt:
    """The sentences of the evidence nearest to the question, or why none is shown."""
    if bridge is None:
        why = f"{crossing.unread} is not read here, and this index has no bridge between languages; "
        ask = "" if crossing.asked == ENGLISH else "ask in English, or "
        return _refused(f"{why}{ask}add one: RAG_ENCODERS__BRIDGE=use-multilingual rag index reencode")
    rows = [(e, start, end) for e in request.evidence for start, end, s in texts.of(e.text).sentences if s.words]
    if not rows:
        return _refused("no evidence was found for this question")
    vectors = bridge.encode([request.asked.plain, *(e.text[start:end] for e, start, end in rows)])
    asked = roots(request.asked.plain)
    cosines = (vectors[1:] @ vectors[0]).tolist()
    near = [
        c
        + _COGNATES * likeness(asked, roots(e.text[a:b]))
        + _NAMED * _names(request.asked.topics, e.text[a:b], crossing.told, texts.lexicon)
        for c, (e, a, b) in zip(cosines, rows, strict=True)
    ]
    floor = max(_LEAST, max(near) - _NEARLY)
    chosen = sorted((n for n in range(len(rows)) if near[n] >= floor), key=lambda n: -near[n])[:_MOST]
    if not chosen:
        of = f"the report of {rows[0][0].case_id}" if rows[0][0].of_study else "what was found"
        return _refused(f"no sentence of {of} lies near enough to the question, which is not read in {crossing.unread}")
    return _attempt([rows[n] for n in sorted(chosen)], crossing)


def _names(topics: frozenset[str], sentence: str, language: str, lexicon: Lexicon) -> bool:
    """Whether the sentence names a finding that is asked about, by the phrases of its language."""
    book = phrasebook(language) if topics else None
    named = (english for _, _, english in book.findings_in(sentence)) if book else ()
    return any(m.concept in topics for english in named for m in lexicon.mentions(tokens_of(english)))


def quote_similar(request: Request, crossing: Crossing, bridge: TextEncoder | None, texts: Texts) -> Attempt:
    """What kind of image it is, and of each similar case the sentence nearest to the question, or the last one."""
    cases = list({e.case_id: e for e in reversed(request.evidence) if e.of_similar_image}.values())[::-1][:_MOST]
    rows = [[(e, start, end) for start, end, s in texts.of(e.text).sentences if s.words] for e in cases]
    rows = [sentences for sentences in rows if sentences]
    if not rows:
        return _refused(f"{crossing.unread} is not read here, and there is no similar case to quote")
    if bridge is None:
        return _attempt([sentences[-1] for sentences in rows], crossing, kind_of_image(request))
    vectors = bridge.encode([request.asked.plain, *(e.text[a:b] for sentences in rows for e, a, b in sentences)])
    cosines = iter((vectors[1:] @ vectors[0]).tolist())
    ranked = [[(next(cosines), row) for row in sentences] for sentences in rows]
    nearest = [max(sentences, key=lambda pair: pair[0])[1] for sentences in ranked]
    return _attempt(nearest, crossing, kind_of_image(request))


def _refused(why: str) -> Attempt:
    return Attempt(refusal(why), Verified((), (), ()), why)


def _attempt(
    rows: Sequence[tuple[Evidence, int, int]], crossing: Crossing, seen: DraftSentence | None = None, mark: str = ""
) -> Attempt:
    mark = mark or f"not verified in this language: {crossing.unread}"
    drafted = [] if seen is None else [seen]
    passed, citations = [Sentence(text=s.text, seen_by=s.seen_by) for s in drafted], []
    for n, (e, start, end) in enumerate(rows, start=len(drafted)):
        quote, similar = e.text[start:end], "A similar case, " if e.of_similar_image else ""
        text = f"{similar}{e.title or e.case_id}: “{quote}” ({mark})"
        drafted.append(
            DraftSentence(text=text, quotes=(Quote(number=e.number, start=e.start + start, end=e.start + end),))
        )
        passed.append(Sentence(text=text, citations=(e.number,)))
        citations.append(
            Citation(
                sentence=n,
                number=e.number,
                document_id=e.document_id,
                passage_id=e.passage_id,
                source=e.source,
                quote=quote,
                start=e.start + start,
                end=e.start + end,
                verdict="cited",
                score=1.0,
            )
        )
    draft = Draft(sentences=tuple(drafted), confidence=_CONFIDENCE)
    return Attempt(draft, Verified(tuple(passed), tuple(citations), ()), None)
