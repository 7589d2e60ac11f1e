"""Whether a text says what a sentence claims: supported, contradicted, or neither, with the reason in words.

Three readings, of which a contradiction in any decides: the findings of the lexicon with their status, side, zone,
degree and course; the numbers with their units; and the remaining words with their polarity. A sentence is supported
only where all that it says is found, so that a true half does not carry an invented one.
"""

from __future__ import annotations

from rag.corpus.sentences import sentence_spans
from rag.language.clinical_text import Texts
from rag.verification.rules.alignment import Alignment, of_copied, of_number, of_words, unstated
from rag.verification.rules.claims import Elsewhere, accounted, at_its_side, of_claim
from rag.verification.rules.judgement import Judgement, supported, unsupported
from rag.verification.rules.wording import Embed, wording_of


def judge(sentence: str, evidence: str, texts: Texts, embed: Embed | None = None) -> Judgement:
    """Compare a sentence with what is quoted for it.

    ``embed`` gives unit vectors of words; with it a word may stand for one that means nearly the same.
    """
    if _same(sentence) and _same(sentence) in {_same(evidence[a:b]) for a, b in sentence_spans(evidence)}:
        return supported("the evidence says so word for word")
    lexicon = texts.lexicon
    said, quoted = wording_of(sentence, texts), wording_of(evidence, texts)
    related = "associated" in {w.name for w in said.words}  # a relation between things says of none that it is there
    claims = [a for a in texts.of(sentence).statements if not (a.derived or related)]
    assertions = [at_its_side(a, evidence, texts) for a in texts.of(evidence).statements] if claims else []
    elsewhere = Elsewhere(sentence, evidence, texts)
    of_claims = [j for claim in claims if (j := of_claim(claim, assertions, lexicon, elsewhere)) is not None]
    known = len(of_claims) == len(claims) and all(j.verdict == "supported" for j in of_claims)
    told = accounted(said, quoted, lexicon) if claims and known else set()
    words = Alignment(said, [w for w in said.words if w.token not in told], quoted, embed)
    numbers = [of_number(q, said, quoted, words) for q in said.quantities]
    copied = of_copied(said, quoted) if numbers and quoted.quantities else []
    problems = [j for j in (*of_claims, *numbers, *copied) if j.verdict == "contradicted"]
    problems = problems or of_words(words, said, quoted, placed=bool(told))
    if problems:
        return problems[0]
    missing = [j for j in (*of_claims, *numbers) if j.verdict == "unsupported"] + words.missing()
    if not told:
        missing += unstated(words, said, quoted)
    if not (of_claims or numbers or any(words.pairs.values())):
        missing = [*missing, unsupported("the sentence says nothing that can be checked")]
    if missing:
        return unsupported(missing[0].reason, 0.5 * words.cover)
    return supported("all that it says is found", 0.7 + 0.3 * words.cover if claims else words.cover)


def _same(sentence: str) -> str:
    """A sentence as it is compared word for word; empty where it has no words."""
    return " ".join(sentence.split()).casefold().rstrip(".") if any(c.isalnum() for c in sentence) else ""
