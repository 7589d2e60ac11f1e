"""How well a table of cue words reads Spanish: is a finding denied, doubted or said to be there? On NUBes, by findings.

    python benchmarks/spanish.py ../shared/data/nubes/nubes.jsonl --half held-out

A mention of a finding is *absent* where it stands in the scope of a negation that annotators marked, *uncertain* in one
of a doubt, and *present* in neither. The rules were written while looking at one half of the documents; figures are of
the other half. "plain" are those that the package gives a verdict by; what it read before there were rules is in "all".
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from rag.language.foreign_reading import foreign_reading
from rag.language.phrasebook import phrasebook
from rag.risk_control.bounds import clopper_pearson

COMMON = (
    r"fiebre|dolor(?:es)?|disnea|tos|edemas?|náuseas?|nauseas?|vómitos?|vomitos?|diarreas?|cefaleas?|mareos?|síncopes?|"
    r"sincope|hemorragias?|sangrados?|lesi(?:ón|ones)|hta|diabetes|dislipemia|alergias?|masas?|megalias?|"
    r"visceromegalias?|soplos?|crepitantes|sibilancias?|focalidad|infecci(?:ón|ones)|infiltrados?|metástasis|derrames?|"
    r"isquemia|arritmias?|palpitaciones|astenia|anorexia|hematuria|disuria|ictericia|trombosis|fístulas?|estenosis|"
    r"dilataci(?:ón|ones)|colecci(?:ón|ones)|hematomas?|tumoraci(?:ón|ones)|convulsiones|expectoración|hemoptisis|rectorragia"
)


def mentions(text: str) -> Iterator[tuple[int, int]]:
    """Where the findings that are read stand, and COMMON ones, which make more of them to measure the rules on."""
    book = phrasebook("es")
    assert book is not None
    found = [(start, end) for start, end, _ in book.findings_in(text)]
    found += [m.span() for m in re.finditer(rf"\b(?:{COMMON})\b", text, re.I)]
    taken = -1
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if start > taken:
            yield start, end
            taken = end


def labelled(row: dict[str, Any]) -> Iterator[tuple[int, int, str]]:
    scopes = []
    for kind, marker, scope in row["relations"]:
        a, b = row["spans"][int(marker)], row["spans"][int(scope)]
        if kind in ("Scope", "DiscScope"):
            scopes.append((b["start"], b["end"], "absent" if a["type"].startswith("Neg") else "uncertain"))
    for start, end in mentions(row["text"]):
        said = {s for first, last, s in scopes if first <= start and end <= last}
        yield start, end, "uncertain" if "uncertain" in said else "absent" if said else "present"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--half", choices=["written-on", "held-out"], default="held-out")
    parser.add_argument("--show", default="", help="gold>told, to print such sentences, e.g. present>absent")
    asked = parser.parse_args()
    reading = foreign_reading("es")
    assert reading is not None
    table: Counter[tuple[str, str, bool]] = Counter()
    for line in asked.file.open(encoding="utf-8"):
        row = json.loads(line)
        odd = int(sha256(row["id"].split(":")[0].encode()).hexdigest(), 16) % 2
        if odd != (asked.half == "held-out"):
            continue
        for start, end, gold in labelled(row):
            told, plain = reading.status(row["text"], start, end)
            table[gold, told, plain] += 1
            if asked.show == f"{gold}>{told}":
                print(f"{row['text'][:start]}[[{row['text'][start:end]}]]{row['text'][end:]}")
    for name, plain_only in (("all", False), ("plain", True)):
        for told in ("absent", "uncertain", "present"):
            rows = {k: n for k, n in table.items() if k[1] == told and (k[2] or not plain_only)}
            n, right = sum(rows.values()), sum(c for k, c in rows.items() if k[0] == told)
            gold = sum(c for k, c in table.items() if k[0] == told)
            if n:
                low, high = (float(x) for x in clopper_pearson(right, n))
                found = f"right {right / n:.3f} ({low:.3f}-{high:.3f})  of {gold:,}: {right / gold:.3f}"
                print(f"{name:6}{told:10} told {n:6,}  {found}")


if __name__ == "__main__":
    main()
