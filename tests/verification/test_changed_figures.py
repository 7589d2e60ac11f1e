"""A draft that changes a figure of its evidence never passes; one that says it in other words does.

The pairs are generated: every template with every value, and every kind of change of it. All text is synthetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations, product

import pytest

from rag.language.clinical_text import Texts
from rag.verification.rules.entailment import judge

Pair = tuple[str, str, str]  # kind of change, evidence, sentence

_VALUES = ("2", "5", "8", "12", "4.2", "0.5", "150")
_OTHERS = {"2": "20", "5": "6", "8": "80", "12": "21", "4.2": "2.4", "0.5": "5", "150": "15.0"}
_MASSES = ("ng", "µg", "mg", "g")
_MEASURED = (
    "The nodule measures {} mm.",
    "There is a mass of {} cm in the right upper lobe.",
    "The aorta has a diameter of {} mm at this level.",
    "An effusion with a depth of {} mm is seen.",
    "The ejection fraction is {}%.",
    "Potassium was {} mmol/L on admission.",
    "Creatinine was {} mg/dL.",
    "She received {} units of insulin.",
    "Treatment was continued for {} weeks.",
    "Mortality fell by {}% in treated patients.",
    "The tumor invades to a depth of {} mm.",
    "Haemoglobin was {} g/dL after transfusion.",
)
_COMPARED = (
    "Nodules {} 6 mm need no follow-up.",
    "Patients with a pressure {} 140 mmHg were treated.",
    "Mortality fell (p {} 0.05).",
    "Lesions {} 3 cm were resected.",
    "A glomerular filtration rate {} 60 ml/min was required.",
    "Women {} 40 years were included.",
)
_BOUNDS = {
    "<": ("<", "less than", "below"),
    ">": (">", "more than", "over"),
    "<=": ("≤", "at most"),
    ">=": ("≥", "at least"),
}
_MONTHS = ("January", "March", "May", "June", "October")
_LEVELS = ("L1", "L4", "T5", "T12", "C5")
_SCALED = ("grade", "stage", "BI-RADS", "Lung-RADS", "class", "type")
_COUNTS = ("two", "three", "four", "six", "10")
_THINGS = (
    "There are {} nodules in the right lung.",
    "{} ribs are fractured on the left.",
    "Of the patients, {} died within a year.",
    "The patient had {} seizures.",
    "Biopsy of {} lymph nodes showed metastasis.",
)


def changed() -> Iterator[Pair]:
    """Evidence and a sentence that says another figure."""
    for template, value in product(_MEASURED, _VALUES):
        true = template.format(value)
        yield "number", true, template.format(_OTHERS[value])
        yield "number", true, template.format(f"{float(value) * 3:g}")
        yield "number", true, template.format(f"1{value}")
        yield "sign", true, template.format(f"-{value}")
        yield "sign", template.format(f"\u2212{value}"), true
        yield "comparator", true, template.format(f"more than {value}")
        yield "comparator", template.format(f"less than {value}"), true
        yield "exponent", template.format(f"{value} × 10⁹"), template.format(f"{value} × 10⁶")
        yield "exponent", template.format(f"{value}e3"), template.format(f"{value}e5")
    for value, (a, b) in product(_VALUES, permutations(_MASSES, 2)):
        for template in (
            "A dose of {} {} was given.",
            "The drug was stopped at {} {} daily.",
            "Amiodarone {} {} was given.",
        ):
            yield "prefix", template.format(value, a), template.format(value, b)
    for value, (a, b) in product(_VALUES, permutations(("mg", "mEq", "IU", "mmol", "ml", "mcg"), 2)):
        yield "unit", f"The dose was {value} {a}.", f"The dose was {value} {b}."
    for value, (a, b) in product(_VALUES, permutations(("mm", "cm", "m"), 2)):
        yield "unit", f"The cyst measures {value} {a}.", f"The cyst measures {value} {b}."
    for value, (a, b) in product(_VALUES, permutations(("mg/dL", "mg/L", "µg/dL", "mmol/L", "g/dL"), 2)):
        yield "denominator", f"Bilirubin was {value} {a}.", f"Bilirubin was {value} {b}."
    for value in _VALUES[:4]:
        yield "leading point", f".{value} mg was given.", f"{value} mg was given."
        yield "sign", f"The lesion has an attenuation of -{value} HU.", f"The lesion has an attenuation of {value} HU."
        yield "sign", f"A base excess of {value} was found.", f"A base excess of -{value} was found."
        for a, b in permutations(("10⁹", "10⁶", "10^3", "10¹²"), 2):
            yield "exponent", f"Platelets were {value} × {a}/L.", f"Platelets were {value} × {b}/L."
    for template, (a, b) in product(_COMPARED, permutations(_BOUNDS, 2)):
        for said, written in product(_BOUNDS[a], _BOUNDS[b]):
            yield "comparator", template.format(said), template.format(written)
    for template, sign in product(_COMPARED, ("<", ">", "at least", "up to")):
        true = template.format(sign)
        for old, new in (
            ("6 mm", "8 mm"),
            ("140", "160"),
            ("0.05", "0.5"),
            ("3 cm", "5 cm"),
            ("60", "90"),
            ("40", "50"),
        ):
            if old in true:
                yield "number behind a comparator", true, true.replace(old, new)
    changes = (
        "The nodule grew from {} mm to {} mm.",
        "The score fell from {} to {} points.",
        "It increased from {} to {} cm.",
    )
    for template, (a, b) in product(changes, permutations(("4", "9", "15", "30"), 2)):
        yield "order", template.format(a, b), template.format(b, a)
    arms = "Bleeding occurred in {}% with warfarin and {}% with apixaban."
    for a, b in permutations(("1.4", "2.1", "3.5", "12"), 2):
        yield "arms", arms.format(a, b), arms.format(b, a)
    for a, b in permutations(_MONTHS, 2):
        yield "date", f"Surgery took place in {a} 2019.", f"Surgery took place in {b} 2019."
        yield "date", f"He was admitted on {a} 5, 2019.", f"He was admitted on {b} 5, 2019."
    for a, b in permutations(("2009", "2015", "2019", "2021"), 2):
        yield "date", f"Surgery took place in June {a}.", f"Surgery took place in June {b}."
        yield "date", f"The scan of 12/03/{a} shows a mass.", f"The scan of 12/03/{b} shows a mass."
    yield "date", "The scan of 12/03/2019 shows a mass.", "The scan of 03/12/2019 shows a mass."
    for a, b in permutations(_LEVELS, 2):
        yield "level", f"There is a compression fracture of {a}.", f"There is a compression fracture of {b}."
        yield "level", f"The disc below {a} is degenerated.", f"The disc below {b} is degenerated."
    for scale, (a, b) in product(_SCALED, permutations(("1", "2", "3", "4"), 2)):
        yield "grade", f"The lesion is {scale} {a}.", f"The lesion is {scale} {b}."
        yield "grade", f"This is a {scale} {a} carcinoma.", f"This is a {scale} {b} carcinoma."
    for a, b in permutations(("II", "III", "IV", "IIIA", "IIB"), 2):
        yield "grade", f"Stage {a} disease was found.", f"Stage {b} disease was found."
    for a, b in permutations(("120/80", "140/90", "80/120"), 2):
        yield "ratio", f"Blood pressure was {a} mmHg.", f"Blood pressure was {b} mmHg."
    for template, (a, b) in product(_THINGS, permutations(_COUNTS, 2)):
        yield "count", template.format(a.capitalize()), template.format(b.capitalize())


def restated() -> Iterator[Pair]:
    """Evidence and a sentence that says the same figure, as it stands or otherwise."""
    for template, value in product(_MEASURED, _VALUES):
        yield "as it stands", template.format(value) + " Nothing else is new.", template.format(value)
    for value in _VALUES:
        length = float(value)
        yield "unit", f"The nodule measures {value} cm.", f"The nodule measures {length * 10:g} mm."
        yield "unit", f"The dose was {value} g.", f"The dose was {length * 1000:g} mg."
        yield "denominator", f"Bilirubin was {value} mg/dL.", f"Bilirubin was {length * 10:g} mg/L."
        for a, b in permutations(("\u00b5g", "\u03bcg", "mcg", "ug"), 2):
            yield "prefix", f"A dose of {value} {a} was given.", f"A dose of {value} {b} was given."
        yield "exponent", f"Platelets were {value} × 10⁹/L.", f"Platelets were {value} x 10^9/L."
        yield (
            "sign",
            f"The lesion has an attenuation of -{value} HU.",
            f"The lesion has an attenuation of \u2212{value} HU.",
        )
    for template, meant in product(_COMPARED, _BOUNDS):
        for a, b in permutations(_BOUNDS[meant], 2):
            yield "comparator", template.format(a), template.format(b)
    for template, count in product(_THINGS, ("two", "three", "four")):
        digits = {"two": "2", "three": "3", "four": "4"}[count]
        yield "count", template.format(count.capitalize()), template.format(digits)
    for level in _LEVELS:
        yield (
            "level",
            f"There is a compression fracture of {level}. No listhesis.",
            f"There is a compression fracture of {level}.",
        )
    for month in _MONTHS:
        yield "date", f"Surgery took place in {month} 2019 without events.", f"Surgery took place in {month} 2019."


CHANGED, RESTATED = tuple(dict.fromkeys(changed())), tuple(dict.fromkeys(restated()))


def test_there_are_enough_pairs() -> None:
    assert len(CHANGED) >= 2000
    assert len(RESTATED) >= 200


def test_no_changed_figure_passes(texts: Texts) -> None:
    passed = [p for p in CHANGED if judge(p[2], p[1], texts).verdict == "supported"]
    assert not passed, (Counter(kind for kind, _, _ in passed), passed[:20])


@pytest.mark.parametrize("share", [0.03])
def test_hardly_any_true_sentence_is_dropped(share: float, texts: Texts) -> None:
    dropped = [p for p in RESTATED if judge(p[2], p[1], texts).verdict != "supported"]
    assert len(dropped) <= share * len(RESTATED), (Counter(kind for kind, _, _ in dropped), dropped[:20])
