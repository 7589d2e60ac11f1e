"""A retracted article is found by a search and answers nothing."""

from __future__ import annotations

import json
from pathlib import Path

import rag

SHELF = {"kind": "literature", "domain": "ophthalmology"}
ROWS = [
    SHELF | {"id": "good", "text": "Drusen are yellow deposits under the retina."},
    SHELF | {"id": "bad", "text": "Drusen are green crystals that melt in the light.", "status": ["retracted"]},
]


def test_a_retracted_article_answers_nothing_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    index = rag.Index.create(tmp_path / "index")
    index.ingest(tmp_path / "cases.jsonl")
    engine = rag.Engine.open(index)
    assert {h.document.id for h in engine.search("green crystals drusen")} == {"good", "bad"}
    answer = engine.ask("What are drusen?")
    assert {c.document_id for c in answer.citations} == {"good"}
    assert "bad" not in {e.document_id for e in answer.evidence}
    citing = rag.Engine.open(tmp_path / "index", rag.load_settings(answering={"when_retracted": "cite"}))
    assert "bad" in {e.document_id for e in citing.ask("What are drusen?").evidence}
    assert "retracted articles" in citing.fingerprints, "no certificate covers both"
    assert "retracted articles" not in engine.fingerprints
