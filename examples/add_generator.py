"""A generator of one's own: it answers with the first sentence of the best passage, word for word.

    python examples/add_generator.py
    PYTHONPATH=examples rag ask "What is drusen?" --index demo --generator add_generator:FirstSentence

A generator is handed a question and numbered evidence and writes a draft: sentences, each with the spans that it
quotes. It needs no trust. Whatever it writes, every sentence is verified against its quotes afterwards, and what they
do not support is dropped; so this file holds no check of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import rag
from rag.corpus.sentences import sentence_spans
from rag.generation.base import Request, refusal
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings
from rag.types import Answer, Draft, DraftSentence, Quote


class FirstSentence:
    """Made with the settings ``[generation]`` and with what reads clinical texts; this one needs neither."""

    fingerprint = "first-sentence-1"  # change it whenever the same request would get another draft
    prompt_sha256 = None  # there is no prompt
    revises = False  # objections would not change its mind
    parallel = 1  # drafts that it writes faster at once than one after another

    def __init__(self, settings: GenerationSettings, texts: Texts) -> None:
        pass

    def generate(self, request: Request) -> Draft:
        if request.asked.yes_no:
            return refusal("it answers open questions only")
        if not request.evidence:
            return refusal("no evidence was found for this question")
        best = request.evidence[0]
        start, end = sentence_spans(best.text)[0]
        quote = Quote(number=best.number, start=best.start + start, end=best.start + end)  # in the whole document
        sentence = DraftSentence(text=best.text[start:end], quotes=(quote,))
        return Draft(sentences=(sentence,), confidence=0.9)


# Synthetic, like everything in these examples.
CASES = [
    {"id": "a1", "kind": "literature", "domain": "ophthalmology", "title": "Drusen",
     "text": "Drusen are small yellow deposits under the retina. They become common with age."},
    {"id": "a2", "kind": "literature", "domain": "radiology", "title": "Atelectasis",
     "text": "Atelectasis is a collapse of lung tissue. It reduces the volume of the lung."},
]  # fmt: skip


def main() -> Answer:
    """A small index, asked by name of the new part."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "cases.jsonl"
        source.write_text("\n".join(map(json.dumps, CASES)))
        settings = rag.load_settings(generation={"kind": "add_generator:FirstSentence"})
        index = rag.Index.create(Path(folder) / "index", settings)
        index.ingest(source)
        return rag.Engine.open(index.path, settings).ask("What are drusen?")


if __name__ == "__main__":
    answer = main()
    print(answer.answer)
    print(answer.reason)
