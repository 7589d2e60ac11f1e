"""Parts that plug in: a name, or a dotted path, becomes an object.

A part is named in one of three ways: by the name under which we ship it, by the name of an entry point that an
installed package declares in the group ``clincite.<kind>`` (with ``_`` for ``-``), or by a dotted path
``package.module:attribute``. Nothing is imported before it is asked for. A dotted path runs the code it names, so it is
taken from settings and the command line alone, never from a request that came over a network, nor from a file that a
stranger may have written: see ``named_only``.

>>> find("reader", "cases").name
'cases'

Installed packages are found by :mod:`importlib.metadata`; what is ours here is one rule of precedence and one message,
which is why no library for plug-ins (pluggy, stevedore) is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal

from rag.errors import InputError, MissingDependencyError, RagError

Kind = Literal[
    "reader",
    "identifiers",
    "generator",
    "text-encoder",
    "image-encoder",
    "backend",
    "verifier",
    "risk",
    "suite",
    "baseline",
    "grounder",
]

# Ours, one entry a part. A name of ours wins over an entry point of the same name, so nobody replaces one in silence.
PARTS: Mapping[Kind, Mapping[str, str]] = {
    "reader": {
        "cases": "rag.corpus.readers.cases:READER",
        "questions": "rag.corpus.readers.questions:READER",
        "annotations": "rag.corpus.readers.annotations:READER",
        "roco": "rag.corpus.readers.roco:READER",
        "medpix": "rag.corpus.readers.medpix:READER",
        "padchest": "rag.corpus.readers.padchest:READER",
        "tables": "rag.corpus.readers.tables:READER",
        "open-i": "rag.corpus.readers.openi:READER",
        "obo": "rag.corpus.readers.obo:READER",
        "notes": "rag.corpus.readers.notes:READER",
        "samples": "rag.corpus.readers.samples:READER",
        "pubmed": "rag.corpus.readers.pubmed:READER",
        "jats": "rag.corpus.readers.jats:READER",
        "pdf": "rag.corpus.readers.pdf:READER",
        "fhir": "rag.corpus.readers.fhir:READER",
        "dicom-report": "rag.corpus.readers.dicom_report:READER",
        "docx": "rag.corpus.readers.documents:WORD",
        "html": "rag.corpus.readers.documents:HTML",
        "rtf": "rag.corpus.readers.documents:RTF",
        "pptx": "rag.corpus.readers.slides:READER",
        "mail": "rag.corpus.readers.mail:READER",
        "mbox": "rag.corpus.readers.mbox:READER",
        "images": "rag.corpus.readers.images:READER",
    },
    "identifiers": {
        "rules": "rag.corpus.identifiers:make_rules",
        "presidio": "rag.corpus.presidio:make_presidio",
    },
    "generator": {
        "reader": "rag.generation.registry:make_reader",
        "transformers": "rag.generation.registry:make_transformers",
        "openai": "rag.generation.registry:make_openai",
        "by-question": "rag.generation.registry:make_by_question",
    },
    "text-encoder": {
        "minilm": "rag.encoders.registry:make_minilm_encoder",
        "use-multilingual": "rag.encoders.registry:make_bridge_encoder",
    },
    "image-encoder": {
        "compact": "rag.encoders.registry:make_open_clip_encoder",
        "imagenet": "rag.encoders.registry:make_imagenet_encoder",
    },
    "backend": {
        "flat": "rag.indexing.backends.flat:FlatIndex",
        "hnsw": "rag.indexing.backends.hnsw:HnswIndex",
        "ivf-sq8": "rag.indexing.backends.ivf:IvfScalarIndex",
        "ivf-pq": "rag.indexing.backends.ivf:IvfProductIndex",
        "cuda-flat": "rag.indexing.backends.cuda:CudaFlatIndex",
        "cuda-cagra": "rag.indexing.backends.cuda:CagraIndex",
        "torch-flat": "rag.indexing.backends.torch_flat:TorchFlatIndex",
        "milvus": "rag.indexing.backends.milvus:MilvusIndex",
    },
    "verifier": {
        "rules": "rag.verification.registry:RulesVerifier",
    },
    "risk": {
        "wrong-answer": "rag.calibration.risks:WrongAnswer",
        "missed-evidence": "rag.calibration.risks:MissedEvidence",
    },
    "grounder": {
        "similarity": "rag.grounding.registry:make_similarity",
        "gradient": "rag.grounding.registry:make_gradient",
        "attention": "rag.grounding.registry:make_attention",
    },
    "suite": {
        "questions": "rag.evaluation.suites.questions:QuestionSuite",
        "labels": "rag.evaluation.suites.labels:LabelSuite",
        "statements": "rag.evaluation.suites.statements:StatementSuite",
        "assertion": "rag.evaluation.suites.assertion:AssertionSuite",
        "claims": "rag.evaluation.suites.claims:ClaimSuite",
        "reliance": "rag.evaluation.suites.reliance:RelianceSuite",
        "abstracts": "rag.evaluation.suites.abstracts:AbstractSuite",
        "retrieval": "rag.evaluation.suites.retrieval:RetrievalSuite",
        "channels": "rag.evaluation.suites.channels:ChannelSuite",
        "ablation": "rag.evaluation.suites.ablation:AblationSuite",
        "sight": "rag.evaluation.suites.sight:SightSuite",
        "deid": "rag.evaluation.suites.deidentification:DeidentificationSuite",
        "vqa-rad": "rag.evaluation.suites.vqa_rad:VqaRadSuite",
        "slake": "rag.evaluation.suites.slake:SlakeSuite",
        "pathvqa": "rag.evaluation.suites.pathvqa:PathVqaSuite",
        "pubmedqa": "rag.evaluation.suites.pubmedqa:PubMedQaSuite",
        "bioasq": "rag.evaluation.suites.bioasq:BioAsqSuite",
        "nfcorpus": "rag.evaluation.suites.nfcorpus:NfCorpusSuite",
        "medquad": "rag.evaluation.suites.medquad:MedQuadSuite",
        "negation": "rag.evaluation.suites.negation:NegationSuite",
        "nubes": "rag.evaluation.suites.nubes:NubesSuite",
        "healthver": "rag.evaluation.suites.healthver:HealthVerSuite",
        "medec": "rag.evaluation.suites.medec:MedecSuite",
        "iuxray": "rag.evaluation.suites.iuxray:IuXraySuite",
        "mimic-cxr": "rag.evaluation.suites.mimic_cxr:MimicCxrSuite",
        "pmc-oa": "rag.evaluation.suites.pmc_oa:PmcOaSuite",
        "quilt-1m": "rag.evaluation.suites.quilt_1m:QuiltSuite",
        "captions": "rag.evaluation.suites.captions:CaptionSuite",
        "mirage": "rag.evaluation.suites.mirage:MirageSuite",
        "mediconfusion": "rag.evaluation.suites.mediconfusion:MediConfusionSuite",
        "harvard-fairvlmed": "rag.evaluation.suites.harvard_fairvlmed:FairVlmedSuite",
    },
    "baseline": {  # in the order of a table's rows
        "constant": "rag.evaluation.baselines:ConstantAnswer",
        "words": "rag.evaluation.baselines:WordsAlone",
        "no-evidence": "rag.evaluation.baselines:NoEvidence",
        "no-image": "rag.evaluation.baselines:NoImage",
        "others-image": "rag.evaluation.baselines:AnothersImage",
        "noise": "rag.evaluation.baselines:NoisedImage",
        "shuffled-evidence": "rag.evaluation.baselines:ShuffledEvidence",
        "oracle-evidence": "rag.evaluation.baselines:OracleEvidence",
    },
}

_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def find(kind: Kind, name: str, *, named_only: bool = False, setting: str = "") -> Any:
    """The part of a kind that ``name`` means.

    Args:
        kind: what sort of part.
        name: ours, an entry point's, or ``package.module:attribute``.
        named_only: dotted paths are refused: the name came from somebody who may not choose what code runs.
        setting: the setting that holds the name, for messages.

    Raises:
        InputError: there is no such part, and the message lists what there is; or its code cannot be imported.
        MissingDependencyError: the part is there, and a library that it needs is not.
    """
    where = f"setting {setting!r}: " if setting else ""
    if (ours := PARTS.get(kind, {}).get(name)) is not None:
        return _import(f"{kind} {name!r}", ours)
    check(kind, name, named_only=named_only, setting=setting)
    path, *others = _offered(kind).get(name, [name])
    if others:
        both = ", ".join([path, *others])
        raise InputError(f"{where}installed packages offer several {kind}s {name!r}: {both}; give one as a dotted path")
    return _import(f"{where}{kind} {name!r}", path)


def check(kind: Kind, name: str, *, named_only: bool = False, setting: str = "") -> None:
    """Refuse what :func:`find` would not look for, and import nothing.

    Raises:
        InputError: there is no such part; the message lists what there is.
    """
    if has(kind, name) or (is_dotted_path(name) and not named_only):
        return
    where = f"setting {setting!r}: " if setting else ""
    or_path = "" if named_only else ", or give a dotted path package.module:attribute"
    raise InputError(f"{where}there is no {kind} {name!r}; choose one of: {', '.join(names(kind))}{or_path}")


def has(kind: Kind, name: str) -> bool:
    """Whether a part of a kind has this name. What is installed is looked through only for a name that is not ours."""
    return name in PARTS.get(kind, {}) or name in _offered(kind)


def names(kind: Kind) -> list[str]:
    """The names of all parts of a kind: ours in the order of the table, then those of installed packages."""
    ours = PARTS.get(kind, {})
    return [*ours, *sorted(_offered(kind).keys() - ours.keys())]


def is_dotted_path(name: str) -> bool:
    """Whether ``name`` has the form ``package.module:attribute``.

    >>> is_dotted_path("my_lab.encoders:Retina"), is_dotted_path("local-dir:models/retina")
    (True, False)
    """
    return _DOTTED.fullmatch(name) is not None


def _offered(kind: Kind) -> dict[str, list[str]]:
    """What installed packages offer: dotted paths by name, several where packages chose the same one."""
    from importlib.metadata import entry_points  # with the e-mail parser: most names are ours

    group = f"clincite.{kind.replace('-', '_')}"  # names of groups may hold no hyphen (PyPA, entry points)
    found: dict[str, list[str]] = {}
    for point in entry_points(group=group):
        paths = found.setdefault(point.name, [])
        if (path := f"{point.module}:{point.attr}") not in paths:
            paths.append(path)
    return found


def _import(part: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found: Any = import_module(module)
    except RagError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise InputError(
                f"{part}: there is no module {error.name!r} to import it from; install it, or put its folder on "
                "PYTHONPATH"
            ) from error
        raise MissingDependencyError(f"{part} needs the package {error.name!r}, which is not installed") from error
    except Exception as error:  # somebody else's code may fail in any way; the cause stays attached
        raise InputError(f"{part}: {module} cannot be imported ({type(error).__name__}: {error})") from error
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise InputError(f"{part}: {module} has no {attribute!r}") from error
    return found
