"""The base of all evidence: how its values are written and read, and the forms of digests and times."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]


def _real(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("is no time that there is") from error
    return text


Instant = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"),
    AfterValidator(_real),
]
"""A time in UTC to the microsecond, RFC 3339, that a calendar has: all of one length, so that they compare as text."""
Component = Literal["password", "totp", "oidc"]
"""By what a person was identified: something that only the person knows, or has, or somebody whom the product trusts with it."""


class Model(BaseModel):
    """Base of every evidence value: frozen, strict about keys, camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )

    def to_json(self) -> dict[str, Any]:
        """The value as JSON-ready data; fields that are None are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read the value from JSON data; pydantic.ValidationError names what is wrong."""
        return cls.model_validate(data)


class ProviderLogin(Model):
    """That somebody logged in at an OpenID provider: which, who (as it calls them), when, and the SHA-256 of the ID token."""

    issuer: str
    subject: str
    on: Instant
    token: Sha256
