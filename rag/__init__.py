"""ClinCite: cited, risk-controlled question answering over medical images, reports and literature.

The names listed in ``rag.__all__`` are the public interface; everything else may change without notice.

>>> import rag
>>> index = rag.Index.create("mine")                                             # doctest: +SKIP
>>> index.ingest("cases.jsonl").added                                            # doctest: +SKIP
>>> engine = rag.Engine.open("indexes/mine")                                     # doctest: +SKIP
>>> answer = engine.ask("Does study CXR1 show a pleural effusion?")              # doctest: +SKIP

- A corpus becomes an index: ``Index``, ``Source``.
- A question becomes an answer: ``Engine``, ``Question`` → ``Answer`` with ``Evidence``, ``Citation``, ``Hit``.
- Reports are counted exactly, with quotes: ``Engine.find``, ``Index.find`` → ``Cohort``; ``CohortQuestion``.
- Labelled questions become a certificate: ``synthesize``, ``write_questions``, ``calibrate``, ``CalibrationPlan``.
- Anything is measured: ``evaluate(engine, suite, questions)`` → a report with ``table()``, ``json()``, ``html()``.
- Models are trained: ``train.retriever``, ``train.router``.
- Settings and errors: ``Settings``, ``load_settings``; ``RagError``, ``InputError`` for what the caller can mend.

Heavy libraries load when they are first used, so ``import rag`` stays cheap.
ClinCite is research software and not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.answering.engine import Engine as Engine
    from rag.building.index import Index as Index
    from rag.building.source import Source as Source
    from rag.calibration.calibrate import calibrate as calibrate
    from rag.calibration.plan import CalibrationPlan as CalibrationPlan
    from rag.calibration.synthesis import synthesize as synthesize
    from rag.calibration.synthesis import write_questions as write_questions
    from rag.cohorts.criteria import Cohort as Cohort
    from rag.cohorts.criteria import CohortQuestion as CohortQuestion
    from rag.errors import InputError as InputError
    from rag.errors import RagError as RagError
    from rag.evaluation.suite import evaluate as evaluate
    from rag.settings import Settings as Settings
    from rag.settings import load_settings as load_settings
    from rag.training import train as train
    from rag.types import Answer as Answer
    from rag.types import Citation as Citation
    from rag.types import Document as Document
    from rag.types import Evidence as Evidence
    from rag.types import Hit as Hit
    from rag.types import Passage as Passage
    from rag.types import Question as Question

__version__ = "0.1.0"

_HOMES = {
    "Index": "rag.building.index",
    "Source": "rag.building.source",
    "Engine": "rag.answering.engine",
    "Cohort": "rag.cohorts.criteria",
    "CohortQuestion": "rag.cohorts.criteria",
    "synthesize": "rag.calibration.synthesis",
    "write_questions": "rag.calibration.synthesis",
    "calibrate": "rag.calibration.calibrate",
    "CalibrationPlan": "rag.calibration.plan",
    "evaluate": "rag.evaluation.suite",
    "train": "rag.training",
    "Settings": "rag.settings",
    "load_settings": "rag.settings",
    "InputError": "rag.errors",
    "RagError": "rag.errors",
    "Answer": "rag.types",
    "Citation": "rag.types",
    "Document": "rag.types",
    "Evidence": "rag.types",
    "Hit": "rag.types",
    "Passage": "rag.types",
    "Question": "rag.types",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
