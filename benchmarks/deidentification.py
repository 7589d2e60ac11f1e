"""How many personal details are found in texts, and what else is taken for one.

``python benchmarks/deidentification.py [DATA] [presidio]`` needs the test data (../shared/data) and the package
torchxrayvision with its Open-i reports; with ``presidio``, Presidio looks at the English ones, too.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tables import Cell, Table, measured, report, saving

import rag
from rag.corpus.sentences import sentence_spans
from rag.corpus.source import read_source
from rag.evaluation.suite import Sample
from rag.evaluation.suites.deidentification import DeidentificationSuite, MarkedText
from rag.progress import Silent
from rag.types import Document

SENTENCES, SEED = 1000, 7
# What the rules are for: direct identifiers. Ages, sexes, countries, dates of examinations and organisations are not.
SPANISH = (
    "NOMBRE_SUJETO_ASISTENCIA", "NOMBRE_PERSONAL_SANITARIO", "ID_SUJETO_ASISTENCIA", "ID_ASEGURAMIENTO", "CALLE",
    "ID_TITULACION_PERSONAL_SANITARIO", "ID_CONTACTO_ASISTENCIAL", "CORREO_ELECTRONICO", "NUMERO_TELEFONO",
    "NUMERO_FAX",
)  # fmt: skip
ENGLISH = (
    "PERSON", "STREET_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN",
    "US_DRIVER_LICENSE", "ZIP_CODE",
)  # fmt: skip
NAMES = {"NOMBRE_SUJETO_ASISTENCIA", "NOMBRE_PERSONAL_SANITARIO", "PERSON"}


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    finders = ("rules", "presidio") if "presidio" in argv else ("rules",)
    data = next((Path(a) for a in argv if a != "presidio"), Path("../shared/data"))
    if not data.exists():
        print(f"not measured: needs the data {data}")
        return
    files = {
        "1,500 synthetic English sentences": (data / "presidio" / "synth_dataset_v2.json", ENGLISH),
        "500 Spanish clinical cases": (data / "meddocan" / "train.jsonl", SPANISH),
    }
    if "presidio" in finders:
        del files["500 Spanish clinical cases"]  # its model knows English alone
    rows = [
        _row(name, finders, DeidentificationSuite(finders, of).read(path), of) for name, (path, of) in files.items()
    ]
    rows.append(_row(f"{SENTENCES:,} sentences of Open-i reports", finders, _openi(), ()))
    table = Table(
        section="Reading",
        question="Are identifiers of people found, and values left alone?",
        columns=(
            "texts", "by", "direct identifiers", "found whole", "of these names", "found whole", "all marked details",
            "found whole", "false alarms per 1,000 words",
        ),
        runs=(measured(rows),),
        command="python benchmarks/deidentification.py",
        note="The rules were written with the first two files in view. Direct identifiers: names, numbers, addresses, "
        "telephone and e-mail; ages, sexes, countries, organisations and dates of examinations are left in on purpose.",
    )  # fmt: skip
    report("reading-identifiers", table, save=save, key=2)


def _row(name: str, finders: tuple[str, ...], sample: Sample, of: tuple[str, ...]) -> tuple[Cell, ...]:
    found = DeidentificationSuite(finders, of).measure(rag.Settings(), sample, Silent())
    by = {row.of["type"]: row for row in found.rows}
    alarms = round(by["false alarms"].metrics["per 1,000 words"].value, 3)
    cells: list[Cell] = [name, " and ".join(finders)]
    for some in (
        [by[kind] for kind in of],
        [by[kind] for kind in of if kind in NAMES],
        [by[kind] for kind in ("all",) if kind in by],
    ):
        n = sum(row.counts["n"] for row in some)
        hit = sum(row.counts["n"] * row.metrics["recall"].value for row in some)
        cells += [n, round(hit / n, 3)] if n else [None, None]
    return (*cells, alarms)


def _openi() -> Sample:
    reports = (d for d in read_source("openi") if isinstance(d, Document))
    texts = [(d.id, d.text[start:end]) for d in reports for start, end in sentence_spans(d.text)]
    random.Random(SEED).shuffle(texts)
    return Sample([MarkedText(identity, text, ()) for identity, text in texts[:SENTENCES]])


if __name__ == "__main__":
    main(sys.argv[1:])
