"""What a Spanish sentence says of a finding, where it says it plainly. The sentences were written for this project."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from rag.errors import InputError
from rag.language import foreign_reading as module
from rag.language import phrasebook
from rag.language.foreign_reading import findings_of, foreign_reading
from rag.language.lexicon import Lexicon


@pytest.mark.parametrize(
    ("sentence", "finding", "status"),
    [
        ("No se observa neumotórax.", "pneumothorax", "absent"),
        ("Sin evidencia de fractura costal.", "rib_fracture", "absent"),
        ("No hay derrame pleural ni derrame pericárdico.", "pericardial_effusion", "absent"),
        ("Sin fiebre, neumonía ni adenopatías.", "pneumonia", "absent"),
        ("Se descarta hidronefrosis.", "hydronephrosis", "absent"),
        ("Cardiomegalia moderada.", "cardiomegaly", "present"),
        ("Se aprecia derrame pleural izquierdo.", "pleural_effusion", "present"),
        ("Colelitiasis múltiple.", "gallstones", "present"),
    ],
)
def test_what_is_put_plainly_is_read(sentence: str, finding: str, status: str, lexicon: Lexicon) -> None:
    said = {f.concept: f.said for f in findings_of(sentence, "es", lexicon)}
    assert said[finding] == (status, True)


@pytest.mark.parametrize(
    "sentence",
    [
        "No se puede descartar neumonía.",
        "Probable neumonía en la base derecha.",
        "¿Neumonía?",
        "Antecedente de neumonía.",
        "Neumonía resuelta.",
        "Neumonía en 2015.",
        "Sin cambios en la neumonía.",
        "No hay neumonía significativa.",
        "Sin neumonía derecha.",
        "Madre con neumonía.",
        "Riesgo de neumonía.",
        "Ingresa para descartar neumonía.",
        "No mejora de la neumonía.",
    ],
)
def test_doubt_history_and_parts_are_left_to_the_readers_eyes(sentence: str, lexicon: Lexicon) -> None:
    assert not any(f.said.plain for f in findings_of(sentence, "es", lexicon) if f.concept == "pneumonia")


def test_only_a_language_with_measured_rules_is_read(lexicon: Lexicon) -> None:
    assert foreign_reading("de") is None
    assert list(findings_of("Kein Pneumothorax.", "de", lexicon)) == []


def test_rules_without_a_table_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "languages").mkdir()
    text = "dropped = []\n[asking]\n[places]\n[findings]\nx = ['equis']\n[reading]\nmeasured = 'x'\n"
    (tmp_path / "languages" / "qr.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "knowledge_dir", lambda: tmp_path)
    monkeypatch.setattr(phrasebook, "knowledge_dir", lambda: tmp_path)
    with pytest.raises(InputError, match=r"cues .*qr\.toml cannot be used"):
        foreign_reading("qr")


def test_the_stated_figure_holds_on_documents_that_the_rules_were_not_written_on(data: Path) -> None:
    """Denials alone, of scopes as the annotators drew them; benchmarks/spanish.py counts findings."""
    rules = foreign_reading("es")
    assert rules is not None
    right: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for n, line in enumerate((data / "nubes" / "nubes.jsonl").open(encoding="utf-8")):
        row = json.loads(line)
        if n % 5 or not int(sha256(row["id"].split(":")[0].encode()).hexdigest(), 16) % 2:
            continue
        marked = {int(scope): row["spans"][int(marker)]["type"] for _, marker, scope in row["relations"]}
        for span, kind in marked.items():
            scope = row["spans"][span]
            said = rules.status(row["text"], scope["start"], scope["end"])
            if said.plain:
                told[said.status] += 1
                right[said.status] += said.status == "absent" and kind.startswith("Neg")
    assert told["absent"] > 100
    assert right["absent"] >= 0.94 * told["absent"]
