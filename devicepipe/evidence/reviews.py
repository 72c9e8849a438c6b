"""Reviews of items as evidence: who looked at an item and its parents, when, and what they looked like then."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from devicepipe.evidence.model import Model, Sha256, Time

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
"""Text of one line that a terminal and a report can print."""


class Review(Model):
    """A review of one item.

    Attributes:
        item: Its id.
        fingerprint: Its fingerprint when it was reviewed.
        links: Its parents (the items that it linked to) → the fingerprint that each had then.
        attributes: Its attributes → the first 16 digits of their SHA-256, so that a later change can be named by attribute.
        by: Who reviewed it.
        on: When.
        note: What the reviewer has to say.
    """

    item: str
    fingerprint: Sha256
    links: dict[str, Sha256] = Field(default_factory=dict)
    attributes: dict[str, str] = Field(default_factory=dict)
    by: Line
    on: Time
    note: Line = ""
