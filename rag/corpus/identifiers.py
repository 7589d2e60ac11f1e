"""Identifiers of people in clinical text: found by their labels and by their form, in English and Spanish.

Numbers, dates, addresses and names are recognised where something says what they are: a label ("MRN#:", "Fecha de
nacimiento:"), a title ("Dr."), or a form that nothing clinical has (an e-mail address, a telephone number with its
area code). A measurement is never an identifier: a number with a unit stays whatever stands before it.

Presidio is the library for this, and plugs in beside these rules (:mod:`rag.corpus.presidio`). It does not stand in for
them: it goes by form and context, not by the labels of report headers, and takes about ten milliseconds a sentence.

>>> [text[a:b] for text in ["MRN#: 00-12-34, +150 HU"] for a, b, kind in find_identifiers(text)]
['00-12-34']
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from typing import NamedTuple

import tomli

from rag.settings import knowledge_dir

_UP = "A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĖĘĚĜĞĠĢĤĪĮİĶĹĻĽŁŃŅŇŌŐŒŔŘŚŜŞŠŢŤŪŬŮŰŲŴŶŸŹŻŽ"
# One word of a name: "Smith", "O'Brien", "SMITH", "J.", "Jean-Luc".
_WORD = rf"(?:[{_UP}][\w'’]{{1,24}}(?:-[{_UP}]?[\w'’]{{1,24}}){{0,2}}|[{_UP}]\.?(?![\w]))"
_PARTICLE = r"(?:de la |de los |del |de |da |dos |van der |van den |van |von |la |le |di |y |bin |al[- ])"
_NAME = rf"(?:{_WORD}(?:(?:\^|,? {{1,2}}){_PARTICLE}?{_WORD}){{0,4}})"
_OF = r"(?:de la |de los |de las |del |de |la |el )"
_MONTH = r"[A-Za-zäéûç]{3,10}\.?"
_DATE = (
    r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}[-/. ]{1,2}" + _MONTH + r"[-/., ]{1,3}\d{2,4}"
    r"|"
    + _MONTH
    + r"\s{1,3}\d{1,2}(?:st|nd|rd|th)?,?\s{1,3}\d{4}|\d{1,2}(?:st|nd|rd|th|º|er)?\s(?:of\s|de\s)?"
    + _MONTH
    + r"(?:\sde(?:l)?)?,?\s{1,3}\d{4}|\d{1,2}/\d{4}|\d{1,2} \d{1,2} (?:18|19|20)\d{2}|(?:18|19|20)\d{6}|"
    + _MONTH
    + r"\s{1,2}(?:18|19|20)\d{2}|(?:18|19|20)\d{2})(?![\w/])"
)
# A sign between a label and what it labels; the first has none.
_SIGN = (
    r"(?:\s{0,3}(?:\([^()\n]{1,20}\)\s?)?(?:\s?(?:number|no|nr|num)\b\.?)?\s?[:#=№º°][:#=.\s]{0,4}"
    r"|\s{0,2}\n\s{0,2}|\s[-–]\s)"
)
_OPEN = r"(?:\s{0,3}(?:number|no|nr|num|is|was)?\.?\s{1,3}|\s?-\s?)"
_NUMBER = r"[A-Z]{0,4}[-/]?\d[A-Z0-9]*(?:[-/ .]{1,2}[A-Z]?\d[A-Z0-9]*){0,6}(?:-[A-Z])?(?![\w%])"
_UNIT = re.compile(
    r"\s{0,2}(?:%|°|×|x\s?\d|[µμ]|(?:HU|[kcmnpfd]?[mglLMJ]|mm|cm|mmHg|m[gl]|[mkpn]g|dl|mL|ml|cc|IU|U|UI|T|Hz|kHz|MHz|kV|kVp|mAs?|"
    r"mSv|Gy|Bq|MBq|bpm|rpm|ms|sec|seconds?|min|minutes?|hours?|days?|weeks?|months?|years?|years?|yo|años|meses|días|"
    r"copies|cells|células|copias|units?|points?|patients?|cases|slices|images|frames|scanner|Tesla)(?![A-Za-z]))"
)
_DATABASE = re.compile(
    r"\b(?:genbank|geo|ncbi|embl|ena|refseq|uniprot|swiss-?prot|pdb|sra|arrayexpress|dbgap)\W*$", re.I
)
_DIGITS = re.compile(r"\d")


class Identifier(NamedTuple):
    """Where an identifier stands in a text, and of which kind it is: name, record, birth, stay, phone, email, …"""

    start: int
    end: int
    kind: str


Finder = Callable[[str], list[Identifier]]


def make_rules() -> Finder:
    """The finder of this module; see :data:`rag.plugins.PARTS`."""
    return find_identifiers


def find_identifiers(text: str) -> list[Identifier]:
    """Where identifiers stand in a text, in order and apart from one another; what is already ``[REMOVED]`` is none."""
    rules = _rules()
    found = [one for one in rules.found(text) if "REMOVED" not in text[one.start : one.end]]
    names = {
        word
        for one in found
        if one.kind == "name"
        for word in re.findall(r"[\w'’-]{4,}", text[one.start : one.end])
        if word[0].isupper() and word.casefold() not in rules.not_names
    }
    if names:  # who has been named once is named everywhere
        again = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w-])")
        found += [Identifier(*m.span(), "name") for m in again.finditer(text) if not rules.is_eponym(text, m.end())]
    return apart(found)


def apart(found: Iterable[Identifier]) -> list[Identifier]:
    """The same in order, what overlaps as one; of two kinds the one that begins first counts."""
    kept: list[Identifier] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if kept and one.start < kept[-1].end:
            kept[-1] = kept[-1]._replace(end=max(kept[-1].end, one.end))
        else:
            kept.append(one)
    return kept


def is_eponym(text: str, end: int) -> bool:
    """Whether the name that ends here is a disease's or a sign's: "Baker cyst", "Crohn's disease"."""
    return _rules().is_eponym(text, end)


def is_no_name(word: str) -> bool:
    """Whether a capitalised word is known to be none: "Radiology"."""
    return _rules().is_no_name(word)


@cache
def clinical_words() -> frozenset[str]:
    """The words of the finding lexicon: capitalised, they are taken for names."""
    return frozenset(re.findall(r"[a-z]{3,}", (knowledge_dir() / "findings.toml").read_text("utf-8").lower()))


@cache
def _rules() -> _Rules:
    with (knowledge_dir() / "identifiers.toml").open("rb") as file:
        return _Rules(tomli.load(file))


class _Rules:
    """The patterns, made once from the labels of knowledge/identifiers.toml."""

    def __init__(self, known: dict[str, dict[str, list[str]]]) -> None:
        self._labels = {kind: _either(labels) for kind, labels in known["labels"].items()}
        self._titles = _either(known["names"]["titles"], "")
        self.not_names = {word.casefold() for word in known["names"]["not_names"]}
        self._eponymous = re.compile(rf"(?:['’]?s?|['’])[\s-]{{1,2}}(?:{_either(known['names']['eponymous'])})\b", re.I)

    def is_eponym(self, text: str, end: int) -> bool:
        return self._eponymous.match(text, end) is not None

    def found(self, text: str) -> Iterator[Identifier]:
        for form in self._by_form.finditer(text):
            kind = form.lastgroup or ""
            if kind not in ("phone", "plus", "card") or _is_form(kind, form[kind], text, form.end(kind)):
                yield Identifier(*form.span(kind), _KINDS.get(kind, kind))
        place = 0
        while (match := self._by_label.search(text, place)) is not None:
            kind = match.lastgroup or ""
            found = self._named(text, match, kind) if kind in _NAMED else _numbered(text, match, kind)
            if found is not None:
                yield found
            # What was taken for a name may be the next label.
            place = found.end if found is not None else match.start() + 1 if kind in _NAMED else match.end(kind)

    def _named(self, text: str, match: re.Match[str], how: str) -> Identifier | None:
        """The part of the words that is a name, up to the first word that cannot be part of one; or None."""
        start, end = match.span(how)
        words = list(re.finditer(r"[\w.'’-]+", text[start:end]))
        others = [n for n, word in enumerate(words) if self.is_no_name(word[0])]
        if how == "degree":  # the name is what stands nearest to the degree
            words = words[others[-1] + 1 :] if others else words
        else:
            words = words[: others[0]] if others else words
        while words and words[-1][0].casefold() in _PARTICLES:
            words.pop()
        whole = [w[0] for w in words if len(w[0].strip(".")) > 1]
        clinical = sum(w.casefold() in clinical_words() for w in whole)
        if not whole or (how in ("person", "written", "degree") and len(words) < 2):
            return None
        if how not in ("titled", "degree") and 2 * clinical > len(whole):
            return None
        # Of abbreviations alone ("DQ, DM, DO") none is a person, nor are words of a text in capitals after a "by".
        if all(map(str.isupper, whole)) and (how == "degree" or (how == "written" and not _signed(text, match, start))):
            return None
        at, to = start + words[0].start(), start + words[-1].end()
        if self.is_eponym(text, to):
            return None
        return Identifier(at, to - (text[to - 1] == "." and len(words[-1][0]) > 2), "name")

    def is_no_name(self, word: str) -> bool:
        plain = word.strip(".").casefold()
        return len(plain) > 1 and plain in self.not_names and plain not in _PARTICLES

    @cached_property
    def _by_form(self) -> re.Pattern[str]:
        extension = r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
        capital = rf"[{_UP}][\w.'’-]{{0,40}}"  # bounded: it is tried at each capital
        street = (
            r"(?<![\w.])\d{1,5} (?:[NSEW]\.? )?(?:[A-Z][\w'’]{1,20} ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|"
            r"Boulevard|Blvd|Lane|Ln|Court|Ct|Square|Sq|Terrace|Highway|Hwy|Way|Place|Parkway|Pkwy|Crescent|Close)\b\.?"
            r"(?:,? (?:Apt|Suite|Unit|Flat)\.? ?#?\w{1,6})?"
        )
        kind = r"Calle|Av\.?|Avda\.?|Avenida|Plaza|Pza\.?|Paseo|Pº|Ronda|Travesía|Camino|Carretera|Ctra\.?"
        door = r"(?:,? ?\d{1,2} ?[ºª°]? ?(?:[A-Za-z]|dcha|izda|izq)?\b\.?)?"
        calle = (
            rf"(?<!\w)(?:[Cc]/ ?(?=(?:{_OF})?[{_UP}]\w\w[^\n]{{0,60}}?(?:\d|[Ss]/[Nn]))|(?:{kind}) )"
            rf"(?:{_OF})?(?:{capital}|\d\w*)"
            rf"(?: (?:{_OF}|y )?{capital}){{0,4}}(?:,? ?(?:[nN][º.o] ?)?\d{{1,4}}(?:[-–]\d{{1,4}})?{door}"
            rf"|,? [Ss]/[Nn])?(?:[.,]{{0,2}} ?\d{{5}},? {capital})?"
        )
        parts = (
            r"(?P<email>(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+\b)",
            r"(?<![\w.-])(?P<ssn>\d{3}-\d{2}-\d{4})(?![\w-])",
            r"(?<![\w.+-])(?P<phone>(?:\+?1[-. ])?(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}[-.])\d{3}[-. ]\d{4}"
            rf"{extension})(?![\w-])",
            rf"(?<![\w+])(?P<plus>(?:\+|00)[1-9]\d{{0,2}}(?:[ .-]{{0,2}}\(?\d{{1,10}}\)?){{1,5}}{extension})(?!\w)",
            r"(?<![\w.-])(?P<card>[3-6]\d{12,18}|[3-6]\d{3}(?:[ -]\d{4}){2}[ -]\d{1,4})(?![\w.-])",
            r"(?<!\w)(?P<iban>[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?)(?!\w)",
            r"(?<![\w.])(?P<dni>\d{8}-?[A-HJ-NP-TV-Z])(?!\w)",
            rf"(?P<street>{street})",
            rf"(?P<calle>{calle})",
            rf"(?P<town>(?<!\w){capital}(?: {capital})?, (?:{_STATES}) \d{{5}}(?:-\d{{4}})?(?!\w))",
            r"(?i:(?P<box>\bP\.?\s?O\.? box \d{1,6}))",
        )
        return re.compile("|".join(parts))

    @cached_property
    def _by_label(self) -> re.Pattern[str]:
        label = {kind: rf"(?i:(?<![\w-])(?:{words}))" for kind, words in self._labels.items()}
        sign = rf"(?i:{_SIGN})"
        either = rf"(?i:{_SIGN}|{_OPEN})"
        number = rf"(?i:{_NUMBER})"
        line = r"[^\s.;|][^\n;|]{1,80}?(?=\s*(?:\.?\s*$|[;|]|\. |\.\n))"
        parts = (
            rf"{label['birth']}{either}(?P<birth>(?i:{_DATE}))",
            rf"{label['stay']}{either}(?P<stay>(?i:{_DATE}))",
            rf"{label['record']}{either}(?P<record>{number})",
            r"(?i:(?<![\w-])MRN)(?P<glued>\d{5,12})(?!\w)",
            rf"{label['marked']}{sign}(?P<marked>{number})",
            rf"(?:^\ufeff?|[.,;|(/\t])[ ]{{0,12}}{label['opening']}{sign}(?P<opening>{number})",
            rf"{label['phone']}(?i:\s{{0,2}}(?:no|number|nº)?\.?\s{{0,2}}[:#]?\s{{0,3}})"
            rf"(?P<labelled>\+?\(?\d[\d()/ .-]{{4,32}}\d)(?!\w)",
            rf"{label['postcode']}{sign}"
            rf"(?P<postcode>\d{{4,6}}(?:-\d{{4}})?|[A-Z]{{1,2}}\d[A-Z\d]? ?\d[A-Z]{{2}})(?!\w)",
            rf"{label['address']}{sign}(?P<address>(?=[^\n]*\d){line})",
            rf"{label['place']}{sign}(?P<place>[{_UP}]{line})",
            rf"{label['patient']}{sign}(?P<patient>(?i:[^\W\d_][\w'’-]*(?:[ ^,]{{1,3}}[^\W\d_][\w'’.-]*){{0,4}}))",
            rf"{label['name']}(?i:{_SIGN}|(?<=name is)\s)(?P<named>{_NAME})",
            rf"(?:^\ufeff?|[.,;|(/\t])[ ]{{0,12}}{label['called']}{sign}(?P<called>{_NAME})",
            rf"{label['person']}{sign}(?:(?:{self._titles})\.?\s)?(?P<person>{_NAME})",
            rf"{label['by']}{either}(?:(?:{self._titles})\.?\s)?(?P<written>{_NAME})",
            rf"(?<![\w-])(?:(?:{self._titles})\.?|(?:DR|DRA|MRS|PROF)\.)[ ](?P<titled>{_NAME})",
            rf"(?<![\w-])(?P<degree>{_NAME}),?\s(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|Ph\.?D\.?|MBBS|FRCR|RT\(R\))(?!\w)",
        )
        return re.compile("|".join(parts), re.MULTILINE)


_PARTICLES = {"de", "la", "los", "del", "da", "dos", "van", "der", "den", "von", "le", "di", "y", "bin", "al"}
_KINDS = {
    "plus": "phone", "labelled": "phone", "dni": "record", "glued": "record", "marked": "record", "opening": "record",
    "calle": "address", "street": "address", "town": "address", "box": "address", "card": "account", "iban": "account",
}  # fmt: skip
_NAMED = ("patient", "named", "called", "person", "written", "titled", "degree")
_RECORDS = ("record", "marked", "opening")
_STATES = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
)


def _either(words: Iterable[str], last: str = r"\.?") -> str:
    """A pattern for any of the words, longest first; blanks match several, and full stops may be missing."""
    ordered = sorted(set(words), key=len, reverse=True)
    return "|".join(re.escape(w).replace(r"\ ", r"\s{1,2}").replace(r"\.", r"\.?") for w in ordered)


def _numbered(text: str, match: re.Match[str], kind: str) -> Identifier | None:
    """What follows a label of numbers, dates or places, unless it is a quantity or too short."""
    start, end = match.span(kind)
    digits = len(_DIGITS.findall(match[kind]))
    if kind in _RECORDS:
        enough = 3 if kind == "record" and _signed(text, match, start) else 4
        is_gene = _DATABASE.search(text, max(match.start() - 15, 0), match.start()) is not None
        is_one = digits >= enough and not is_gene and not _UNIT.match(text, end)
    elif kind == "labelled":  # a telephone number, and no date of a call
        is_one = (
            digits >= 6
            and not _UNIT.match(text, end)
            and not re.match(_DATE, match[kind])
            and "000 000" not in match[kind]
        )
    else:
        is_one = not (kind in ("birth", "stay") and _UNIT.match(text, end))
    return Identifier(start, end, _KINDS.get(kind, kind)) if is_one else None


def _signed(text: str, match: re.Match[str], start: int) -> bool:
    """Whether a sign stands between the label and what follows it."""
    return any(sign in text[match.start() : start] for sign in ":#=№\n")


def _is_form(kind: str, value: str, text: str, end: int) -> bool:
    """Whether a number that looks like a telephone's or a card's is one."""
    if _UNIT.match(text, end):
        return False
    digits = "".join(_DIGITS.findall(value))
    if kind == "card":
        return len(digits) >= 13 and _luhn(digits)
    if kind == "plus":
        # "+1 000 000" and "+1234" are counts
        return 9 <= len(digits.removeprefix("00")) <= 20 and "000 000" not in value and " " in value + " "
    return True


def _luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    doubled = (int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits)))
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0
