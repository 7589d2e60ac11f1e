"""The API's description, with the schemas of bodies that routes read themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import rag
from rag.server.access.keys import MEANINGS
from rag.server.web.conversation import ChatBody
from rag.server.web.problems import PROBLEM_SCHEMA
from rag.server.web.schemas import (
    AskBody,
    BatchBody,
    FeedbackBody,
    IngestBody,
    RegionsBody,
    RollbackBody,
    SearchBody,
)

_BODIES = (AskBody, BatchBody, ChatBody, FeedbackBody, IngestBody, RegionsBody, RollbackBody, SearchBody)
_REFERENCE = "#/components/schemas/{model}"
_ABOUT = (
    "Cited, risk-controlled answers from medical images, reports and literature. Research software, not a medical "
    "device. Errors are RFC 9457 problem JSON."
)

_SCOPES = " ".join(f"'{scope}': {meaning}." for scope, meaning in MEANINGS.items())


def describe_api(app: FastAPI, index: str) -> dict[str, Any]:
    """The OpenAPI document, worked out once; ``index`` is the one that examples name."""
    if app.openapi_schema is None:
        document = get_openapi(title="ClinCite", version=rag.__version__, description=_ABOUT, routes=app.routes)
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for model in _BODIES:
            schema = model.model_json_schema(ref_template=_REFERENCE)
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        schemas["Problem"] = PROBLEM_SCHEMA
        components["securitySchemes"] = {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "description": f"An API key, or an OIDC token, with scopes. {_SCOPES}",
            }
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                for parameter in operation.get("parameters", ()):
                    if parameter["in"] == "path" and parameter["name"] == "name":
                        parameter["example"] = index
                body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                if "model" in body.get("example", {}):
                    body["example"] = body["example"] | {"model": index}
                if path.startswith("/v1/") or path == "/metrics":
                    operation["security"] = [{"key": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
