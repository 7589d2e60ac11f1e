"""How a written report compares with the one that a person wrote: words, and what both say of findings.

BLEU-4 is sacrebleu's (13a, lower case), ROUGE-L rouge-score's (with stemming): figures that others can compute. Words
say little of whether a finding was missed, so findings are compared, too: the 14 categories of CheXpert (Irvin et al.
2019), read by this package's reader and not by CheXpert's labeller, and all findings that the reader knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from rag.errors import MissingDependencyError
from rag.evaluation.metrics import Estimate, Floats, bootstrap, bootstrap_totals
from rag.evaluation.report import exactly
from rag.language.clinical_text import Texts

NO_FINDING, DEVICES = "No Finding", "Support Devices"
# The widest concepts of each category; narrower ones belong to it as well.
CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Enlarged Cardiomediastinum": ("enlarged_cardiomediastinum",),
        "Cardiomegaly": ("cardiomegaly",),
        "Lung Lesion": ("nodule", "mass", "lung_neoplasm", "granuloma"),
        "Lung Opacity": ("lung_opacity",),
        "Edema": ("pulmonary_edema",),
        "Consolidation": ("consolidation",),
        "Pneumonia": ("pneumonia",),
        "Atelectasis": ("atelectasis",),
        "Pneumothorax": ("pneumothorax",),
        "Pleural Effusion": ("pleural_effusion",),
        "Pleural Other": ("pleural_thickening", "pleural_plaque", "pleural_mass", "pleural_scarring"),
        "Fracture": ("fracture",),
        DEVICES: ("medical_device",),
    }
)


def findings_in(text: str, texts: Texts) -> frozenset[str]:
    """The findings that a text says are there, by concept; what is past, doubted or denied is none of them."""
    kinds = texts.lexicon.concepts
    said = (a.concept for a in texts.of(text).statements if a.status == "present" and a.concept in kinds)
    return frozenset(c for c in said if kinds[c].kind == "finding")


def categories_of(findings: frozenset[str], texts: Texts) -> frozenset[str]:
    """CheXpert's categories that these findings belong to; *No Finding* where none but devices is there.

    >>> from rag.language.lexicon import Lexicon
    >>> texts = Texts(Lexicon.load())
    >>> sorted(categories_of(findings_in("Small left pleural effusion. No pneumothorax.", texts), texts))
    ['Pleural Effusion']
    """
    is_a = texts.lexicon.is_a
    found = {name for name, widest in CATEGORIES.items() for f in findings if any(is_a(f, w) for w in widest)}
    return frozenset(found if found - {DEVICES} else found | {NO_FINDING})


def measure_written(
    written: Sequence[str], references: Sequence[str], groups: Sequence[str], texts: Texts
) -> dict[str, Estimate]:
    """Of each text against its reference; a text that was not written says nothing and counts.

    Returns:
        F1_of_14: micro F1 over CheXpert's categories. F1_of_findings: the same over all findings.
        hallucinated: share of the findings written that the reference does not have, nor a wider or narrower one.
        omitted: share of the reference's that were not written.
        BLEU (corpus, in [0, 1]) and ROUGE-L (mean F). written: share of texts that there are.

    Raises:
        MissingDependencyError: sacrebleu or rouge-score is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingDependencyError(
            'sacrebleu and rouge-score are needed: pip install "clincite[evaluation]"'
        ) from error
    rouge = RougeScorer(["rougeL"], use_stemmer=True)
    overlaps = [rouge.score(r, w)["rougeL"].fmeasure for w, r in zip(written, references, strict=True)]
    words = bootstrap({"ROUGE-L": overlaps, "written": [float(bool(w.strip())) for w in written]}, groups)
    bleu = BLEU(lowercase=True).corpus_score(list(written), [list(references)]).score / 100
    columns = [
        _counts(findings_in(w, texts), findings_in(r, texts), texts) for w, r in zip(written, references, strict=True)
    ]
    return bootstrap_totals(columns, groups, _of_counts) | {"BLEU": exactly(float(bleu))} | words


def _counts(mine: frozenset[str], theirs: frozenset[str], texts: Texts) -> list[int]:
    ours, gold = categories_of(mine, texts), categories_of(theirs, texts)
    borne = sum(any(_akin(f, t, texts) for t in theirs) for f in mine)
    kept = sum(any(_akin(t, f, texts) for f in mine) for t in theirs)
    return [len(ours & gold), len(ours), len(gold), len(mine & theirs), len(mine), len(theirs), borne, kept]


def _akin(a: str, b: str, texts: Texts) -> bool:
    return a == b or texts.lexicon.is_a(a, b) or texts.lexicon.is_a(b, a)


def _of_counts(totals: Floats) -> dict[str, Floats]:
    both14, mine14, gold14, both, mine, gold, borne, kept = totals.T
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = {
            "F1_of_14": 2 * both14 / (mine14 + gold14),
            "F1_of_findings": 2 * both / (mine + gold),
            "hallucinated": 1 - borne / mine,
            "omitted": 1 - kept / gold,
        }
    return {name: np.nan_to_num(values, nan=0.0) for name, values in shares.items()}
