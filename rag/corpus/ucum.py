"""Units of measure as they are printed, from the codes of UCUM (https://ucum.org/ucum) of FHIR and DICOM.

A table of what is written differently, and no more: libraries such as pint convert quantities and print other names.
"""

from __future__ import annotations

import re

_PRINTED = {
    "1": "",
    "mm[Hg]": "mmHg",
    "cm[H2O]": "cmH2O",
    "Cel": "°C",
    "[degF]": "°F",
    "[IU]": "IU",
    "deg": "°",
}
_REMARK = re.compile(r"(?<=[^\W_])\{[^{}]*\}")  # "{SUVbw}" in "g/ml{SUVbw}"
_POWER = re.compile(r"10[*^](-?\d+)")
_MICRO = re.compile(r"(?<![A-Za-z\[])u(?=(?:g|m|L|l|mol|s|Eq|kat|V|A|U)\b)")


def printed_unit(code: str) -> str:
    """A unit as a report prints it; what is no code of UCUM stays as it is.

    >>> [printed_unit(code) for code in ("10*9/L", "ug/mL", "mm[Hg]", "{beats}/min", "1", "g/ml{SUVbw}")]
    ['x 10^9/L', 'µg/mL', 'mmHg', 'beats/min', '', 'g/ml']
    """
    code = code.strip()
    if code in _PRINTED:
        return _PRINTED[code]
    plain = _REMARK.sub("", code).replace("{", "").replace("}", "")
    unit = re.sub(r"\[(IU|iU|pH|Hg)\]", r"\1", plain)
    unit = _POWER.sub(r"10^\1", _MICRO.sub("µ", unit))
    return f"x {unit}" if unit.startswith("10^") else unit
