"""CycloneDX documents as bytes, and the strict check of them against the schema of CycloneDX 1.6."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6

from devicepipe.errors import ProductError


def text_of(bom: Bom, what: str) -> bytes:
    """A document as JSON of one form.

    Raises:
        ProductError: It is not valid; `what` names it.
    """
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if problem := _problem(text):
        raise ProductError(
            f"{what} is not valid CycloneDX 1.6: {problem}", remedy="correct the component in the SOUP lock file"
        )
    return text.encode() + b"\n"


def schema_problem(predicate: Mapping[str, Any]) -> str:
    """What the strict schema of CycloneDX 1.6 has against a document, in one line; "" where it holds."""
    return " ".join(_problem(json.dumps(predicate)).split())


def _problem(text: str) -> str:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator  # takes long to import

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return str(problem) if problem else ""
