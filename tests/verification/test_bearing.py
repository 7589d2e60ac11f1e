"""A model's yes or no about literature: what is shown beside it bears on the question, and says whose reading it is."""

from __future__ import annotations

import pytest

from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.types import Draft, DraftSentence, Evidence, Quote
from rag.verification.base import Verified
from rag.verification.verify import verify

QUESTION = "Is zorafenib effective for the treatment of hepatocellular carcinoma?"
BEARS = "Zorafenib prolonged progression-free survival in the treatment of advanced hepatocellular carcinoma."
BESIDE = "Hepatocytes are stained by a brown chromogen."
DENIES = "Zorafenib was not effective for the treatment of hepatocellular carcinoma."
SAYS = "Zorafenib is an effective treatment of hepatocellular carcinoma."


def literature(number: int, text: str, relevance: float | None = 0.99) -> Evidence:
    return Evidence(
        number=number, document_id=f"d{number}", passage_id=f"d{number}#0", kind="literature", domain="general",
        title="", source="s", licence="l", case_id=f"d{number}", group_id=f"d{number}", channel="text", score=1.0,
        text=text, start=0, sha256="0", relevance=relevance,
    )  # fmt: skip


def written(said: str, verdict: str, cited: Evidence, *, by_model: bool = True) -> Draft:
    quote = Quote(number=cited.number, start=0, end=len(cited.text))
    text = f"{verdict.capitalize()}: {said}"
    return Draft.model_validate(
        {
            "sentences": (DraftSentence(text=text, quotes=(quote,)),),
            "text": text if by_model else None,
            "verdict": verdict,
            "confidence": 0.9,
        }
    )


def verified(draft: Draft, evidence: list[Evidence], texts: Texts, question: str = QUESTION) -> Verified:
    return verify(draft, read_question(question, texts.lexicon), evidence, texts)


def test_words_that_nothing_bears_out_give_way_to_what_bears_on_the_question(texts: Texts) -> None:
    beside, bears = literature(1, BESIDE), literature(2, BEARS)
    found = verified(written("Zorafenib cures it.", "yes", beside), [beside, bears], texts)
    (sentence,), (citation,) = found.sentences, found.citations
    assert sentence.text == f"Yes, as the model reads it: “{BEARS}”"
    assert (citation.number, citation.quote, citation.verdict) == (2, BEARS, "cited")
    assert found.by_model
    assert 0.5 <= citation.score < 1, "as much as it has of the question, so that confidence varies with the evidence"
    assert "cures" in found.repaired[0]


def test_what_says_all_of_it_is_support_and_no_mere_reading(texts: Texts) -> None:
    says = literature(1, SAYS)
    found = verified(written("Zorafenib cures it.", "yes", says), [says], texts)
    assert [c.verdict for c in found.citations] == ["supported"]
    assert found.sentences[0].text == f"Yes: “{SAYS}”"
    assert not found.by_model


@pytest.mark.parametrize(
    ("verdict", "text", "relevance"),
    [("yes", DENIES, 0.99), ("no", SAYS, 0.99), ("yes", BESIDE, 0.99), ("yes", BEARS, 0.2)],
    ids=["it is denied", "it is said", "nothing bears on it", "search found it beside the point"],
)
def test_a_reading_does_not_stand(verdict: str, text: str, relevance: float, texts: Texts) -> None:
    passage = literature(1, text, relevance)
    found = verified(written("Zorafenib cures it.", verdict, passage), [passage], texts)
    assert (found.sentences, found.citations) == ((), ())
    assert len(found.dropped) == 1


def test_only_a_language_model_reads_beyond_the_rules(texts: Texts) -> None:
    bears = literature(1, BEARS)
    assert not verified(written("It cures.", "yes", bears, by_model=False), [bears], texts).sentences


def test_only_literature_is_read_so(texts: Texts) -> None:
    report = literature(1, BEARS, None).model_copy(update={"kind": "report"})
    assert not verified(written("It cures.", "yes", report), [report], texts).sentences


def test_that_a_disease_is_there_does_not_say_that_a_drug_helps(texts: Texts) -> None:
    """The lexicon knows the carcinoma, which stands in every sentence about its treatment."""
    failed = literature(1, "Zorafenib did not prolong survival of patients with hepatocellular carcinoma.")
    question = "Does zorafenib prolong survival of patients with hepatocellular carcinoma?"
    draft = written("Zorafenib did not prolong survival with hepatocellular carcinoma.", "no", failed)
    assert [c.verdict for c in verified(draft, [failed], texts, question).citations] == ["supported"]
    opposite = written("Zorafenib did not prolong survival with hepatocellular carcinoma.", "yes", failed)
    assert not verified(opposite, [failed], texts, question).sentences


AIM = "To determine whether zorafenib is effective for the treatment of hepatocellular carcinoma."
RESULT = "Progression-free survival in carcinoma was 5.5 months against 2.8 months with placebo."


def abstract(*texts: str) -> list[Evidence]:
    """The passages of one article, as they are given without a search."""
    return [literature(n, t, None).model_copy(update={"document_id": "d"}) for n, t in enumerate(texts, start=1)]


def test_an_abstract_names_its_subject_once_and_its_result_is_quoted(texts: Texts) -> None:
    passages = abstract(AIM, RESULT)
    (citation,) = verified(written("It works.", "yes", passages[1]), passages, texts).citations
    assert (citation.quote, citation.verdict) == (RESULT, "cited")


def test_what_was_to_be_found_out_tells_nothing(texts: Texts) -> None:
    passages = abstract(AIM, "All gave consent.")
    assert not verified(written("It works.", "yes", passages[1]), passages, texts).sentences


def test_what_the_model_was_not_shown_tells_the_subject_and_is_not_quoted(texts: Texts) -> None:
    passages = abstract(AIM, "Zorafenib doubled survival in hepatocellular carcinoma.", RESULT)
    draft = written("It works.", "yes", passages[2])
    shown = draft.model_copy(update={"left_out": tuple(p.passage_id for p in passages[:2])})
    assert [c.quote for c in verified(shown, passages, texts).citations] == [RESULT]
    alone = verified(draft, passages[2:], texts)
    assert not alone.sentences, "without the other passages nothing says what it is about"


def test_a_passage_that_search_found_must_name_some_of_what_is_asked_about(texts: Texts) -> None:
    other = literature(1, BEARS.replace("Zorafenib", "Regorafenib"))
    question = "Is zorafenib effective for the treatment of liver cancer?"
    other = other.model_copy(update={"text": other.text.replace("hepatocellular carcinoma", "liver cancer")})
    assert not verified(written("It cures.", "yes", other), [other], texts, question).sentences
    own = other.model_copy(update={"text": other.text.replace("Regorafenib", "Zorafenib")})
    assert verified(written("It cures.", "yes", own), [own], texts, question).sentences
