"""What marks an answer that ClinCite wrote out, so that it never comes back as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAKER = "ClinCite"
FHIR_TAG = {"system": "urn:clincite:answer", "code": "answer", "display": "Written by ClinCite"}
SR_SCHEME = "99CLINCITE"  # a private coding scheme, as DICOM allows
REASON = f"It is an answer that {MAKER} wrote; answers are no evidence."


def is_own_resource(resource: Mapping[str, Any]) -> bool:
    """Whether a FHIR resource carries our tag."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return any(isinstance(tag, dict) and tag.get("system") == FHIR_TAG["system"] for tag in tags or ())
