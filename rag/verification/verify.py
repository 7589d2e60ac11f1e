"""Verification of a draft, whoever wrote it: every sentence against what it cites.

For each quote the verdict comes from two readers that must not disagree: the assertion reader (does the quoted
sentence say the same about the same findings, or the opposite?) and the overlap of content words with negation
taken into account. Unsupported sentences are dropped; a contradicted sentence never passes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.findings.assertion import Assertion, assertions_of
from rag.findings.lexicon import Lexicon
from rag.findings.question import Asked, content_words
from rag.findings.reading import read
from rag.types import Citation, Draft, DraftSentence, Evidence, Sentence, Verdict

_QUOTED = re.compile(r"“([^”]*)”")
_SILENT = re.compile(r"\b(?:does|do|did) not mention\b", re.I)


@dataclass(frozen=True)
class Verified:
    """The sentences that passed with their citations, and what was dropped and why."""

    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    dropped: tuple[tuple[str, Verdict], ...]

    @property
    def score(self) -> float:
        """Mean support of the sentences that passed, in [0, 1]."""
        return sum(c.score for c in self.citations) / len(self.citations) if self.citations else 0.0


def verify(draft: Draft, asked: Asked, evidence: Sequence[Evidence], lexicon: Lexicon) -> Verified:
    """Check each sentence of ``draft`` against the spans that it cites.

    A quote outside the evidence that it names is unsupported; so is a sentence that cites nothing.
    """
    by_number = {e.number: e for e in evidence}
    kept: list[Sentence] = []
    citations: list[Citation] = []
    dropped: list[tuple[str, Verdict]] = []
    for sentence in draft.sentences:
        found = [
            _cite(len(kept), sentence, q.number, q.start, q.end, by_number, asked, lexicon) for q in sentence.quotes
        ]
        good = [c for c in found if c is not None and c.verdict == "supported"]
        if any(c is not None and c.verdict == "contradicted" for c in found):
            dropped.append((sentence.text, "contradicted"))
        elif not good:
            dropped.append((sentence.text, "unsupported"))
        else:
            numbers = tuple(sorted({c.number for c in good}))
            kept.append(Sentence(text=sentence.text, citations=numbers))
            citations += good
    return Verified(tuple(kept), tuple(citations), tuple(dropped))


def _cite(
    index: int,
    sentence: DraftSentence,
    number: int,
    start: int,
    end: int,
    by_number: Mapping[int, Evidence],
    asked: Asked,
    lexicon: Lexicon,
) -> Citation | None:
    e = by_number.get(number)
    if e is None or not e.start <= start < end <= e.start + len(e.text):
        return None
    quote = e.text[start - e.start : end - e.start]
    verdict, score = support(sentence.text, quote, e.text, asked, lexicon)
    return Citation(
        sentence=index,
        number=number,
        document_id=e.document_id,
        passage_id=e.passage_id,
        source=e.source,
        quote=quote,
        start=start,
        end=end,
        verdict=verdict,
        score=round(score, 4),
    )


def support(text: str, quote: str, passage: str, asked: Asked, lexicon: Lexicon) -> tuple[Verdict, float]:
    """Whether ``quote`` supports the sentence ``text`` of an answer to ``asked``, and how strongly in [0, 1]."""
    if _SILENT.search(text):
        mentioned = read(asked, passage, lexicon).mentioned
        return ("contradicted", 0.0) if mentioned else ("supported", 0.8)
    polarity = re.match(r"\s*(?:for )?(yes|not?)\b", text, re.I)
    if polarity and asked.yes_no:
        reading = read(asked, quote, lexicon)
        if reading.mentioned:
            says_yes = reading.probability >= 0.5
            if says_yes != (polarity[1].lower() == "yes"):
                return "contradicted", 0.0
        elif not _QUOTED.search(text):
            return "unsupported", 0.0
    inner = [q.strip() for q in _QUOTED.findall(text)]
    if inner:
        verbatim = all(_squeeze(q) in _squeeze(quote) for q in inner)
        return ("supported", 1.0) if verbatim else ("unsupported", 0.0)
    return entails(quote, text, lexicon)


def entails(quote: str, text: str, lexicon: Lexicon) -> tuple[Verdict, float]:
    """Whether ``quote`` says what ``text`` says, and how surely: assertions first, words second."""
    said, claims = assertions_of(quote, lexicon), [a for a in assertions_of(text, lexicon) if not a.derived]
    verdicts = [_entail_one(claim, said, lexicon) for claim in claims]
    if "contradicted" in verdicts:
        return "contradicted", 0.0
    words = content_words(text)
    cover = len(words & content_words(quote)) / len(words) if words else 0.0
    if claims and all(v == "supported" for v in verdicts):
        return "supported", round(0.7 + 0.3 * cover, 4)
    if not claims and cover >= 0.6 and _parity(text) == _parity(quote):
        return "supported", round(cover, 4)
    if not claims and cover >= 0.6:
        return "contradicted", 0.0
    return "unsupported", round(0.5 * cover, 4)


def _entail_one(claim: Assertion, quoted: Sequence[Assertion], lexicon: Lexicon) -> Verdict:
    verdict: Verdict = "unsupported"
    positive = claim.status != "absent"
    for a in quoted:
        narrower, broader = lexicon.is_a(a.concept, claim.concept), lexicon.is_a(claim.concept, a.concept)
        sides_meet = not claim.place.sides or not a.place.sides or claim.place.sides & a.place.sides
        said = narrower and sides_meet and (a.status == "present" or a.status == claim.status == "uncertain")
        denied = broader and a.status == "absent"
        if (positive and said) or (not positive and denied):
            return "supported"
        if (positive and denied and sides_meet) or (not positive and said):
            verdict = "contradicted"
    return verdict


def _parity(text: str) -> bool:
    return bool(re.search(r"\b(?:no|not|without|never|absent|negative)\b", text, re.I))


def _squeeze(text: str) -> str:
    return " ".join(text.split()).casefold()
